/* SPDX-License-Identifier: GPL-2.0 OR MIT */

#include <linux/sw_sync.h>
#include <linux/vfence.h>
