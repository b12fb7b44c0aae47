// SPDX-License-Identifier: GPL-2.0

//! A queue: locks, a timer or a worker, and fences around a scheduler.
//!
//! # Lock order
//!
//! A lock may be taken while locks above it are held, never the other way round:
//!
//!  0. `plugged` of a DRM device, a mutex: the device is registered, wedged or unplugged.
//!  1. A client's `last_submitted`, a mutex: jobs are prepared and published. User memory is
//!     accessed below it, so tasks wait for it killably.
//!  2. A client's `last_signalled`, a mutex: `VFENCE_IOCTL_SIGNAL_NEXT` finds the queue and
//!     completes its head, if the head is a plain job.
//!  3. `advancing` of a sw_sync timeline, a mutex: the counter advances, until each fence that it
//!     reaches has signalled.
//!  4. A client's `queues`, a mutex: the queues are found, added, removed, closed, polled.
//!  5. The device's list of queues, a mutex: an entry is added, removed, or found for debugfs.
//!  6. A client's buffer mappings, a mutex: a buffer is mapped or unmapped.
//!  7. Reservation objects: in-fences of buffers are collected and jobs published. With several
//!     locked, there is no access to user memory, and this driver neither maps nor unmaps.
//!  8. A buffer's list of attachments, a mutex: attachments change, or the CPU accesses the buffer.
//!  9. `operating` of a queue, a spinlock: the worker performs a step of a job's operations, or
//!     another task stops it from doing so. No fence signals below it.
//! 10. A job's operations, a spinlock: a step is performed, or they are released.
//! 11. `signalling` of a timer or worker queue: completed jobs leave the scheduler and their
//!     fences signal, in order. Never below 7.
//! 12. `state` of a manual queue or a sw_sync timeline: as `signalling`, and whenever the scheduler
//!     is used. No callback is removed and nothing is allocated below it.
//! 13. A client's events, a spinlock: events are counted, reported, read.
//! 14. Any fence's lock: the core signals a fence, or a callback is added or removed.
//! 15. `state` of a timer or worker queue: the scheduler is used. No fence signals, no callback is
//!     removed and nothing is allocated below it.
//! 16. `assignment` of a worker, a spinlock: the worker or a release of operations is queued.
//! 17. `waiting` of a backlog, a spinlock: a queue or timeline goes on the list or leaves it.
//!
//! The callback of an in-fence runs with that fence's lock held and takes `state` of the waiting
//! queue, hence 11, 14, 15. It is added without `state`, see `arm.rs`. A job of a manual queue has
//! no in-fences, and the deadline of its fence is kept in the fence. So no fence callback takes
//! `state` of a manual queue, and its fences may signal under it.
//!
//! # Contexts
//!
//! Jobs complete in these contexts, timed out jobs included:
//!
//! - jobs of a timer queue in the timer's interrupt;
//! - jobs of a worker queue in the worker, which the interrupt queues: on a workqueue, or in the
//!   thread that has executed their operations;
//! - jobs of a manual queue in the ioctl that signals them; only timed out jobs in the interrupt.
//!
//! The work item of the backlog takes the interrupt's place when the CPU's interrupt time is used
//! up.
//!
//! `VFENCE_IOCTL_QUEUE_RESET`, closing a queue and the loss of the device complete jobs in the
//! context of the caller.

use crate::{
    impl_hr_timer_owner,
    kernel_ext::{
        dma_fence::{
            DomainRef,
            DriverTimeline,
            PendingFence,
            Timeline,
            TypedContext, //
        },
        timekeeping::ktime_get,
        wait::WaitQueue, //
    },
    new_wait_queue,
    uapi::VFENCE_HISTORY,
    vfence::{
        backlog::{
            Backlog,
            Entry, //
        },
        budget::InterruptBudget,
        buffer::job_operations::JobOperations,
        charged::ChargedMemory,
        events::Events,
        job::in_fences::InFenceWait,
        limits::Limits,
        queue::{
            config::{
                QueueConfig,
                QueueKind, //
            },
            counter_page::CounterPage,
            deadline::Deadline,
            name::QueueName,
            trace_owner::TraceOwner,
            worker::{
                Operating,
                Worker,
                WorkerThreads, //
            },
        },
        refusal::refuse,
        sched::{
            fault_plan::FaultPlan,
            manual::{
                ManualJob,
                ManualSlot, //
            },
            scheduler::{
                JobSegment,
                Scheduler, //
            },
            timed::{
                TimedJob,
                TimedSlot, //
            },
            types::{
                CompletedJob,
                HasDeadline,
                JobData,
                JobRecord,
                NEVER, //
            },
        },
    },
};
use kernel::{
    mm::virt::VmaNew,
    prelude::*,
    static_lock_class,
    str::CStr,
    sync::{
        aref::ARef,
        atomic::Atomic,
        new_spinlock,
        new_spinlock_irq,
        Arc,
        SpinLock,
        SpinLockIrq,
        SpinLockIrqGuard, //
    },
    time::hrtimer::HrTimer, //
};

