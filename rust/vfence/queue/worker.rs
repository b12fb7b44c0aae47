// SPDX-License-Identifier: GPL-2.0

//! The worker of a queue: a work item that completes its jobs and executes their operations.

use crate::{
    kernel_ext::{
        timekeeping::ktime_get,
        workqueue::OwnedQueue, //
    },
    vfence::buffer::job_operations::JobOperations, //
};
use kernel::{
    impl_has_work, new_work,
    prelude::*,
    str::CStr,
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

/// How long the worker runs, in ns, before other work items get the thread.
const SLICE: u64 = 1_000_000;

/// The workqueues of the device.
pub(crate) struct Workqueues {
    /// Runs the workers. Fences depend on it.
    workers: OwnedQueue,
    /// Releases operations. Unmapping a buffer may wait for fences, and so for a worker.
    release: OwnedQueue,
}

impl Workqueues {
    /// Creates the workqueues of the device `name`. Fails with `ENOMEM`.
    pub(crate) fn new(name: &CStr) -> Result<Arc<Self>> {
        let workqueues = Self {
            workers: OwnedQueue::new(name)?,
            release: OwnedQueue::new(c"vfence_release")?,
        };
        Ok(Arc::new(workqueues, GFP_KERNEL)?)
    }
}

/// A queue whose jobs are completed by a worker.
pub(crate) trait RunByWorker: Clone + Send + Unpin + 'static {
    /// Completes some jobs and executes some operations. Returns whether nothing is left to do
    /// until the worker is woken.
    fn run_some(&self) -> bool;
}

/// The queue of a worker, from [`Worker::assign`] to [`Worker::release`].
struct Assignment<Q> {
    queue: Q,
    workqueues: Arc<Workqueues>,
}

/// The worker of a queue.
#[pin_data]
pub(crate) struct Worker<Q: RunByWorker> {
    #[pin]
    work: workqueue::Work<Worker<Q>>,
    #[pin]
    assignment: SpinLockIrq<Option<Assignment<Q>>>,
}

impl_has_work! {
    impl{Q: RunByWorker} HasWork<Self> for Worker<Q> { self.work }
}

impl<Q: RunByWorker> Worker<Q> {
    /// Creates a worker without a queue. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                work <- new_work!("vfence_worker"),
                assignment <- new_spinlock_irq!(None),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Assigns the worker to `queue`.
    pub(crate) fn assign(&self, queue: Q, workqueues: Arc<Workqueues>) {
        *self.assignment.lock() = Some(Assignment { queue, workqueues });
    }

    /// Releases the queue. The worker finishes what it is doing and does nothing after that.
    pub(crate) fn release(&self) {
        let assignment = self.assignment.lock().take();
        // Dropping the last reference to the workqueues waits for them: not under the lock.
        drop(assignment);
    }

    /// Queues the worker. May be called in any context.
    pub(crate) fn wake(self: &Arc<Self>) {
        if let Some(assignment) = &*self.assignment.lock() {
            // It fails if the worker is queued already.
            let _ = assignment.workqueues.workers.enqueue(self.clone());
        }
    }

    /// Releases the operations of a job in a work item. May be called in any context.
    pub(crate) fn release_operations(&self, operations: Arc<JobOperations>) {
        if let Some(assignment) = &*self.assignment.lock() {
            // It cannot be queued already: a job completes once.
            let _ = assignment.workqueues.release.enqueue(operations);
        }
    }
}

impl<Q: RunByWorker> WorkItem for Worker<Q> {
    type Pointer = Arc<Self>;

    fn run(worker: Arc<Self>) {
        let queue = match &*worker.assignment.lock() {
            Some(assignment) => assignment.queue.clone(),
            None => return,
        };
        let begun = ktime_get();
        while !queue.run_some() {
            if ktime_get() - begun >= SLICE {
                worker.wake();
                return;
            }
        }
    }
}
