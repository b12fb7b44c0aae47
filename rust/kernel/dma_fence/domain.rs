// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The domain of a module's fences, which keeps the module loaded until its timelines are freed.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    prelude::*,
    sync::{
        atomic::Relaxed,
        rcu::synchronize_rcu,
        Refcount, //
    },
    time::msecs_to_jiffies,
    types::Opaque, //
};

/// The time after which a waiting domain logs what it waits for, in ms.
const PATIENCE: u32 = 10_000;

/// The owner of a domain, which waits for the domain's timelines when it is dropped.
///
/// A pending fence has a reference to its timeline, and a timeline has a [`DomainRef`]. So the drop
/// returns after all fences have signalled and all timelines are freed; and a timeline is freed a
/// grace period after its last fence has signalled, when no CPU runs an operation of its fences any
/// more. The drop then waits for another grace period, after which the calls of all dropped
/// [`Callback`](super::Callback)s have returned. The core does not call the code of the module that
/// owns the domain after that.
///
/// The module must drop it last, after its own threads and work items have ended: one of them may
/// still be returning from the completion of the last fence. Like the registration of a driver, a
/// domain must not be leaked, and neither must a `Callback` on a fence of another driver: the
/// domain does not count it.
///
/// # Invariants
///
/// The pointer is from `KBox::into_raw()`. The `FenceDomain` owns the box, and one count of
/// `handles`.
pub(crate) struct FenceDomain(NonNull<DomainData>);

// SAFETY: Any thread may drop the owner. The count of handles is atomic.
unsafe impl Send for FenceDomain {}
// SAFETY: The count of handles is atomic.
unsafe impl Sync for FenceDomain {}

/// A handle of a [`FenceDomain`], which the domain's drop waits for.
///
/// # Invariants
///
/// The pointer is that of a `FenceDomain`. The handle owns a count of `handles`, so the domain's
/// drop has not returned.
pub(crate) struct DomainRef(NonNull<DomainData>);

// SAFETY: Any thread may use and drop a handle.
unsafe impl Send for DomainRef {}
// SAFETY: The count of handles is atomic. Any thread may queue work.
unsafe impl Sync for DomainRef {}

/// The data of a domain.
///
/// # Invariants
///
/// `queue` is from `alloc_workqueue()`, and destroyed when the data is freed.
#[pin_data]
struct DomainData {
    handles: Refcount,
    /// Completed when `handles` drops to 0.
    #[pin]
    released: Opaque<bindings::completion>,
    queue: NonNull<bindings::workqueue_struct>,
}

impl FenceDomain {
    /// Creates a domain. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Self> {
        // Not `WQ_MEM_RECLAIM`: data of timelines is dropped here, which may wait for any work.
        let flags = bindings::wq_flags_WQ_UNBOUND;
        let name = c"dma_fence_domain".as_char_ptr();
        // SAFETY: The format `%s` takes one string.
        let queue =
            unsafe { bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 0, name) };
        let queue = NonNull::new(queue).ok_or(ENOMEM)?;
        let data = KBox::pin_init(
            pin_init!(DomainData {
                handles: Refcount::new(1),
                released <- Opaque::ffi_init(|slot: *mut bindings::completion| {
                    // SAFETY: `slot` is the memory of the completion.
                    unsafe { bindings::init_completion(slot) };
                }),
                queue,
            }),
            GFP_KERNEL,
        )
        // SAFETY: Nothing is queued, and nothing else uses the workqueue.
        .inspect_err(|_| unsafe { bindings::destroy_workqueue(queue.as_ptr()) })?;
        // SAFETY: `drop()` drops the box without moving its content.
        let data = KBox::into_raw(unsafe { Pin::into_inner_unchecked(data) });
        // INVARIANT: The count is that of `Refcount::new()`.
        // SAFETY: The pointer of a box is not null.
        Ok(Self(unsafe { NonNull::new_unchecked(data) }))
    }

    /// Returns a handle.
    pub(crate) fn handle(&self) -> DomainRef {
        // SAFETY: By the type invariants the data is valid.
        unsafe { DomainRef::new(self.0) }
    }

    /// Waits until all handles are dropped. Logs a message if that takes long.
    fn wait(&self) {
        // SAFETY: By the type invariants the data is valid. `Opaque` permits raw access.
        let (released, handles) = unsafe {
            let data = self.0.as_ref();
            (data.released.get(), data.handles.as_atomic())
        };
        // SAFETY: The completion is initialised, and valid until `self` frees the data.
        if unsafe { bindings::wait_for_completion_timeout(released, msecs_to_jiffies(PATIENCE)) }
            != 0
        {
            return;
        }
        pr_warn!(
            "unloading waits for {} timelines of fences, or other handles of their domain: a \
             pending fence is leaked, or references form a cycle\n",
            handles.load(Relaxed)
        );
        // SAFETY: The completion is initialised, and valid until `self` frees the data.
        unsafe { bindings::wait_for_completion(released) };
    }
}

