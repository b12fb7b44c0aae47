// SPDX-License-Identifier: GPL-2.0

//! Errors, hangs and resets: what a queue does when something goes wrong.

use crate::{
    model::{CANCELED, TIMED_OUT},
    sched::{
        fault_plan::{FaultKind, InjectedFaults},
        timed::{TimedJob, TimedScheduler},
        types::{InFencePolicy, InFenceState, JobState, QueuePolicy, SchedulerKind, TimeoutPolicy},
    },
    setup::{assert_end, job, machine, manual, policy, submit, timed, waiting, Scheduler},
};

fn hanging(name: &'static str) -> TimedJob<&'static str> {
    TimedJob {
        hang: true,
        ..job(name, 10)
    }
}

fn silent(name: &'static str, duration: u64) -> TimedJob<&'static str> {
    let mut injected = InjectedFaults::default();
    injected.add(FaultKind::DropInterrupt, 0, 0);
    TimedJob {
        injected,
        ..job(name, duration)
    }
}

fn stopping(kind: SchedulerKind) -> Scheduler<&'static str> {
    machine(
        kind,
        QueuePolicy {
            on_timeout: TimeoutPolicy::Cancel,
            ..policy(Some(100))
        },
    )
}

fn with_in_fences(in_fence: InFencePolicy) -> Scheduler<&'static str> {
    machine(
        SchedulerKind::Timed,
        QueuePolicy {
            on_in_fence_error: in_fence,
            ..policy(Some(1000))
        },
    )
}

#[test]
fn job_completes_with_its_error_after_it_has_run() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    let failing = TimedJob {
        error: -5,
        ..job("a", 10)
    };
    submit(&mut machine, 100, failing);
    assert!(machine.pop_due(109).is_none());
    assert_end(machine.pop_due(110), "a", 110, -5);
    assert_eq!(machine.totals().errors, 1);
}

#[test]
fn error_of_a_signal_comes_before_that_of_the_job() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    for name in ["a", "b"] {
        let failing = TimedJob {
            error: -5,
            ..job(name, 0)
        };
        submit(&mut machine, 0, failing);
    }
    assert_end(manual(&mut machine).signal(1, 1, 0), "a", 1, -5);
    assert_end(manual(&mut machine).signal(2, 2, -7), "b", 2, -7);
}

#[test]
fn hang_ends_by_the_timeout() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut machine, 0, hanging("a"));
    submit(&mut machine, 0, job("b", 10));
    assert_eq!(machine.state(50, 1), running(0));
    assert_end(machine.pop_due(1000), "a", 100, TIMED_OUT);
    assert_end(machine.pop_due(1000), "b", 110, 0);
    let counts = machine.totals();
    assert_eq!((counts.errors, counts.timeouts, counts.resets), (1, 1, 1));
}

fn running(start: u64) -> JobState {
    JobState::Running(crate::sched::types::JobRecord {
        start,
        ..Default::default()
    })
}

#[test]
fn hang_without_timeout_stays_until_the_reset() {
    let mut machine = machine(SchedulerKind::Timed, policy(None));
    submit(&mut machine, 0, hanging("a"));
    submit(&mut machine, 0, job("b", 10));
    assert_eq!(machine.next_event(), None);
    assert!(machine.pop_ended(u64::MAX).is_none());
    assert_end(machine.reset(50), "a", 50, CANCELED);
    assert_eq!(machine.next_event(), Some(60));
    assert_eq!((machine.totals().timeouts, machine.totals().resets), (0, 1));
}

#[test]
fn stopped_queue_cancels_until_the_reset() {
    for kind in [SchedulerKind::Timed, SchedulerKind::Manual] {
        let mut machine = stopping(kind);
        let first = match kind {
            SchedulerKind::Timed => hanging("a"),
            SchedulerKind::Manual => job("a", 0),
        };
        submit(&mut machine, 0, first);
        submit(&mut machine, 20, job("b", 0));
        assert_end(machine.pop_due(130), "a", 100, TIMED_OUT);
        assert!(machine.stopped());
        assert_end(machine.pop_due(130), "b", 100, CANCELED);
        // It does not wait for its in-fences either.
        submit(&mut machine, 140, waiting("c", 10));
        assert_eq!(machine.next_event(), Some(140));
        let start = machine.timed_mut().and_then(TimedScheduler::take_start);
        assert_eq!(start, None);
        assert_end(machine.pop_due(140), "c", 140, CANCELED);
        assert!(machine.reset(150).is_none());
        assert!(!machine.stopped());
        submit(&mut machine, 160, job("d", 0));
        if kind == SchedulerKind::Manual {
            assert_end(manual(&mut machine).signal(170, 4, 0), "d", 170, 0);
        } else {
            assert_end(machine.pop_due(170), "d", 160, 0);
        }
        let counts = machine.totals();
        assert_eq!((counts.errors, counts.timeouts, counts.resets), (3, 1, 1));
    }
}

#[test]
fn signal_of_a_stopped_queue_cancels() {
    let mut machine = stopping(SchedulerKind::Manual);
    submit(&mut machine, 0, job("a", 0));
    submit(&mut machine, 0, job("b", 0));
    assert_end(manual(&mut machine).signal(120, 2, -5), "a", 100, TIMED_OUT);
    assert_end(manual(&mut machine).signal(120, 2, -5), "b", 100, CANCELED);
}

