// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Syncobjs: what user space keeps fences in.
//!
//! C header: [`include/drm/drm_syncobj.h`](srctree/include/drm/drm_syncobj.h)
//!
//! A *binary* syncobj has one fence or none, a *timeline* a chain of them, each at its *point*. Both are the same object; which it is
//! depends on how a fence was put there last.
//!
//! ```text
//!                                                    replace_fence(fence)    cannot fail
//!   handle ── Syncobj::find ──▶ ARef<Syncobj> ──┤
//!                                                    add_point(link, fence, point)    cannot fail:
//!                                                    the link was allocated before
//!   handle, point ── find_fence ──▶ ARef<Fence>
//! ```

use super::{
    Driver,
    File, //
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
/// Instances are initialised, and counted by the core.
#[repr(transparent)]
pub(crate) struct Syncobj(Opaque<bindings::drm_syncobj>);

// SAFETY: Syncobjs belong to no thread.
unsafe impl Send for Syncobj {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for Syncobj {}

// SAFETY: A syncobj has a reference count, and is freed when it comes to 0.
unsafe impl AlwaysRefCounted for Syncobj {
    fn inc_ref(&self) {
        // SAFETY: The reference shows that the count is not 0.
        unsafe { bindings::drm_syncobj_get(self.0.get()) };
    }

    unsafe fn dec_ref(obj: NonNull<Self>) {
        // SAFETY: The caller gives up a count that it owns. `Self` is a transparent wrapper.
        unsafe { bindings::drm_syncobj_put(obj.as_ptr().cast()) };
    }
}

impl Syncobj {
    /// Creates a syncobj without a fence. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<ARef<Self>> {
        let mut syncobj = core::ptr::null_mut();
        // SAFETY: No fence is allowed.
        to_result(unsafe { bindings::drm_syncobj_create(&mut syncobj, 0, core::ptr::null_mut()) })?;
        let syncobj = NonNull::new(syncobj).ok_or(ENOMEM)?;
        // SAFETY: It is a new one, whose count is ours. `Self` is a transparent wrapper.
        Ok(unsafe { ARef::from_raw(syncobj.cast()) })
    }

    /// Returns the syncobj that an open file has by that handle. Fails with `ENOENT`.
    pub(crate) fn find<T: Driver>(file: &File<T>, handle: u32) -> Result<ARef<Self>> {
        // SAFETY: The file is open.
        let syncobj = unsafe { bindings::drm_syncobj_find(file.as_raw(), handle) };
        let syncobj = NonNull::new(syncobj).ok_or(ENOENT)?;
        // SAFETY: The count is ours. `Self` is a transparent wrapper.
        Ok(unsafe { ARef::from_raw(syncobj.cast()) })
    }

    /// Returns its fence, of a timeline the last one: a chain.
    pub(crate) fn fence(&self) -> Option<ARef<Fence>> {
        // SAFETY: By the type invariants.
        let fence = NonNull::new(unsafe { bindings::drm_syncobj_fence_get(self.0.get()) })?;
        // SAFETY: The count is ours. `Fence` is a transparent wrapper.
        Some(unsafe { ARef::from_raw(fence.cast()) })
    }

    /// Puts a fence, or none, in place of what is there, which makes it a binary one, and wakes who waits for that. Does not sleep, but is for tasks.
    pub(crate) fn replace_fence(&self, fence: Option<&Fence>) {
        let fence = fence.map_or(core::ptr::null_mut(), Fence::as_raw);
        // SAFETY: By the type invariants; the core takes a count of the fence.
        unsafe { bindings::drm_syncobj_replace_fence(self.0.get(), fence) };
    }

    /// Adds a fence to a timeline, and wakes who waits for that. Does not sleep, but is for tasks, and looks at all points that are pending.
    /// A point that is not above the last one counts as that.
    pub(crate) fn add_point(&self, link: AllocatedLink, fence: &NonChainFence, point: u64) {
        let fence = fence.fence().as_raw();
        // SAFETY: By the type invariants; the link is new, and the core's from now on. The core takes a count of the fence, which is no chain.
        unsafe { bindings::drm_syncobj_add_point(self.0.get(), link.into_raw(), fence, point) };
    }
}

/// Returns the fence at a point of the syncobj that an open file has by that handle; at point 0 the last one.
///
/// If there is none, or the timeline is not that far, it fails with `EINVAL`, or with `wait` sleeps until somebody has submitted
/// it; no locks may be held then. Fails with `ENOENT`, `ETIME` after 5 seconds, `ERESTARTSYS` when a signal comes before.
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
    // SAFETY: The count is ours. `Fence` is a transparent wrapper.
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
    fn new_one_has_no_fence() -> Result {
        assert!(Syncobj::new()?.fence().is_none());
        Ok(())
    }

    #[test]
    fn binary_one_has_the_last_fence() -> Result {
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
    fn timeline_has_all_its_points() -> Result {
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
    fn point_below_the_last_counts_as_that() -> Result {
        let syncobj = Syncobj::new()?;
        let (one, two) = (pending()?, pending()?);
        syncobj.add_point(link()?, &NonChainFence::from(&one), 7);
        syncobj.add_point(link()?, &NonChainFence::from(&two), 3);
        assert_eq!(syncobj.fence().map(|fence| fence.seqno()), Some(7));
        Ok(())
    }

    #[test]
    fn fence_makes_a_timeline_a_binary_one() -> Result {
        let syncobj = Syncobj::new()?;
        let (one, two) = (pending()?, pending()?);
        syncobj.add_point(link()?, &NonChainFence::from(&one), 1);
        syncobj.replace_fence(Some(two.fence()));
        let fence = syncobj.fence().ok_or(EINVAL)?;
        assert!(!fence.is_container());
        Ok(())
    }
}
