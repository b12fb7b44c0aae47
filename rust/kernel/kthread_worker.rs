// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A thread that runs work items, one after the other: C's `kthread_worker`.
//!
//! C header: [`include/linux/kthread.h`](srctree/include/linux/kthread.h)
//!
//! A workqueue decides how many threads run its work, and with which priority. Here the caller
//! does: a [`KthreadWorker`] is one thread, with a nice value of its own. Queueing allocates
//! nothing, so the thread makes progress under memory pressure.
//!
//! A type becomes a work item by a field of type [`KthreadWork`], [`impl_has_kthread_work!`] and
//! [`KthreadWorkItem`], as with the `kernel` crate's `workqueue`:
//!
//! ```text
//! #[pin_data]
//! struct Item {
//!     #[pin]
//!     work: KthreadWork<Item>,
//! }
//!
//! impl_has_kthread_work! {
//!     impl HasKthreadWork for Item { self.work }
//! }
//!
//! impl KthreadWorkItem for Item {
//!     fn run(this: Arc<Self>) {}
//! }
//! ```

use crate::bindings;
use core::{
    marker::PhantomData,
    ptr::NonNull, //
};
use kernel::{
    error::from_err_ptr,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// A thread and the work items that are queued for it.
///
/// Dropping it waits for all queued work, then stops the thread. It must not be dropped by work of
/// its own, which would wait for itself.
///
/// # Invariants
///
/// The pointer is from `kthread_create_worker_on_node()`, and the `KthreadWorker` owns the worker.
pub(crate) struct KthreadWorker(NonNull<bindings::kthread_worker>);

// SAFETY: Any thread may use and destroy a worker.
unsafe impl Send for KthreadWorker {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for KthreadWorker {}

impl KthreadWorker {
    /// Creates a thread with the nice value `nice`, -20 to 19.
    ///
    /// Fails with `ENOMEM`, and with `EINTR` if the current task is killed.
    pub(crate) fn new(name: &CStr, nice: i32) -> Result<Self> {
        // SAFETY: The format `%s` takes one string.
        let worker = from_err_ptr(unsafe {
            bindings::kthread_create_worker_on_node(
                0,
                bindings::NUMA_NO_NODE,
                c"%s".as_char_ptr(),
                name.as_char_ptr(),
            )
        })?;
        let worker = NonNull::new(worker).ok_or(ENOMEM)?;
        // SAFETY: The worker is valid, and its thread exists until the worker is destroyed.
        unsafe {
            let task = (*worker.as_ptr()).task;
            bindings::sched_set_normal(task, nice);
            bindings::wake_up_process(task);
        }
        // INVARIANT: The function above has created the worker.
        Ok(Self(worker))
    }

    /// Queues `item`. Returns it if it is queued already, or has been queued for another worker
    /// before. An item may be queued while it runs, and runs again then.
    ///
    /// May be called in any context but NMI.
    pub(crate) fn enqueue<T: KthreadWorkItem>(&self, item: Arc<T>) -> Result<(), Arc<T>> {
        let worker = self.0.as_ptr();
        let owner = item.work().owner.cmpxchg(0, worker.addr(), Relaxed);
        if owner.is_err_and(|owner| owner != worker.addr()) {
            return Err(item);
        }
        let work = item.work().work.get();
        let item = Arc::into_raw(item);
        // SAFETY: By the type invariants the worker is valid, and `work` is initialised. No other
        // worker ever uses it, because `owner` is this one. If the function succeeds, the queue
        // owns the reference to the item, so `work` is valid until `KthreadWork::run()` takes it.
        if unsafe { bindings::kthread_queue_work(worker, work) } {
            Ok(())
        } else {
            // SAFETY: The pointer is from `into_raw()` above, and the queue has not taken it.
            Err(unsafe { Arc::from_raw(item) })
        }
    }
}

impl Drop for KthreadWorker {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. There are no other references to the worker, so nothing
        // queues work any more, queued work included: that would need a reference too.
        unsafe { bindings::kthread_destroy_worker(self.0.as_ptr()) };
    }
}

/// The field of a work item by which it is queued.
///
/// # Invariants
///
/// `work` is initialised, and calls [`KthreadWork::run`]. Once it has been queued, `owner` is the
/// address of the only worker that uses it.
#[pin_data]
pub(crate) struct KthreadWork<T> {
    #[pin]
    work: Opaque<bindings::kthread_work>,
    /// The address of the worker for which it was queued first, or 0.
    owner: Atomic<usize>,
    _item: PhantomData<fn(T)>,
}

// SAFETY: Any thread may queue and free work.
unsafe impl<T> Send for KthreadWork<T> {}
// SAFETY: A lock of the worker protects `work`.
unsafe impl<T> Sync for KthreadWork<T> {}

impl<T: KthreadWorkItem> KthreadWork<T> {
    /// Creates work that is not queued.
    pub(crate) fn new() -> impl PinInit<Self> {
        // INVARIANT: The work has not been queued.
        pin_init!(Self {
            // SAFETY: `slot` is valid for writes, and pinned.
            work <- Opaque::ffi_init(|slot| unsafe {
                bindings::kthread_init_work(slot, Some(Self::run))
            }),
            owner: Atomic::new(0),
            _item: PhantomData,
        })
    }

    /// # Safety
    ///
    /// `work` must be the field of a [`KthreadWork`] that [`KthreadWorker::enqueue`] has queued,
    /// and no longer be queued. The caller must give up the queue's reference to the item.
    unsafe extern "C" fn run(work: *mut bindings::kthread_work) {
        let work = Opaque::cast_from(work);
        // SAFETY: By the safety requirements of this function.
        let work = unsafe { kernel::container_of!(work, Self, work) };
        // SAFETY: `enqueue()` has queued the field of a `T` in an `Arc`.
        let item = unsafe { T::work_container_of(work.cast_mut()) };
        // SAFETY: The pointer is from `Arc::into_raw()`, and the queue gives up its reference.
        T::run(unsafe { Arc::from_raw(item) });
    }
}

/// A type with a [`KthreadWork`]; see [`impl_has_kthread_work!`].
///
/// # Safety
///
/// `work()` must return a field of `self`, always the same, and `work_container_of()` must return
/// the address of the `Self` that contains the field at `work`.
pub(crate) unsafe trait HasKthreadWork: Sized {
    /// Returns the field.
    fn work(&self) -> &KthreadWork<Self>;

    /// Returns the item that contains `work`.
    ///
    /// # Safety
    ///
    /// `work` must be the address of the field in a valid `Self`.
    unsafe fn work_container_of(work: *mut KthreadWork<Self>) -> *mut Self;
}

/// Implements [`HasKthreadWork`] for a type with a field of type [`KthreadWork`].
#[macro_export]
macro_rules! impl_has_kthread_work {
    (impl $({$($generics:tt)*})? HasKthreadWork for $ty:ty { self.$field:ident }) => {
        #[allow(unsafe_code)]
        // SAFETY: The field is always the same, and the offset in `container_of!` is its own.
        unsafe impl$(<$($generics)*>)? $crate::kernel_ext::kthread_worker::HasKthreadWork for $ty {
            fn work(&self) -> &$crate::kernel_ext::kthread_worker::KthreadWork<Self> {
                &self.$field
            }

            unsafe fn work_container_of(
                work: *mut $crate::kernel_ext::kthread_worker::KthreadWork<Self>,
            ) -> *mut Self {
                // SAFETY: By the safety requirements of this function.
                unsafe { ::kernel::container_of!(work, Self, $field) }
            }
        }
    };
}

/// An item that a [`KthreadWorker`] runs.
pub(crate) trait KthreadWorkItem: HasKthreadWork + Send + Sync + 'static {
    /// Runs the item, in the worker's thread. The item may sleep, and may be queued again.
    fn run(this: Arc<Self>);
}

