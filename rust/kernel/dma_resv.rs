// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reservation objects: the fences of a buffer.
//!
//! C header: [`include/linux/dma-resv.h`](srctree/include/linux/dma-resv.h)
//!
//! A fence is added with the object locked, to a slot that was reserved before:
//!
//! ```text
//!   DmaResv::lock ──────┐                   fences(): the fences to wait for
//!                       ├──▶ DmaResvGuard ─┤
//!   DmaResvGuards::new ─┘                   reserve() ──▶ add(): cannot fail
//! ```
//!
//! [`DmaResvGuards`] locks several objects in any order. If another task locks the same objects in
//! another order, one of the two unlocks its objects and tries again. The locks are wound/wait
//! mutexes, see
//! [`ww-mutex-design.rst`](srctree/Documentation/locking/ww-mutex-design.rst).
//!
//! User memory must not be accessed with one of these locks held: a page fault takes locks that
//! come before it.

use super::dma_fence::{
    DriverTimeline,
    Fence,
    PendingFence, //
};
use crate::bindings;
use core::marker::PhantomData;
use kernel::{
    alloc::Flags,
    error::to_result,
    prelude::*,
    sync::aref::ARef,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

/// The use that a fence's work makes of the buffer. As a filter, each usage includes those before
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Usage {
    /// The kernel's memory management. All users wait for it.
    Kernel = bindings::dma_resv_usage_DMA_RESV_USAGE_KERNEL,
    /// Writes by user space's jobs. Readers and writers wait for them.
    Write = bindings::dma_resv_usage_DMA_RESV_USAGE_WRITE,
    /// Reads by user space's jobs. Writers wait for them.
    Read = bindings::dma_resv_usage_DMA_RESV_USAGE_READ,
    /// Any other use. Only moving or freeing the buffer waits for it.
    Bookkeep = bindings::dma_resv_usage_DMA_RESV_USAGE_BOOKKEEP,
}

impl Usage {
    /// Returns the filter for the fences that a reader or a writer must wait for: C's
    /// `dma_resv_usage_rw()`.
    pub(crate) fn to_wait_for(write: bool) -> Self {
        if write {
            Self::Read
        } else {
            Self::Write
        }
    }
}

/// A reservation object: C's `struct dma_resv`.
///
/// # Invariants
///
/// Instances are initialised.
#[repr(transparent)]
pub(crate) struct DmaResv(Opaque<bindings::dma_resv>);

// SAFETY: Any thread may use a reservation object.
unsafe impl Send for DmaResv {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for DmaResv {}

impl DmaResv {
    /// Wraps C's pointer to an object.
    ///
    /// # Safety
    ///
    /// `resv` must point to an initialised `dma_resv`, which must stay valid for `'a`.
    pub(crate) unsafe fn from_raw<'a>(resv: *mut bindings::dma_resv) -> &'a Self {
        // SAFETY: By the safety requirements of this function. `Self` is a transparent wrapper.
        unsafe { &*resv.cast() }
    }

    /// Returns the C structure.
    pub(crate) fn as_raw(&self) -> *mut bindings::dma_resv {
        self.0.get()
    }

    /// Locks this object alone; [`DmaResvGuards`] locks several. Fails with `EINTR` if a signal
    /// arrives first.
    pub(crate) fn lock(&self) -> Result<DmaResvGuard<'_>> {
        // SAFETY: By the type invariants. Without a context, no other object is locked together
        // with this one.
        to_result(unsafe {
            bindings::ww_mutex_lock_interruptible(
                &raw mut (*self.as_raw()).lock,
                core::ptr::null_mut(),
            )
        })?;
        // INVARIANT: The object is locked.
        Ok(DmaResvGuard::new(self))
    }

    /// Returns whether all fences that `usage` includes have signalled.
    pub(crate) fn is_signaled(&self, usage: Usage) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::dma_resv_test_signaled(self.as_raw(), usage as u32) }
    }

    /// Waits until all fences that `usage` includes have signalled. Fails with `ERESTARTSYS` if a
    /// signal arrives first.
    pub(crate) fn wait(&self, usage: Usage) -> Result {
        const FOR_EVER: c_ulong = isize::MAX as c_ulong;

        // SAFETY: By the type invariants.
        let ret =
            unsafe { bindings::dma_resv_wait_timeout(self.as_raw(), usage as u32, true, FOR_EVER) };
        // CAST: An errno fits.
        to_result(ret.min(0) as c_int)
    }
}

