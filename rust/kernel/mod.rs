// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Safe abstractions that the `kernel` crate lacks, one file for each C header.
//!
//! All `unsafe` code is here: these files wrap `rust/bindings/` for the driver in `rust/vfence/`.
//! Each could be sent upstream as it stands.

// An abstraction is complete even where the driver uses only a part of it.
#![allow(dead_code)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

pub(crate) mod blocked_tasks;
pub(crate) mod cpumask;
pub(crate) mod dma_buf;
pub(crate) mod dma_fence;
pub(crate) mod dma_fence_array;
pub(crate) mod dma_fence_chain;
pub(crate) mod dma_fence_unwrap;
pub(crate) mod dma_mapping;
pub(crate) mod dma_resv;
pub(crate) mod dynamic_debug;
pub(crate) mod fault_inject;
pub(crate) mod file_operations;
pub(crate) mod hrtimer;
pub(crate) mod kthread_worker;
pub(crate) mod miscdevice;
pub(crate) mod module_param;
pub(crate) mod mutex;
pub(crate) mod platform;
pub(crate) mod scatterlist;
pub(crate) mod sync_file;
pub(crate) mod task;
pub(crate) mod timekeeping;
pub(crate) mod tracepoint;
pub(crate) mod uaccess;
pub(crate) mod user_page;
pub(crate) mod vmalloc;
pub(crate) mod wait;
pub(crate) mod workqueue;
