// SPDX-License-Identifier: GPL-2.0

//! The tracepoints of jobs, from `vfence_trace.h`.

use crate::kernel_ext::tracepoint::declare_trace;
use kernel::str::CStr;

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

    /// Traces a job that enters its queue.
    unsafe pub(crate) fn sched_job_queue = drm_sched_job_queue(
        dev: &CStr, ring: &CStr, fence_context: u64, fence_seqno: u64, job_count: u32,
        hw_job_count: i32, client_id: u64,
    );

    /// Traces a job that starts.
    unsafe pub(crate) fn sched_job_run = drm_sched_job_run(
        dev: &CStr, ring: &CStr, fence_context: u64, fence_seqno: u64, job_count: u32,
        hw_job_count: i32, client_id: u64,
    );

    /// Traces a job that completes.
    unsafe pub(crate) fn sched_job_done = drm_sched_job_done(
        fence_context: u64, fence_seqno: u64,
    );

    /// Traces an in-fence of a job that enters its queue.
    unsafe pub(crate) fn sched_job_add_dep = drm_sched_job_add_dep(
        fence_context: u64, fence_seqno: u64, ctx: u64, seqno: u64,
    );

    /// Traces a pending in-fence that the head of a queue begins to wait for.
    unsafe pub(crate) fn sched_job_unschedulable = drm_sched_job_unschedulable(
        fence_context: u64, fence_seqno: u64, ctx: u64, seqno: u64,
    );
}
