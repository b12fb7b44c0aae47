// SPDX-License-Identifier: GPL-2.0 OR MIT

//! References to a fence of any driver, which can wait for it but not signal it.

use super::super::timekeeping::ktime;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    str::CStr,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        atomic::{
            Acquire,
            Atomic, //
        },
        rcu, //
    },
    time::Jiffies,
    types::Opaque, //
};

/// A fence of any driver: C's `struct dma_fence`.
///
/// A reference to it, such as [`ARef<Fence>`], cannot signal it.
///
/// A fence may be used, and its last reference dropped, wherever a spinlock may be taken: also in
/// hard interrupts, but not in those of `PREEMPT_RT`, where the locks of fences and drivers sleep.
///
/// # Guarantees of a signalled fence
///
/// After [`Fence::is_signaled`] or [`Fence::signaled_flag`] has returned `true`, or
/// [`Fence::result`] a result, the caller sees all that the signaller wrote before it signalled
/// the fence: these functions have acquire semantics, and signalling is fully ordered. The writes
/// of a device are visible as far as its driver has made them so before it signals.
///
/// # Invariants
///
/// Instances are initialised and reference-counted by the core.
#[repr(transparent)]
pub(crate) struct Fence(Opaque<bindings::dma_fence>);

// SAFETY: Any thread may drop the last reference to a fence.
unsafe impl Send for Fence {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for Fence {}

// SAFETY: A fence has a reference count, and is freed when the count drops to 0.
unsafe impl AlwaysRefCounted for Fence {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not 0.
        unsafe { bindings::dma_fence_get(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the count that it gives up.
        unsafe { bindings::dma_fence_put(obj.cast().as_ptr()) };
    }
}

impl Fence {
    /// The largest errno that a fence can carry: `MAX_ERRNO` of `err.h`.
    pub(crate) const MAX_ERRNO: i32 = bindings::MAX_ERRNO as i32;

    /// Returns the C structure.
    pub(crate) fn as_raw(&self) -> *mut bindings::dma_fence {
        self.0.get()
    }

    /// Returns the number of the fence's [`Context`](super::Context).
    pub(crate) fn context(&self) -> u64 {
        // SAFETY: The field is constant after initialisation.
        unsafe { (*self.as_raw()).context }
    }

    /// Returns the seqno of the fence in its context.
    pub(crate) fn seqno(&self) -> u64 {
        // SAFETY: The field is constant after initialisation.
        unsafe { (*self.as_raw()).seqno }
    }

    /// Returns whether `other` is this fence, or an earlier fence of the same context.
    pub(crate) fn is_same_or_later(&self, other: &Self) -> bool {
        self.context() == other.context()
            // SAFETY: Both are valid fences of the same context.
            && unsafe { bindings::dma_fence_is_later_or_same(self.as_raw(), other.as_raw()) }
    }

    /// Returns whether the fence has signalled, with acquire semantics.
    ///
    /// May call the fence's driver, so the caller must not hold a lock that the driver may take. A
    /// driver that signals only on demand may never do so without [`Fence::enable_signaling`].
    pub(crate) fn is_signaled(&self) -> bool {
        // SAFETY: The reference is a valid fence.
        let signalled = unsafe { bindings::dma_fence_is_signaled(self.as_raw()) };
        // The core's function has set the flag, but reads it without a barrier.
        signalled && self.signaled_flag()
    }

    /// Returns whether the fence's signalled flag is set, with acquire semantics, without calling
    /// the fence's driver.
    ///
    /// The flag alone must not be waited for: some drivers set it only when they are asked.
    pub(crate) fn signaled_flag(&self) -> bool {
        const SIGNALED: c_ulong = 1 << bindings::dma_fence_flag_bits_DMA_FENCE_FLAG_SIGNALED_BIT;

        // SAFETY: The reference is a valid fence. All accesses to its flags are atomic.
        let flags = unsafe { Atomic::from_ptr(&raw mut (*self.as_raw()).flags) };
        flags.load(Acquire) & SIGNALED != 0
    }

    /// Asks the fence's driver to signal the fence as soon as its work is done. Some drivers do not
    /// signal before, or only when they are asked.
    ///
    /// [`Callback::arm`](super::Callback::arm) and [`Fence::wait`] do the same. May call the
    /// driver, with the fence's lock held, so the caller must not hold a lock that the driver may
    /// take.
    pub(crate) fn enable_signaling(&self) {
        // SAFETY: The reference is a valid fence.
        unsafe { bindings::dma_fence_enable_signaling(self.as_raw()) };
    }

