// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The structures and constants of `include/uapi/linux/vfence.h` and `sw_sync.h`, from bindgen.

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

    include!(concat!(env!("VFENCE_GENERATED"), "/uapi_generated.rs"));
}

pub(crate) use generated::*;

// A change of a structure's size breaks the ABI, and must fail the build.
const _: () = {
    assert!(size_of::<vfence_query>() == 40);
    assert!(size_of::<vfence_queue_create>() == 96);
    assert!(size_of::<vfence_queue_destroy>() == 8);
    assert!(size_of::<vfence_queue_info>() == 176);
    assert!(size_of::<vfence_submit>() == 88);
    assert!(size_of::<vfence_use>() == 8);
    assert!(size_of::<vfence_operation>() == 48);
    assert!(size_of::<vfence_signal>() == 24);
    assert!(size_of::<vfence_submit_batch>() == 24);
    assert!(size_of::<vfence_point>() == 16);
    assert!(size_of::<vfence_wait>() == 32);
    assert!(size_of::<vfence_buffer_create>() == 16);
    assert!(size_of::<vfence_export>() == 24);
    assert!(size_of::<vfence_job_info>() == 72);
    assert!(size_of::<vfence_event>() == 64);
    assert!(size_of::<vfence_queue_reset>() == 16);
    assert!(size_of::<vfence_fault>() == 32);
    assert!(size_of::<vfence_queue_faults>() == 32);
    assert!(size_of::<vfence_counters>() == 40);
    assert!(size_of::<sw_sync_create_fence_data>() == 40);
    assert!(size_of::<sw_sync_get_deadline>() == 16);
};
