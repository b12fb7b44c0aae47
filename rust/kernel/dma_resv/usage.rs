// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The uses that jobs make of a buffer: C's `enum dma_resv_usage`.

use crate::bindings;

/// The use that a fence's work makes of the buffer. As a filter, each usage includes those before
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Usage {
    /// The kernel's memory management. All users wait for it.
    Kernel = bindings::dma_resv_usage_DMA_RESV_USAGE_KERNEL,
    /// Writes by user space's jobs. Readers and writers wait for them.
    Write = bindings::dma_resv_usage_DMA_RESV_USAGE_WRITE,
    /// Reads by user space's jobs. Writers wait for them.
    Read = bindings::dma_resv_usage_DMA_RESV_USAGE_READ,
    /// Any other use. Only moving or freeing the buffer waits for it.
    Bookkeep = bindings::dma_resv_usage_DMA_RESV_USAGE_BOOKKEEP,
}

impl Usage {
    /// Returns the filter for the fences that a reader or a writer must wait for: C's
    /// `dma_resv_usage_rw()`.
    pub(crate) fn to_wait_for(write: bool) -> Self {
        if write {
            Self::Read
        } else {
            Self::Write
        }
    }
}
