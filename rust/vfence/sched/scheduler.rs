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
    fault_plan::FaultPlan,
    history::History,
    manual::{
        self,
        ManualScheduler, //
    },
    ring::{
        Ring, //
        RingMemory,
    },
    timed::{
        self,
        TimedScheduler, //
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
pub(crate) enum SpareSegment<P: JobData, M: RingMemory> {
    Timed(M::Segment<timed::Slot<P>>),
    Manual(M::Segment<manual::Slot<P::Bare>>),
}

/// The jobs of one queue that are pending, and when they end.
///
/// The memory is the caller's, of the kind `M`; `H` remembers as many jobs that have ended as it is long, a power of two.
// A queue has one, and queues are few.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Scheduler<P, M, H>
where
    P: JobData,
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    Timed(TimedScheduler<P, M, H>),
    Manual(ManualScheduler<P::Bare, M, H>),
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

impl<P, M, H> Scheduler<P, M, H>
where
    P: JobData,
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// Creates the machine of a queue that has had no job yet, and can have `most` pending. Fails as the memory does.
    ///
    /// Random durations are drawn from `seed`.
    pub(crate) fn new(
        rules: QueuePolicy,
        seed: u64,
        most: usize,
        history: H,
    ) -> Result<Self, M::Error> {
        let history = History(history);
        Ok(match rules.kind {
            SchedulerKind::Timer => {
                let len = Ring::<timed::Slot<P>, M>::directory_len(most);
                Self::Timed(TimedScheduler::new(
                    rules,
                    seed,
                    M::directory(len)?,
                    history,
                ))
            }
            SchedulerKind::Manual => {
                let len = Ring::<manual::Slot<P::Bare>, M>::directory_len(most);
                Self::Manual(ManualScheduler::new(&rules, M::directory(len)?, history))
            }
        })
    }

    /// Returns memory for some jobs of a machine of that kind. Fails as the memory does.
    pub(crate) fn spare(kind: SchedulerKind) -> Result<SpareSegment<P, M>, M::Error> {
        Ok(match kind {
            SchedulerKind::Timer => SpareSegment::Timed(M::segment()?),
            SchedulerKind::Manual => SpareSegment::Manual(M::segment()?),
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
        either!(self, machine => machine.jobs.len())
    }

    /// Returns how many jobs can be submitted with the memory that is there.
    pub(crate) fn room(&self) -> usize {
        either!(self, machine => machine.jobs.room())
    }

    /// Adds memory, of the machine's kind. Gives it back if there is enough for all that may be pending.
    pub(crate) fn add(&mut self, spare: SpareSegment<P, M>) -> Result<(), SpareSegment<P, M>> {
        match (self, spare) {
            (Self::Timed(machine), SpareSegment::Timed(segment)) => {
                machine.jobs.add(segment).map_err(SpareSegment::Timed)
            }
            (Self::Manual(machine), SpareSegment::Manual(segment)) => {
                machine.jobs.add(segment).map_err(SpareSegment::Manual)
            }
            (_, spare) => Err(spare),
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
    pub(crate) fn counts(&self) -> &Totals {
        either!(self, jobs => jobs.counts())
    }

    /// Has what `plan` says done to the jobs that are submitted from now on, if they take time.
    pub(crate) fn set_plan(&mut self, plan: FaultPlan) {
        if let Self::Timed(jobs) = self {
            jobs.set_plan(plan);
        }
    }

    /// Returns what the caller keeps with job `seqno`, if that is pending and takes time.
    pub(crate) fn payload_mut(&mut self, seqno: u64) -> Option<&mut P> {
        match self {
            Self::Timed(jobs) => jobs.payload_mut(seqno),
            Self::Manual(_) => None,
        }
    }

    /// Returns what the caller keeps with job `seqno` in any case, if that is pending.
    pub(crate) fn bare_mut(&mut self, seqno: u64) -> Option<&mut P::Bare> {
        match self {
            Self::Timed(jobs) => jobs.payload_mut(seqno).map(P::bare),
            Self::Manual(jobs) => jobs.payload_mut(seqno),
        }
    }

    /// Returns the machine of a queue whose jobs take time.
    pub(crate) fn schedule(&mut self) -> Option<&mut TimedScheduler<P, M, H>> {
        match self {
            Self::Timed(jobs) => Some(jobs),
            Self::Manual(_) => None,
        }
    }

    /// Returns the machine of a queue whose jobs take no time.
    pub(crate) fn manual(&mut self) -> Option<&mut ManualScheduler<P::Bare, M, H>> {
        match self {
            Self::Timed(_) => None,
            Self::Manual(jobs) => Some(jobs),
        }
    }

    /// Appends a job at the time `now` and returns its sequence number.
    ///
    /// Gives the job back if there is no room, or if jobs take no time: those are for [`Scheduler::manual`].
    pub(crate) fn submit(&mut self, now: u64, job: timed::Job<P>) -> Result<u64, timed::Job<P>> {
        match self {
            Self::Timed(jobs) => jobs.submit(now, job),
            Self::Manual(_) => Err(job),
        }
    }

    /// As [`TimedScheduler::ready`].
    pub(crate) fn ready(&mut self, when: u64, seqno: u64, error: i32) -> bool {
        match self {
            Self::Timed(jobs) => jobs.ready(when, seqno, error),
            Self::Manual(_) => false,
        }
    }

    /// As [`TimedScheduler::set_deadline`].
    pub(crate) fn set_deadline(&mut self, now: u64, seqno: u64, deadline: u64) -> bool {
        match self {
            Self::Timed(jobs) => jobs.set_deadline(now, seqno, deadline),
            Self::Manual(_) => false,
        }
    }

    /// Returns the time at which [`Scheduler::advance`] or [`Scheduler::work`] has something to do next.
    pub(crate) fn next_event(&self) -> Option<u64> {
        either!(self, jobs => jobs.next_event())
    }

    /// As [`TimedScheduler::work`].
    pub(crate) fn work(&mut self) -> Option<u64> {
        match self {
            Self::Timed(jobs) => jobs.work(),
            Self::Manual(_) => None,
        }
    }

    /// As [`TimedScheduler::worked`].
    pub(crate) fn worked(&mut self, now: u64, seqno: u64, result: u64) -> bool {
        match self {
            Self::Timed(jobs) => jobs.worked(now, seqno, result),
            Self::Manual(_) => false,
        }
    }

    /// Takes the next job of whose end an interrupt tells by the time `now`; to be called until it returns `None`.
    pub(crate) fn advance(&mut self, now: u64) -> Option<CompletedJob<P, SpareSegment<P, M>>> {
        match self {
            Self::Timed(jobs) => jobs.advance(now).map(CompletedJob::of_timed),
            Self::Manual(jobs) => jobs.advance(now).map(CompletedJob::of_manual),
        }
    }

    /// Takes the next job that has ended by the time `now`, interrupt or not; to be called until it returns `None`.
    pub(crate) fn look(&mut self, now: u64) -> Option<CompletedJob<P, SpareSegment<P, M>>> {
        match self {
            Self::Timed(jobs) => jobs.look(now).map(CompletedJob::of_timed),
            Self::Manual(jobs) => jobs.advance(now).map(CompletedJob::of_manual),
        }
    }

    /// As [`ManualScheduler::signal`].
    pub(crate) fn signal(
        &mut self,
        now: u64,
        seqno: u64,
        error: i32,
    ) -> Option<CompletedJob<P, SpareSegment<P, M>>> {
        match self {
            Self::Timed(_) => None,
            Self::Manual(jobs) => jobs.signal(now, seqno, error).map(CompletedJob::of_manual),
        }
    }

    /// Ends the next job that is pending with `error`; to be called until it returns `None`, after
    /// [`Scheduler::look`] has taken what has ended by itself.
    pub(crate) fn cancel(
        &mut self,
        now: u64,
        error: i32,
    ) -> Option<CompletedJob<P, SpareSegment<P, M>>> {
        match self {
            Self::Timed(jobs) => jobs.cancel(now, error).map(CompletedJob::of_timed),
            Self::Manual(jobs) => jobs.cancel(now, error).map(CompletedJob::of_manual),
        }
    }

    /// Resets the queue at the time `now`, once [`Scheduler::look`] has taken what has ended by then: ends the
    /// job that runs with `-ECANCELED`, if there is one, and lets a stopped queue go on.
    pub(crate) fn reset(&mut self, now: u64) -> Option<CompletedJob<P, SpareSegment<P, M>>> {
        match self {
            Self::Timed(jobs) => jobs.reset(now).map(CompletedJob::of_timed),
            Self::Manual(jobs) => {
                jobs.reset();
                None
            }
        }
    }

    /// As [`TimedScheduler::started`].
    pub(crate) fn started(&mut self) -> Option<(u64, u64)> {
        match self {
            Self::Timed(jobs) => jobs.started(),
            Self::Manual(_) => None,
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

impl<P: JobData, M: RingMemory> CompletedJob<P, SpareSegment<P, M>> {
    fn of_timed(ended: CompletedJob<P, M::Segment<timed::Slot<P>>>) -> Self {
        Self {
            seqno: ended.seqno,
            record: ended.record,
            event: ended.event,
            payload: ended.payload,
            segment: ended.segment.map(SpareSegment::Timed),
        }
    }

    pub(crate) fn of_manual(
        ended: CompletedJob<P::Bare, M::Segment<manual::Slot<P::Bare>>>,
    ) -> Self {
        Self {
            seqno: ended.seqno,
            record: ended.record,
            event: ended.event,
            payload: P::from_bare(ended.payload),
            segment: ended.segment.map(SpareSegment::Manual),
        }
    }
}
