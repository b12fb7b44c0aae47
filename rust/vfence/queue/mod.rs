// SPDX-License-Identifier: GPL-2.0

//! A queue: locks, timer and fences around the state machine.
//!
//! # Locks
//!
//! | lock | held while | order |
//! |---|---|---|
//! | the client's `submitting`, a mutex | jobs are prepared and published | outermost |
//! | the client's `last_signalled`, a mutex | the queue there is looked up, and its next job is signalled, if it is a plain one | outermost |
//! | that of a client's queues, a mutex | they are looked at, added and removed | after `submitting` and `last_signalled`; nothing is waited for but that |
//! | the lock of the client's mapped buffers, a mutex | a buffer is mapped, or given back | after `submitting` |
//! | those of reservation objects | jobs that use buffers are decided about and published; a buffer is mapped, or given back | after the former; no user memory is accessed, nothing mapped or given back by us under several of them |
//! | that of a buffer's list of who has it mapped, a mutex | the list is looked at or changed, for an importer or for an access by the CPU | after the former |
//! | `engine`, a mutex | the worker does some work; others end jobs of its queue | after `submitting`; never together with the three before, whose holders may wait for fences |
//! | that of a job's operations, a mutex | some of them are done, or they are given back | after `engine` |
//! | `signalling`, not of manual queues | jobs are taken from the machine, and fences signalled, so that these signal in order | before the locks of fences |
//! | `state` of a manual queue | the machine is asked or told something, and fences signalled | as `signalling`; no callback removed, nothing allocated by us under it |
//! | that of a client's events, a spinlock | they are counted, reported or taken | after `signalling`, or `state` of a manual queue |
//! | `state` of other queues | the machine is asked or told something | after all others; no fence is signalled, no callback removed, nothing allocated under it |
//!
//! The callback of an in-fence runs with that fence's lock held and takes `state`, so the order is
//! `signalling`, locks of fences, `state`. Who holds reservation objects takes locks of fences and `state`, of manual queues too, but not `signalling`: jobs are
//! published under them, and completed without.
//!
//! Jobs of manual queues wait for nothing, and the deadlines of their fences are kept with these. So the `state` of such a queue is taken by system
//! calls and by its own timer, never by a callback of a fence, nor under a spinlock that one takes; mutexes, and reservation objects, are nothing that a callback could wait for. So it is the one
//! lock under which jobs of such a queue are taken and their fences signalled.
//!
//! # Who completes what
//!
//! Jobs of a timer queue complete in the timer's interrupt, also those that time out; those of a worker queue in
//! the worker, which the interrupt wakes. Jobs of a manual queue complete in the ioctl, but those that time out in the interrupt. Closing
//! and resetting complete what is left in the context of the caller.

