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
    task::Task,
    types::Opaque, //
};

/// The receiver of a [`Callback`].
pub(crate) trait Signalled: Send + Sync + 'static {
    /// Called once, when the fence of the [`Callback`] has signalled.
    ///
    /// `timestamp` is the time at which the fence's driver says that its work was done, in ns on
    /// `CLOCK_MONOTONIC`.
    ///
    /// When the fence signals, this is called with the fence's lock held and interrupts disabled,
    /// perhaps in a hard interrupt. On `PREEMPT_RT`, where that lock sleeps, it is called in a task
    /// and may be preempted. If the fence has signalled before, [`Callback::arm`] calls it.
    ///
    /// It must not signal a fence. It may drop its own [`Callback`], which is then freed when it
    /// returns, and the receiver with it, so the drop of the receiver must not sleep; the drop of
    /// the module's [`FenceDomain`](super::FenceDomain) waits until it has returned. It must not
    /// drop another callback of the same fence.
    fn signalled(&self, result: Result, timestamp: u64);
}

/// A callback on a fence, and its receiver.
///
/// [`Callback::arm`] adds the callback to the fence. Dropping it removes it: when the drop returns,
/// the receiver is not running and will not be called. The drop takes the fence's lock, so it
/// deadlocks in another callback of the same fence. In the receiver's own call, the drop only marks
/// the callback, which is freed after the call.
///
/// The drop may happen wherever a spinlock may be taken: not in a hard interrupt on `PREEMPT_RT`.
///
/// # Invariants
///
/// The pointer came from `KBox::into_raw()`, and the callback owns it until it sets `dropped`, when
/// `callback()` becomes the owner. After arming, `cb` may be in the fence's list, and only shared
/// references to `receiver` exist.
pub(crate) struct Callback<T: Signalled>(NonNull<Inner<T>>);

struct Inner<T: Signalled> {
    cb: Opaque<bindings::dma_fence_cb>,
    /// Accessed only by the owner of the `Callback`.
    armed: bool,
    /// The current task of `callback()` while that function runs, otherwise null.
    ///
    /// The task identifies the call: until `callback()` returns, code that has this current task
    /// runs within the call. Interrupts are disabled and other CPUs have other tasks. On
    /// `PREEMPT_RT` the task may be preempted, but then another task is the current one, and hard
    /// interrupts must not drop a callback.
    caller: *mut bindings::task_struct,
    /// Accessed only within `callback()`.
    dropped: bool,
    fence: ARef<Fence>,
    receiver: T,
}

/// Whether a spinlock excludes nobody: code that takes it again, within the critical section,
/// continues instead of spinning.
const NO_SPINLOCKS: bool = !cfg!(CONFIG_SMP) && !cfg!(CONFIG_PREEMPT_RT);

// SAFETY: `T` is `Send` and `Sync`: any thread may call the receiver, and drop it with the
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
                caller: core::ptr::null_mut(),
                dropped: false,
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
            let (result, timestamp) = fence.outcome();
            receiver.signalled(result, timestamp);
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
        // SAFETY: By the safety requirements of this function.
        let inner = unsafe { container_of!(Opaque::cast_from(cb), Inner<T>, cb) }.cast_mut();
        // SAFETY: The box is valid: `drop()` takes the fence's lock before it frees the box, or
        // leaves that to this function. The write is C's `WRITE_ONCE()`.
        unsafe { (&raw mut (*inner).caller).write_volatile(Task::current_raw()) };
        // SAFETY: The box is valid. No other function uses the field now.
        if !(NO_SPINLOCKS && unsafe { (*inner).dropped }) {
            // SAFETY: The fence has signalled, so the field is constant.
            let error = unsafe { (*fence).error };
            // SAFETY: The fence has signalled.
            let timestamp = unsafe { bindings::dma_fence_timestamp(fence) };
            // SAFETY: The box is valid until this function returns.
            let receiver = unsafe { &(*inner).receiver };
            receiver.signalled(to_result(error), timestamp_ns(timestamp));
        }
        // SAFETY: The box is valid. The write is C's `WRITE_ONCE()`.
        unsafe { (&raw mut (*inner).caller).write_volatile(core::ptr::null_mut()) };
        // SAFETY: The box is valid. No other function uses the field now.
        if unsafe { (*inner).dropped } {
            // SAFETY: By the type invariants this function owns the box. The core has removed `cb`
            // from its list.
            drop(unsafe { KBox::from_raw(inner) });
        }
    }

    /// Returns whether the current code runs within a call from which `callback()` will return, or
    /// will be called, after the current code.
    ///
    /// # Safety
    ///
    /// `inner` must be the valid box of an armed callback.
    unsafe fn is_within_callback(inner: *mut Inner<T>) -> bool {
        // SAFETY: By the safety requirements of this function. Another CPU may write the field
        // concurrently, but not the current task; the read is C's `READ_ONCE()`.
        let caller = unsafe { (&raw const (*inner).caller).read_volatile() };
        if caller == Task::current_raw() {
            return true;
        }
        if !NO_SPINLOCKS {
            return false;
        }
        // A fence has callbacks and has signalled only within the function that calls them.
        // SAFETY: By the safety requirements of this function. There are no other CPUs.
        let (signalled, node) = unsafe {
            (
                (*inner).fence.signaled_flag(),
                &raw mut (*Opaque::cast_into(&raw const (*inner).cb)).node,
            )
        };
        // SAFETY: `dma_fence_add_callback()` has initialised the node.
        signalled && unsafe { (*node).next } != node
    }
}

