/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* DRM headers that the kernel's bindings crate leaves out. */

#include <drm/drm_dumb_buffers.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_syncobj.h>
#include <drm/drm_vma_manager.h>

/* A macro with casts, which bindgen does not evaluate. */
const unsigned long RUST_CONST_DRM_FILE_PAGE_OFFSET_START = DRM_FILE_PAGE_OFFSET_START;
