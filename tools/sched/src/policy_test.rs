// SPDX-License-Identifier: GPL-2.0

//! Errors, hangs, timeouts and resets of a queue.

use crate::{
    fixtures::{assert_end, job, manual, policy, scheduler, submit, timed, waiting, Scheduler},
    model::{CANCELED, TIMED_OUT},
    sched::{
        fault_plan::{FaultKind, InjectedFaults},
        timed::{TimedJob, TimedScheduler},
        types::{InFencePolicy, InFenceState, JobState, QueuePolicy, SchedulerKind, TimeoutPolicy},
    },
};

fn hanging(name: &'static str) -> TimedJob<&'static str> {
    TimedJob {
        hang: true,
        ..job(name, 10)
    }
}

fn without_interrupt(name: &'static str, duration: u64) -> TimedJob<&'static str> {
    let mut injected = InjectedFaults::default();
    injected.add(FaultKind::DropInterrupt, 0, 0);
    TimedJob {
        injected,
        ..job(name, duration)
    }
}

fn stopping(kind: SchedulerKind) -> Scheduler<&'static str> {
    scheduler(
        kind,
        QueuePolicy {
            on_timeout: TimeoutPolicy::Cancel,
            ..policy(Some(100))
        },
    )
}

fn with_in_fences(in_fence: InFencePolicy) -> Scheduler<&'static str> {
    scheduler(
        SchedulerKind::Timed,
        QueuePolicy {
            on_in_fence_error: in_fence,
            ..policy(Some(1000))
        },
    )
}

#[test]
fn job_completes_with_its_error_after_it_has_run() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    let failing = TimedJob {
        error: -5,
        ..job("a", 10)
    };
    submit(&mut scheduler, 100, failing);
    assert!(scheduler.pop_due(109).is_none());
    assert_end(scheduler.pop_due(110), "a", 110, -5);
    assert_eq!(scheduler.totals().errors, 1);
}

#[test]
fn error_of_a_signal_replaces_that_of_the_job() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(None));
    for name in ["a", "b"] {
        let failing = TimedJob {
            error: -5,
            ..job(name, 0)
        };
        submit(&mut scheduler, 0, failing);
    }
    assert_end(manual(&mut scheduler).signal(1, 1, 0), "a", 1, -5);
    assert_end(manual(&mut scheduler).signal(2, 2, -7), "b", 2, -7);
}

#[test]
fn timeout_ends_a_hang() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut scheduler, 0, hanging("a"));
    submit(&mut scheduler, 0, job("b", 10));
    assert_eq!(scheduler.state(50, 1), running(0));
    assert_end(scheduler.pop_due(1000), "a", 100, TIMED_OUT);
    assert_end(scheduler.pop_due(1000), "b", 110, 0);
    let counts = scheduler.totals();
    assert_eq!((counts.errors, counts.timeouts, counts.resets), (1, 1, 1));
}

fn running(start: u64) -> JobState {
    JobState::Running(crate::sched::types::JobRecord {
        start,
        ..Default::default()
    })
}

#[test]
fn reset_ends_a_hang_without_timeout() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(None));
    submit(&mut scheduler, 0, hanging("a"));
    submit(&mut scheduler, 0, job("b", 10));
    assert_eq!(scheduler.next_event(), None);
    assert!(scheduler.pop_ended(u64::MAX).is_none());
    assert_end(scheduler.reset(50), "a", 50, CANCELED);
    assert_eq!(scheduler.next_event(), Some(60));
    assert_eq!(
        (scheduler.totals().timeouts, scheduler.totals().resets),
        (0, 1)
    );
}

#[test]
fn stopped_queue_cancels_jobs_until_the_reset() {
    for kind in [SchedulerKind::Timed, SchedulerKind::Manual] {
        let mut scheduler = stopping(kind);
        let first = match kind {
            SchedulerKind::Timed => hanging("a"),
            SchedulerKind::Manual => job("a", 0),
        };
        submit(&mut scheduler, 0, first);
        submit(&mut scheduler, 20, job("b", 0));
        assert_end(scheduler.pop_due(130), "a", 100, TIMED_OUT);
        assert!(scheduler.stopped());
        assert_end(scheduler.pop_due(130), "b", 100, CANCELED);
        // The job does not wait for its in-fences.
        submit(&mut scheduler, 140, waiting("c", 10));
        assert_eq!(scheduler.next_event(), Some(140));
        let start = scheduler.timed_mut().and_then(TimedScheduler::take_start);
        assert_eq!(start, None);
        assert_end(scheduler.pop_due(140), "c", 140, CANCELED);
        assert!(scheduler.reset(150).is_none());
        assert!(!scheduler.stopped());
        submit(&mut scheduler, 160, job("d", 0));
        if kind == SchedulerKind::Manual {
            assert_end(manual(&mut scheduler).signal(170, 4, 0), "d", 170, 0);
        } else {
            assert_end(scheduler.pop_due(170), "d", 160, 0);
        }
        let counts = scheduler.totals();
        assert_eq!((counts.errors, counts.timeouts, counts.resets), (3, 1, 1));
    }
}