#[kernel::macros::kunit_tests(vfence_kthread_worker)]
mod tests {
    use super::*;
    use crate::{
        impl_has_kthread_work,
        impl_hr_timer_owner,
        kernel_ext::hrtimer::HrTimerOwner, //
    };
    use kernel::{
        current,
        sync::{
            atomic::{
                Acquire,
                Release, //
            },
            new_spinlock,
            SpinLock, //
        },
        time::{
            delay::fsleep,
            hrtimer::{
                HrTimer,
                HrTimerCallback,
                HrTimerCallbackContext,
                HrTimerRestart, //
            },
            Delta, //
        },
    };

    /// The counts that the items of a test share.
    struct Counts {
        /// The number of times that any item has run.
        runs: Atomic<i32>,
        /// The number of times that an item ran at a wrong place of the order.
        disordered: Atomic<i32>,
    }

    /// Counts how often it has run.
    #[pin_data]
    struct Item {
        #[pin]
        work: KthreadWork<Item>,
        counts: Arc<Counts>,
        /// The number of runs before that of this item.
        place: i32,
        /// The worker for which the item queues itself until there have been `wanted` runs.
        #[pin]
        again: SpinLock<Option<Arc<KthreadWorker>>>,
        wanted: i32,
    }

    impl_has_kthread_work! {
        impl HasKthreadWork for Item { self.work }
    }

    impl KthreadWorkItem for Item {
        fn run(this: Arc<Self>) {
            let runs = this.counts.runs.load(Relaxed);
            if this.wanted == 0 && runs != this.place {
                this.counts.disordered.fetch_add(1, Relaxed);
            }
            if let Some(worker) = &*this.again.lock() {
                if runs + 1 < this.wanted {
                    assert!(worker.enqueue(this.clone()).is_ok());
                }
            }
            this.counts.runs.store(runs + 1, Release);
        }
    }

    fn counts() -> Result<Arc<Counts>> {
        let counts = Counts {
            runs: Atomic::new(0),
            disordered: Atomic::new(0),
        };
        Ok(Arc::new(counts, GFP_KERNEL)?)
    }

