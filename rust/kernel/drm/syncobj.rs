// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Syncobjs, in which user space stores fences.
//!
//! C header: [`include/drm/drm_syncobj.h`](srctree/include/drm/drm_syncobj.h)
//!
//! A *binary* syncobj has at most one fence, a *timeline* a chain of fences, each at its *point*.
//! The same object can be either, depending on how its last fence was set.
//!
//! ```text
//!                                                    replace_fence(fence)    cannot fail
//!   handle ── Syncobj::find ──▶ ARef<Syncobj> ──┤
//!                                                    add_point(link, fence, point)    cannot fail:
//!                                                    the link was allocated before
//!   handle, point ── find_fence ──▶ ARef<Fence>
//! ```

use super::{
    driver::Driver,
    file::File, //
};
use crate::{
    drm_bindings as bindings,
    kernel_ext::{
        dma_fence::Fence,
        dma_fence_chain::{
            AllocatedLink,
            NonChainFence, //
        },
    },
};
use core::ptr::NonNull;
use kernel::{
    error::to_result,
    prelude::*,
    sync::aref::{
        ARef,
        AlwaysRefCounted, //
    },
    types::Opaque, //
};

/// A syncobj: C's `struct drm_syncobj`.
///
/// # Invariants
///
/// Instances are initialised, and reference-counted by the core.
#[repr(transparent)]
pub(crate) struct Syncobj(Opaque<bindings::drm_syncobj>);

// SAFETY: Any thread may drop the last reference to a syncobj.
unsafe impl Send for Syncobj {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for Syncobj {}

// SAFETY: A syncobj has a reference count, and is freed when the count drops to 0.
unsafe impl AlwaysRefCounted for Syncobj {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not 0.
        unsafe { bindings::drm_syncobj_get(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller owns the count that it gives up. `Self` is a transparent wrapper.
        unsafe { bindings::drm_syncobj_put(obj.as_ptr().cast()) };
    }
}

impl Syncobj {
    /// Creates a syncobj without a fence. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<ARef<Self>> {
        let mut syncobj = core::ptr::null_mut();
        // SAFETY: The pointer is valid for writes, and the fence may be null.
        to_result(unsafe { bindings::drm_syncobj_create(&mut syncobj, 0, core::ptr::null_mut()) })?;
        let syncobj = NonNull::new(syncobj).ok_or(ENOMEM)?;
        // SAFETY: The function returned a reference to a new syncobj, which `ARef` takes over.
        // `Self` is a transparent wrapper.
        Ok(unsafe { ARef::from_raw(syncobj.cast()) })
    }

    /// Returns the syncobj with the handle `handle` of an open file. Fails with `ENOENT`.
    pub(crate) fn find<T: Driver>(file: &File<T>, handle: u32) -> Result<ARef<Self>> {
        // SAFETY: The file is open.
        let syncobj = unsafe { bindings::drm_syncobj_find(file.as_raw(), handle) };
        let syncobj = NonNull::new(syncobj).ok_or(ENOENT)?;
        // SAFETY: The function returned a reference, which `ARef` takes over. `Self` is a
        // transparent wrapper.
        Ok(unsafe { ARef::from_raw(syncobj.cast()) })
    }

    /// Returns the fence; the last link of the chain if the syncobj is a timeline.
    pub(crate) fn fence(&self) -> Option<ARef<Fence>> {
        // SAFETY: By the type invariants.
        let fence = NonNull::new(unsafe { bindings::drm_syncobj_fence_get(self.0.get()) })?;
        // SAFETY: The function returned a reference, which `ARef` takes over. `Fence` is a
        // transparent wrapper.
        Some(unsafe { ARef::from_raw(fence.cast()) })
    }

    /// Replaces the fence, which makes the syncobj a binary one, and wakes waiters for submission.
    /// Does not sleep, but must be called in process context.
    pub(crate) fn replace_fence(&self, fence: Option<&Fence>) {
        let fence = fence.map_or(core::ptr::null_mut(), Fence::as_raw);
        // SAFETY: By the type invariants. The function takes its own reference to the fence.
        unsafe { bindings::drm_syncobj_replace_fence(self.0.get(), fence) };
    }

    /// Adds a fence to a timeline, and wakes waiters for submission. A point that is not above the
    /// last one counts as the last one. Iterates over the pending points. Does not sleep, but must
    /// be called in process context.
    pub(crate) fn add_point(&self, link: AllocatedLink, fence: &NonChainFence, point: u64) {
        let fence = fence.fence().as_raw();
        // SAFETY: By the type invariants. The function takes over the link, which is uninitialised.
        // It takes its own reference to the fence, which is not a chain.
        unsafe { bindings::drm_syncobj_add_point(self.0.get(), link.into_raw(), fence, point) };
    }

