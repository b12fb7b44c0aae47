// SPDX-License-Identifier: GPL-2.0

//! The events of a queue's jobs in the form of the kernel's GPU scheduler.
//!
//! A job of a timer or worker queue runs from its start. A job of a manual queue runs from its
//! submission, because user space may signal it from then on.

use crate::{
    trace,
    vfence::{
        job::in_fences::InFenceWait,
        queue::{
            config::QueueKind,
            name::QueueName,
            Queue,
            QueueRef,
            QueueScheduler,
            QueueState, //
        },
    },
};
use core::fmt::Write;
use kernel::{
    prelude::*,
    str::{
        CStr,
        NullTerminatedFormatter, //
    },
};

/// The size of a ring's name: a queue's name and two numbers.
const RING_LEN: usize = QueueName::LEN + 32;

/// Records an event of the class of `drm_sched_job_run`.
type RecordJob = fn(&CStr, &CStr, u64, u64, u32, i32, u64);

impl Queue {
    /// Traces job `seqno`, which has been submitted.
    #[inline(always)]
    pub(super) fn trace_queued(&self, state: &mut QueueState, seqno: u64) {
        let pending = |state: &QueueState| state.jobs.pending();
        trace::sched_job_queue(|event| {
            self.record_job(&state.jobs, seqno, pending(state) - 1, event)
        });
        trace::sched_job_add_dep(|event| self.record_dependencies(state, seqno, event));
        trace::sched_job_run(|event| {
            if self.kind == QueueKind::Manual {
                self.record_job(&state.jobs, seqno, pending(state), event);
            }
        });
    }

    /// Traces job `seqno`, the head of a timer or worker queue, which has started.
    #[inline]
    pub(super) fn trace_run(&self, jobs: &QueueScheduler, seqno: u64) {
        trace::sched_job_run(|event| self.record_job(jobs, seqno, jobs.pending(), event));
    }

    /// Traces job `seqno`, which has completed.
    #[inline(always)]
    pub(super) fn trace_done(&self, seqno: u64) {
        trace::sched_job_done(|event| event(self.context, seqno));
    }

    /// Traces the in-fences of job `seqno`, the head, that are pending among the next `max` of
    /// `wait` to be armed.
    #[inline]
    pub(super) fn trace_wait(&self, seqno: u64, wait: &InFenceWait<QueueRef>, max: usize) {
        trace::sched_job_unschedulable(|event| {
            for fence in wait.unarmed().take(max) {
                if fence.outcome().is_none() {
                    event(self.context, seqno, fence.context(), fence.seqno());
                }
            }
        });
    }

    /// Records job `seqno` among `pending` jobs.
    // Out of line: callers must not pay for the stack frame.
    #[cold]
    #[inline(never)]
    fn record_job(&self, jobs: &QueueScheduler, seqno: u64, pending: usize, record: RecordJob) {
        let running = jobs.running().min(pending);
        let mut ring = [0; RING_LEN];
        if let Some(mut text) = NullTerminatedFormatter::new(&mut ring) {
            let name = self.name.as_c_str();
            // It fits.
            let _ = text.write_fmt(fmt!("{}_{}.{}", name, self.owner.client, self.id));
        }
        record(
            self.owner.dev(),
            CStr::from_bytes_until_nul(&ring).unwrap_or(c""),
            self.context,
            seqno,
            // CAST: A queue has at most 1048576 jobs.
            (pending - running) as u32,
            running as i32,
            self.owner.client,
        );
    }

    /// Records the in-fences of job `seqno` that were pending at submission.
    #[cold]
    #[inline(never)]
    fn record_dependencies(
        &self,
        state: &mut QueueState,
        seqno: u64,
        record: fn(u64, u64, u64, u64),
    ) {
        let jobs = state.jobs.timed_mut();
        let wait = jobs.and_then(|jobs| jobs.data_mut(seqno)?.in_fences());
        for fence in wait.into_iter().flat_map(InFenceWait::fences) {
            record(self.context, seqno, fence.context(), fence.seqno());
        }
    }
}
