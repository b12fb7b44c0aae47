// SPDX-License-Identifier: GPL-2.0

//! Deadlines: records of them, and the boost that they cause.

use crate::{
    fixtures::{assert_end, job, policy, scheduler, submit, timed, waiting, Scheduler},
    model::TIMED_OUT,
    sched::types::{JobState, QueuePolicy, SchedulerKind},
};

fn boosted(boost: u64) -> Scheduler<&'static str> {
    scheduler(
        SchedulerKind::Timed,
        QueuePolicy {
            boost_percent: boost,
            ..policy(Some(10_000))
        },
    )
}

fn deadline(scheduler: &Scheduler<&'static str>, seqno: u64) -> u64 {
    match scheduler.state(0, seqno) {
        JobState::Pending(record) | JobState::Running(record) | JobState::Completed(record) => {
            record.deadline
        }
        state => panic!("{state:?}"),
    }
}

#[test]
fn earliest_deadline_is_recorded() {
    let mut scheduler = boosted(100);
    submit(&mut scheduler, 1, job("a", 100));
    assert_eq!(deadline(&scheduler, 1), 0);
    timed(&mut scheduler).set_deadline(2, 1, 70);
    timed(&mut scheduler).set_deadline(3, 1, 80);
    assert_eq!(deadline(&scheduler, 1), 70);
    timed(&mut scheduler).set_deadline(4, 1, 60);
    assert_eq!(deadline(&scheduler, 1), 60);
    assert_end(scheduler.pop_due(101), "a", 101, 0);
    assert!(!timed(&mut scheduler).set_deadline(102, 1, 5));
    assert_eq!(deadline(&scheduler, 1), 60);
}

#[test]
fn record_shows_deadlines_of_the_first_and_last_time() {
    let mut scheduler = boosted(100);
    submit(&mut scheduler, 1, job("a", 100));
    submit(&mut scheduler, 1, job("b", 100));
    timed(&mut scheduler).set_deadline(2, 1, 0);
    timed(&mut scheduler).set_deadline(2, 2, u64::MAX);
    assert_eq!(deadline(&scheduler, 1), 1);
    assert_eq!(deadline(&scheduler, 2), u64::MAX - 1);
}

#[test]
fn boost_meets_the_deadline() {
    let mut scheduler = boosted(400);
    submit(&mut scheduler, 100, job("a", 400));
    assert!(timed(&mut scheduler).set_deadline(200, 1, 350));
    assert_eq!(scheduler.next_event(), Some(350));
    assert_end(scheduler.pop_due(350), "a", 350, 0);
}

#[test]
fn boost_is_at_most_that_of_the_policy() {
    let mut scheduler = boosted(400);
    submit(&mut scheduler, 100, job("a", 400));
    timed(&mut scheduler).set_deadline(300, 1, 310);
    // The rest of the job is 200 ns, which take 50 ns.
    assert_eq!(scheduler.next_event(), Some(350));
}

#[test]
fn deadline_after_the_end_changes_nothing() {
    let mut scheduler = boosted(400);
    submit(&mut scheduler, 100, job("a", 400));
    timed(&mut scheduler).set_deadline(200, 1, 501);
    assert_eq!(scheduler.next_event(), Some(500));
}

#[test]
fn second_deadline_counts_the_boost_of_the_first() {
    let mut scheduler = boosted(200);
    submit(&mut scheduler, 0, job("a", 400));
    // The whole job at double speed.
    timed(&mut scheduler).set_deadline(0, 1, 200);
    assert_eq!(scheduler.next_event(), Some(200));
    // The rest of the job already runs at the highest speed.
    timed(&mut scheduler).set_deadline(100, 1, 120);
    assert_eq!(scheduler.next_event(), Some(200));
    // Double speed, then the highest.
    let mut scheduler = boosted(400);
    submit(&mut scheduler, 0, job("a", 400));
    timed(&mut scheduler).set_deadline(0, 1, 200);
    timed(&mut scheduler).set_deadline(100, 1, 1);
    assert_eq!(scheduler.next_event(), Some(150));
}

#[test]
fn deadline_before_the_start_applies_from_the_start() {
    let mut scheduler = boosted(400);
    submit(&mut scheduler, 0, job("a", 100));
    submit(&mut scheduler, 0, job("b", 400));
    assert!(!timed(&mut scheduler).set_deadline(10, 2, 300));
    assert_end(scheduler.pop_due(100), "a", 100, 0);
    assert_eq!(scheduler.next_event(), Some(300));
    let mut scheduler = boosted(400);
    submit(&mut scheduler, 0, waiting("a", 400));
    assert!(timed(&mut scheduler).set_deadline(10, 1, 20));
    timed(&mut scheduler).ready(50, 1, 0);
    assert_eq!(scheduler.next_event(), Some(150));
}

#[test]
fn boost_can_end_a_job_before_its_timeout() {
    let slow = QueuePolicy {
        boost_percent: 200,
        ..policy(Some(300))
    };
    let mut one = scheduler(SchedulerKind::Timed, slow);
    submit(&mut one, 0, job("a", 400));
    assert_end(one.pop_due(1000), "a", 300, TIMED_OUT);
    let mut other = scheduler(SchedulerKind::Timed, slow);
    submit(&mut other, 0, job("a", 400));
    timed(&mut other).set_deadline(0, 1, 250);
    assert_end(other.pop_due(1000), "a", 250, 0);
}