impl<T: Signalled> Drop for Callback<T> {
    fn drop(&mut self) {
        let inner = self.0.as_ptr();
        // SAFETY: By the type invariants the box is valid, and only its owner accesses `armed`.
        if unsafe { (*inner).armed } {
            // SAFETY: The box is valid and armed.
            if unsafe { Self::is_within_callback(inner) } {
                // INVARIANT: `callback()` frees the box.
                // SAFETY: The box is valid, and this function runs within `callback()`, or before
                // it on the only CPU.
                unsafe { (*inner).dropped = true };
                return;
            }
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
    use crate::kernel_ext::{
        timekeeping::ktime_get,
        workqueue::OwnedQueue, //
    };
    use kernel::{
        sync::{
            atomic::{
                Atomic,
                Relaxed, //
            },
            new_spinlock_irq,
            Arc,
            SpinLockIrq, //
        },
        time::{
            delay::fsleep,
            Delta, //
        },
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

    /// Owns its callback, and drops it when it is called.
    #[pin_data]
    struct Dropping {
        #[pin]
        own: SpinLockIrq<Option<Callback<Arc<Dropping>>>>,
        calls: Atomic<i32>,
    }

    impl Signalled for Arc<Dropping> {
        fn signalled(&self, _result: Result, _timestamp: u64) {
            let own = self.own.lock().take();
            drop(own);
            // The receiver is valid until the end of the call.
            self.calls.fetch_add(1, Relaxed);
        }
    }

    #[test]
    fn receiver_may_drop_its_callback() -> Result {
        let fence = pending()?;
        let dropping = Arc::pin_init(
            pin_init!(Dropping {
                own <- new_spinlock_irq!(None),
                calls: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        let mut callback = Callback::new(fence.fence().into(), dropping.clone(), GFP_KERNEL)?;
        callback.arm();
        *dropping.own.lock() = Some(callback);
        fence.complete(Ok(()), 1);
        assert_eq!(dropping.calls.load(Relaxed), 1);
        assert!(dropping.own.lock().is_none());
        // The callback is freed, and its receiver with it.
        assert!(Arc::into_unique_or_drop(dropping).is_some());
        Ok(())
    }

    /// Spins in its call, and records the call's begin and end.
    struct Busy {
        begun: Atomic<bool>,
        ended: Atomic<bool>,
    }

    impl Signalled for Arc<Busy> {
        fn signalled(&self, _result: Result, _timestamp: u64) {
            self.begun.store(true, Relaxed);
            let until = ktime_get() + 1_000_000;
            while ktime_get() < until {}
            self.ended.store(true, Relaxed);
        }
    }

    #[test]
    fn drop_waits_for_a_call_in_another_task() -> Result {
        for _ in 0..20 {
            let busy = Busy {
                begun: Atomic::new(false),
                ended: Atomic::new(false),
            };
            let (fence, busy) = (pending()?, Arc::new(busy, GFP_KERNEL)?);
            let mut callback = Callback::new(fence.fence().into(), busy.clone(), GFP_KERNEL)?;
            callback.arm();
            let complete = move || {
                fence.complete(Ok(()), 1);
            };
            let queue = OwnedQueue::new(c"kunit")?;
            queue.try_spawn(GFP_KERNEL, complete)?;
            while !busy.begun.load(Relaxed) {
                fsleep(Delta::from_micros(10));
            }
            drop(callback);
            assert!(busy.ended.load(Relaxed));
        }
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
