// SPDX-License-Identifier: GPL-2.0

//! The decisions of a queue whose jobs take time: what starts, what ends and when, what comes next.
//!
//! Time here is the engine's: a job that ran from 1 ms to 3 ms has ended at 3 ms even when the
//! interrupt came at 3.1 ms, and the next one starts at 3 ms. So what [`TimedScheduler::pop_due`] returns does
//! not depend on how often, or how late, it is called.
//!
//! ```text
//!              submitted     head        start            end
//!          ────────┼───────────┼───────────┼─── duration ──┼──
//!                              │<- in-fences │
//!                              │<-------- at most `timeout` -------->│ -ETIMEDOUT
//! ```
//!
//! A job may also have *work*, of which nothing is known here but that somebody does it from the job's start on. It ends when
//! its duration is over and the work is done, whichever is later.

use super::{
    fault_plan::{
        FaultKind,
        FaultPlan,
        InjectedFaults, //
    },
    history::History,
    random::Random,
    ring::{
        Ring, //
        RingMemory,
    },
    speed::Execution,
    types::{
        shown,
        Cause,
        CompletedJob,
        DurationRange,
        InFencePolicy,
        InFenceState,
        JobRecord,
        JobState,
        Outcome,
        QueuePolicy,
        Submitted,
        TimeoutPolicy,
        Totals,
        CANCELED,
        NEVER,
        TIMED_OUT, //
    },
};
use core::ops::DerefMut;

/// A job that takes time, as it is submitted; `D` is what the caller keeps with it.
pub(crate) struct TimedJob<D> {
    pub(crate) duration: DurationRange,
    pub(crate) in_fences: InFenceState,
    /// The error to complete with after running, or 0.
    pub(crate) error: i32,
    /// Whether it never ends by itself.
    pub(crate) hang: bool,
    /// What is done to it besides the queue's plan.
    pub(crate) injected: InjectedFaults,
    /// Whether user space wants to be told of its end.
    pub(crate) event: bool,
    /// Whether there is work to be done: [`Scheduler::operations_done`] will tell.
    pub(crate) operations: bool,
    /// The caller's.
    pub(crate) data: D,
}

/// A job that is pending.
pub(crate) struct TimedSlot<D> {
    submitted: u64,
    /// When the last of its in-fences signalled, or [`NEVER`] yet.
    ready: u64,
    duration: u64,
    /// The earliest one, or [`NEVER`].
    deadline: u64,
    error: i32,
    in_error: i32,
    faults: u32,
    hang: bool,
    event: bool,
    /// Whether there is work that is not done.
    operations: bool,
    data: D,
}

/// A job that has ended well, and of which there is nothing to tell.
pub(crate) struct PlainCompletion<D, S> {
    pub(crate) seqno: u64,
    pub(crate) start: u64,
    pub(crate) end: u64,
    /// The caller's.
    pub(crate) data: D,
    /// RingMemory that is not needed any more.
    pub(crate) segment: Option<S>,
}

/// The jobs of one queue that are pending, and when they end.
///
/// # Invariants
///
/// - `head_since` is not before the end of the job before the head, nor before the submission of the head.
/// - Submission times do not decrease from one job to the next.
/// - `start` is when the head starts to run, or has; [`NEVER`] if that is not known or it is not to run.
/// - `execution` is that of the head if `start` is known and it does not hang; else `None`.
/// - `outcome` is that of the head.
/// - `operations_done` is when the head's work was done, and what it came to; zeroes if it was not, or there is none.
pub(crate) struct TimedScheduler<D, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    policy: QueuePolicy,
    pub(crate) jobs: Ring<TimedSlot<D>, M>,
    history: History<H>,
    durations: Random,
    fault_plan: FaultPlan,
    /// When the oldest pending job became the head; while there is none, when the last one ended.
    head_since: u64,
    start: u64,
    execution: Option<Execution>,
    outcome: Option<Outcome>,
    operations_done: (u64, u64),
    /// The last job whose work was begun.
    last_begun: u64,
    /// When the last job was submitted.
    last_submitted: u64,
    /// The last job whose start was told.
    last_reported: u64,
    stopped: bool,
    totals: Totals,
}

