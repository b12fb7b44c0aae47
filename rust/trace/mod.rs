// SPDX-License-Identifier: GPL-2.0

//! Tracepoints of jobs: see `vfence_trace.h`.

use crate::kernel_ext::tracepoint::declare_trace;

// SAFETY: `vfence_trace.h` makes them with these arguments.
declare_trace! {
    /// A job was submitted.
    unsafe pub(crate) fn job_submit = vfence_submit(
        context: u64, seqno: u64, queue: u32, duration_ns: u64, in_fences: u32,
    );

    /// A job has started to run.
    unsafe pub(crate) fn job_start = vfence_start(context: u64, seqno: u64, queue: u32, start_ns: u64);

    /// A job has completed.
    unsafe pub(crate) fn job_complete = vfence_complete(
        context: u64, seqno: u64, queue: u32, error: i32, start_ns: u64, end_ns: u64,
    );
}
