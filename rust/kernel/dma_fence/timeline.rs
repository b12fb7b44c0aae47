// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Timelines: the driver's side of the fences of one context.

use super::context::TypedContext;
use crate::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::Flags,
    container_of,
    prelude::*,
    str::CStr,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        rcu,
        Refcount, //
    },
    types::Opaque, //
};

/// The driver's data of a [`Timeline`], which answers the core's questions about its fences.
///
/// An RCU callback drops it, so `Drop` must not sleep.
pub(crate) trait DriverTimeline: Send + Sync + Sized + 'static {
    /// The driver's data of each fence, in the fence's memory.
    ///
    /// The core frees that memory without dropping the data, which must not need `Drop`.
    type FenceData: Default + Send + Sync + 'static;

    /// Returns the driver name of pending fences.
    fn driver_name(&self) -> &CStr;

    /// Returns the timeline name of pending fences.
    fn timeline_name(&self) -> &CStr;

    /// Called when a waiter sets a deadline on the fence with the data `data` and the seqno
    /// `seqno`. The fence may signal concurrently.
    ///
    /// `deadline` is the core's `ktime_t`, in ns on `CLOCK_MONOTONIC`. It is negative if user space
    /// gave a time beyond `KTIME_MAX`.
    ///
    /// May be called in any context, concurrently, and must not signal a fence.
    fn set_deadline(&self, data: &Self::FenceData, seqno: u64, deadline: i64);
}

/// A context with the driver's data, shared by the fences of the context.
///
/// # Invariants
///
/// Instances are in a box, and reference-counted by `refcount`. When the count drops to 0, `rcu`
/// belongs to the core.
#[pin_data]
pub(crate) struct Timeline<T: DriverTimeline> {
    refcount: Refcount,
    rcu: Opaque<bindings::callback_head>,
    context: TypedContext<T>,
    #[pin]
    data: T,
}

// SAFETY: Any thread may drop the last reference, in any context. The data is `Send`.
unsafe impl<T: DriverTimeline> Send for Timeline<T> {}
// SAFETY: The reference count is atomic, the data is `Sync`, and the other fields are constant.
unsafe impl<T: DriverTimeline> Sync for Timeline<T> {}

impl<T: DriverTimeline> Timeline<T> {
    /// Creates the timeline of `context`. Fails with `ENOMEM`, and as `data` does.
    pub(crate) fn new<E>(
        context: TypedContext<T>,
        data: impl PinInit<T, E>,
        flags: Flags,
    ) -> Result<ARef<Self>>
    where
        E: From<core::convert::Infallible>,
        Error: From<E>,
    {
        let timeline = KBox::pin_init(
            try_pin_init!(Self {
                refcount: Refcount::new(1),
                rcu: Opaque::zeroed(),
                context,
                data <- data,
            }? E),
            flags,
        )?;
        // SAFETY: `free()` drops the box without moving its content.
        let timeline = KBox::into_raw(unsafe { Pin::into_inner_unchecked(timeline) });
        // SAFETY: The pointer of a box is not null, and `ARef` takes over the initial count of 1.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(timeline)) })
    }

    /// Returns the number of the context.
    pub(crate) fn context_id(&self) -> u64 {
        self.context.id()
    }

    /// Returns the number of references, for KUnit cases.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn count(&self) -> i32 {
        self.refcount
            .as_atomic()
            .load(kernel::sync::atomic::Relaxed)
    }

    /// # Safety
    ///
    /// `rcu` must be the `rcu` field of a `Timeline<T>` whose reference count dropped to 0 at least
    /// a grace period ago. The function must be called once.
    unsafe extern "C" fn free(rcu: *mut bindings::callback_head) {
        // SAFETY: By the safety requirements of this function.
        let timeline = unsafe { container_of!(Opaque::cast_from(rcu).cast_mut(), Self, rcu) };
        // SAFETY: By the type invariants the timeline is in a box. There are no references to it.
        drop(unsafe { KBox::from_raw(timeline) });
    }
}

impl<T: DriverTimeline> Deref for Timeline<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

// SAFETY: A timeline has a reference count, and is freed after the count has dropped to 0.
unsafe impl<T: DriverTimeline> AlwaysRefCounted for Timeline<T> {
    fn inc_ref(&self) {
        self.refcount.inc();
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        let timeline = obj.as_ptr();
        // SAFETY: The caller owns the count that it gives up, so the timeline is valid.
        if unsafe { &(*timeline).refcount }.dec_and_test() {
            // SAFETY: The count dropped to 0, so nothing else uses `rcu`. `exit_barrier()` waits
            // for the callback before the module goes.
            unsafe {
                bindings::call_rcu(
                    Opaque::cast_into(&raw const (*timeline).rcu),
                    Some(Self::free),
                )
            };
        }
    }
}

/// Waits until no CPU runs an operation of a signalled fence and all unreferenced timelines are
/// freed.
///
/// The last step of a module's exit, after all its fences have signalled.
pub(crate) fn exit_barrier() {
    rcu::synchronize_rcu();
    rcu::rcu_barrier();
}

#[kernel::macros::kunit_tests(vfence_dma_fence_timeline)]
mod tests {
    use super::super::{
        fence::Fence,
        fixture::{
            pending,
            timeline, //
        },
        pending::AllocatedFence, //
    };
    use crate::bindings;
    use kernel::{
        prelude::*,
        sync::{
            aref::ARef,
            atomic::Relaxed, //
        },
    };

    #[test]
    fn fence_has_context_and_seqno() -> Result {
        let (one, two) = (timeline()?, timeline()?);
        assert!(one.context_id() != two.context_id());
        let fence = AllocatedFence::new(two.clone(), GFP_KERNEL)?.init(1 << 40);
        assert_eq!(fence.fence().context(), two.context_id());
        assert_eq!(fence.fence().seqno(), 1 << 40);
        Ok(())
    }

    #[test]
    fn timeline_gets_deadlines_until_the_fence_signals() -> Result {
        let timeline = timeline()?;
        let fence = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init(7);
        let reference: ARef<Fence> = fence.fence().into();
        reference.set_deadline(1000);
        assert_eq!(timeline.seqno.load(Relaxed), 7);
        assert_eq!(timeline.deadline.load(Relaxed), 1000);
        fence.complete(Ok(()), 1);
        reference.set_deadline(500);
        assert_eq!(timeline.deadline.load(Relaxed), 1000);
        Ok(())
    }

    #[test]
    fn deadline_may_be_negative() -> Result {
        let fence = pending()?;
        // SAFETY: The fence is valid.
        unsafe { bindings::dma_fence_set_deadline(fence.fence().as_raw(), -5) };
        assert_eq!(fence.data().get(), -5);
        Ok(())
    }
}
