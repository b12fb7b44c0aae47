// SPDX-License-Identifier: GPL-2.0

//! Work: what is done while a job runs, and takes as long as it takes.

use crate::sched::{
    timed::TimedJob,
    types::{InFenceState, JobState, SchedulerKind, TIMED_OUT},
};
use crate::setup::{assert_end, job, machine, policy, submit, timed, waiting, Scheduler};

fn working(name: &'static str, duration: u64) -> TimedJob<&'static str> {
    TimedJob {
        operations: true,
        ..job(name, duration)
    }
}

fn timer() -> Scheduler<&'static str> {
    machine(SchedulerKind::Timed, policy(Some(100)))
}

#[test]
fn job_ends_when_its_work_is_done() {
    let mut machine = timer();
    submit(&mut machine, 10, working("a", 5));
    // Somebody has to begin at once, and is asked once.
    assert_eq!(machine.next_event(), Some(10));
    assert_eq!(timed(&mut machine).begin_operations(), Some(1));
    assert_eq!(machine.next_event(), Some(110));
    // And may ask as often as wanted.
    assert_eq!(timed(&mut machine).begin_operations(), Some(1));
    assert!(machine.pop_due(40).is_none());
    assert!(matches!(machine.state(40, 1), JobState::Running(_)));
    assert!(timed(&mut machine).operations_done(40, 1, 77));
    assert_eq!(machine.next_event(), Some(40));
    assert_eq!(timed(&mut machine).begin_operations(), None);
    let ended = machine.pop_due(41);
    assert_eq!(ended.as_ref().map(|ended| ended.record.result), Some(77));
    assert_end(ended, "a", 40, 0);
}

#[test]
fn job_takes_its_duration_at_least() {
    let mut machine = timer();
    submit(&mut machine, 10, working("a", 50));
    assert_eq!(timed(&mut machine).begin_operations(), Some(1));
    assert!(timed(&mut machine).operations_done(20, 1, 0));
    assert_eq!(machine.next_event(), Some(60));
    assert_end(machine.pop_due(60), "a", 60, 0);
}

#[test]
fn work_begins_when_the_job_does() {
    let mut machine = timer();
    submit(&mut machine, 0, job("a", 20));
    submit(
        &mut machine,
        0,
        TimedJob {
            in_fences: InFenceState {
                pending: true,
                error: 0,
            },
            ..working("b", 5)
        },
    );
    assert_eq!(timed(&mut machine).begin_operations(), None);
    assert!(!timed(&mut machine).operations_done(10, 1, 0));
    assert!(!timed(&mut machine).operations_done(10, 2, 0));
    assert_end(machine.pop_due(20), "a", 20, 0);
    assert_eq!(timed(&mut machine).begin_operations(), None);
    timed(&mut machine).ready(30, 2, 0);
    assert_eq!(machine.next_event(), Some(30));
    assert_eq!(timed(&mut machine).begin_operations(), Some(2));
}

#[test]
fn work_that_takes_too_long_times_out() {
    let mut machine = timer();
    submit(&mut machine, 0, working("a", 5));
    submit(&mut machine, 0, working("b", 5));
    assert_eq!(timed(&mut machine).begin_operations(), Some(1));
    assert_end(machine.pop_due(100), "a", 100, TIMED_OUT);
    // What is told of it afterwards is not of the next one.
    assert!(!timed(&mut machine).operations_done(101, 1, 5));
    assert_eq!(machine.next_event(), Some(100));
    assert_eq!(timed(&mut machine).begin_operations(), Some(2));
    assert!(timed(&mut machine).operations_done(102, 2, 6));
    let ended = machine.pop_due(105);
    assert_eq!(ended.as_ref().map(|ended| ended.record.result), Some(6));
    assert_end(ended, "b", 105, 0);
}

#[test]
fn work_is_not_done_of_jobs_that_do_not_run() {
    let mut machine = timer();
    submit(
        &mut machine,
        0,
        TimedJob {
            hang: true,
            ..working("hangs", 5)
        },
    );
    submit(
        &mut machine,
        0,
        TimedJob {
            in_fences: InFenceState {
                pending: false,
                error: -5,
            },
            ..working("fails", 5)
        },
    );
    submit(&mut machine, 0, working("runs", 5));
    assert_eq!(timed(&mut machine).begin_operations(), None);
    assert_end(machine.pop_due(100), "hangs", 100, TIMED_OUT);
    assert_eq!(timed(&mut machine).begin_operations(), None);
    assert_end(machine.pop_due(100), "fails", 100, -5);
    assert_eq!(timed(&mut machine).begin_operations(), Some(3));
}

#[test]
fn result_is_of_its_job_alone() {
    let mut machine = timer();
    submit(&mut machine, 0, working("a", 5));
    submit(&mut machine, 0, waiting("b", 5));
    timed(&mut machine).begin_operations();
    timed(&mut machine).operations_done(4, 1, 9);
    assert_end(machine.pop_due(5), "a", 5, 0);
    timed(&mut machine).ready(6, 2, 0);
    let ended = machine.pop_due(11);
    assert_eq!(ended.as_ref().map(|ended| ended.record.result), Some(0));
    assert_end(ended, "b", 11, 0);
    let JobState::Completed(first) = machine.state(11, 1) else {
        panic!("it is remembered");
    };
    assert_eq!(first.result, 9);
}

#[test]
fn reset_ends_work_that_is_not_done() {
    let mut machine = timer();
    submit(&mut machine, 0, working("a", 5));
    submit(&mut machine, 0, working("b", 5));
    timed(&mut machine).begin_operations();
    assert_end(machine.reset(30), "a", 30, -125);
    assert_eq!(timed(&mut machine).begin_operations(), Some(2));
}
