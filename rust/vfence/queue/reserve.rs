// SPDX-License-Identifier: GPL-2.0

//! Reserving slots for jobs before they are published.

use crate::vfence::{
    queue::{
        Queue,
        QueueRef,
        QueueScheduler, //
    },
    refusal::refuse, //
};
use core::borrow::Borrow;
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

/// Consecutive jobs of one queue in a submission, with a slot and a seqno for each.
///
/// It must be dropped with the client's `last_submitted` still held, after its jobs are published
/// or refused.
pub(crate) struct Reservation<Q: Borrow<QueueRef> = QueueRef> {
    queue: Q,
    /// The number of jobs.
    count: usize,
    /// How many of them are counted in [`Queue::staged`].
    staged: u64,
    /// The seqno of the next job.
    seqno: u64,
    /// The seqno of the last job that the ring has a slot for; a lower bound.
    reserved_to: u64,
}

impl<Q: Borrow<QueueRef>> Reservation<Q> {
    /// Begins a reservation after those of the same submission that were
    /// [staged](Reservation::stage). The client's `last_submitted` must be held.
    #[inline]
    pub(crate) fn after_staged(queue: Q) -> Self {
        let staged = queue.borrow().staged.load(Relaxed);
        let mut reservation = Self::new(queue);
        reservation.seqno += staged;
        reservation
    }

    /// Begins the only reservation of a submission. The client's `last_submitted` must be held.
    #[inline]
    pub(crate) fn new(queue: Q) -> Self {
        let of: &Queue = queue.borrow();
        Self {
            count: 0,
            staged: 0,
            seqno: of.submitted() + 1,
            reserved_to: of.reserved_to.load(Relaxed),
            queue,
        }
    }

    /// Returns the queue.
    #[inline]
    pub(crate) fn queue(&self) -> &QueueRef {
        self.queue.borrow()
    }

    /// Returns the number of jobs.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Reserves a slot for one more job and returns its seqno. Fails with `EAGAIN` if the queue is
    /// full, `ENOMEM`.
    #[inline]
    pub(crate) fn reserve(&mut self) -> Result<u64> {
        if self.seqno > self.reserved_to {
            self.reserved_to = self.queue().reserve_slots(self.seqno)?;
        }
        let seqno = self.seqno;
        self.count += 1;
        self.seqno += 1;
        Ok(seqno)
    }

    /// Counts the jobs for reservations that begin later in the same submission. No job may be
    /// added after this.
    pub(crate) fn stage(&mut self) {
        let count = self.count as u64 - self.staged;
        let staged = &self.queue.borrow().staged;
        staged.store(staged.load(Relaxed) + count, Relaxed);
        self.staged += count;
    }
}

impl<Q: Borrow<QueueRef>> Drop for Reservation<Q> {
    fn drop(&mut self) {
        if self.staged > 0 {
            let staged = &self.queue.borrow().staged;
            staged.store(staged.load(Relaxed) - self.staged, Relaxed);
        }
    }
}

impl Queue {
    /// Finds or allocates a slot for job `seqno`. Returns the seqno of the last job that there is a
    /// slot for. The client's `last_submitted` must be held: other tasks only free slots.
    ///
    /// Fails with `EAGAIN` if the queue is full, `ENOMEM`.
    fn reserve_slots(&self, seqno: u64) -> Result<u64> {
        loop {
            {
                let mut state = self.state.lock();
                let jobs = &state.jobs;
                // Jobs that are reserved but not published.
                let reserved = seqno.saturating_sub(jobs.submitted() + 1) as usize;
                let max = self.limits.max_jobs as usize;
                let allowed = max.saturating_sub(jobs.pending() + reserved);
                if allowed == 0 {
                    state.wake_pollers = true;
                    drop(state);
                    return Err(self.full());
                }
                let free = jobs.free_slots().saturating_sub(reserved).min(allowed);
                // The caller may fill the queue without another call.
                state.wake_pollers |= free == allowed;
                if free > 0 {
                    let reserved_to = seqno + free as u64 - 1;
                    self.reserved_to.store(reserved_to, Relaxed);
                    return Ok(reserved_to);
                }
            }
            let segment = QueueScheduler::new_segment(self.kind.scheduler_kind())?;
            let refused = self.state.lock().jobs.add_segment(segment);
            // The directory has a place for it unless the queue is full.
            refused.map_err(|_| self.full())?;
        }
    }

    /// Returns the error of a submission to a queue that is full.
    #[cold]
    #[inline(never)]
    fn full(&self) -> Error {
        let (id, max) = (self.id, self.limits.max_jobs);
        refuse!(EAGAIN, "queue {} has max_jobs, {}, pending jobs", id, max)
    }
}