/// A fence that is not a container, as the fences of a reservation object must be.
///
/// # Invariants
///
/// The fence is neither a `dma_fence_array` nor a `dma_fence_chain`.
pub(crate) struct NonContainerFence(ARef<Fence>);

impl NonContainerFence {
    /// Returns the fence.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0
    }
}

impl<T: DriverTimeline> From<&PendingFence<T>> for NonContainerFence {
    fn from(fence: &PendingFence<T>) -> Self {
        // INVARIANT: The fence has a driver's operations.
        Self(fence.fence().into())
    }
}

/// A locked reservation object. Dropping the guard unlocks it.
///
/// # Invariants
///
/// The present task holds the lock. At least `slots` slots are reserved.
#[must_use = "it is unlocked at once when this is not kept"]
pub(crate) struct DmaResvGuard<'a> {
    resv: &'a DmaResv,
    slots: usize,
    /// The task owns the lock.
    _not_send: NotThreadSafe,
}

impl<'a> DmaResvGuard<'a> {
    /// Creates the guard of an object that the caller has locked.
    fn new(resv: &'a DmaResv) -> Self {
        Self {
            resv,
            slots: 0,
            _not_send: NotThreadSafe,
        }
    }

    /// Returns the object.
    pub(crate) fn resv(&self) -> &'a DmaResv {
        self.resv
    }

    /// Returns the fences that `usage` includes. Some may have signalled.
    pub(crate) fn fences(&self, usage: Usage) -> Fences<'_> {
        Fences {
            // The core initialises the other fields.
            cursor: bindings::dma_resv_iter {
                obj: self.resv.as_raw(),
                usage: usage as u32,
                ..pin_init::zeroed()
            },
            begun: false,
            _locked: PhantomData,
        }
    }

    /// Reserves slots, so that `count` fences can be added. Fails with `EINVAL` if `count` is 0,
    /// `ENOMEM`.
    pub(crate) fn reserve(&mut self, count: u32) -> Result {
        if count == 0 {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariants the object is locked.
        to_result(unsafe { bindings::dma_resv_reserve_fences(self.resv.as_raw(), count) })?;
        // INVARIANT: The core reserves slots beyond the present fences; slots of earlier calls are
        // among them.
        self.slots = self.slots.max(count as usize);
        Ok(())
    }

    /// Adds a fence, which replaces earlier fences of its context. The fence may have signalled.
    ///
    /// Fails only with `ENOSPC`, if no slot is reserved.
    pub(crate) fn add(&mut self, fence: &NonContainerFence, usage: Usage) -> Result {
        self.slots = self.slots.checked_sub(1).ok_or(ENOSPC)?;
        let fence = fence.fence().as_raw();
        // SAFETY: By the type invariants the object is locked and had a reserved slot. The fence is
        // valid, and not a container. The core takes its own reference.
        unsafe { bindings::dma_resv_add_fence(self.resv.as_raw(), fence, usage as u32) };
        Ok(())
    }
}

impl Drop for DmaResvGuard<'_> {
    fn drop(&mut self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::dma_resv_unlock(self.resv.as_raw()) };
    }
}

/// The fences of a locked reservation object; see [`DmaResvGuard::fences`].
pub(crate) struct Fences<'a> {
    cursor: bindings::dma_resv_iter,
    begun: bool,
    _locked: PhantomData<&'a DmaResvGuard<'a>>,
}

impl<'a> Iterator for Fences<'a> {
    type Item = &'a Fence;

    fn next(&mut self) -> Option<&'a Fence> {
        let fence = if core::mem::replace(&mut self.begun, true) {
            // SAFETY: `dma_resv_iter_first()` initialised the cursor, and the object is locked for
            // `'a`.
            unsafe { bindings::dma_resv_iter_next(&mut self.cursor) }
        } else {
            // SAFETY: The cursor has its object and usage, and the object is locked for `'a`.
            unsafe { bindings::dma_resv_iter_first(&mut self.cursor) }
        };
        // SAFETY: The pointer is null or a valid fence. The object holds a reference to the fence,
        // which it keeps while the guard is borrowed. `Fence` is a transparent wrapper.
        unsafe { fence.cast::<Fence>().as_ref() }
    }
}