use crate::{
    impl_hr_timer_owner,
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            DriverTimeline,
            Fence,
            PendingFence,
            Timeline,
            TypedContext, //
        },
        hrtimer::HrTimerOwner,
        timekeeping::ktime_get,
        wait::WaitQueue, //
    },
    new_wait_queue, trace,
    uapi::{
        vfence_queue_info,
        vfence_queue_kind_VFENCE_QUEUE_MANUAL as MANUAL,
        vfence_queue_kind_VFENCE_QUEUE_TIMER as TIMER,
        vfence_queue_kind_VFENCE_QUEUE_WORKER as WORKER,
        VFENCE_HISTORY,
        VFENCE_QUEUE_STOPPED, //
    },
    vfence::{
        charged::ChargedMemory,
        device::Device,
        events::Events,
        job::{
            in_fences::Waits,
            operations::JobOperations,
            quota::Budget, //
        },
        limits::Limits,
        queue::{
            counters::Counters,
            deadline::Deadline,
            name::Name,
            worker::Worker, //
        },
        sched::{
            fault_plan::FaultPlan,
            manual,
            scheduler::{
                JobSegment,
                Scheduler, //
            },
            timed::{
                self,
                TimedScheduler, //
            },
            types::{
                self,
                HasDeadline,
                JobData,
                JobRecord,
                JobState,
                QueuePolicy,
                SchedulerKind,
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
        new_mutex,
        new_spinlock_irq,
        Arc,
        Mutex,
        SpinLockIrq,
        SpinLockIrqGuard, //
    },
    time::hrtimer::HrTimer, //
};

pub(crate) mod complete;
pub(crate) mod counters;
pub(crate) mod deadline;
pub(crate) mod name;
pub(crate) mod reserve;
pub(crate) mod timer;
pub(crate) mod worker;

/// How many jobs are published, or completed in an interrupt, at once: what they waited for counted too.
const BATCH: usize = 128;

/// A counted reference to a queue.
pub(crate) type QueueRef = ARef<Timeline<Queue>>;

/// The fence of a job, if somebody wanted one.
pub(crate) type JobFence = Option<PendingFence<Queue>>;

/// What the machine keeps with a job.
pub(crate) struct Payload {
    pub(crate) fence: JobFence,
    /// What most jobs do not have.
    pub(crate) more: Option<KBox<More>>,
}

/// What the machine keeps with jobs that wait or have work.
pub(crate) struct More {
    /// Kept until the job ends, which ends the wait.
    pub(crate) waits: Option<Waits>,
    pub(crate) work: Option<Arc<JobOperations>>,
}

impl Payload {
    /// Returns what the job waits for.
    pub(crate) fn waits(&self) -> Option<&Waits> {
        self.more.as_ref()?.waits.as_ref()
    }

    /// Returns what the job waits for.
    pub(crate) fn waits_mut(&mut self) -> Option<&mut Waits> {
        self.more.as_mut()?.waits.as_mut()
    }
}

impl HasDeadline for JobFence {
    fn deadline(&self) -> u64 {
        self.as_ref().map_or(NEVER, |fence| fence.data().earliest())
    }
}

impl JobData for Payload {
    type Fence = JobFence;

    fn fence_mut(&mut self) -> &mut JobFence {
        &mut self.fence
    }

    fn from_fence(fence: JobFence) -> Self {
        Self { fence, more: None }
    }
}

/// A job of a timer or worker queue.
pub(crate) type TimedJob = timed::TimedJob<Payload>;

/// A job of a manual queue.
pub(crate) type ManualJob = manual::ManualJob<JobFence>;

/// A job on its way into the machine of a queue of its kind.
pub(crate) trait Submit {
    /// Returns how long it takes at least, in ns.
    fn duration(&self) -> u64;

    /// Returns for how many fences it waits.
    fn in_fences(&self) -> u32;

    /// Makes it pending if there is room. Returns its sequence number, and whether it may be the first to end by itself, for which the timer
    /// is not set.
    fn submit(self, locked: &mut Locked, now: u64) -> Option<(u64, bool)>;
}

impl Submit for TimedJob {
    fn duration(&self) -> u64 {
        self.duration.min
    }

    fn in_fences(&self) -> u32 {
        // CAST: A job has no more than `VFENCE_MAX_IN_FENCES`.
        self.data.waits().map_or(0, Waits::len) as u32
    }

    fn submit(self, locked: &mut Locked, now: u64) -> Option<(u64, bool)> {
        let jobs = locked.jobs.timed_mut()?;
        let submitted = jobs.submit(now, self).ok()?;
        Some((submitted.seqno, submitted.is_head))
    }
}

impl Submit for ManualJob {
    fn duration(&self) -> u64 {
        0
    }

    fn in_fences(&self) -> u32 {
        0
    }

    #[inline(always)]
    fn submit(self, locked: &mut Locked, now: u64) -> Option<(u64, bool)> {
        let jobs = locked.jobs.manual_mut()?;
        let submitted = jobs.submit(now, self).ok()?;
        // All jobs end as long after their submission: if the timer is set, it is not for later, unless the queue is stopped. With others
        // pending it is set, or somebody who ends them is about to set it.
        let alone = submitted.is_head;
        Some((
            submitted.seqno,
            alone && (locked.armed == NEVER || jobs.stopped()),
        ))
    }
}

pub(crate) type Jobs = Scheduler<Payload, ChargedMemory, KVVec<JobRecord>>;
pub(crate) type CompletedJob = types::CompletedJob<Payload, JobSegment<Payload, ChargedMemory>>;

// A segment is a page, or fits into half of one: a pending job without a fence takes no more than a slot.
const _: () = assert!(size_of::<Option<timed::TimedSlot<Payload>>>() <= 64);
const _: () = assert!(size_of::<Option<manual::ManualSlot<JobFence>>>() <= 24);

/// What the lock `state` protects.
pub(crate) struct Locked {
    pub(crate) jobs: Jobs,
    /// When the timer is to expire, or [`NEVER`]: not later than there is something to do. It is not set anew for what comes
    /// later than that, since that happens with each job, and it expires for nothing once in a long while. It is started with the
    /// lock held: when it expires, and was not started again until the lock is taken, this time has come.
    armed: u64,
    /// How many wait for jobs of a manual queue to complete.
    waiting: u32,
    /// Whether somebody was told that there is no room, or was given the last of it; who polls is to be told when there is again. Taken
    /// back with the lock held under which a job has completed.
    room_wanted: bool,
}

/// What completes the jobs of a queue, and in which context.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Timer,
    Worker,
    Manual,
}

