// SPDX-License-Identifier: GPL-2.0

//! The types that both schedulers share: policies, job records and states, totals.

use super::fault_plan::FaultKind;

/// The error of jobs that were cancelled, `-ECANCELED`.
pub(crate) const CANCELED: i32 = -125;
/// The error of jobs that took too long, `-ETIMEDOUT`.
pub(crate) const TIMED_OUT: i32 = -110;

/// A time that has not come.
pub(crate) const NEVER: u64 = u64::MAX;

/// What completes the jobs of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchedulerKind {
    /// Their duration, and their operations: [`TimedScheduler`](super::timed::TimedScheduler).
    Timed,
    /// User space: [`ManualScheduler`](super::manual::ManualScheduler).
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
pub(crate) struct QueuePolicy {
    /// Bound on the time of a job, in ns; `None` when there is none.
    pub(crate) timeout: Option<u64>,
    pub(crate) on_in_fence_error: InFencePolicy,
    pub(crate) on_timeout: TimeoutPolicy,
    /// How fast the engine may run to meet a deadline, in percent of its usual speed, 100 at least.
    pub(crate) boost_percent: u64,
}

/// How long jobs run, in ns; each job draws a duration from `min` to `max`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurationRange {
    pub(crate) min: u64,
    /// At most `min`, such as 0, for exactly `min`.
    pub(crate) max: u64,
}

/// The in-fences of a job when it is submitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InFenceState {
    /// Whether some have not signalled: the job starts after
    /// [`TimedScheduler::ready`](super::timed::TimedScheduler::ready).
    pub(crate) pending: bool,
    /// The error of one that has signalled, a negative errno; 0 if there is none.
    pub(crate) error: i32,
}

/// A job that was submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub(crate) seqno: u64,
    /// Whether no other job is pending.
    pub(crate) is_head: bool,
}

/// What is remembered of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobRecord {
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
pub(crate) struct CompletedJob<D, S> {
    pub(crate) seqno: u64,
    pub(crate) record: JobRecord,
    /// Whether user space wants to be told.
    pub(crate) event: bool,
    /// The caller's.
    pub(crate) data: D,
    /// RingMemory that is not needed any more.
    pub(crate) segment: Option<S>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    /// It waits: for its turn, for in-fences, for user space.
    Pending(JobRecord),
    /// It runs.
    Running(JobRecord),
    /// It has ended.
    Completed(JobRecord),
    /// It has ended too long ago.
    Forgotten,
    /// There is no such job yet.
    Unknown,
}

/// How many there were of what, since the queue was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Jobs that ended with an error.
    pub(crate) errors: u64,
    /// Jobs that took too long.
    pub(crate) timeouts: u64,
    pub(crate) resets: u64,
    /// Jobs that something was done to, by the number of the fault's kind.
    pub(crate) faults: [u64; FaultKind::COUNT],
}

/// Why a job ends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
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
pub(crate) struct Outcome {
    /// When that is to be noticed.
    pub(crate) due: u64,
    /// When it ends; not after `due`.
    pub(crate) end: u64,
    pub(crate) error: i32,
    pub(crate) cause: Cause,
}

/// Returns how user space sees a deadline.
pub(crate) fn shown(deadline: u64) -> u64 {
    match deadline {
        NEVER => 0,
        deadline => deadline,
    }
}

/// What knows when it is wanted.
pub(crate) trait HasDeadline {
    /// Returns the earliest deadline that it was given, or `u64::MAX`.
    fn deadline(&self) -> u64;
}

/// What the caller keeps with a job, and the part of it that all jobs have: jobs that take no time have nothing else.
pub(crate) trait JobData: Sized {
    /// That part. Where it is all that there is, deadlines are kept with it: for such jobs nobody has to ask the machine.
    type Fence: HasDeadline;

    /// Returns the part.
    fn fence_mut(&mut self) -> &mut Self::Fence;

    /// Returns what has nothing else.
    fn from_fence(fence: Self::Fence) -> Self;
}
