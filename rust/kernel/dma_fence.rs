// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences: the kernel's promise that something will be done.
//!
//! C header: [`include/linux/dma-fence.h`](srctree/include/linux/dma-fence.h)
//!
//! Documentation: [`Documentation/driver-api/dma-buf.rst`](srctree/Documentation/driver-api/dma-buf.rst)
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
//! Allocation is what can fail; everything after it cannot, as the
//! [rules](srctree/Documentation/driver-api/dma-buf.rst) for the path from publishing a fence to signalling
//! it demand. That path is marked with a [`SignallingSection`], by which lockdep checks it.
//!
//! # Fences outlive their module
//!
//! The fences made here have no `release` and no `wait` operation, an inline lock, and data that needs
//! no `Drop`. So when such a fence has signalled, the core forgets the module's operations, and the memory
//! is given back by the core. A module with [`DriverFence`]s can be unloaded while others still hold them,
//! if it has signalled them all and then, last of all, called [`drain`].

use super::timekeeping::{
    ktime,
    ktime_get, //
};
use crate::bindings;
use core::{
    marker::PhantomData,
    mem::{
        offset_of,
        ManuallyDrop,
        MaybeUninit, //
    },
    ptr::NonNull, //
};
use kernel::{
    alloc::Flags,
    container_of,
    error::to_result,
    prelude::*,
    str::CStr,
    sync::{
        aref::{
            ARef,
            AlwaysRefCounted, //
        },
        rcu, //
    },
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

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

    /// Returns whether the fence has signalled.
    ///
    /// May call the driver that made it, so no lock may be held that such a driver could take.
    pub(crate) fn is_signaled(&self) -> bool {
        // SAFETY: The reference is a valid fence.
        unsafe { bindings::dma_fence_is_signaled(self.as_raw()) }
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

    /// The largest errno that a fence can carry, as in the kernel's `err.h`.
    pub(crate) const MAX_ERRNO: i32 = bindings::MAX_ERRNO as i32;

    /// Returns whether the fence is a `dma_fence_array` or a `dma_fence_chain`.
    pub(crate) fn is_container(&self) -> bool {
        // SAFETY: The reference is a valid fence.
        unsafe { bindings::dma_fence_is_container(self.as_raw()) }
    }
}

/// An execution context: fences of the same context signal in the order of their sequence numbers.
///
/// Contexts are numbers, unique until the system reboots, and need not be given back.
#[derive(Clone, Copy)]
pub(crate) struct Context(u64);

impl Context {
    /// Returns a new context.
    pub(crate) fn new() -> Self {
        // SAFETY: There are no requirements but that the number is not 0.
        Self(unsafe { bindings::dma_fence_context_alloc(1) })
    }

    /// Returns its number.
    pub(crate) fn id(self) -> u64 {
        self.0
    }
}

/// What a driver keeps with each of its fences.
///
/// It must not need `Drop`: it goes with the fence, when the module may be gone already.
pub(crate) trait DriverFence: Send + Sync + Sized + 'static {
    /// What pending fences show as the name of their driver.
    const DRIVER_NAME: &'static CStr;

    /// Returns what the pending fence shows as the name of its timeline.
    fn timeline_name(&self) -> &CStr;
}

/// How a driver's fence lies in memory.
#[repr(C)]
struct Allocation<T: DriverFence> {
    base: Opaque<bindings::dma_fence>,
    data: T,
}

impl<T: DriverFence> Allocation<T> {
    const OPS: bindings::dma_fence_ops = bindings::dma_fence_ops {
        get_driver_name: Some(Self::driver_name),
        get_timeline_name: Some(Self::timeline_name),
        // Of the others, `release` and `wait` would tie the fence to the module.
        ..pin_init::zeroed()
    };

    const CHECKED: () = {
        assert!(!core::mem::needs_drop::<T>());
        // The core frees the fence, not the allocation.
        assert!(offset_of!(Self, base) == 0);
    };

    /// # Safety
    ///
    /// `fence` is the `base` of an `Allocation<T>`.
    unsafe extern "C" fn driver_name(_fence: *mut bindings::dma_fence) -> *const c_char {
        T::DRIVER_NAME.as_char_ptr()
    }

