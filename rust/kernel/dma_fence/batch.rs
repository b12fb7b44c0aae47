// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A batch of fences that signal under one lock.

use super::{
    pending::PendingFence,
    timeline::DriverTimeline, //
};
use core::mem::MaybeUninit;
use kernel::{
    prelude::*,
    sync::SpinLockIrqGuard, //
};

/// Up to `N` fences, kept on the stack, that signal with the same result and timestamp.
///
/// Dropping the batch, or pushing to a full one, signals the fences that are left, and must happen
/// in a context that permits [`PendingFence::complete`].
///
/// # Invariants
///
/// The first `len` places are initialised, and `len` is at most `N`.
pub(crate) struct FenceBatch<T: DriverTimeline, const N: usize> {
    result: Result,
    timestamp: u64,
    len: usize,
    places: [MaybeUninit<PendingFence<T>>; N],
}

impl<T: DriverTimeline, const N: usize> FenceBatch<T, N> {
    /// Returns an empty batch. For `result` and `timestamp` see [`PendingFence::complete`].
    #[inline]
    pub(crate) fn new(result: Result, timestamp: u64) -> Self {
        // INVARIANT: `len` is 0.
        Self {
            result,
            timestamp,
            len: 0,
            places: [const { MaybeUninit::uninit() }; N],
        }
    }

    /// Appends a fence. If the batch is full, all its fences and then `fence` signal immediately.
    #[inline(always)]
    pub(crate) fn push(&mut self, fence: PendingFence<T>) {
        match self.places.get_mut(self.len) {
            Some(place) => {
                place.write(fence);
                // INVARIANT: The place is initialised, and it exists.
                self.len += 1;
            }
            None => self.push_full(fence),
        }
    }

    #[cold]
    #[inline(never)]
    fn push_full(&mut self, fence: PendingFence<T>) {
        self.complete();
        fence.complete(self.result, self.timestamp);
    }

    /// Signals the fences in the order of their appending, as [`PendingFence::complete_with`] does.
    #[inline(always)]
    pub(crate) fn complete_with<U>(&mut self, lock: &SpinLockIrqGuard<'_, U>) {
        if N == 1 {
            self.complete_all_with(lock);
        } else {
            self.complete_many_with(lock);
        }
    }

    /// Keeps the loop out of line, so that its caller's own loop has the registers.
    #[inline(never)]
    fn complete_many_with<U>(&mut self, lock: &SpinLockIrqGuard<'_, U>) {
        self.complete_all_with(lock);
    }

    #[inline(always)]
    fn complete_all_with<U>(&mut self, lock: &SpinLockIrqGuard<'_, U>) {
        let (result, timestamp) = (self.result, self.timestamp);
        self.take(|fence| drop(fence.complete_with(lock, result, timestamp)));
    }

    /// Signals the fences as [`PendingFence::complete`] does.
    #[inline(never)]
    fn complete(&mut self) {
        let (result, timestamp) = (self.result, self.timestamp);
        self.take(|fence| drop(fence.complete(result, timestamp)));
    }

    /// Empties the batch, passing each fence to `complete`.
    #[inline(always)]
    fn take(&mut self, complete: impl Fn(PendingFence<T>)) {
        // INVARIANT: `len` is 0.
        let len = core::mem::replace(&mut self.len, 0);
        for place in self.places.iter().take(len) {
            // SAFETY: By the type invariants the place is initialised. `len` is 0 already, so
            // nothing reads it again.
            complete(unsafe { place.assume_init_read() });
        }
    }
}

impl<T: DriverTimeline, const N: usize> Drop for FenceBatch<T, N> {
    #[inline]
    fn drop(&mut self) {
        if self.len > 0 {
            self.complete();
        }
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_batch)]
mod tests {
    use super::{
        super::{
            allocated::AllocatedFence,
            callback::Callback,
            fixture::{
                timeline,
                CallCount,
                KunitTimeline, //
            },
        },
        *, //
    };
    use kernel::sync::new_spinlock_irq;

    #[test]
    fn fences_of_a_batch_signal_in_order() -> Result {
        let (timeline, count) = (timeline()?, CallCount::new()?);
        let mut callbacks = KVec::new();
        let mut fence = |seqno| -> Result<PendingFence<KunitTimeline>> {
            let fence = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init_at(seqno);
            let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
            callback.arm();
            callbacks.push(callback, GFP_KERNEL)?;
            Ok(fence)
        };
        let mut batch = FenceBatch::<KunitTimeline, 2>::new(Err(EIO), 7);
        batch.push(fence(1)?);
        batch.push(fence(2)?);
        assert_eq!(count.calls(), (0, 0));
        let lock = KBox::pin_init(new_spinlock_irq!((), "kunit"), GFP_KERNEL)?;
        batch.complete_with(&lock.lock());
        assert_eq!(count.calls(), (2, EIO.to_errno()));
        assert_eq!(count.timestamp(), 7);
        batch.push(fence(3)?);
        batch.push(fence(4)?);
        assert_eq!(count.calls().0, 2);
        // The batch is full.
        batch.push(fence(5)?);
        assert_eq!(count.calls().0, 5);
        batch.push(fence(6)?);
        drop(batch);
        assert_eq!(count.calls(), (6, EIO.to_errno()));
        let mut batch = FenceBatch::<KunitTimeline, 2>::new(Ok(()), 8);
        batch.push(fence(7)?);
        batch.complete_with(&lock.lock());
        assert_eq!(count.calls(), (7, 0));
        assert_eq!(count.timestamp(), 8);
        drop(callbacks);
        Ok(())
    }
}
