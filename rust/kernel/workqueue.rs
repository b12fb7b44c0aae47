// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Workqueues that a module owns.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)
//!
//! The `kernel` crate wraps only the system's workqueues. Work on which fences depend must make
//! progress under memory pressure, and needs a workqueue with a rescuer thread.

use crate::bindings;
use core::ptr::NonNull;
use kernel::{
    alloc::{
        AllocError,
        Flags, //
    },
    prelude::*,
    workqueue::{
        Queue,
        RawWorkItem, //
    },
};

/// An owned workqueue, with a rescuer thread (`WQ_MEM_RECLAIM`), and not bound to CPUs
/// (`WQ_UNBOUND`).
///
/// Dropping it waits for all queued work, including work that is queued by other work. It must not
/// be dropped by work of its own, which would wait for itself.
///
/// There is no reference to the kernel crate's [`Queue`], which could enqueue delayed work. The
/// core counts such work as queued only when its timer expires. `destroy_workqueue()` does not wait
/// for the timer, which would later queue the work on freed memory.
///
/// # Invariants
///
/// The pointer is from `alloc_workqueue()`, and the `OwnedQueue` owns the workqueue.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Any thread may use and destroy a workqueue.
unsafe impl Send for OwnedQueue {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Creates a workqueue. Fails with `ENOMEM`.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        Self::with_max_active(name, 0)
    }

    /// Creates a workqueue that runs at most `max_active` items at a time; 0 means a high default.
    /// Fails with `ENOMEM`.
    pub(crate) fn with_max_active(name: &CStr, max_active: i32) -> Result<Self> {
        let flags = bindings::wq_flags_WQ_MEM_RECLAIM | bindings::wq_flags_WQ_UNBOUND;
        // SAFETY: The format `%s` takes one string.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(
                c"%s".as_char_ptr(),
                flags,
                max_active,
                name.as_char_ptr(),
            )
        };
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }

    /// Borrows the workqueue, for functions that queue work without delay.
    fn queue(&self) -> &Queue {
        // SAFETY: By the type invariants the workqueue is valid as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }

    /// Enqueues a work item, as [`Queue::enqueue`] does. May be called in any context but NMI.
    pub(crate) fn enqueue<W, const ID: u64>(&self, work: W) -> W::EnqueueOutput
    where
        W: RawWorkItem<ID> + Send + 'static,
    {
        self.queue().enqueue(work)
    }

    /// Runs `work` as a work item, as [`Queue::try_spawn`] does. Fails if there is no memory.
    pub(crate) fn try_spawn<T>(&self, flags: Flags, work: T) -> Result<(), AllocError>
    where
        T: FnOnce() + Send + 'static,
    {
        self.queue().try_spawn(flags, work)
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants. There are no other references, so only queued work can
        // queue more, for which the function waits.
        unsafe { bindings::destroy_workqueue(self.0.as_ptr()) };
    }
}

#[kernel::macros::kunit_tests(vfence_workqueue)]
mod tests {
    use super::*;
    use core::ops::Deref;
    use kernel::sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    };

    #[test]
    fn drop_waits_for_queued_work() -> Result {
        let count = Arc::new(Atomic::new(0), GFP_KERNEL)?;
        let queue = OwnedQueue::new(c"kunit")?;
        for _ in 0..10 {
            let count = count.clone();
            queue.try_spawn(GFP_KERNEL, move || count.add(1, Relaxed))?;
        }
        drop(queue);
        assert_eq!(count.load(Relaxed), 10);
        Ok(())
    }

    #[test]
    fn queue_is_not_reachable_by_deref() {
        trait Probe<T> {
            fn compiles() -> bool {
                true
            }
        }
        struct Dereferences;
        impl<T> Probe<()> for T {}
        impl<T: Deref<Target = Queue>> Probe<Dereferences> for T {}
        // The parameter of `Probe` would be ambiguous if both implementations applied.
        assert!(<OwnedQueue as Probe<_>>::compiles());
    }
}
