// SPDX-License-Identifier: GPL-2.0

//! Fixtures: schedulers whose segments are in host memory, and jobs to submit.

use crate::sched::{
    fault_plan::InjectedFaults,
    manual::{self, ManualScheduler},
    ring::{RingMemory, SEGMENT_LEN},
    scheduler::{self, JobSegment},
    timed::{TimedJob, TimedScheduler},
    types::{
        self, DurationRange, HasDeadline, InFencePolicy, InFenceState, JobData, JobRecord,
        QueuePolicy, SchedulerKind, TimeoutPolicy,
    },
};
use std::convert::Infallible;

/// Host memory. Allocations do not fail.
pub struct Host;

impl RingMemory for Host {
    type Segment<T> = Box<[Option<T>; SEGMENT_LEN]>;
    type Directory<T> = Vec<Option<Self::Segment<T>>>;
    type Error = Infallible;

    fn segment<T>() -> Result<Self::Segment<T>, Infallible> {
        Ok(Box::new([const { None }; SEGMENT_LEN]))
    }

    fn directory<T>(len: usize) -> Result<Self::Directory<T>, Infallible> {
        Ok((0..len).map(|_| None).collect())
    }
}

/// The data of a job: its number, and the deadline that a manual job keeps.
#[derive(Debug)]
pub struct Data {
    pub number: usize,
    pub deadline: u64,
}

impl Data {
    pub fn new(number: usize) -> Self {
        let deadline = u64::MAX;
        Self { number, deadline }
    }
}

impl HasDeadline for Data {
    fn deadline(&self) -> u64 {
        self.deadline
    }
}

impl HasDeadline for usize {
    fn deadline(&self) -> u64 {
        u64::MAX
    }
}

impl HasDeadline for &'static str {
    fn deadline(&self) -> u64 {
        u64::MAX
    }
}

/// Implements [`JobData`] for types that consist of the fence alone.
macro_rules! impl_job_data {
    ($($plain:ty)*) => {$(
        impl JobData for $plain {
            type Fence = Self;

            fn fence_mut(&mut self) -> &mut Self {
                self
            }

            fn from_fence(fence: Self) -> Self {
                fence
            }
        }
    )*};
}

