// SPDX-License-Identifier: GPL-2.0

//! The tracepoints of jobs, from `vfence_trace.h`.

use crate::kernel_ext::tracepoint::declare_trace;

// SAFETY: `vfence_trace.h` defines the tracepoints with these arguments.
declare_trace! {
    /// Traces the submission of a job.
    unsafe pub(crate) fn job_submit = vfence_submit(
        context: u64, seqno: u64, queue: u32, duration_ns: u64, in_fences: u32,
    );

    /// Traces the start of a job.
    unsafe pub(crate) fn job_start = vfence_start(
        context: u64, seqno: u64, queue: u32, start_ns: u64,
    );

    /// Traces the completion of a job.
    unsafe pub(crate) fn job_complete = vfence_complete(
        context: u64, seqno: u64, queue: u32, error: i32, start_ns: u64, end_ns: u64,
    );
}
