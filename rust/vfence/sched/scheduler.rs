// SPDX-License-Identifier: GPL-2.0

//! The scheduler of a queue, of either kind.
//!
//! [`TimedScheduler`] is for jobs that take time, [`ManualScheduler`] for jobs that user space
//! completes. A manual job needs half the memory of a timed job, and less time to submit and to
//! complete. [`Scheduler`] has the methods that mean something for both kinds; the others are
//! reached through [`Scheduler::timed_mut`] and [`Scheduler::manual_mut`], so that the caller
//! states what happens for the other kind.
//!
//! A timeout or an in-fence's error *stops* a queue whose [`QueuePolicy`] says so. A stopped queue
//! ends each of its jobs with `-ECANCELED`, without running it or waiting for anything, until it is
//! reset. A queue whose device is *lost* does the same with another error, for good.

use super::{
    job_table::JobTable,
    manual::{
        ManualScheduler,
        ManualSlot, //
    },
    ring::RingMemory,
    timed::{
        TimedScheduler,
        TimedSlot, //
    },
    types::{
        CompletedJob,
        JobData,
        JobRecord,
        JobState,
        QueuePolicy,
        SchedulerKind,
        Totals, //
    },
};
use core::ops::DerefMut;

/// A segment of slots for the jobs of a scheduler.
pub(crate) enum JobSegment<D: JobData, M: RingMemory> {
    Timed(M::Segment<TimedSlot<D>>),
    Manual(M::Segment<ManualSlot<D::Fence>>),
}

/// The scheduler of a queue.
///
/// `D` is the driver's data of a job, `M` the memory of the slots. The length of `H`, a power of
/// two or 0, is the number of records that are kept of jobs that have ended.
// A box would cost each access a pointer, and a queue has one scheduler.
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

/// Evaluates an expression with the scheduler of either kind.
macro_rules! either {
    ($self:ident, $scheduler:ident => $e:expr) => {
        match $self {
            Scheduler::Timed($scheduler) => $e,
            Scheduler::Manual($scheduler) => $e,
        }
    };
}