    /// # Safety
    ///
    /// `fence` is the `base` of an `Allocation<T>`.
    unsafe extern "C" fn timeline_name(fence: *mut bindings::dma_fence) -> *const c_char {
        // SAFETY: By the requirements of this function; the data is initialised and not written.
        let data = unsafe { &(*fence.cast::<Self>()).data };
        // The name is in the fence, or static: it lives for a grace period after the last reference.
        data.timeline_name().as_char_ptr()
    }
}

/// The memory of a fence.
pub(crate) struct AllocatedFence<T: DriverFence>(KBox<MaybeUninit<Allocation<T>>>);

impl<T: DriverFence> AllocatedFence<T> {
    /// Allocates a fence. Fails with `ENOMEM`.
    pub(crate) fn new(data: T, flags: Flags) -> Result<Self> {
        const { Allocation::<T>::CHECKED };
        let mut memory = KBox::<Allocation<T>>::new_uninit(flags)?;
        // SAFETY: The memory is valid for writes of an `Allocation<T>`.
        unsafe { (&raw mut (*memory.as_mut_ptr()).data).write(data) };
        Ok(Self(memory))
    }

    /// Makes it a fence of `context` with the sequence number `seqno`, which is higher than that of all
    /// fences that the context has had.
    pub(crate) fn init(self, context: Context, seqno: u64) -> PendingFence<T> {
        let fence = KBox::into_raw(self.0).cast::<bindings::dma_fence>();
        // SAFETY: `base` is at the beginning of the allocation, which is ours. The operations are
        // static. No lock means the inline one.
        unsafe {
            bindings::dma_fence_init64(
                fence,
                &Allocation::<T>::OPS,
                core::ptr::null_mut(),
                context.id(),
                seqno,
            )
        };
        // SAFETY: The fence is initialised, and its one reference is ours. `Fence` is a transparent
        // wrapper.
        let fence = unsafe { ARef::from_raw(NonNull::new_unchecked(fence).cast()) };
        // INVARIANT: Nobody else has the fence, so it has not signalled.
        PendingFence(ManuallyDrop::new(fence), PhantomData)
    }
}

/// The right and the duty to signal a fence.
///
/// Dropping it signals the fence with `-ECANCELED`. It must not be leaked: the fence would never signal, and
/// go on to refer to its module's code after that has been unloaded.
///
/// # Invariants
///
/// The fence has not signalled, and there is no other `PendingFence` of it. The `ARef` is taken only
/// when the `PendingFence` goes.
pub(crate) struct PendingFence<T: DriverFence>(ManuallyDrop<ARef<Fence>>, PhantomData<T>);

impl<T: DriverFence> PendingFence<T> {
    /// Returns the fence, for others to refer to.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0
    }

    /// Signals the fence, with an error or without; `timestamp` is the time, in ns on
    /// `CLOCK_MONOTONIC`, at which the work was done.
    ///
    /// Calls the callbacks of all who wait. May be called in any context, but not with a lock held that a
    /// callback of anybody could take.
    pub(crate) fn complete(self, result: Result, timestamp: u64) -> SignalledFence {
        let mut this = ManuallyDrop::new(self);
        this.signal(result, timestamp);
        // SAFETY: `this` goes without a drop, so this is the only time that the reference is taken.
        SignalledFence(unsafe { ManuallyDrop::take(&mut this.0) })
    }

    fn signal(&mut self, result: Result, timestamp: u64) {
        let fence = self.0.as_raw();
        if let Err(error) = result {
            // SAFETY: By the type invariants the fence has not signalled and nobody else will, so the
            // error is ours to write.
            unsafe { bindings::dma_fence_set_error(fence, error.to_errno()) };
        }
        // SAFETY: The fence is valid.
        unsafe { bindings::dma_fence_signal_timestamp(fence, ktime(timestamp)) };
    }
}

impl<T: DriverFence> Drop for PendingFence<T> {
    fn drop(&mut self) {
        self.signal(Err(ECANCELED), ktime_get());
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
        let timestamp = unsafe { bindings::dma_fence_timestamp(self.0.as_raw()) };
        // CAST: It is not negative.
        timestamp as u64
    }
}

