// SPDX-License-Identifier: GPL-2.0

//! Operations of jobs: when they begin, and how they end a job.

use crate::fixtures::{assert_end, job, policy, scheduler, submit, timed, waiting, Scheduler};
use crate::sched::{
    timed::TimedJob,
    types::{InFenceState, JobState, SchedulerKind, TIMED_OUT},
};

fn with_operations(name: &'static str, duration: u64) -> TimedJob<&'static str> {
    TimedJob {
        operations: true,
        ..job(name, duration)
    }
}

fn timer() -> Scheduler<&'static str> {
    scheduler(SchedulerKind::Timed, policy(Some(100)))
}

#[test]
fn job_ends_when_its_operations_are_done() {
    let mut scheduler = timer();
    submit(&mut scheduler, 10, with_operations("a", 5));
    // `next_event()` reports the begin until `begin_operations()` has returned it.
    assert_eq!(scheduler.next_event(), Some(10));
    assert_eq!(timed(&mut scheduler).begin_operations(), Some(1));
    assert_eq!(scheduler.next_event(), Some(110));
    // Further calls return the same job.
    assert_eq!(timed(&mut scheduler).begin_operations(), Some(1));
    assert!(scheduler.pop_due(40).is_none());
    assert!(matches!(scheduler.state(40, 1), JobState::Running(_)));
    assert!(timed(&mut scheduler).operations_done(40, 1, 77));
    assert_eq!(scheduler.next_event(), Some(40));
    assert_eq!(timed(&mut scheduler).begin_operations(), None);
    let ended = scheduler.pop_due(41);
    assert_eq!(ended.as_ref().map(|ended| ended.record.result), Some(77));
    assert_end(ended, "a", 40, 0);
}

#[test]
fn job_with_operations_takes_at_least_its_duration() {
    let mut scheduler = timer();
    submit(&mut scheduler, 10, with_operations("a", 50));
    assert_eq!(timed(&mut scheduler).begin_operations(), Some(1));
    assert!(timed(&mut scheduler).operations_done(20, 1, 0));
    assert_eq!(scheduler.next_event(), Some(60));
    assert_end(scheduler.pop_due(60), "a", 60, 0);
}

#[test]
fn operations_begin_at_the_start_of_the_job() {
    let mut scheduler = timer();
    submit(&mut scheduler, 0, job("a", 20));
    submit(
        &mut scheduler,
        0,
        TimedJob {
            in_fences: InFenceState {
                pending: true,
                error: 0,
            },
            ..with_operations("b", 5)
        },
    );
    assert_eq!(timed(&mut scheduler).begin_operations(), None);
    assert!(!timed(&mut scheduler).operations_done(10, 1, 0));
    assert!(!timed(&mut scheduler).operations_done(10, 2, 0));
    assert_end(scheduler.pop_due(20), "a", 20, 0);
    assert_eq!(timed(&mut scheduler).begin_operations(), None);
    timed(&mut scheduler).ready(30, 2, 0);
    assert_eq!(scheduler.next_event(), Some(30));
    assert_eq!(timed(&mut scheduler).begin_operations(), Some(2));
}

#[test]
fn operations_that_exceed_the_timeout_time_out() {
    let mut scheduler = timer();
    submit(&mut scheduler, 0, with_operations("a", 5));
    submit(&mut scheduler, 0, with_operations("b", 5));
    assert_eq!(timed(&mut scheduler).begin_operations(), Some(1));
    assert_end(scheduler.pop_due(100), "a", 100, TIMED_OUT);
    // The late end of the first job's operations does not end those of the second.
    assert!(!timed(&mut scheduler).operations_done(101, 1, 5));
    assert_eq!(scheduler.next_event(), Some(100));
    assert_eq!(timed(&mut scheduler).begin_operations(), Some(2));
    assert!(timed(&mut scheduler).operations_done(102, 2, 6));
    let ended = scheduler.pop_due(105);
    assert_eq!(ended.as_ref().map(|ended| ended.record.result), Some(6));
    assert_end(ended, "b", 105, 0);
}

#[test]
fn operations_of_a_job_that_does_not_run_do_not_begin() {
    let mut scheduler = timer();
    submit(
        &mut scheduler,
        0,
        TimedJob {
            hang: true,
            ..with_operations("hangs", 5)
        },
    );
    submit(
        &mut scheduler,
        0,
        TimedJob {
            in_fences: InFenceState {
                pending: false,
                error: -5,
            },
            ..with_operations("fails", 5)
        },
    );
    submit(&mut scheduler, 0, with_operations("runs", 5));
    assert_eq!(timed(&mut scheduler).begin_operations(), None);
    assert_end(scheduler.pop_due(100), "hangs", 100, TIMED_OUT);
    assert_eq!(timed(&mut scheduler).begin_operations(), None);
    assert_end(scheduler.pop_due(100), "fails", 100, -5);
    assert_eq!(timed(&mut scheduler).begin_operations(), Some(3));
}

#[test]
fn result_belongs_to_one_job() {
    let mut scheduler = timer();
    submit(&mut scheduler, 0, with_operations("a", 5));
    submit(&mut scheduler, 0, waiting("b", 5));
    timed(&mut scheduler).begin_operations();
    timed(&mut scheduler).operations_done(4, 1, 9);
    assert_end(scheduler.pop_due(5), "a", 5, 0);
    timed(&mut scheduler).ready(6, 2, 0);
    let ended = scheduler.pop_due(11);
    assert_eq!(ended.as_ref().map(|ended| ended.record.result), Some(0));
    assert_end(ended, "b", 11, 0);
    let JobState::Completed(first) = scheduler.state(11, 1) else {
        panic!("it is remembered");
    };
    assert_eq!(first.result, 9);
}

#[test]
fn reset_ends_a_job_whose_operations_are_not_done() {
    let mut scheduler = timer();
    submit(&mut scheduler, 0, with_operations("a", 5));
    submit(&mut scheduler, 0, with_operations("b", 5));
    timed(&mut scheduler).begin_operations();
    assert_end(scheduler.reset(30), "a", 30, -125);
    assert_eq!(timed(&mut scheduler).begin_operations(), Some(2));
}
