// SPDX-License-Identifier: GPL-2.0
/* The version of vfence_drm.ko: Kbuild links an object into one module only. */
#include "vfence_version.c"
