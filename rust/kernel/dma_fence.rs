// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences: the kernel's promise that something will be done.
//!
//! C header: [`include/linux/dma-fence.h`](srctree/include/linux/dma-fence.h)
//!
//! Documentation:
//! [`Documentation/driver-api/dma-buf.rst`](srctree/Documentation/driver-api/dma-buf.rst)
//!
//! # The life of a fence
//!
//! Who creates a fence owns the right to signal it, and with the right the duty. The states are
//! types, so that a wrong order does not compile:
//!
//! ```text
//!  AllocatedFence ───init───▶ PendingFence ──────complete──────▶ SignalledFence
//!   memory only; dropping it   the one owner who can signal;      result and timestamp
//!   gives the memory back      dropping it signals -ECANCELED     can be read
//!                                   │ fence()
//!                                   ▼
//!                            ARef<Fence>: anybody's reference; it can be waited for,
//!                            given a Callback, queried, but not signalled
//! ```
//!
//! The fences of one context belong to a [`Timeline`], which keeps what the driver needs to answer
//! for them.
//!
//! Allocation is what can fail; everything after it cannot, as the
//! [rules](srctree/Documentation/driver-api/dma-buf.rst) for the path from publishing a fence to
//! signalling it demand. That path is marked with a [`SignallingSection`], by which lockdep checks
//! it.
//!
//! # Fences outlive their module
//!
//! The fences made here have no `release` and no `wait` operation, an inline lock, and nothing that
//! needs `Drop`. So when such a fence has signalled, the core forgets the module's operations, and
//! the memory is given back by the core. Who is just then in one of those operations may use the
//! timeline, which is why that goes only a grace period after its last reference. A module can be
//! unloaded while others still hold its fences, if it has signalled them all and then, last of all,
//! called [`drain`].

