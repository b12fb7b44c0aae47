// SPDX-License-Identifier: GPL-2.0

//! How jobs complete: they leave the scheduler, their fences signal, and waiters, readers and
//! pollers are woken.
//!
//! [`Queue::finish`] ends every completion. Two fast paths precede it, each for jobs with
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
            NEVER, //
        },
    },
};
use core::{
    mem,
    num::NonZeroU64, //
};
use kernel::{
    prelude::*,
    sync::SpinLockIrqGuard, //
};

/// Most jobs that complete, in-fences counted like jobs, before an interrupt or a worker yields.
pub(crate) const MAX_COMPLETED: usize = 128;

/// How much [`Queue::complete`] does.
pub(crate) struct Bounds {
    /// Most jobs and in-fences, roughly.
    pub(crate) work: usize,
    /// The time, in ns, after which no second job completes.
    pub(crate) until: u64,
    /// Whether to stop at a head that takes too long for an interrupt, see
    /// [`QueueState::head_is_long`].
    pub(crate) in_interrupt: bool,
}

impl Bounds {
    /// For callers that complete what was pending when they began.
    pub(crate) const NONE: Self = Self::work(usize::MAX);

    pub(crate) const fn work(work: usize) -> Self {
        Self {
            work,
            until: NEVER,
            in_interrupt: false,
        }
    }
}