pub(crate) mod arm;
pub(crate) mod complete;
pub(crate) mod config;
pub(crate) mod counter_page;
pub(crate) mod deadline;
pub(crate) mod export;
pub(crate) mod info;
pub(crate) mod name;
pub(crate) mod operate;
pub(crate) mod reserve;
pub(crate) mod sched_trace;
pub(crate) mod signal;
pub(crate) mod submit;
pub(crate) mod timer;
pub(crate) mod trace_owner;
pub(crate) mod worker;

/// A counted reference to a queue.
pub(crate) type QueueRef = ARef<Timeline<Queue>>;

/// The fence of a job, if the job has one.
pub(crate) type JobFence = Option<PendingFence<Queue>>;

/// The data that a timer or worker queue keeps with a job.
pub(crate) struct TimedJobData {
    pub(crate) fence: JobFence,
    /// Boxed, since few jobs have any.
    pub(crate) inputs: Option<KBox<JobInputs>>,
}

/// The inputs of a job that has pending in-fences or operations.
pub(crate) struct JobInputs {
    /// Kept until the job completes; dropping it ends the wait. `None` also while a task arms it.
    pub(crate) in_fences: Option<InFenceWait<QueueRef>>,
    pub(crate) operations: Option<Arc<JobOperations>>,
}

impl TimedJobData {
    /// Returns the wait for the in-fences that were pending when the job was submitted.
    pub(crate) fn in_fences(&self) -> Option<&InFenceWait<QueueRef>> {
        self.inputs.as_ref()?.in_fences.as_ref()
    }
}

impl HasDeadline for JobFence {
    fn deadline(&self) -> u64 {
        self.as_ref().map_or(NEVER, |fence| fence.data().earliest())
    }
}

impl JobData for TimedJobData {
    type Fence = JobFence;

    fn fence_mut(&mut self) -> &mut JobFence {
        &mut self.fence
    }

    fn from_fence(fence: JobFence) -> Self {
        Self {
            fence,
            inputs: None,
        }
    }
}

/// A job of a timer or worker queue.
pub(crate) type QueueTimedJob = TimedJob<TimedJobData>;

/// A job of a manual queue.
pub(crate) type QueueManualJob = ManualJob<JobFence>;

/// The scheduler of a queue.
pub(crate) type QueueScheduler = Scheduler<TimedJobData, ChargedMemory, KVVec<JobRecord>>;

/// A job that has left the scheduler of its queue.
pub(crate) type QueueCompletedJob =
    CompletedJob<TimedJobData, JobSegment<TimedJobData, ChargedMemory>>;

// Keep a segment of slots within a page: the header states the memory of a pending job.
const _: () = assert!(size_of::<Option<TimedSlot<TimedJobData>>>() <= 64);
const _: () = assert!(size_of::<Option<ManualSlot<JobFence>>>() <= 24);

/// The data that the lock `state` protects.
pub(crate) struct QueueState {
    pub(crate) jobs: QueueScheduler,
    /// When the timer expires, in ns, or [`NEVER`].
    ///
    /// The timer is started under the lock, and only for an earlier time. So it may expire with
    /// nothing due, and if it is not queued, this time has passed.
    expiry: u64,
    /// How many tasks wait for a job in `VFENCE_IOCTL_WAIT`.
    waiting: u32,
    /// Set when a caller found the queue full or took its last slot. The next completion clears it
    /// and wakes pollers.
    wake_pollers: bool,
}

impl QueueState {
    /// Returns the state of a queue without jobs whose timer is idle.
    fn new(jobs: QueueScheduler) -> Self {
        Self {
            jobs,
            expiry: NEVER,
            waiting: 0,
            wake_pollers: false,
        }
    }
}

