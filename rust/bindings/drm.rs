// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Bindings for DRM headers that the kernel's `bindings` crate leaves out, and for
//! `rust/helpers/drm.c`.
//!
//! Only `rust/kernel/drm/` may use this module. It re-exports [`crate::bindings`].

#![allow(
    clippy::all,
    clippy::undocumented_unsafe_blocks,
    dead_code,
    improper_ctypes,
    missing_docs,
    non_camel_case_types,
    non_snake_case,
    non_upper_case_globals,
    unreachable_pub,
    unsafe_op_in_unsafe_fn
)]

pub(crate) use crate::bindings::*;

mod generated {
    use crate::bindings::*;
    use kernel::ffi;

    include!(concat!(
        env!("VFENCE_GENERATED"),
        "/drm_bindings_generated.rs"
    ));
}

mod helpers {
    use super::generated::drm_syncobj;
    use crate::bindings::*;

    include!(concat!(
        env!("VFENCE_GENERATED"),
        "/drm_helpers_generated.rs"
    ));
}

// Named imports take precedence over the glob: some configurations have these in the kernel's
// bindings too.
pub(crate) use generated::{
    drm_driver_color_mode_format,
    drm_mode_size_dumb,
    drm_syncobj,
    drm_syncobj_add_point,
    drm_syncobj_create,
    drm_syncobj_find,
    drm_syncobj_find_fence,
    drm_syncobj_replace_fence,
    DRM_FORMAT_INVALID,
    RUST_CONST_DRM_FILE_PAGE_OFFSET_START as DRM_FILE_PAGE_OFFSET_START,
    RUST_CONST_DRM_WEDGE_RECOVERY_BUS_RESET as DRM_WEDGE_RECOVERY_BUS_RESET,
    RUST_CONST_DRM_WEDGE_RECOVERY_NONE as DRM_WEDGE_RECOVERY_NONE,
    RUST_CONST_DRM_WEDGE_RECOVERY_REBIND as DRM_WEDGE_RECOVERY_REBIND,
    RUST_CONST_DRM_WEDGE_RECOVERY_VENDOR as DRM_WEDGE_RECOVERY_VENDOR, //
};
pub(crate) use helpers::{
    drm_gem_object_put,
    drm_syncobj_append_point,
    drm_syncobj_fence_get,
    drm_syncobj_get,
    drm_syncobj_put,
    drm_vma_node_offset_addr, //
};