impl QueueKind {
    /// Returns what the header's number stands for. Fails with `EINVAL`.
    pub(crate) fn from_user(kind: u32) -> Result<Self> {
        match kind {
            TIMER => Ok(Self::Timer),
            WORKER => Ok(Self::Worker),
            MANUAL => Ok(Self::Manual),
            _ => Err(EINVAL),
        }
    }

    /// Returns the header's number.
    pub(crate) fn to_user(self) -> u32 {
        match self {
            Self::Timer => TIMER,
            Self::Worker => WORKER,
            Self::Manual => MANUAL,
        }
    }

    /// Returns the kind of scheduler that decides about its jobs.
    pub(crate) fn scheduler_kind(self) -> SchedulerKind {
        match self {
            Self::Timer | Self::Worker => SchedulerKind::Timed,
            Self::Manual => SchedulerKind::Manual,
        }
    }
}

/// How a queue is to be.
pub(crate) struct Config {
    pub(crate) kind: QueueKind,
    pub(crate) name: Name,
    pub(crate) rules: QueuePolicy,
    pub(crate) seed: u64,
}

/// An execution context of a client, which is the data of the fences' timeline.
///
/// Pending jobs may refer to their queue, through their fences and what they wait for. The client refers to it too, until
/// [`Queue::close`] has ended all jobs and waited for the timer. What is dropped with the last reference
/// needs no more waiting, so that may be in any context.
#[pin_data(PinnedDrop)]
pub(crate) struct Queue {
    #[pin]
    timer: HrTimer<Self>,
    id: u32,
    kind: QueueKind,
    name: Name,
    context: u64,
    limits: Limits,
    waits: Arc<Budget>,
    events: Arc<Events>,
    counters: Counters,
    worker: Option<Arc<Worker>>,
    /// Held while the worker does work of a job, and while others end jobs that it might work on: when a fence has
    /// signalled, nothing is written any more.
    #[pin]
    engine: Mutex<()>,
    /// How many jobs are being prepared, but for those of the last [`Run`]; written with the client's `submitting` held.
    staged: Atomic<u64>,
    /// The last sequence number that there is room for, as far as is known; written with the client's `submitting` held.
    room_to: Atomic<u64>,
    /// Who waits for jobs to complete.
    #[pin]
    pub(crate) waiters: WaitQueue,
    #[pin]
    signalling: SpinLockIrq<()>,
    #[pin]
    pub(crate) state: SpinLockIrq<Locked>,
}

impl_hr_timer_owner! {
    impl HrTimerOwner for Queue { self.timer }
}