impl_job_data!(&'static str usize Data);

pub type Scheduler<D> = scheduler::Scheduler<D, Host, Vec<JobRecord>>;
pub type CompletedJob<D> = crate::sched::types::CompletedJob<D, JobSegment<D, Host>>;

/// Returns the scheduler of a timed queue.
#[track_caller]
pub fn timed<D: JobData>(
    scheduler: &mut Scheduler<D>,
) -> &mut TimedScheduler<D, Host, Vec<JobRecord>> {
    scheduler.timed_mut().expect("the queue is timed")
}

/// Returns the scheduler of a manual queue.
#[track_caller]
pub fn manual<D: JobData>(
    scheduler: &mut Scheduler<D>,
) -> &mut ManualScheduler<D::Fence, Host, Vec<JobRecord>> {
    scheduler.manual_mut().expect("the queue is manual")
}

/// The length of the history.
pub const HISTORY: usize = 16;
/// The most pending jobs of a queue.
pub const MAX_JOBS: usize = 200;

/// Returns a scheduler without slots.
pub fn empty<D: JobData>(kind: SchedulerKind, policy: QueuePolicy, seed: u64) -> Scheduler<D> {
    let Ok(scheduler) = Scheduler::new(
        kind,
        policy,
        seed,
        MAX_JOBS,
        vec![JobRecord::default(); HISTORY],
    );
    scheduler
}

/// Adds slots for [`SEGMENT_LEN`] jobs. Returns false if the scheduler refuses them.
pub fn add_segment<D: JobData>(scheduler: &mut Scheduler<D>) -> bool {
    let kind = match scheduler {
        Scheduler::Timed(_) => SchedulerKind::Timed,
        Scheduler::Manual(_) => SchedulerKind::Manual,
    };
    let Ok(segment) = Scheduler::new_segment(kind);
    scheduler.add_segment(segment).is_ok()
}

/// Returns a scheduler with the slots of one segment.
pub fn scheduler<D: JobData>(kind: SchedulerKind, policy: QueuePolicy) -> Scheduler<D> {
    let mut scheduler = empty(kind, policy, 0);
    assert!(add_segment(&mut scheduler));
    scheduler
}

/// Returns the default policy with a timeout in ns.
pub fn policy(timeout: Option<u64>) -> QueuePolicy {
    QueuePolicy {
        timeout,
        on_in_fence_error: InFencePolicy::Propagate,
        on_timeout: TimeoutPolicy::Continue,
        boost_percent: 100,
    }
}

/// Returns a job with nothing but data and a duration in ns.
pub fn job<D>(data: D, duration: u64) -> TimedJob<D> {
    TimedJob {
        duration: DurationRange {
            min: duration,
            max: duration,
        },
        in_fences: InFenceState::default(),
        error: 0,
        hang: false,
        injected: InjectedFaults::default(),
        event: false,
        operations: false,
        data,
    }
}

/// Returns a job with a pending in-fence.
pub fn waiting<D>(data: D, duration: u64) -> TimedJob<D> {
    TimedJob {
        in_fences: InFenceState {
            pending: true,
            error: 0,
        },
        ..job(data, duration)
    }
}

/// Returns a job of a manual queue.
pub fn manual_job<D>(fence: D) -> manual::ManualJob<D> {
    manual::ManualJob {
        error: 0,
        event: false,
        fence,
    }
}

/// Submits a job to a scheduler of either kind; a manual job has no use for most fields. Returns
/// the data if there is no free slot.
pub fn try_submit<D>(scheduler: &mut Scheduler<D>, now: u64, job: TimedJob<D>) -> Result<u64, D>
where
    D: JobData<Fence = D> + HasDeadline,
{
    if let Some(timed) = scheduler.timed_mut() {
        return timed
            .submit(now, job)
            .map(|submitted| submitted.seqno)
            .map_err(|job| job.data);
    }
    let job = manual::ManualJob {
        error: job.error,
        event: job.event,
        fence: job.data,
    };
    let submitted = manual(scheduler).submit(now, job);
    submitted
        .map(|submitted| submitted.seqno)
        .map_err(|job| job.fence)
}

/// Submits a job as [`try_submit`] does, to a scheduler with a free slot.
#[track_caller]
pub fn submit<D: JobData<Fence = D> + HasDeadline>(
    scheduler: &mut Scheduler<D>,
    now: u64,
    job: TimedJob<D>,
) -> u64 {
    try_submit(scheduler, now, job)
        .ok()
        .expect("there is a free slot")
}

/// Ends all jobs and returns their durations.
pub fn runs(scheduler: &mut Scheduler<usize>) -> Vec<u64> {
    let mut runs = Vec::new();
    while let Some(ended) = scheduler.pop_due(u64::MAX - 1) {
        let JobRecord { start, end, .. } = ended.record;
        runs.push(end - start);
    }
    runs
}

/// Returns a job with a random duration from 100 to 200 ns.
pub fn random_job(index: usize) -> TimedJob<usize> {
    TimedJob {
        duration: DurationRange { min: 100, max: 200 },
        ..job(index, 0)
    }
}

/// Returns a timed scheduler without timeout, with slots for [`MAX_JOBS`] jobs.
pub fn seeded(seed: u64) -> Scheduler<usize> {
    let mut scheduler = empty(SchedulerKind::Timed, policy(None), seed);
    while scheduler.free_slots() < MAX_JOBS {
        assert!(add_segment(&mut scheduler));
    }
    scheduler
}

/// Checks the name, end and error of a completed job.
#[track_caller]
pub fn assert_end<S>(
    ended: Option<types::CompletedJob<&'static str, S>>,
    name: &str,
    end: u64,
    error: i32,
) {
    let ended = ended.expect("no job has ended");
    assert_eq!(
        (ended.data, ended.record.end, ended.record.error),
        (name, end, error)
    );
}
