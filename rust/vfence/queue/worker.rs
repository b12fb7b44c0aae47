// SPDX-License-Identifier: GPL-2.0

//! The worker of a queue: a work item that completes its jobs, and one that executes their
//! operations.
//!
//! The two run in different threads. Completing a job takes microseconds and must not be late, so a
//! workqueue does it, at the priority of other work of the kernel. Operations take as long as user
//! space wants, and no cgroup is charged for them, so a few threads of the lowest priority execute
//! those of all queues.

use crate::{
    impl_has_kthread_work,
    kernel_ext::{
        cpumask::num_online_cpus,
        kthread_worker::{
            KthreadWork,
            KthreadWorkItem,
            KthreadWorker, //
        },
        timekeeping::ktime_get,
        workqueue::OwnedQueue, //
    },
    vfence::buffer::job_operations::JobOperations, //
};
use kernel::{
    impl_has_work, new_work,
    prelude::*,
    str::{
        CStr,
        CString, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_spinlock_irq,
        Arc,
        SpinLockIrq, //
    },
    workqueue::{
        self,
        WorkItem, //
    },
};

/// How long the operations of a queue are executed, in ns, before those of other queues get the
/// thread.
const SLICE: u64 = 1_000_000;

/// Most threads that execute operations, and most that complete jobs. With both modules loaded,
/// those that execute operations take 8 % of the share of a cgroup that has the default weight, and
/// less if it is busy on more or fewer than 3 to 6 CPUs.
const MAX_THREADS: u32 = 3;

/// The nice value of the threads that execute operations.
const NICE: i32 = 19;

/// The threads that run the workers of all queues.
pub(crate) struct WorkerThreads {
    /// Completes jobs. Fences depend on it.
    completion: OwnedQueue,
    /// Execute operations, each those of some queues.
    operation: KVec<KthreadWorker>,
    /// Releases operations. Unmapping a buffer may wait for fences, and so for a worker.
    release: OwnedQueue,
    /// The number of queues that have been assigned to a thread of `operation`.
    assigned: Atomic<usize>,
}

impl WorkerThreads {
    /// Creates the threads of the module `name`. Fails with `ENOMEM`, `EINTR`.
    pub(crate) fn new(name: &CStr) -> Result<Arc<Self>> {
        let mut operation = KVec::new();
        for index in 0..num_online_cpus().min(MAX_THREADS) {
            let name = CString::try_from_fmt(fmt!("{name}_operate/{index}"))?;
            operation.push(KthreadWorker::new(&name, NICE)?, GFP_KERNEL)?;
        }
        let threads = Self {
            completion: OwnedQueue::with_max_active(name, MAX_THREADS as i32)?,
            operation,
            release: OwnedQueue::new(c"vfence_release")?,
            assigned: Atomic::new(0),
        };
        Ok(Arc::new(threads, GFP_KERNEL)?)
    }
}

/// A queue whose jobs are completed by a worker.
pub(crate) trait RunByWorker: Clone + Send + Unpin + 'static {
    /// Completes some of the jobs that are due.
    fn complete_due(&self) -> Completed;

    /// Completes some of the jobs that are due and executes some operations. Returns whether there
    /// is nothing left to execute until the worker is woken for that.
    fn operate_some(&self) -> bool;
}

/// The state of a queue after [`RunByWorker::complete_due`].
pub(crate) enum Completed {
    /// Nothing, until its timer expires or a job is submitted.
    All,
    /// To complete more jobs.
    Some,
    /// To execute operations.
    OperationsBegun,
}

/// Whether the worker of a queue may execute operations.
pub(crate) struct Operating {
    /// The number of tasks that have stopped the worker.
    stops: u32,
    /// Set when the worker found that, and has given up until it is woken.
    given_up: bool,
}

impl Operating {
    /// Returns the state in which the worker may execute operations.
    pub(crate) const fn new() -> Self {
        Self {
            stops: 0,
            given_up: false,
        }
    }

    /// Stops the worker until the caller calls [`Operating::resume`].
    pub(crate) fn stop(&mut self) {
        self.stops += 1;
    }

    /// Returns whether the worker must be woken to continue.
    pub(crate) fn resume(&mut self) -> bool {
        self.stops -= 1;
        self.stops == 0 && core::mem::take(&mut self.given_up)
    }

