// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences that signal when several other fences have signalled.
//!
//! C header: [`include/linux/dma-fence-array.h`](srctree/include/linux/dma-fence-array.h)

use super::dma_fence::{
    Context,
    Fence, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::aref::ARef, //
};

/// Returns a fence that signals when all of `fences` have signalled, with the error of one of them
/// if any failed. The core propagates errors only if a waiter has enabled signalling on the array,
/// for example by a callback.
///
/// The fence has the seqno `seqno` in `context`. Fails with `EINVAL` if there are no fences or one
/// of them is a container, see [`unwrap`](super::dma_fence_unwrap::unwrap), and with `ENOMEM`.
pub(crate) fn array(
    fences: KVec<ARef<Fence>>,
    context: Context,
    seqno: u32,
) -> Result<ARef<Fence>> {
    if fences.is_empty() || fences.iter().any(|fence| fence.is_container()) {
        return Err(EINVAL);
    }
    let mut pointers = KVec::with_capacity(fences.len(), GFP_KERNEL_ACCOUNT)?;
    for fence in &fences {
        pointers.push(fence.as_raw(), GFP_KERNEL_ACCOUNT)?;
    }
    let count = i32::try_from(fences.len()).map_err(|_| EINVAL)?;
    // SAFETY: `pointers` has `count` valid fences. On success the function takes over the memory,
    // which is from `kmalloc()`, and the references, which are forgotten below.
    let array = unsafe {
        bindings::dma_fence_array_create(count, pointers.as_mut_ptr(), context.id(), seqno)
    };
    let array = NonNull::new(array).ok_or(ENOMEM)?;
    core::mem::forget(pointers);
    for fence in fences {
        let _ = ARef::into_raw(fence);
    }
    // SAFETY: The array begins with its fence. The function returned a reference to it, which
    // `ARef` takes over. `Fence` is a transparent wrapper.
    Ok(unsafe { ARef::from_raw(array.cast()) })
}

#[kernel::macros::kunit_tests(vfence_dma_fence_array)]
mod tests {
    use super::*;
    use crate::kernel_ext::dma_fence::{
        fixture::{
            pending,
            CallCount, //
        },
        Callback, //
    };
    use kernel::time::{
        delay::fsleep,
        Delta, //
    };

    #[test]
    fn empty_array_is_refused() {
        assert_eq!(array(KVec::new(), Context::new(), 1).err(), Some(EINVAL));
    }

    #[test]
    fn array_signals_after_all_its_fences() -> Result {
        let (one, two) = (pending()?, pending()?);
        let mut fences = KVec::new();
        fences.push(one.fence().into(), GFP_KERNEL)?;
        fences.push(two.fence().into(), GFP_KERNEL)?;
        let array = array(fences, Context::new(), 1)?;
        assert!(array.is_container());
        assert!(!array.is_signaled());
        let count = CallCount::new()?;
        let mut callback = Callback::new(array.clone(), count.clone(), GFP_KERNEL)?;
        callback.arm();
        two.complete(Err(EIO), 1);
        fsleep(Delta::from_millis(1));
        assert!(!array.is_signaled());
        one.complete(Ok(()), 2);
        // The array signals in an irq_work.
        assert_eq!(array.wait(None)?.result(), Err(EIO));
        drop(callback);
        assert_eq!(count.calls(), (1, EIO.to_errno()));
        Ok(())
    }

    #[test]
    fn array_signals_by_itself_when_that_is_enabled() -> Result {
        let one = pending()?;
        let on_demand = || {
            let mut fences = KVec::new();
            fences.push(one.fence().into(), GFP_KERNEL)?;
            array(fences, Context::new(), 1)
        };
        let (enabled, other) = (on_demand()?, on_demand()?);
        enabled.enable_signaling();
        assert!(!enabled.signaled_flag());
        one.complete(Ok(()), 1);
        // Until KUnit's timeout.
        while !enabled.signaled_flag() {
            fsleep(Delta::from_micros(100));
        }
        assert!(!other.signaled_flag());
        assert!(other.is_signaled() && other.signaled_flag());
        Ok(())
    }

    #[test]
    fn array_of_a_container_is_refused() -> Result {
        let one = pending()?;
        let mut fences = KVec::new();
        fences.push(one.fence().into(), GFP_KERNEL)?;
        let inner = array(fences, Context::new(), 1)?;
        let mut fences = KVec::new();
        fences.push(inner, GFP_KERNEL)?;
        assert_eq!(array(fences, Context::new(), 2).err(), Some(EINVAL));
        Ok(())
    }
}
