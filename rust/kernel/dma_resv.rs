// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Reservation objects: which fences a buffer's users wait for.
//!
//! C header: [`include/linux/dma-resv.h`](srctree/include/linux/dma-resv.h)
//!
//! Whoever adds a fence holds the object's lock, and has reserved the room for it:
//!
//! ```text
//!   DmaResv::lock ──┐                   fences(): what to wait for
//!                   ├──▶ DmaResvGuard ─┤
//!   DmaResvGuards::new ─┘                   reserve() ──▶ add(): cannot fail any more
//! ```
//!
//! Several objects are locked together, in any order: [`DmaResvGuards`] backs off and tries again when it meets somebody who has locked
//! them the other way round. These are wound/wait mutexes, see
//! [`Documentation/locking/ww-mutex-design.rst`](srctree/Documentation/locking/ww-mutex-design.rst).
//!
//! With one of these locks held, user memory must not be accessed: faults take locks that come before it.

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

/// What a fence's work does with the buffer, and whose fences one has to wait for; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub(crate) enum Usage {
    /// Memory management of the kernel, which everybody waits for.
    Kernel = bindings::dma_resv_usage_DMA_RESV_USAGE_KERNEL,
    /// Writing by user space's jobs: readers and writers wait for it.
    Write = bindings::dma_resv_usage_DMA_RESV_USAGE_WRITE,
    /// Reading by user space's jobs: writers wait for it.
    Read = bindings::dma_resv_usage_DMA_RESV_USAGE_READ,
    /// Nobody waits for it but who moves or frees the buffer.
    Bookkeep = bindings::dma_resv_usage_DMA_RESV_USAGE_BOOKKEEP,
}

impl Usage {
    /// Returns up to which usage a reader or a writer has to wait for others, as C's `dma_resv_usage_rw()`.
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

// SAFETY: Reservation objects belong to no thread.
unsafe impl Send for DmaResv {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for DmaResv {}

impl DmaResv {
    /// Returns the object that C code has a pointer to.
    ///
    /// # Safety
    ///
    /// It must be initialised, and stay so as long as the reference is used.
    pub(crate) unsafe fn from_raw<'a>(resv: *mut bindings::dma_resv) -> &'a Self {
        // SAFETY: By the requirements of this function. `Self` is a transparent wrapper.
        unsafe { &*resv.cast() }
    }

    /// Returns the C structure.
    pub(crate) fn as_raw(&self) -> *mut bindings::dma_resv {
        self.0.get()
    }

    /// Locks the object, alone: for several, there is [`DmaResvGuards`]. Fails with `EINTR` when a signal comes before the lock.
    pub(crate) fn lock(&self) -> Result<DmaResvGuard<'_>> {
        // SAFETY: By the type invariants. No context means that no other is locked with it.
        to_result(unsafe {
            bindings::ww_mutex_lock_interruptible(
                &raw mut (*self.as_raw()).lock,
                core::ptr::null_mut(),
            )
        })?;
        // INVARIANT: It was locked just now.
        Ok(DmaResvGuard::new(self))
    }

    /// Returns whether all fences up to a usage have signalled.
    pub(crate) fn is_signaled(&self, usage: Usage) -> bool {
        // SAFETY: By the type invariants.
        unsafe { bindings::dma_resv_test_signaled(self.as_raw(), usage as u32) }
    }

    /// Waits until all fences up to a usage have signalled. Fails with `ERESTARTSYS` when a signal comes before.
    pub(crate) fn wait(&self, usage: Usage) -> Result {
        const FOR_EVER: c_ulong = isize::MAX as c_ulong;

        // SAFETY: By the type invariants.
        let ret =
            unsafe { bindings::dma_resv_wait_timeout(self.as_raw(), usage as u32, true, FOR_EVER) };
        // CAST: Errors fit.
        to_result(ret.min(0) as c_int)
    }
}

/// A fence that can be in a reservation object: any but a container.
///
/// # Invariants
///
/// The fence is no container.
pub(crate) struct NonContainerFence(ARef<Fence>);

impl NonContainerFence {
    /// Returns the fence.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0
    }
}

impl<T: DriverTimeline> From<&PendingFence<T>> for NonContainerFence {
    fn from(fence: &PendingFence<T>) -> Self {
        // INVARIANT: It has the operations of a driver, not those of containers.
        Self(fence.fence().into())
    }
}