/// What is told when a fence signals.
pub(crate) trait Signalled: Send + Sync + 'static {
    /// Called once, when the fence of the [`Callback`] has signalled.
    ///
    /// May be called in hard interrupt context, and with the fence's lock held: it must not signal
    /// a fence, and must not drop the callback.
    fn signalled(&self, result: Result);
}

/// A callback that waits for a fence, and whom it tells.
///
/// It does nothing until it is [armed](Callback::arm). Dropping it removes it from the fence; when that
/// is done, it is not running and will not be called. Dropping takes the fence's lock, so it must not happen
/// in a callback of the same fence.
///
/// # Invariants
///
/// `inner` came from `KBox::into_raw()` and is owned by this. While it is armed, the fence's list may
/// contain its `cb`, and the receiver is only used through shared references.
pub(crate) struct Callback<T: Signalled>(NonNull<Inner<T>>);

struct Inner<T: Signalled> {
    cb: Opaque<bindings::dma_fence_cb>,
    /// Only used by the owner of the `Callback`.
    armed: bool,
    fence: ARef<Fence>,
    receiver: T,
}

// SAFETY: The receiver is told from any context, and dropped where the callback is.
unsafe impl<T: Signalled> Send for Callback<T> {}
// SAFETY: There is no function that takes `&self`.
unsafe impl<T: Signalled> Sync for Callback<T> {}

impl<T: Signalled> Callback<T> {
    /// Creates a callback for `fence` that tells `receiver`. Fails with `ENOMEM`.
    pub(crate) fn new(fence: ARef<Fence>, receiver: T, flags: Flags) -> Result<Self> {
        let inner = KBox::new(
            Inner {
                cb: Opaque::zeroed(),
                armed: false,
                fence,
                receiver,
            },
            flags,
        )?;
        // SAFETY: The pointer of a box is not null.
        Ok(Self(unsafe {
            NonNull::new_unchecked(KBox::into_raw(inner))
        }))
    }

    /// Has the receiver told when the fence signals; at once if it has signalled already.
    ///
    /// Does nothing the second time. Must not be called with a lock held that the receiver takes.
    pub(crate) fn arm(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: By the type invariants the box is ours, and only the owner uses `armed`.
        if core::mem::replace(unsafe { &mut (*inner).armed }, true) {
            return;
        }
        // SAFETY: By the type invariants the box is valid; nobody writes these fields any more.
        let (fence, receiver) = unsafe { (&(*inner).fence, &(*inner).receiver) };
        // SAFETY: The fence is valid. `cb` stays where it is until `drop()` has removed it.
        let ret = unsafe {
            bindings::dma_fence_add_callback(
                fence.as_raw(),
                (&raw mut (*inner).cb).cast(),
                Some(Self::callback),
            )
        };
        if ret != 0 {
            receiver.signalled(fence.result().unwrap_or(Ok(())));
        }
    }

    /// # Safety
    ///
    /// `cb` must be that of a `Callback<T>` that was armed, and `fence` its fence, signalled and locked.
    unsafe extern "C" fn callback(
        fence: *mut bindings::dma_fence,
        cb: *mut bindings::dma_fence_cb,
    ) {
        // SAFETY: By the requirements of this function. It stays alive during the call: `drop()`
        // takes the fence's lock.
        let receiver = unsafe { &(*container_of!(Opaque::cast_from(cb), Inner<T>, cb)).receiver };
        // SAFETY: The error of a fence that has signalled does not change.
        let error = unsafe { (*fence).error };
        receiver.signalled(to_result(error));
    }
}

impl<T: Signalled> Drop for Callback<T> {
    fn drop(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: By the type invariants the box is ours, and only the owner uses `armed`.
        if unsafe { (*inner).armed } {
            // SAFETY: The `cb` was given to `dma_fence_add_callback()` for this fence, which leaves
            // an empty list if the fence had signalled.
            unsafe {
                bindings::dma_fence_remove_callback(
                    (*inner).fence.as_raw(),
                    (&raw mut (*inner).cb).cast(),
                )
            };
        }
        // SAFETY: The box is ours, and the fence has forgotten the callback.
        drop(unsafe { KBox::from_raw(inner) });
    }
}

