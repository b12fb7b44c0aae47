// SPDX-License-Identifier: GPL-2.0

//! The job table of a queue, common to schedulers of both kinds: the slots of the pending jobs, the
//! records of those that ended last, and totals.

use super::{
    history::History,
    ring::{
        Ring,
        RingMemory, //
    },
    types::{
        Cause,
        JobRecord,
        JobState,
        QueuePolicy,
        TimeoutPolicy,
        Totals,
        CANCELED,
        NEVER, //
    },
};
use core::ops::DerefMut;

/// The jobs of a queue; `T` is the slot of a pending job.
///
/// # Invariants
///
/// `last_submitted` is the latest submission time that [`JobTable::submission_time`] returned.
pub(crate) struct JobTable<T, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// The pending jobs by seqno.
    pub(super) pending: Ring<T, M>,
    /// The records of the jobs that ended last.
    pub(super) history: History<H>,
    /// In ns; [`NEVER`] for no bound.
    pub(super) timeout: u64,
    on_timeout: TimeoutPolicy,
    /// In ns.
    last_submitted: u64,
    /// The error with which each job ends as soon as it is the head: `-ECANCELED` if the queue is
    /// stopped, another one if its device is lost; 0 if jobs run.
    pub(super) stop_error: i32,
    pub(super) totals: Totals,
}

impl<T, M, H> JobTable<T, M, H>
where
    M: RingMemory,
    H: DerefMut<Target = [JobRecord]>,
{
    /// Creates a table without jobs, of which at most `max_jobs` are pending at a time.
    ///
    /// Fails as [`RingMemory::directory`] does.
    pub(super) fn new(policy: &QueuePolicy, max_jobs: usize, history: H) -> Result<Self, M::Error> {
        let directory = M::directory(Ring::<T, M>::directory_len(max_jobs))?;
        // INVARIANT: No job was submitted.
        Ok(Self {
            pending: Ring::new(directory, 1),
            history: History(history),
            timeout: policy.timeout.unwrap_or(NEVER),
            on_timeout: policy.on_timeout,
            last_submitted: 0,
            stop_error: 0,
            totals: Totals::default(),
        })
    }

    /// Returns the seqno of the job that was submitted last; 0 if there was none.
    pub(crate) fn submitted(&self) -> u64 {
        self.pending.next() - 1
    }

    /// Returns the seqno of the job that ended last; 0 if there was none.
    pub(crate) fn completed(&self) -> u64 {
        self.pending.first() - 1
    }

    /// Returns the number of pending jobs.
    pub(crate) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Returns how many jobs can be submitted before the next call of [`JobTable::add_segment`].
    pub(crate) fn free_slots(&self) -> usize {
        self.pending.free_slots()
    }

    /// Adds slots for jobs. Returns `segment` if the table has slots for the most jobs that may be
    /// pending.
    pub(super) fn add_segment(&mut self, segment: M::Segment<T>) -> Result<(), M::Segment<T>> {
        self.pending.add_segment(segment)
    }

    /// Returns whether the queue is stopped, or its device lost.
    #[inline]
    pub(crate) fn stopped(&self) -> bool {
        self.stop_error != 0
    }

    /// Stops the queue, unless its device is lost.
    pub(super) fn stop(&mut self) {
        if self.stop_error == 0 {
            self.stop_error = CANCELED;
        }
    }

    /// Restarts a stopped queue, unless its device is lost.
    pub(super) fn restart(&mut self) {
        if self.stop_error == CANCELED {
            self.stop_error = 0;
        }
    }

    /// Returns the timeout in ns, `None` for no bound.
    pub(crate) fn timeout(&self) -> Option<u64> {
        (self.timeout != NEVER).then_some(self.timeout)
    }

    /// Returns the counts since the creation of the queue.
    pub(crate) fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Returns the slot of the oldest pending job.
    #[inline]
    pub(super) fn head(&self) -> Option<&T> {
        self.pending.get(self.pending.first())
    }

    /// Returns the submission time of a job that is submitted at `now`: not before that of the last
    /// job, even if the caller's clock goes backwards.
    #[inline]
    pub(super) fn submission_time(&mut self, now: u64) -> u64 {
        // INVARIANT: No later time was returned before.
        self.last_submitted = self.last_submitted.max(now);
        self.last_submitted
    }

    /// Returns the slot of job `seqno` if the job is pending, or else its state.
    pub(super) fn find(&self, seqno: u64) -> Result<&T, JobState> {
        if seqno == 0 || seqno >= self.pending.next() {
            return Err(JobState::Unknown);
        }
        self.pending
            .get(seqno)
            .ok_or_else(|| self.history.find(seqno, self.pending.first()))
    }

    /// Counts a job that ended with `error`, 0 or a negative errno, and stops the queue if it
    /// is being closed, or if the job timed out and `on_timeout` says so.
    pub(super) fn count_end(&mut self, error: i32, cause: Cause) {
        self.totals.errors += u64::from(error != 0);
        match cause {
            Cause::Timeout => {
                self.totals.timeouts += 1;
                match self.on_timeout {
                    TimeoutPolicy::Cancel => self.stop(),
                    TimeoutPolicy::Continue => self.totals.resets += 1,
                }
            }
            Cause::Closed => self.stop(),
            Cause::InFence | Cause::Other => {}
        }
    }
}