impl Drop for FenceDomain {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the data is valid.
        if !unsafe { self.0.as_ref() }.handles.dec_and_test() {
            self.wait();
        }
        // A `Callback` that was dropped within its own call may not have returned from it.
        synchronize_rcu();
        // The last handle may have been dropped by a work item, whose code must have returned.
        //
        // SAFETY: All handles are dropped, so nothing queues work any more.
        unsafe { bindings::destroy_workqueue(self.0.as_ref().queue.as_ptr()) };
        // SAFETY: By the type invariants `self` owns the box. There are no handles.
        drop(unsafe { KBox::from_raw(self.0.as_ptr()) });
    }
}

impl DomainRef {
    /// Takes another count of a domain.
    ///
    /// # Safety
    ///
    /// `data` must be the pointer of a `FenceDomain` of which the caller has a count.
    unsafe fn new(data: NonNull<DomainData>) -> Self {
        // SAFETY: The caller's count keeps the data valid.
        unsafe { data.as_ref() }.handles.inc();
        // INVARIANT: The count was just taken.
        Self(data)
    }

    /// Runs a work item in process context, a grace period from now. May be called in any context
    /// but NMI.
    ///
    /// # Safety
    ///
    /// `work` must be initialised, not queued, and valid until it runs. A handle of this domain
    /// must exist until then.
    pub(super) unsafe fn queue_after_grace_period(&self, work: *mut bindings::rcu_work) {
        // SAFETY: By the type invariants the data is valid.
        let queue = unsafe { self.0.as_ref() }.queue;
        // SAFETY: By its type invariants the workqueue is valid. By the safety requirements of this
        // function the work is, and the workqueue stays so until the work runs.
        unsafe { bindings::queue_rcu_work(queue.as_ptr(), work) };
    }
}

impl Clone for DomainRef {
    fn clone(&self) -> Self {
        // SAFETY: By the type invariants `self` has a count of the domain.
        unsafe { Self::new(self.0) }
    }
}

impl Drop for DomainRef {
    fn drop(&mut self) {
        // SAFETY: By the type invariants the data is valid.
        if unsafe { self.0.as_ref() }.handles.dec_and_test() {
            let released = Opaque::cast_into(
                // SAFETY: The count was that of this handle, so the owner waits for `released`, and
                // frees the data only after that.
                unsafe { &raw const (*self.0.as_ptr()).released },
            );
            // SAFETY: The completion is initialised. The waiter returns, and frees it, only after
            // this function has released the completion's lock.
            unsafe { bindings::complete_all(released) };
        }
    }
}

#[kernel::macros::kunit_tests(vfence_dma_fence_domain)]
mod tests {
    use super::{
        super::{
            allocated::AllocatedFence,
            context::Context,
            timeline::{
                DriverTimeline,
                Timeline, //
            }, //
        },
        *, //
    };
    use crate::kernel_ext::workqueue::OwnedQueue;
    use kernel::{
        str::CStr,
        sync::{
            aref::ARef,
            atomic::Atomic,
            new_mutex,
            Arc,
            Mutex, //
        },
        time::{
            delay::fsleep,
            Delta, //
        }, //
    };

