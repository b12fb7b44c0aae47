// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pending fences, which their driver must signal.

use super::{
    super::timekeeping::{
        ktime,
        ktime_get, //
    },
    fence::{
        Fence,
        SignalledFence, //
    },
    memory::FenceMemory,
    signalling::SignallingSection,
    timeline::DriverTimeline, //
};
use crate::bindings;
use core::{
    mem::ManuallyDrop,
    ptr::NonNull, //
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    prelude::*,
    sync::{
        aref::ARef,
        SpinLockIrqGuard, //
    },
};

/// The type of the functions that signal a fence.
type SignalFn = unsafe extern "C" fn(*mut bindings::dma_fence, bindings::ktime_t);

/// The only owner of a fence that can signal it.
///
/// Dropping it signals the fence with `-ECANCELED`, in any order: it is for a fence that was not
/// published. A fence that others can wait for must be [completed](Self::complete).
///
/// It must not be leaked: the fence would never signal, and the drop of the module's
/// [`FenceDomain`](super::FenceDomain) would wait for it.
///
/// # Invariants
///
/// The memory is valid, and its fence is initialised. The fence has not signalled, and there is no
/// other `PendingFence` of it that is completed or dropped. The `PendingFence` owns a count of the
/// fence and a count of its timeline.
pub(crate) struct PendingFence<T: DriverTimeline>(NonNull<FenceMemory<T>>);

// SAFETY: Any thread may signal a fence. Its data and its timeline are `Send` and `Sync`.
unsafe impl<T: DriverTimeline> Send for PendingFence<T> {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl<T: DriverTimeline> Sync for PendingFence<T> {}

impl<T: DriverTimeline> PendingFence<T> {
    /// # Safety
    ///
    /// The memory must be valid, and its fence initialised and not signalled. The caller passes on
    /// a count of the fence and a count of its timeline. There must be no other `PendingFence` of
    /// the fence.
    pub(super) unsafe fn new(memory: NonNull<FenceMemory<T>>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(memory)
    }

    /// Returns the memory, with what [`Self::new`] needs to take it again.
    pub(super) fn into_memory(self) -> NonNull<FenceMemory<T>> {
        ManuallyDrop::new(self).0
    }

    /// Returns the fence, which can be shared.
    pub(crate) fn fence(&self) -> &Fence {
        // SAFETY: By the type invariants `self` has a count of the fence, which is the `base` at
        // offset 0 of the memory. `Fence` is a transparent wrapper.
        unsafe { self.0.cast().as_ref() }
    }

    /// Returns the C structure. The pointer is valid for all of the fence's memory.
    fn as_raw(&self) -> *mut bindings::dma_fence {
        self.0.cast().as_ptr()
    }

    /// Returns whether there are other references to the fence.
    ///
    /// `true` may be outdated as soon as the function returns. `false` is not, unless an RCU reader
    /// can still find a reference that was just removed.
    pub(crate) fn is_shared(&self) -> bool {
        // SAFETY: The fence is valid.
        unsafe { bindings::dma_fence_refcount(self.as_raw()) > 1 }
    }

    /// Returns the driver's data of the fence.
    #[inline]
    pub(crate) fn data(&self) -> &T::FenceData {
        // SAFETY: By the type invariants the memory is valid. `self` has a reference to it.
        unsafe { FenceMemory::data(self.0.as_ptr()) }
    }

    /// Signals the fence with `result`. `timestamp` is the time at which the work was done, in ns
    /// on `CLOCK_MONOTONIC`.
    ///
    /// The fences of a timeline must complete in seqno order: whoever waits for a fence takes the
    /// earlier ones for done, and a reservation object forgets them. If seqnos do not wrap around,
    /// the first fence that completes too late is logged. Dropping the fence is not checked.
    ///
    /// Calls the callbacks of all waiters. The caller must not hold a lock that a callback on any
    /// fence may take. May be called wherever a spinlock may be taken: in hard interrupts too, but
    /// on `PREEMPT_RT`, where the fence's lock sleeps, only in tasks that can be preempted. The
    /// same holds for dropping the fence.
    pub(crate) fn complete(self, result: Result, timestamp: u64) -> SignalledFence {
        self.complete_by(result, timestamp, bindings::dma_fence_signal_timestamp)
    }

    /// Like [`PendingFence::complete`], under a lock that no callback on any fence may take,
    /// directly or through another lock. Does not save the interrupt state, which the lock has
    /// saved.
    #[inline]
    pub(crate) fn complete_with<U>(
        self,
        _lock: &SpinLockIrqGuard<'_, U>,
        result: Result,
        timestamp: u64,
    ) -> SignalledFence {
        self.complete_irqs_off(result, timestamp)
    }

    /// Like [`PendingFence::complete_with`], with interrupts disabled. A lock may be held under the
    /// same condition.
    ///
    /// Not for `PREEMPT_RT`, where the fence's lock sleeps, which needs interrupts enabled.
    #[inline]
    pub(crate) fn complete_in_interrupt(
        self,
        _irqs_off: &LocalInterruptDisabled,
        result: Result,
        timestamp: u64,
    ) -> SignalledFence {
        self.complete_irqs_off(result, timestamp)
    }

    /// Signals the fence under the inline lock. The caller has disabled interrupts, or, on
    /// `PREEMPT_RT`, holds a spinlock.
    #[inline(always)]
    fn complete_irqs_off(self, result: Result, timestamp: u64) -> SignalledFence {
        self.complete_by(
            result,
            timestamp,
            bindings::dma_fence_signal_timestamp_irqs_off,
        )
    }

