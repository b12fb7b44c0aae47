// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Workqueues that a module owns.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)
//!
//! The `kernel` crate wraps only the system's workqueues. Work on which fences depend must make
//! progress under memory pressure, and needs a workqueue with a rescuer thread.

use crate::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    workqueue::Queue, //
};

/// An owned workqueue, with a rescuer thread (`WQ_MEM_RECLAIM`), and not bound to CPUs
/// (`WQ_UNBOUND`).
///
/// Dropping it waits for all queued work, including work that is queued by other work.
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
        let flags = bindings::wq_flags_WQ_MEM_RECLAIM | bindings::wq_flags_WQ_UNBOUND;
        // SAFETY: The format `%s` takes one string.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 0, name.as_char_ptr())
        };
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariants the workqueue is valid as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
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
}
