// SPDX-License-Identifier: GPL-2.0

//! The decisions of a queue: what ends and when, what comes next.
//!
//! A plain state machine without locks, clocks or kernel types: the time is passed in, in
//! nanoseconds, and what it decides is carried out by the caller. `tools/sched` compiles this very
//! file on the host and tries it with random schedules.
//!
//! There are two: [`TimedScheduler`], of jobs that take time, and [`ManualScheduler`], of jobs that user space completes, which know much less
//! of a job and are quicker for it. The memory of the second one's jobs is half of the first one's.
//!
//! A queue that is *stopped*, by a job that timed out or by an in-fence's error if its [`QueuePolicy`] say so, ends all
//! its jobs with `-ECANCELED`, without running them or waiting for anything, until it is reset.

use super::{
    history::History,
    manual::{
        ManualScheduler,
        ManualSlot, //
    },
    ring::{
        Ring, //
        RingMemory,
    },
    timed::{
        TimedScheduler,
        TimedSlot, //
    },
    types::{
        CompletedJob,
        JobData,
        JobRecord,
        JobState, //
        QueuePolicy,
        SchedulerKind,
        Totals,
    },
};
use core::ops::DerefMut;

/// RingMemory for jobs.
pub(crate) enum JobSegment<D: JobData, M: RingMemory> {
    Timed(M::Segment<TimedSlot<D>>),
    Manual(M::Segment<ManualSlot<D::Fence>>),
}

/// The jobs of one queue that are pending, and when they end.
///
/// The memory is the caller's, of the kind `M`; `H` remembers as many jobs that have ended as it is long, a power of two.
// A queue has one, and queues are few.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Scheduler<D, M, H>
where
    D: JobData,
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    Timed(TimedScheduler<D, M, H>),
    Manual(ManualScheduler<D::Fence, M, H>),
}

/// Calls what both machines have.
macro_rules! either {
    ($machine:ident, $jobs:ident => $e:expr) => {
        match $machine {
            Scheduler::Timed($jobs) => $e,
            Scheduler::Manual($jobs) => $e,
        }
    };
}

