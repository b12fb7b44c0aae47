// SPDX-License-Identifier: GPL-2.0

//! Machines to test with, in memory of the host.

use crate::{
    faults::Injected,
    machine::{self, InFencePolicy, Job, Kind, Record, Rules, Slot, TimeoutPolicy},
    segments::{Segments, SEGMENT},
};

pub type Segment<P> = Box<[Option<Slot<P>>; SEGMENT]>;
pub type Directory<P> = Vec<Option<Segment<P>>>;
pub type Machine<P> = machine::Machine<P, Segment<P>, Directory<P>, Vec<Record>>;
pub type Ended<P> = machine::Ended<P, Segment<P>>;

/// How many jobs the machines remember.
pub const HISTORY: usize = 16;
/// How many jobs can be pending at least, when there is memory.
pub const MOST: usize = 200;

pub fn segment<P>() -> Segment<P> {
    Box::new([const { None }; SEGMENT])
}

/// Returns a machine without memory for jobs.
pub fn empty<P>(rules: Rules, seed: u64) -> Machine<P> {
    let len = Segments::<Slot<P>, Segment<P>, Directory<P>>::directory_len(MOST);
    let directory = (0..len).map(|_| None).collect();
    Machine::new(rules, seed, directory, vec![Record::default(); HISTORY])
}

/// Returns a machine with memory for [`SEGMENT`] jobs or so.
pub fn machine<P>(rules: Rules) -> Machine<P> {
    let mut machine = empty(rules, 0);
    assert!(machine.add(segment()).is_ok());
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

#[track_caller]
pub fn submit<P>(machine: &mut Machine<P>, now: u64, job: Job<P>) -> u64 {
    machine.submit(now, job).ok().expect("there is room")
}

#[track_caller]
pub fn assert_end(ended: Option<Ended<&'static str>>, name: &str, end: u64, error: i32) {
    let ended = ended.expect("no job has ended");
    assert_eq!(
        (ended.payload, ended.record.end, ended.record.error),
        (name, end, error)
    );
}
