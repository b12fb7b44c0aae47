// SPDX-License-Identifier: GPL-2.0

//! The history of a queue: the records of the jobs that ended last.

use super::types::{
    JobRecord,
    JobState, //
};
use core::ops::DerefMut;

/// The records of jobs that have ended. The length of `H`, a power of two or 0, is their number.
pub(crate) struct History<H: DerefMut<Target = [JobRecord]>>(pub(super) H);

impl<H: DerefMut<Target = [JobRecord]>> History<H> {
    fn index(&self, seqno: u64) -> usize {
        seqno as usize & self.0.len().wrapping_sub(1)
    }

    /// Keeps the record of job `seqno`, the job that ended last. Does not call `record` if the
    /// history has no length.
    // Inline, so that the parts of the record are moved once.
    #[inline(always)]
    pub(super) fn keep(&mut self, seqno: u64, record: impl FnOnce() -> JobRecord) {
        let index = self.index(seqno);
        if let Some(place) = self.0.get_mut(index) {
            *place = record();
        }
    }

    /// Returns the state of job `seqno`, which has ended, as all jobs before `first` have.
    pub(super) fn find(&self, seqno: u64, first: u64) -> JobState {
        match self.0.get(self.index(seqno)) {
            Some(record) if seqno + (self.0.len() as u64) >= first => JobState::Completed(*record),
            _ => JobState::Forgotten,
        }
    }
}
