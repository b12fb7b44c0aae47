// SPDX-License-Identifier: GPL-2.0

//! The states and records of jobs.

use crate::{
    fixtures::{
        add_segment, job, manual, policy, scheduler, submit, timed, waiting, Scheduler, HISTORY,
    },
    sched::{
        fault_plan::{FaultKind, InjectedFaults},
        timed::TimedJob,
        types::{JobRecord, JobState, SchedulerKind},
    },
};

fn timer() -> Scheduler<usize> {
    scheduler(SchedulerKind::Timed, policy(Some(10_000)))
}

#[test]
fn job_goes_from_pending_to_running_to_completed() {
    let mut scheduler = timer();
    submit(&mut scheduler, 5, waiting(0, 10));
    let pending = JobRecord {
        submitted: 5,
        ..JobRecord::default()
    };
    assert_eq!(scheduler.state(5, 1), JobState::Pending(pending));
    timed(&mut scheduler).ready(20, 1, 0);
    let running = JobRecord {
        start: 20,
        ..pending
    };
    assert_eq!(scheduler.state(19, 1), JobState::Pending(pending));
    assert_eq!(scheduler.state(20, 1), JobState::Running(running));
    scheduler.pop_due(30).unwrap();
    assert_eq!(
        scheduler.state(30, 1),
        JobState::Completed(JobRecord { end: 30, ..running })
    );
}

#[test]
fn job_that_is_not_the_head_is_pending() {
    let mut scheduler = timer();
    submit(&mut scheduler, 5, job(0, 10));
    submit(&mut scheduler, 5, job(1, 10));
    assert!(matches!(scheduler.state(14, 1), JobState::Running(_)));
    assert!(matches!(scheduler.state(14, 2), JobState::Pending(_)));
}

#[test]
fn job_of_a_manual_queue_does_not_run() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(None));
    submit(&mut scheduler, 5, job(0, 0));
    assert!(matches!(scheduler.state(10, 1), JobState::Pending(_)));
    assert!(scheduler.timed_mut().is_none());
    let ended = manual(&mut scheduler).signal(10, 1, 0).unwrap();
    assert_eq!((ended.record.start, ended.record.end), (0, 10));
}

#[test]
fn history_keeps_as_many_records_as_its_length() {
    let mut scheduler = timer();
    assert!(add_segment(&mut scheduler));
    let count = HISTORY as u64 + 3;
    for index in 0..count {
        submit(&mut scheduler, 0, job(index as usize, 10));
        scheduler.pop_due(1000).unwrap();
    }
    for seqno in 1..=3 {
        assert_eq!(scheduler.state(1000, seqno), JobState::Forgotten);
    }
    for seqno in 4..=count {
        let record = match scheduler.state(1000, seqno) {
            JobState::Completed(record) => record,
            state => panic!("{seqno}: {state:?}"),
        };
        assert_eq!(record.end, 10 * seqno);
    }
    assert_eq!(scheduler.state(1000, 0), JobState::Unknown);
    assert_eq!(scheduler.state(1000, count + 1), JobState::Unknown);
}

#[test]
fn take_start_returns_each_start_once() {
    let mut scheduler = timer();
    submit(&mut scheduler, 5, job(0, 10));
    submit(&mut scheduler, 5, waiting(1, 10));
    assert_eq!(timed(&mut scheduler).take_start(), Some((1, 5)));
    assert_eq!(timed(&mut scheduler).take_start(), None);
    scheduler.pop_due(15).unwrap();
    assert_eq!(timed(&mut scheduler).take_start(), None);
    timed(&mut scheduler).ready(30, 2, 0);
    assert_eq!(timed(&mut scheduler).take_start(), Some((2, 30)));
    assert_eq!(timed(&mut scheduler).take_start(), None);
}

#[test]
fn data_of_a_pending_job_can_be_changed() {
    let mut scheduler = timer();
    submit(&mut scheduler, 5, job(0, 10));
    *timed(&mut scheduler).data_mut(1).unwrap() = 77;
    assert_eq!(scheduler.pop_due(15).unwrap().data, 77);
    assert!(timed(&mut scheduler).data_mut(1).is_none());
    assert!(timed(&mut scheduler).data_mut(2).is_none());
}

#[test]
fn completed_job_has_an_event_if_requested() {
    let mut scheduler = timer();
    for event in [true, false] {
        let job = TimedJob { event, ..job(0, 1) };
        submit(&mut scheduler, 0, job);
    }
    assert!(scheduler.pop_due(10).unwrap().event);
    assert!(!scheduler.pop_due(10).unwrap().event);
}

#[test]
fn timeout_is_that_of_the_policy() {
    assert_eq!(timer().timeout(), Some(10_000));
}

#[test]
fn record_has_the_injected_faults_in_all_states() {
    let mut scheduler = timer();
    let mut injected = InjectedFaults::default();
    injected.add(FaultKind::Fail, -5, 0);
    submit(&mut scheduler, 0, job(0, 10));
    let failing = TimedJob {
        injected,
        ..job(0, 10)
    };
    submit(&mut scheduler, 0, failing);
    let faults = |scheduler: &Scheduler<usize>, now| match scheduler.state(now, 2) {
        JobState::Pending(record) | JobState::Running(record) | JobState::Completed(record) => {
            record.faults
        }
        state => panic!("{state:?}"),
    };
    assert_eq!(faults(&scheduler, 0), FaultKind::Fail.bit());
    scheduler.pop_due(10).unwrap();
    assert_eq!(faults(&scheduler, 15), FaultKind::Fail.bit());
    scheduler.pop_due(20).unwrap();
    assert_eq!(faults(&scheduler, 20), FaultKind::Fail.bit());
}