/// The lock under which the fences of a queue signal: `signalling`, or `state` of a manual queue.
enum SignalLock<'a> {
    Signalling(SpinLockIrqGuard<'a, ()>),
    State(SpinLockIrqGuard<'a, QueueState>),
}

impl SignalLock<'_> {
    /// Calls `f` with the state of `queue`, whose lock this is. `state` is locked for that, and by
    /// a manual queue until this is dropped.
    fn with_state<R>(&mut self, queue: &Queue, f: impl FnOnce(&mut QueueState) -> R) -> R {
        match self {
            Self::Signalling(_) => f(&mut queue.state.lock()),
            Self::State(state) => f(state),
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

/// The tasks to wake after a completion. It fits into two registers.
#[must_use]
pub(crate) struct Wake {
    /// The seqno of the last job completed, if tasks wait in `VFENCE_IOCTL_WAIT`.
    waiters: Option<NonZeroU64>,
    /// Whether pollers wait for a free slot.
    pollers: bool,
    /// Whether an event was reported, for which readers and pollers wait.
    readers: bool,
}

impl Wake {
    /// Returns the tasks that wait for nothing.
    const fn none() -> Self {
        Self {
            waiters: None,
            pollers: false,
            readers: false,
        }
    }

    /// Returns the tasks that wait for the completion of job `seqno`, which has left the scheduler.
    /// `state` forgets that pollers wait.
    #[inline(always)]
    pub(crate) fn take(state: &mut QueueState, seqno: u64) -> Self {
        Self {
            waiters: match state.waiting {
                0 => None,
                _ => NonZeroU64::new(seqno),
            },
            pollers: mem::take(&mut state.wake_pollers),
            readers: false,
        }
    }

    /// Adds the tasks of `later`, a later completion of the same queue.
    fn merge(&mut self, later: Self) {
        self.waiters = later.waiters.or(self.waiters);
        self.pollers |= later.pollers;
        self.readers |= later.readers;
    }
}

impl Queue {
    /// Finishes the completion of jobs up to `seqno`, whose fences have signalled under `lock`:
    /// stores the counter, reports the `event`, unlocks `lock` and drops `rest`. If the jobs have
    /// changed the totals, the caller stores these before. [`Queue::wake`] must follow.
    ///
    /// Everything that the jobs held must be in `rest`: dropping it may take the locks of
    /// in-fences, which other tasks hold while they wait for `lock`.
    #[inline(always)]
    pub(crate) fn finish<L, R>(&self, lock: L, seqno: u64, event: Option<vfence_event>, rest: R) {
        self.counters.set_completed(seqno);
        if let Some(event) = event {
            self.events.report(event);
        }
        drop(lock);
        drop(rest);
    }

    /// Wakes the tasks of a completion, after [`Queue::finish`].
    #[inline(always)]
    pub(crate) fn wake(&self, wake: Wake) {
        if wake.waiters.is_some() || wake.pollers || wake.readers {
            self.wake_tasks(wake);
        }
    }

    #[cold]
    fn wake_tasks(&self, wake: Wake) {
        if let Some(seqno) = wake.waiters {
            self.waiters.wake(seqno.get());
        }
        if wake.readers {
            // Wakes pollers as well.
            self.events.notify();
        } else if wake.pollers {
            self.events.pollers.notify_all();
        }
    }

    /// Completes the jobs that `next` takes from the scheduler at the time it is passed, until it
    /// returns `None` or `bounds` are reached. Arms about as many callbacks of in-fences of the
    /// head that is left. Does not rearm the timer.
    ///
    /// Returns the number of jobs completed, and whether `next` returned `None` and no callback is
    /// left to arm. If not, the caller must go on.
    pub(crate) fn complete(
        &self,
        bounds: Bounds,
        mut next: impl FnMut(&mut QueueState, u64) -> Option<QueueCompletedJob>,
    ) -> (u32, bool) {
        let _section = SignallingSection::begin();
        let (mut completed, mut work, mut wake) = (0, 0, Wake::none());
        let (mut all, mut unarmed) = (false, None);
        while work < bounds.work {
            let mut lock = match self.lock_signalling() {
                Some(signalling) => SignalLock::Signalling(signalling),
                None => SignalLock::State(self.state.lock()),
            };
            let now = ktime_get();
            if now >= bounds.until && completed > 0 {
                break;
            }
            let mut long = false;
            let taken = lock.with_state(self, |state| {
                if bounds.in_interrupt && state.head_is_long() {
                    long = true;
                    return None;
                }
                // A callback may have left the head to the backlog.
                self.poll_head(state);
                let Some(job) = next(state, now) else {
                    unarmed = state.take_unarmed();
                    return None;
                };
                self.trace_completion(state, &job);
                if !(bounds.in_interrupt && state.head_is_long()) {
                    self.poll_head(state);
                }
                wake.merge(Wake::take(state, job.seqno));
                Some((job, *state.jobs.totals()))
            });
            let Some((job, totals)) = taken else {
                all = !long;
                break;
            };
            completed += 1;
            work += 1 + job.data.in_fences().map_or(0, InFenceWait::len);
            wake.readers |= job.event;
            self.finish_job(lock, job, totals);
        }
        self.wake(wake);
        if let Some(unarmed) = unarmed {
            all = self.arm(unarmed, bounds.work - work);
        }
        (completed, all)
    }

    /// Signals the fence of a job and finishes its completion.
    fn finish_job(&self, lock: SignalLock<'_>, job: QueueCompletedJob, totals: Totals) {
        let QueueCompletedJob {
            seqno,
            record,
            event,
            data: TimedJobData { fence, inputs },
            segment,
        } = job;
        let fence = fence.map(|fence| lock.complete(fence, record.error, record.end));
        let event = event.then(|| self.event(seqno, &record));
        let (mut in_fences, mut operations) = (None, None);
        if let Some(inputs) = inputs {
            JobInputs {
                in_fences,
                operations,
            } = KBox::into_inner(inputs);
        }
        if let (Some(worker), Some(operations)) = (&self.worker, operations) {
            // Under the lock: after it, `close()` may release the worker at any time.
            worker.release_operations(operations);
        }
        self.counters.set_totals(&totals);
        self.finish(lock, seqno, event, (fence, in_fences, segment));
    }

    /// Traces the completion of `job`, and the start of the next one.
    fn trace_completion(&self, state: &mut QueueState, job: &QueueCompletedJob) {
        let JobRecord {
            start, end, error, ..
        } = job.record;
        trace::job_complete(|event| event(self.context, job.seqno, self.id, error, start, end));
        self.trace_done(job.seqno);
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
        let _stopped = self.stop_operations();
        let (begun, mut resets) = (ktime_get(), None);
        self.complete(Bounds::NONE, |state, _| {
            if resets.is_some() {
                return None;
            }
            state.jobs.pop_ended(begun).or_else(|| {
                let cancelled = state.jobs.reset(begun);
                resets = Some(state.jobs.totals().resets);
                cancelled
            })
        });
        {
            // A reset counts even if it completes no job.
            let _order = self.lock_signalling();
            let mut state = self.state.lock();
            self.counters.set_totals(state.jobs.totals());
            self.counters.set_completed(state.jobs.completed());
            self.rearm(&mut state);
        }
        resets.unwrap_or(0)
    }

    /// Completes all pending jobs with `error`, unless they have ended, and also those that are
    /// submitted from now on: the device is lost. No reset restarts the queue.
    pub(crate) fn lose(&self, error: Error) {
        let _stopped = self.stop_operations();
        let begun = ktime_get();
        self.complete(Bounds::NONE, |state, _| state.jobs.pop_ended(begun));
        self.complete(Bounds::NONE, |state, now| {
            state.jobs.lose(now, error.to_errno())
        });
    }

    /// Completes all pending jobs, with `-ECANCELED` unless they have ended, and stops the timer
    /// and the worker. The caller prevents further submissions.
    pub(crate) fn close(&self) {
        self.stop_operations_for_good();
        let begun = ktime_get();
        self.complete(Bounds::NONE, |state, _| state.jobs.pop_ended(begun));
        self.complete(Bounds::NONE, |state, now| state.jobs.cancel(now));
        // Nothing is pending, so nothing starts the timer again.
        self.cancel_timer();
        self.backlog.release();
        if let Some(worker) = &self.worker {
            worker.release();
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