/// Several reservation objects that are locked together. Dropping this unlocks them.
///
/// # Invariants
///
/// The locks of `guards` were taken with `_context`.
pub(crate) struct DmaResvGuards<'a> {
    /// Dropped before the context.
    guards: KVec<DmaResvGuard<'a>>,
    _context: AcquireContext,
}

impl<'a> DmaResvGuards<'a> {
    /// Locks all of `resvs`. Tasks that lock the same objects in different orders do not deadlock.
    ///
    /// Fails with `EALREADY` if an object occurs twice, `EINTR` if a signal arrives first,
    /// `ENOMEM`.
    pub(crate) fn new(resvs: &[&'a DmaResv], flags: Flags) -> Result<Self> {
        // Locals are dropped in reverse order: the guards before the context.
        let context = AcquireContext::new(flags)?;
        let mut guards = KVec::new();
        guards.reserve(resvs.len(), flags)?;
        let mut contended = None;
        loop {
            guards.clear();
            match Self::try_lock(&context, &mut guards, resvs, contended, flags) {
                Ok(()) => break,
                // An older context holds the lock. All guards are dropped before that lock is taken
                // first.
                Err((EDEADLK, resv)) => contended = Some(resv),
                Err((error, _)) => return Err(error),
            }
        }
        context.done();
        // Restore the order of `resvs`.
        if let Some(place) = contended.and_then(|contended| {
            resvs
                .iter()
                .position(|resv| core::ptr::eq(*resv, contended))
        }) {
            if let Some(moved) = guards.get_mut(..=place) {
                moved.rotate_left(1);
            }
        }
        // INVARIANT: The locks were taken with `context`.
        Ok(Self {
            guards,
            _context: context,
        })
    }

    /// Locks `contended`, if there is one, and then the others. On failure, also returns the object
    /// that could not be locked.
    fn try_lock(
        context: &AcquireContext,
        guards: &mut KVec<DmaResvGuard<'a>>,
        resvs: &[&'a DmaResv],
        contended: Option<&'a DmaResv>,
        flags: Flags,
    ) -> Result<(), (Error, &'a DmaResv)> {
        let is_contended = |resv: &&&'a DmaResv| {
            contended.is_some_and(|contended| core::ptr::eq(**resv, contended))
        };
        if let Some(resv) = contended {
            context.lock_slowly(resv).map_err(|error| (error, resv))?;
            // INVARIANT: The object is locked.
            guards
                .push(DmaResvGuard::new(resv), flags)
                .map_err(|error| (error.into(), resv))?;
        }
        let mut skipped = false;
        for resv in resvs {
            if !skipped && is_contended(&resv) {
                skipped = true;
                continue;
            }
            context.lock(resv).map_err(|error| (error, *resv))?;
            // INVARIANT: The object is locked.
            guards
                .push(DmaResvGuard::new(resv), flags)
                .map_err(|error| (error.into(), *resv))?;
        }
        Ok(())
    }

    /// Returns the guards, in the order of `resvs`.
    // There is no mutable access: a guard that was swapped into another value would outlive its
    // context.
    pub(crate) fn guards(&self) -> &[DmaResvGuard<'a>] {
        &self.guards
    }

    /// Reserves slots in object `index`, as [`DmaResvGuard::reserve`] does. Fails with `EINVAL`
    /// also if there is no such object.
    pub(crate) fn reserve(&mut self, index: usize, count: u32) -> Result {
        self.guards.get_mut(index).ok_or(EINVAL)?.reserve(count)
    }

    /// Adds a fence to object `index`, as [`DmaResvGuard::add`] does. Fails with `EINVAL` if there
    /// is no such object.
    pub(crate) fn add(&mut self, index: usize, fence: &NonContainerFence, usage: Usage) -> Result {
        self.guards.get_mut(index).ok_or(EINVAL)?.add(fence, usage)
    }
}

/// The acquire context of locks that a task takes together: C's `struct ww_acquire_ctx`.
///
/// # Invariants
///
/// `inner` is initialised, for the present task.
struct AcquireContext {
    inner: KBox<Opaque<bindings::ww_acquire_ctx>>,
    _not_send: NotThreadSafe,
}

impl AcquireContext {
    /// Fails with `ENOMEM`.
    fn new(flags: Flags) -> Result<Self> {
        let inner = KBox::new(Opaque::uninit(), flags)?;
        // SAFETY: The pointer is valid for writes. The context stays in its box.
        unsafe { bindings::ww_acquire_init(inner.get(), &raw mut bindings::reservation_ww_class) };
        // INVARIANT: The context is initialised, in this task.
        Ok(Self {
            inner,
            _not_send: NotThreadSafe,
        })
    }

