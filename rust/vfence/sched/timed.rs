// SPDX-License-Identifier: GPL-2.0

//! The scheduler of jobs that take time.
//!
//! Times are those of the engine, not of its interrupts: a job that ran from 1 ms to 3 ms ended at
//! 3 ms even if the interrupt came at 3.1 ms, and the next job starts at 3 ms. Therefore the
//! results of [`TimedScheduler::pop_due`] do not depend on how often, or how late, it is called.
//!
//! ```text
//!              submitted     head        start            end
//!          ────────┼───────────┼───────────┼─── duration ──┼──
//!                              │<- in-fences │
//!                              │<-------- at most `timeout` -------->│ -ETIMEDOUT
//! ```
//!
//! A job may have *operations*, which the caller executes from the job's start on. The job then
//! ends when both its duration and its operations have ended.

use super::{
    fault_plan::{
        FaultKind,
        FaultPlan,
        InjectedFaults, //
    },
    job_table::JobTable,
    random::Random,
    ring::RingMemory,
    speed::Execution,
    types::{
        recorded_deadline,
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
        CANCELED,
        NEVER,
        TIMED_OUT, //
    },
};
use core::ops::{
    Deref,
    DerefMut, //
};

/// A job to submit; `D` is the driver's data of the job.
pub(crate) struct TimedJob<D> {
    pub(crate) duration: DurationRange,
    pub(crate) in_fences: InFenceState,
    /// The error of the job after it has run, a negative errno; 0 for none.
    pub(crate) error: i32,
    /// Whether the job runs until the timeout or a reset ends it.
    pub(crate) hang: bool,
    /// Faults to inject in addition to those of the queue's [`FaultPlan`].
    pub(crate) injected: InjectedFaults,
    /// Whether user space requested an event.
    pub(crate) event: bool,
    /// Whether the job has operations. The job then waits for [`TimedScheduler::operations_done`].
    pub(crate) operations: bool,
    pub(crate) data: D,
}

/// A pending job. Times are in ns.
pub(crate) struct TimedSlot<D> {
    submitted: u64,
    /// When the last in-fence signalled; [`NEVER`] while one is pending.
    ready: u64,
    duration: u64,
    /// The earliest deadline; [`NEVER`] if there is none.
    deadline: u64,
    error: i32,
    in_fence_error: i32,
    faults: u32,
    hang: bool,
    event: bool,
    /// Whether the job has operations that have not ended.
    operations: bool,
    data: D,
}

/// A plain job that has ended: one without an error and without an event.
pub(crate) struct PlainCompletion<D, S> {
    pub(crate) seqno: u64,
    /// When the job started to run, in ns.
    pub(crate) start: u64,
    /// When the job ended, in ns.
    pub(crate) end: u64,
    pub(crate) data: D,
    /// A segment that the queue no longer needs, for the caller to free.
    pub(crate) segment: Option<S>,
}

/// The end of a job's operations.
#[derive(Clone, Copy, Default)]
struct OperationsEnd {
    /// In ns.
    time: u64,
    result: u64,
}

/// The scheduler of a queue whose jobs take time.
///
/// # Invariants
///
/// - `head_since` is neither before the end of the job before the head, nor before the submission
///   of the head.
/// - The submission times of `jobs` do not decrease from one job to the next.
/// - `start` is the start of the head; [`NEVER`] while that is unknown, or if the head will not
///   run.
/// - `execution` is that of the head; `None` if `start` is [`NEVER`] or the head hangs.
/// - `outcome` is that of the head; `None` if there is no head, or nothing that is known ends it.
/// - `operations_end` is that of the head; zero if its operations have not ended, or it has none.
pub(crate) struct TimedScheduler<D, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    pub(super) jobs: JobTable<TimedSlot<D>, M, H>,
    on_in_fence_error: InFencePolicy,
    boost_percent: u64,
    durations: Random,
    fault_plan: FaultPlan,
    /// When the oldest pending job became the head; without pending jobs, the end of the last job.
    head_since: u64,
    start: u64,
    execution: Option<Execution>,
    outcome: Option<Outcome>,
    operations_end: OperationsEnd,
    /// The time in ns for which the jobs that have ended ran.
    busy: u64,
    /// The seqno of the last job that [`TimedScheduler::begin_operations`] returned.
    last_begun: u64,
    /// The seqno of the last job that [`TimedScheduler::take_start`] returned.
    last_start: u64,
}