    /// Returns whether the worker may execute operations. If not, it must give up.
    pub(crate) fn may_continue(&mut self) -> bool {
        self.given_up |= self.stops > 0;
        self.stops == 0
    }
}

/// The queue of a worker, from [`Worker::assign`] to [`Worker::release`].
struct Assignment<Q> {
    queue: Q,
    threads: Arc<WorkerThreads>,
    /// The index in `threads.operation` of the thread that executes the queue's operations.
    thread: usize,
}

/// The worker of a queue.
#[pin_data]
pub(crate) struct Worker<Q: RunByWorker> {
    #[pin]
    completion: workqueue::Work<Worker<Q>>,
    #[pin]
    operation: KthreadWork<Worker<Q>>,
    #[pin]
    assignment: SpinLockIrq<Option<Assignment<Q>>>,
}

impl_has_work! {
    impl{Q: RunByWorker} HasWork<Self> for Worker<Q> { self.completion }
}

impl_has_kthread_work! {
    impl{Q: RunByWorker} HasKthreadWork for Worker<Q> { self.operation }
}

impl<Q: RunByWorker> Worker<Q> {
    /// Creates a worker without a queue. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        Arc::pin_init(
            pin_init!(Self {
                completion <- new_work!("vfence_worker"),
                operation <- KthreadWork::new(),
                assignment <- new_spinlock_irq!(None),
            }),
            GFP_KERNEL_ACCOUNT,
        )
    }

    /// Assigns the worker to `queue`.
    pub(crate) fn assign(&self, queue: Q, threads: Arc<WorkerThreads>) {
        let assigned = threads.assigned.fetch_add(1, Relaxed);
        let thread = assigned.checked_rem(threads.operation.len()).unwrap_or(0);
        *self.assignment.lock() = Some(Assignment {
            queue,
            threads,
            thread,
        });
    }

    /// Releases the queue. The worker finishes what it is doing and does nothing after that.
    pub(crate) fn release(&self) {
        let assignment = self.assignment.lock().take();
        // Dropping the last reference to the threads waits for them: not under the lock.
        drop(assignment);
    }

    /// Wakes the worker, to complete jobs. May be called where a spinlock may be taken.
    pub(crate) fn wake(self: &Arc<Self>) {
        if let Some(assignment) = &*self.assignment.lock() {
            // It fails if the worker is queued already.
            let _ = assignment.threads.completion.enqueue(self.clone());
        }
    }

    /// Wakes the worker, to execute operations. May be called where a spinlock may be taken.
    pub(crate) fn wake_operations(self: &Arc<Self>) {
        if let Some(assignment) = &*self.assignment.lock() {
            if let Some(thread) = assignment.threads.operation.get(assignment.thread) {
                // It fails if the worker is queued already.
                let _ = thread.enqueue(self.clone());
            }
        }
    }

    /// Releases the operations of a job in a work item. May be called where a spinlock may be
    /// taken.
    pub(crate) fn release_operations(&self, operations: Arc<JobOperations>) {
        if let Some(assignment) = &*self.assignment.lock() {
            // It cannot be queued already: a job completes once.
            let _ = assignment.threads.release.enqueue(operations);
        }
    }

    /// Returns the queue, unless it was released.
    fn queue(&self) -> Option<Q> {
        let assignment = &*self.assignment.lock();
        assignment
            .as_ref()
            .map(|assignment| assignment.queue.clone())
    }
}

impl<Q: RunByWorker> WorkItem for Worker<Q> {
    type Pointer = Arc<Self>;

    fn run(worker: Arc<Self>) {
        let Some(queue) = worker.queue() else {
            return;
        };
        match queue.complete_due() {
            Completed::All => {}
            // Other work items go first.
            Completed::Some => worker.wake(),
            Completed::OperationsBegun => worker.wake_operations(),
        }
    }
}

impl<Q: RunByWorker> KthreadWorkItem for Worker<Q> {
    fn run(worker: Arc<Self>) {
        let Some(queue) = worker.queue() else {
            return;
        };
        let begun = ktime_get();
        while !queue.operate_some() {
            if ktime_get() - begun >= SLICE {
                worker.wake_operations();
                return;
            }
        }
    }
}
