// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Several reservation objects that are locked together.

use super::{
    guard::DmaResvGuard,
    non_container_fence::NonContainerFence,
    resv::DmaResv,
    usage::Usage, //
};
use crate::bindings;
use kernel::{
    alloc::Flags,
    error::to_result,
    prelude::*,
    types::{
        NotThreadSafe,
        Opaque, //
    },
};

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
/// `inner` is initialised, for the current task.
struct AcquireContext {
    inner: KBox<Opaque<bindings::ww_acquire_ctx>>,
    _not_send: NotThreadSafe,
}

impl AcquireContext {
    /// Initialises a context for the current task. Fails with `ENOMEM`.
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

#[kernel::macros::kunit_tests(vfence_dma_resv_guards)]
mod tests {
    use super::{
        super::fixture::owned,
        *, //
    };
    use crate::kernel_ext::{
        dma_fence::fixture::pending,
        workqueue::OwnedQueue, //
    };
    use kernel::sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    };

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