use super::timekeeping::{
    ktime,
    ktime_get, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::{
        needs_drop,
        offset_of,
        ManuallyDrop,
        MaybeUninit, //
    },
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    alloc::Flags,
    container_of,
    error::to_result,
    interrupt::LocalInterruptDisabled,
    prelude::*,
    str::CStr,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        rcu,
        Refcount,
        SpinLockIrqGuard, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

mod callback;
mod context;
mod row;

pub(crate) use callback::{
    Callback,
    Signalled, //
};
use context::sealed;
pub(crate) use context::{
    Context,
    ContextFor,
    Contexts, //
};
pub(crate) use row::Row;

/// A fence of any driver: C's `struct dma_fence`.
///
/// References to it, [`ARef<Fence>`], cannot signal it.
///
/// # Invariants
///
/// Instances are initialised and reference-counted by the core.
#[repr(transparent)]
pub(crate) struct Fence(Opaque<bindings::dma_fence>);

// SAFETY: Fences are made to be shared; the last reference may be dropped by any thread, in any
// context.
unsafe impl Send for Fence {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for Fence {}

// SAFETY: A fence has a reference count, and is freed when it comes to 0.
unsafe impl AlwaysRefCounted for Fence {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not 0.
        unsafe { bindings::dma_fence_get(self.as_raw()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a count that it owns.
        unsafe { bindings::dma_fence_put(obj.cast().as_ptr()) };
    }
}

impl Fence {
    /// Returns the C structure.
    pub(crate) fn as_raw(&self) -> *mut bindings::dma_fence {
        self.0.get()
    }

    /// Returns the context that the fence belongs to: see [`Context`].
    pub(crate) fn context(&self) -> u64 {
        // SAFETY: The field is not written after initialisation.
        unsafe { (*self.as_raw()).context }
    }

    /// Returns the sequence number of the fence in its context.
    pub(crate) fn seqno(&self) -> u64 {
        // SAFETY: The field is not written after initialisation.
        unsafe { (*self.as_raw()).seqno }
    }

    /// Returns whether both are of the same context, and `other` has signalled when this one has:
    /// it is this one, or an earlier one.
    pub(crate) fn is_same_or_later(&self, other: &Self) -> bool {
        self.context() == other.context()
            // SAFETY: Both are valid fences of the same context.
            && unsafe { bindings::dma_fence_is_later_or_same(self.as_raw(), other.as_raw()) }
    }

    /// Returns whether the fence has signalled.
    ///
    /// May call the driver that made it, so no lock may be held that such a driver could take.
    pub(crate) fn is_signaled(&self) -> bool {
        // SAFETY: The reference is a valid fence.
        unsafe { bindings::dma_fence_is_signaled(self.as_raw()) }
    }

    /// Returns whether the fence is known to have signalled, without asking anybody. That it has
    /// not is no reason to wait: its driver may have to be asked.
    pub(crate) fn signaled_flag(&self) -> bool {
        // SAFETY: The reference is a valid fence.
        unsafe { bindings::dma_fence_test_signaled_flag(self.as_raw()) }
    }

    /// Returns `None` while the fence is pending, and what it came to when it has signalled.
    ///
    /// May call the driver that made it, and takes the fence's lock.
    pub(crate) fn result(&self) -> Option<Result> {
        // SAFETY: The reference is a valid fence.
        match unsafe { bindings::dma_fence_get_status(self.as_raw()) } {
            0 => None,
            status => Some(to_result(status)),
        }
    }

    /// Tells the driver that somebody wants the fence to signal by `deadline`, in ns on
    /// `CLOCK_MONOTONIC`.
    ///
    /// May call the driver that made it, so no lock may be held that such a driver could take.
    pub(crate) fn set_deadline(&self, deadline: u64) {
        // SAFETY: The reference is a valid fence.
        unsafe { bindings::dma_fence_set_deadline(self.as_raw(), ktime(deadline)) };
    }

    /// Calls `f` with the names of the driver and the timeline, which are the core's own when it
    /// has signalled.
    pub(crate) fn with_names(&self, f: impl FnOnce(&CStr, &CStr)) {
        let _section = rcu::read_lock();
        // SAFETY: The reference is a valid fence.
        let driver = unsafe { bindings::dma_fence_driver_name(self.as_raw()) };
        // SAFETY: The reference is a valid fence.
        let timeline = unsafe { bindings::dma_fence_timeline_name(self.as_raw()) };
        // SAFETY: Names are strings that live until the end of the RCU read-side section in which
        // they were read.
        let (driver, timeline) =
            unsafe { (CStr::from_char_ptr(driver), CStr::from_char_ptr(timeline)) };
        f(driver, timeline);
    }

    /// The largest errno that a fence can carry, as in the kernel's `err.h`.
    pub(crate) const MAX_ERRNO: i32 = bindings::MAX_ERRNO as i32;

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

/// What a driver knows of the fences of one context: the data of a [`Timeline`].
///
/// It is dropped in an RCU callback, so `Drop` must not sleep.
pub(crate) trait DriverTimeline: Send + Sync + Sized + 'static {
    /// What the driver keeps with each fence, in the fence's memory.
    ///
    /// The core frees that memory without dropping the data, which therefore must not need `Drop`.
    type FenceData: Default + Send + Sync + 'static;

    /// Returns what pending fences show as the name of their driver.
    fn driver_name(&self) -> &CStr;

    /// Returns what pending fences show as the name of their timeline.
    fn timeline_name(&self) -> &CStr;

    /// Called when a waiter sets a deadline on the fence with the data `data` and the number
    /// `seqno`. The fence may signal concurrently.
    ///
    /// `deadline` is the core's `ktime_t`, in ns on `CLOCK_MONOTONIC`. It is negative if user space
    /// gave a time beyond `KTIME_MAX`.
    ///
    /// May be called in any context, concurrently, and must not signal a fence.
    fn set_deadline(&self, data: &Self::FenceData, seqno: u64, deadline: i64);
}

/// A context and what its driver keeps with it, shared by its fences.
///
/// # Invariants
///
/// Instances are in a box, and are reference-counted by `refcount`; when that comes to 0, `rcu` is
/// the core's.
#[pin_data]
pub(crate) struct Timeline<T: DriverTimeline> {
    refcount: Refcount,
    rcu: Opaque<bindings::callback_head>,
    context: Context,
    #[pin]
    data: T,
}

// SAFETY: The last reference may be dropped by any thread, in any context; the data is `Send`.
unsafe impl<T: DriverTimeline> Send for Timeline<T> {}
// SAFETY: What is not constant is the reference count, which is atomic, and the data, which is
// `Sync`.
unsafe impl<T: DriverTimeline> Sync for Timeline<T> {}

impl<T: DriverTimeline> Timeline<T> {
    /// Creates the timeline of `context`. Fails with `ENOMEM`, or with what `data` fails with.
    pub(crate) fn new<E>(
        context: impl ContextFor<T>,
        data: impl PinInit<T, E>,
        flags: Flags,
    ) -> Result<ARef<Self>>
    where
        E: From<core::convert::Infallible>,
        Error: From<E>,
    {
        let context = context.into_context(sealed::Token(()));
        let timeline = KBox::pin_init(
            try_pin_init!(Self {
                refcount: Refcount::new(1),
                rcu: Opaque::zeroed(),
                context,
                data <- data,
            }? E),
            flags,
        )?;
        // SAFETY: It stays where it is until it is freed.
        let timeline = KBox::into_raw(unsafe { Pin::into_inner_unchecked(timeline) });
        // SAFETY: A box is not null, and its one count is ours.
        Ok(unsafe { ARef::from_raw(NonNull::new_unchecked(timeline)) })
    }

    /// Returns the context of its fences.
    pub(crate) fn context(&self) -> &Context {
        &self.context
    }

    /// # Safety
    ///
    /// `rcu` must be that of a `Timeline<T>` whose reference count has come to 0 a grace period
    /// ago.
    unsafe extern "C" fn free(rcu: *mut bindings::callback_head) {
        // SAFETY: By the requirements of this function.
        let timeline = unsafe { container_of!(Opaque::cast_from(rcu).cast_mut(), Self, rcu) };
        // SAFETY: By the type invariants it is in a box, and nobody has a reference any more.
        drop(unsafe { KBox::from_raw(timeline) });
    }
}

impl<T: DriverTimeline> Deref for Timeline<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.data
    }
}

// SAFETY: A timeline has a reference count, and is freed after that has come to 0.
unsafe impl<T: DriverTimeline> AlwaysRefCounted for Timeline<T> {
    fn inc_ref(&self) {
        self.refcount.inc();
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        let timeline = obj.as_ptr();
        // SAFETY: The caller gives up a count that it owns, so the timeline is still there.
        if unsafe { &(*timeline).refcount }.dec_and_test() {
            // SAFETY: That was the last count, so nobody else uses `rcu`. [`drain`] waits for the
            // callback.
            unsafe {
                bindings::call_rcu(
                    Opaque::cast_into(&raw const (*timeline).rcu),
                    Some(Self::free),
                )
            };
        }
    }
}

/// How a driver's fence lies in memory.
#[repr(C)]
struct Allocation<T: DriverTimeline> {
    base: Opaque<bindings::dma_fence>,
    /// Not null once the fence is initialised; valid while it has not signalled, and for a grace
    /// period after.
    timeline: *const Timeline<T>,
    data: T::FenceData,
}

impl<T: DriverTimeline> Allocation<T> {
    const OPS: bindings::dma_fence_ops = bindings::dma_fence_ops {
        get_driver_name: Some(Self::driver_name),
        get_timeline_name: Some(Self::timeline_name),
        set_deadline: Some(Self::set_deadline),
        // Of the others, `release` and `wait` would tie the fence to the module.
        ..pin_init::zeroed()
    };

    // The core frees the allocation through the address of the fence, and drops nothing in it.
    const CHECKED: () = {
        assert!(offset_of!(Self, base) == 0);
        assert!(!needs_drop::<T::FenceData>());
    };

    /// # Safety
    ///
    /// `fence` is the `base` of an `Allocation<T>`, initialised, and its operations were read in
    /// the RCU read-side section that `'a` is.
    unsafe fn timeline<'a>(fence: *mut bindings::dma_fence) -> &'a Timeline<T> {
        // SAFETY: By the requirements of this function. The operations were still there, so the
        // fence had not signalled when the section began; until it does a `PendingFence` has a
        // count of the timeline, which is freed not before the section's end.
        unsafe { &*(*fence.cast::<Self>()).timeline }
    }

    /// # Safety
    ///
    /// As the core calls it: for a fence with these operations, which were read in the present RCU
    /// read-side section.
    unsafe extern "C" fn driver_name(fence: *mut bindings::dma_fence) -> *const c_char {
        // SAFETY: By the requirements of this function. The name may be used in that section, too.
        unsafe { Self::timeline(fence) }.driver_name().as_char_ptr()
    }

    /// # Safety
    ///
    /// As the core calls it: for a fence with these operations, which were read in the present RCU
    /// read-side section.
    unsafe extern "C" fn timeline_name(fence: *mut bindings::dma_fence) -> *const c_char {
        // SAFETY: By the requirements of this function. The name may be used in that section, too.
        unsafe { Self::timeline(fence) }
            .timeline_name()
            .as_char_ptr()
    }

    /// # Safety
    ///
    /// As the core calls it: for a fence with these operations, which were read in the present RCU
    /// read-side section.
    unsafe extern "C" fn set_deadline(
        fence: *mut bindings::dma_fence,
        deadline: bindings::ktime_t,
    ) {
        // SAFETY: By the requirements of this function; the number is constant.
        let (timeline, seqno) = unsafe { (Self::timeline(fence), (*fence).seqno) };
        // SAFETY: By the requirements of this function.
        let data = unsafe { Self::data(fence) };
        timeline.set_deadline(data, seqno, deadline);
    }

    /// Returns the driver's data of a fence.
    ///
    /// # Safety
    ///
    /// `fence` must be the `base` of an initialised `Allocation<T>`, and stay allocated for `'a`.
    unsafe fn data<'a>(fence: *mut bindings::dma_fence) -> &'a T::FenceData {
        // SAFETY: By the requirements of this function. The data is initialised with the
        // allocation, and only shared references to it exist from then on.
        unsafe { &(*fence.cast::<Self>()).data }
    }
}

/// One of the core's functions that initialise a fence.
type Init = unsafe extern "C" fn(
    *mut bindings::dma_fence,
    *const bindings::dma_fence_ops,
    *mut bindings::spinlock_t,
    u64,
    u64,
);

/// The memory of a fence.
pub(crate) struct AllocatedFence<T: DriverTimeline> {
    memory: KBox<Allocation<T>>,
    timeline: ARef<Timeline<T>>,
}

impl<T: DriverTimeline> AllocatedFence<T> {
    /// Allocates a fence for `timeline`. Fails with `ENOMEM`.
    #[inline]
    pub(crate) fn new(timeline: ARef<Timeline<T>>, flags: Flags) -> Result<Self> {
        const { Allocation::<T>::CHECKED };
        let allocation = Allocation {
            base: Opaque::uninit(),
            timeline: core::ptr::null(),
            data: T::FenceData::default(),
        };
        let memory = Self::memory(flags)?.write(allocation);
        Ok(Self { memory, timeline })
    }

    /// Allocates the memory, most quickly with the flags that most have.
    #[inline]
    fn memory(flags: Flags) -> Result<KBox<MaybeUninit<Allocation<T>>>> {
        let fits = const {
            size_of::<Allocation<T>>() <= bindings::DMA_FENCE_MEMORY
                && align_of::<Allocation<T>>() <= bindings::ARCH_KMALLOC_MINALIGN
        };
        if !fits || flags != GFP_KERNEL_ACCOUNT {
            return Ok(KBox::new_uninit(flags)?);
        }
        // SAFETY: There are no requirements.
        let memory = NonNull::new(unsafe { bindings::dma_fence_kmalloc() }).ok_or(ENOMEM)?;
        // SAFETY: It was allocated by kmalloc(), with those flags, is large enough and aligned, and
        // nobody else has it.
        Ok(unsafe { KBox::from_raw(memory.as_ptr().cast()) })
    }

    /// Makes it a fence with the sequence number `seqno`.
    ///
    /// The numbers of fences of a timeline are in the order in which they signal; those of fences
    /// that are born late, for what has been done already, may be lower.
    pub(crate) fn init(self, seqno: u64) -> PendingFence<T> {
        self.init_by(seqno, bindings::dma_fence_init64)
    }

    /// Makes it a fence with the sequence number `seqno`, of those that wrap around at 32 bits: a
    /// number is later than another one if the difference, modulo 2³², is less than 2³¹.
    ///
    /// All fences of a timeline that are pending at the same time must be within 2³¹.
    pub(crate) fn init_wrapping(self, seqno: u32) -> PendingFence<T> {
        self.init_by(u64::from(seqno), bindings::dma_fence_init)
    }

    fn init_by(mut self, seqno: u64, init: Init) -> PendingFence<T> {
        let context = self.timeline.context.id();
        // The count goes over to the `PendingFence`.
        self.memory.timeline = ARef::into_raw(self.timeline).as_ptr();
        let fence = KBox::into_raw(self.memory).cast::<bindings::dma_fence>();
        // SAFETY: `init` is one of the core's two, which want the same. `base` is at the beginning
        // of the allocation, which is ours. The operations are static. No lock means the inline
        // one.
        unsafe {
            init(
                fence,
                &Allocation::<T>::OPS,
                core::ptr::null_mut(),
                context,
                seqno,
            )
        };
        // SAFETY: The fence is initialised, and its one reference is ours. `Fence` is a transparent
        // wrapper.
        let fence = unsafe { ARef::from_raw(NonNull::new_unchecked(fence).cast()) };
        // INVARIANT: Nobody else has the fence, so it has not signalled. It is an `Allocation<T>`
        // with a count.
        PendingFence(ManuallyDrop::new(fence), PhantomData)
    }
}

/// One of the functions that signal a fence.
type Signal = unsafe extern "C" fn(*mut bindings::dma_fence, bindings::ktime_t);

/// The right and the duty to signal a fence.
///
/// Dropping it signals the fence with `-ECANCELED`. It must not be leaked: the fence would never
/// signal, and go on to refer to its module's code after that has been unloaded.
///
/// # Invariants
///
/// The fence is the `base` of an `Allocation<T>`. It has not signalled, and there is no other
/// `PendingFence` of it, which owns a count of the allocation's timeline. Both references are taken
/// only when the `PendingFence` goes.
pub(crate) struct PendingFence<T: DriverTimeline>(
    ManuallyDrop<ARef<Fence>>,
    // The timeline, which is `Send` and `Sync`, is elsewhere.
    PhantomData<fn() -> T>,
);

impl<T: DriverTimeline> PendingFence<T> {
    /// Returns the fence, for others to refer to.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0
    }

    /// Returns whether anybody else has a reference. That may change at any time, but not from
    /// `false`: who has none does not get one, except by finding the fence in an RCU read-side
    /// section where it has just been removed.
    pub(crate) fn is_shared(&self) -> bool {
        // SAFETY: The fence is valid.
        unsafe { bindings::dma_fence_refcount(self.0.as_raw()) > 1 }
    }

    /// Returns the driver's data of the fence.
    #[inline]
    pub(crate) fn data(&self) -> &T::FenceData {
        // SAFETY: By the type invariants the fence is the `base` of an `Allocation<T>`, and `self`
        // holds a reference to it.
        unsafe { Allocation::<T>::data(self.0.as_raw()) }
    }

    /// Signals the fence, with an error or without; `timestamp` is the time, in ns on
    /// `CLOCK_MONOTONIC`, at which the work was done.
    ///
    /// Calls the callbacks of all who wait. May be called in any context, but not with a lock held
    /// that a callback of anybody could take.
    pub(crate) fn complete(self, result: Result, timestamp: u64) -> SignalledFence {
        self.complete_by(result, timestamp, bindings::dma_fence_signal_timestamp)
    }

    /// As [`PendingFence::complete`], under a lock that nothing takes which a callback of anybody
    /// does. Interrupts are off then, which makes it quicker.
    #[inline]
    pub(crate) fn complete_with<U>(
        self,
        _lock: &SpinLockIrqGuard<'_, U>,
        result: Result,
        timestamp: u64,
    ) -> SignalledFence {
        self.complete_irqs_off(result, timestamp)
    }

    /// As [`PendingFence::complete_with`], where interrupts are off anyway. A lock may be held
    /// under the same condition.
    ///
    /// Not with `PREEMPT_RT`, where the lock of a fence sleeps, which it may not do with interrupts
    /// off.
    #[inline]
    pub(crate) fn complete_in_interrupt(
        self,
        _irqs_off: &LocalInterruptDisabled,
        result: Result,
        timestamp: u64,
    ) -> SignalledFence {
        self.complete_irqs_off(result, timestamp)
    }

    /// As [`PendingFence::complete`], where interrupts are off if spinlocks that are taken with
    /// interrupts off do that.
    #[inline]
    fn complete_irqs_off(self, result: Result, timestamp: u64) -> SignalledFence {
        // That function is for fences like ours, which have the inline lock.
        self.complete_by(
            result,
            timestamp,
            bindings::dma_fence_signal_timestamp_irqs_off,
        )
    }

    #[inline]
    fn complete_by(self, result: Result, timestamp: u64, signal: Signal) -> SignalledFence {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: `this` goes without a drop, so this is the only time.
        unsafe { this.signal(result, timestamp, signal) };
        // SAFETY: `this` goes without a drop, so this is the only time that the reference is taken.
        SignalledFence(unsafe { ManuallyDrop::take(&mut this.0) })
    }

    /// # Safety
    ///
    /// May be called once: it gives up the count of the timeline. `signal` is one of the functions
    /// that signal a fence, called where it may be.
    #[inline]
    unsafe fn signal(&mut self, result: Result, timestamp: u64, signal: Signal) {
        let fence = self.0.as_raw();
        // SAFETY: By the type invariants; the field is not written any more.
        let timeline = unsafe { (*fence.cast::<Allocation<T>>()).timeline };
        if let Err(error) = result {
            // SAFETY: By the type invariants the fence has not signalled and nobody else will, so
            // the error is ours to write.
            unsafe { bindings::dma_fence_set_error(fence, error.to_errno()) };
        }
        // SAFETY: The fence is valid; by the requirements of this function.
        unsafe { signal(fence, ktime(timestamp)) };
        // SAFETY: By the type invariants there is a count that is ours, and the caller sees to it
        // that it is taken once.
        drop(unsafe { ARef::from_raw(NonNull::new_unchecked(timeline.cast_mut())) });
    }
}