    /// Sleeps until the fence has signalled, interruptibly, and at most for `timeout` if there is
    /// one. Must be called where a task may sleep, even with a timeout of 0.
    ///
    /// The fence's driver must be able to signal meanwhile: the caller must hold no lock and no
    /// resource that it may need, such as memory that only the caller can free. Reservation objects
    /// may be locked, as no driver locks them before it signals. Lockdep reports a wait in a
    /// [`SignallingSection`](super::SignallingSection), and a lock that is held here and taken
    /// there.
    ///
    /// Fails with `ETIME` after the timeout, with `ERESTARTSYS` if a signal arrives first, and as
    /// the driver does if it has a wait of its own, with `EIO` if that returns before the fence has
    /// signalled.
    pub(crate) fn wait(&self, timeout: Option<Jiffies>) -> Result<SignalledFence> {
        /// `MAX_SCHEDULE_TIMEOUT`, which is no timeout.
        const FOR_EVER: Jiffies = c_long::MAX as Jiffies;

        let timeout = timeout.map_or(FOR_EVER, |timeout| timeout.min(FOR_EVER));
        // SAFETY: The reference is a valid fence.
        let left = unsafe {
            // CAST: The timeout is at most `c_long::MAX`.
            bindings::dma_fence_wait_timeout(self.as_raw(), true, timeout as c_long)
        };
        // CAST: An errno fits.
        to_result(left.min(0) as c_int)?;
        if left == 0 {
            return Err(ETIME);
        }
        // A driver may wait for its work without the flag, which this sets.
        if !self.is_signaled() {
            return Err(EIO);
        }
        // SAFETY: The fence has signalled.
        Ok(unsafe { SignalledFence::new(self.into()) })
    }

    /// Returns the result of the fence, `None` while it is pending. Has acquire semantics.
    ///
    /// May call the fence's driver, and takes the fence's lock.
    pub(crate) fn result(&self) -> Option<Result> {
        // SAFETY: The reference is a valid fence.
        match unsafe { bindings::dma_fence_get_status(self.as_raw()) } {
            0 => None,
            status => Some(to_result(status)),
        }
    }

    /// Returns the result of the fence and the time at which its work was done, in ns on
    /// `CLOCK_MONOTONIC`; `None` while it is pending.
    ///
    /// Calls no driver and takes no lock. Reads a flag, so it alone must not be waited for, as for
    /// [`Fence::signaled_flag`]. May return `None` for a while after the fence has signalled.
    pub(crate) fn outcome(&self) -> Option<(Result, u64)> {
        const TIMESTAMP: c_ulong = 1 << bindings::dma_fence_flag_bits_DMA_FENCE_FLAG_TIMESTAMP_BIT;

        let fence = self.as_raw();
        // SAFETY: The reference is a valid fence. All accesses to its flags are atomic.
        let flags = unsafe { Atomic::from_ptr(&raw mut (*fence).flags) };
        // The core sets this flag after the timestamp, so `dma_fence_timestamp()` does not spin.
        if flags.load(Acquire) & TIMESTAMP == 0 {
            return None;
        }
        // SAFETY: The fence has signalled, so the field is constant.
        let error = unsafe { (*fence).error };
        // SAFETY: The fence has signalled.
        let timestamp = unsafe { bindings::dma_fence_timestamp(fence) };
        // No barrier of the core orders its stores of the timestamp and the flag. The timestamp
        // shares its place with a pointer of the list of callbacks, which is negative as a time.
        let timestamp = u64::try_from(timestamp).ok()?;
        Some((to_result(error), timestamp))
    }

    /// Asks the fence's driver to signal by `deadline`, in ns on `CLOCK_MONOTONIC`.
    ///
    /// May call the driver, so the caller must not hold a lock that the driver may take.
    pub(crate) fn set_deadline(&self, deadline: u64) {
        // SAFETY: The reference is a valid fence.
        unsafe { bindings::dma_fence_set_deadline(self.as_raw(), ktime(deadline)) };
    }

    /// Calls `f` with the names of the driver and the timeline. A signalled fence has the core's.
    pub(crate) fn with_names(&self, f: impl FnOnce(&CStr, &CStr)) {
        let _section = rcu::read_lock();
        // SAFETY: The reference is a valid fence.
        let driver = unsafe { bindings::dma_fence_driver_name(self.as_raw()) };
        // SAFETY: The reference is a valid fence.
        let timeline = unsafe { bindings::dma_fence_timeline_name(self.as_raw()) };
        // SAFETY: Both are strings that live until the end of the RCU read-side section.
        let (driver, timeline) =
            unsafe { (CStr::from_char_ptr(driver), CStr::from_char_ptr(timeline)) };
        f(driver, timeline);
    }