#[test]
fn signal_cancels_jobs_of_a_stopped_queue() {
    let mut scheduler = stopping(SchedulerKind::Manual);
    submit(&mut scheduler, 0, job("a", 0));
    submit(&mut scheduler, 0, job("b", 0));
    assert_end(
        manual(&mut scheduler).signal(120, 2, -5),
        "a",
        100,
        TIMED_OUT,
    );
    assert_end(
        manual(&mut scheduler).signal(120, 2, -5),
        "b",
        100,
        CANCELED,
    );
}

#[test]
fn reset_cancels_only_the_running_job() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut scheduler, 0, job("a", 50));
    submit(&mut scheduler, 0, waiting("b", 50));
    submit(&mut scheduler, 0, job("c", 50));
    assert_end(scheduler.reset(20), "a", 20, CANCELED);
    assert!(scheduler.reset(25).is_none());
    timed(&mut scheduler).ready(30, 2, 0);
    assert_end(scheduler.pop_due(200), "b", 80, 0);
    assert_end(scheduler.pop_due(200), "c", 130, 0);
    assert_eq!(scheduler.totals().resets, 2);
}

#[test]
fn reset_of_a_manual_queue_cancels_nothing() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(None));
    submit(&mut scheduler, 0, job("a", 0));
    assert!(scheduler.reset(20).is_none());
    assert_end(manual(&mut scheduler).signal(30, 1, 0), "a", 30, 0);
}

#[test]
fn reset_finds_a_job_whose_interrupt_was_dropped() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut scheduler, 0, without_interrupt("a", 10));
    assert!(scheduler.pop_due(20).is_none());
    assert!(scheduler.pop_ended(9).is_none());
    assert_end(scheduler.pop_ended(20), "a", 10, 0);
}

#[test]
fn timeout_finds_a_job_whose_interrupt_was_dropped() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut scheduler, 0, without_interrupt("a", 10));
    submit(&mut scheduler, 0, job("b", 20));
    submit(&mut scheduler, 0, job("c", 80));
    assert_eq!(scheduler.next_event(), Some(100));
    assert_end(scheduler.pop_due(100), "a", 10, 0);
    assert_end(scheduler.pop_due(100), "b", 30, 0);
    assert!(scheduler.pop_due(100).is_none());
    assert_eq!(scheduler.next_event(), Some(110));
    assert_eq!(scheduler.totals().timeouts, 0);
}

#[test]
fn interrupt_is_not_dropped_without_a_timeout() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(None));
    let mut job = without_interrupt("a", 10);
    job.injected.add(FaultKind::Delay, 0, 5);
    submit(&mut scheduler, 0, job);
    let ended = scheduler.pop_due(15);
    // The record does not show the fault that was not injected.
    let faults = ended.as_ref().map(|ended| ended.record.faults);
    assert_eq!(faults, Some(FaultKind::Delay.bit()));
    assert_end(ended, "a", 15, 0);
    assert_eq!(
        scheduler.totals().faults[FaultKind::DropInterrupt as usize],
        0
    );
    assert_eq!(scheduler.totals().faults[FaultKind::Delay as usize], 1);
}

#[test]
fn long_job_times_out_with_and_without_its_interrupt() {
    for job in [job("a", 101), without_interrupt("a", 101)] {
        let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(100)));
        submit(&mut scheduler, 0, job);
        assert_end(scheduler.pop_due(100), "a", 100, TIMED_OUT);
    }
}

#[test]
fn ignore_policy_runs_jobs_despite_in_fence_errors() {
    let mut scheduler = with_in_fences(InFencePolicy::Ignore);
    submit(&mut scheduler, 0, waiting("a", 50));
    timed(&mut scheduler).ready(20, 1, -5);
    assert_end(scheduler.pop_due(100), "a", 70, 0);
    let known = TimedJob {
        in_fences: InFenceState {
            pending: false,
            error: -5,
        },
        ..job("b", 50)
    };
    submit(&mut scheduler, 100, known);
    assert_end(scheduler.pop_due(200), "b", 150, 0);
}

