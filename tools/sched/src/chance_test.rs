// SPDX-License-Identifier: GPL-2.0

//! Seeds, and what is drawn from them: durations and faults.

use crate::{
    sched::{
        fault_plan::{FaultKind, FaultPlan, FaultRule, FaultTrigger, InjectedFaults},
        random::Random,
        timed::TimedJob,
        types::{DurationRange, JobRecord, SchedulerKind},
    },
    setup::{empty, grow, job, manual, policy, submit, timed, Scheduler, MOST},
};

fn fault(kind: FaultKind, when: FaultTrigger) -> FaultRule {
    FaultRule {
        kind,
        trigger: when,
        error: if kind == FaultKind::Fail { -5 } else { 0 },
        delay: if kind == FaultKind::Delay { 7 } else { 0 },
        remaining: u64::MAX,
        since_last: 0,
    }
}

fn plan(seed: u64, faults: &[FaultRule]) -> FaultPlan {
    let mut plan = FaultPlan::new(seed);
    for fault in faults {
        assert!(plan.add(*fault));
    }
    plan
}

/// Returns which of the first `count` jobs have a fault.
fn hits(plan: &mut FaultPlan, count: usize) -> Vec<usize> {
    (1..=count).filter(|_| plan.next_job().kinds != 0).collect()
}

#[test]
fn numbers_are_those_of_the_paper() {
    // Computed from the definition of SplitMix64 with seed 1234567.
    let mut random = Random::new(1234567);
    let numbers: Vec<u64> = (0..3).map(|_| random.next()).collect();
    assert_eq!(
        numbers,
        [
            6457827717110365317,
            3203168211198807973,
            9817491932198370423
        ]
    );
}

#[test]
fn numbers_are_within_bounds_and_reach_them() {
    let mut random = Random::new(1);
    let numbers: Vec<u64> = (0..1000).map(|_| random.between(10, 13)).collect();
    for number in 10..=13 {
        let count = numbers.iter().filter(|n| **n == number).count();
        assert!((150..350).contains(&count), "{number}: {count}");
    }
    assert!(numbers.iter().all(|n| (10..=13).contains(n)));
    assert_eq!(random.between(5, 5), 5);
}

#[test]
fn all_numbers_may_be_drawn_from() {
    assert_eq!(Random::new(3).between(0, u64::MAX), Random::new(3).next());
    let mut random = Random::new(3);
    assert!((0..100).any(|_| random.between(0, u64::MAX) > u64::MAX / 2));
}

/// Ends everything, and returns how long the jobs have run.
fn runs(machine: &mut Scheduler<usize>) -> Vec<u64> {
    let mut runs = Vec::new();
    while let Some(ended) = machine.pop_due(u64::MAX - 1) {
        let JobRecord { start, end, .. } = ended.record;
        runs.push(end - start);
    }
    runs
}

fn random_job(index: usize) -> TimedJob<usize> {
    TimedJob {
        duration: DurationRange { min: 100, max: 200 },
        ..job(index, 0)
    }
}

fn seeded(seed: u64) -> Scheduler<usize> {
    let mut machine = empty(SchedulerKind::Timed, policy(None), seed);
    while machine.free_slots() < MOST {
        assert!(grow(&mut machine));
    }
    machine
}

#[test]
fn seed_decides_the_durations() {
    let draw = |seed| {
        let mut machine = seeded(seed);
        for index in 0..MOST {
            submit(&mut machine, 1, random_job(index));
        }
        runs(&mut machine)
    };
    let runs = draw(1);
    assert!(runs.iter().all(|run| (100..=200).contains(run)));
    assert!(runs.iter().any(|run| *run != runs[0]));
    assert_eq!(runs, draw(1));
    assert_ne!(runs, draw(2));
}

#[test]
fn fixed_durations_and_faults_draw_nothing_from_the_durations() {
    let mut plain = seeded(1);
    let mut other = seeded(1);
    timed(&mut other).set_fault_plan(plan(
        1,
        &[fault(FaultKind::Fail, FaultTrigger::Probability(500_000))],
    ));
    for index in 0..50 {
        submit(&mut plain, 1, random_job(index));
        submit(&mut other, 1, job(0, 150));
        submit(&mut other, 1, random_job(index));
    }
    let other: Vec<u64> = runs(&mut other).into_iter().skip(1).step_by(2).collect();
    assert_eq!(runs(&mut plain), other);
}

#[test]
fn every_so_manyth_job_is_hit() {
    let mut plan = plan(0, &[fault(FaultKind::Hang, FaultTrigger::Every(3))]);
    assert_eq!(hits(&mut plan, 10), [3, 6, 9]);
    let mut plan = self::plan(0, &[fault(FaultKind::Hang, FaultTrigger::Every(1))]);
    assert_eq!(hits(&mut plan, 3), [1, 2, 3]);
}

#[test]
fn limit_ends_it() {
    for when in [FaultTrigger::Every(2), FaultTrigger::Probability(1_000_000)] {
        let limited = FaultRule {
            remaining: 3,
            ..fault(FaultKind::Hang, when)
        };
        assert_eq!(hits(&mut plan(0, &[limited]), 100).len(), 3);
    }
}

#[test]
fn probability_is_one_in_so_many() {
    let hits_of = |seed, millionths| {
        let fault = fault(FaultKind::Hang, FaultTrigger::Probability(millionths));
        hits(&mut plan(seed, &[fault]), 10_000)
    };
    let count = hits_of(1, 250_000).len();
    assert!((2_300..2_700).contains(&count), "{count}");
    assert_eq!(hits_of(1, 1_000_000).len(), 10_000);
    assert_eq!(hits_of(1, 250_000), hits_of(1, 250_000));
    assert_ne!(hits_of(1, 250_000), hits_of(2, 250_000));
}

