// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The fences of one locked reservation object.

use super::{
    non_container_fence::NonContainerFence,
    resv::DmaResv,
    usage::Usage, //
};
use crate::{
    bindings,
    kernel_ext::dma_fence::Fence, //
};
use core::marker::PhantomData;
use kernel::{
    error::to_result,
    prelude::*,
    types::NotThreadSafe, //
};

/// A locked reservation object. Dropping the guard unlocks it.
///
/// # Invariants
///
/// The current task holds the lock. At least `slots` slots are reserved.
#[must_use = "it is unlocked at once when this is not kept"]
pub(crate) struct DmaResvGuard<'a> {
    resv: &'a DmaResv,
    slots: usize,
    /// The task owns the lock.
    _not_send: NotThreadSafe,
}

impl<'a> DmaResvGuard<'a> {
    /// Creates the guard of an object that the caller has locked.
    pub(super) fn new(resv: &'a DmaResv) -> Self {
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

    /// The largest number of slots that [`DmaResvGuard::reserve`] accepts.
    pub(crate) const MAX_SLOTS: u32 = 1 << 16;

    /// Reserves slots, so that `count` fences can be added. Fails with `EINVAL` if `count` is 0 or
    /// above [`Self::MAX_SLOTS`], `ENOMEM`.
    pub(crate) fn reserve(&mut self, count: u32) -> Result {
        // The core's sums and powers of two have 32 bits, and it does not check for overflows.
        if count == 0 || count > Self::MAX_SLOTS {
            return Err(EINVAL);
        }
        // SAFETY: By the type invariants the object is locked.
        to_result(unsafe { bindings::dma_resv_reserve_fences(self.resv.as_raw(), count) })?;
        // INVARIANT: The core reserves slots beyond the current fences; slots of earlier calls are
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

impl DmaResv {
    /// Locks this object alone; [`DmaResvGuards`](super::DmaResvGuards) locks several. Fails with
    /// `EINTR` if a signal arrives first.
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

#[kernel::macros::kunit_tests(vfence_dma_resv)]
mod tests {
    use super::{
        super::fixture::owned,
        *, //
    };
    use crate::kernel_ext::dma_fence::fixture::{
        pending,
        pending_pair, //
    };

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
    fn reserve_bounds_the_number_of_slots() -> Result {
        let object = owned()?;
        let one = pending()?;
        let mut guard = object.resv.lock()?;
        for count in [u32::MAX, 1 << 31, DmaResvGuard::MAX_SLOTS + 1] {
            assert_eq!(guard.reserve(count), Err(EINVAL));
        }
        // Nothing is reserved.
        assert_eq!(
            guard.add(&NonContainerFence::from(&one), Usage::Write),
            Err(ENOSPC)
        );
        guard.reserve(1)?;
        guard.add(&NonContainerFence::from(&one), Usage::Write)
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
}