    /// Does the same as [`Syncobj::add_point`], but neither wakes waiters nor iterates over the
    /// pending points. The caller must call [`Syncobj::add_point`] with a later point soon, which
    /// does both for all points.
    pub(crate) fn append_point(&self, link: AllocatedLink, fence: NonChainFence, point: u64) {
        let fence = ARef::into_raw(fence.into_inner()).as_ptr().cast();
        // SAFETY: By the type invariants. The function takes over the link, which is uninitialised,
        // and the reference to the fence, which is not a chain.
        unsafe { bindings::drm_syncobj_append_point(self.0.get(), link.into_raw(), fence, point) };
    }
}

/// Returns the fence at a point of the syncobj with the handle `handle` of an open file. Point 0
/// stands for the last fence.
///
/// If there is no fence at the point yet, fails with `EINVAL`, or, with `wait`, sleeps until there
/// is one. The caller must not hold locks then. Fails with `ENOENT`, `ETIME` after 5 seconds,
/// `ERESTARTSYS` if a signal arrives first.
pub(crate) fn find_fence<T: Driver>(
    file: &File<T>,
    handle: u32,
    point: u64,
    wait: bool,
) -> Result<ARef<Fence>> {
    let flags = if wait {
        u64::from(bindings::DRM_SYNCOBJ_WAIT_FLAGS_WAIT_FOR_SUBMIT)
    } else {
        0
    };
    let mut fence = core::ptr::null_mut();
    // SAFETY: The file is open.
    to_result(unsafe {
        bindings::drm_syncobj_find_fence(file.as_raw(), handle, point, flags, &mut fence)
    })?;
    let fence = NonNull::new(fence).ok_or(EINVAL)?;
    // SAFETY: The function returned a reference, which `ARef` takes over. `Fence` is a transparent
    // wrapper.
    Ok(unsafe { ARef::from_raw(fence.cast()) })
}

#[kernel::macros::kunit_tests(vfence_drm_syncobj)]
mod tests {
    use super::*;
    use crate::kernel_ext::{
        dma_fence::fixture::pending,
        dma_fence_unwrap::unwrap, //
    };

    fn link() -> Result<AllocatedLink> {
        AllocatedLink::new(GFP_KERNEL)
    }

    #[test]
    fn new_syncobj_has_no_fence() -> Result {
        assert!(Syncobj::new()?.fence().is_none());
        Ok(())
    }

    #[test]
    fn replace_fence_replaces_the_last_one() -> Result {
        let syncobj = Syncobj::new()?;
        let (one, two) = (pending()?, pending()?);
        for fence in [one.fence(), two.fence()] {
            syncobj.replace_fence(Some(fence));
            assert_eq!(
                syncobj.fence().map(|fence| fence.as_raw()),
                Some(fence.as_raw())
            );
        }
        syncobj.replace_fence(None);
        assert!(syncobj.fence().is_none());
        Ok(())
    }

    #[test]
    fn chain_has_all_points() -> Result {
        let syncobj = Syncobj::new()?;
        let (one, two) = (pending()?, pending()?);
        syncobj.add_point(link()?, &NonChainFence::from(&one), 3);
        syncobj.add_point(link()?, &NonChainFence::from(&two), 7);
        let last = syncobj.fence().ok_or(EINVAL)?;
        assert!(last.is_container());
        assert_eq!(last.seqno(), 7);
        let mut fences = unwrap(&last);
        for fence in [two.fence(), one.fence()] {
            assert_eq!(
                fences.next().map(|fence| fence.as_raw()),
                Some(fence.as_raw())
            );
        }
        assert!(fences.next().is_none());
        Ok(())
    }

    #[test]
    fn appended_points_are_in_the_chain() -> Result {
        let syncobj = Syncobj::new()?;
        let (one, two, three) = (pending()?, pending()?, pending()?);
        syncobj.append_point(link()?, NonChainFence::from(&one), 3);
        syncobj.append_point(link()?, NonChainFence::from(&two), 5);
        syncobj.add_point(link()?, &NonChainFence::from(&three), 7);
        let last = syncobj.fence().ok_or(EINVAL)?;
        assert_eq!(last.seqno(), 7);
        let mut fences = unwrap(&last);
        for fence in [three.fence(), two.fence(), one.fence()] {
            assert_eq!(
                fences.next().map(|fence| fence.as_raw()),
                Some(fence.as_raw())
            );
        }
        assert!(fences.next().is_none());
        Ok(())
    }

    #[test]
    fn lower_point_counts_as_the_last_one() -> Result {
        let syncobj = Syncobj::new()?;
        let (one, two) = (pending()?, pending()?);
        syncobj.add_point(link()?, &NonChainFence::from(&one), 7);
        syncobj.add_point(link()?, &NonChainFence::from(&two), 3);
        assert_eq!(syncobj.fence().map(|fence| fence.seqno()), Some(7));
        Ok(())
    }

    #[test]
    fn replace_fence_makes_a_timeline_binary() -> Result {
        let syncobj = Syncobj::new()?;
        let (one, two) = (pending()?, pending()?);
        syncobj.add_point(link()?, &NonChainFence::from(&one), 1);
        syncobj.replace_fence(Some(two.fence()));
        let fence = syncobj.fence().ok_or(EINVAL)?;
        assert!(!fence.is_container());
        Ok(())
    }
}
