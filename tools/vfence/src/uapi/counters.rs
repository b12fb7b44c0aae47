// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The page of counters that `mmap()` of the device maps.

use super::vfence::Counters;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// The mapped page of a queue's [`Counters`], which the kernel updates concurrently.
///
/// The mapping is a reference to the open file of the device, like a descriptor.
///
/// # Invariants
///
/// The pointer is that of a page mapped by [`CountersPage::map`], which is not unmapped before the
/// drop.
#[derive(Debug)]
pub struct CountersPage(NonNull<Counters>);

// SAFETY: The mapping belongs to the process: any thread may read it and unmap it.
unsafe impl Send for CountersPage {}
// SAFETY: Methods of a shared reference only read, with atomic loads.
unsafe impl Sync for CountersPage {}

impl CountersPage {
    /// Maps the page at `offset`, which is
    /// [`QueueCreate::counters_offset`](super::vfence::QueueCreate::counters_offset).
    pub fn map(fd: BorrowedFd<'_>, offset: u64) -> Result<Self, Errno> {
        let (length, null) = (rustix::param::page_size(), std::ptr::null_mut());
        // SAFETY: With a null address, the kernel chooses a free one.
        let page = unsafe { mmap(null, length, ProtFlags::READ, MapFlags::SHARED, fd, offset) }?;
        // INVARIANT: The page was just mapped.
        Ok(Self(NonNull::new(page.cast()).ok_or(Errno::FAULT)?))
    }

    /// Reads the counter at offset `field`. The acquire pairs with the kernel's release.
    fn read(&self, field: usize) -> u64 {
        // SAFETY: By the type invariant the page is mapped; `field` is the offset of a `u64`.
        let word = unsafe { self.0.byte_add(field).cast::<AtomicU64>().as_ref() };
        word.load(Ordering::Acquire)
    }

    /// Reads [`Counters::submitted`].
    #[must_use]
    pub fn submitted(&self) -> u64 {
        self.read(offset_of!(Counters, submitted))
    }

    /// Reads [`Counters::completed`].
    #[must_use]
    pub fn completed(&self) -> u64 {
        self.read(offset_of!(Counters, completed))
    }

    /// Reads [`Counters::errors`].
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.read(offset_of!(Counters, errors))
    }

    /// Reads [`Counters::timeouts`].
    #[must_use]
    pub fn timeouts(&self) -> u64 {
        self.read(offset_of!(Counters, timeouts))
    }

    /// Reads [`Counters::resets`].
    #[must_use]
    pub fn resets(&self) -> u64 {
        self.read(offset_of!(Counters, resets))
    }
}

impl Drop for CountersPage {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the page is mapped; no reference to it is left.
        let unmapped = unsafe { munmap(self.0.as_ptr().cast(), rustix::param::page_size()) };
        debug_assert!(unmapped.is_ok());
    }
}
