// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences strung on a timeline, as DRM's timeline syncobjs do it.
//!
//! C header: [`include/linux/dma-fence-chain.h`](srctree/include/linux/dma-fence-chain.h)

use super::dma_fence::Fence;
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// Returns a fence that signals when `fence` and everything in the chain `previous` have signalled.
///
/// `seqno` is its point on the timeline. Fails with `EINVAL` if `fence` is a chain itself, `ENOMEM`.
pub(crate) fn chain(
    previous: Option<ARef<Fence>>,
    fence: ARef<Fence>,
    seqno: u64,
) -> Result<ARef<Fence>> {
    // SAFETY: The reference is a valid fence.
    if !unsafe { bindings::to_dma_fence_chain(fence.as_raw()) }.is_null() {
        return Err(EINVAL);
    }
    // SAFETY: There are no requirements.
    let link = NonNull::new(unsafe { bindings::dma_fence_chain_alloc() }).ok_or(ENOMEM)?;
    let previous = previous.map_or(core::ptr::null_mut(), |fence| {
        ARef::into_raw(fence).as_ptr().cast()
    });
    let fence = ARef::into_raw(fence).as_ptr().cast();
    // SAFETY: The link is new; the function takes over the references to both fences. No previous one is
    // allowed.
    unsafe { bindings::dma_fence_chain_init(link.as_ptr(), previous, fence, seqno) };
    // SAFETY: The link begins with its fence, whose one reference is ours. `Fence` is a transparent
    // wrapper.
    Ok(unsafe { ARef::from_raw(link.cast()) })
}

#[kernel::macros::kunit_tests(vfence_dma_fence_chain)]
mod tests {
    use super::*;
    use crate::kernel_ext::dma_fence::tests::pending;

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
