// SPDX-License-Identifier: GPL-2.0

//! The decisions of a queue: what ends and when, what comes next.
//!
//! A plain state machine without locks, clocks or kernel types: the time is passed in, in
//! nanoseconds, and what it decides is carried out by the caller. `tools/machine` compiles this very
//! file on the host and tries it with random schedules.
//!
//! There are two: [`Schedule`], of jobs that take time, and [`Manual`], of jobs that user space completes, which know much less
//! of a job and are quicker for it. The memory of the second one's jobs is half of the first one's.
//!
//! A queue that is *stopped*, by a job that timed out or by an in-fence's error if its [`Rules`] say so, ends all
//! its jobs with `-ECANCELED`, without running them or waiting for anything, until it is reset.

use super::{
    faults::{
        Injected,
        Kind as Fault,
        Plan, //
    },
    history::History,
    manual::{
        self,
        Manual, //
    },
    schedule::{
        self,
        Schedule, //
    },
    segments::{
        Memory,
        Segments, //
    },
};
use core::ops::DerefMut;

/// The error of jobs that were cancelled, `-ECANCELED`.
pub(crate) const CANCELED: i32 = -125;
/// The error of jobs that took too long, `-ETIMEDOUT`.
pub(crate) const TIMED_OUT: i32 = -110;

/// A time that has not come.
pub(super) const NEVER: u64 = u64::MAX;

/// What completes the jobs of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The time that they take.
    Timer,
    /// User space.
    Manual,
}

/// What an in-fence's error does to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InFencePolicy {
    /// It completes with the error and does not run.
    Propagate,
    /// Nothing.
    Ignore,
    /// As [`InFencePolicy::Propagate`], and the queue is stopped.
    Cancel,
}

/// What a job that timed out does to those behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeoutPolicy {
    /// Nothing: the queue is reset by itself.
    Continue,
    /// The queue is stopped.
    Cancel,
}

/// How a queue was asked to behave.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rules {
    pub(crate) kind: Kind,
    /// Bound on the time of a job, in ns; `None` when there is none.
    pub(crate) timeout: Option<u64>,
    pub(crate) in_fence: InFencePolicy,
    pub(crate) after_timeout: TimeoutPolicy,
    /// How fast the engine may run to meet a deadline, in percent of its usual speed, 100 at least.
    pub(crate) boost: u64,
}

/// A job that takes time, as it is submitted; `P` is what the caller keeps with it.
pub(crate) struct Job<P> {
    /// How long it runs, in ns: from the first to the second, both included.
    pub(crate) duration: (u64, u64),
    /// Whether it still has to wait for in-fences: [`Machine::ready`] will tell.
    pub(crate) waits: bool,
    /// The error of an in-fence that is known already, or 0.
    pub(crate) in_error: i32,
    /// The error to complete with after running, or 0.
    pub(crate) error: i32,
    /// Whether it never ends by itself.
    pub(crate) hang: bool,
    /// What is done to it besides the queue's plan.
    pub(crate) injected: Injected,
    /// Whether user space wants to be told of its end.
    pub(crate) event: bool,
    /// Whether there is work to be done: [`Machine::worked`] will tell.
    pub(crate) work: bool,
    /// The caller's.
    pub(crate) payload: P,
}

/// What is remembered of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// When it was submitted, in ns.
    pub(crate) submitted: u64,
    /// When it started to run, in ns; 0 if it did not.
    pub(crate) start: u64,
    /// When it ended, in ns; 0 if it has not.
    pub(crate) end: u64,
    /// The earliest deadline that it was given, in ns; 0 if none.
    pub(crate) deadline: u64,
    /// 0, or a negative errno.
    pub(crate) error: i32,
    /// The bits of what was injected.
    pub(crate) faults: u32,
    /// What its work came to, or 0, also if it has failed.
    pub(crate) result: u64,
}