#[test]
fn cancel_policy_stops_the_queue_on_an_in_fence_error() {
    let mut scheduler = with_in_fences(InFencePolicy::Cancel);
    submit(&mut scheduler, 0, waiting("a", 50));
    submit(&mut scheduler, 0, job("b", 50));
    timed(&mut scheduler).ready(20, 1, -5);
    assert_end(scheduler.pop_due(100), "a", 20, -5);
    assert!(scheduler.stopped());
    assert_end(scheduler.pop_due(100), "b", 20, CANCELED);
    let counts = scheduler.totals();
    assert_eq!((counts.errors, counts.timeouts, counts.resets), (2, 0, 0));
}

#[test]
fn cancel_policy_does_not_stop_the_queue_without_an_error() {
    let mut scheduler = with_in_fences(InFencePolicy::Cancel);
    submit(&mut scheduler, 0, waiting("a", 50));
    timed(&mut scheduler).ready(20, 1, 0);
    assert_end(scheduler.pop_due(100), "a", 70, 0);
    assert!(!scheduler.stopped());
}

#[test]
fn job_with_an_in_fence_error_does_not_start() {
    let mut scheduler = with_in_fences(InFencePolicy::Propagate);
    submit(&mut scheduler, 0, waiting("a", 50));
    timed(&mut scheduler).ready(20, 1, -5);
    assert_eq!(timed(&mut scheduler).take_start(), None);
    assert!(scheduler.reset(10).is_none());
    let ended = scheduler.pop_due(20).unwrap();
    assert_eq!(ended.record.start, 0);
    assert!(!scheduler.stopped());
}

#[test]
fn reset_before_the_start_does_not_end_the_job() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut scheduler, 100, job("a", 10));
    // The clock went backwards.
    assert!(scheduler.reset(50).is_none());
    assert_end(scheduler.pop_due(110), "a", 110, 0);
}

#[test]
fn reset_restarts_the_jobs_of_a_stopped_queue() {
    let mut scheduler = stopping(SchedulerKind::Timed);
    submit(&mut scheduler, 0, hanging("a"));
    submit(&mut scheduler, 0, job("b", 10));
    assert_end(scheduler.pop_due(100), "a", 100, TIMED_OUT);
    assert!(scheduler.stopped());
    // The clock went backwards: at 90, the second job has not ended.
    assert!(scheduler.pop_ended(90).is_none());
    assert!(scheduler.reset(90).is_none());
    assert_end(scheduler.pop_due(110), "b", 110, 0);
}

#[test]
fn lost_queue_ends_all_jobs_with_the_error_for_good() {
    const NO_DEVICE: i32 = -19;

    for kind in [SchedulerKind::Timed, SchedulerKind::Manual] {
        let mut scheduler = stopping(kind);
        submit(&mut scheduler, 0, job("a", 50));
        submit(&mut scheduler, 10, waiting("b", 10));
        assert!(scheduler.pop_ended(20).is_none());
        assert_end(scheduler.lose(20, NO_DEVICE), "a", 20, NO_DEVICE);
        assert_end(scheduler.lose(21, NO_DEVICE), "b", 21, NO_DEVICE);
        assert!(scheduler.lose(22, NO_DEVICE).is_none());
        // A submission that began before the loss, and a reset.
        submit(&mut scheduler, 30, waiting("c", 10));
        assert_eq!(scheduler.next_event(), Some(30));
        assert!(scheduler.reset(30).is_none());
        assert!(scheduler.stopped());
        assert_end(scheduler.pop_due(30), "c", 30, NO_DEVICE);
        if kind == SchedulerKind::Manual {
            submit(&mut scheduler, 40, job("d", 0));
            assert!(manual(&mut scheduler).signal_next(40, 0).is_none());
            assert_end(manual(&mut scheduler).signal(40, 4, 0), "d", 40, NO_DEVICE);
        }
        assert!(scheduler.cancel(50).is_none());
    }
}

#[test]
fn stopped_queue_can_be_lost() {
    for kind in [SchedulerKind::Timed, SchedulerKind::Manual] {
        let mut scheduler = stopping(kind);
        submit(&mut scheduler, 0, hanging("a"));
        assert_end(scheduler.pop_due(100), "a", 100, TIMED_OUT);
        assert!(scheduler.lose(110, -5).is_none());
        // A wedged device is unplugged.
        assert!(scheduler.lose(120, -19).is_none());
        submit(&mut scheduler, 130, job("b", 0));
        assert_end(scheduler.pop_due(130), "b", 130, -19);
    }
}
