// SPDX-License-Identifier: GPL-2.0

//! Machines to test with, in memory of the host.

use crate::sched::{
    fault_plan::InjectedFaults,
    manual::{self, ManualScheduler},
    ring::{RingMemory, SEGMENT_LEN},
    scheduler as machine,
    scheduler::JobSegment,
    timed::{TimedJob, TimedScheduler},
    types::{
        self, DurationRange, HasDeadline, InFencePolicy, InFenceState, JobData, JobRecord,
        QueuePolicy, SchedulerKind, TimeoutPolicy,
    },
};
use std::convert::Infallible;

/// The host's memory, of which there is enough.
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

/// A job's number, and by when it is wanted.
#[derive(Debug)]
pub struct Wanted {
    pub number: usize,
    pub deadline: u64,
}

impl Wanted {
    pub fn new(number: usize) -> Self {
        let deadline = u64::MAX;
        Self { number, deadline }
    }
}

impl HasDeadline for Wanted {
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

macro_rules! attach {
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

attach!(&'static str usize Wanted);

pub type Scheduler<P> = machine::Scheduler<P, Host, Vec<JobRecord>>;
pub type CompletedJob<P> = crate::sched::types::CompletedJob<P, JobSegment<P, Host>>;

/// Returns the scheduler of jobs that take time.
#[track_caller]
pub fn timed<P: JobData>(
    scheduler: &mut Scheduler<P>,
) -> &mut TimedScheduler<P, Host, Vec<JobRecord>> {
    scheduler.timed_mut().expect("its jobs take time")
}

/// Returns the scheduler of jobs that user space completes.
#[track_caller]
pub fn manual<P: JobData>(
    scheduler: &mut Scheduler<P>,
) -> &mut ManualScheduler<P::Fence, Host, Vec<JobRecord>> {
    scheduler
        .manual_mut()
        .expect("user space completes its jobs")
}

/// How many jobs the machines remember.
pub const HISTORY: usize = 16;
/// How many jobs can be pending at least, when there is memory.
pub const MOST: usize = 200;

/// Returns a machine without memory for jobs.
pub fn empty<P: JobData>(kind: SchedulerKind, policy: QueuePolicy, seed: u64) -> Scheduler<P> {
    let Ok(machine) = Scheduler::new(
        kind,
        policy,
        seed,
        MOST,
        vec![JobRecord::default(); HISTORY],
    );
    machine
}

/// Adds memory for [`SEGMENT_LEN`] jobs. Returns whether it was taken.
pub fn grow<P: JobData>(machine: &mut Scheduler<P>) -> bool {
    let kind = match machine {
        Scheduler::Timed(_) => SchedulerKind::Timed,
        Scheduler::Manual(_) => SchedulerKind::Manual,
    };
    let Ok(spare) = Scheduler::new_segment(kind);
    machine.add_segment(spare).is_ok()
}

/// Returns a machine with memory for [`SEGMENT_LEN`] jobs or so.
pub fn machine<P: JobData>(kind: SchedulerKind, policy: QueuePolicy) -> Scheduler<P> {
    let mut machine = empty(kind, policy, 0);
    assert!(grow(&mut machine));
    machine
}

/// Returns the policy of a queue with defaults but for the timeout.
pub fn policy(timeout: Option<u64>) -> QueuePolicy {
    QueuePolicy {
        timeout,
        on_in_fence_error: InFencePolicy::Propagate,
        on_timeout: TimeoutPolicy::Continue,
        boost_percent: 100,
    }
}

pub fn job<P>(data: P, duration: u64) -> TimedJob<P> {
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

pub fn waiting<P>(data: P, duration: u64) -> TimedJob<P> {
    TimedJob {
        in_fences: InFenceState {
            pending: true,
            error: 0,
        },
        ..job(data, duration)
    }
}

/// Returns a job that takes no time.
pub fn manual_job<P>(fence: P) -> manual::ManualJob<P> {
    manual::ManualJob {
        error: 0,
        event: false,
        fence,
    }
}

/// Submits a job to a machine of either kind: what takes no time gets what is of use there. Returns the data if there is no room.
pub fn try_submit<P>(machine: &mut Scheduler<P>, now: u64, job: TimedJob<P>) -> Result<u64, P>
where
    P: JobData<Fence = P> + HasDeadline,
{
    if let Some(timed) = machine.timed_mut() {
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
    let submitted = manual(machine).submit(now, job);
    submitted
        .map(|submitted| submitted.seqno)
        .map_err(|job| job.fence)
}

#[track_caller]
pub fn submit<P: JobData<Fence = P> + HasDeadline>(
    machine: &mut Scheduler<P>,
    now: u64,
    job: TimedJob<P>,
) -> u64 {
    try_submit(machine, now, job).ok().expect("there is room")
}

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
