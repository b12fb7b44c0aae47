// SPDX-License-Identifier: GPL-2.0

//! What is said of jobs: where they stand, and what is remembered.

use crate::{
    sched::{
        fault_plan::{FaultKind, InjectedFaults},
        timed::TimedJob,
        types::{JobRecord, JobState, SchedulerKind},
    },
    setup::{grow, job, machine, manual, policy, submit, timed, waiting, Scheduler, HISTORY},
};

fn timer() -> Scheduler<usize> {
    machine(SchedulerKind::Timed, policy(Some(10_000)))
}

#[test]
fn job_goes_from_pending_to_running_to_completed() {
    let mut machine = timer();
    submit(&mut machine, 5, waiting(0, 10));
    let pending = JobRecord {
        submitted: 5,
        ..JobRecord::default()
    };
    assert_eq!(machine.state(5, 1), JobState::Pending(pending));
    timed(&mut machine).ready(20, 1, 0);
    let running = JobRecord {
        start: 20,
        ..pending
    };
    assert_eq!(machine.state(19, 1), JobState::Pending(pending));
    assert_eq!(machine.state(20, 1), JobState::Running(running));
    machine.pop_due(30).unwrap();
    assert_eq!(
        machine.state(30, 1),
        JobState::Completed(JobRecord { end: 30, ..running })
    );
}

#[test]
fn job_that_is_not_the_head_is_pending() {
    let mut machine = timer();
    submit(&mut machine, 5, job(0, 10));
    submit(&mut machine, 5, job(1, 10));
    assert!(matches!(machine.state(14, 1), JobState::Running(_)));
    assert!(matches!(machine.state(14, 2), JobState::Pending(_)));
}

#[test]
fn job_of_a_manual_queue_does_not_run() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    submit(&mut machine, 5, job(0, 0));
    assert!(matches!(machine.state(10, 1), JobState::Pending(_)));
    assert!(machine.timed_mut().is_none());
    let ended = manual(&mut machine).signal(10, 1, 0).unwrap();
    assert_eq!((ended.record.start, ended.record.end), (0, 10));
}

#[test]
fn as_many_are_remembered_as_there_is_room_for() {
    let mut machine = timer();
    assert!(grow(&mut machine));
    let count = HISTORY as u64 + 3;
    for index in 0..count {
        submit(&mut machine, 0, job(index as usize, 10));
        machine.pop_due(1000).unwrap();
    }
    for seqno in 1..=3 {
        assert_eq!(machine.state(1000, seqno), JobState::Forgotten);
    }
    for seqno in 4..=count {
        let record = match machine.state(1000, seqno) {
            JobState::Completed(record) => record,
            state => panic!("{seqno}: {state:?}"),
        };
        assert_eq!(record.end, 10 * seqno);
    }
    assert_eq!(machine.state(1000, 0), JobState::Unknown);
    assert_eq!(machine.state(1000, count + 1), JobState::Unknown);
}

#[test]
fn start_is_told_once() {
    let mut machine = timer();
    submit(&mut machine, 5, job(0, 10));
    submit(&mut machine, 5, waiting(1, 10));
    assert_eq!(timed(&mut machine).take_start(), Some((1, 5)));
    assert_eq!(timed(&mut machine).take_start(), None);
    machine.pop_due(15).unwrap();
    assert_eq!(timed(&mut machine).take_start(), None);
    timed(&mut machine).ready(30, 2, 0);
    assert_eq!(timed(&mut machine).take_start(), Some((2, 30)));
    assert_eq!(timed(&mut machine).take_start(), None);
}

#[test]
fn payload_of_a_pending_job_can_be_changed() {
    let mut machine = timer();
    submit(&mut machine, 5, job(0, 10));
    *timed(&mut machine).data_mut(1).unwrap() = 77;
    assert_eq!(machine.pop_due(15).unwrap().data, 77);
    assert!(timed(&mut machine).data_mut(1).is_none());
    assert!(timed(&mut machine).data_mut(2).is_none());
}

#[test]
fn event_is_wanted_by_those_who_want_it() {
    let mut machine = timer();
    for event in [true, false] {
        let job = TimedJob { event, ..job(0, 1) };
        submit(&mut machine, 0, job);
    }
    assert!(machine.pop_due(10).unwrap().event);
    assert!(!machine.pop_due(10).unwrap().event);
}

#[test]
fn timeout_is_that_of_the_rules() {
    assert_eq!(timer().timeout(), Some(10_000));
}

#[test]
fn what_was_injected_is_told_from_the_beginning() {
    let mut machine = timer();
    let mut injected = InjectedFaults::default();
    injected.add(FaultKind::Fail, -5, 0);
    submit(&mut machine, 0, job(0, 10));
    let failing = TimedJob {
        injected,
        ..job(0, 10)
    };
    submit(&mut machine, 0, failing);
    let faults = |machine: &Scheduler<usize>, now| match machine.state(now, 2) {
        JobState::Pending(record) | JobState::Running(record) | JobState::Completed(record) => {
            record.faults
        }
        state => panic!("{state:?}"),
    };
    assert_eq!(faults(&machine, 0), FaultKind::Fail.bit());
    machine.pop_due(10).unwrap();
    assert_eq!(faults(&machine, 15), FaultKind::Fail.bit());
    machine.pop_due(20).unwrap();
    assert_eq!(faults(&machine, 20), FaultKind::Fail.bit());
}
