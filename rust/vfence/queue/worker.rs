// SPDX-License-Identifier: GPL-2.0

//! The worker of a queue: what completes its jobs, and does their work, in process context.

use crate::{
    kernel_ext::timekeeping::ktime_get,
    vfence::{
        device::Device,
        job::operations::JobOperations,
        queue::{
            Queue,
            QueueRef, //
        },
    },
};
use kernel::{
    impl_has_work, new_work,
    prelude::*,
    sync::{
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
    workqueue::{
        self,
        WorkItem, //
    },
};

/// How long it works before others have their turn, in ns.
const TURN: u64 = 1_000_000;

/// Whom a worker works for, and who has the workqueues.
struct Employment {
    queue: QueueRef,
    device: Arc<Device>,
}

/// The worker of a queue, which has it from [`Worker::employ`] to [`Worker::dismiss`].
#[pin_data]
pub(crate) struct Worker {
    #[pin]
    work: workqueue::Work<Worker>,
    #[pin]
    employment: SpinLockIrq<Option<Employment>>,
}

impl_has_work! {
    impl HasWork<Self> for Worker { self.work }
}

impl Worker {
    /// Creates a worker that works for nobody. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("vfence_worker"),
                employment <- new_spinlock_irq!(None),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Has it work for `queue`, on the workqueue of `device`.
    pub(crate) fn employ(&self, queue: QueueRef, device: Arc<Device>) {
        *self.employment.lock() = Some(Employment { queue, device });
    }

    /// Has it work for nobody any more; what it does at the moment it finishes.
    pub(crate) fn dismiss(&self) {
        let employment = self.employment.lock().take();
        // The last reference to the device waits for its workqueues: not under the lock.
        drop(employment);
    }

    /// Has it do its work soon. May be called in any context.
    pub(crate) fn wake(self: &Arc<Self>) {
        if let Some(employment) = &*self.employment.lock() {
            // That it is waiting to begin already is as good.
            let _ = employment.device.workqueue.enqueue(self.clone());
        }
    }

    /// Gives back what a job of its queue has needed, soon. May be called in any context.
    pub(crate) fn give_back(&self, work: Arc<JobOperations>) {
        if let Some(employment) = &*self.employment.lock() {
            // It is given back once.
            let _ = employment.device.givers.enqueue(work);
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
        let Some(queue) = queue else {
            return;
        };
        let begun = ktime_get();
        while !Queue::work_some(&queue) {
            if ktime_get() - begun >= TURN {
                // Other works, and tasks, have their turn before the rest.
                return worker.wake();
            }
        }
    }
}