/// An ordered execution context of a client, and the timeline of its fences.
///
/// The client has a reference until it closes the queue, and so may pending jobs, through their
/// fences and in-fences. [`Queue::close`] completes all jobs and cancels the timer. The last
/// reference may be dropped in any context but NMI: a work item frees the queue.
#[pin_data(PinnedDrop)]
pub(crate) struct Queue {
    #[pin]
    timer: HrTimer<Self>,
    /// The interrupt time of each CPU.
    budget: Arc<InterruptBudget>,
    backlog: Arc<Entry<QueueRef>>,
    id: u32,
    kind: QueueKind,
    name: QueueName,
    owner: TraceOwner,
    context: u64,
    limits: Limits,
    events: Arc<Events>,
    counters: CounterPage,
    /// `None` unless the kind is [`QueueKind::Worker`].
    worker: Option<Arc<Worker<QueueRef>>>,
    /// Held while the worker performs a step of a job's operations.
    #[pin]
    operating: SpinLock<Operating>,
    /// The number of jobs in [`Reservation`](reserve::Reservation)s other than the last; written
    /// with the client's `last_submitted` held.
    staged: Atomic<u64>,
    /// The seqno of the last job that the ring has a slot for; a lower bound, written with the
    /// client's `last_submitted` held.
    reserved_to: Atomic<u64>,
    /// The tasks that wait for a job in `VFENCE_IOCTL_WAIT`.
    #[pin]
    pub(crate) waiters: WaitQueue,
    #[pin]
    signalling: SpinLockIrq<()>,
    #[pin]
    state: SpinLockIrq<QueueState>,
}

impl_hr_timer_owner! {
    impl HrTimerOwner for Queue { self.timer }
}

impl Queue {
    /// Creates a queue without jobs, whose fences are of `context`. Fails with `ENOMEM`.
    pub(crate) fn new(
        id: u32,
        fences: DomainRef,
        context: TypedContext<Self>,
        config: QueueConfig,
        limits: Limits,
        events: Arc<Events>,
        backlog: &Arc<Backlog<QueueRef>>,
    ) -> Result<QueueRef> {
        let QueueConfig {
            kind,
            name,
            owner,
            policy,
            seed,
        } = config;
        let history = KVVec::from_elem(
            JobRecord::default(),
            VFENCE_HISTORY as usize,
            GFP_KERNEL_ACCOUNT,
        )?;
        let state = QueueState::new(Scheduler::new(
            kind.scheduler_kind(),
            policy,
            seed,
            limits.max_jobs as usize,
            history,
        )?);
        let worker = match kind {
            QueueKind::Worker => Some(Worker::new()?),
            QueueKind::Timer | QueueKind::Manual => None,
        };
        let context_id = context.id();
        // A class each: `state` of a manual queue is taken at another place of the lock order.
        let state_class = match kind {
            QueueKind::Manual => (c"vfence_manual_state", static_lock_class!()),
            QueueKind::Timer | QueueKind::Worker => (c"vfence_state", static_lock_class!()),
        };
        let queue = try_pin_init!(Self {
            timer <- HrTimer::new(),
            budget: backlog.budget().clone(),
            backlog: Entry::new(backlog)?,
            id,
            kind,
            name,
            owner,
            context: context_id,
            limits,
            events,
            counters: CounterPage::new()?,
            worker,
            operating <- new_spinlock!(Operating::new()),
            staged: Atomic::new(0),
            reserved_to: Atomic::new(0),
            waiters <- new_wait_queue!("vfence_waiters"),
            signalling <- new_spinlock_irq!(()),
            state <- SpinLockIrq::new(state, state_class.0, state_class.1),
        }? Error);
        Timeline::new(fences, context, queue, GFP_KERNEL_ACCOUNT)
    }

    /// Starts the worker of a worker queue, which then refers to the queue until [`Queue::close`].
    /// Must be called before the first job.
    pub(crate) fn start_worker(queue: &QueueRef, threads: &Arc<WorkerThreads>) {
        if let Some(worker) = &queue.worker {
            worker.assign(queue.clone(), threads.clone());
        }
    }

    /// Lets interrupts put the queue into the backlog, which may then refer to it until
    /// [`Queue::close`]. Must be called before the first job.
    pub(crate) fn assign_backlog(queue: &QueueRef) {
        queue.backlog.assign(queue.clone());
    }

    /// Returns the id that user space knows the queue by.
    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Returns the number of its fences' context.
    pub(crate) fn context_id(&self) -> u64 {
        self.context
    }

