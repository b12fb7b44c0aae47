// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_EXPORT` of a job: finding its fence, or creating one.

use crate::{
    kernel_ext::dma_fence::{
        AllocatedFence,
        Fence, //
    },
    uapi::VFENCE_HISTORY,
    vfence::{
        queue::{
            complete::fence_result,
            JobFence,
            Queue,
            QueueRef, //
        },
        refusal::refuse,
        sched::types::JobState, //
    },
};
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

impl Queue {
    /// Returns the error of a call that names a job which was not submitted.
    #[cold]
    #[inline(never)]
    pub(crate) fn not_submitted(&self, seqno: u64) -> Error {
        refuse!(
            EINVAL,
            "seqno {} of queue {} has not been submitted",
            seqno,
            self.id
        )
    }

    /// Returns the error of a call that names a job which the history has lost.
    #[cold]
    #[inline(never)]
    pub(crate) fn forgotten(&self, seqno: u64) -> Error {
        refuse!(
            ENODATA,
            "queue {} no longer remembers job {}: VFENCE_HISTORY, {}, later jobs have completed",
            self.id,
            seqno,
            VFENCE_HISTORY
        )
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
                JobState::Unknown => return Err(queue.not_submitted(seqno)),
                JobState::Forgotten => return Err(queue.forgotten(seqno)),
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
            let fence = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?;
            if let Some(record) = completed {
                let result = fence_result(record.error);
                return prepare(fence.init_signalled(seqno, result, record.end).fence());
            }
            let fence = fence.init_at(seqno);
            let prepared = prepare(fence.fence())?;
            let mut fence = Some(fence);
            queue.with_fence(seqno, |place| {
                if place.is_none() {
                    *place = fence.take();
                }
            });
            if fence.is_none() {
                return Ok(prepared);
            }
            // The job has completed or has got a fence meanwhile. This fence can be dropped:
            // `prepare` has not published it.
        }
    }
}
