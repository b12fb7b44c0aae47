// SPDX-License-Identifier: GPL-2.0

//! The scheduler of jobs that user space completes.
//!
//! The jobs of a manual queue take no time and wait for nothing. They end in the order of their
//! submission: when user space signals them, or at the timeout.
//!
//! ```text
//!              submitted                                signal
//!          ────────┼──────────────────────────────────────┼──
//!                  │<-------------- at most `timeout` -------------->│ -ETIMEDOUT
//! ```
//!
//! A *plain* job has no error of its own and no event. [`ManualScheduler::signal_next`] and
//! [`ManualScheduler::signal_run`] complete plain jobs that have not timed out, in less time than
//! [`ManualScheduler::signal`] takes for any job.

use super::{
    job_table::JobTable,
    ring::RingMemory,
    types::{
        recorded_deadline,
        Cause,
        CompletedJob,
        HasDeadline,
        JobRecord,
        JobState,
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

/// A job to submit; `F` is its optional fence.
pub(crate) struct ManualJob<F> {
    /// The error of the job if user space signals it without one, a negative errno; 0 for none.
    pub(crate) error: i32,
    /// Whether user space requested an event.
    pub(crate) event: bool,
    pub(crate) fence: F,
}

/// A pending job.
pub(crate) struct ManualSlot<F> {
    /// In ns.
    submitted: u64,
    fence: F,
    error: i32,
    event: bool,
}

impl<F: HasDeadline> ManualSlot<F> {
    #[inline]
    fn new(submitted: u64, job: ManualJob<F>) -> Self {
        Self {
            submitted,
            fence: job.fence,
            error: job.error,
            event: job.event,
        }
    }

    #[inline]
    fn is_plain(&self) -> bool {
        !self.event && self.error == 0
    }

    /// Returns the record of the job, in which the deadline is that of the fence.
    #[inline]
    fn record(&self, end: u64, error: i32) -> JobRecord {
        JobRecord {
            submitted: self.submitted,
            end,
            deadline: self.fence.deadline(),
            error,
            ..JobRecord::default()
        }
    }
}

impl<F> From<ManualSlot<F>> for ManualJob<F> {
    fn from(slot: ManualSlot<F>) -> Self {
        Self {
            error: slot.error,
            event: slot.event,
            fence: slot.fence,
        }
    }
}

/// Returns a record of [`ManualSlot::record`] with the deadline as [`JobRecord`] defines it.
///
/// The history keeps the deadlines of fences, so that signalling a job does not convert them.
fn with_recorded_deadline(record: JobRecord) -> JobRecord {
    JobRecord {
        deadline: recorded_deadline(record.deadline),
        ..record
    }
}

/// A fence, and a segment that the queue no longer needs, for the caller to free.
type FenceAndSegment<F, M> = (F, Option<<M as RingMemory>::Segment<ManualSlot<F>>>);

/// The scheduler of a queue whose jobs user space completes; `F` is the optional fence of a job.
///
/// # Invariants
///
/// The submission times of `jobs` do not decrease from one job to the next.
pub(crate) struct ManualScheduler<F, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    pub(super) jobs: JobTable<ManualSlot<F>, M, H>,
    /// When the last job ended, in ns.
    last_end: u64,
}

impl<F, M, H> Deref for ManualScheduler<F, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    type Target = JobTable<ManualSlot<F>, M, H>;

    fn deref(&self) -> &Self::Target {
        &self.jobs
    }
}

