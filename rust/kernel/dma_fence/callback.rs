// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Callbacks that run when a fence signals.

use super::fence::{
    timestamp_ns,
    Fence,
    SignalledFence, //
};
use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    alloc::Flags,
    container_of,
    error::to_result,
    prelude::*,
    sync::aref::ARef,
    types::Opaque, //
};

/// The receiver of a [`Callback`].
pub(crate) trait Signalled: Send + Sync + 'static {
    /// Called once, when the fence of the [`Callback`] has signalled.
    ///
    /// `timestamp` is the time at which the fence's driver says that its work was done, in ns on
    /// `CLOCK_MONOTONIC`.
    ///
    /// May be called in hard interrupt context, with the fence's lock held: it must not signal a
    /// fence, and must not drop the callback.
    fn signalled(&self, result: Result, timestamp: u64);
}

/// A callback on a fence, and its receiver.
///
/// [`Callback::arm`] adds the callback to the fence. Dropping it removes it: when the drop returns,
/// the receiver is not running and will not be called. The drop takes the fence's lock, so it must
/// not happen in a callback of the same fence.
///
/// # Invariants
///
/// The pointer came from `KBox::into_raw()`, and the callback owns it. After arming, `cb` may be in
/// the fence's list, and only shared references to `receiver` exist.
pub(crate) struct Callback<T: Signalled>(NonNull<Inner<T>>);

struct Inner<T: Signalled> {
    cb: Opaque<bindings::dma_fence_cb>,
    /// Accessed only by the owner of the `Callback`.
    armed: bool,
    fence: ARef<Fence>,
    receiver: T,
}

// SAFETY: `T` is `Send` and `Sync`: the receiver is called in any context, and dropped with the
// callback.
unsafe impl<T: Signalled> Send for Callback<T> {}
// SAFETY: The only function that takes `&self` returns the fence, which is `Sync`.
unsafe impl<T: Signalled> Sync for Callback<T> {}

impl<T: Signalled> Callback<T> {
    /// Creates a callback on `fence` that calls `receiver`. Fails with `ENOMEM`.
    pub(crate) fn new(fence: ARef<Fence>, receiver: T, flags: Flags) -> Result<Self> {
        let inner = KBox::new(
            Inner {
                cb: Opaque::zeroed(),
                armed: false,
                fence,
                receiver,
            },
            flags,
        )?;
        // SAFETY: The pointer of a box is not null.
        Ok(Self(unsafe {
            NonNull::new_unchecked(KBox::into_raw(inner))
        }))
    }

    /// Returns the fence.
    pub(crate) fn fence(&self) -> &Fence {
        // SAFETY: By the type invariants the box is valid. The field is constant.
        unsafe { &(*self.0.as_ptr()).fence }
    }

    /// Adds the callback to the fence. If the fence has signalled, calls the receiver immediately.
    ///
    /// A second call does nothing. The caller must not hold a lock that the receiver takes.
    pub(crate) fn arm(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: By the type invariants the box is valid, and only its owner accesses `armed`.
        if core::mem::replace(unsafe { &mut (*inner).armed }, true) {
            return;
        }
        // SAFETY: By the type invariants the box is valid. These fields are constant.
        let (fence, receiver) = unsafe { (&(*inner).fence, &(*inner).receiver) };
        // SAFETY: The fence is valid. `cb` does not move until `drop()` has removed it from the
        // fence.
        let ret = unsafe {
            bindings::dma_fence_add_callback(
                fence.as_raw(),
                (&raw mut (*inner).cb).cast(),
                Some(Self::callback),
            )
        };
        if ret != 0 {
            // SAFETY: The core refuses a callback only if the fence has signalled.
            let fence = unsafe { SignalledFence::new(fence.clone()) };
            receiver.signalled(fence.result(), fence.timestamp());
        }
    }

    /// # Safety
    ///
    /// `cb` must be the `cb` of an armed `Callback<T>`, and `fence` its fence, which must have
    /// signalled. The caller must hold the fence's lock.
    unsafe extern "C" fn callback(
        fence: *mut bindings::dma_fence,
        cb: *mut bindings::dma_fence_cb,
    ) {
        // SAFETY: By the safety requirements of this function. `drop()` takes the fence's lock
        // before it frees the box.
        let receiver = unsafe { &(*container_of!(Opaque::cast_from(cb), Inner<T>, cb)).receiver };
        // SAFETY: The fence has signalled, so the field is constant.
        let error = unsafe { (*fence).error };
        // SAFETY: The fence has signalled.
        let timestamp = unsafe { bindings::dma_fence_timestamp(fence) };
        receiver.signalled(to_result(error), timestamp_ns(timestamp));
    }
}

impl<T: Signalled> Drop for Callback<T> {
    fn drop(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: By the type invariants the box is valid, and only its owner accesses `armed`.
        if unsafe { (*inner).armed } {
            // SAFETY: `arm()` passed `cb` to `dma_fence_add_callback()` for this fence, which
            // initialises the list head even if the fence has signalled.
            unsafe {
                bindings::dma_fence_remove_callback(
                    (*inner).fence.as_raw(),
                    (&raw mut (*inner).cb).cast(),
                )
            };
        }
        // SAFETY: By the type invariants `self` owns the box, and `cb` is in no list.
        drop(unsafe { KBox::from_raw(inner) });
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_callback)]
mod tests {
    use super::{
        super::fixture::{
            pending,
            CallCount, //
        },
        *, //
    };

    #[test]
    fn callback_is_called_once() -> Result {
        let (fence, count) = (pending()?, CallCount::new()?);
        let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
        callback.arm();
        callback.arm();
        assert_eq!(count.calls(), (0, 0));
        fence.complete(Err(EIO), 7);
        assert_eq!(count.calls(), (1, EIO.to_errno()));
        assert_eq!(count.timestamp(), 7);
        drop(callback);
        assert_eq!(count.calls(), (1, EIO.to_errno()));
        Ok(())
    }

    #[test]
    fn arming_on_a_signalled_fence_calls_immediately() -> Result {
        let (fence, count) = (pending()?, CallCount::new()?);
        let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
        fence.complete(Err(EIO), 8);
        assert_eq!(count.calls(), (0, 0));
        callback.arm();
        assert_eq!(count.calls(), (1, EIO.to_errno()));
        assert_eq!(count.timestamp(), 8);
        Ok(())
    }

    #[test]
    fn dropped_callback_is_not_called() -> Result {
        let (fence, count) = (pending()?, CallCount::new()?);
        let mut callback = Callback::new(fence.fence().into(), count.clone(), GFP_KERNEL)?;
        callback.arm();
        drop(callback);
        drop(Callback::new(
            fence.fence().into(),
            count.clone(),
            GFP_KERNEL,
        )?);
        fence.complete(Ok(()), 1);
        assert_eq!(count.calls(), (0, 0));
        Ok(())
    }
}
