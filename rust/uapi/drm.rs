// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The structures and constants of `include/uapi/drm/vfence_drm.h`, made from that header.

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

// The layout is the contract: a header that changes it must not build.
const _: () = {
    assert!(size_of::<drm_vfence_sync>() == 16);
    assert!(size_of::<drm_vfence_submit>() == 40);
    assert!(size_of::<drm_vfence_gem_create>() == 24);
    assert!(size_of::<drm_vfence_gem_info>() == 24);
};
