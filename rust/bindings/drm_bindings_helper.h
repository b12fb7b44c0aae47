/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* The headers of DRM that the kernel's own bindings crate leaves out. */

#include <drm/drm_syncobj.h>
#include <drm/drm_vma_manager.h>

/* What bindgen does not see, as a macro with casts. */
const unsigned long RUST_CONST_DRM_FILE_PAGE_OFFSET_START = DRM_FILE_PAGE_OFFSET_START;