impl<D, M, H> Scheduler<D, M, H>
where
    D: JobData,
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// Creates the scheduler of a queue without jobs, of which at most `max_jobs` are pending at a
    /// time. Random durations are drawn from `seed`.
    ///
    /// Fails as [`RingMemory::directory`] does.
    pub(crate) fn new(
        kind: SchedulerKind,
        policy: QueuePolicy,
        seed: u64,
        max_jobs: usize,
        history: H,
    ) -> Result<Self, M::Error> {
        Ok(match kind {
            SchedulerKind::Timed => {
                let jobs = JobTable::new(&policy, max_jobs, history)?;
                Self::Timed(TimedScheduler::new(&policy, seed, jobs))
            }
            SchedulerKind::Manual => {
                let jobs = JobTable::new(&policy, max_jobs, history)?;
                Self::Manual(ManualScheduler::new(jobs))
            }
        })
    }

    /// Returns a segment for [`Scheduler::add_segment`]. Fails as [`RingMemory::segment`] does.
    pub(crate) fn new_segment(kind: SchedulerKind) -> Result<JobSegment<D, M>, M::Error> {
        Ok(match kind {
            SchedulerKind::Timed => JobSegment::Timed(M::segment()?),
            SchedulerKind::Manual => JobSegment::Manual(M::segment()?),
        })
    }

    /// Adds slots for jobs. Returns `segment` if it is of the other kind, or if there are slots for
    /// the most jobs that may be pending.
    pub(crate) fn add_segment(
        &mut self,
        segment: JobSegment<D, M>,
    ) -> Result<(), JobSegment<D, M>> {
        match (self, segment) {
            (Self::Timed(timed), JobSegment::Timed(segment)) => {
                timed.jobs.add_segment(segment).map_err(JobSegment::Timed)
            }
            (Self::Manual(manual), JobSegment::Manual(segment)) => {
                manual.jobs.add_segment(segment).map_err(JobSegment::Manual)
            }
            (_, segment) => Err(segment),
        }
    }

    /// Returns the scheduler of a timed queue, `None` for a manual queue.
    pub(crate) fn timed_mut(&mut self) -> Option<&mut TimedScheduler<D, M, H>> {
        match self {
            Self::Timed(timed) => Some(timed),
            Self::Manual(_) => None,
        }
    }

    /// Returns the scheduler of a manual queue, `None` for a timed queue.
    pub(crate) fn manual_mut(&mut self) -> Option<&mut ManualScheduler<D::Fence, M, H>> {
        match self {
            Self::Timed(_) => None,
            Self::Manual(manual) => Some(manual),
        }
    }

    /// Returns the seqno of the job that was submitted last; 0 if there was none.
    pub(crate) fn submitted(&self) -> u64 {
        either!(self, scheduler => scheduler.submitted())
    }

    /// Returns the seqno of the job that ended last; 0 if there was none.
    pub(crate) fn completed(&self) -> u64 {
        either!(self, scheduler => scheduler.completed())
    }

    /// Returns the number of pending jobs.
    pub(crate) fn pending(&self) -> usize {
        either!(self, scheduler => scheduler.pending())
    }

    /// Returns the number of jobs that run, at most one on a timed queue. All pending jobs of a
    /// manual queue do.
    pub(crate) fn running(&self) -> usize {
        match self {
            Self::Timed(timed) => usize::from(timed.head_has_started()),
            Self::Manual(manual) => manual.pending(),
        }
    }

    /// Returns how many jobs can be submitted before the next call of [`Scheduler::add_segment`].
    pub(crate) fn free_slots(&self) -> usize {
        either!(self, scheduler => scheduler.free_slots())
    }

    /// Returns whether the queue is stopped, or its device lost.
    pub(crate) fn stopped(&self) -> bool {
        either!(self, scheduler => scheduler.stopped())
    }

    /// Returns the timeout in ns, `None` for no bound.
    pub(crate) fn timeout(&self) -> Option<u64> {
        either!(self, scheduler => scheduler.timeout())
    }

    /// Returns the counts since the creation of the queue.
    pub(crate) fn totals(&self) -> &Totals {
        either!(self, scheduler => scheduler.totals())
    }

    /// Returns the time in ns for which jobs have run by the time `now`, the running job included.
    /// The jobs of a manual queue do not run.
    pub(crate) fn busy(&self, now: u64) -> u64 {
        match self {
            Self::Timed(timed) => timed.busy(now),
            Self::Manual(_) => 0,
        }
    }

    /// Returns the optional fence of job `seqno`, or `None` if the job is not pending.
    pub(crate) fn fence_mut(&mut self, seqno: u64) -> Option<&mut D::Fence> {
        match self {
            Self::Timed(timed) => timed.data_mut(seqno).map(D::fence_mut),
            Self::Manual(manual) => manual.fence_mut(seqno),
        }
    }

    /// Returns the earliest time in ns at which [`Scheduler::pop_due`] returns a job, or
    /// [`TimedScheduler::begin_operations`] one that it has not returned before; `None` if only
    /// another call can bring that about.
    pub(crate) fn next_event(&self) -> Option<u64> {
        either!(self, scheduler => scheduler.next_event())
    }

    /// Takes the head if an interrupt has reported its end by the time `now`. The caller repeats
    /// the call until it returns `None`.
    pub(crate) fn pop_due(&mut self, now: u64) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(timed) => timed.pop_due(now).map(CompletedJob::from_timed),
            Self::Manual(manual) => manual.pop_due(now).map(CompletedJob::from_manual),
        }
    }

    /// Takes the head if it has ended by the time `now`, even if its interrupt was dropped. The
    /// caller repeats the call until it returns `None`.
    pub(crate) fn pop_ended(&mut self, now: u64) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(timed) => timed.pop_ended(now).map(CompletedJob::from_timed),
            // No interrupt of a manual queue is dropped.
            Self::Manual(manual) => manual.pop_due(now).map(CompletedJob::from_manual),
        }
    }

    /// Ends the head with `-ECANCELED`, to close the queue. The caller repeats the call until it
    /// returns `None`, after [`Scheduler::pop_ended`] has returned `None`.
    pub(crate) fn cancel(&mut self, now: u64) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(timed) => timed.cancel(now).map(CompletedJob::from_timed),
            Self::Manual(manual) => manual.cancel(now).map(CompletedJob::from_manual),
        }
    }

    /// Ends the head with `error`, a negative errno other than `-ECANCELED`, because the device is
    /// lost: so do all later jobs, and no reset restarts the queue. The caller repeats the call
    /// until it returns `None`, after [`Scheduler::pop_ended`] has returned `None`.
    pub(crate) fn lose(
        &mut self,
        now: u64,
        error: i32,
    ) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(timed) => timed.lose(now, error).map(CompletedJob::from_timed),
            Self::Manual(manual) => manual.lose(now, error).map(CompletedJob::from_manual),
        }
    }

    /// Resets the queue at the time `now`, after [`Scheduler::pop_ended`] has returned `None`:
    /// cancels the running job, which is returned, and restarts a stopped queue. No job of a manual
    /// queue runs.
    pub(crate) fn reset(&mut self, now: u64) -> Option<CompletedJob<D, JobSegment<D, M>>> {
        match self {
            Self::Timed(timed) => timed.reset(now).map(CompletedJob::from_timed),
            Self::Manual(manual) => {
                manual.reset();
                None
            }
        }
    }

    /// Returns the state of job `seqno` at the time `now`.
    pub(crate) fn state(&self, now: u64, seqno: u64) -> JobState {
        match self {
            Self::Timed(timed) => timed.state(now, seqno),
            Self::Manual(manual) => manual.state(seqno),
        }
    }
}

impl<D: JobData, M: RingMemory> CompletedJob<D, JobSegment<D, M>> {
    /// Converts a completed job of a timed queue.
    fn from_timed(job: CompletedJob<D, M::Segment<TimedSlot<D>>>) -> Self {
        Self {
            seqno: job.seqno,
            record: job.record,
            event: job.event,
            data: job.data,
            segment: job.segment.map(JobSegment::Timed),
        }
    }

    /// Converts a completed job of a manual queue.
    pub(crate) fn from_manual(
        job: CompletedJob<D::Fence, M::Segment<ManualSlot<D::Fence>>>,
    ) -> Self {
        Self {
            seqno: job.seqno,
            record: job.record,
            event: job.event,
            data: D::from_fence(job.data),
            segment: job.segment.map(JobSegment::Manual),
        }
    }
}
