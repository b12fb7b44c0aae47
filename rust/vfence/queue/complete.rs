// SPDX-License-Identifier: GPL-2.0

//! How jobs complete: they leave the scheduler, their fences signal, and everybody who waits is
//! notified.
//!
//! [`Queue::finish`] is the end of every completion. Two fast paths precede it, each for jobs with
//! nothing but a fence: `signal_plain()` of a manual queue in `signal.rs`, and `expire_plain()` of
//! a timer queue in `timer.rs`. [`Queue::complete`] is for all jobs.

use crate::{
    kernel_ext::{
        dma_fence::{
            PendingFence,
            SignalledFence,
            SignallingSection, //
        },
        hrtimer::HrTimerOwner,
        timekeeping::ktime_get, //
    },
    trace,
    uapi::vfence_event,
    vfence::{
        job::in_fences::InFenceWait,
        queue::{
            JobInputs,
            Queue,
            QueueCompletedJob,
            QueueState,
            TimedJobData, //
        },
        sched::types::{
            JobRecord,
            Totals,
            CANCELED, //
        },
    },
};
use core::mem;
use kernel::{
    prelude::*,
    sync::{
        MutexGuard,
        SpinLockIrqGuard, //
    },
};

/// Most jobs that complete, in-fences counted like jobs, before an interrupt or the worker yields.
pub(crate) const MAX_COMPLETED: usize = 128;

/// Most jobs that [`Queue::complete`] takes from the scheduler with the locks taken once. They are
/// on the stack.
const BATCH: usize = 8;

