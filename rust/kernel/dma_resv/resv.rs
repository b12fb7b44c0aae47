// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reservation objects, and waits for their fences.

use super::usage::Usage;
use crate::bindings;
use kernel::{
    error::to_result,
    prelude::*,
    sync::barrier::{
        smp_mb,
        Read, //
    },
    types::Opaque, //
};

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

    /// Returns whether all fences that `usage` includes have signalled. If so, the caller sees what
    /// the signallers wrote before.
    pub(crate) fn is_signaled(&self, usage: Usage) -> bool {
        // SAFETY: By the type invariants.
        let signalled = unsafe { bindings::dma_resv_test_signaled(self.as_raw(), usage as u32) };
        if signalled {
            Self::acquire();
        }
        signalled
    }

    /// Completes an acquire after a branch on the signalled flag of fences, which the core reads
    /// without a barrier. The branch orders later writes.
    fn acquire() {
        smp_mb(Read);
    }

    /// Waits until all fences that `usage` includes have signalled. After that, the caller sees
    /// what the signallers wrote before. Fails with `ERESTARTSYS` if a signal arrives first.
    pub(crate) fn wait(&self, usage: Usage) -> Result {
        const FOR_EVER: c_ulong = isize::MAX as c_ulong;

        // SAFETY: By the type invariants.
        let ret =
            unsafe { bindings::dma_resv_wait_timeout(self.as_raw(), usage as u32, true, FOR_EVER) };
        // CAST: An errno fits.
        to_result(ret.min(0) as c_int)?;
        Self::acquire();
        Ok(())
    }
}
