// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Timelines: the driver's side of the fences of one context.

use super::{
    context::TypedContext,
    domain::DomainRef,
    seqno::Seqno, //
};
use crate::bindings;
use core::{
    cell::UnsafeCell,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::Flags,
    container_of,
    error::VTABLE_DEFAULT_ERROR,
    prelude::*,
    str::CStr,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        atomic::{
            Atomic,
            Relaxed, //
        },
        static_lock_class,
        Refcount, //
    },
    types::Opaque, //
};

/// The driver's data of a [`Timeline`], which answers the core's questions about its fences.
///
/// A work item drops it, so its `Drop` may sleep.
#[vtable]
pub(crate) trait DriverTimeline: Send + Sync + Sized + 'static {
    /// The type of the fences' seqnos.
    type Seqno: Seqno;

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
    /// May be called concurrently, in an RCU read-side section, with locks of the caller held, and
    /// with interrupts disabled or in a hard interrupt, but not so on `PREEMPT_RT`. So it must not
    /// sleep, but may take spinlocks. It must not signal a fence.
    fn set_deadline(&self, data: &Self::FenceData, seqno: Self::Seqno, deadline: i64);

    /// Called at most once for a fence, when something first waits for it or adds a callback.
    ///
    /// A driver that completes fences only on demand, for instance by an interrupt that it must
    /// enable, has this operation. It may be called in the same contexts as
    /// [`Self::set_deadline`], and always with the fence's lock held: it must not complete this
    /// fence, nor take a lock under which this or another fence signals.
    fn enable_signaling(&self, _data: &Self::FenceData, _seqno: Self::Seqno) {
        build_error!(VTABLE_DEFAULT_ERROR)
    }
}

/// A context with the driver's data, shared by the fences of the context.
///
/// # Invariants
///
/// Instances are in a box, and reference-counted by `refcount`. `work` runs `free()`. It is queued
/// when the count drops to 0.
#[pin_data]
pub(crate) struct Timeline<T: DriverTimeline> {
    refcount: Refcount,
    context: TypedContext<T>,
    /// The number of seqnos that were handed out.
    numbered: Atomic<u64>,
    /// The latest seqno that has completed. The driver orders completions, and so the writes.
    completed: UnsafeCell<u64>,
    /// The number of fences that completed after a later one.
    misordered: Atomic<u32>,
    #[pin]
    work: Opaque<bindings::rcu_work>,
    #[pin]
    data: T,
    /// Dropped after the data, whose code is the module's.
    domain: DomainRef,
}

// SAFETY: Any thread may drop the last reference, in any context but NMI: a work item drops the
// data, which is `Send`.
unsafe impl<T: DriverTimeline> Send for Timeline<T> {}
// SAFETY: The reference count is atomic and the data is `Sync`. `complete_in_order()` is the only
// function that accesses `completed`. The other fields are atomic or constant.
unsafe impl<T: DriverTimeline> Sync for Timeline<T> {}

impl<T: DriverTimeline> Timeline<T> {
    /// Creates the timeline of `context` in the domain of the calling module. Fails with `ENOMEM`,
    /// and as `data` does.
    pub(crate) fn new<E>(
        domain: DomainRef,
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
                context,
                numbered: Atomic::new(0),
                completed: UnsafeCell::new(0),
                misordered: Atomic::new(0),
                // INVARIANT: The work is initialised, and queued only by `dec_ref()`.
                work <- Opaque::ffi_init(Self::init_work),
                data <- data,
                domain,
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

    /// Returns the next seqno: 1, 2, 3 …
    pub(super) fn next_seqno(&self) -> T::Seqno {
        T::Seqno::from_raw(self.numbered.fetch_add(1, Relaxed).wrapping_add(1))
    }

    /// Notes that the fence with the seqno `seqno` completes. `is_shared` returns whether others
    /// have a reference to it.
    ///
    /// Wrapping seqnos are not checked: after a jump of 2³¹, a later one looks earlier. Completions
    /// at the same time, which the driver does not order, may pass unnoticed.
    #[inline(always)]
    pub(super) fn complete_in_order(&self, seqno: u64, is_shared: impl FnOnce() -> bool) {
        if T::Seqno::WRAPS {
            return;
        }
        // No atomic update: completions that the driver does not order are out of order anyway. No
        // `Atomic`, whose functions are calls of C.
        //
        // SAFETY: The field is valid and aligned. Volatile accesses do not tear, so a concurrent
        // one is no data race.
        let completed = unsafe { self.completed.get().read_volatile() };
        if seqno >= completed {
            // SAFETY: The field is valid and aligned. Volatile accesses do not tear.
            unsafe { self.completed.get().write_volatile(seqno) };
        } else if is_shared() {
            self.warn_misordered(seqno, completed);
        }
    }

    #[cold]
    #[inline(never)]
    fn warn_misordered(&self, seqno: u64, completed: u64) {
        if self.misordered.fetch_add(1, Relaxed) == 0 {
            pr_warn!(
                "fence {}:{} completes after {}, out of order\n",
                self.context_id(),
                seqno,
                completed
            );
        }
    }

    /// Returns the number of fences that completed after a later one, for KUnit cases.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn misordered(&self) -> u32 {
        self.misordered.load(Relaxed)
    }