/// A reservation object that is locked. Dropping it unlocks it.
///
/// # Invariants
///
/// The present task holds the lock. There is room for `slots` more fences.
#[must_use = "it is unlocked at once when this is not kept"]
pub(crate) struct DmaResvGuard<'a> {
    resv: &'a DmaResv,
    slots: usize,
    /// The lock belongs to the task.
    _not_send: NotThreadSafe,
}

impl<'a> DmaResvGuard<'a> {
    /// The caller has locked the object, and gives the lock up.
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

    /// Returns the fences up to a usage, those included that have signalled lately.
    pub(crate) fn fences(&self, usage: Usage) -> Fences<'_> {
        Fences {
            // The core fills in the others.
            cursor: bindings::dma_resv_iter {
                obj: self.resv.as_raw(),
                usage: usage as u32,
                ..pin_init::zeroed()
            },
            begun: false,
            _locked: PhantomData,
        }
    }

    /// Sees to it that there is room for `count` more fences. Fails with `EINVAL` for none, `ENOMEM`.
    pub(crate) fn reserve(&mut self, count: u32) -> Result {
        if count == 0 {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariants it is locked.
        to_result(unsafe { bindings::dma_resv_reserve_fences(self.resv.as_raw(), count) })?;
        // INVARIANT: The core makes room for so many, counted from now.
        self.slots = self.slots.max(count as usize);
        Ok(())
    }

    /// Adds a fence, whose work does with the buffer what `usage` says. It takes the place of earlier ones of its context. It may have
    /// signalled already.
    ///
    /// Fails with `ENOSPC` if no room was reserved, and then only.
    pub(crate) fn add(&mut self, fence: &NonContainerFence, usage: Usage) -> Result {
        self.slots = self.slots.checked_sub(1).ok_or(ENOSPC)?;
        let fence = fence.fence().as_raw();
        // SAFETY: By the type invariants it is locked and there was room. The fence is valid, and no container. The core takes a
        // reference of its own.
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
            // SAFETY: It has been begun, and the object is locked as long as it lives.
            unsafe { bindings::dma_resv_iter_next(&mut self.cursor) }
        } else {
            // SAFETY: The object is locked as long as the cursor lives.
            unsafe { bindings::dma_resv_iter_first(&mut self.cursor) }
        };
        // SAFETY: It is null or a valid fence, to which the object refers; that does not change as long as the guard is
        // borrowed. `Fence` is a transparent wrapper.
        unsafe { fence.cast::<Fence>().as_ref() }
    }
}

/// Several reservation objects that are locked together. Dropping it unlocks them.
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
    /// Locks all of `resvs`, and waits for whoever holds one. Two that do so with the same ones in another order
    /// do not wait for each other for ever.
    ///
    /// Fails with `EALREADY` if one is given twice, `EINTR` when a signal comes before, `ENOMEM`.
    pub(crate) fn new(resvs: &[&'a DmaResv], flags: Flags) -> Result<Self> {
        // The guards are dropped first.
        let context = AcquireContext::new(flags)?;
        let mut guards = KVec::new();
        guards.reserve(resvs.len(), flags)?;
        let mut contended = None;
        loop {
            guards.clear();
            match Self::try_lock(&context, &mut guards, resvs, contended, flags) {
                Ok(()) => break,
                // Another one was here before. Its lock is to be had once it has gone on, and ours have been given back.
                Err((EDEADLK, resv)) => contended = Some(resv),
                Err((error, _)) => return Err(error),
            }
        }
        context.done();
        // In the order in which they were given.
        if let Some(place) = contended.and_then(|contended| {
            resvs
                .iter()
                .position(|resv| core::ptr::eq(*resv, contended))
        }) {
            if let Some(moved) = guards.get_mut(..=place) {
                moved.rotate_left(1);
            }
        }
        // INVARIANT: That is how they were taken.
        Ok(Self {
            guards,
            _context: context,
        })
    }

    /// Locks `contended`, if that is there, and then the others; says which one could not be locked.
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
            // INVARIANT: It was locked just now.
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
            // INVARIANT: It was locked just now.
            guards
                .push(DmaResvGuard::new(resv), flags)
                .map_err(|error| (error.into(), *resv))?;
        }
        Ok(())
    }

    /// Returns the guards, in the order of the objects.
    // Not to be changed: one that were exchanged for another one's would outlive its context.
    pub(crate) fn guards(&self) -> &[DmaResvGuard<'a>] {
        &self.guards
    }

    /// Sees to it that object `index` has room for `count` more fences. Fails with `EINVAL` for none, and if there is no such
    /// object; `ENOMEM`.
    pub(crate) fn reserve(&mut self, index: usize, count: u32) -> Result {
        self.guards.get_mut(index).ok_or(EINVAL)?.reserve(count)
    }

    /// Adds a fence to object `index`. Fails with `EINVAL` if there is no such object, `ENOSPC` if no room was reserved, and then
    /// only.
    pub(crate) fn add(&mut self, index: usize, fence: &NonContainerFence, usage: Usage) -> Result {
        self.guards.get_mut(index).ok_or(EINVAL)?.add(fence, usage)
    }
}

