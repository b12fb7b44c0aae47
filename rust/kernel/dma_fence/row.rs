// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Signalling several fences in a row, with one lock.

use super::{
    DriverTimeline,
    PendingFence, //
};
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    sync::SpinLockIrqGuard, //
};

/// Fences that are to signal soon, in a row and all alike: up to `N` of them, kept on the stack.
///
/// Dropping it signals those that are left.
///
/// # Invariants
///
/// The first `len` places are initialised, and `len` is `N` at most.
pub(crate) struct Row<T: DriverTimeline, const N: usize> {
    result: Result,
    timestamp: u64,
    len: usize,
    places: [MaybeUninit<PendingFence<T>>; N],
}

impl<T: DriverTimeline, const N: usize> Row<T, N> {
    /// Returns an empty row, of fences that are to be completed with `result` and `timestamp`: see [`PendingFence::complete`].
    #[inline]
    pub(crate) fn new(result: Result, timestamp: u64) -> Self {
        // INVARIANT: None is.
        Self {
            result,
            timestamp,
            len: 0,
            places: [const { MaybeUninit::uninit() }; N],
        }
    }

    /// Adds a fence, after the others. When there is no place left, it signals at once, after them.
    #[inline]
    pub(crate) fn push(&mut self, fence: PendingFence<T>) {
        match self.places.get_mut(self.len) {
            Some(place) => {
                place.write(fence);
                // INVARIANT: It was written, and there was a place.
                self.len += 1;
            }
            None => {
                self.complete();
                fence.complete(self.result, self.timestamp);
            }
        }
    }

    /// Signals the fences, in the order in which they were added, as [`PendingFence::complete_with`] does.
    pub(crate) fn complete_with<U>(&mut self, lock: &SpinLockIrqGuard<'_, U>) {
        let (result, timestamp) = (self.result, self.timestamp);
        self.take(|fence| drop(fence.complete_with(lock, result, timestamp)));
    }

    /// Signals the fences, wherever that is.
    fn complete(&mut self) {
        let (result, timestamp) = (self.result, self.timestamp);
        self.take(|fence| drop(fence.complete(result, timestamp)));
    }

    /// Gives the fences to `complete`, one after the other.
    #[inline]
    fn take(&mut self, complete: impl Fn(PendingFence<T>)) {
        // INVARIANT: They are taken now.
        let len = core::mem::replace(&mut self.len, 0);
        for place in self.places.iter().take(len) {
            // SAFETY: By the type invariants it is initialised. It is read once: `len` is 0 already.
            complete(unsafe { place.assume_init_read() });
        }
    }
}

impl<T: DriverTimeline, const N: usize> Drop for Row<T, N> {
    #[inline]
    fn drop(&mut self) {
        if self.len > 0 {
            self.complete();
        }
    }
}
