// SPDX-License-Identifier: GPL-2.0

//! Publishing jobs: they enter the scheduler of their queue, which cannot fail, since a slot is
//! reserved for each.

use crate::{
    kernel_ext::timekeeping::ktime_get,
    trace,
    vfence::{
        job::in_fences::InFenceWait,
        queue::{
            Queue,
            QueueManualJob,
            QueueState,
            QueueTimedJob, //
        },
        sched::types::NEVER, //
    },
};
use kernel::{
    prelude::*,
    warn_on, //
};

/// Most jobs that are published with `state` locked once, which keeps interrupts out.
const MAX_PUBLISHED: usize = 128;

/// A job for a queue of its kind.
pub(crate) trait SubmitJob: Sized {
    /// Returns the shortest duration, in ns.
    fn duration(&self) -> u64;

    /// Returns the number of pending in-fences.
    fn in_fences(&self) -> u32;

    /// Moves the job into the scheduler. Returns its seqno, and whether the timer must be started
    /// for it. Returns the job if there is no free slot or the queue is of another kind.
    fn submit(self, state: &mut QueueState, now: u64) -> Result<(u64, bool), Self>;
}

impl SubmitJob for QueueTimedJob {
    fn duration(&self) -> u64 {
        self.duration.min
    }

    fn in_fences(&self) -> u32 {
        // CAST: A job has at most `VFENCE_MAX_IN_FENCES`.
        self.data.in_fences().map_or(0, InFenceWait::len) as u32
    }

    fn submit(self, state: &mut QueueState, now: u64) -> Result<(u64, bool), Self> {
        let Some(jobs) = state.jobs.timed_mut() else {
            return Err(self);
        };
        let submitted = jobs.submit(now, self)?;
        Ok((submitted.seqno, submitted.is_head))
    }
}

impl SubmitJob for QueueManualJob {
    fn duration(&self) -> u64 {
        0
    }

    fn in_fences(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn submit(self, state: &mut QueueState, now: u64) -> Result<(u64, bool), Self> {
        let Some(jobs) = state.jobs.manual_mut() else {
            return Err(self);
        };
        let submitted = jobs.submit(now, self)?;
        // All jobs have the same timeout. So a timer that is started expires early enough, unless
        // the queue is stopped. While other jobs are pending the timer is started, or about to be.
        let start_timer = submitted.is_head && (state.expiry == NEVER || jobs.stopped());
        Ok((submitted.seqno, start_timer))
    }
}

impl Queue {
    /// Publishes one job, for which a slot is reserved. The job must be of the queue's kind.
    #[inline(always)]
    pub(crate) fn submit(&self, job: impl SubmitJob) {
        let now = ktime_get();
        let waits = job.in_fences() > 0;
        let mut state = self.state.lock();
        match self.submit_locked(&mut state, now, job) {
            Ok((seqno, start_timer)) => {
                self.counters.set_submitted(seqno);
                if start_timer {
                    self.trace_start(&mut state.jobs);
                    self.rearm(&mut state);
                    if waits {
                        let unarmed = state.take_unarmed();
                        drop(state);
                        self.arm_all(unarmed);
                    }
                }
            }
            Err(job) => {
                drop(state);
                refused(job);
            }
        }
    }

    /// Publishes jobs, for each of which a slot is reserved. They must be of the queue's kind.
    pub(crate) fn submit_all(&self, jobs: impl Iterator<Item = impl SubmitJob>) {
        let now = ktime_get();
        let mut jobs = jobs.fuse().peekable();
        while jobs.peek().is_some() {
            let mut state = self.state.lock();
            let mut start_timer = false;
            let mut unpublished = None;
            for job in jobs.by_ref().take(MAX_PUBLISHED) {
                match self.submit_locked(&mut state, now, job) {
                    Ok((_, start)) => start_timer |= start,
                    Err(job) => {
                        unpublished = Some(job);
                        break;
                    }
                }
            }
            self.counters.set_submitted(state.jobs.submitted());
            if start_timer {
                self.trace_start(&mut state.jobs);
                self.rearm(&mut state);
            }
            let unarmed = state.take_unarmed();
            drop(state);
            self.arm_all(unarmed);
            if let Some(job) = unpublished {
                refused(job);
            }
        }
    }

    /// Moves a job into the scheduler and traces it.
    #[inline(always)]
    fn submit_locked<J: SubmitJob>(
        &self,
        state: &mut QueueState,
        now: u64,
        job: J,
    ) -> Result<(u64, bool), J> {
        let (duration, in_fences) = (job.duration(), job.in_fences());
        let (seqno, start_timer) = job.submit(state, now)?;
        trace::job_submit(|event| event(self.context, seqno, self.id, duration, in_fences));
        self.trace_queued(state, seqno);
        Ok((seqno, start_timer))
    }
}

/// Drops a job that its queue has refused, which only a bug in the caller can cause. Its fence
/// signals `-ECANCELED`, so no lock of the queue may be held.
#[cold]
fn refused(job: impl SubmitJob) {
    warn_on!(true);
    drop(job);
}