/// What the locks have in common that a task takes together.
///
/// # Invariants
///
/// It is initialised, for the present task.
struct AcquireContext {
    inner: KBox<Opaque<bindings::ww_acquire_ctx>>,
    _not_send: NotThreadSafe,
}

impl AcquireContext {
    /// Fails with `ENOMEM`.
    fn new(flags: Flags) -> Result<Self> {
        let inner = KBox::new(Opaque::uninit(), flags)?;
        // SAFETY: It is valid for writes, and stays where it is.
        unsafe { bindings::ww_acquire_init(inner.get(), &raw mut bindings::reservation_ww_class) };
        // INVARIANT: It was initialised just now, in this task.
        Ok(Self {
            inner,
            _not_send: NotThreadSafe,
        })
    }

    /// Fails with `EDEADLK` if all that are locked have to be unlocked, `EALREADY` if it is locked already, `EINTR`.
    fn lock(&self, resv: &DmaResv) -> Result {
        // SAFETY: By the type invariants.
        to_result(unsafe {
            bindings::ww_mutex_lock_interruptible(&raw mut (*resv.as_raw()).lock, self.inner.get())
        })
    }

    /// Locks the one that could not be locked before; nothing else is locked. Fails with `EINTR`.
    fn lock_slowly(&self, resv: &DmaResv) -> Result {
        // SAFETY: By the type invariants.
        to_result(unsafe {
            bindings::dma_resv_lock_slow_interruptible(resv.as_raw(), self.inner.get())
        })
    }

    /// All are locked.
    fn done(&self) {
        // SAFETY: By the type invariants.
        unsafe { bindings::ww_acquire_done(self.inner.get()) };
    }
}

impl Drop for AcquireContext {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; all that was locked has been unlocked.
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

    /// An object of its own.
    #[pin_data(PinnedDrop)]
    struct Owned {
        #[pin]
        resv: DmaResv,
    }

    impl Owned {
        fn new() -> impl PinInit<Self> {
            // SAFETY: It initialises the whole object, in place.
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
            // SAFETY: It is initialised, and nobody refers to it any more.
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
    fn room_is_needed() -> Result {
        let object = owned()?;
        let (one, two) = (pending()?, pending()?);
        let mut guard = object.resv.lock()?;
        assert_eq!(
            guard.add(&NonContainerFence::from(&one), Usage::Write),
            Err(ENOSPC)
        );
        assert_eq!(guard.reserve(0), Err(EINVAL));
        guard.reserve(1)?;
        // Not one more.
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
    fn fence_takes_the_place_of_what_it_comes_after() -> Result {
        let object = owned()?;
        let [first, second] = pending_pair()?;
        let mut guard = object.resv.lock()?;
        guard.reserve(3)?;
        guard.add(&NonContainerFence::from(&first), Usage::Read)?;
        guard.add(&NonContainerFence::from(&second), Usage::Write)?;
        assert_eq!(guard.fences(Usage::Bookkeep).count(), 1);
        // Those who write later do not wait for this read only.
        guard.add(&NonContainerFence::from(&second), Usage::Read)?;
        assert_eq!(guard.fences(Usage::Bookkeep).count(), 2);
        Ok(())
    }

    #[test]
    fn fence_may_have_signalled() -> Result {
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
    fn all_are_locked_in_the_order_given() -> Result {
        let objects = [owned()?, owned()?, owned()?];
        let resvs = objects.each_ref().map(|object| &object.resv);
        for _ in 0..50 {
            // Where the kernel has such a thing, some of these meet a deadlock that is made up.
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
    fn each_has_its_own_room() -> Result {
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
    fn object_that_is_given_twice_is_refused() -> Result {
        let objects = [owned()?, owned()?];
        let [one, other] = objects.each_ref().map(|object| &object.resv);
        let refused = DmaResvGuards::new(&[one, other, one], GFP_KERNEL);
        assert!(refused.is_err_and(|error| error == EALREADY));
        // They were unlocked.
        drop(one.lock()?);
        drop(other.lock()?);
        Ok(())
    }

    #[test]
    fn opposite_orders_do_not_block_each_other() -> Result {
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