impl<T: DriverTimeline> Drop for PendingFence<T> {
    fn drop(&mut self) {
        // SAFETY: This is the end of `self`, so this is the only time.
        unsafe {
            self.signal(
                Err(ECANCELED),
                ktime_get(),
                bindings::dma_fence_signal_timestamp,
            )
        };
        // SAFETY: This is the end of `self`, so the reference is not taken again.
        drop(unsafe { ManuallyDrop::take(&mut self.0) });
    }
}

/// A reference to a fence that is known to have signalled.
///
/// # Invariants
///
/// The fence has signalled.
pub(crate) struct SignalledFence(ARef<Fence>);

impl SignalledFence {
    /// Returns what the fence came to.
    pub(crate) fn result(&self) -> Result {
        self.0.result().unwrap_or(Ok(()))
    }

    /// Returns when the work was done, in ns on `CLOCK_MONOTONIC`.
    pub(crate) fn timestamp(&self) -> u64 {
        // SAFETY: By the type invariants the fence has signalled, so it has a timestamp.
        timestamp_ns(unsafe { bindings::dma_fence_timestamp(self.0.as_raw()) })
    }
}

/// Returns a fence's timestamp; what its driver has put before the clock's beginning is that.
fn timestamp_ns(timestamp: bindings::ktime_t) -> u64 {
    u64::try_from(timestamp).unwrap_or(0)
}

