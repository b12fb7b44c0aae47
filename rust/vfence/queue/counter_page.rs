// SPDX-License-Identifier: GPL-2.0

//! The counter page of a queue: `struct vfence_counters`, which user space maps and reads without a
//! system call.

use crate::{
    kernel_ext::user_page::UserPage,
    uapi::vfence_counters,
    vfence::sched::types::Totals, //
};
use core::mem::offset_of;
use kernel::{
    mm::virt::VmaNew,
    prelude::*,
    sync::atomic::{
        Acquire,
        Relaxed,
        Release, //
    },
};

const SUBMITTED: usize = offset_of!(vfence_counters, submitted) / size_of::<u64>();
const COMPLETED: usize = offset_of!(vfence_counters, completed) / size_of::<u64>();
const ERRORS: usize = offset_of!(vfence_counters, errors) / size_of::<u64>();
const TIMEOUTS: usize = offset_of!(vfence_counters, timeouts) / size_of::<u64>();
const RESETS: usize = offset_of!(vfence_counters, resets) / size_of::<u64>();

/// The counters of a queue, in a page of their own.
pub(crate) struct CounterPage(UserPage);

impl CounterPage {
    /// Creates a page of zeroes. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(UserPage::new(GFP_KERNEL_ACCOUNT)?))
    }

    /// Maps the page, read-only. Fails with `EINVAL`, `EACCES`.
    pub(crate) fn map(&self, vma: &VmaNew) -> Result {
        self.0.map(vma)
    }

    /// Returns the seqno of the last job completed. The fences of the jobs up to it have signalled.
    pub(crate) fn completed(&self) -> u64 {
        self.0.word::<COMPLETED>().load(Acquire)
    }

    /// Returns the seqno of the last job submitted.
    pub(crate) fn submitted(&self) -> u64 {
        self.0.word::<SUBMITTED>().load(Acquire)
    }

    /// Stores the seqno of the last job submitted.
    pub(crate) fn set_submitted(&self, seqno: u64) {
        self.0.word::<SUBMITTED>().store(seqno, Release);
    }

    /// Stores the seqno of the last job completed, after its fence has signalled.
    pub(crate) fn set_completed(&self, seqno: u64) {
        self.0.word::<COMPLETED>().store(seqno, Release);
    }

    /// Stores the totals. [`CounterPage::set_completed`] must follow: a reader that sees its seqno
    /// sees these.
    pub(crate) fn set_totals(&self, totals: &Totals) {
        self.0.word::<ERRORS>().store(totals.errors, Relaxed);
        self.0.word::<TIMEOUTS>().store(totals.timeouts, Relaxed);
        self.0.word::<RESETS>().store(totals.resets, Relaxed);
    }
}