    pub(crate) fn kind(&self) -> QueueKind {
        self.kind
    }

    pub(crate) fn name(&self) -> &QueueName {
        &self.name
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Maps the counter page. Fails with `EINVAL`, `EACCES`.
    pub(crate) fn map_counters(&self, vma: &VmaNew) -> Result {
        self.counters.map(vma)
    }

    /// Returns the seqno of the last job submitted.
    pub(crate) fn submitted(&self) -> u64 {
        self.counters.submitted()
    }

    /// Returns the seqno of the last job completed. The fences of the jobs up to it have signalled.
    pub(crate) fn completed(&self) -> u64 {
        self.counters.completed()
    }

    /// Returns the number of pending jobs.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().jobs.pending()
    }

    /// Returns the time in ns for which jobs have run, the running job included.
    pub(crate) fn busy(&self) -> u64 {
        self.state.lock().jobs.busy(ktime_get())
    }

    /// Returns whether the queue can take another job. If not, the next completion wakes pollers.
    pub(crate) fn poll_free_slot(&self) -> bool {
        let mut state = self.state.lock();
        let free = state.jobs.pending() < self.limits.max_jobs as usize;
        state.wake_pollers |= !free;
        free
    }

    /// Counts a task that is about to wait for a job. Until [`Queue::end_wait`], completions wake
    /// [`Queue::waiters`].
    pub(crate) fn begin_wait(&self) {
        // With both locks, a completion either sees the waiter or is seen by it in `completed()`.
        let _order = self.lock_signalling();
        self.state.lock().waiting += 1;
    }

    /// Ends what [`Queue::begin_wait`] began.
    pub(crate) fn end_wait(&self) {
        self.state.lock().waiting -= 1;
    }

    /// Locks `signalling`, except on a manual queue, where `state` orders the signalling of fences.
    ///
    /// With this lock and `state` held, the fence of each job that the scheduler has completed has
    /// signalled.
    fn lock_signalling(&self) -> Option<SpinLockIrqGuard<'_, ()>> {
        (self.kind != QueueKind::Manual).then(|| self.signalling.lock())
    }

    /// Sets the fault plan for jobs submitted from now on. `drops_interrupts` says whether it
    /// contains `VFENCE_FAULT_DROP_INTERRUPT`.
    ///
    /// Fails with `EINVAL` for a manual queue, and if interrupts are dropped but the queue has no
    /// timeout.
    pub(crate) fn set_fault_plan(&self, plan: FaultPlan, drops_interrupts: bool) -> Result {
        let mut state = self.state.lock();
        match state.jobs.timed_mut() {
            Some(jobs) if !drops_interrupts || jobs.timeout().is_some() => {
                jobs.set_fault_plan(plan);
                return Ok(());
            }
            _ => {}
        }
        drop(state);
        if self.kind == QueueKind::Manual {
            return Err(refuse!(EINVAL, "queue_faults: queue {} is manual", self.id));
        }
        Err(refuse!(
            EINVAL,
            "queue_faults: VFENCE_FAULT_DROP_INTERRUPT on queue {}, which has no bound: the \
             watchdog has been lifted and the queue has no timeout",
            self.id
        ))
    }
}

#[vtable]
impl DriverTimeline for Queue {
    type Seqno = u64;
    type FenceData = Deadline;

    fn driver_name(&self) -> &CStr {
        c"vfence"
    }

    fn timeline_name(&self) -> &CStr {
        self.name.as_c_str()
    }

    fn set_deadline(&self, data: &Deadline, seqno: u64, deadline: i64) {
        let deadline = data.record(deadline);
        if self.kind == QueueKind::Manual {
            // The scheduler reads it from the fence.
            return;
        }
        let mut state = self.state.lock();
        let Some(jobs) = state.jobs.timed_mut() else {
            return;
        };
        if jobs.set_deadline(ktime_get(), seqno, deadline) {
            self.rearm(&mut state);
        }
    }
}

#[kernel::macros::kunit_tests(vfence_queue)]
mod tests {
    use crate::vfence::sched::types::{
        CANCELED,
        TIMED_OUT, //
    };
    use kernel::prelude::*;

    #[test]
    fn errors_of_the_scheduler_are_errnos_of_the_kernel() {
        assert_eq!(CANCELED, ECANCELED.to_errno());
        assert_eq!(TIMED_OUT, ETIMEDOUT.to_errno());
    }
}
