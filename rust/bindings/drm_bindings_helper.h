/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The headers of DRM that the kernel's own bindings crate leaves out. */

#include <drm/drm_syncobj.h>
