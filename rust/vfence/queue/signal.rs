// SPDX-License-Identifier: GPL-2.0

//! Completing jobs of a manual queue: `VFENCE_IOCTL_SIGNAL` and `VFENCE_IOCTL_SIGNAL_NEXT`.

use crate::{
    kernel_ext::{
        dma_fence::{
            FenceBatch,
            SignallingSection, //
        },
        timekeeping::ktime_get, //
    },
    trace,
    vfence::{
        queue::{
            complete::{
                fence_result,
                Bounds,
                Wake, //
            },
            config::QueueKind,
            JobFence,
            Queue,
            QueueCompletedJob,
            QueueState, //
        },
        refusal::refuse,
        sched::ring::SEGMENT_LEN, //
    },
};
use kernel::prelude::*;

impl Queue {
    /// Refuses, with `EINVAL`, to signal job `seqno` if the queue is not a manual one or has no
    /// such job.
    pub(crate) fn check_signal(&self, seqno: u64) -> Result {
        if self.kind == QueueKind::Manual && seqno <= self.submitted() {
            Ok(())
        } else {
            Err(self.no_signal(seqno))
        }
    }

    /// Returns the error of [`Queue::check_signal`].
    #[cold]
    #[inline(never)]
    fn no_signal(&self, seqno: u64) -> Error {
        if self.kind != QueueKind::Manual {
            return self.not_manual();
        }
        self.not_submitted(seqno)
    }

    /// Returns the error of a call that is for manual queues only.
    #[cold]
    #[inline(never)]
    pub(crate) fn not_manual(&self) -> Error {
        refuse!(EINVAL, "queue {} is not manual", self.id)
    }

    /// Completes the jobs of a manual queue up to `seqno`, with `error`, or with their own error if
    /// that is 0.
    ///
    /// Returns the number of jobs completed.
    #[inline(always)]
    pub(crate) fn signal(&self, seqno: u64, error: i32) -> u32 {
        match self.signal_plain::<1>(|head| head == seqno, error) {
            0 => self.signal_up_to(seqno, error),
            completed => completed,
        }
    }

    /// Does the same as [`Queue::signal`] for any number of jobs of any kind.
    // Out of line: the completion of a single job must not pay for its stack frame.
    #[inline(never)]
    fn signal_up_to(&self, seqno: u64, error: i32) -> u32 {
        let mut completed = 0;
        loop {
            match self.signal_plain::<SEGMENT_LEN>(|head| head <= seqno, error) {
                0 => break,
                count => completed += count,
            }
        }
        if self.completed() < seqno {
            let next = |state: &mut QueueState, now| {
                let job = state.jobs.manual_mut()?.signal(now, seqno, error)?;
                Some(QueueCompletedJob::from_manual(job))
            };
            completed += self.complete(Bounds::NONE, next).0;
            self.rearm(&mut self.state.lock());
        }
        completed
    }

    /// Completes the next job of a manual queue, if one is pending. Returns the number of jobs
    /// completed, which is more than one if jobs before it had timed out.
    ///
    /// Fails with `EINVAL` if the queue is not a manual one.
    pub(crate) fn signal_next(&self) -> Result<u32> {
        if self.signal_plain::<1>(|_| true, 0) != 0 {
            return Ok(1);
        }
        if self.kind != QueueKind::Manual {
            return Err(self.not_manual());
        }
        loop {
            let seqno = self.completed() + 1;
            if seqno > self.submitted() {
                return Ok(0);
            }
            match self.signal_up_to(seqno, 0) {
                // Another task has completed it.
                0 => {}
                completed => return Ok(completed),
            }
        }
    }

    /// Completes up to `N` jobs at the head of a manual queue, as long as their seqnos are `wanted`
    /// and they have nothing but a fence: no event, no error of their own, not timed out. Returns
    /// the number of jobs completed.
    ///
    /// No rearm: timeouts follow submission order, so the timer expires no later than the remaining
    /// jobs require.
    #[inline(always)]
    pub(crate) fn signal_plain<const N: usize>(
        &self,
        wanted: impl Fn(u64) -> bool,
        error: i32,
    ) -> u32 {
        let _section = SignallingSection::begin();
        let mut guard = self.state.lock();
        let now = ktime_get();
        let state = &mut *guard;
        let Some(jobs) = state.jobs.manual_mut() else {
            return 0;
        };
        let mut fences = FenceBatch::<_, N>::new(fence_result(error), now);
        let mut completed = 0;
        let mut done = |seqno, fence: JobFence| {
            completed += 1;
            trace::job_complete(|event| event(self.context, seqno, self.id, error, 0, now));
            self.trace_done(seqno);
            if let Some(fence) = fence {
                fences.push(fence);
            }
        };
        let mut segment = None;
        if N == 1 {
            let seqno = jobs.completed() + 1;
            if wanted(seqno) {
                if let Some((fence, spare)) = jobs.signal_next(now, error) {
                    done(seqno, fence);
                    segment = spare;
                }
            }
        } else {
            segment = jobs.signal_run(now, error, wanted, done);
        }
        if completed == 0 {
            return 0;
        }
        let seqno = jobs.completed();
        let wake = Wake::take(state, seqno);
        fences.complete_with(&guard);
        if error != 0 {
            self.counters.set_totals(guard.jobs.totals());
        }
        self.finish(guard, seqno, None, segment);
        self.wake(wake);
        completed
    }
}