impl<D, M, H> Deref for TimedScheduler<D, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    type Target = JobTable<TimedSlot<D>, M, H>;

    fn deref(&self) -> &Self::Target {
        &self.jobs
    }
}

impl<D, M, H> TimedScheduler<D, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// Creates the scheduler of a queue without jobs, which draws random durations from `seed`.
    pub(super) fn new(policy: &QueuePolicy, seed: u64, jobs: JobTable<TimedSlot<D>, M, H>) -> Self {
        // INVARIANT: There is no head.
        Self {
            jobs,
            on_in_fence_error: policy.on_in_fence_error,
            boost_percent: policy.boost_percent,
            durations: Random::new(seed),
            fault_plan: FaultPlan::empty(),
            head_since: 0,
            start: NEVER,
            execution: None,
            outcome: None,
            operations_end: OperationsEnd::default(),
            busy: 0,
            last_begun: 0,
            last_start: 0,
        }
    }

    /// Sets the faults to inject into the jobs that are submitted from now on.
    pub(crate) fn set_fault_plan(&mut self, fault_plan: FaultPlan) {
        self.fault_plan = fault_plan;
    }

    /// Returns the driver's data of job `seqno`, or `None` if the job is not pending.
    pub(crate) fn data_mut(&mut self, seqno: u64) -> Option<&mut D> {
        self.jobs.pending.get_mut(seqno).map(|slot| &mut slot.data)
    }

    /// Submits a job at the time `now`. Returns the job if there is no free slot.
    pub(crate) fn submit(
        &mut self,
        now: u64,
        mut job: TimedJob<D>,
    ) -> Result<Submitted, TimedJob<D>> {
        if self.jobs.free_slots() == 0 {
            return Err(job);
        }
        let DurationRange { min, max } = job.duration;
        let mut duration = min;
        if max > min {
            duration = self.durations.between(min, max);
        }
        job.injected.merge(self.fault_plan.next_job());
        let faults = self.count_faults(job.injected);
        // INVARIANT: The submission times do not decrease.
        let submitted = self.jobs.submission_time(now);
        let slot = TimedSlot {
            submitted,
            ready: if job.in_fences.pending {
                NEVER
            } else {
                submitted
            },
            duration: duration.saturating_add(job.injected.delay),
            deadline: NEVER,
            error: if job.injected.error != 0 {
                job.injected.error
            } else {
                job.error
            },
            in_fence_error: job.in_fences.error,
            faults,
            hang: job.hang || job.injected.has(FaultKind::Hang),
            event: job.event,
            operations: job.operations,
            data: job.data,
        };
        let seqno = match self.jobs.pending.push(slot) {
            Ok(seqno) => seqno,
            Err(slot) => {
                job.data = slot.data;
                return Err(job);
            }
        };
        let is_head = seqno == self.jobs.pending.first();
        if is_head {
            self.head_since = self.head_since.max(submitted);
            self.settle_head();
        }
        Ok(Submitted { seqno, is_head })
    }

    /// Counts the faults of a job. Returns their [`FaultKind::bit`]s.
    fn count_faults(&mut self, injected: InjectedFaults) -> u32 {
        let mut kinds = injected.kinds;
        if kinds == 0 {
            return 0;
        }
        if self.jobs.timeout == NEVER {
            // Without a timeout, nothing would end a job whose interrupt is dropped.
            kinds &= !FaultKind::DropInterrupt.bit();
        }
        for kind in FaultKind::ALL {
            if kinds & kind.bit() != 0 {
                self.jobs.totals.faults[kind as usize] += 1;
            }
        }
        kinds
    }

    /// Returns the seqno and the driver's data of the head if it waits for its in-fences, and
    /// nothing else that has happened ends it.
    #[inline]
    pub(crate) fn waiting_head(&mut self) -> Option<(u64, &mut D)> {
        let seqno = self.jobs.pending.first();
        if self.jobs.stopped() {
            return None;
        }
        let head = self.jobs.pending.get_mut(seqno)?;
        (head.ready == NEVER).then_some((seqno, &mut head.data))
    }

    /// Makes job `seqno` ready: its last pending in-fence signalled at the time `when`, which may
    /// be in the past. `error` is the first error of those in-fences, a negative errno, or 0. An
    /// in-fence that signalled before the submission counts as signalled at the submission.
    ///
    /// Returns whether [`TimedScheduler::next_event`] may have changed. Does nothing if the job has
    /// ended.
    pub(crate) fn ready(&mut self, when: u64, seqno: u64, error: i32) -> bool {
        let Some(slot) = self.jobs.pending.get_mut(seqno) else {
            return false;
        };
        if slot.ready == NEVER {
            slot.ready = when;
            if slot.in_fence_error == 0 {
                slot.in_fence_error = error;
            }
        }
        let is_head = seqno == self.jobs.pending.first();
        if is_head && self.start == NEVER {
            self.settle_head();
        }
        is_head
    }

    /// Sets a deadline of job `seqno` at the time `now`. A deadline that is set before the job
    /// starts affects its speed from its start on.
    ///
    /// Returns whether [`TimedScheduler::next_event`] may have changed. Does nothing if the job has
    /// ended.
    pub(crate) fn set_deadline(&mut self, now: u64, seqno: u64, deadline: u64) -> bool {
        let Some(slot) = self.jobs.pending.get_mut(seqno) else {
            return false;
        };
        // In a record 0, and in a slot `NEVER`, stand for no deadline.
        slot.deadline = slot.deadline.min(deadline.clamp(1, NEVER - 1));
        let deadline = slot.deadline;
        if seqno != self.jobs.pending.first() {
            return false;
        }
        if let Some(execution) = &mut self.execution {
            execution.boost(now, deadline, self.boost_percent);
            self.outcome = self.head_outcome();
        }
        true
    }

    /// Returns whether an in-fence's error ends the job without running it.
    fn fails_by_in_fence(&self, slot: &TimedSlot<D>) -> bool {
        slot.in_fence_error != 0 && self.on_in_fence_error != InFencePolicy::Ignore
    }

    /// Sets the fields of the head to those of a job that will not run.
    fn clear_head(&mut self) {
        // INVARIANT: The operations of a head that is settled again have not ended: it did not run.
        self.operations_end = OperationsEnd::default();
        (self.start, self.execution, self.outcome) = (NEVER, None, None);
    }

    /// Sets the fields of a head that is new or ready, or whose queue was reset.
    fn settle_head(&mut self) {
        self.clear_head();
        let Some(head) = self.jobs.head() else {
            return;
        };
        if head.ready != NEVER && !self.jobs.stopped() && !self.fails_by_in_fence(head) {
            let start = head.ready.max(self.head_since);
            let mut execution = None;
            if !head.hang {
                let execution = execution.insert(Execution::new(start, head.duration));
                execution.boost(start, head.deadline, self.boost_percent);
            }
            (self.start, self.execution) = (start, execution);
        }
        self.outcome = self.head_outcome();
    }

    /// Returns the outcome of the head from the other fields.
    fn head_outcome(&self) -> Option<Outcome> {
        let head = self.jobs.head()?;
        if self.jobs.stopped() {
            return Some(Outcome {
                due: self.head_since,
                end: self.head_since,
                error: self.jobs.stop_error,
                cause: Cause::Other,
            });
        }
        let bound = self.head_since.saturating_add(self.jobs.timeout);
        let without_timeout = match &self.execution {
            Some(execution) if !head.operations => {
                let dropped = head.faults & FaultKind::DropInterrupt.bit() != 0;
                let end = execution.end().max(self.operations_end.time);
                Some(Outcome {
                    due: if dropped { bound } else { end },
                    end,
                    error: head.error,
                    cause: Cause::Other,
                })
            }
            None if head.ready != NEVER && self.fails_by_in_fence(head) => {
                let end = head.ready.max(self.head_since);
                Some(Outcome {
                    due: end,
                    end,
                    error: head.in_fence_error,
                    cause: Cause::InFence,
                })
            }
            _ => None,
        };
        match without_timeout {
            Some(outcome) if outcome.end <= bound => Some(outcome),
            _ if bound != NEVER => Some(Outcome {
                due: bound,
                end: bound,
                error: TIMED_OUT,
                cause: Cause::Timeout,
            }),
            outcome => outcome,
        }
    }

    /// Returns the earliest time in ns at which [`TimedScheduler::pop_due`] returns a job, or
    /// [`TimedScheduler::begin_operations`] one that it has not returned before; `None` if only
    /// another call can bring that about.
    pub(crate) fn next_event(&self) -> Option<u64> {
        match self.running_operations() {
            Some(seqno) if seqno != self.last_begun => Some(self.start),
            _ => self.outcome.map(|outcome| outcome.due),
        }
    }

    /// Returns the seqno of the head if it runs and its operations have not ended.
    fn running_operations(&self) -> Option<u64> {
        let runs = self.execution.is_some() && self.jobs.head()?.operations;
        runs.then(|| self.jobs.pending.first())
    }

    /// Returns the seqno of the job whose operations the caller must execute or continue now.
    pub(crate) fn begin_operations(&mut self) -> Option<u64> {
        self.last_begun = self.running_operations()?;
        Some(self.last_begun)
    }

    /// Ends the operations of job `seqno` at the time `now` with `result`.
    ///
    /// Returns whether [`TimedScheduler::next_event`] may have changed. Does nothing if the job has
    /// ended.
    pub(crate) fn operations_done(&mut self, now: u64, seqno: u64, result: u64) -> bool {
        if self.running_operations() != Some(seqno) {
            return false;
        }
        if let Some(slot) = self.jobs.pending.get_mut(seqno) {
            slot.operations = false;
        }
        // INVARIANT: The job is the head.
        self.operations_end = OperationsEnd { time: now, result };
        self.outcome = self.head_outcome();
        true
    }

    /// Takes the head if an interrupt has reported its end by the time `now`. The caller repeats
    /// the call until it returns `None`.
    pub(crate) fn pop_due(
        &mut self,
        now: u64,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        let outcome = self.outcome.filter(|outcome| outcome.due <= now)?;
        self.end_head(outcome.end, outcome.error, outcome.cause)
    }

    /// Does what [`TimedScheduler::pop_due`] does, in less time, for a plain head for which
    /// `wanted` returns true. Returns `None` for another head.
    #[inline]
    pub(crate) fn pop_plain(
        &mut self,
        now: u64,
        wanted: impl FnOnce(&D) -> bool,
    ) -> Option<PlainCompletion<D, M::Segment<TimedSlot<D>>>> {
        let outcome = self
            .outcome
            .filter(|outcome| outcome.due <= now && outcome.error == 0)?;
        let head = self.jobs.head()?;
        if head.event || !wanted(&head.data) {
            return None;
        }
        let completed = self.pop_head(outcome.end, 0)?;
        let JobRecord { start, end, .. } = completed.record;
        self.next_head(end);
        Some(PlainCompletion {
            seqno: completed.seqno,
            start,
            end,
            data: completed.data,
            segment: completed.segment,
        })
    }

    /// Takes the head if it has ended by the time `now`, even if its interrupt was dropped. The
    /// caller repeats the call until it returns `None`.
    pub(crate) fn pop_ended(
        &mut self,
        now: u64,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        let outcome = self.outcome.filter(|outcome| outcome.end <= now)?;
        self.end_head(outcome.end, outcome.error, outcome.cause)
    }

    /// Ends the head with `-ECANCELED`, to close the queue. The caller repeats the call until it
    /// returns `None`, after [`TimedScheduler::pop_ended`] has returned `None`.
    pub(crate) fn cancel(&mut self, now: u64) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        self.end_head(now, CANCELED, Cause::Closed)
    }

    /// Ends the head with `error`, a negative errno other than `-ECANCELED`, because the device is
    /// lost: so do all later jobs, and no reset restarts the queue. The caller repeats the call
    /// until it returns `None`, after [`TimedScheduler::pop_ended`] has returned `None`.
    pub(crate) fn lose(
        &mut self,
        now: u64,
        error: i32,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        self.jobs.stop_error = error;
        self.end_head(now, error, Cause::Other)
    }

    /// Resets the queue at the time `now`, after [`TimedScheduler::pop_ended`] has returned `None`:
    /// cancels the running job, which is returned, and restarts a stopped queue.
    pub(crate) fn reset(&mut self, now: u64) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        self.jobs.totals.resets += 1;
        self.jobs.restart();
        if self.start <= now {
            return self.end_head(now, CANCELED, Cause::Other);
        }
        self.settle_head();
        None
    }

    /// Returns the seqno and the start time of the head, once for each job that starts. The caller
    /// repeats the call whenever a job may have become the head, or the head ready.
    pub(crate) fn take_start(&mut self) -> Option<(u64, u64)> {
        let seqno = self.jobs.pending.first();
        if self.start == NEVER || self.last_start == seqno {
            return None;
        }
        self.last_start = seqno;
        Some((seqno, self.start))
    }

    /// Returns whether [`TimedScheduler::take_start`] has returned the head.
    pub(crate) fn head_has_started(&self) -> bool {
        self.last_start == self.jobs.pending.first()
    }

    /// Returns the time in ns for which jobs have run by the time `now`, the running job included.
    pub(crate) fn busy(&self, now: u64) -> u64 {
        let until = self.outcome.map_or(now, |outcome| outcome.end.min(now));
        self.busy + until.saturating_sub(self.start)
    }

    /// Returns the state of job `seqno` at the time `now`.
    pub(crate) fn state(&self, now: u64, seqno: u64) -> JobState {
        let slot = match self.jobs.find(seqno) {
            Ok(slot) => slot,
            Err(state) => return state,
        };
        let mut record = JobRecord {
            submitted: slot.submitted,
            deadline: recorded_deadline(slot.deadline),
            faults: slot.faults,
            ..JobRecord::default()
        };
        if seqno == self.jobs.pending.first() && self.start <= now {
            record.start = self.start;
            return JobState::Running(record);
        }
        JobState::Pending(record)
    }

    /// Ends the head, and makes the next job the head.
    fn end_head(
        &mut self,
        end: u64,
        error: i32,
        cause: Cause,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        let completed = self.pop_head(end, error)?;
        self.jobs.count_end(error, cause);
        if cause == Cause::InFence && self.on_in_fence_error == InFencePolicy::Cancel {
            self.jobs.stop();
        }
        self.next_head(completed.record.end);
        Some(completed)
    }

    /// Takes and records the head. The caller must call [`TimedScheduler::next_head`] next.
    // Inline, so that a caller that uses a part of the result copies only that part.
    #[inline(always)]
    fn pop_head(
        &mut self,
        end: u64,
        error: i32,
    ) -> Option<CompletedJob<D, M::Segment<TimedSlot<D>>>> {
        // Not before the end of the previous job, even if the caller's clock went backwards.
        let end = end.max(self.head_since);
        let start = if self.start <= end { self.start } else { 0 };
        self.busy += end.saturating_sub(self.start);
        let seqno = self.jobs.pending.first();
        let (slot, segment) = self.jobs.pending.pop()?;
        let record = JobRecord {
            submitted: slot.submitted,
            start,
            end,
            deadline: recorded_deadline(slot.deadline),
            error,
            faults: slot.faults,
            result: if error == 0 {
                self.operations_end.result
            } else {
                0
            },
        };
        self.jobs.history.keep(seqno, || record);
        Some(CompletedJob {
            seqno,
            record,
            event: slot.event,
            data: slot.data,
            segment,
        })
    }

    /// Makes the next job the head, if one is pending. `end` is the end of the last head.
    #[inline(always)]
    fn next_head(&mut self, end: u64) {
        // INVARIANT: `head_since` is not before the end of the last head.
        self.head_since = end;
        match self.jobs.head() {
            Some(head) => {
                // INVARIANT: `head_since` is also not before the submission of the new head.
                self.head_since = end.max(head.submitted);
                self.settle_head();
            }
            None => self.clear_head(),
        }
    }
}
