// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Signalling several fences in a row, with one lock.

use super::{
    DriverTimeline,
    PendingFence,
    Signal, //
};
use crate::bindings;
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    sync::SpinLockIrqGuard, //
};

/// Fences that are to signal soon, all in a row: up to `N` of them, kept on the stack.
///
/// Dropping it signals those that are left.
///
/// # Invariants
///
/// The first `len` places are initialised.
pub(crate) struct Row<T: DriverTimeline, const N: usize> {
    len: usize,
    places: [MaybeUninit<InRow<T>>; N],
}

/// A fence, what it is to be completed with, and when that happened.
struct InRow<T: DriverTimeline> {
    fence: PendingFence<T>,
    result: Result,
    timestamp: u64,
}

impl<T: DriverTimeline, const N: usize> Row<T, N> {
    /// Returns an empty row.
    pub(crate) fn new() -> Self {
        // INVARIANT: None is.
        Self {
            len: 0,
            places: [const { MaybeUninit::uninit() }; N],
        }
    }

    /// Returns whether there is no place left.
    #[inline]
    pub(crate) fn is_full(&self) -> bool {
        self.len == N
    }

    /// Adds a fence that is to be completed with `result` and `timestamp`, after the others. When the row is full, these signal
    /// first.
    #[inline]
    pub(crate) fn push(&mut self, fence: PendingFence<T>, result: Result, timestamp: u64) {
        if self.is_full() {
            self.complete();
        }
        if let Some(place) = self.places.get_mut(self.len) {
            place.write(InRow {
                fence,
                result,
                timestamp,
            });
            // INVARIANT: It was written.
            self.len += 1;
        }
    }

    /// Signals the fences, in the order in which they were added, as [`PendingFence::complete`] does.
    pub(crate) fn complete(&mut self) {
        self.complete_by(bindings::dma_fence_signal_timestamp);
    }

    /// As [`Row::complete`], under a lock that nothing takes which a callback of anybody does. Interrupts are off then, which makes it
    /// quicker.
    pub(crate) fn complete_with<U>(&mut self, _lock: &SpinLockIrqGuard<'_, U>) {
        // That function wants interrupts to be off where spinlocks that are taken with interrupts off do that.
        self.complete_by(bindings::dma_fence_signal_timestamp_irqs_off);
    }

    fn complete_by(&mut self, signal: Signal) {
        // INVARIANT: They are taken now.
        let len = core::mem::replace(&mut self.len, 0);
        for place in self.places.iter().take(len) {
            // SAFETY: By the type invariants it is initialised. It is read once: `len` is 0 already.
            let due = unsafe { place.assume_init_read() };
            drop(due.fence.complete_by(due.result, due.timestamp, signal));
        }
    }
}

impl<T: DriverTimeline, const N: usize> Drop for Row<T, N> {
    fn drop(&mut self) {
        self.complete();
    }
}
