// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The seqnos of a timeline, which order its fences.

use crate::bindings;

/// The type of `dma_fence_init()` and `dma_fence_init64()`.
pub(super) type InitFn = unsafe extern "C" fn(
    *mut bindings::dma_fence,
    *const bindings::dma_fence_ops,
    *mut bindings::spinlock_t,
    u64,
    u64,
);

/// The type of a timeline's seqnos.
///
/// `u64` is for seqnos that do not wrap around. `u32` is for those that do: one seqno is later than
/// another if their difference, modulo 2³², is less than 2³¹, so all pending fences must be within
/// 2³¹ of each other.
///
/// # Safety
///
/// `INIT` must initialise a fence with the operations, lock, context and seqno that it is passed.
pub(crate) unsafe trait Seqno: Copy + Send + Sync + 'static {
    /// Whether the seqnos wrap around.
    const WRAPS: bool;

    /// The function of the core that initialises a fence with such a seqno.
    #[doc(hidden)]
    const INIT: InitFn;

    /// Returns the seqno of `dma_fence.seqno`.
    fn from_raw(seqno: u64) -> Self;

    /// Returns the value of `dma_fence.seqno`.
    fn into_raw(self) -> u64;
}

// SAFETY: `INIT` is the core's function.
unsafe impl Seqno for u64 {
    const WRAPS: bool = false;
    const INIT: InitFn = bindings::dma_fence_init64;

    fn from_raw(seqno: u64) -> Self {
        seqno
    }

    fn into_raw(self) -> u64 {
        self
    }
}

// SAFETY: `INIT` is the core's function.
unsafe impl Seqno for u32 {
    const WRAPS: bool = true;
    const INIT: InitFn = bindings::dma_fence_init;

    fn from_raw(seqno: u64) -> Self {
        // CAST: The core compares the low 32 bits.
        seqno as Self
    }

    fn into_raw(self) -> u64 {
        u64::from(self)
    }
}
