// SPDX-License-Identifier: GPL-2.0

//! What user space sees of a queue without asking: `struct vfence_counters`, in a page that it maps.

use super::machine::Counts;
use crate::{
    kernel_ext::user_page::UserPage,
    uapi::vfence_counters, //
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
pub(super) struct Counters(UserPage);

/// What has been done at some moment.
pub(super) struct Done {
    pub(super) completed: u64,
    pub(super) errors: u64,
    pub(super) timeouts: u64,
    pub(super) resets: u64,
}

impl Done {
    pub(super) fn new(completed: u64, counts: &Counts) -> Self {
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
    pub(super) fn new() -> Result<Self> {
        Ok(Self(UserPage::new(GFP_KERNEL_ACCOUNT)?))
    }

    /// Maps them. Fails with `EINVAL`, `EACCES`.
    pub(super) fn map(&self, vma: &VmaNew) -> Result {
        self.0.map(vma)
    }

    /// Returns the sequence number of the job that has completed last, fence and all.
    pub(super) fn completed(&self) -> u64 {
        self.0.word::<COMPLETED>().load(Acquire)
    }

    /// Returns the sequence number of the job that was submitted last.
    pub(super) fn submitted(&self) -> u64 {
        self.0.word::<SUBMITTED>().load(Acquire)
    }

    /// Shows what has been submitted.
    pub(super) fn show_submitted(&self, seqno: u64) {
        self.0.word::<SUBMITTED>().store(seqno, Release);
    }

    /// Shows that the jobs up to `seqno` have completed, whose fences have signalled; nothing else has changed.
    pub(super) fn show_completed(&self, seqno: u64) {
        self.0.word::<COMPLETED>().store(seqno, Release);
    }

    /// Shows what has been done; the fences of what has completed have signalled.
    pub(super) fn show_done(&self, done: &Done) {
        self.0.word::<ERRORS>().store(done.errors, Relaxed);
        self.0.word::<TIMEOUTS>().store(done.timeouts, Relaxed);
        self.0.word::<RESETS>().store(done.resets, Relaxed);
        self.show_completed(done.completed);
    }
}
