// SPDX-License-Identifier: GPL-2.0

//! The execution of a job, and boosts of it.

use crate::sched::speed::Execution;
use proptest::prelude::*;

#[test]
fn boost_rounds_up() {
    let mut execution = Execution::new(0, 10);
    execution.boost(0, 0, 300);
    assert_eq!(execution.end(), 4);
}

#[test]
fn boost_does_not_change_an_end_in_the_past() {
    let mut execution = Execution::new(0, 10);
    execution.boost(10, 0, 300);
    assert_eq!(execution.end(), 10);
    // The interrupt is late.
    execution.boost(15, 0, 300);
    assert_eq!(execution.end(), 10);
}

#[test]
fn rest_of_the_job_counts_from_the_last_boost() {
    let mut execution = Execution::new(0, 1000);
    execution.boost(200, 700, 400);
    assert_eq!(execution.end(), 700);
    // Half of the remaining 800 ns are left.
    execution.boost(450, 0, 400);
    assert_eq!(execution.end(), 550);
}

#[test]
fn boost_is_exact_for_many_seconds() {
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
    /// A boost ends the job neither later than before, nor before its deadline.
    #[test]
    fn boost_never_delays_the_end(
        start in any::<u64>(),
        duration in any::<u64>(),
        boosts in prop::collection::vec((any::<u64>(), any::<u64>(), 100..10_000u64), 1..6),
    ) {
        let mut execution = Execution::new(start, duration);
        for (now, deadline, percent) in boosts {
            let before = execution.end();
            execution.boost(now, deadline, percent);
            prop_assert!(execution.end() <= before);
            prop_assert!(execution.end() >= start);
            prop_assert!(execution.end() == before || execution.end() >= deadline);
        }
    }
}
