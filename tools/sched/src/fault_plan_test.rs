// SPDX-License-Identifier: GPL-2.0

//! Fault plans: the jobs that their rules select, and the effect of the faults.

use crate::{
    fixtures::{
        add_segment, empty, job, manual, policy, random_job, runs, seeded, submit, timed, Scheduler,
    },
    sched::{
        fault_plan::{FaultKind, FaultPlan, FaultRule, FaultTrigger, InjectedFaults},
        random::Random,
        timed::TimedJob,
        types::{JobRecord, SchedulerKind},
    },
};

fn fault(kind: FaultKind, trigger: FaultTrigger) -> FaultRule {
    FaultRule {
        kind,
        trigger,
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

/// Returns the numbers of the jobs with a fault, among the first `count` jobs.
fn hits(plan: &mut FaultPlan, count: usize) -> Vec<usize> {
    (1..=count).filter(|_| plan.next_job().kinds != 0).collect()
}

#[test]
fn fixed_durations_and_faults_do_not_change_random_durations() {
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
fn every_selects_each_nth_job() {
    let mut plan = plan(0, &[fault(FaultKind::Hang, FaultTrigger::Every(3))]);
    assert_eq!(hits(&mut plan, 10), [3, 6, 9]);
    let mut plan = self::plan(0, &[fault(FaultKind::Hang, FaultTrigger::Every(1))]);
    assert_eq!(hits(&mut plan, 3), [1, 2, 3]);
}

#[test]
fn rule_selects_no_more_jobs_than_remain() {
    for when in [FaultTrigger::Every(2), FaultTrigger::Probability(1_000_000)] {
        let limited = FaultRule {
            remaining: 3,
            ..fault(FaultKind::Hang, when)
        };
        assert_eq!(hits(&mut plan(0, &[limited]), 100).len(), 3);
    }
}

#[test]
fn probability_is_in_millionths() {
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
fn probability_selects_numbers_from_zero() {
    // The first number that the plan draws.
    let drawn = Random::new(8).between(0, 999_999) as u32;
    for (millionths, hit) in [(drawn, false), (drawn + 1, true)] {
        let fault = fault(FaultKind::Hang, FaultTrigger::Probability(millionths));
        assert_eq!(!hits(&mut plan(8, &[fault]), 1).is_empty(), hit);
    }
}

#[test]
fn sum_of_delays_saturates() {
    let delay = |delay| FaultRule {
        delay,
        ..fault(FaultKind::Delay, FaultTrigger::Every(1))
    };
    let mut plan = plan(0, &[delay(u64::MAX - 1), delay(5)]);
    assert_eq!(plan.next_job().delay, u64::MAX);
}

#[test]
fn faults_of_several_rules_merge() {
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
fn plan_refuses_more_rules_than_the_maximum() {
    let mut plan = FaultPlan::empty();
    for _ in 0..FaultPlan::MAX_RULES {
        assert!(plan.add(fault(FaultKind::Hang, FaultTrigger::Every(5))));
    }
    assert!(!plan.add(fault(FaultKind::Fail, FaultTrigger::Every(1))));
    assert_eq!(plan.next_job(), InjectedFaults::default());
}

#[test]
fn planned_faults_are_injected_counted_and_recorded() {
    let mut scheduler = seeded(0);
    let faults = [
        fault(FaultKind::Fail, FaultTrigger::Every(2)),
        fault(FaultKind::Delay, FaultTrigger::Every(3)),
    ];
    timed(&mut scheduler).set_fault_plan(plan(0, &faults));
    for index in 0..6 {
        submit(&mut scheduler, 1, job(index, 10));
    }
    let counts = scheduler.totals().faults;
    assert_eq!(counts, [0, 3, 0, 2, 0]);
    let mut ends = Vec::new();
    while let Some(ended) = scheduler.pop_due(1000) {
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
fn timeout_ends_planned_hangs_and_dropped_interrupts() {
    let mut scheduler: Scheduler<usize> = empty(SchedulerKind::Timed, policy(Some(100)), 0);
    assert!(add_segment(&mut scheduler));
    timed(&mut scheduler)
        .set_fault_plan(plan(0, &[fault(FaultKind::Hang, FaultTrigger::Every(2))]));
    submit(&mut scheduler, 1, job(0, 10));
    submit(&mut scheduler, 1, job(1, 10));
    assert_eq!(scheduler.pop_due(11).unwrap().record.error, 0);
    assert_eq!(scheduler.next_event(), Some(111));
    timed(&mut scheduler).set_fault_plan(plan(
        0,
        &[fault(FaultKind::DropInterrupt, FaultTrigger::Every(1))],
    ));
    submit(&mut scheduler, 1, job(2, 10));
    scheduler.pop_due(111).unwrap();
    assert_eq!(scheduler.next_event(), Some(211));
    let end = scheduler.pop_due(211).unwrap().record;
    assert_eq!((end.start, end.end, end.error), (111, 121, 0));
    assert_eq!(scheduler.totals().faults, [0, 0, 1, 0, 1]);
}

#[test]
fn injected_error_replaces_that_of_the_job() {
    let mut scheduler = seeded(0);
    let mut failing = TimedJob {
        error: -9,
        ..job(0, 1)
    };
    submit(&mut scheduler, 1, failing);
    failing = TimedJob {
        error: -9,
        ..job(1, 1)
    };
    failing.injected.add(FaultKind::Fail, -5, 0);
    submit(&mut scheduler, 1, failing);
    assert_eq!(scheduler.pop_due(100).unwrap().record.error, -9);
    assert_eq!(scheduler.pop_due(100).unwrap().record.error, -5);
}

#[test]
fn manual_scheduler_has_no_fault_plan() {
    let mut scheduler = empty(SchedulerKind::Manual, policy(None), 0);
    assert!(add_segment(&mut scheduler));
    assert!(scheduler.timed_mut().is_none());
    submit(&mut scheduler, 1, job(0, 0));
    let ended = manual(&mut scheduler).signal(2, 1, 0).unwrap();
    assert_eq!((ended.record.error, ended.record.faults), (0, 0));
    assert_eq!(scheduler.totals().faults, [0; FaultKind::COUNT]);
}
