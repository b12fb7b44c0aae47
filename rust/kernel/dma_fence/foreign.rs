// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Pending fences that C code keeps as pointers, for instance in an XArray.

use super::{
    memory::FenceMemory,
    pending::PendingFence,
    timeline::DriverTimeline, //
};
use core::{
    marker::PhantomData,
    mem::ManuallyDrop,
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    types::ForeignOwnable, //
};

/// A pending fence that is kept as a pointer. Only its owner can complete it.
pub(crate) struct BorrowedFence<'a, T: DriverTimeline> {
    fence: ManuallyDrop<PendingFence<T>>,
    _owner: PhantomData<&'a PendingFence<T>>,
}

impl<T: DriverTimeline> Deref for BorrowedFence<'_, T> {
    type Target = PendingFence<T>;

    fn deref(&self) -> &PendingFence<T> {
        &self.fence
    }
}

// SAFETY: The pointer is that of a `FenceMemory<T>`.
unsafe impl<T: DriverTimeline> ForeignOwnable for PendingFence<T> {
    const FOREIGN_ALIGN: usize = align_of::<FenceMemory<T>>();

    type Borrowed<'a> = BorrowedFence<'a, T>;
    type BorrowedMut<'a> = BorrowedFence<'a, T>;

    fn into_foreign(self) -> *mut c_void {
        self.into_memory().as_ptr().cast()
    }

    unsafe fn from_foreign(ptr: *mut c_void) -> Self {
        // SAFETY: The pointer is from `into_foreign()`, so it is not null, and nothing else owns
        // the counts that `into_memory()` has returned with it.
        unsafe { Self::new(NonNull::new_unchecked(ptr.cast())) }
    }

    unsafe fn borrow<'a>(ptr: *mut c_void) -> BorrowedFence<'a, T> {
        BorrowedFence {
            // SAFETY: The pointer is from `into_foreign()`, and the counts stay with it until `'a`
            // ends. The `PendingFence` is neither dropped nor completed: it is borrowed only.
            fence: ManuallyDrop::new(unsafe { Self::from_foreign(ptr) }),
            _owner: PhantomData,
        }
    }

    unsafe fn borrow_mut<'a>(ptr: *mut c_void) -> BorrowedFence<'a, T> {
        // SAFETY: The requirements of this function include those of `borrow()`.
        unsafe { Self::borrow(ptr) }
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_foreign)]
mod tests {
    use super::{
        super::{
            fence::Fence,
            fixture::{
                pending,
                KunitTimeline, //
            },
        },
        *, //
    };
    use kernel::{
        sync::aref::ARef,
        xarray::{
            AllocKind,
            XArray, //
        },
    };

    #[test]
    fn xarray_keeps_pending_fences() -> Result {
        let fences = KBox::pin_init(
            XArray::<PendingFence<KunitTimeline>>::new(AllocKind::Alloc),
            GFP_KERNEL,
        )?;
        let (one, two) = (pending()?, pending()?);
        let references: [ARef<Fence>; 2] = [one.fence().into(), two.fence().into()];
        for (index, fence) in [one, two].into_iter().enumerate() {
            let refused = fences.lock().store(index, fence, GFP_KERNEL);
            assert!(refused.is_ok());
        }
        {
            let guard = fences.lock();
            let borrowed = guard.get(1).ok_or(EINVAL)?;
            assert_eq!(borrowed.fence().context(), references[1].context());
            assert!(borrowed.is_shared());
        }
        assert!(!references[1].is_signaled());
        let fence = fences.lock().remove(1).ok_or(EINVAL)?;
        fence.complete(Err(EIO), 1);
        assert_eq!(references[1].result(), Some(Err(EIO)));
        assert!(references[0].result().is_none());
        drop(fences);
        assert_eq!(references[0].result(), Some(Err(ECANCELED)));
        Ok(())
    }
}