/// Marks what runs between publishing a fence and signalling it.
///
/// With lockdep, whatever in it could wait for a fence, and so for itself, is reported: an
/// allocation that may reclaim memory, a lock under which somebody waits.
///
/// C documentation: "fence signalling annotation" in
/// [`drivers/dma-buf/dma-fence.c`](srctree/drivers/dma-buf/dma-fence.c).
pub(crate) struct SignallingSection {
    cookie: bool,
    /// The annotation belongs to the task.
    _not_send: NotThreadSafe,
}

impl SignallingSection {
    /// Begins the section; it ends when the value is dropped. Sections may be nested.
    #[must_use = "the section ends at once when it is not kept"]
    pub(crate) fn begin() -> Self {
        Self {
            // Without lockdep it is nothing.
            // SAFETY: There are no requirements.
            cookie: cfg!(CONFIG_LOCKDEP) && unsafe { bindings::dma_fence_begin_signalling() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for SignallingSection {
    fn drop(&mut self) {
        if cfg!(CONFIG_LOCKDEP) {
            // SAFETY: The cookie is that of the section that we began, in the same task.
            unsafe { bindings::dma_fence_end_signalling(self.cookie) };
        }
    }
}

/// Waits until nobody uses the operations of fences that have signalled.
///
/// To be called at the end of a module's exit, after the last of its fences has signalled.
pub(crate) fn drain() {
    rcu::synchronize_rcu();
    rcu::rcu_barrier();
}

#[kernel::macros::kunit_tests(vfence_dma_fence)]
pub(crate) mod tests {
    use super::*;
    use kernel::{
        interrupt::local_interrupt_disable,
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            new_spinlock_irq,
            Arc, //
        },
    };

    pub(crate) struct Plain {
        /// The number and the deadline of the last fence on which a deadline was set.
        seqno: Atomic<u64>,
        deadline: Atomic<i64>,
    }

    /// The last deadline that was set on a fence; 0 if none was.
    pub(crate) struct LastDeadline(Atomic<i64>);

    impl LastDeadline {
        fn get(&self) -> i64 {
            self.0.load(Relaxed)
        }
    }

    impl Default for LastDeadline {
        fn default() -> Self {
            Self(Atomic::new(0))
        }
    }

    impl DriverTimeline for Plain {
        type FenceData = LastDeadline;

        fn driver_name(&self) -> &CStr {
            c"kunit"
        }

        fn timeline_name(&self) -> &CStr {
            c"plain"
        }

        fn set_deadline(&self, data: &LastDeadline, seqno: u64, deadline: i64) {
            data.0.store(deadline, Relaxed);
            self.seqno.store(seqno, Relaxed);
            self.deadline.store(deadline, Relaxed);
        }
    }

    impl Plain {
        fn new() -> Self {
            Self {
                seqno: Atomic::new(0),
                deadline: Atomic::new(0),
            }
        }
    }

    fn timeline() -> Result<ARef<Timeline<Plain>>> {
        Timeline::new::<Error>(Context::new(), Ok(Plain::new()), GFP_KERNEL)
    }

    /// Returns a fence to test with.
    pub(crate) fn pending() -> Result<PendingFence<Plain>> {
        Ok(AllocatedFence::new(timeline()?, GFP_KERNEL_ACCOUNT)?.init(1))
    }

    /// Returns two fences of the same context, in their order.
    pub(crate) fn pending_in_a_row() -> Result<[PendingFence<Plain>; 2]> {
        let timeline = timeline()?;
        Ok([
            AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init(1),
            AllocatedFence::new(timeline, GFP_KERNEL)?.init(2),
        ])
    }

    #[test]
    fn later_fences_of_a_context_include_earlier_ones() -> Result {
        let ([one, two], other) = (pending_in_a_row()?, pending()?);
        assert!(two.fence().is_same_or_later(one.fence()));
        assert!(two.fence().is_same_or_later(two.fence()));
        assert!(!one.fence().is_same_or_later(two.fence()));
        assert!(!two.fence().is_same_or_later(other.fence()));
        // They signal in their order.
        drop(one);
        drop(two);
        Ok(())
    }

    /// Counts calls, and keeps the last errno.
    pub(crate) struct Count {
        calls: Atomic<i32>,
        errno: Atomic<i32>,
        timestamp: Atomic<u64>,
    }

    impl Count {
        pub(crate) fn new() -> Result<Arc<Self>> {
            Ok(Arc::new(
                Self {
                    calls: Atomic::new(0),
                    errno: Atomic::new(0),
                    timestamp: Atomic::new(0),
                },
                GFP_KERNEL,
            )?)
        }

        pub(crate) fn timestamp(&self) -> u64 {
            self.timestamp.load(Relaxed)
        }

        pub(crate) fn seen(&self) -> (i32, i32) {
            (self.calls.load(Relaxed), self.errno.load(Relaxed))
        }
    }

    impl Signalled for Arc<Count> {
        fn signalled(&self, result: Result, timestamp: u64) {
            self.calls.fetch_add(1, Relaxed);
            self.timestamp.store(timestamp, Relaxed);
            let errno = result.err().map_or(0, Error::to_errno);
            self.errno.store(errno, Relaxed);
        }
    }

    #[test]
    fn fence_has_context_and_seqno() -> Result {
        let (one, two) = (timeline()?, timeline()?);
        assert!(one.context().id() != two.context().id());
        let fence = AllocatedFence::new(two.clone(), GFP_KERNEL)?.init(1 << 40);
        assert_eq!(fence.fence().context(), two.context().id());
        assert_eq!(fence.fence().seqno(), 1 << 40);
        Ok(())
    }

    #[test]
    fn allocation_can_be_dropped() -> Result {
        drop(AllocatedFence::new(timeline()?, GFP_KERNEL)?);
        Ok(())
    }

    #[test]
    fn timeline_is_told_of_deadlines_until_the_fence_signals() -> Result {
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
    fn data_is_found_for_fences_of_the_contexts() -> Result {
        let contexts = KBox::pin_init(Contexts::<Plain>::new(), GFP_KERNEL)?;
        let one = Timeline::new::<Error>(contexts.next()?, Ok(Plain::new()), GFP_KERNEL)?;
        let two = Timeline::new::<Error>(contexts.next()?, Ok(Plain::new()), GFP_KERNEL)?;
        assert!(one.context().id() != two.context().id());
        let fence = AllocatedFence::new(one, GFP_KERNEL)?.init(7);
        let reference: ARef<Fence> = fence.fence().into();
        let deadline_of = |fence: &Fence| contexts.data_of(fence).map(LastDeadline::get);
        assert_eq!(deadline_of(&reference), Some(0));
        reference.set_deadline(500);
        assert_eq!(deadline_of(&reference), Some(500));
        assert_eq!(fence.data().get(), 500);
        fence.complete(Ok(()), 1);
        // The timeline is freed by now, but not the fence.
        assert_eq!(deadline_of(&reference), Some(500));
        let other = pending()?;
        assert!(contexts.data_of(other.fence()).is_none());
        let others = KBox::pin_init(Contexts::<Plain>::new(), GFP_KERNEL)?;
        assert!(others.data_of(&reference).is_none());
        // More than one allocation of contexts.
        for _ in 0..2 * Contexts::<Plain>::ROW {
            contexts.next()?;
        }
        let three = Timeline::new::<Error>(contexts.next()?, Ok(Plain::new()), GFP_KERNEL)?;
        let fence = AllocatedFence::new(three, GFP_KERNEL)?.init(1);
        assert_eq!(deadline_of(fence.fence()), Some(0));
        assert_eq!(deadline_of(&reference), Some(500));
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

    #[test]
    fn fence_is_shared_while_others_have_it() -> Result {
        let fence = pending()?;
        assert!(!fence.is_shared());
        let reference: ARef<Fence> = fence.fence().into();
        assert!(fence.is_shared());
        drop(reference);
        assert!(!fence.is_shared());
        Ok(())
    }

    #[test]
    fn numbers_that_wrap_around_are_in_order() -> Result {
        let timeline = timeline()?;
        let before = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init_wrapping(u32::MAX);
        let after = AllocatedFence::new(timeline, GFP_KERNEL)?.init_wrapping(0);
        assert!(after.fence().is_same_or_later(before.fence()));
        assert!(!before.fence().is_same_or_later(after.fence()));
        // They signal in their order.
        drop(before);
        drop(after);
        Ok(())
    }

    /// Checks what the core says about a fence.
    fn assert_names(fence: &Fence, expected: (&CStr, &CStr)) {
        let mut asked = false;
        fence.with_names(|driver, timeline| {
            asked = true;
            assert!((driver, timeline) == expected);
        });
        assert!(asked);
    }

    #[test]
    fn driver_is_forgotten_when_the_fence_signals() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        assert_names(&reference, (c"kunit", c"plain"));
        fence.complete(Ok(()), 1);
        assert_names(&reference, (c"detached-driver", c"signaled-timeline"));
        drain();
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
    fn complete_signals_with_interrupts_off() -> Result {
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
    fn fences_in_a_row_signal_in_their_order() -> Result {
        let (timeline, count) = (timeline()?, Count::new()?);
        let mut callbacks = KVec::new();
        let mut fence = |seqno| -> Result<PendingFence<Plain>> {
            let fence = AllocatedFence::new(timeline.clone(), GFP_KERNEL)?.init(seqno);
            let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
            callback.arm();
            callbacks.push(callback, GFP_KERNEL)?;
            Ok(fence)
        };
        let mut row = Row::<Plain, 2>::new(Err(EIO), 7);
        row.push(fence(1)?);
        row.push(fence(2)?);
        assert_eq!(count.seen(), (0, 0));
        let lock = KBox::pin_init(new_spinlock_irq!((), "kunit"), GFP_KERNEL)?;
        row.complete_with(&lock.lock());
        assert_eq!(count.seen(), (2, EIO.to_errno()));
        assert_eq!(count.timestamp(), 7);
        row.push(fence(3)?);
        row.push(fence(4)?);
        assert_eq!(count.seen().0, 2);
        // There is no place for it.
        row.push(fence(5)?);
        assert_eq!(count.seen().0, 5);
        row.push(fence(6)?);
        drop(row);
        assert_eq!(count.seen(), (6, EIO.to_errno()));
        let mut row = Row::<Plain, 2>::new(Ok(()), 8);
        row.push(fence(7)?);
        row.complete_with(&lock.lock());
        assert_eq!(count.seen(), (7, 0));
        assert_eq!(count.timestamp(), 8);
        drop(callbacks);
        Ok(())
    }

    #[test]
    fn drop_cancels() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        drop(fence);
        assert_eq!(reference.result(), Some(Err(ECANCELED)));
        Ok(())
    }

    #[test]
    fn callback_is_called_once() -> Result {
        let (fence, count) = (pending()?, Count::new()?);
        let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
        callback.arm();
        callback.arm();
        assert_eq!(count.seen(), (0, 0));
        fence.complete(Err(EIO), 7);
        assert_eq!(count.seen(), (1, EIO.to_errno()));
        assert_eq!(count.timestamp(), 7);
        drop(callback);
        assert_eq!(count.seen(), (1, EIO.to_errno()));
        Ok(())
    }

    #[test]
    fn callback_of_a_signalled_fence_is_called_at_once() -> Result {
        let (fence, count) = (pending()?, Count::new()?);
        let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
        fence.complete(Err(EIO), 8);
        assert_eq!(count.seen(), (0, 0));
        callback.arm();
        assert_eq!(count.seen(), (1, EIO.to_errno()));
        assert_eq!(count.timestamp(), 8);
        Ok(())
    }

    #[test]
    fn dropped_callback_is_not_called() -> Result {
        let (fence, count) = (pending()?, Count::new()?);
        let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
        callback.arm();
        drop(callback);
        drop(Callback::new(
            fence.fence().into(),
            count.clone(),
            GFP_KERNEL,
        )?);
        fence.complete(Ok(()), 1);
        assert_eq!(count.seen(), (0, 0));
        Ok(())
    }

    #[test]
    fn sections_nest() -> Result {
        let fence = pending()?;
        let outer = SignallingSection::begin();
        let inner = SignallingSection::begin();
        drop(inner);
        fence.complete(Ok(()), 1);
        drop(outer);
        Ok(())
    }
}
