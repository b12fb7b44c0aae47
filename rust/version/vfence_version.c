// SPDX-License-Identifier: GPL-2.0
/* MODULE_VERSION, which the module! macro lacks. Kbuild passes the version that NEWS states. */
#include <linux/module.h>

MODULE_VERSION(VFENCE_VERSION);
