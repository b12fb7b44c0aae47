// SPDX-License-Identifier: GPL-2.0

//! Reading the state of a queue and of its jobs, and finding the fence of a job.

use crate::{
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            Fence, //
        },
        timekeeping::ktime_get, //
    },
    uapi::{
        vfence_queue_info,
        VFENCE_QUEUE_STOPPED, //
    },
    vfence::{
        job::in_fences::InFenceWait,
        queue::{
            complete::fence_result,
            JobFence,
            Queue,
            QueueRef, //
        },
        sched::types::JobState, //
    },
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

impl Queue {
    /// Fills in everything in `info` that describes the queue.
    pub(crate) fn fill_info(&self, info: &mut vfence_queue_info) {
        info.kind = self.kind.to_user();
        info.context = self.context;
        for (to, from) in info.name.iter_mut().zip(self.name.as_bytes()) {
            *to = *from as c_char;
        }
        let _order = self.lock_signalling();
        let jobs = &self.state.lock().jobs;
        let totals = jobs.totals();
        info.submitted = jobs.submitted();
        info.completed = jobs.completed();
        info.errors = totals.errors;
        info.timeouts = totals.timeouts;
        info.resets = totals.resets;
        info.timeout_ns = jobs.timeout().unwrap_or(0);
        info.faults = [0; 8];
        for (to, from) in info.faults.iter_mut().zip(totals.faults) {
            *to = from;
        }
        info.state = if jobs.stopped() {
            VFENCE_QUEUE_STOPPED
        } else {
            0
        };
    }

    /// Returns the state of a job. The fence of a job that is reported as completed has signalled.
    pub(crate) fn job_state(&self, seqno: u64) -> JobState {
        let _order = self.lock_signalling();
        self.state.lock().jobs.state(ktime_get(), seqno)
    }

    /// Calls `f` with the in-fences of a job, if it is pending and had pending in-fences when it
    /// was submitted. `f` runs under `state`.
    pub(crate) fn with_in_fences<R>(
        &self,
        seqno: u64,
        f: impl FnOnce(&InFenceWait<QueueRef>) -> R,
    ) -> Option<R> {
        let mut state = self.state.lock();
        state.jobs.timed_mut()?.data_mut(seqno)?.in_fences().map(f)
    }

    /// Calls `f` with the fence of a job, if the job is pending. `f` runs under `state`.
    fn with_fence<R>(&self, seqno: u64, f: impl FnOnce(&mut JobFence) -> R) -> Option<R> {
        self.state.lock().jobs.fence_mut(seqno).map(f)
    }

    /// Returns what `prepare` makes of the fence of a job. A job without a fence gets one, after
    /// `prepare` has succeeded with it. For a completed job this is a new fence that has signalled.
    ///
    /// `prepare` may be called more than once. Fails with `EINVAL` for a job that was not
    /// submitted, `ENODATA` for one that the history has lost, `ENOMEM`, and as `prepare` does.
    pub(crate) fn with_job_fence<R>(
        queue: &QueueRef,
        seqno: u64,
        mut prepare: impl FnMut(&Fence) -> Result<R>,
    ) -> Result<R> {
        loop {
            let completed = match queue.job_state(seqno) {
                JobState::Unknown => return Err(EINVAL),
                JobState::Forgotten => return Err(ENODATA),
                JobState::Completed(record) => Some(record),
                JobState::Pending(_) | JobState::Running(_) => {
                    let existing: Option<Option<ARef<Fence>>> = queue.with_fence(seqno, |fence| {
                        fence.as_ref().map(|fence| fence.fence().into())
                    });
                    match existing {
                        Some(Some(fence)) => return prepare(&fence),
                        Some(None) => None,
                        // The job has completed meanwhile.
                        None => continue,
                    }
                }
            };
            let fence = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?.init(seqno);
            let prepared = prepare(fence.fence())?;
            if let Some(record) = completed {
                fence.complete(fence_result(record.error), record.end);
                return Ok(prepared);
            }
            let mut fence = Some(fence);
            queue.with_fence(seqno, |place| {
                if place.is_none() {
                    *place = fence.take();
                }
            });
            if fence.is_none() {
                return Ok(prepared);
            }
            // The job has completed or has got a fence meanwhile. Dropping this one harms nobody:
            // `prepare` has not published it.
        }
    }
}