/// Marks what runs between publishing a fence and signalling it.
///
/// With lockdep, whatever in it could wait for a fence, and so for itself, is reported: an allocation that
/// may reclaim memory, a lock under which somebody waits.
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
            // SAFETY: There are no requirements.
            cookie: unsafe { bindings::dma_fence_begin_signalling() },
            _not_send: NotThreadSafe,
        }
    }
}

impl Drop for SignallingSection {
    fn drop(&mut self) {
        // SAFETY: The cookie is that of the section that we began, in the same task.
        unsafe { bindings::dma_fence_end_signalling(self.cookie) };
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
    use kernel::sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    };

    pub(crate) struct Plain;

    impl DriverFence for Plain {
        const DRIVER_NAME: &'static CStr = c"kunit";

        fn timeline_name(&self) -> &CStr {
            c"plain"
        }
    }

    /// Returns a fence to test with.
    pub(crate) fn pending() -> Result<PendingFence<Plain>> {
        Ok(AllocatedFence::new(Plain, GFP_KERNEL)?.init(Context::new(), 1))
    }

    /// Counts calls, and keeps the last errno.
    pub(crate) struct Count {
        calls: Atomic<i32>,
        errno: Atomic<i32>,
    }

    impl Count {
        pub(crate) fn new() -> Result<Arc<Self>> {
            Ok(Arc::new(
                Self {
                    calls: Atomic::new(0),
                    errno: Atomic::new(0),
                },
                GFP_KERNEL,
            )?)
        }

        pub(crate) fn seen(&self) -> (i32, i32) {
            (self.calls.load(Relaxed), self.errno.load(Relaxed))
        }
    }

    impl Signalled for Arc<Count> {
        fn signalled(&self, result: Result) {
            self.calls.fetch_add(1, Relaxed);
            let errno = result.err().map_or(0, Error::to_errno);
            self.errno.store(errno, Relaxed);
        }
    }

    #[test]
    fn fence_has_context_and_seqno() -> Result {
        let (one, two) = (Context::new(), Context::new());
        assert!(one.id() != two.id());
        let fence = AllocatedFence::new(Plain, GFP_KERNEL)?.init(two, 1 << 40);
        assert_eq!(fence.fence().context(), two.id());
        assert_eq!(fence.fence().seqno(), 1 << 40);
        Ok(())
    }

    /// Returns what the core says about a fence: the names of its driver and its timeline.
    fn names(fence: &Fence) -> (&'static [u8], &'static [u8]) {
        let guard = rcu::read_lock();
        // SAFETY: The fence is valid, and in the critical section so are the names, which are static.
        let names = unsafe {
            (
                CStr::from_char_ptr(bindings::dma_fence_driver_name(fence.as_raw())),
                CStr::from_char_ptr(bindings::dma_fence_timeline_name(fence.as_raw())),
            )
        };
        drop(guard);
        (names.0.to_bytes(), names.1.to_bytes())
    }

    #[test]
    fn driver_is_forgotten_when_the_fence_signals() -> Result {
        let fence = pending()?;
        let reference: ARef<Fence> = fence.fence().into();
        assert!(names(&reference) == (b"kunit", b"plain"));
        fence.complete(Ok(()), 1);
        assert!(names(&reference) == (b"detached-driver", b"signaled-timeline"));
        drain();
        Ok(())
    }

    #[test]
    fn allocation_can_be_dropped() -> Result {
        drop(AllocatedFence::new(Plain, GFP_KERNEL)?);
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
        fence.complete(Err(EIO), 1);
        assert_eq!(count.seen(), (1, EIO.to_errno()));
        drop(callback);
        assert_eq!(count.seen(), (1, EIO.to_errno()));
        Ok(())
    }

    #[test]
    fn callback_of_a_signalled_fence_is_called_at_once() -> Result {
        let (fence, count) = (pending()?, Count::new()?);
        let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
        fence.complete(Err(EIO), 1);
        assert_eq!(count.seen(), (0, 0));
        callback.arm();
        assert_eq!(count.seen(), (1, EIO.to_errno()));
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
