// SPDX-License-Identifier: GPL-2.0

//! Jobs on their way into a queue.

use super::QueueRef;
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

/// Jobs of a queue that are being prepared, and the room for them.
///
/// To be dropped, once they are published or given up, with the client's `submitting` still held.
pub(in crate::vfence) struct Run {
    queue: QueueRef,
    /// How many jobs there are.
    count: usize,
    /// For how many more there is room, as far as is known.
    room: usize,
    /// The sequence number of the next one.
    seqno: u64,
}

impl Run {
    /// Begins without jobs; to be called with the client's `submitting` held.
    pub(in crate::vfence) fn new(queue: QueueRef) -> Self {
        Self {
            queue,
            count: 0,
            room: 0,
            seqno: 0,
        }
    }

    /// Returns the queue.
    pub(in crate::vfence) fn queue(&self) -> &QueueRef {
        &self.queue
    }

    /// Returns how many jobs there are.
    pub(in crate::vfence) fn count(&self) -> usize {
        self.count
    }

    /// Makes room for one more job and returns its sequence number.
    ///
    /// Fails with `EAGAIN` if the queue is full, `ENOMEM`.
    pub(in crate::vfence) fn reserve(&mut self) -> Result<u64> {
        if self.room == 0 {
            self.find_room()?;
        }
        let seqno = self.seqno;
        self.room -= 1;
        self.count += 1;
        self.seqno += 1;
        self.queue
            .staged
            .store(self.queue.staged.load(Relaxed) + 1, Relaxed);
        Ok(seqno)
    }

    /// Looks how much room there is, which only who submits makes less, and makes some if there is none.
    fn find_room(&mut self) -> Result {
        let staged = self.queue.staged.load(Relaxed) as usize;
        loop {
            {
                let state = &self.queue.state.lock().jobs;
                let most = self.queue.limits.max_jobs as usize;
                let allowed = most.saturating_sub(state.pending() + staged);
                if allowed == 0 {
                    return Err(EAGAIN);
                }
                let room = state.room().saturating_sub(staged);
                if room > 0 {
                    self.room = room.min(allowed);
                    self.seqno = state.submitted() + staged as u64 + 1;
                    return Ok(());
                }
            }
            // There is a place for it in the directory as long as the queue is not full.
            self.queue.grow()?;
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let staged = self.queue.staged.load(Relaxed) - self.count as i32;
        self.queue.staged.store(staged, Relaxed);
    }
}
