// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The shims of the module that is a DRM driver: an object belongs to one module. */

#include "helpers.c"
#include "drm.c"
