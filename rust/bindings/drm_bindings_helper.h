/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* DRM headers that the kernel's bindings crate leaves out. */

#include <drm/drm_device.h>
#include <drm/drm_dumb_buffers.h>
#include <drm/drm_fourcc.h>
#include <drm/drm_syncobj.h>
#include <drm/drm_vma_manager.h>

/* Macros with casts, which bindgen does not evaluate. */
const unsigned long RUST_CONST_DRM_FILE_PAGE_OFFSET_START = DRM_FILE_PAGE_OFFSET_START;
const unsigned long RUST_CONST_DRM_WEDGE_RECOVERY_NONE = DRM_WEDGE_RECOVERY_NONE;
const unsigned long RUST_CONST_DRM_WEDGE_RECOVERY_REBIND = DRM_WEDGE_RECOVERY_REBIND;
const unsigned long RUST_CONST_DRM_WEDGE_RECOVERY_BUS_RESET = DRM_WEDGE_RECOVERY_BUS_RESET;
const unsigned long RUST_CONST_DRM_WEDGE_RECOVERY_VENDOR = DRM_WEDGE_RECOVERY_VENDOR;