impl Queue {
    /// Creates a queue without jobs, whose fences are of `context`. Fails with `ENOMEM`.
    pub(crate) fn new(
        id: u32,
        context: TypedContext<Self>,
        config: Config,
        limits: Limits,
        waits: Arc<Budget>,
        events: Arc<Events>,
    ) -> Result<QueueRef> {
        let Config {
            kind,
            name,
            rules,
            seed,
        } = config;
        let history = KVVec::from_elem(
            JobRecord::default(),
            VFENCE_HISTORY as usize,
            GFP_KERNEL_ACCOUNT,
        )?;
        let locked = Locked {
            jobs: Scheduler::new(
                kind.scheduler_kind(),
                rules,
                seed,
                limits.max_jobs as usize,
                history,
            )?,
            armed: NEVER,
            waiting: 0,
            room_wanted: false,
        };
        let worker = match kind {
            QueueKind::Worker => Some(Worker::new()?),
            QueueKind::Timer | QueueKind::Manual => None,
        };
        let context_id = context.id();
        // Two for lockdep, to which they are the same lock otherwise.
        let state_class = match kind {
            QueueKind::Manual => (c"vfence_manual_state", static_lock_class!()),
            QueueKind::Timer | QueueKind::Worker => (c"vfence_state", static_lock_class!()),
        };
        let queue = try_pin_init!(Self {
            timer <- HrTimer::new(),
            id,
            kind,
            name,
            context: context_id,
            limits,
            waits,
            events,
            counters: Counters::new()?,
            worker,
            engine <- new_mutex!(()),
            staged: Atomic::new(0),
            room_to: Atomic::new(0),
            waiters <- new_wait_queue!("vfence_waiters"),
            signalling <- new_spinlock_irq!(()),
            state <- SpinLockIrq::new(locked, state_class.0, state_class.1),
        }? Error);
        Timeline::new(context, queue, GFP_KERNEL_ACCOUNT)
    }

    /// Has its worker, if it has one, work for it until [`Queue::close`]; to be called before there are jobs.
    pub(crate) fn employ_worker(queue: &QueueRef, device: &Arc<Device>) {
        if let Some(worker) = &queue.worker {
            worker.employ(queue.clone(), device.clone());
        }
    }

    /// Returns the id that user space knows it by.
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

    pub(crate) fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Returns for what its client's jobs may still wait.
    pub(crate) fn waits(&self) -> &Arc<Budget> {
        &self.waits
    }

    /// Maps the counters. Fails with `EINVAL`, `EACCES`.
    pub(crate) fn map(&self, vma: &VmaNew) -> Result {
        self.counters.map(vma)
    }

    /// Fills in what the header says about a queue.
    pub(crate) fn fill(&self, info: &mut vfence_queue_info) {
        info.kind = self.kind.to_user();
        info.context = self.context;
        for (to, from) in info.name.iter_mut().zip(self.name.as_bytes()) {
            *to = *from as c_char;
        }
        let _order = self.signalling();
        let state = &self.state.lock().jobs;
        let counts = state.totals();
        info.submitted = state.submitted();
        info.completed = state.completed();
        info.errors = counts.errors;
        info.timeouts = counts.timeouts;
        info.resets = counts.resets;
        info.timeout_ns = state.timeout().unwrap_or(0);
        info.faults = [0; 8];
        for (to, from) in info.faults.iter_mut().zip(counts.faults) {
            *to = from;
        }
        info.state = if state.stopped() {
            VFENCE_QUEUE_STOPPED
        } else {
            0
        };
    }

    /// Returns the sequence number of the job that was submitted last.
    pub(crate) fn submitted(&self) -> u64 {
        self.counters.submitted()
    }

    /// Returns the sequence number of the job that has completed last, fence and all.
    pub(crate) fn completed(&self) -> u64 {
        self.counters.completed()
    }

    /// Returns how many jobs are pending.
    pub(crate) fn pending(&self) -> usize {
        self.state.lock().jobs.pending()
    }

    /// Returns whether another job could be submitted. If not, those who poll are told when one can.
    pub(crate) fn has_room(&self) -> bool {
        let mut locked = self.state.lock();
        let room = locked.jobs.pending() < self.limits.max_jobs as usize;
        locked.room_wanted |= !room;
        room
    }

