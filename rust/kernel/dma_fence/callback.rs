// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Being told when a fence signals.

use super::{
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

/// What is told when a fence signals.
pub(crate) trait Signalled: Send + Sync + 'static {
    /// Called once, when the fence of the [`Callback`] has signalled; `timestamp` is when its work was done, in ns on
    /// `CLOCK_MONOTONIC`, as far as its driver tells the truth.
    ///
    /// May be called in hard interrupt context, and with the fence's lock held: it must not signal
    /// a fence, and must not drop the callback.
    fn signalled(&self, result: Result, timestamp: u64);
}

/// A callback that waits for a fence, and whom it tells.
///
/// It does nothing until it is [armed](Callback::arm). Dropping it removes it from the fence; when that
/// is done, it is not running and will not be called. Dropping takes the fence's lock, so it must not happen
/// in a callback of the same fence.
///
/// # Invariants
///
/// `inner` came from `KBox::into_raw()` and is owned by this. While it is armed, the fence's list may
/// contain its `cb`, and the receiver is only used through shared references.
pub(crate) struct Callback<T: Signalled>(NonNull<Inner<T>>);

struct Inner<T: Signalled> {
    cb: Opaque<bindings::dma_fence_cb>,
    /// Only used by the owner of the `Callback`.
    armed: bool,
    fence: ARef<Fence>,
    receiver: T,
}

// SAFETY: The receiver is told from any context, and dropped where the callback is.
unsafe impl<T: Signalled> Send for Callback<T> {}
// SAFETY: The function that takes `&self` gives the fence, which is `Sync`.
unsafe impl<T: Signalled> Sync for Callback<T> {}

impl<T: Signalled> Callback<T> {
    /// Creates a callback for `fence` that tells `receiver`. Fails with `ENOMEM`.
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
        // SAFETY: By the type invariants the box is valid, and nobody writes this field.
        unsafe { &(*self.0.as_ptr()).fence }
    }

    /// Has the receiver told when the fence signals; at once if it has signalled already.
    ///
    /// Does nothing the second time. Must not be called with a lock held that the receiver takes.
    pub(crate) fn arm(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: By the type invariants the box is ours, and only the owner uses `armed`.
        if core::mem::replace(unsafe { &mut (*inner).armed }, true) {
            return;
        }
        // SAFETY: By the type invariants the box is valid; nobody writes these fields any more.
        let (fence, receiver) = unsafe { (&(*inner).fence, &(*inner).receiver) };
        // SAFETY: The fence is valid. `cb` stays where it is until `drop()` has removed it.
        let ret = unsafe {
            bindings::dma_fence_add_callback(
                fence.as_raw(),
                (&raw mut (*inner).cb).cast(),
                Some(Self::callback),
            )
        };
        if ret != 0 {
            // INVARIANT: The core has refused the callback since it has.
            let fence = SignalledFence(fence.clone());
            receiver.signalled(fence.result(), fence.timestamp());
        }
    }

    /// # Safety
    ///
    /// `cb` must be that of a `Callback<T>` that was armed, and `fence` its fence, signalled and locked.
    unsafe extern "C" fn callback(
        fence: *mut bindings::dma_fence,
        cb: *mut bindings::dma_fence_cb,
    ) {
        // SAFETY: By the requirements of this function. It stays alive during the call: `drop()`
        // takes the fence's lock.
        let receiver = unsafe { &(*container_of!(Opaque::cast_from(cb), Inner<T>, cb)).receiver };
        // SAFETY: The error of a fence that has signalled does not change.
        let error = unsafe { (*fence).error };
        // SAFETY: It has signalled.
        let timestamp = unsafe { bindings::dma_fence_timestamp(fence) };
        receiver.signalled(to_result(error), timestamp_ns(timestamp));
    }
}

impl<T: Signalled> Drop for Callback<T> {
    fn drop(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: By the type invariants the box is ours, and only the owner uses `armed`.
        if unsafe { (*inner).armed } {
            // SAFETY: The `cb` was given to `dma_fence_add_callback()` for this fence, which leaves
            // an empty list if the fence had signalled.
            unsafe {
                bindings::dma_fence_remove_callback(
                    (*inner).fence.as_raw(),
                    (&raw mut (*inner).cb).cast(),
                )
            };
        }
        // SAFETY: The box is ours, and the fence has forgotten the callback.
        drop(unsafe { KBox::from_raw(inner) });
    }
}
