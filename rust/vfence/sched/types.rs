// SPDX-License-Identifier: GPL-2.0

//! The types that both schedulers share: policies, job records and states, totals.

use super::fault_plan::FaultKind;

/// The error of a cancelled job, `-ECANCELED`.
pub(crate) const CANCELED: i32 = -125;
/// The error of a job that exceeded its timeout, `-ETIMEDOUT`.
pub(crate) const TIMED_OUT: i32 = -110;

/// A time later than all others.
pub(crate) const NEVER: u64 = u64::MAX;

/// Selects the scheduler of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SchedulerKind {
    /// Jobs take time: [`TimedScheduler`](super::timed::TimedScheduler).
    Timed,
    /// User space completes the jobs: [`ManualScheduler`](super::manual::ManualScheduler).
    Manual,
}

/// The effect of an in-fence's error on the job that waits for the in-fence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum InFencePolicy {
    /// The job completes with the error and does not run.
    Propagate,
    /// The job runs.
    Ignore,
    /// Like [`InFencePolicy::Propagate`], and the queue stops.
    Cancel,
}

/// The effect of a job's timeout on the jobs behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeoutPolicy {
    /// The queue resets itself and continues with the next job.
    Continue,
    /// The queue stops.
    Cancel,
}

/// The behaviour that the creator of a queue chooses.
#[derive(Clone, Copy, Debug)]
pub(crate) struct QueuePolicy {
    /// The longest time in ns that a timed job may be the head, or a manual job pending; `None` for
    /// no bound.
    pub(crate) timeout: Option<u64>,
    pub(crate) on_in_fence_error: InFencePolicy,
    pub(crate) on_timeout: TimeoutPolicy,
    /// The highest speed at which the engine executes a job to meet its deadline, in percent of the
    /// usual speed; at least 100.
    pub(crate) boost_percent: u64,
}

/// The range from which the duration of a job is drawn, in ns; `min` and `max` are included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct DurationRange {
    pub(crate) min: u64,
    /// A value of at most `min`, such as 0, makes the duration exactly `min`.
    pub(crate) max: u64,
}

/// The in-fences of a job at its submission.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InFenceState {
    /// Whether an in-fence has not signalled. The job then waits for
    /// [`TimedScheduler::ready`](super::timed::TimedScheduler::ready).
    pub(crate) pending: bool,
    /// The first error of the in-fences that have signalled, a negative errno; 0 for none.
    pub(crate) error: i32,
}

/// The result of a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Submitted {
    pub(crate) seqno: u64,
    /// Whether the job is the head: no other job is pending.
    pub(crate) is_head: bool,
}

/// A queue's record of a job. Times are in ns.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct JobRecord {
    pub(crate) submitted: u64,
    /// When the job started to run; 0 if it did not.
    pub(crate) start: u64,
    /// When the job ended; 0 if it has not.
    pub(crate) end: u64,
    /// The earliest deadline of the job; 0 if it has none.
    pub(crate) deadline: u64,
    /// 0, or a negative errno.
    pub(crate) error: i32,
    /// The [`FaultKind::bit`]s of the faults that were injected into the job.
    pub(crate) faults: u32,
    /// The result of the job's operations; 0 if it has none, or failed.
    pub(crate) result: u64,
}

/// Returns [`JobRecord::deadline`] for an earliest deadline, [`NEVER`] if there is none.
pub(super) fn recorded_deadline(earliest: u64) -> u64 {
    match earliest {
        NEVER => 0,
        // 0 stands for no deadline.
        0 => 1,
        deadline => deadline,
    }
}

/// A job that has ended and left its queue.
#[derive(Debug)]
pub(crate) struct CompletedJob<D, S> {
    pub(crate) seqno: u64,
    pub(crate) record: JobRecord,
    /// Whether user space requested an event.
    pub(crate) event: bool,
    /// The driver's data of the job, or the fence of a manual job.
    pub(crate) data: D,
    /// A segment that the queue no longer needs, for the caller to free.
    pub(crate) segment: Option<S>,
}

/// The progress of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobState {
    /// The job waits: for its turn, for in-fences, or for user space.
    Pending(JobRecord),
    Running(JobRecord),
    Completed(JobRecord),
    /// The job has completed and its record was overwritten.
    Forgotten,
    /// No job with this seqno was submitted.
    Unknown,
}

/// Counts since the creation of a queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    /// Jobs that ended with an error.
    pub(crate) errors: u64,
    /// Jobs that exceeded the timeout.
    pub(crate) timeouts: u64,
    /// Resets by user space, and those that [`TimeoutPolicy::Continue`] implies.
    pub(crate) resets: u64,
    /// Jobs with a fault, indexed by [`FaultKind`].
    pub(crate) faults: [u64; FaultKind::COUNT],
}

/// The cause of a job's end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Cause {
    /// The job is done, user space signalled it, or a reset or a stopped queue cancelled it.
    Other,
    /// An in-fence failed.
    InFence,
    /// The job exceeded the timeout.
    Timeout,
    /// The queue is being closed.
    Closed,
}

/// The end of the head if nothing else happens to the head before. Times are in ns.
#[derive(Clone, Copy)]
pub(super) struct Outcome {
    /// When an interrupt reports the end.
    pub(super) due: u64,
    /// When the head ends, at most `due`. It is less if the interrupt of the end is dropped.
    pub(super) end: u64,
    /// 0, or a negative errno.
    pub(super) error: i32,
    pub(super) cause: Cause,
}

/// A fence that keeps the deadlines that its waiters set.
pub(crate) trait HasDeadline {
    /// Returns the earliest deadline in ns, or [`NEVER`] if there is none.
    fn deadline(&self) -> u64;
}

/// The driver's data of a job, of which the optional fence is a part.
pub(crate) trait JobData: Sized {
    /// The optional fence, which is all the data of a manual job. It keeps the deadlines of a
    /// manual job; [`TimedScheduler`](super::timed::TimedScheduler) keeps those of a timed job.
    type Fence: HasDeadline;

    /// Returns the fence of the job.
    fn fence_mut(&mut self) -> &mut Self::Fence;

    /// Returns data that consist of `fence` alone.
    fn from_fence(fence: Self::Fence) -> Self;
}