/// A job that has ended.
#[derive(Debug)]
pub(crate) struct Ended<P, S> {
    pub(crate) seqno: u64,
    pub(crate) record: Record,
    /// Whether user space wants to be told.
    pub(crate) event: bool,
    /// The caller's.
    pub(crate) payload: P,
    /// Memory that is not needed any more.
    pub(crate) segment: Option<S>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It waits: for its turn, for in-fences, for user space.
    Pending(Record),
    /// It runs.
    Running(Record),
    /// It has ended.
    Completed(Record),
    /// It has ended too long ago.
    Forgotten,
    /// There is no such job yet.
    Unknown,
}

/// How many there were of what, since the queue was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Jobs that ended with an error.
    pub(crate) errors: u64,
    /// Jobs that took too long.
    pub(crate) timeouts: u64,
    pub(crate) resets: u64,
    /// Jobs that something was done to, by the number of the fault's kind.
    pub(crate) faults: [u64; Fault::NUMBERS],
}

/// Why a job ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// It is done, was completed by user space, or cancelled by a reset.
    Other,
    /// An in-fence had an error.
    InFence,
    /// It took too long.
    Timeout,
    /// The queue is closed.
    Closed,
}

/// What will become of the head if nothing else happens to it.
#[derive(Clone, Copy)]
pub(super) struct Fate {
    /// When that is to be noticed.
    pub(super) due: u64,
    /// When it ends; not after `due`.
    pub(super) end: u64,
    pub(super) error: i32,
    pub(super) cause: Cause,
}

/// Returns how user space sees a deadline.
pub(super) fn shown(deadline: u64) -> u64 {
    match deadline {
        NEVER => 0,
        deadline => deadline,
    }
}

/// What knows when it is wanted.
pub(crate) trait Dated {
    /// Returns the earliest deadline that it was given, or `u64::MAX`.
    fn deadline(&self) -> u64;
}

/// What the caller keeps with a job, and the part of it that all jobs have: jobs that take no time have nothing else.
pub(crate) trait Attached: Sized {
    /// That part. Where it is all that there is, deadlines are kept with it: for such jobs nobody has to ask the machine.
    type Bare: Dated;

    /// Returns the part.
    fn bare(&mut self) -> &mut Self::Bare;

    /// Returns what has nothing else.
    fn from_bare(bare: Self::Bare) -> Self;
}

/// Memory for jobs.
pub(crate) enum Spare<P: Attached, M: Memory> {
    Schedule(M::Segment<schedule::Slot<P>>),
    Manual(M::Segment<manual::Slot<P::Bare>>),
}

/// The jobs of one queue that are pending, and when they end.
///
/// The memory is the caller's, of the kind `M`; `H` remembers as many jobs that have ended as it is long, a power of two.
// A queue has one, and queues are few.
#[allow(clippy::large_enum_variant)]
pub(crate) enum Machine<P, M, H>
where
    P: Attached,
    M: Memory,
    H: DerefMut<Target = [Record]>,
{
    Schedule(Schedule<P, M, H>),
    Manual(Manual<P::Bare, M, H>),
}

/// Calls what both machines have.
macro_rules! either {
    ($machine:ident, $jobs:ident => $e:expr) => {
        match $machine {
            Machine::Schedule($jobs) => $e,
            Machine::Manual($jobs) => $e,
        }
    };
}

