// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Workqueues of one's own.
//!
//! C header: [`include/linux/workqueue.h`](srctree/include/linux/workqueue.h)
//!
//! The `kernel` crate has those of the system. What must go on when memory is short, as that on which
//! fences depend, needs one with a thread of its own in reserve.

use crate::bindings;
use core::{
    ops::Deref,
    ptr::NonNull, //
};
use kernel::{
    prelude::*,
    workqueue::Queue, //
};

/// A workqueue that is one's own, with a thread in reserve (`WQ_MEM_RECLAIM`), not bound to processors
/// (`WQ_UNBOUND`).
///
/// Dropping it waits for all that is queued, works that these queue included.
///
/// # Invariants
///
/// The pointer came from `alloc_workqueue()` and is owned by this.
pub(crate) struct OwnedQueue(NonNull<bindings::workqueue_struct>);

// SAFETY: Workqueues belong to no thread.
unsafe impl Send for OwnedQueue {}
// SAFETY: All functions that take `&self` may be called concurrently.
unsafe impl Sync for OwnedQueue {}

impl OwnedQueue {
    /// Creates a workqueue. Fails with `ENOMEM`.
    pub(crate) fn new(name: &CStr) -> Result<Self> {
        let flags = bindings::wq_flags_WQ_MEM_RECLAIM | bindings::wq_flags_WQ_UNBOUND;
        // SAFETY: The name is a string without anything to format in it but itself; `%s` takes it.
        let queue = unsafe {
            bindings::alloc_workqueue_noprof(c"%s".as_char_ptr(), flags, 0, name.as_char_ptr())
        };
        Ok(Self(NonNull::new(queue).ok_or(ENOMEM)?))
    }
}

impl Deref for OwnedQueue {
    type Target = Queue;

    fn deref(&self) -> &Queue {
        // SAFETY: By the type invariants it is valid as long as `self`.
        unsafe { Queue::from_raw(self.0.as_ptr()) }
    }
}

impl Drop for OwnedQueue {
    fn drop(&mut self) {
        // SAFETY: By the type invariants; nobody refers to it any more, so nothing is queued after this but
        // by what is queued already, for which it waits.
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
    fn drop_waits_for_what_is_queued() -> Result {
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
