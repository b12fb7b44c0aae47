// SPDX-License-Identifier: GPL-2.0

//! Machines to test with, in memory of the host.

use crate::{
    faults::Injected,
    machine::{
        self, Attached, Dated, InFencePolicy, Job, Kind, Record, Rules, Spare, TimeoutPolicy,
    },
    manual,
    segments::{Memory, SEGMENT},
};
use std::convert::Infallible;

/// The host's memory, of which there is enough.
pub struct Host;

impl Memory for Host {
    type Segment<T> = Box<[Option<T>; SEGMENT]>;
    type Directory<T> = Vec<Option<Self::Segment<T>>>;
    type Error = Infallible;

    fn segment<T>() -> Result<Self::Segment<T>, Infallible> {
        Ok(Box::new([const { None }; SEGMENT]))
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

impl Dated for Wanted {
    fn deadline(&self) -> u64 {
        self.deadline
    }
}

impl Dated for usize {
    fn deadline(&self) -> u64 {
        u64::MAX
    }
}

impl Dated for &'static str {
    fn deadline(&self) -> u64 {
        u64::MAX
    }
}

macro_rules! attach {
    ($($plain:ty)*) => {$(
        impl Attached for $plain {
            type Bare = Self;

            fn bare(&mut self) -> &mut Self {
                self
            }

            fn from_bare(bare: Self) -> Self {
                bare
            }
        }
    )*};
}

attach!(&'static str usize Wanted);

pub type Machine<P> = machine::Machine<P, Host, Vec<Record>>;
pub type Ended<P> = machine::Ended<P, Spare<P, Host>>;

/// How many jobs the machines remember.
pub const HISTORY: usize = 16;
/// How many jobs can be pending at least, when there is memory.
pub const MOST: usize = 200;

/// Returns a machine without memory for jobs.
pub fn empty<P: Attached>(rules: Rules, seed: u64) -> Machine<P> {
    let Ok(machine) = Machine::new(rules, seed, MOST, vec![Record::default(); HISTORY]);
    machine
}

/// Adds memory for [`SEGMENT`] jobs. Returns whether it was taken.
pub fn grow<P: Attached>(machine: &mut Machine<P>) -> bool {
    let kind = match machine {
        Machine::Schedule(_) => Kind::Timer,
        Machine::Manual(_) => Kind::Manual,
    };
    let Ok(spare) = Machine::spare(kind);
    machine.add(spare).is_ok()
}

/// Returns a machine with memory for [`SEGMENT`] jobs or so.
pub fn machine<P: Attached>(rules: Rules) -> Machine<P> {
    let mut machine = empty(rules, 0);
    assert!(grow(&mut machine));
    machine
}

/// Returns the rules of a queue that was made with nothing in particular.
pub fn rules(kind: Kind, timeout: Option<u64>) -> Rules {
    Rules {
        kind,
        timeout,
        in_fence: InFencePolicy::Propagate,
        after_timeout: TimeoutPolicy::Continue,
        boost: 100,
    }
}

pub fn job<P>(payload: P, duration: u64) -> Job<P> {
    Job {
        duration: (duration, 0),
        waits: false,
        in_error: 0,
        error: 0,
        hang: false,
        injected: Injected::default(),
        event: false,
        work: false,
        payload,
    }
}

pub fn waiting<P>(payload: P, duration: u64) -> Job<P> {
    Job {
        waits: true,
        ..job(payload, duration)
    }
}

/// Returns a job that takes no time.
pub fn manual_job<P>(payload: P) -> manual::Job<P> {
    manual::Job {
        error: 0,
        event: false,
        payload,
    }
}

/// Submits a job to a machine of either kind: what takes no time gets what is of use there. Returns the payload if there is no room.
pub fn try_submit<P>(machine: &mut Machine<P>, now: u64, job: Job<P>) -> Result<u64, P>
where
    P: Attached<Bare = P> + Dated,
{
    let Some(manual) = machine.manual() else {
        return machine.submit(now, job).map_err(|job| job.payload);
    };
    let job = manual::Job {
        error: job.error,
        event: job.event,
        payload: job.payload,
    };
    manual.submit(now, job).map_err(|job| job.payload)
}

#[track_caller]
pub fn submit<P: Attached<Bare = P> + Dated>(
    machine: &mut Machine<P>,
    now: u64,
    job: Job<P>,
) -> u64 {
    try_submit(machine, now, job).ok().expect("there is room")
}

#[track_caller]
pub fn assert_end(ended: Option<Ended<&'static str>>, name: &str, end: u64, error: i32) {
    let ended = ended.expect("no job has ended");
    assert_eq!(
        (ended.payload, ended.record.end, ended.record.error),
        (name, end, error)
    );
}