    /// Locks an object. Fails with `EDEADLK` if the caller must unlock all objects first,
    /// `EALREADY` if the object is locked in this context, `EINTR`.
    fn lock(&self, resv: &DmaResv) -> Result {
        // SAFETY: By the type invariants.
        to_result(unsafe {
            bindings::ww_mutex_lock_interruptible(&raw mut (*resv.as_raw()).lock, self.inner.get())
        })
    }

    /// Locks the object that failed with `EDEADLK`, with no other object locked. Fails with
    /// `EINTR`.
    fn lock_slowly(&self, resv: &DmaResv) -> Result {
        // SAFETY: By the type invariants.
        to_result(unsafe {
            bindings::dma_resv_lock_slow_interruptible(resv.as_raw(), self.inner.get())
        })
    }

    /// Marks the end of locking.
    fn done(&self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::ww_acquire_done(self.inner.get()) };
    }
}

impl Drop for AcquireContext {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. All objects are unlocked.
        unsafe { bindings::ww_acquire_fini(self.inner.get()) };
    }
}

#[kernel::macros::kunit_tests(vfence_dma_resv)]
mod tests {
    use super::*;
    use crate::kernel_ext::{
        dma_fence::fixture::{
            pending,
            pending_pair, //
        },
        workqueue::OwnedQueue, //
    };
    use kernel::sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    };

    /// A reservation object without a buffer.
    #[pin_data(PinnedDrop)]
    struct Owned {
        #[pin]
        resv: DmaResv,
    }

    impl Owned {
        fn new() -> impl PinInit<Self> {
            // SAFETY: The function initialises the whole object, in place.
            let resv = unsafe {
                pin_init::pin_init_from_closure(|slot: *mut DmaResv| {
                    bindings::dma_resv_init(slot.cast());
                    Ok::<_, core::convert::Infallible>(())
                })
            };
            pin_init!(Self { resv <- resv })
        }
    }

    #[pinned_drop]
    impl PinnedDrop for Owned {
        fn drop(self: Pin<&mut Self>) {
            // SAFETY: The object is initialised, and there are no references to it.
            unsafe { bindings::dma_resv_fini(self.resv.as_raw()) };
        }
    }

    fn owned() -> Result<Arc<Owned>> {
        Arc::pin_init(Owned::new(), GFP_KERNEL)
    }

    #[test]
    fn writers_wait_for_readers_and_readers_for_writers() -> Result {
        let object = owned()?;
        let (reader, writer) = (pending()?, pending()?);
        let mut guard = object.resv.lock()?;
        guard.reserve(2)?;
        guard.add(&NonContainerFence::from(&reader), Usage::Read)?;
        guard.add(&NonContainerFence::from(&writer), Usage::Write)?;
        let count = |write| guard.fences(Usage::to_wait_for(write)).count();
        assert_eq!((count(false), count(true)), (1, 2));
        assert_eq!(guard.fences(Usage::Kernel).count(), 0);
        let first = guard.fences(Usage::Write).next().map(Fence::as_raw);
        assert!(first == Some(writer.fence().as_raw()));
        drop(guard);
        assert!(object.resv.is_signaled(Usage::Kernel));
        assert!(!object.resv.is_signaled(Usage::Write));
        writer.complete(Ok(()), 1);
        assert!(object.resv.is_signaled(Usage::Write));
        assert!(!object.resv.is_signaled(Usage::Read));
        reader.complete(Ok(()), 1);
        object.resv.wait(Usage::Bookkeep)
    }

    #[test]
    fn add_needs_a_reserved_slot() -> Result {
        let object = owned()?;
        let (one, two) = (pending()?, pending()?);
        let mut guard = object.resv.lock()?;
        assert_eq!(
            guard.add(&NonContainerFence::from(&one), Usage::Write),
            Err(ENOSPC)
        );
        assert_eq!(guard.reserve(0), Err(EINVAL));
        guard.reserve(1)?;
        // Slots do not add up.
        guard.reserve(1)?;
        guard.add(&NonContainerFence::from(&one), Usage::Write)?;
        assert_eq!(
            guard.add(&NonContainerFence::from(&two), Usage::Write),
            Err(ENOSPC)
        );
        drop(guard);
        let mut guard = object.resv.lock()?;
        assert_eq!(
            guard.add(&NonContainerFence::from(&two), Usage::Write),
            Err(ENOSPC)
        );
        Ok(())
    }

    #[test]
    fn fence_replaces_earlier_ones_of_its_context() -> Result {
        let object = owned()?;
        let [first, second] = pending_pair()?;
        let mut guard = object.resv.lock()?;
        guard.reserve(3)?;
        guard.add(&NonContainerFence::from(&first), Usage::Read)?;
        guard.add(&NonContainerFence::from(&second), Usage::Write)?;
        assert_eq!(guard.fences(Usage::Bookkeep).count(), 1);
        // The fence now has two usages, which are separate entries.
        guard.add(&NonContainerFence::from(&second), Usage::Read)?;
        assert_eq!(guard.fences(Usage::Bookkeep).count(), 2);
        Ok(())
    }

    #[test]
    fn signalled_fence_can_be_added() -> Result {
        let object = owned()?;
        let fence = pending()?;
        let addable = NonContainerFence::from(&fence);
        let mut guard = object.resv.lock()?;
        guard.reserve(1)?;
        fence.complete(Ok(()), 1);
        guard.add(&addable, Usage::Write)?;
        drop(guard);
        assert!(object.resv.is_signaled(Usage::Bookkeep));
        Ok(())
    }

    #[test]
    fn guards_are_in_the_order_of_the_objects() -> Result {
        let objects = [owned()?, owned()?, owned()?];
        let resvs = objects.each_ref().map(|object| &object.resv);
        for _ in 0..50 {
            // `CONFIG_DEBUG_WW_MUTEX_SLOWPATH` makes some of these fail with `EDEADLK` at first.
            let all = DmaResvGuards::new(&resvs, GFP_KERNEL)?;
            assert_eq!(all.guards().len(), 3);
            for (guard, resv) in all.guards().iter().zip(resvs) {
                assert!(core::ptr::eq(guard.resv(), resv));
            }
        }
        drop(DmaResvGuards::new(&[], GFP_KERNEL)?);
        Ok(())
    }

    #[test]
    fn slots_are_reserved_for_one_object() -> Result {
        let objects = [owned()?, owned()?];
        let resvs = objects.each_ref().map(|object| &object.resv);
        let fence = pending()?;
        let mut all = DmaResvGuards::new(&resvs, GFP_KERNEL)?;
        all.reserve(1, 1)?;
        assert_eq!(all.reserve(2, 1), Err(EINVAL));
        assert_eq!(
            all.add(0, &NonContainerFence::from(&fence), Usage::Write),
            Err(ENOSPC)
        );
        assert_eq!(
            all.add(2, &NonContainerFence::from(&fence), Usage::Write),
            Err(EINVAL)
        );
        all.add(1, &NonContainerFence::from(&fence), Usage::Write)?;
        let count = |index: usize| all.guards()[index].fences(Usage::Bookkeep).count();
        assert_eq!((count(0), count(1)), (0, 1));
        Ok(())
    }

    #[test]
    fn object_that_occurs_twice_is_ealready() -> Result {
        let objects = [owned()?, owned()?];
        let [one, other] = objects.each_ref().map(|object| &object.resv);
        let refused = DmaResvGuards::new(&[one, other, one], GFP_KERNEL);
        assert!(refused.is_err_and(|error| error == EALREADY));
        // Both are unlocked.
        drop(one.lock()?);
        drop(other.lock()?);
        Ok(())
    }

    #[test]
    fn opposite_orders_do_not_deadlock() -> Result {
        const ROUNDS: usize = 300;

        let objects = [owned()?, owned()?, owned()?];
        let done = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let queue = OwnedQueue::new(c"kunit")?;
        for reverse in [false, true, false, true] {
            let (objects, done) = (objects.clone(), done.clone());
            queue.try_spawn(GFP_KERNEL, move || {
                let mut resvs = objects.each_ref().map(|object| &object.resv);
                if reverse {
                    resvs.reverse();
                }
                for _ in 0..ROUNDS {
                    if DmaResvGuards::new(&resvs, GFP_KERNEL).is_ok() {
                        done.add(1, Relaxed);
                    }
                }
            })?;
        }
        drop(queue);
        assert_eq!(done.load(Relaxed), 4 * ROUNDS as i32);
        Ok(())
    }
}