/// The lock under which the fences of a queue signal: `signalling`, or `state` of a manual queue.
enum SignalLock<'a> {
    Signalling(SpinLockIrqGuard<'a, ()>),
    State(SpinLockIrqGuard<'a, QueueState>),
}

impl<'a> SignalLock<'a> {
    /// Keeps `signalling` if there is one, and unlocks `state`; else keeps `state`.
    fn keep(
        signalling: Option<SpinLockIrqGuard<'a, ()>>,
        state: SpinLockIrqGuard<'a, QueueState>,
    ) -> Self {
        match signalling {
            Some(signalling) => Self::Signalling(signalling),
            None => Self::State(state),
        }
    }

    /// Signals a fence with `error`, or with success if that is 0, and the timestamp `end`, in ns.
    fn complete(&self, fence: PendingFence<Queue>, error: i32, end: u64) -> SignalledFence {
        match self {
            Self::Signalling(lock) => fence.complete_with(lock, fence_result(error), end),
            Self::State(lock) => fence.complete_with(lock, fence_result(error), end),
        }
    }
}

/// What [`Queue::finish`] makes known about completed jobs.
pub(crate) struct Completion {
    /// The seqno of the last one.
    pub(crate) seqno: u64,
    /// The totals of the queue, unless no job since the last completion has changed them.
    pub(crate) totals: Option<Totals>,
    /// Whether tasks wait in `VFENCE_IOCTL_WAIT`.
    wake_waiters: bool,
    /// Whether pollers wait for a free slot.
    wake_pollers: bool,
}

impl Completion {
    /// Returns the completion of the jobs up to `seqno`; to be called with `state` locked.
    #[inline(always)]
    pub(crate) fn new(state: &mut QueueState, seqno: u64, totals: Option<Totals>) -> Self {
        Self {
            seqno,
            totals,
            wake_waiters: state.waiting != 0,
            wake_pollers: mem::take(&mut state.wake_pollers),
        }
    }
}

impl Queue {
    /// Ends a completion: stores the counters and reports `events`, unlocks `lock`, under which the
    /// fences have signalled, drops `rest`, and wakes waiters, readers and pollers.
    ///
    /// Everything that a job held must be in `rest`: dropping it may take the locks of in-fences,
    /// which other tasks hold while they wait for `lock`.
    #[inline(always)]
    pub(crate) fn finish<L, R>(
        &self,
        lock: L,
        completion: Completion,
        events: impl Iterator<Item = vfence_event>,
        rest: R,
    ) {
        if let Some(totals) = &completion.totals {
            self.counters.set_totals(totals);
        }
        self.counters.set_completed(completion.seqno);
        let mut reported = false;
        for event in events {
            self.events.report(event);
            reported = true;
        }
        drop(lock);
        drop(rest);
        if reported || completion.wake_waiters || completion.wake_pollers {
            self.notify(&completion, reported);
        }
    }

    /// Wakes those that [`Queue::finish`] found waiting.
    #[cold]
    fn notify(&self, completion: &Completion, reported: bool) {
        if completion.wake_waiters {
            self.waiters.wake(completion.seqno);
        }
        if reported {
            // Wakes pollers as well.
            self.events.notify();
        } else if completion.wake_pollers {
            self.events.pollers.notify_all();
        }
    }

    /// Completes the jobs that `next` takes from the scheduler at the time it is passed, until it
    /// returns `None` or about `max` jobs and in-fences have been dealt with. Rearms the timer at
    /// the end, except for a worker queue.
    ///
    /// Returns the number of jobs completed, and whether `next` returned `None`.
    pub(crate) fn complete(
        &self,
        max: usize,
        mut next: impl FnMut(&mut QueueState, u64) -> Option<QueueCompletedJob>,
    ) -> (u32, bool) {
        let _section = SignallingSection::begin();
        let (mut completed, mut work, mut all) = (0, 0, false);
        while !all && work < max {
            let mut jobs = [const { None }; BATCH];
            let mut count = 0;
            let signalling = self.lock_signalling();
            let mut state = self.state.lock();
            let now = ktime_get();
            while count < BATCH && work < max {
                let Some(job) = next(&mut state, now) else {
                    all = true;
                    break;
                };
                self.trace_completion(&mut state, &job);
                work += 1 + job.data.in_fences().map_or(0, InFenceWait::len);
                jobs[count] = Some(job);
                count += 1;
            }
            // The worker begins operations first, which changes the next event.
            if all && self.worker.is_none() {
                self.rearm(&mut state);
            }
            completed += count as u32;
            let (seqno, totals) = (state.jobs.completed(), *state.jobs.totals());
            let completion = Completion::new(&mut state, seqno, Some(totals));
            self.finish_jobs(SignalLock::keep(signalling, state), completion, jobs);
        }
        (completed, all)
    }

    /// Signals the fences of `jobs`, in order, and finishes their completion.
    fn finish_jobs(
        &self,
        lock: SignalLock<'_>,
        completion: Completion,
        mut jobs: [Option<QueueCompletedJob>; BATCH],
    ) {
        let mut fences = [const { None }; BATCH];
        let mut events = [const { None }; BATCH];
        for (index, job) in jobs.iter_mut().flatten().enumerate() {
            let (error, end) = (job.record.error, job.record.end);
            let fence = job.data.fence.take();
            fences[index] = fence.map(|fence| lock.complete(fence, error, end));
            if job.event {
                events[index] = Some(self.event(job.seqno, &job.record));
            }
        }
        let rest = JobsRest { queue: self, jobs };
        self.finish(
            lock,
            completion,
            events.into_iter().flatten(),
            (fences, rest),
        );
    }

    /// Traces the completion of `job`, and the start of the next one.
    fn trace_completion(&self, state: &mut QueueState, job: &QueueCompletedJob) {
        let JobRecord {
            start, end, error, ..
        } = job.record;
        trace::job_complete(|| (self.context, job.seqno, self.id, error, start, end));
        self.trace_start(&mut state.jobs);
    }

    /// Returns the event of a completed job.
    fn event(&self, seqno: u64, record: &JobRecord) -> vfence_event {
        vfence_event {
            queue: self.id,
            error: record.error,
            seqno,
            submitted_ns: record.submitted,
            start_ns: record.start,
            end_ns: record.end,
            deadline_ns: record.deadline,
            faults: record.faults,
            result: record.result,
            ..Default::default()
        }
    }

    /// Resets the queue and returns how many resets it has had. Jobs submitted meanwhile are not
    /// affected.
    pub(crate) fn reset(&self) -> u64 {
        let _operating = self.stop_operations();
        let (begun, mut resets) = (ktime_get(), None);
        self.complete(usize::MAX, |state, _| {
            if resets.is_some() {
                return None;
            }
            state.jobs.pop_ended(begun).or_else(|| {
                let cancelled = state.jobs.reset(begun);
                resets = Some(state.jobs.totals().resets);
                cancelled
            })
        });
        self.rearm(&mut self.state.lock());
        resets.unwrap_or(0)
    }

    /// Completes all pending jobs, with `-ECANCELED` unless they have ended, and stops the timer
    /// and the worker. The caller prevents further submissions.
    pub(crate) fn close(&self) {
        let operating = self.stop_operations();
        let begun = ktime_get();
        self.complete(usize::MAX, |state, _| state.jobs.pop_ended(begun));
        self.complete(usize::MAX, |state, now| state.jobs.cancel(now, CANCELED));
        drop(operating);
        // Nothing is pending, so nothing starts the timer again.
        self.cancel_timer();
        if let Some(worker) = &self.worker {
            worker.release();
        }
    }

    /// Waits for the worker of a worker queue, and keeps it from executing operations until the
    /// guard is dropped.
    pub(crate) fn stop_operations(&self) -> Option<MutexGuard<'_, ()>> {
        self.worker.as_ref().map(|_| self.operating.lock())
    }
}

/// In-fence waits, operations and segments of completed jobs. Dropping it releases the operations
/// in a work item.
struct JobsRest<'a> {
    queue: &'a Queue,
    jobs: [Option<QueueCompletedJob>; BATCH],
}

impl Drop for JobsRest<'_> {
    fn drop(&mut self) {
        for job in self.jobs.iter_mut().flatten() {
            let TimedJobData { inputs, .. } = &mut job.data;
            let Some(inputs) = inputs.take() else {
                continue;
            };
            let JobInputs { operations, .. } = KBox::into_inner(inputs);
            if let (Some(worker), Some(operations)) = (&self.queue.worker, operations) {
                worker.release_operations(operations);
            }
        }
    }
}

/// Returns the result to signal a fence with: `error`, or success if that is 0.
pub(crate) fn fence_result(error: i32) -> Result {
    match error {
        0 => Ok(()),
        errno => Err(Error::from_errno(errno)),
    }
}