impl<D, M, H> Scheduler<D, M, H>
where
    D: JobData,
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// Creates the machine of a queue that has had no job yet, and can have `most` pending. Fails as the memory does.
    ///
    /// Random durations are drawn from `seed`.
    pub(crate) fn new(
        kind: SchedulerKind,
        policy: QueuePolicy,
        seed: u64,
        most: usize,
        history: H,
    ) -> Result<Self, M::Error> {
        let history = History(history);
        Ok(match kind {
            SchedulerKind::Timed => {
                let len = Ring::<TimedSlot<D>, M>::directory_len(most);
                Self::Timed(TimedScheduler::new(
                    policy,
                    seed,
                    M::directory(len)?,
                    history,
                ))
            }
            SchedulerKind::Manual => {
                let len = Ring::<ManualSlot<D::Fence>, M>::directory_len(most);
                Self::Manual(ManualScheduler::new(&policy, M::directory(len)?, history))
            }
        })
    }

    /// Returns memory for some jobs of a machine of that kind. Fails as the memory does.
    pub(crate) fn new_segment(kind: SchedulerKind) -> Result<JobSegment<D, M>, M::Error> {
        Ok(match kind {
            SchedulerKind::Timed => JobSegment::Timed(M::segment()?),
            SchedulerKind::Manual => JobSegment::Manual(M::segment()?),
        })
    }

    /// Returns the sequence number of the job that was submitted last.
    pub(crate) fn submitted(&self) -> u64 {
        either!(self, machine => machine.submitted())
    }

    /// Returns the sequence number of the job that ended last.
    pub(crate) fn completed(&self) -> u64 {
        either!(self, machine => machine.completed())
    }

    /// Returns how many jobs are pending.
    pub(crate) fn pending(&self) -> usize {
        either!(self, machine => machine.pending())
    }

    /// Returns how many jobs can be submitted with the memory that is there.
    pub(crate) fn free_slots(&self) -> usize {
        either!(self, machine => machine.jobs.free_slots())
    }

    /// Adds memory, of the machine's kind. Gives it back if there is enough for all that may be pending.
    pub(crate) fn add_segment(
        &mut self,
        segment: JobSegment<D, M>,
    ) -> Result<(), JobSegment<D, M>> {
        match (self, segment) {
            (Self::Timed(machine), JobSegment::Timed(segment)) => {
                machine.jobs.add_segment(segment).map_err(JobSegment::Timed)
            }
            (Self::Manual(machine), JobSegment::Manual(segment)) => machine
                .jobs
                .add_segment(segment)
                .map_err(JobSegment::Manual),
            (_, segment) => Err(segment),
        }
    }

    /// Returns whether the queue is stopped.
    pub(crate) fn stopped(&self) -> bool {
        either!(self, jobs => jobs.stopped())
    }

    /// Returns the bound on the time of a job.
    pub(crate) fn timeout(&self) -> Option<u64> {
        either!(self, jobs => jobs.timeout())
    }

    /// Returns how many there were of what.
    pub(crate) fn totals(&self) -> &Totals {
        either!(self, jobs => jobs.totals())
    }

    /// Returns what the caller keeps with job `seqno` in any case, if that is pending.
    pub(crate) fn fence_mut(&mut self, seqno: u64) -> Option<&mut D::Fence> {
        match self {
            Self::Timed(jobs) => jobs.data_mut(seqno).map(D::fence_mut),
            Self::Manual(jobs) => jobs.fence_mut(seqno),
        }
    }

    /// Returns the scheduler of jobs that take time, `None` if user space completes the jobs.
    pub(crate) fn timed_mut(&mut self) -> Option<&mut TimedScheduler<D, M, H>> {
        match self {
            Self::Timed(jobs) => Some(jobs),
            Self::Manual(_) => None,
        }
    }

    /// Returns the scheduler of jobs that user space completes, `None` if the jobs take time.
    pub(crate) fn manual_mut(&mut self) -> Option<&mut ManualScheduler<D::Fence, M, H>> {
        match self {
            Self::Timed(_) => None,
            Self::Manual(jobs) => Some(jobs),
        }
    }

    /// Returns the earliest time, in ns, at which [`Scheduler::pop_due`] returns a job or
    /// [`TimedScheduler::begin_operations`] returns one that it has not returned before.
    pub(crate) fn next_event(&self) -> Option<u64> {
        either!(self, jobs => jobs.next_event())
    }

    /// Takes the next job of whose end an interrupt tells by the time `now`; to be called until it returns `None`.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(jobs) => jobs.pop_due(now).map(CompletedJob::from_timed),
            Self::Manual(jobs) => jobs.pop_due(now).map(CompletedJob::from_manual),
        }
    }

    /// Takes the next job that has ended by the time `now`, interrupt or not; to be called until it returns `None`.
    pub(crate) fn pop_ended(&mut self, now: u64) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(jobs) => jobs.pop_ended(now).map(CompletedJob::from_timed),
            Self::Manual(jobs) => jobs.pop_due(now).map(CompletedJob::from_manual),
        }
    }

    /// Ends the next job that is pending with `error`; to be called until it returns `None`, after
    /// [`Scheduler::pop_ended`] has taken what has ended by itself.
    pub(crate) fn cancel(
        &mut self,
        now: u64,
        error: i32,
    ) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(jobs) => jobs.cancel(now, error).map(CompletedJob::from_timed),
            Self::Manual(jobs) => jobs.cancel(now, error).map(CompletedJob::from_manual),
        }
    }

    /// Resets the queue at the time `now`, once [`Scheduler::pop_ended`] has taken what has ended by then: ends the
    /// job that runs with `-ECANCELED`, if there is one, and lets a stopped queue go on.
    pub(crate) fn reset(&mut self, now: u64) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(jobs) => jobs.reset(now).map(CompletedJob::from_timed),
            Self::Manual(jobs) => {
                jobs.reset();
                None
            }
        }
    }

    /// Returns where job `seqno` stands at the time `now`.
    pub(crate) fn state(&self, now: u64, seqno: u64) -> JobState {
        match self {
            Self::Timed(jobs) => jobs.state(now, seqno),
            Self::Manual(jobs) => jobs.state(seqno),
        }
    }
}

impl<D: JobData, M: RingMemory> CompletedJob<D, JobSegment<D, M>> {
    fn from_timed(ended: CompletedJob<D, M::Segment<TimedSlot<D>>>) -> Self {
        Self {
            seqno: ended.seqno,
            record: ended.record,
            event: ended.event,
            data: ended.data,
            segment: ended.segment.map(JobSegment::Timed),
        }
    }

    pub(crate) fn from_manual(
        ended: CompletedJob<D::Fence, M::Segment<ManualSlot<D::Fence>>>,
    ) -> Self {
        Self {
            seqno: ended.seqno,
            record: ended.record,
            event: ended.event,
            data: D::from_fence(ended.data),
            segment: ended.segment.map(JobSegment::Manual),
        }
    }
}