    fn item(
        counts: &Arc<Counts>,
        place: i32,
        again: Option<Arc<KthreadWorker>>,
        wanted: i32,
    ) -> Result<Arc<Item>> {
        Arc::pin_init(
            pin_init!(Item {
                work <- KthreadWork::new(),
                counts: counts.clone(),
                place,
                again <- new_spinlock!(again),
                wanted,
            }),
            GFP_KERNEL,
        )
    }

    /// Waits until items have run `runs` times; KUnit's timeout bounds the wait.
    fn wait(counts: &Counts, runs: i32) {
        while counts.runs.load(Acquire) < runs {
            fsleep(Delta::from_micros(100));
        }
    }

    #[test]
    fn drop_runs_queued_items_in_order() -> Result {
        let (worker, counts) = (KthreadWorker::new(c"kunit", 19)?, counts()?);
        for place in 0..10 {
            let queued = worker.enqueue(item(&counts, place, None, 0)?);
            assert!(queued.is_ok());
        }
        drop(worker);
        assert_eq!(counts.runs.load(Relaxed), 10);
        assert_eq!(counts.disordered.load(Relaxed), 0);
        Ok(())
    }

    #[test]
    fn worker_without_items_is_dropped() -> Result {
        for nice in [-20, 0, 19] {
            drop(KthreadWorker::new(c"kunit", nice)?);
        }
        Ok(())
    }

    #[test]
    fn item_may_queue_itself() -> Result {
        let worker = Arc::new(KthreadWorker::new(c"kunit", 0)?, GFP_KERNEL)?;
        let counts = counts()?;
        let item = item(&counts, 0, Some(worker.clone()), 100)?;
        assert!(worker.enqueue(item.clone()).is_ok());
        wait(&counts, 100);
        // The thread may drop the last reference to the item, but not that to the worker.
        drop(item.again.lock().take());
        drop(worker);
        assert_eq!(counts.runs.load(Relaxed), 100);
        Ok(())
    }

    #[test]
    fn item_stays_with_its_first_worker() -> Result {
        let (one, other) = (
            KthreadWorker::new(c"kunit", 0)?,
            KthreadWorker::new(c"kunit", 0)?,
        );
        let counts = counts()?;
        let item = item(&counts, 0, None, 1)?;
        assert!(one.enqueue(item.clone()).is_ok());
        assert!(other.enqueue(item.clone()).is_err());
        drop(one);
        assert!(other.enqueue(item).is_err());
        drop(other);
        assert_eq!(counts.runs.load(Relaxed), 1);
        Ok(())
    }

    /// Records the nice value of the thread that runs it.
    #[pin_data]
    struct Nice {
        #[pin]
        work: KthreadWork<Nice>,
        value: Arc<Atomic<i32>>,
    }

    impl_has_kthread_work! {
        impl HasKthreadWork for Nice { self.work }
    }

    impl KthreadWorkItem for Nice {
        fn run(this: Arc<Self>) {
            // SAFETY: The current task is valid. A nice value of 0 is the priority 120.
            let priority = unsafe { (*current!().as_ptr()).static_prio };
            this.value.store(priority - 120, Relaxed);
        }
    }

    #[test]
    fn thread_has_its_nice_value() -> Result {
        let value = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        for nice in [-20, 5, 19] {
            let worker = KthreadWorker::new(c"kunit", nice)?;
            let found = value.clone();
            let item = Arc::pin_init(
                pin_init!(Nice {
                    work <- KthreadWork::new(),
                    value: found,
                }),
                GFP_KERNEL,
            )?;
            assert!(worker.enqueue(item).is_ok());
            drop(worker);
            assert_eq!(value.load(Relaxed), nice);
        }
        Ok(())
    }

    /// Queues an item in its callback.
    #[pin_data(PinnedDrop)]
    struct Alarm {
        #[pin]
        timer: HrTimer<Self>,
        worker: KthreadWorker,
        item: Arc<Item>,
    }

    impl_hr_timer_owner! {
        impl HrTimerOwner for Alarm { self.timer }
    }

    impl HrTimerCallback for Alarm {
        type Pointer<'a> = Pin<&'a Self>;

        fn run(this: Pin<&Self>, _: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
            let _ = this.worker.enqueue(this.item.clone());
            HrTimerRestart::NoRestart
        }
    }

    #[test]
    fn timer_interrupt_queues_an_item() -> Result {
        let (worker, counts) = (KthreadWorker::new(c"kunit", 0)?, counts()?);
        let item = item(&counts, 0, None, 1)?;
        let alarm = KBox::pin_init(
            pin_init!(Alarm {
                timer <- HrTimer::new(),
                worker,
                item,
            }),
            GFP_KERNEL,
        )?;
        for runs in 1..=20 {
            alarm.start_timer(0);
            wait(&counts, runs);
        }
        alarm.cancel_timer();
        drop(alarm);
        assert_eq!(counts.runs.load(Relaxed), 20);
        Ok(())
    }
}