    /// Returns whether the fence is a `dma_fence_chain`.
    pub(crate) fn is_chain(&self) -> bool {
        // SAFETY: The reference is a valid fence.
        !unsafe { bindings::to_dma_fence_chain(self.as_raw()) }.is_null()
    }

    /// Returns whether the fence is a `dma_fence_array` or a `dma_fence_chain`.
    pub(crate) fn is_container(&self) -> bool {
        // SAFETY: The reference is a valid fence.
        unsafe { bindings::dma_fence_is_container(self.as_raw()) }
    }
}

/// A reference to a fence that has signalled.
///
/// # Invariants
///
/// The fence has signalled.
pub(crate) struct SignalledFence(ARef<Fence>);

impl SignalledFence {
    /// Wraps a fence.
    ///
    /// # Safety
    ///
    /// The fence must have signalled.
    pub(super) unsafe fn new(fence: ARef<Fence>) -> Self {
        // INVARIANT: By the safety requirements of this function.
        Self(fence)
    }

    /// Returns the fence.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0
    }

    /// Returns the result of the fence. Takes the fence's lock.
    pub(crate) fn result(&self) -> Result {
        self.0.result().unwrap_or(Ok(()))
    }

    /// Returns the time at which the fence's work was done, in ns on `CLOCK_MONOTONIC`. Takes the
    /// fence's lock.
    pub(crate) fn timestamp(&self) -> u64 {
        self.outcome().1
    }

    /// Returns the result and the timestamp. Takes the fence's lock.
    pub(super) fn outcome(&self) -> (Result, u64) {
        // The signaller sets the flag and then the timestamp, with the lock held. This function
        // takes the lock, and so makes the timestamp visible; C's function has no barrier.
        let result = self.result();
        // SAFETY: By the type invariants the fence has signalled, so it has a timestamp.
        let timestamp = unsafe { bindings::dma_fence_timestamp(self.0.as_raw()) };
        (result, timestamp_ns(timestamp))
    }
}

/// Converts a fence's timestamp. A negative one, which only a faulty driver sets, becomes 0.
pub(super) fn timestamp_ns(timestamp: bindings::ktime_t) -> u64 {
    u64::try_from(timestamp).unwrap_or(0)
}

#[kernel::macros::kunit_tests(vfence_dma_fence)]
mod tests {
    use super::{
        super::fixture::{
            pending,
            pending_pair, //
        },
        *, //
    };
    use crate::kernel_ext::workqueue::OwnedQueue;

    #[test]
    fn later_fences_of_a_context_include_earlier_ones() -> Result {
        let ([one, two], other) = (pending_pair()?, pending()?);
        assert!(two.fence().is_same_or_later(one.fence()));
        assert!(two.fence().is_same_or_later(two.fence()));
        assert!(!one.fence().is_same_or_later(two.fence()));
        assert!(!two.fence().is_same_or_later(other.fence()));
        // Signal in seqno order.
        drop(one);
        drop(two);
        Ok(())
    }

    #[test]
    fn outcome_is_known_once_signalled() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        assert!(reference.outcome().is_none());
        fence.complete(Err(EIO), 7);
        assert!(reference.outcome() == Some((Err(EIO), 7)));
        Ok(())
    }

    #[test]
    fn wait_returns_the_signalled_fence() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        let complete = move || {
            fence.complete(Err(EIO), 7);
        };
        let queue = OwnedQueue::new(c"kunit")?;
        queue.try_spawn(GFP_KERNEL, complete)?;
        let signalled = reference.wait(None)?;
        assert_eq!(signalled.result(), Err(EIO));
        assert_eq!(signalled.timestamp(), 7);
        assert!(reference.is_signaled() && reference.signaled_flag());
        Ok(())
    }

    #[test]
    fn wait_fails_after_its_timeout() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        for timeout in [0, 1] {
            let waited = reference.wait(Some(timeout));
            assert!(waited.is_err_and(|error| error == ETIME));
        }
        fence.complete(Ok(()), 1);
        for timeout in [0, 1, Jiffies::MAX] {
            assert_eq!(reference.wait(Some(timeout))?.result(), Ok(()));
        }
        Ok(())
    }

    /// Asserts that the fence has these names of the driver and the timeline.
    fn assert_names(fence: &Fence, expected: (&CStr, &CStr)) {
        let mut called = false;
        fence.with_names(|driver, timeline| {
            called = true;
            assert!((driver, timeline) == expected);
        });
        assert!(called);
    }

    #[test]
    fn signalling_detaches_the_driver() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        assert_names(&reference, (c"kunit", c"kunit-timeline"));
        fence.complete(Ok(()), 1);
        assert_names(&reference, (c"detached-driver", c"signaled-timeline"));
        Ok(())
    }
}
