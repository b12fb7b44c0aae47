// SPDX-License-Identifier: GPL-2.0

//! Deadlines: they are recorded, and hurry the engine if it may.

use crate::{
    model::TIMED_OUT,
    sched::{
        speed::Execution,
        types::{JobState, QueuePolicy, SchedulerKind},
    },
    setup::{assert_end, job, machine, policy, submit, timed, waiting, Scheduler},
};
use proptest::prelude::*;

fn boosted(boost: u64) -> Scheduler<&'static str> {
    machine(
        SchedulerKind::Timed,
        QueuePolicy {
            boost_percent: boost,
            ..policy(Some(10_000))
        },
    )
}

fn deadline(machine: &Scheduler<&'static str>, seqno: u64) -> u64 {
    match machine.state(0, seqno) {
        JobState::Pending(record) | JobState::Running(record) | JobState::Completed(record) => {
            record.deadline
        }
        state => panic!("{state:?}"),
    }
}

#[test]
fn earliest_deadline_is_recorded() {
    let mut machine = boosted(100);
    submit(&mut machine, 1, job("a", 100));
    assert_eq!(deadline(&machine, 1), 0);
    timed(&mut machine).set_deadline(2, 1, 70);
    timed(&mut machine).set_deadline(3, 1, 80);
    assert_eq!(deadline(&machine, 1), 70);
    timed(&mut machine).set_deadline(4, 1, 60);
    assert_eq!(deadline(&machine, 1), 60);
    assert_end(machine.pop_due(101), "a", 101, 0);
    assert!(!timed(&mut machine).set_deadline(102, 1, 5));
    assert_eq!(deadline(&machine, 1), 60);
}

#[test]
fn deadline_zero_is_one_and_the_last_time_is_a_deadline() {
    let mut machine = boosted(100);
    submit(&mut machine, 1, job("a", 100));
    submit(&mut machine, 1, job("b", 100));
    timed(&mut machine).set_deadline(2, 1, 0);
    timed(&mut machine).set_deadline(2, 2, u64::MAX);
    assert_eq!(deadline(&machine, 1), 1);
    assert_eq!(deadline(&machine, 2), u64::MAX - 1);
}

#[test]
fn engine_hurries_as_much_as_it_takes() {
    let mut machine = boosted(400);
    submit(&mut machine, 100, job("a", 400));
    assert!(timed(&mut machine).set_deadline(200, 1, 350));
    assert_eq!(machine.next_event(), Some(350));
    assert_end(machine.pop_due(350), "a", 350, 0);
}

#[test]
fn engine_hurries_as_much_as_it_may() {
    let mut machine = boosted(400);
    submit(&mut machine, 100, job("a", 400));
    timed(&mut machine).set_deadline(300, 1, 310);
    // 200 are left, which take a quarter of that.
    assert_eq!(machine.next_event(), Some(350));
}

#[test]
fn later_deadline_than_the_end_changes_nothing() {
    let mut machine = boosted(400);
    submit(&mut machine, 100, job("a", 400));
    timed(&mut machine).set_deadline(200, 1, 501);
    assert_eq!(machine.next_event(), Some(500));
}

#[test]
fn second_deadline_counts_what_was_hurried_before() {
    let mut machine = boosted(200);
    submit(&mut machine, 0, job("a", 400));
    // Everything at double speed.
    timed(&mut machine).set_deadline(0, 1, 200);
    assert_eq!(machine.next_event(), Some(200));
    // Half of the time, half of the work: what is left takes no less.
    timed(&mut machine).set_deadline(100, 1, 120);
    assert_eq!(machine.next_event(), Some(200));
    // A little faster, then as fast as may be.
    let mut machine = boosted(400);
    submit(&mut machine, 0, job("a", 400));
    timed(&mut machine).set_deadline(0, 1, 200);
    timed(&mut machine).set_deadline(100, 1, 1);
    assert_eq!(machine.next_event(), Some(150));
}

#[test]
fn deadline_from_before_the_start_holds_from_the_start() {
    let mut machine = boosted(400);
    submit(&mut machine, 0, job("a", 100));
    submit(&mut machine, 0, job("b", 400));
    assert!(!timed(&mut machine).set_deadline(10, 2, 300));
    assert_end(machine.pop_due(100), "a", 100, 0);
    assert_eq!(machine.next_event(), Some(300));
    let mut machine = boosted(400);
    submit(&mut machine, 0, waiting("a", 400));
    assert!(timed(&mut machine).set_deadline(10, 1, 20));
    timed(&mut machine).ready(50, 1, 0);
    assert_eq!(machine.next_event(), Some(150));
}

#[test]
fn hurry_may_save_a_job_from_its_timeout() {
    let slow = QueuePolicy {
        boost_percent: 200,
        ..policy(Some(300))
    };
    let mut one = machine(SchedulerKind::Timed, slow);
    submit(&mut one, 0, job("a", 400));
    assert_end(one.pop_due(1000), "a", 300, TIMED_OUT);
    let mut other = machine(SchedulerKind::Timed, slow);
    submit(&mut other, 0, job("a", 400));
    timed(&mut other).set_deadline(0, 1, 250);
    assert_end(other.pop_due(1000), "a", 250, 0);
}

#[test]
fn hurry_rounds_up() {
    let mut execution = Execution::new(0, 10);
    execution.boost(0, 0, 300);
    assert_eq!(execution.end(), 4);
}

#[test]
fn hurry_comes_too_late_for_what_is_done() {
    let mut execution = Execution::new(0, 10);
    execution.boost(10, 0, 300);
    assert_eq!(execution.end(), 10);
    // Nor when the interrupt is late.
    execution.boost(15, 0, 300);
    assert_eq!(execution.end(), 10);
}

#[test]
fn what_is_left_counts_from_the_last_hurry() {
    let mut execution = Execution::new(0, 1000);
    execution.boost(200, 700, 400);
    assert_eq!(execution.end(), 700);
    // Half of the time since then, so half of the 800 that were left.
    execution.boost(450, 0, 400);
    assert_eq!(execution.end(), 550);
}

#[test]
fn what_is_left_of_many_seconds_is_exact() {
    const SECOND: u64 = 1_000_000_000;
    let mut execution = Execution::new(0, 20 * SECOND);
    execution.boost(5 * SECOND, 15 * SECOND, 400);
    assert_eq!(execution.end(), 15 * SECOND);
    execution.boost(10 * SECOND, 0, 400);
    assert_eq!(execution.end(), 11_875_000_000);
}

#[test]
fn long_durations_do_not_overflow() {
    let mut execution = Execution::new(0, u64::MAX / 2);
    execution.boost(0, 0, 400);
    let quarter = u64::MAX / 8;
    assert!(execution.end() >= quarter && execution.end() < quarter + quarter / 8);
    let mut execution = Execution::new(u64::MAX - 5, 100);
    execution.boost(0, 0, 400);
    assert!(execution.end() >= u64::MAX - 5);
}

proptest! {
    /// However long it takes and however often it is hurried: never slower, never faster than it may.
    #[test]
    fn hurry_makes_it_no_later(
        start in any::<u64>(),
        duration in any::<u64>(),
        hurries in prop::collection::vec((any::<u64>(), any::<u64>(), 100..10_000u64), 1..6),
    ) {
        let mut execution = Execution::new(start, duration);
        for (now, deadline, boost) in hurries {
            let before = execution.end();
            execution.boost(now, deadline, boost);
            prop_assert!(execution.end() <= before);
            prop_assert!(execution.end() >= start);
            prop_assert!(execution.end() == before || execution.end() >= deadline);
        }
    }
}