impl<F, M, H> ManualScheduler<F, M, H>
where
    F: HasDeadline,
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// Creates the scheduler of a queue without jobs.
    pub(super) fn new(jobs: JobTable<ManualSlot<F>, M, H>) -> Self {
        // INVARIANT: No job is pending.
        Self { jobs, last_end: 0 }
    }

    /// Returns the optional fence of job `seqno`, or `None` if the job is not pending.
    pub(crate) fn fence_mut(&mut self, seqno: u64) -> Option<&mut F> {
        self.jobs.pending.get_mut(seqno).map(|slot| &mut slot.fence)
    }

    /// Submits a job at the time `now`. Returns the job if there is no free slot.
    #[inline]
    pub(crate) fn submit(
        &mut self,
        now: u64,
        job: ManualJob<F>,
    ) -> Result<Submitted, ManualJob<F>> {
        // INVARIANT: The submission times do not decrease.
        let submitted = self.jobs.submission_time(now);
        let seqno = self.jobs.pending.push(ManualSlot::new(submitted, job))?;
        let is_head = seqno == self.jobs.pending.first();
        Ok(Submitted { seqno, is_head })
    }

    /// Returns the time in ns at which the head ends unless user space signals it, its error, and
    /// the cause of its end.
    fn head_outcome(&self) -> Option<(u64, i32, Cause)> {
        let head = self.jobs.head()?;
        if self.jobs.stopped() {
            let end = self.last_end.max(head.submitted);
            return Some((end, self.jobs.stop_error, Cause::Other));
        }
        let bound = head.submitted.saturating_add(self.jobs.timeout);
        (bound != NEVER).then_some((bound, TIMED_OUT, Cause::Timeout))
    }

    /// Returns the earliest time in ns at which [`ManualScheduler::pop_due`] returns a job; `None`
    /// if only another call can bring that about.
    pub(crate) fn next_event(&self) -> Option<u64> {
        self.head_outcome().map(|(end, ..)| end)
    }

    /// Takes the head if it has timed out by the time `now`, or the queue is stopped. The caller
    /// repeats the call until it returns `None`.
    pub(crate) fn pop_due(
        &mut self,
        now: u64,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        match self.head_outcome() {
            Some((end, error, cause)) if end <= now => self.end_head(end, Some(error), cause),
            _ => None,
        }
    }

    /// Completes the head if its seqno is at most `last`, with `error`, a negative errno, or with
    /// the job's own error if `error` is 0. The caller repeats the call until it returns `None`.
    pub(crate) fn signal(
        &mut self,
        now: u64,
        last: u64,
        error: i32,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        if self.jobs.pending.first() > last {
            return None;
        }
        if let Some(timed_out) = self.pop_due(now) {
            return Some(timed_out);
        }
        self.end_head(now, (error != 0).then_some(error), Cause::Other)
    }

    /// Completes the head with `error`, a negative errno or 0, if the head is plain and has not
    /// timed out. Otherwise does nothing: the head is for [`ManualScheduler::signal`].
    // Inline, so that the caller moves the fence once.
    #[inline(always)]
    pub(crate) fn signal_next(&mut self, now: u64, error: i32) -> Option<FenceAndSegment<F, M>> {
        if self.jobs.stopped() || now < self.last_end {
            return None;
        }
        let (seqno, timeout) = (self.jobs.pending.first(), self.jobs.timeout);
        // The difference is huge if `submitted` is after `now`, by a clock of another CPU that is
        // ahead. Then `signal()` completes the job.
        let wanted =
            |slot: &ManualSlot<F>| slot.is_plain() && now.wrapping_sub(slot.submitted) < timeout;
        let (slot, segment) = self.jobs.pending.pop_if(wanted)?;
        self.jobs.history.keep(seqno, || slot.record(now, error));
        self.last_end = now;
        self.jobs.totals.errors += u64::from(error != 0);
        Some((slot.fence, segment))
    }

    /// Completes jobs from the head on, up to the end of a segment, with `error`, a negative errno
    /// or 0: as long as they are plain and have not timed out, and `wanted` returns true for their
    /// seqno and fence. Passes seqno and fence of each to `completed`. The job after those is for
    /// the next call, or for [`ManualScheduler::signal`].
    ///
    /// Returns a segment that the queue no longer needs, for the caller to free.
    pub(crate) fn signal_run(
        &mut self,
        now: u64,
        error: i32,
        wanted: impl Fn(u64) -> bool,
        mut completed: impl FnMut(u64, F),
    ) -> Option<M::Segment<ManualSlot<F>>> {
        if self.jobs.stopped() || now < self.last_end {
            return None;
        }
        // The submission time of the oldest job that has not timed out.
        let since = now
            .checked_sub(self.jobs.timeout)
            .map_or(0, |since| since + 1);
        let mut count = 0;
        let segment = self.jobs.pending.pop_run(
            |seqno, slot| slot.is_plain() && slot.submitted >= since && wanted(seqno),
            |seqno, slot| {
                self.jobs.history.keep(seqno, || slot.record(now, error));
                count += 1;
                completed(seqno, slot.fence);
            },
        );
        if count > 0 {
            self.last_end = now;
        }
        if error != 0 {
            self.jobs.totals.errors += count;
        }
        segment
    }

    /// Ends the head with `-ECANCELED`, to close the queue. The caller repeats the call until it
    /// returns `None`, after [`ManualScheduler::pop_due`] has returned `None`.
    pub(crate) fn cancel(
        &mut self,
        now: u64,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        self.end_head(now, Some(CANCELED), Cause::Closed)
    }

    /// Ends the head with `error`, a negative errno other than `-ECANCELED`, because the device is
    /// lost: so do all later jobs, and no reset restarts the queue. The caller repeats the call
    /// until it returns `None`, after [`ManualScheduler::pop_due`] has returned `None`.
    pub(crate) fn lose(
        &mut self,
        now: u64,
        error: i32,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        self.jobs.stop_error = error;
        self.end_head(now, Some(error), Cause::Other)
    }

    /// Resets the queue, after [`ManualScheduler::pop_due`] has returned `None`: restarts a stopped
    /// queue.
    pub(crate) fn reset(&mut self) {
        self.jobs.totals.resets += 1;
        self.jobs.restart();
    }

    /// Returns the state of job `seqno`.
    pub(crate) fn state(&self, seqno: u64) -> JobState {
        match self.jobs.find(seqno) {
            Ok(slot) => JobState::Pending(with_recorded_deadline(slot.record(0, 0))),
            Err(JobState::Completed(record)) => JobState::Completed(with_recorded_deadline(record)),
            Err(state) => state,
        }
    }

    /// Ends the head with `error`, a negative errno or 0, or with its own error if that is `None`.
    fn end_head(
        &mut self,
        end: u64,
        error: Option<i32>,
        cause: Cause,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        let seqno = self.jobs.pending.first();
        let (slot, segment) = self.jobs.pending.pop()?;
        // Neither before the end of the previous job nor before the submission of this job, even if
        // the caller's clock went backwards.
        let end = end.max(self.last_end).max(slot.submitted);
        self.last_end = end;
        let error = error.unwrap_or(slot.error);
        let record = slot.record(end, error);
        self.jobs.history.keep(seqno, || record);
        self.jobs.count_end(error, cause);
        Some(CompletedJob {
            seqno,
            record: with_recorded_deadline(record),
            event: slot.event,
            data: slot.fence,
            segment,
        })
    }
}
