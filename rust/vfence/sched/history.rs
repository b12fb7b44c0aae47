// SPDX-License-Identifier: GPL-2.0

//! What a queue remembers of its last jobs.
//!
//! Plain, without allocation; `tools/sched` compiles this very file on the host.

use super::types::{
    JobRecord,
    JobState, //
};
use core::ops::DerefMut;

/// The records of as many jobs as `H` has places, a power of two or none.
pub(crate) struct History<H: DerefMut<Target = [JobRecord]>>(pub(crate) H);

impl<H: DerefMut<Target = [JobRecord]>> History<H> {
    fn place(&self, seqno: u64) -> usize {
        seqno as usize & self.0.len().wrapping_sub(1)
    }

    /// Remembers job `seqno`, the last one that has ended, if anything is remembered: `record` makes its record.
    // What the record is made of is not to be moved.
    #[inline(always)]
    pub(crate) fn keep(&mut self, seqno: u64, record: impl FnOnce() -> JobRecord) {
        let place = self.place(seqno);
        if let Some(place) = self.0.get_mut(place) {
            *place = record();
        }
    }

    /// Returns what is known of job `seqno`, which has ended, as all those before `first`.
    pub(crate) fn find(&self, seqno: u64, first: u64) -> JobState {
        match self.0.get(self.place(seqno)) {
            Some(record) if seqno + (self.0.len() as u64) >= first => JobState::Completed(*record),
            _ => JobState::Forgotten,
        }
    }
}
