// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The page of counters that `mmap()` of the device shows.

use super::vfence::Counters;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::mm::{mmap, munmap, MapFlags, ProtFlags};
use std::mem::offset_of;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

/// The page of a queue's [`Counters`], which the kernel writes while it is read.
///
/// It is a reference to the open file of the device, as a descriptor is.
#[derive(Debug)]
pub struct CountersPage(NonNull<Counters>);

// SAFETY: It is memory that may be read and unmapped in any thread.
unsafe impl Send for CountersPage {}
// SAFETY: It is only read.
unsafe impl Sync for CountersPage {}

impl CountersPage {
    /// Maps the page at [`QueueCreate::counters_offset`](super::vfence::QueueCreate::counters_offset).
    pub fn map(fd: BorrowedFd<'_>, offset: u64) -> Result<Self, Errno> {
        let (length, null) = (rustix::param::page_size(), std::ptr::null_mut());
        // SAFETY: The kernel chooses an address that is free.
        let page = unsafe { mmap(null, length, ProtFlags::READ, MapFlags::SHARED, fd, offset) }?;
        Ok(Self(NonNull::new(page.cast()).ok_or(Errno::FAULT)?))
    }

    /// Reads a counter; what the kernel did before it wrote this is seen afterwards.
    fn read(&self, field: usize) -> u64 {
        // SAFETY: The page is mapped as long as `self` lives; the offset is one of a field.
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
        // SAFETY: It was mapped by `map()`, and nobody refers to it any more.
        let unmapped = unsafe { munmap(self.0.as_ptr().cast(), rustix::param::page_size()) };
        debug_assert!(unmapped.is_ok());
    }
}
