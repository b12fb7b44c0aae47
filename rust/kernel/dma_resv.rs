// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reservation objects: the fences of a buffer.
//!
//! C header: [`include/linux/dma-resv.h`](srctree/include/linux/dma-resv.h)
//!
//! A fence is added with the object locked, to a slot that was reserved before:
//!
//! ```text
//!   DmaResv::lock ──────┐                   fences(): the fences to wait for
//!                       ├──▶ DmaResvGuard ─┤
//!   DmaResvGuards::new ─┘                   reserve() ──▶ add(): cannot fail
//! ```
//!
//! [`DmaResvGuards`] locks several objects in any order. If another task locks the same objects in
//! another order, one of the two unlocks its objects and tries again. The locks are wound/wait
//! mutexes, see
//! [`ww-mutex-design.rst`](srctree/Documentation/locking/ww-mutex-design.rst).
//!
//! User memory must not be accessed with one of these locks held: a page fault takes locks that
//! come before it.

use super::dma_fence::{
    DriverTimeline,
    Fence,
    PendingFence, //
};
use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

#[cfg(CONFIG_KUNIT = "y")]
mod fixture;
mod guard;
mod guards;

pub(crate) use guard::DmaResvGuard;
pub(crate) use guards::DmaResvGuards;

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

/// A reservation object: C's `struct dma_resv`.
///
/// # Invariants
///
/// Instances are initialised.
#[repr(transparent)]
pub(crate) struct DmaResv(Opaque<bindings::dma_resv>);

// SAFETY: Any thread may use a reservation object.
unsafe impl Send for DmaResv {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for DmaResv {}

impl DmaResv {
    /// Wraps C's pointer to an object.
    ///
    /// # Safety
    ///
    /// `resv` must point to an initialised `dma_resv`, which must stay valid for `'a`.
    pub(crate) unsafe fn from_raw<'a>(resv: *mut bindings::dma_resv) -> &'a Self {
        // SAFETY: By the safety requirements of this function. `Self` is a transparent wrapper.
        unsafe { &*resv.cast() }
    }

    /// Returns the C structure.
    pub(crate) fn as_raw(&self) -> *mut bindings::dma_resv {
        self.0.get()
    }

    /// Locks this object alone; [`DmaResvGuards`] locks several. Fails with `EINTR` if a signal
    /// arrives first.
    pub(crate) fn lock(&self) -> Result<DmaResvGuard<'_>> {
        // SAFETY: By the type invariants. Without a context, no other object is locked together
        // with this one.
        to_result(unsafe {
            bindings::ww_mutex_lock_interruptible(
                &raw mut (*self.as_raw()).lock,
                core::ptr::null_mut(),
            )
        })?;
        // INVARIANT: The object is locked.
        Ok(DmaResvGuard::new(self))
    }

    /// Returns whether all fences that `usage` includes have signalled.
    pub(crate) fn is_signaled(&self, usage: Usage) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::dma_resv_test_signaled(self.as_raw(), usage as u32) }
    }

    /// Waits until all fences that `usage` includes have signalled. Fails with `ERESTARTSYS` if a
    /// signal arrives first.
    pub(crate) fn wait(&self, usage: Usage) -> Result {
        const FOR_EVER: c_ulong = isize::MAX as c_ulong;

        // SAFETY: By the type invariants.
        let ret =
            unsafe { bindings::dma_resv_wait_timeout(self.as_raw(), usage as u32, true, FOR_EVER) };
        // CAST: An errno fits.
        to_result(ret.min(0) as c_int)
    }
}

/// A fence that is not a container, as the fences of a reservation object must be.
///
/// # Invariants
///
/// The fence is neither a `dma_fence_array` nor a `dma_fence_chain`.
pub(crate) struct NonContainerFence(ARef<Fence>);

impl NonContainerFence {
    /// Returns the fence.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0
    }
}

impl<T: DriverTimeline> From<&PendingFence<T>> for NonContainerFence {
    fn from(fence: &PendingFence<T>) -> Self {
        // INVARIANT: The fence has a driver's operations.
        Self(fence.fence().into())
    }
}
