// SPDX-License-Identifier: GPL-2.0

//! The decisions of a queue whose jobs take no time: they end when user space says so, in their order, or after the watchdog's
//! time.
//!
//! ```text
//!              submitted                                signal
//!          ────────┼──────────────────────────────────────┼──
//!                  │<-------------- at most `timeout` -------------->│ -ETIMEDOUT
//! ```

use super::{
    history::History,
    ring::{
        Ring, //
        RingMemory,
    },
    types::{
        shown,
        Cause,
        CompletedJob,
        HasDeadline,
        JobRecord,
        JobState,
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

/// A job as it is submitted; `F` is what the caller keeps with it.
pub(crate) struct ManualJob<F> {
    /// The error to complete with, or 0.
    pub(crate) error: i32,
    /// Whether user space wants to be told of its end.
    pub(crate) event: bool,
    /// The caller's.
    pub(crate) fence: F,
}

/// A job that is pending.
pub(crate) struct ManualSlot<F> {
    submitted: u64,
    fence: F,
    error: i32,
    event: bool,
}

impl<F: HasDeadline> ManualSlot<F> {
    /// Makes a job pending.
    #[inline]
    fn new(submitted: u64, job: ManualJob<F>) -> Self {
        Self {
            submitted,
            fence: job.fence,
            error: job.error,
            event: job.event,
        }
    }

    /// Returns whether it was submitted at the time `since` or later, has no error of its own, and nobody wants to be told of its end.
    #[inline]
    fn is_plain(&self, since: u64) -> bool {
        !self.event && self.error == 0 && self.submitted >= since
    }

    /// Returns what there is to remember of it, with the deadline as it is.
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

/// Returns what others are told of a job, given what is remembered.
fn reported(record: JobRecord) -> JobRecord {
    let deadline = match record.deadline {
        // 0 stands for none.
        0 => 1,
        deadline => shown(deadline),
    };
    JobRecord { deadline, ..record }
}

/// A job that there was no place for is given back.
impl<F> From<ManualSlot<F>> for ManualJob<F> {
    fn from(slot: ManualSlot<F>) -> Self {
        Self {
            error: slot.error,
            event: slot.event,
            fence: slot.fence,
        }
    }
}

/// What was kept with a job, and memory that is not needed any more.
type Taken<F, M> = (F, Option<<M as RingMemory>::Segment<ManualSlot<F>>>);

/// The jobs of one queue that are pending; `F` is what the caller keeps with each.
///
/// # Invariants
///
/// Submission times do not decrease from one job to the next.
pub(crate) struct ManualScheduler<F, M, H>
where
    F: HasDeadline,
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// The bound on the time of a job; [`NEVER`] if there is none.
    timeout: u64,
    on_timeout: TimeoutPolicy,
    pub(crate) jobs: Ring<ManualSlot<F>, M>,
    history: History<H>,
    /// When the last job was submitted.
    last_submitted: u64,
    /// When the last job ended.
    last_end: u64,
    stopped: bool,
    totals: Totals,
}

impl<F, M, H> ManualScheduler<F, M, H>
where
    F: HasDeadline,
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// Creates the machine of a queue that has had no job yet. `directory` is as [`Ring::new`] wants it.
    pub(crate) fn new(
        policy: &QueuePolicy,
        directory: M::Directory<ManualSlot<F>>,
        history: History<H>,
    ) -> Self {
        // INVARIANT: Nothing is pending.
        Self {
            timeout: policy.timeout.unwrap_or(NEVER),
            on_timeout: policy.on_timeout,
            jobs: Ring::new(directory, 1),
            history,
            last_submitted: 0,
            last_end: 0,
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
        (self.timeout != NEVER).then_some(self.timeout)
    }

    /// Returns how many there were of what.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Returns what the caller keeps with job `seqno`, if that is pending.
    pub(crate) fn fence_mut(&mut self, seqno: u64) -> Option<&mut F> {
        self.jobs.get_mut(seqno).map(|slot| &mut slot.fence)
    }

    /// Appends a job at the time `now` and returns its sequence number.
    ///
    /// Gives the job back if there is no room.
    #[inline]
    pub(crate) fn submit(
        &mut self,
        now: u64,
        job: ManualJob<F>,
    ) -> Result<Submitted, ManualJob<F>> {
        // INVARIANT: It is not earlier than those before.
        let submitted = self.last_submitted.max(now);
        let seqno = self.jobs.push(ManualSlot::new(submitted, job))?;
        self.last_submitted = submitted;
        let is_head = seqno == self.jobs.first();
        Ok(Submitted { seqno, is_head })
    }

    /// Returns when the next job ends if user space does nothing, with which error, and why.
    fn outcome(&self) -> Option<(u64, i32, Cause)> {
        let head = self.jobs.get(self.jobs.first())?;
        if self.stopped {
            let since = self.last_end.max(head.submitted);
            return Some((since, CANCELED, Cause::Other));
        }
        let bound = head.submitted.saturating_add(self.timeout);
        (bound != NEVER).then_some((bound, TIMED_OUT, Cause::Timeout))
    }

    /// Returns the time at which [`ManualScheduler::pop_due`] has something to do next.
    pub(crate) fn next_event(&self) -> Option<u64> {
        self.outcome().map(|(due, ..)| due)
    }

    /// Takes the next job that has ended by itself by the time `now`; to be called until it returns `None`.
    pub(crate) fn pop_due(
        &mut self,
        now: u64,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        match self.outcome() {
            Some((due, error, cause)) if due <= now => self.end_head(due, Some(error), cause),
            _ => None,
        }
    }

    /// Completes the next job up to `seqno`, with `error`, or if that is 0 with the job's own;
    /// to be called until it returns `None`.
    pub(crate) fn signal(
        &mut self,
        now: u64,
        seqno: u64,
        error: i32,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        if self.jobs.first() > seqno {
            return None;
        }
        if let Some(ended) = self.pop_due(now) {
            return Some(ended);
        }
        self.end_head(now, (error != 0).then_some(error), Cause::Other)
    }

    /// Completes the next job, as [`ManualScheduler::signal`] does. Returns what is kept with it, and memory that is not
    /// needed any more. Leaves to that function whatever needs more thought: see [`ManualScheduler::signal_run`].
    // What it returns is not to be moved.
    #[inline(always)]
    pub(crate) fn signal_next(&mut self, now: u64, error: i32) -> Option<Taken<F, M>> {
        if self.stopped || now < self.last_end {
            return None;
        }
        let (seqno, timeout) = (self.jobs.first(), self.timeout);
        // One that was submitted later than `now`, by a clock that is ahead, seems to be very old, if there is a bound at all.
        let plain =
            |slot: &ManualSlot<F>| slot.is_plain(0) && now.wrapping_sub(slot.submitted) < timeout;
        let (slot, segment) = self.jobs.pop_if(plain)?;
        self.history.keep(seqno, || slot.record(now, error));
        self.last_end = now;
        self.totals.errors += u64::from(error != 0);
        Some((slot.fence, segment))
    }

    /// Returns since when jobs must have been submitted not to have timed out by the time `now`, if user space can complete any.
    #[inline]
    fn plain_since(&self, now: u64) -> Option<u64> {
        if self.stopped || now < self.last_end {
            return None;
        }
        Some(now.checked_sub(self.timeout).map_or(0, |since| since + 1))
    }

    /// Completes some jobs at once, [`SEGMENT_LEN`](super::ring::SEGMENT_LEN) of them or fewer, as [`ManualScheduler::signal`] does one: as long as `wanted` says so of their
    /// numbers and what is kept with them. Gives that to `done`; returns memory that is not needed any more.
    ///
    /// Leaves to that function whatever needs more thought: jobs that have timed out, those with an error of their own, and those whose
    /// end user space wants to be told.
    pub(crate) fn signal_run(
        &mut self,
        now: u64,
        error: i32,
        wanted: impl Fn(u64, &F) -> bool,
        mut done: impl FnMut(u64, F),
    ) -> Option<M::Segment<ManualSlot<F>>> {
        let since = self.plain_since(now)?;
        let mut count = 0;
        let segment = self.jobs.pop_run(
            |seqno, slot| slot.is_plain(since) && wanted(seqno, &slot.fence),
            |seqno, slot| {
                self.history.keep(seqno, || slot.record(now, error));
                count += 1;
                done(seqno, slot.fence);
            },
        );
        if count > 0 {
            self.last_end = now;
        }
        if error != 0 {
            self.totals.errors += count;
        }
        segment
    }

    /// Ends the next job that is pending with `error`; to be called until it returns `None`, after
    /// [`ManualScheduler::pop_due`] has taken what has ended by itself.
    pub(crate) fn cancel(
        &mut self,
        now: u64,
        error: i32,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        self.end_head(now, Some(error), Cause::Closed)
    }

    /// Resets the queue, once [`ManualScheduler::pop_due`] has taken what has ended by then: lets a stopped queue go on.
    pub(crate) fn reset(&mut self) {
        self.totals.resets += 1;
        self.stopped = false;
    }

    /// Returns where job `seqno` stands.
    pub(crate) fn state(&self, seqno: u64) -> JobState {
        if seqno == 0 || seqno >= self.jobs.next() {
            return JobState::Unknown;
        }
        match self.jobs.get(seqno) {
            Some(slot) => JobState::Pending(reported(slot.record(0, 0))),
            None => match self.history.find(seqno, self.jobs.first()) {
                JobState::Completed(record) => JobState::Completed(reported(record)),
                other => other,
            },
        }
    }

    /// Ends the head with `error`, or if that is `None` with its own.
    fn end_head(
        &mut self,
        end: u64,
        error: Option<i32>,
        cause: Cause,
    ) -> Option<CompletedJob<F, M::Segment<ManualSlot<F>>>> {
        let seqno = self.jobs.first();
        let (slot, segment) = self.jobs.pop()?;
        // A caller's clock that went backwards must not let a job end before its predecessor, or its submission.
        let end = end.max(self.last_end).max(slot.submitted);
        self.last_end = end;
        let error = error.unwrap_or(slot.error);
        let record = slot.record(end, error);
        self.history.keep(seqno, || record);
        self.totals.errors += u64::from(error != 0);
        match cause {
            Cause::Timeout => {
                self.totals.timeouts += 1;
                match self.on_timeout {
                    TimeoutPolicy::Cancel => self.stopped = true,
                    TimeoutPolicy::Continue => self.totals.resets += 1,
                }
            }
            // Those behind it are not waited for any more.
            Cause::Closed => self.stopped = true,
            Cause::InFence | Cause::Other => {}
        }
        Some(CompletedJob {
            seqno,
            record: reported(record),
            event: slot.event,
            data: slot.fence,
            segment,
        })
    }
}