impl<D, M, H> TimedScheduler<D, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// Creates the schedule of a queue that has had no job yet.
    ///
    /// Random durations are drawn from `seed`. `directory` is as [`Ring::new`] wants it.
    pub(crate) fn new(
        policy: QueuePolicy,
        seed: u64,
        directory: M::Directory<TimedSlot<D>>,
        history: History<H>,
    ) -> Self {
        // INVARIANT: Nothing is pending.
        Self {
            policy,
            jobs: Ring::new(directory, 1),
            history,
            durations: Random::new(seed),
            fault_plan: FaultPlan::empty(),
            head_since: 0,
            start: NEVER,
            execution: None,
            outcome: None,
            operations_done: (0, 0),
            last_begun: 0,
            last_submitted: 0,
            last_reported: 0,
            stopped: false,
            totals: Totals::default(),
        }
    }

    /// Returns the sequence number of the job that was submitted last.
    pub(crate) fn submitted(&self) -> u64 {
        self.jobs.next() - 1
    }

    /// Returns the sequence number of the job that ended last.
    pub(crate) fn completed(&self) -> u64 {
        self.jobs.first() - 1
    }

    /// Returns how many jobs are pending.
    pub(crate) fn pending(&self) -> usize {
        self.jobs.len()
    }

    /// Returns whether the queue is stopped.
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Returns the bound on the time of a job.
    pub(crate) fn timeout(&self) -> Option<u64> {
        self.policy.timeout
    }

    /// Returns how many there were of what.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Has what `fault_plan` says done to the jobs that are submitted from now on.
    pub(crate) fn set_fault_plan(&mut self, fault_plan: FaultPlan) {
        self.fault_plan = fault_plan;
    }

    /// Returns what the caller keeps with job `seqno`, if that is pending.
    pub(crate) fn data_mut(&mut self, seqno: u64) -> Option<&mut D> {
        self.jobs.get_mut(seqno).map(|slot| &mut slot.data)
    }

    fn head(&self) -> Option<&TimedSlot<D>> {
        self.jobs.get(self.jobs.first())
    }

    /// Appends a job at the time `now` and returns its sequence number.
    ///
    /// Gives the job back if there is no room.
    pub(crate) fn submit(
        &mut self,
        now: u64,
        mut job: TimedJob<D>,
    ) -> Result<Submitted, TimedJob<D>> {
        if self.jobs.free_slots() == 0 {
            return Err(job);
        }
        let now = now.max(self.last_submitted);
        let DurationRange { min, max } = job.duration;
        let mut duration = min;
        if max > min {
            duration = self.durations.between(min, max);
        }
        job.injected.merge(self.fault_plan.next_job());
        duration = duration.saturating_add(job.injected.delay);
        let mut injected = job.injected;
        if injected.kinds != 0 {
            if self.policy.timeout.is_none() {
                // Nobody would ever look.
                injected.kinds &= !FaultKind::DropInterrupt.bit();
            }
            for kind in FaultKind::ALL
                .into_iter()
                .filter(|kind| injected.has(*kind))
            {
                self.totals.faults[kind as usize] += 1;
            }
        }
        let slot = TimedSlot {
            submitted: now,
            ready: if job.in_fences.pending { NEVER } else { now },
            duration,
            deadline: NEVER,
            error: if injected.error != 0 {
                injected.error
            } else {
                job.error
            },
            in_error: job.in_fences.error,
            faults: injected.kinds,
            hang: job.hang || injected.has(FaultKind::Hang),
            event: job.event,
            operations: job.operations,
            data: job.data,
        };
        let seqno = match self.jobs.push(slot) {
            Ok(seqno) => seqno,
            Err(slot) => {
                job.data = slot.data;
                return Err(job);
            }
        };
        self.last_submitted = now;
        let is_head = seqno == self.jobs.first();
        if is_head {
            self.head_since = self.head_since.max(now);
            self.settle();
        }
        Ok(Submitted { seqno, is_head })
    }

    /// Takes note that the last in-fence of job `seqno` signalled at the time `when`, which may be some time ago; `error` is
    /// that of an in-fence, or 0. What was before the job was submitted counts from then.
    ///
    /// Returns whether that may change [`TimedScheduler::next_event`]. A job that has ended is left alone.
    pub(crate) fn ready(&mut self, when: u64, seqno: u64, error: i32) -> bool {
        let Some(slot) = self.jobs.get_mut(seqno) else {
            return false;
        };
        if slot.ready == NEVER {
            slot.ready = when;
            if slot.in_error == 0 {
                slot.in_error = error;
            }
        }
        let head = seqno == self.jobs.first();
        if head && self.start == NEVER {
            self.settle();
        }
        head
    }

    /// Takes note, at the time `now`, that somebody wants job `seqno` to have ended by `deadline`.
    ///
    /// For a job that has not been seen to be the head yet, it holds from the beginning.
    /// Returns whether that may change [`TimedScheduler::next_event`]. A job that has ended is left alone.
    pub(crate) fn set_deadline(&mut self, now: u64, seqno: u64, deadline: u64) -> bool {
        let Some(slot) = self.jobs.get_mut(seqno) else {
            return false;
        };
        // 0 and [`NEVER`] stand for no deadline.
        slot.deadline = slot.deadline.min(deadline.clamp(1, NEVER - 1));
        let deadline = slot.deadline;
        if seqno != self.jobs.first() {
            return false;
        }
        if let Some(execution) = &mut self.execution {
            execution.hurry(now, deadline, self.policy.boost_percent);
            self.outcome = self.head_outcome();
        }
        true
    }

    /// Returns whether an in-fence's error keeps a job from running.
    fn fails_early(&self, slot: &TimedSlot<D>) -> bool {
        slot.in_error != 0 && self.policy.on_in_fence_error != InFencePolicy::Ignore
    }

    /// Forgets what was known of the last head.
    fn forget_head(&mut self) {
        // INVARIANT: All of them are those of the head. If it has been so before, its work was not done: it did not run.
        (self.start, self.execution, self.outcome) = (NEVER, None, None);
        self.operations_done = (0, 0);
    }

    /// Decides about the head, which has just become that, or ready, or the queue was reset.
    fn settle(&mut self) {
        self.forget_head();
        let Some(head) = self.head() else {
            return;
        };
        let runs = head.ready != NEVER && !self.stopped && !self.fails_early(head);
        if runs {
            let start = head.ready.max(self.head_since);
            let mut execution = None;
            if !head.hang {
                let mut usual = Execution::new(start, head.duration);
                usual.hurry(start, head.deadline, self.policy.boost_percent);
                execution = Some(usual);
            }
            (self.start, self.execution) = (start, execution);
        }
        self.outcome = self.head_outcome();
    }

    /// Returns what will become of the head.
    fn head_outcome(&self) -> Option<Outcome> {
        let head = self.head()?;
        if self.stopped {
            return Some(Outcome {
                due: self.head_since,
                end: self.head_since,
                error: CANCELED,
                cause: Cause::Other,
            });
        }
        let bound = match self.policy.timeout {
            Some(timeout) => self.head_since.saturating_add(timeout),
            None => NEVER,
        };
        let own = match &self.execution {
            Some(execution) if !head.operations => {
                let dropped = head.faults & FaultKind::DropInterrupt.bit() != 0;
                let end = execution.end().max(self.operations_done.0);
                Some(Outcome {
                    due: if dropped { bound } else { end },
                    end,
                    error: head.error,
                    cause: Cause::Other,
                })
            }
            None if head.ready != NEVER && self.fails_early(head) => {
                let end = head.ready.max(self.head_since);
                Some(Outcome {
                    due: end,
                    end,
                    error: head.in_error,
                    cause: Cause::InFence,
                })
            }
            _ => None,
        };
        match own {
            Some(own) if own.end <= bound => Some(own),
            _ if bound != NEVER => Some(Outcome {
                due: bound,
                end: bound,
                error: TIMED_OUT,
                cause: Cause::Timeout,
            }),
            own => own,
        }
    }

    /// Returns the time at which [`TimedScheduler::pop_due`] or [`TimedScheduler::begin_operations`] has something to do next.
    pub(crate) fn next_event(&self) -> Option<u64> {
        match self.unfinished_operations() {
            Some(seqno) if seqno != self.last_begun => Some(self.start),
            _ => self.outcome.map(|outcome| outcome.due),
        }
    }

    /// Returns the job that runs, if it has work that is not done.
    fn unfinished_operations(&self) -> Option<u64> {
        let operations = self.execution.is_some() && self.head()?.operations;
        operations.then(|| self.jobs.first())
    }

    /// Returns the job that runs, if it has work that is not done: the caller does it, from now on.
    pub(crate) fn begin_operations(&mut self) -> Option<u64> {
        self.last_begun = self.unfinished_operations()?;
        Some(self.last_begun)
    }

    /// Takes note that the work of job `seqno` was done at the time `now`, and what it came to.
    ///
    /// Returns whether that may change [`TimedScheduler::next_event`]. A job that has ended is left alone.
    pub(crate) fn operations_done(&mut self, now: u64, seqno: u64, result: u64) -> bool {
        if self.unfinished_operations() != Some(seqno) {
            return false;
        }
        if let Some(slot) = self.jobs.get_mut(seqno) {
            slot.operations = false;
        }
        // INVARIANT: It is the head.
        self.operations_done = (now, result);
        self.outcome = self.head_outcome();
        true
    }

    /// Takes the next job of whose end an interrupt tells by the time `now`; to be called until it returns `None`.
    pub(crate) fn pop_due(
        &mut self,
        now: u64,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        let outcome = self.outcome.filter(|outcome| outcome.due <= now)?;
        self.end_head(outcome.end, outcome.error, outcome.cause)
    }

    /// As [`TimedScheduler::pop_due`], but takes only a job that ends well, of which user space does not want to be last_reported, and of which
    /// `wanted` says so. For most jobs that is so, and it takes less.
    #[inline]
    pub(crate) fn pop_plain(
        &mut self,
        now: u64,
        wanted: impl FnOnce(&D) -> bool,
    ) -> Option<PlainCompletion<D, M::Segment<TimedSlot<D>>>> {
        let outcome = self
            .outcome
            .filter(|outcome| outcome.due <= now && outcome.error == 0)?;
        let head = self.head()?;
        if head.event || !wanted(&head.data) {
            return None;
        }
        let ended = self.pop_head(outcome.end, 0)?;
        let JobRecord { start, end, .. } = ended.record;
        self.next_head(end);
        Some(PlainCompletion {
            seqno: ended.seqno,
            start,
            end,
            data: ended.data,
            segment: ended.segment,
        })
    }

    /// Takes the next job that has ended by the time `now`, interrupt or not; to be called until it returns `None`.
    pub(crate) fn pop_ended(
        &mut self,
        now: u64,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        let outcome = self.outcome.filter(|outcome| outcome.end <= now)?;
        self.end_head(outcome.end, outcome.error, outcome.cause)
    }

    /// Ends the next job that is pending with `error`; to be called until it returns `None`, after
    /// [`TimedScheduler::pop_ended`] has taken what has ended by itself.
    pub(crate) fn cancel(
        &mut self,
        now: u64,
        error: i32,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        self.end_head(now, error, Cause::Closed)
    }

    /// Resets the queue at the time `now`, once [`TimedScheduler::pop_ended`] has taken what has ended by then: ends the
    /// job that runs with `-ECANCELED`, if there is one, and lets a stopped queue go on.
    pub(crate) fn reset(&mut self, now: u64) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        self.totals.resets += 1;
        let runs = self.start <= now;
        self.stopped = false;
        if runs {
            return self.end_head(now, CANCELED, Cause::Other);
        }
        self.settle();
        None
    }

    /// Returns the head and when it started, once for each job that has; to be asked whenever the head may have
    /// changed or become ready.
    pub(crate) fn take_start(&mut self) -> Option<(u64, u64)> {
        let seqno = self.jobs.first();
        if self.start == NEVER || self.last_reported == seqno {
            return None;
        }
        self.last_reported = seqno;
        Some((seqno, self.start))
    }

    /// Returns where job `seqno` stands at the time `now`.
    pub(crate) fn state(&self, now: u64, seqno: u64) -> JobState {
        if seqno == 0 || seqno >= self.jobs.next() {
            return JobState::Unknown;
        }
        if let Some(slot) = self.jobs.get(seqno) {
            let mut record = JobRecord {
                submitted: slot.submitted,
                deadline: shown(slot.deadline),
                faults: slot.faults,
                ..JobRecord::default()
            };
            let head = seqno == self.jobs.first();
            if head && self.start <= now {
                record.start = self.start;
                return JobState::Running(record);
            }
            return JobState::Pending(record);
        }
        self.history.find(seqno, self.jobs.first())
    }

    /// Ends the head.
    fn end_head(
        &mut self,
        end: u64,
        error: i32,
        cause: Cause,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        let ended = self.pop_head(end, error)?;
        self.totals.errors += u64::from(error != 0);
        match cause {
            Cause::Timeout => {
                self.totals.timeouts += 1;
                match self.policy.on_timeout {
                    TimeoutPolicy::Cancel => self.stopped = true,
                    TimeoutPolicy::Continue => self.totals.resets += 1,
                }
            }
            Cause::InFence if self.policy.on_in_fence_error == InFencePolicy::Cancel => {
                self.stopped = true
            }
            // Those behind it do not start any more.
            Cause::Closed => self.stopped = true,
            Cause::InFence | Cause::Other => {}
        }
        self.next_head(ended.record.end);
        Some(ended)
    }

    /// Takes the head out, which ends, and remembers it; [`TimedScheduler::next_head`] is to follow.
    // Who needs but a part of what is returned has nothing else copied.
    #[inline(always)]
    fn pop_head(
        &mut self,
        end: u64,
        error: i32,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        // A caller's clock that went backwards must not let a job end before its predecessor.
        let end = end.max(self.head_since);
        let start = if self.start <= end { self.start } else { 0 };
        let seqno = self.jobs.first();
        let (slot, segment) = self.jobs.pop()?;
        let record = JobRecord {
            submitted: slot.submitted,
            start,
            end,
            deadline: shown(slot.deadline),
            error,
            faults: slot.faults,
            result: if error == 0 {
                self.operations_done.1
            } else {
                0
            },
        };
        self.history.keep(seqno, || record);
        Some(CompletedJob {
            seqno,
            record,
            event: slot.event,
            data: slot.data,
            segment,
        })
    }

    /// Goes on with the next job, if there is one, after the last one has ended at the time `end`.
    #[inline(always)]
    fn next_head(&mut self, end: u64) {
        // INVARIANT: Both bounds of the new head's time are in it.
        self.head_since = end;
        match self.head() {
            Some(head) => {
                self.head_since = end.max(head.submitted);
                self.settle();
            }
            None => self.forget_head(),
        }
    }
}
