// SPDX-License-Identifier: GPL-2.0

//! What user space sees of a queue without asking: `struct vfence_counters`, in a page that it maps.

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

/// The counters of a queue.
pub(crate) struct Counters(UserPage);

/// What has been done at some moment.
pub(crate) struct Done {
    pub(crate) completed: u64,
    pub(crate) errors: u64,
    pub(crate) timeouts: u64,
    pub(crate) resets: u64,
}

impl Done {
    pub(crate) fn new(completed: u64, counts: &Totals) -> Self {
        Self {
            completed,
            errors: counts.errors,
            timeouts: counts.timeouts,
            resets: counts.resets,
        }
    }
}

impl Counters {
    /// Creates counters of nothing. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        Ok(Self(UserPage::new(GFP_KERNEL_ACCOUNT)?))
    }

    /// Maps them. Fails with `EINVAL`, `EACCES`.
    pub(crate) fn map(&self, vma: &VmaNew) -> Result {
        self.0.map(vma)
    }

    /// Returns the sequence number of the job that has completed last, fence and all.
    pub(crate) fn completed(&self) -> u64 {
        self.0.word::<COMPLETED>().load(Acquire)
    }

    /// Returns the sequence number of the job that was submitted last.
    pub(crate) fn submitted(&self) -> u64 {
        self.0.word::<SUBMITTED>().load(Acquire)
    }

    /// Shows what has been submitted.
    pub(crate) fn show_submitted(&self, seqno: u64) {
        self.0.word::<SUBMITTED>().store(seqno, Release);
    }

    /// Shows that the jobs up to `seqno` have completed, whose fences have signalled; nothing else has changed.
    pub(crate) fn show_completed(&self, seqno: u64) {
        self.0.word::<COMPLETED>().store(seqno, Release);
    }

    /// Shows what has been done; the fences of what has completed have signalled.
    pub(crate) fn show_done(&self, done: &Done) {
        self.0.word::<ERRORS>().store(done.errors, Relaxed);
        self.0.word::<TIMEOUTS>().store(done.timeouts, Relaxed);
        self.0.word::<RESETS>().store(done.resets, Relaxed);
        self.show_completed(done.completed);
    }
}
