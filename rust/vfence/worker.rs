// SPDX-License-Identifier: GPL-2.0

//! The worker of a queue: what completes its jobs in process context.

use super::queue::{
    Queue,
    QueueRef, //
};
use crate::kernel_ext::workqueue::OwnedQueue;
use kernel::{
    impl_has_work, new_work,
    prelude::*,
    sync::{
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
    workqueue::{
        Work,
        WorkItem, //
    },
};

/// Whom a worker works for, and where.
struct Employment {
    queue: QueueRef,
    workqueue: Arc<OwnedQueue>,
}

/// The worker of a queue, which has it from [`Worker::employ`] to [`Worker::dismiss`].
#[pin_data]
pub(super) struct Worker {
    #[pin]
    work: Work<Worker>,
    #[pin]
    employment: SpinLockIrq<Option<Employment>>,
}

impl_has_work! {
    impl HasWork<Self> for Worker { self.work }
}

impl Worker {
    /// Creates a worker that works for nobody. Fails with `ENOMEM`.
    pub(super) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("vfence_worker"),
                employment <- new_spinlock_irq!(None),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Has it work for `queue`, on `workqueue`.
    pub(super) fn employ(&self, queue: QueueRef, workqueue: Arc<OwnedQueue>) {
        *self.employment.lock() = Some(Employment { queue, workqueue });
    }

    /// Has it work for nobody any more; what it does at the moment it finishes.
    pub(super) fn dismiss(&self) {
        let employment = self.employment.lock().take();
        // The last reference to a workqueue waits for its works: not under the lock.
        drop(employment);
    }

    /// Has it do its work soon. May be called in any context.
    pub(super) fn wake(self: &Arc<Self>) {
        if let Some(employment) = &*self.employment.lock() {
            // That it is waiting to begin already is as good.
            let _ = employment.workqueue.enqueue(self.clone());
        }
    }
}

impl WorkItem for Worker {
    type Pointer = Arc<Self>;

    fn run(worker: Arc<Self>) {
        let queue = worker
            .employment
            .lock()
            .as_ref()
            .map(|employment| employment.queue.clone());
        if let Some(queue) = queue {
            if !Queue::expire_some(&queue) {
                // Other works, and tasks, have their turn before the rest.
                worker.wake();
            }
        }
    }
}
