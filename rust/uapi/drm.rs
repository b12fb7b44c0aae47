// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The structures and constants of `include/uapi/drm/vfence_drm.h`, from bindgen.

#![allow(
    clippy::all,
    dead_code,
    missing_docs,
    non_camel_case_types,
    non_upper_case_globals,
    unreachable_pub
)]

mod generated {
    use kernel::ffi;

    include!(concat!(env!("VFENCE_GENERATED"), "/drm_uapi_generated.rs"));
}

pub(crate) use generated::*;

// A change of a structure's size breaks the ABI, and must fail the build.
const _: () = {
    assert!(size_of::<drm_vfence_sync>() == 16);
    assert!(size_of::<drm_vfence_submit>() == 40);
    assert!(size_of::<drm_vfence_gem_create>() == 24);
    assert!(size_of::<drm_vfence_gem_info>() == 24);
    assert!(size_of::<drm_vfence_syncobj_signal>() == 24);
};
