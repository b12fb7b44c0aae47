// SPDX-License-Identifier: GPL-2.0

//! Jobs on their way into a queue.

use crate::vfence::queue::{
    Queue,
    QueueRef, //
};
use core::borrow::Borrow;
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

/// Jobs of a queue that are being prepared, and the room for them.
///
/// To be dropped, once they are published or given up, with the client's `submitting` still held.
pub(crate) struct Run<Q: Borrow<QueueRef> = QueueRef> {
    queue: Q,
    /// How many jobs there are.
    count: usize,
    /// How many of them later runs know of.
    staged: u64,
    /// The sequence number of the next one.
    seqno: u64,
    /// The last sequence number that there is room for, as far as is known.
    room_to: u64,
}

impl<Q: Borrow<QueueRef>> Run<Q> {
    /// Begins without jobs; to be called with the client's `submitting` held.
    #[inline]
    pub(crate) fn new(queue: Q) -> Self {
        let staged = queue.borrow().staged.load(Relaxed);
        let mut run = Self::only(queue);
        run.seqno += staged;
        run
    }

    /// As [`Run::new`], where there are no other runs.
    #[inline]
    pub(crate) fn only(queue: Q) -> Self {
        let of: &Queue = queue.borrow();
        Self {
            count: 0,
            staged: 0,
            seqno: of.submitted() + 1,
            room_to: of.room_to.load(Relaxed),
            queue,
        }
    }

    /// Returns the queue.
    #[inline]
    pub(crate) fn queue(&self) -> &QueueRef {
        self.queue.borrow()
    }

    /// Returns how many jobs there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Makes room for one more job and returns its sequence number.
    ///
    /// Fails with `EAGAIN` if the queue is full, `ENOMEM`.
    #[inline]
    pub(crate) fn reserve(&mut self) -> Result<u64> {
        if self.seqno > self.room_to {
            self.room_to = self.queue().find_room(self.seqno)?;
        }
        let seqno = self.seqno;
        self.count += 1;
        self.seqno += 1;
        Ok(seqno)
    }

    /// Has the jobs of runs that begin from now on come after these, to which no more come.
    pub(crate) fn stage(&mut self) {
        let staged = self.count as u64 - self.staged;
        let all = &self.queue.borrow().staged;
        all.store(all.load(Relaxed) + staged, Relaxed);
        self.staged += staged;
    }
}

impl<Q: Borrow<QueueRef>> Drop for Run<Q> {
    fn drop(&mut self) {
        if self.staged > 0 {
            let all = &self.queue.borrow().staged;
            all.store(all.load(Relaxed) - self.staged, Relaxed);
        }
    }
}

impl Queue {
    /// Looks how much room there is for the job that will have the number `seqno`, and those behind it, and makes some if there is none.
    /// Returns the last number that there is room for. To be called with the client's `submitting` held: only who submits makes less of it.
    ///
    /// Fails with `EAGAIN` if the queue is full, `ENOMEM`.
    fn find_room(&self, seqno: u64) -> Result<u64> {
        loop {
            {
                let mut locked = self.state.lock();
                let state = &locked.jobs;
                // Others that are being prepared.
                let staged = seqno.saturating_sub(state.submitted() + 1) as usize;
                let most = self.limits.max_jobs as usize;
                let allowed = most.saturating_sub(state.pending() + staged);
                if allowed == 0 {
                    locked.room_wanted = true;
                    return Err(EAGAIN);
                }
                let room = state.free_slots().saturating_sub(staged).min(allowed);
                // Who fills the queue with that is perhaps told no more.
                locked.room_wanted |= room == allowed;
                let room = room as u64;
                if room > 0 {
                    let room_to = seqno + room - 1;
                    self.room_to.store(room_to, Relaxed);
                    return Ok(room_to);
                }
            }
            // There is a place for it in the directory as long as the queue is not full.
            self.grow()?;
        }
    }
}
