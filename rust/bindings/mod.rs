// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Bindings for headers that the kernel's `bindings` crate leaves out, and for `rust/helpers/`.
//!
//! Only `rust/kernel/` may use this module. It re-exports the kernel's bindings, so that an
//! abstraction can move into the kernel with no change except to its imports.

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

pub(crate) use kernel::bindings::*;

mod generated {
    use kernel::{
        bindings::*,
        ffi, //
    };

    include!(concat!(env!("VFENCE_GENERATED"), "/bindings_generated.rs"));
}

mod helpers {
    #[cfg(CONFIG_FAULT_INJECTION)]
    use super::generated::fault_attr;
    use super::generated::{
        dma_fence_chain,
        kthread_work,
        kthread_work_func_t, //
    };
    use kernel::{
        bindings::*,
        ffi, //
    };

    include!(concat!(env!("VFENCE_GENERATED"), "/helpers_generated.rs"));
}

// Named imports take precedence over the glob: some configurations have these in the kernel's
// bindings too.
#[cfg(CONFIG_FAULT_INJECTION)]
pub(crate) use generated::fault_attr;
pub(crate) use generated::{
    crc32c,
    dma_fence_array_create,
    dma_fence_chain,
    dma_fence_chain_init,
    dma_fence_unwrap,
    dma_fence_unwrap_first,
    dma_fence_unwrap_next,
    kthread_create_worker_on_node,
    kthread_destroy_worker,
    kthread_queue_work,
    kthread_work,
    kthread_worker,
    sync_file_create,
    sync_file_get_fence,
    RUST_CONST_DMA_FENCE_MEMORY as DMA_FENCE_MEMORY,
    RUST_CONST_FMODE_NOWAIT as FMODE_NOWAIT,
    RUST_CONST_IOCB_NOWAIT as IOCB_NOWAIT, //
};
#[cfg(CONFIG_DEBUG_LOCK_ALLOC)]
pub(crate) use helpers::mutex_lock_killable;
pub(crate) use helpers::{
    cond_resched,
    copy_struct_from_user,
    dma_coerce_mask_and_coherent,
    dma_fence_begin_signalling,
    dma_fence_end_signalling,
    dma_fence_get,
    dma_fence_is_container,
    dma_fence_is_later_or_same,
    dma_fence_is_signaled,
    dma_fence_kmalloc,
    dma_fence_put,
    dma_fence_refcount,
    dma_fence_set_error,
    dma_fence_signal_timestamp_irqs_off,
    dma_fence_timestamp,
    dma_get_max_seg_size,
    dma_resv_lock_slow_interruptible,
    dma_sync_sgtable_for_cpu,
    dma_sync_sgtable_for_device,
    get_current_comm,
    get_page,
    kthread_init_work,
    memset64,
    num_online_cpus,
    page_address,
    put_page,
    set_current_state,
    set_notify_signal,
    to_dma_fence_chain,
    wq_has_sleeper,
    ww_acquire_done,
    ww_acquire_fini,
    ww_acquire_init, //
};
#[cfg(CONFIG_FAULT_INJECTION)]
pub(crate) use helpers::{
    fault_attr_init,
    fault_create_debugfs_attr,
    should_fail, //
};
