// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The helpers of vfence_drm.ko: Kbuild links an object into one module only. */

#include "helpers.c"
#include "drm.c"
