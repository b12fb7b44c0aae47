// SPDX-License-Identifier: GPL-2.0

//! The time for which the jobs of a queue have run.

use crate::{
    fixtures::{assert_end, job, manual, policy, scheduler, submit, timed, waiting, Scheduler},
    model::{CANCELED, TIMED_OUT},
    sched::{fault_plan::FaultKind, timed::TimedJob, types::SchedulerKind},
};

fn timer() -> Scheduler<&'static str> {
    scheduler(SchedulerKind::Timed, policy(Some(1000)))
}

#[test]
fn running_job_counts_up_to_now() {
    let mut scheduler = timer();
    assert_eq!(scheduler.busy(100), 0);
    submit(&mut scheduler, 100, job("a", 10));
    submit(&mut scheduler, 100, job("b", 20));
    assert_eq!(scheduler.busy(100), 0);
    assert_eq!(scheduler.busy(104), 4);
    // The interrupt is late: the next job has not begun to run as far as the scheduler knows.
    assert_eq!(scheduler.busy(115), 10);
    assert_end(scheduler.pop_due(115), "a", 110, 0);
    assert_eq!(scheduler.busy(115), 15);
    assert_end(scheduler.pop_due(500), "b", 130, 0);
    assert_eq!(scheduler.busy(500), 30);
}

#[test]
fn waiting_and_idling_do_not_count() {
    let mut scheduler = timer();
    submit(&mut scheduler, 0, waiting("a", 10));
    assert_eq!(scheduler.busy(50), 0);
    timed(&mut scheduler).ready(60, 1, 0);
    assert_eq!(scheduler.busy(65), 5);
    assert_end(scheduler.pop_due(100), "a", 70, 0);
    submit(&mut scheduler, 200, job("b", 10));
    assert_end(scheduler.pop_due(300), "b", 210, 0);
    assert_eq!(scheduler.busy(300), 20);
}

#[test]
fn plain_jobs_count_alike() {
    let mut scheduler = timer();
    submit(&mut scheduler, 100, job("a", 10));
    assert!(timed(&mut scheduler).pop_plain(200, |_| true).is_some());
    assert_eq!(scheduler.busy(200), 10);
}

#[test]
fn job_that_hangs_is_busy_until_its_end() {
    let mut scheduler = timer();
    let hangs = |name| TimedJob {
        hang: true,
        ..job(name, 0)
    };
    submit(&mut scheduler, 0, hangs("a"));
    assert_eq!(scheduler.busy(500), 500);
    assert_eq!(scheduler.busy(2000), 1000);
    assert_end(scheduler.pop_due(2000), "a", 1000, TIMED_OUT);
    submit(&mut scheduler, 2000, hangs("b"));
    assert_end(scheduler.reset(2300), "b", 2300, CANCELED);
    assert_eq!(scheduler.busy(3000), 1300);
}

#[test]
fn job_that_does_not_run_does_not_count() {
    let mut scheduler = timer();
    submit(&mut scheduler, 0, waiting("fails", 500));
    timed(&mut scheduler).ready(20, 1, -5);
    assert_end(scheduler.pop_due(20), "fails", 20, -5);
    submit(&mut scheduler, 20, waiting("waits", 500));
    assert_end(scheduler.pop_due(2000), "waits", 1020, TIMED_OUT);
    assert_eq!(scheduler.busy(2000), 0);
}

#[test]
fn dropped_interrupt_does_not_count() {
    let mut scheduler = timer();
    let mut dropped = job("a", 10);
    dropped.injected.add(FaultKind::DropInterrupt, 0, 0);
    submit(&mut scheduler, 0, dropped);
    assert_eq!(scheduler.busy(900), 10);
    assert_end(scheduler.pop_due(1000), "a", 10, 0);
    assert_eq!(scheduler.busy(1000), 10);
}

#[test]
fn job_counts_until_its_operations_are_done() {
    let mut scheduler = timer();
    let operates = TimedJob {
        operations: true,
        ..job("a", 10)
    };
    submit(&mut scheduler, 0, operates);
    timed(&mut scheduler).begin_operations();
    assert_eq!(scheduler.busy(40), 40);
    timed(&mut scheduler).operations_done(50, 1, 0);
    assert_eq!(scheduler.busy(60), 50);
    assert_end(scheduler.pop_due(60), "a", 50, 0);
    assert_eq!(scheduler.busy(60), 50);
}

#[test]
fn jobs_of_a_manual_queue_do_not_run() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(None));
    submit(&mut scheduler, 0, job("a", 0));
    assert_eq!(scheduler.busy(50), 0);
    assert_end(manual(&mut scheduler).signal(60, 1, 0), "a", 60, 0);
    assert_eq!(scheduler.busy(60), 0);
}