    /// The data of a timeline that holds another one. Its drop sleeps.
    #[pin_data(PinnedDrop)]
    struct Nested {
        inner: Option<ARef<Timeline<Nested>>>,
        #[pin]
        dropped: Mutex<()>,
        drops: Arc<Atomic<i32>>,
    }

    #[pinned_drop]
    impl PinnedDrop for Nested {
        fn drop(self: Pin<&mut Self>) {
            let _guard = self.dropped.lock();
            fsleep(Delta::from_millis(1));
            self.drops.add(1, Relaxed);
        }
    }

    #[vtable]
    impl DriverTimeline for Nested {
        type Seqno = u64;
        type FenceData = ();

        fn driver_name(&self) -> &CStr {
            c"kunit"
        }

        fn timeline_name(&self) -> &CStr {
            c"kunit-nested"
        }

        fn set_deadline(&self, _data: &(), _seqno: u64, _deadline: i64) {}
    }

    fn nested(
        domain: &FenceDomain,
        inner: Option<ARef<Timeline<Nested>>>,
        drops: &Arc<Atomic<i32>>,
    ) -> Result<ARef<Timeline<Nested>>> {
        let data = try_pin_init!(Nested {
            inner,
            dropped <- new_mutex!(()),
            drops: drops.clone(),
        }? Error);
        Timeline::new(domain.handle(), Context::new().into(), data, GFP_KERNEL)
    }

    #[test]
    fn drop_waits_for_nested_timelines() -> Result {
        let (domain, drops) = (FenceDomain::new()?, Arc::new(Atomic::new(0), GFP_KERNEL)?);
        let mut timeline = None;
        for _ in 0..5 {
            timeline = Some(nested(&domain, timeline, &drops)?);
        }
        drop(timeline);
        drop(domain);
        assert_eq!(drops.load(Relaxed), 5);
        Ok(())
    }

    #[test]
    fn drop_waits_for_a_pending_fence() -> Result {
        let (domain, drops) = (FenceDomain::new()?, Arc::new(Atomic::new(0), GFP_KERNEL)?);
        let timeline = nested(&domain, None, &drops)?;
        let fence = AllocatedFence::new(timeline, GFP_KERNEL)?.init();
        let signalled = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let queue = OwnedQueue::new(c"kunit")?;
        let flag = signalled.clone();
        queue.try_spawn(GFP_KERNEL, move || {
            fsleep(Delta::from_millis(20));
            flag.store(1, Relaxed);
            fence.complete(Ok(()), 1);
        })?;
        assert_eq!(drops.load(Relaxed), 0);
        drop(domain);
        assert_eq!(signalled.load(Relaxed), 1);
        assert_eq!(drops.load(Relaxed), 1);
        drop(queue);
        Ok(())
    }

    #[test]
    fn drop_waits_for_handles() -> Result {
        let domain = FenceDomain::new()?;
        let (handle, queue) = (domain.handle(), OwnedQueue::new(c"kunit")?);
        let other = handle.clone();
        drop(handle);
        let released = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let flag = released.clone();
        queue.try_spawn(GFP_KERNEL, move || {
            fsleep(Delta::from_millis(20));
            flag.store(1, Relaxed);
            drop(other);
        })?;
        drop(domain);
        assert_eq!(released.load(Relaxed), 1);
        drop(queue);
        Ok(())
    }

    #[test]
    fn data_is_dropped_where_it_may_sleep() -> Result {
        let (domain, drops) = (FenceDomain::new()?, Arc::new(Atomic::new(0), GFP_KERNEL)?);
        let timeline = nested(&domain, None, &drops)?;
        let fence = AllocatedFence::new(timeline, GFP_KERNEL)?.init();
        let irqs_off = kernel::interrupt::local_interrupt_disable();
        if cfg!(CONFIG_PREEMPT_RT) {
            drop(irqs_off);
            drop(fence);
        } else {
            // Drops the last reference to the timeline.
            fence.complete_in_interrupt(&irqs_off, Ok(()), 1);
            drop(irqs_off);
        }
        drop(domain);
        assert_eq!(drops.load(Relaxed), 1);
        Ok(())
    }
}