#[test]
fn probability_counts_from_zero() {
    // The first number that is drawn, of the 1000000 there are.
    let drawn = Random::new(8).between(0, 999_999) as u32;
    for (millionths, hit) in [(drawn, false), (drawn + 1, true)] {
        let fault = fault(FaultKind::Hang, FaultTrigger::Probability(millionths));
        assert_eq!(!hits(&mut plan(8, &[fault]), 1).is_empty(), hit);
    }
}

#[test]
fn delays_add_up_to_the_longest_at_most() {
    let delay = |delay| FaultRule {
        delay,
        ..fault(FaultKind::Delay, FaultTrigger::Every(1))
    };
    let mut plan = plan(0, &[delay(u64::MAX - 1), delay(5)]);
    assert_eq!(plan.next_job().delay, u64::MAX);
}

#[test]
fn faults_of_a_plan_add_up() {
    let mut plan = plan(
        0,
        &[
            fault(FaultKind::Fail, FaultTrigger::Every(1)),
            FaultRule {
                error: -7,
                ..fault(FaultKind::Fail, FaultTrigger::Every(1))
            },
            fault(FaultKind::Delay, FaultTrigger::Every(1)),
            fault(FaultKind::Delay, FaultTrigger::Every(2)),
        ],
    );
    let both = FaultKind::Fail.bit() | FaultKind::Delay.bit();
    let expect = |delay| InjectedFaults {
        kinds: both,
        error: -5,
        delay,
    };
    assert_eq!(plan.next_job(), expect(7));
    assert_eq!(plan.next_job(), expect(14));
}

#[test]
fn plan_is_full_some_time() {
    let mut plan = FaultPlan::empty();
    for _ in 0..FaultPlan::MAX_RULES {
        assert!(plan.add(fault(FaultKind::Hang, FaultTrigger::Every(5))));
    }
    assert!(!plan.add(fault(FaultKind::Fail, FaultTrigger::Every(1))));
    assert_eq!(plan.next_job(), InjectedFaults::default());
}

#[test]
fn planned_faults_are_done_counted_and_shown() {
    let mut machine = seeded(0);
    let faults = [
        fault(FaultKind::Fail, FaultTrigger::Every(2)),
        fault(FaultKind::Delay, FaultTrigger::Every(3)),
    ];
    timed(&mut machine).set_fault_plan(plan(0, &faults));
    for index in 0..6 {
        submit(&mut machine, 1, job(index, 10));
    }
    let counts = machine.totals().faults;
    assert_eq!(counts, [0, 3, 0, 2, 0]);
    let mut ends = Vec::new();
    while let Some(ended) = machine.pop_due(1000) {
        let JobRecord {
            start,
            end,
            error,
            faults,
            ..
        } = ended.record;
        ends.push((end - start, error, faults));
    }
    let (fail, delay) = (FaultKind::Fail.bit(), FaultKind::Delay.bit());
    assert_eq!((fail, delay), (2, 8));
    assert_eq!(
        ends,
        [
            (10, 0, 0),
            (10, -5, fail),
            (17, 0, delay),
            (10, -5, fail),
            (10, 0, 0),
            (17, -5, fail | delay)
        ]
    );
}

#[test]
fn planned_hang_and_dropped_interrupt_need_the_timeout() {
    let mut machine: Scheduler<usize> = empty(SchedulerKind::Timed, policy(Some(100)), 0);
    assert!(grow(&mut machine));
    timed(&mut machine).set_fault_plan(plan(0, &[fault(FaultKind::Hang, FaultTrigger::Every(2))]));
    submit(&mut machine, 1, job(0, 10));
    submit(&mut machine, 1, job(1, 10));
    assert_eq!(machine.pop_due(11).unwrap().record.error, 0);
    assert_eq!(machine.next_event(), Some(111));
    timed(&mut machine).set_fault_plan(plan(
        0,
        &[fault(FaultKind::DropInterrupt, FaultTrigger::Every(1))],
    ));
    submit(&mut machine, 1, job(2, 10));
    machine.pop_due(111).unwrap();
    assert_eq!(machine.next_event(), Some(211));
    let end = machine.pop_due(211).unwrap().record;
    assert_eq!((end.start, end.end, end.error), (111, 121, 0));
    assert_eq!(machine.totals().faults, [0, 0, 1, 0, 1]);
}

#[test]
fn own_error_of_a_job_gives_way_to_an_injected_one() {
    let mut machine = seeded(0);
    let mut failing = TimedJob {
        error: -9,
        ..job(0, 1)
    };
    submit(&mut machine, 1, failing);
    failing = TimedJob {
        error: -9,
        ..job(1, 1)
    };
    failing.injected.add(FaultKind::Fail, -5, 0);
    submit(&mut machine, 1, failing);
    assert_eq!(machine.pop_due(100).unwrap().record.error, -9);
    assert_eq!(machine.pop_due(100).unwrap().record.error, -5);
}

#[test]
fn manual_scheduler_has_no_fault_plan() {
    let mut machine = empty(SchedulerKind::Manual, policy(None), 0);
    assert!(grow(&mut machine));
    assert!(machine.timed_mut().is_none());
    submit(&mut machine, 1, job(0, 0));
    let ended = manual(&mut machine).signal(2, 1, 0).unwrap();
    assert_eq!((ended.record.error, ended.record.faults), (0, 0));
    assert_eq!(machine.totals().faults, [0; FaultKind::COUNT]);
}