    #[inline(always)]
    fn complete_by(self, result: Result, timestamp: u64, signal: SignalFn) -> SignalledFence {
        self.check_order();
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is not dropped, so this is the only call. The callers pass a function that
        // may be called in their context.
        unsafe { this.signal(result, timestamp, signal) };
        // SAFETY: `this` is not dropped, so the count of the fence is taken once. The fence has
        // signalled.
        unsafe { SignalledFence::new(ARef::from_raw(this.0.cast())) }
    }

    /// Notes the completion in the timeline.
    #[inline(always)]
    fn check_order(&self) {
        // SAFETY: By the type invariants the memory is valid, and `self` has a count of the
        // timeline.
        let timeline = unsafe { &*(*self.0.as_ptr()).timeline };
        timeline.complete_in_order(self.fence().seqno(), || self.is_shared());
    }

    /// # Safety
    ///
    /// Must be called once: it gives up the count of the timeline. `signal` must be a function that
    /// signals a fence, and that may be called in the current context.
    #[inline(always)]
    unsafe fn signal(&self, result: Result, timestamp: u64, signal: SignalFn) {
        // `dma_fence_signal()` has this annotation, but sets a timestamp of its own.
        let _section = SignallingSection::begin();
        let fence = self.as_raw();
        // SAFETY: By the type invariants. The field is constant.
        let timeline = unsafe { (*self.0.as_ptr()).timeline };
        if let Err(error) = result {
            // SAFETY: By the type invariants the fence has not signalled, and only `self` can
            // signal it.
            unsafe { bindings::dma_fence_set_error(fence, error.to_errno()) };
        }
        // SAFETY: The fence is valid. By the safety requirements of this function.
        unsafe { signal(fence, ktime(timestamp)) };
        // SAFETY: By the type invariants `self` owns the count of the timeline, and the caller
        // ensures that it is taken once.
        drop(unsafe { ARef::from_raw(NonNull::new_unchecked(timeline.cast_mut())) });
    }
}

impl<T: DriverTimeline> Drop for PendingFence<T> {
    // Out of line, so that the check for a fence in an `Option` is inlined.
    #[cold]
    #[inline(never)]
    fn drop(&mut self) {
        // SAFETY: `self` goes, so this is the only call.
        unsafe {
            self.signal(
                Err(ECANCELED),
                ktime_get(),
                bindings::dma_fence_signal_timestamp,
            )
        };
        // SAFETY: `self` goes, so its count of the fence is taken once.
        drop(unsafe { ARef::<Fence>::from_raw(self.0.cast()) });
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_pending)]
mod tests {
    use super::{
        super::{
            allocated::AllocatedFence,
            fixture::{
                pending,
                timeline, //
            }, //
        },
        *, //
    };
    use kernel::interrupt::local_interrupt_disable;

    #[test]
    fn fence_is_shared_while_there_are_references() -> Result {
        let fence = pending()?;
        assert!(!fence.is_shared());
        let reference: ARef<Fence> = fence.fence().into();
        assert!(fence.is_shared());
        drop(reference);
        assert!(!fence.is_shared());
        Ok(())
    }

    #[test]
    fn complete_signals_with_timestamp() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        assert!(!reference.is_signaled());
        assert!(reference.result().is_none());
        let signalled = fence.complete(Ok(()), 12345);
        assert!(reference.is_signaled());
        assert_eq!(signalled.result(), Ok(()));
        assert_eq!(signalled.timestamp(), 12345);
        Ok(())
    }

    #[test]
    fn complete_signals_an_error() -> Result {
        let signalled = pending()?.complete(Err(EIO), 1);
        assert_eq!(signalled.result(), Err(EIO));
        Ok(())
    }

    #[test]
    fn complete_signals_with_interrupts_disabled() -> Result {
        if cfg!(CONFIG_PREEMPT_RT) {
            return Ok(());
        }
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        let irqs_off = local_interrupt_disable();
        let signalled = fence.complete_in_interrupt(&irqs_off, Err(EIO), 12345);
        drop(irqs_off);
        assert!(reference.is_signaled());
        assert_eq!(signalled.result(), Err(EIO));
        assert_eq!(signalled.timestamp(), 12345);
        Ok(())
    }

    #[test]
    fn completion_out_of_order_is_counted() -> Result {
        let timeline = timeline()?;
        let fence = |seqno| -> Result<_> {
            let fence = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init_at(seqno);
            let reference: ARef<Fence> = fence.fence().into();
            Ok((fence, reference))
        };
        let (first, _first) = fence(1)?;
        let (second, _second) = fence(2)?;
        let (same, _same) = fence(2)?;
        let (third, _third) = fence(3)?;
        let (late, _late) = fence(1)?;
        let (dropped, _dropped) = fence(1)?;
        let unshared = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init_at(1);
        second.complete(Ok(()), 1);
        same.complete(Ok(()), 1);
        unshared.complete(Ok(()), 1);
        drop(dropped);
        assert_eq!(timeline.misordered(), 0);
        // The only one that is logged.
        first.complete(Ok(()), 1);
        assert_eq!(timeline.misordered(), 1);
        third.complete(Ok(()), 1);
        assert_eq!(timeline.misordered(), 1);
        late.complete(Ok(()), 1);
        assert_eq!(timeline.misordered(), 2);
        Ok(())
    }

    #[test]
    fn drop_signals_ecanceled() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        drop(fence);
        assert_eq!(reference.result(), Some(Err(ECANCELED)));
        Ok(())
    }
}
