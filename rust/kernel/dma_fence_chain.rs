// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Chains of fences, which timeline syncobjs of DRM consist of.
//!
//! C header: [`include/linux/dma-fence-chain.h`](srctree/include/linux/dma-fence-chain.h)

use super::dma_fence::{
    DriverTimeline,
    Fence,
    PendingFence, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    alloc::Flags,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// A fence that is not a chain, as the fence of a chain link must be.
///
/// # Invariants
///
/// The fence is not a `dma_fence_chain`.
#[derive(Clone)]
pub(crate) struct NonChainFence(ARef<Fence>);

impl NonChainFence {
    /// Returns the fence.
    pub(crate) fn fence(&self) -> &Fence {
        &self.0
    }

    /// Returns the reference to the fence.
    pub(crate) fn into_inner(self) -> ARef<Fence> {
        self.0
    }
}

impl<T: DriverTimeline> From<&PendingFence<T>> for NonChainFence {
    fn from(fence: &PendingFence<T>) -> Self {
        // INVARIANT: The fence has a driver's operations.
        Self(fence.fence().into())
    }
}

impl TryFrom<ARef<Fence>> for NonChainFence {
    type Error = Error;

    /// Fails with `EINVAL` for a chain.
    fn try_from(fence: ARef<Fence>) -> Result<Self> {
        if fence.is_chain() {
            return Err(EINVAL);
        }
        // INVARIANT: The fence was checked, and a fence does not become a chain.
        Ok(Self(fence))
    }
}

/// The memory of a link. Dropping it frees the memory.
pub(crate) struct AllocatedLink(KBox<Opaque<bindings::dma_fence_chain>>);

impl AllocatedLink {
    /// Allocates a link. Fails with `ENOMEM`.
    ///
    /// Unlike C's `dma_fence_chain_alloc()`, this takes flags, so that the memory can be charged to
    /// the caller.
    pub(crate) fn new(flags: Flags) -> Result<Self> {
        Ok(Self(KBox::new(Opaque::uninit(), flags)?))
    }

    /// Passes the memory to C code that initialises it with `dma_fence_chain_init()`. The core
    /// frees it with `kfree()`.
    pub(crate) fn into_raw(self) -> *mut bindings::dma_fence_chain {
        KBox::into_raw(self.0).cast()
    }

    /// Returns a fence that signals when `fence` and all fences of the chain `previous` have
    /// signalled.
    ///
    /// `seqno` is the link's point on the timeline.
    pub(crate) fn init(
        self,
        previous: Option<ARef<Fence>>,
        fence: NonChainFence,
        seqno: u64,
    ) -> ARef<Fence> {
        let previous = previous.map_or(core::ptr::null_mut(), |fence| {
            ARef::into_raw(fence).as_ptr().cast()
        });
        let fence = ARef::into_raw(fence.0).as_ptr().cast();
        let link = self.into_raw();
        // SAFETY: This function owns the link, which is uninitialised. `previous` may be null, and
        // by its type invariants `fence` is not a chain. The function takes over the references to
        // both.
        unsafe { bindings::dma_fence_chain_init(link, previous, fence, seqno) };
        // SAFETY: The link is not null and begins with its fence. `ARef` takes over the fence's
        // first reference. `Fence` is a transparent wrapper.
        unsafe { ARef::from_raw(NonNull::new_unchecked(link.cast())) }
    }
}

/// Allocates and initialises a link, see [`AllocatedLink::init`].
///
/// Fails with `EINVAL` if `fence` is a chain, `ENOMEM`.
pub(crate) fn chain(
    previous: Option<ARef<Fence>>,
    fence: ARef<Fence>,
    seqno: u64,
) -> Result<ARef<Fence>> {
    let fence = NonChainFence::try_from(fence)?;
    Ok(AllocatedLink::new(GFP_KERNEL)?.init(previous, fence, seqno))
}

#[kernel::macros::kunit_tests(vfence_dma_fence_chain)]
mod tests {
    use super::*;
    use crate::kernel_ext::dma_fence::fixture::pending;

    #[test]
    fn link_is_a_container_with_its_seqno() -> Result {
        let fence = pending()?;
        let link = chain(None, fence.fence().into(), 7)?;
        assert!(link.is_container());
        assert_eq!(link.seqno(), 7);
        Ok(())
    }

    #[test]
    fn chain_in_a_link_is_refused() -> Result {
        let fence = pending()?;
        let link = chain(None, fence.fence().into(), 1)?;
        assert_eq!(chain(None, link, 2).err(), Some(EINVAL));
        Ok(())
    }
}