    /// Returns the number of references, for KUnit cases.
    #[cfg(CONFIG_KUNIT = "y")]
    pub(super) fn count(&self) -> i32 {
        self.refcount.as_atomic().load(Relaxed)
    }

    /// Initialises the work that frees the timeline.
    fn init_work(work: *mut bindings::rcu_work) {
        // SAFETY: `work` is the memory of the field `work`, which is pinned. The name and the lock
        // class are static.
        unsafe {
            bindings::init_work_with_key(
                &raw mut (*work).work,
                Some(Self::free),
                false,
                c"dma_fence_timeline".as_char_ptr(),
                static_lock_class!().as_ptr(),
            )
        };
    }

    /// # Safety
    ///
    /// `work` must be that of the `work` field of a `Timeline<T>` whose reference count dropped to
    /// 0 at least a grace period ago. The function must be called once.
    unsafe extern "C" fn free(work: *mut bindings::work_struct) {
        // SAFETY: By the safety requirements of this function.
        let timeline = unsafe {
            let work = container_of!(work, bindings::rcu_work, work);
            container_of!(Opaque::cast_from(work).cast_mut(), Self, work)
        };
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
            // SAFETY: The count dropped to 0, so nothing else uses `work`, and only it frees the
            // timeline, which has a handle of the domain.
            unsafe {
                let work = Opaque::cast_into(&raw const (*timeline).work);
                let domain = &(*timeline).domain;
                domain.queue_after_grace_period(work);
            }
        }
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_timeline)]
mod tests {
    use super::{
        super::{
            allocated::AllocatedFence,
            callback::Callback,
            context::Context,
            fence::Fence,
            fixture::{
                domain,
                pending,
                timeline,
                CallCount, //
            },
            memory::FenceMemory, //
        },
        *, //
    };

    /// A timeline without the optional operation.
    struct WithoutOptional;

    #[vtable]
    impl DriverTimeline for WithoutOptional {
        type Seqno = u64;
        type FenceData = ();

        fn driver_name(&self) -> &CStr {
            c"kunit"
        }

        fn timeline_name(&self) -> &CStr {
            c"kunit-without"
        }

        fn set_deadline(&self, _data: &(), _seqno: u64, _deadline: i64) {}
    }

    #[test]
    fn fence_has_context_and_seqno() -> Result {
        let (one, two) = (timeline()?, timeline()?);
        assert!(one.context_id() != two.context_id());
        let fence = AllocatedFence::new(two.clone(), GFP_KERNEL)?.init_at(1 << 40);
        assert_eq!(fence.fence().context(), two.context_id());
        assert_eq!(fence.fence().seqno(), 1 << 40);
        Ok(())
    }

    #[test]
    fn timeline_gets_deadlines_until_the_fence_signals() -> Result {
        let timeline = timeline()?;
        let fence = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init_at(7);
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
    fn timeline_learns_that_a_fence_is_waited_for() -> Result {
        let timeline = timeline()?;
        let fence = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init_at(7);
        assert_eq!(timeline.enabled.load(Relaxed), 0);
        for _ in 0..2 {
            let mut callback = Callback::new(fence.fence().into(), CallCount::new()?, GFP_KERNEL)?;
            callback.arm();
        }
        assert_eq!(timeline.enabled.load(Relaxed), 1);
        assert_eq!(timeline.seqno.load(Relaxed), 7);
        assert!(!fence.fence().is_signaled());
        Ok(())
    }

    #[test]
    fn timeline_may_lack_the_operation() -> Result {
        assert!(FenceMemory::<WithoutOptional>::OPS
            .enable_signaling
            .is_none());
        let data = Ok(WithoutOptional);
        let timeline = Timeline::new::<Error>(domain()?, Context::new().into(), data, GFP_KERNEL)?;
        let (fence, count) = (
            AllocatedFence::new(timeline, GFP_KERNEL)?.init(),
            CallCount::new()?,
        );
        let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
        callback.arm();
        fence.complete(Ok(()), 1);
        assert_eq!(count.calls().0, 1);
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