impl<P, M, H> Machine<P, M, H>
where
    P: Attached,
    M: Memory,
    H: DerefMut<Target = [Record]>,
{
    /// Creates the machine of a queue that has had no job yet, and can have `most` pending. Fails as the memory does.
    ///
    /// Random durations are drawn from `seed`.
    pub(crate) fn new(rules: Rules, seed: u64, most: usize, history: H) -> Result<Self, M::Error> {
        let history = History(history);
        Ok(match rules.kind {
            Kind::Timer => {
                let len = Segments::<schedule::Slot<P>, M>::directory_len(most);
                Self::Schedule(Schedule::new(rules, seed, M::directory(len)?, history))
            }
            Kind::Manual => {
                let len = Segments::<manual::Slot<P::Bare>, M>::directory_len(most);
                Self::Manual(Manual::new(&rules, M::directory(len)?, history))
            }
        })
    }

    /// Returns memory for some jobs of a machine of that kind. Fails as the memory does.
    pub(crate) fn spare(kind: Kind) -> Result<Spare<P, M>, M::Error> {
        Ok(match kind {
            Kind::Timer => Spare::Schedule(M::segment()?),
            Kind::Manual => Spare::Manual(M::segment()?),
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
    pub(crate) fn add(&mut self, spare: Spare<P, M>) -> Result<(), Spare<P, M>> {
        match (self, spare) {
            (Self::Schedule(machine), Spare::Schedule(segment)) => {
                machine.jobs.add(segment).map_err(Spare::Schedule)
            }
            (Self::Manual(machine), Spare::Manual(segment)) => {
                machine.jobs.add(segment).map_err(Spare::Manual)
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
    pub(crate) fn counts(&self) -> &Counts {
        either!(self, jobs => jobs.counts())
    }

    /// Has what `plan` says done to the jobs that are submitted from now on, if they take time.
    pub(crate) fn set_plan(&mut self, plan: Plan) {
        if let Self::Schedule(jobs) = self {
            jobs.set_plan(plan);
        }
    }

    /// Returns what the caller keeps with job `seqno`, if that is pending and takes time.
    pub(crate) fn payload_mut(&mut self, seqno: u64) -> Option<&mut P> {
        match self {
            Self::Schedule(jobs) => jobs.payload_mut(seqno),
            Self::Manual(_) => None,
        }
    }

    /// Returns what the caller keeps with job `seqno` in any case, if that is pending.
    pub(crate) fn bare_mut(&mut self, seqno: u64) -> Option<&mut P::Bare> {
        match self {
            Self::Schedule(jobs) => jobs.payload_mut(seqno).map(P::bare),
            Self::Manual(jobs) => jobs.payload_mut(seqno),
        }
    }

    /// Returns the machine of a queue whose jobs take time.
    pub(crate) fn schedule(&mut self) -> Option<&mut Schedule<P, M, H>> {
        match self {
            Self::Schedule(jobs) => Some(jobs),
            Self::Manual(_) => None,
        }
    }

    /// Returns the machine of a queue whose jobs take no time.
    pub(crate) fn manual(&mut self) -> Option<&mut Manual<P::Bare, M, H>> {
        match self {
            Self::Schedule(_) => None,
            Self::Manual(jobs) => Some(jobs),
        }
    }

    /// Appends a job at the time `now` and returns its sequence number.
    ///
    /// Gives the job back if there is no room, or if jobs take no time: those are for [`Machine::manual`].
    pub(crate) fn submit(&mut self, now: u64, job: Job<P>) -> Result<u64, Job<P>> {
        match self {
            Self::Schedule(jobs) => jobs.submit(now, job),
            Self::Manual(_) => Err(job),
        }
    }

    /// As [`Schedule::ready`].
    pub(crate) fn ready(&mut self, when: u64, seqno: u64, error: i32) -> bool {
        match self {
            Self::Schedule(jobs) => jobs.ready(when, seqno, error),
            Self::Manual(_) => false,
        }
    }

    /// As [`Schedule::set_deadline`].
    pub(crate) fn set_deadline(&mut self, now: u64, seqno: u64, deadline: u64) -> bool {
        match self {
            Self::Schedule(jobs) => jobs.set_deadline(now, seqno, deadline),
            Self::Manual(_) => false,
        }
    }

    /// Returns the time at which [`Machine::advance`] or [`Machine::work`] has something to do next.
    pub(crate) fn next_event(&self) -> Option<u64> {
        either!(self, jobs => jobs.next_event())
    }

    /// As [`Schedule::work`].
    pub(crate) fn work(&mut self) -> Option<u64> {
        match self {
            Self::Schedule(jobs) => jobs.work(),
            Self::Manual(_) => None,
        }
    }

    /// As [`Schedule::worked`].
    pub(crate) fn worked(&mut self, now: u64, seqno: u64, result: u64) -> bool {
        match self {
            Self::Schedule(jobs) => jobs.worked(now, seqno, result),
            Self::Manual(_) => false,
        }
    }

    /// Takes the next job of whose end an interrupt tells by the time `now`; to be called until it returns `None`.
    pub(crate) fn advance(&mut self, now: u64) -> Option<Ended<P, Spare<P, M>>> {
        match self {
            Self::Schedule(jobs) => jobs.advance(now).map(Ended::of_schedule),
            Self::Manual(jobs) => jobs.advance(now).map(Ended::of_manual),
        }
    }

    /// Takes the next job that has ended by the time `now`, interrupt or not; to be called until it returns `None`.
    pub(crate) fn look(&mut self, now: u64) -> Option<Ended<P, Spare<P, M>>> {
        match self {
            Self::Schedule(jobs) => jobs.look(now).map(Ended::of_schedule),
            Self::Manual(jobs) => jobs.advance(now).map(Ended::of_manual),
        }
    }

    /// As [`Manual::signal`].
    pub(crate) fn signal(
        &mut self,
        now: u64,
        seqno: u64,
        error: i32,
    ) -> Option<Ended<P, Spare<P, M>>> {
        match self {
            Self::Schedule(_) => None,
            Self::Manual(jobs) => jobs.signal(now, seqno, error).map(Ended::of_manual),
        }
    }

    /// Ends the next job that is pending with `error`; to be called until it returns `None`, after
    /// [`Machine::look`] has taken what has ended by itself.
    pub(crate) fn cancel(&mut self, now: u64, error: i32) -> Option<Ended<P, Spare<P, M>>> {
        match self {
            Self::Schedule(jobs) => jobs.cancel(now, error).map(Ended::of_schedule),
            Self::Manual(jobs) => jobs.cancel(now, error).map(Ended::of_manual),
        }
    }

    /// Resets the queue at the time `now`, once [`Machine::look`] has taken what has ended by then: ends the
    /// job that runs with `-ECANCELED`, if there is one, and lets a stopped queue go on.
    pub(crate) fn reset(&mut self, now: u64) -> Option<Ended<P, Spare<P, M>>> {
        match self {
            Self::Schedule(jobs) => jobs.reset(now).map(Ended::of_schedule),
            Self::Manual(jobs) => {
                jobs.reset();
                None
            }
        }
    }

    /// As [`Schedule::started`].
    pub(crate) fn started(&mut self) -> Option<(u64, u64)> {
        match self {
            Self::Schedule(jobs) => jobs.started(),
            Self::Manual(_) => None,
        }
    }

    /// Returns where job `seqno` stands at the time `now`.
    pub(crate) fn state(&self, now: u64, seqno: u64) -> State {
        match self {
            Self::Schedule(jobs) => jobs.state(now, seqno),
            Self::Manual(jobs) => jobs.state(seqno),
        }
    }
}

impl<P: Attached, M: Memory> Ended<P, Spare<P, M>> {
    fn of_schedule(ended: Ended<P, M::Segment<schedule::Slot<P>>>) -> Self {
        Self {
            seqno: ended.seqno,
            record: ended.record,
            event: ended.event,
            payload: ended.payload,
            segment: ended.segment.map(Spare::Schedule),
        }
    }

    pub(crate) fn of_manual(ended: Ended<P::Bare, M::Segment<manual::Slot<P::Bare>>>) -> Self {
        Self {
            seqno: ended.seqno,
            record: ended.record,
            event: ended.event,
            payload: P::from_bare(ended.payload),
            segment: ended.segment.map(Spare::Manual),
        }
    }
}