#[test]
fn reset_cancels_what_runs_and_nothing_else() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut machine, 0, job("a", 50));
    submit(&mut machine, 0, waiting("b", 50));
    submit(&mut machine, 0, job("c", 50));
    assert_end(machine.reset(20), "a", 20, CANCELED);
    assert!(machine.reset(25).is_none());
    timed(&mut machine).ready(30, 2, 0);
    assert_end(machine.pop_due(200), "b", 80, 0);
    assert_end(machine.pop_due(200), "c", 130, 0);
    assert_eq!(machine.totals().resets, 2);
}

#[test]
fn reset_of_a_manual_queue_cancels_nothing() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    submit(&mut machine, 0, job("a", 0));
    assert!(machine.reset(20).is_none());
    assert_end(manual(&mut machine).signal(30, 1, 0), "a", 30, 0);
}

#[test]
fn reset_finds_what_has_ended_unheard() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut machine, 0, silent("a", 10));
    assert!(machine.pop_due(20).is_none());
    assert!(machine.pop_ended(9).is_none());
    assert_end(machine.pop_ended(20), "a", 10, 0);
}

#[test]
fn lost_interrupt_is_found_by_the_timeout() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut machine, 0, silent("a", 10));
    submit(&mut machine, 0, job("b", 20));
    submit(&mut machine, 0, job("c", 80));
    assert_eq!(machine.next_event(), Some(100));
    assert_end(machine.pop_due(100), "a", 10, 0);
    assert_end(machine.pop_due(100), "b", 30, 0);
    assert!(machine.pop_due(100).is_none());
    assert_eq!(machine.next_event(), Some(110));
    assert_eq!(machine.totals().timeouts, 0);
}

#[test]
fn interrupt_is_not_lost_without_a_timeout() {
    let mut machine = machine(SchedulerKind::Timed, policy(None));
    let mut job = silent("a", 10);
    job.injected.add(FaultKind::Delay, 0, 5);
    submit(&mut machine, 0, job);
    let ended = machine.pop_due(15);
    // It is not told that it was, either.
    let faults = ended.as_ref().map(|ended| ended.record.faults);
    assert_eq!(faults, Some(FaultKind::Delay.bit()));
    assert_end(ended, "a", 15, 0);
    assert_eq!(
        machine.totals().faults[FaultKind::DropInterrupt as usize],
        0
    );
    assert_eq!(machine.totals().faults[FaultKind::Delay as usize], 1);
}

#[test]
fn job_that_takes_too_long_times_out_heard_or_not() {
    for job in [job("a", 101), silent("a", 101)] {
        let mut machine = machine(SchedulerKind::Timed, policy(Some(100)));
        submit(&mut machine, 0, job);
        assert_end(machine.pop_due(100), "a", 100, TIMED_OUT);
    }
}

#[test]
fn error_of_an_in_fence_may_be_ignored() {
    let mut machine = with_in_fences(InFencePolicy::Ignore);
    submit(&mut machine, 0, waiting("a", 50));
    timed(&mut machine).ready(20, 1, -5);
    assert_end(machine.pop_due(100), "a", 70, 0);
    let known = TimedJob {
        in_fences: InFenceState {
            pending: false,
            error: -5,
        },
        ..job("b", 50)
    };
    submit(&mut machine, 100, known);
    assert_end(machine.pop_due(200), "b", 150, 0);
}

#[test]
fn error_of_an_in_fence_may_stop_the_queue() {
    let mut machine = with_in_fences(InFencePolicy::Cancel);
    submit(&mut machine, 0, waiting("a", 50));
    submit(&mut machine, 0, job("b", 50));
    timed(&mut machine).ready(20, 1, -5);
    assert_end(machine.pop_due(100), "a", 20, -5);
    assert!(machine.stopped());
    assert_end(machine.pop_due(100), "b", 20, CANCELED);
    let counts = machine.totals();
    assert_eq!((counts.errors, counts.timeouts, counts.resets), (2, 0, 0));
}

#[test]
fn in_fence_that_does_not_fail_stops_nothing() {
    let mut machine = with_in_fences(InFencePolicy::Cancel);
    submit(&mut machine, 0, waiting("a", 50));
    timed(&mut machine).ready(20, 1, 0);
    assert_end(machine.pop_due(100), "a", 70, 0);
    assert!(!machine.stopped());
}

#[test]
fn job_that_fails_by_an_in_fence_does_not_run() {
    let mut machine = with_in_fences(InFencePolicy::Propagate);
    submit(&mut machine, 0, waiting("a", 50));
    timed(&mut machine).ready(20, 1, -5);
    assert_eq!(timed(&mut machine).take_start(), None);
    assert!(machine.reset(10).is_none());
    let ended = machine.pop_due(20).unwrap();
    assert_eq!(ended.record.start, 0);
    assert!(!machine.stopped());
}

#[test]
fn reset_from_before_the_start_leaves_the_job_alone() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut machine, 100, job("a", 10));
    // The clock went backwards.
    assert!(machine.reset(50).is_none());
    assert_end(machine.pop_due(110), "a", 110, 0);
}

#[test]
fn reset_lets_what_a_stopped_queue_has_not_ended_run() {
    let mut machine = stopping(SchedulerKind::Timed);
    submit(&mut machine, 0, hanging("a"));
    submit(&mut machine, 0, job("b", 10));
    assert_end(machine.pop_due(100), "a", 100, TIMED_OUT);
    assert!(machine.stopped());
    // The clock went backwards, so nothing else has ended by then.
    assert!(machine.pop_ended(90).is_none());
    assert!(machine.reset(90).is_none());
    assert_end(machine.pop_due(110), "b", 110, 0);
}