    /// Takes note that somebody waits for jobs to complete, or if not `begins`, that he does no longer.
    pub(crate) fn count_waiter(&self, begins: bool) {
        if self.kind != QueueKind::Manual {
            return;
        }
        let waiting = &mut self.state.lock().waiting;
        *waiting = if begins { *waiting + 1 } else { *waiting - 1 };
    }

    /// Makes room for more jobs. Fails with `EAGAIN` if there is enough for all that are allowed, `ENOMEM`.
    pub(crate) fn grow(&self) -> Result {
        let spare = Jobs::new_segment(self.kind.scheduler_kind())?;
        let refused = self.state.lock().jobs.add_segment(spare);
        refused.map_err(|_| EAGAIN)
    }

    /// Locks `signalling` if the queue needs that. With this lock and that of `state`, what counts as completed has signalled, too.
    fn signalling(&self) -> Option<SpinLockIrqGuard<'_, ()>> {
        (self.kind != QueueKind::Manual).then(|| self.signalling.lock())
    }

    /// Returns where a job stands. What has completed has signalled.
    pub(crate) fn job(&self, seqno: u64) -> JobState {
        let _order = self.signalling();
        self.state.lock().jobs.state(ktime_get(), seqno)
    }

    /// Calls `f` with what a job waits for, if that is pending and does. `f` runs under a spinlock.
    pub(crate) fn with_waits<R>(&self, seqno: u64, f: impl FnOnce(&Waits) -> R) -> Option<R> {
        let mut locked = self.state.lock();
        locked.jobs.timed_mut()?.data_mut(seqno)?.waits().map(f)
    }

    /// Calls `f` with the fence of a job, if that is pending. `f` runs under a spinlock.
    fn with_fence<R>(&self, seqno: u64, f: impl FnOnce(&mut JobFence) -> R) -> Option<R> {
        self.state.lock().jobs.fence_mut(seqno).map(f)
    }

    /// Publishes jobs that there is room for. It is not full, so each of them goes in.
    pub(crate) fn append<J: Submit>(queue: &QueueRef, mut jobs: impl Iterator<Item = J>) {
        let now = ktime_get();
        let mut left = 0;
        // Interrupts have to wait for some of the jobs, not for all of them.
        while left == 0 {
            let mut locked = queue.state.lock();
            let mut first = false;
            left = BATCH;
            for job in jobs.by_ref().take(BATCH) {
                left -= 1;
                if let Some((_, ends_first)) = queue.submit(&mut locked, now, job) {
                    first |= ends_first;
                }
            }
            queue.counters.show_submitted(locked.jobs.submitted());
            if first {
                queue.tell_start(&mut locked.jobs);
                Self::rearm(queue, &mut locked);
            }
        }
    }

    /// As [`Submit::submit`], and tells who traces.
    #[inline(always)]
    fn submit<J: Submit>(&self, locked: &mut Locked, now: u64, job: J) -> Option<(u64, bool)> {
        let (duration, in_fences) = (job.duration(), job.in_fences());
        let (seqno, first) = job.submit(locked, now)?;
        trace::job_submit(|| (self.context, seqno, self.id, duration, in_fences));
        Some((seqno, first))
    }

    /// Publishes a job that there is room for.
    #[inline(always)]
    pub(crate) fn append_one<J: Submit>(queue: &Self, job: J) {
        let now = ktime_get();
        let mut locked = queue.state.lock();
        if let Some((seqno, first)) = queue.submit(&mut locked, now, job) {
            queue.counters.show_submitted(seqno);
            if first {
                queue.tell_start(&mut locked.jobs);
                Self::rearm(queue, &mut locked);
            }
        }
    }

    /// Takes note that all in-fences of a job have signalled, the last one at the time `last`, as far as the clock has come by
    /// then. May be called in any context.
    pub(crate) fn ready(queue: &Self, seqno: u64, last: u64, error: i32) {
        let mut locked = queue.state.lock();
        // Jobs of manual queues have no in-fences.
        let Some(jobs) = locked.jobs.timed_mut() else {
            return;
        };
        if jobs.ready(last.min(ktime_get()), seqno, error) {
            queue.tell_start(&mut locked.jobs);
            Self::rearm(queue, &mut locked);
        }
    }

    /// Finds a fence for a job, its own while it is pending, then one that has signalled, and returns what `prepare` makes
    /// of it. A job that has none yet gets one only when that has been done, so if it fails, nothing has changed.
    ///
    /// Fails with `EINVAL` for a job that was not submitted, `ENODATA` for one that is forgotten, `ENOMEM`, and as
    /// `prepare` does, which may be called more than once.
    pub(crate) fn fence<R>(
        queue: &QueueRef,
        seqno: u64,
        mut prepare: impl FnMut(&Fence) -> Result<R>,
    ) -> Result<R> {
        loop {
            let late = match queue.job(seqno) {
                JobState::Unknown => return Err(EINVAL),
                JobState::Forgotten => return Err(ENODATA),
                JobState::Completed(record) => Some(record),
                JobState::Pending(_) | JobState::Running(_) => {
                    let own: Option<Option<ARef<Fence>>> = queue.with_fence(seqno, |fence| {
                        fence.as_ref().map(|fence| fence.fence().into())
                    });
                    match own {
                        Some(Some(fence)) => return prepare(&fence),
                        Some(None) => None,
                        // It has completed meanwhile.
                        None => continue,
                    }
                }
            };
            let fence = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?.init(seqno);
            let prepared = prepare(fence.fence())?;
            if let Some(record) = late {
                fence.complete(complete::result(record.error), record.end);
                return Ok(prepared);
            }
            let mut fence = Some(fence);
            queue.with_fence(seqno, |place| {
                if place.is_none() {
                    *place = fence.take();
                }
            });
            if fence.is_none() {
                return Ok(prepared);
            }
            // The job has completed meanwhile, or has got a fence. Nobody has seen this one.
        }
    }

    /// Refuses, with `EINVAL`, to signal what the header says cannot be signalled.
    pub(crate) fn can_signal(&self, seqno: u64) -> Result {
        if self.kind == QueueKind::Manual && seqno <= self.submitted() {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Has `plan` done to the jobs that are submitted from now on.
    ///
    /// Fails with `EINVAL` for a manual queue, or if interrupts are to be dropped, but nothing bounds the queue.
    pub(crate) fn set_fault_plan(&self, plan: FaultPlan, drops: bool) -> Result {
        let mut locked = self.state.lock();
        let jobs = locked.jobs.timed_mut().ok_or(EINVAL)?;
        if drops && jobs.timeout().is_none() {
            return Err(EINVAL);
        }
        jobs.set_fault_plan(plan);
        Ok(())
    }

    /// Sees to it that the timer expires when there is something to do next, or before.
    pub(crate) fn rearm(timer: &Self, locked: &mut Locked) {
        if let Some(time) = locked.jobs.next_event() {
            Self::rearm_by(timer, locked, time);
        }
    }

    fn rearm_by(timer: &Self, locked: &mut Locked, time: u64) {
        if time < locked.armed {
            locked.armed = time;
            timer.start_timer(time);
        }
    }

    /// Tells who traces that the head has started, once.
    fn tell_start(&self, state: &mut Jobs) {
        if let Some((seqno, start)) = state.timed_mut().and_then(TimedScheduler::take_start) {
            trace::job_start(|| (self.context, seqno, self.id, start));
        }
    }
}

impl DriverTimeline for Queue {
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
            // It is kept with the fence.
            return;
        }
        let mut locked = self.state.lock();
        let Some(jobs) = locked.jobs.timed_mut() else {
            return;
        };
        if jobs.set_deadline(ktime_get(), seqno, deadline) {
            Queue::rearm(self, &mut locked);
        }
    }
}

#[kernel::macros::kunit_tests(vfence_queue)]
mod tests {
    use super::*;

    #[test]
    fn machine_has_the_right_errnos() {
        assert_eq!(types::CANCELED, ECANCELED.to_errno());
        assert_eq!(types::TIMED_OUT, ETIMEDOUT.to_errno());
    }
}
