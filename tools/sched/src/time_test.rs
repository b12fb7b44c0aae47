// SPDX-License-Identifier: GPL-2.0

//! When jobs start and end, each rule by one small example.

use crate::{
    model::{CANCELED, TIMED_OUT},
    sched::{
        timed::TimedJob,
        types::{InFenceState, SchedulerKind},
    },
    setup::{
        assert_end, empty, job, machine, manual, policy, submit, timed, try_submit, waiting,
        Scheduler,
    },
};

#[test]
fn jobs_follow_each_other_without_a_gap() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    assert_eq!(submit(&mut machine, 100, job("a", 10)), 1);
    assert_eq!(submit(&mut machine, 101, job("b", 20)), 2);
    assert_eq!(machine.next_event(), Some(110));
    assert!(machine.pop_due(109).is_none());
    assert_end(machine.pop_due(200), "a", 110, 0);
    assert_end(machine.pop_due(200), "b", 130, 0);
    assert!(machine.pop_due(u64::MAX).is_none());
    assert_eq!(machine.next_event(), None);
}

#[test]
fn job_is_taken_quietly_only_if_nobody_is_told_anything() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut machine, 100, job("a", 10));
    submit(&mut machine, 100, job("b", 10));
    let mut told = job("c", 10);
    told.event = true;
    submit(&mut machine, 100, told);
    let mut failing = job("d", 10);
    failing.error = -5;
    submit(&mut machine, 100, failing);
    let jobs = timed(&mut machine);
    assert!(jobs.pop_plain(109, |_| true).is_none());
    assert!(jobs.pop_plain(110, |_| false).is_none());
    let ended = jobs.pop_plain(110, |_| true).unwrap();
    assert_eq!((ended.seqno, ended.data), (1, "a"));
    assert_eq!((ended.start, ended.end), (100, 110));
    assert!(jobs.pop_plain(119, |_| true).is_none());
    let ended = jobs.pop_plain(500, |_| true).unwrap();
    assert_eq!((ended.start, ended.end), (110, 120));
    assert!(jobs.pop_plain(500, |_| true).is_none());
    assert_end(machine.pop_due(500), "c", 130, 0);
    let jobs = timed(&mut machine);
    assert!(jobs.pop_plain(500, |_| true).is_none());
    assert_end(machine.pop_due(500), "d", 140, -5);
    assert_eq!(machine.next_event(), None);
}

#[test]
fn job_on_an_idle_queue_starts_when_it_is_submitted() {
    let mut machine = machine(SchedulerKind::Timed, policy(None));
    submit(&mut machine, 100, job("a", 10));
    assert_end(machine.pop_due(110), "a", 110, 0);
    submit(&mut machine, 500, job("b", 10));
    assert_end(machine.pop_due(510), "b", 510, 0);
}

#[test]
fn job_waits_for_in_fences_and_for_its_turn() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut machine, 0, job("a", 50));
    submit(&mut machine, 0, waiting("b", 50));
    assert!(!timed(&mut machine).ready(20, 2, 0));
    assert_end(machine.pop_due(50), "a", 50, 0);
    assert_end(machine.pop_due(100), "b", 100, 0);
    submit(&mut machine, 100, waiting("c", 50));
    assert_eq!(machine.next_event(), Some(1100));
    assert!(timed(&mut machine).ready(130, 3, 0));
    assert_eq!(machine.next_event(), Some(180));
}

#[test]
fn job_starts_when_its_in_fences_have_signalled_however_late_that_is_known() {
    let mut machine = machine(SchedulerKind::Timed, policy(None));
    submit(&mut machine, 10, waiting("a", 5));
    submit(&mut machine, 11, waiting("b", 5));
    submit(&mut machine, 12, waiting("c", 5));
    assert!(timed(&mut machine).ready(20, 1, 0));
    assert_end(machine.pop_due(40), "a", 25, 0);
    // At the same time as the first, so it follows without a gap.
    timed(&mut machine).ready(20, 2, 0);
    assert_end(machine.pop_due(40), "b", 30, 0);
    // Before it was there it cannot have started.
    timed(&mut machine).ready(3, 3, 0);
    assert_end(machine.pop_due(40), "c", 35, 0);
    submit(&mut machine, 50, waiting("d", 5));
    timed(&mut machine).ready(45, 4, 0);
    assert_end(machine.pop_due(60), "d", 55, 0);
}

#[test]
fn job_does_not_start_before_it_was_submitted() {
    let mut machine = machine(SchedulerKind::Timed, policy(None));
    submit(&mut machine, 0, job("a", 8));
    // That the first has ended is not known yet, and the in-fence signalled before that.
    submit(&mut machine, 10, waiting("b", 5));
    timed(&mut machine).ready(3, 2, 0);
    assert_end(machine.pop_due(20), "a", 8, 0);
    assert_end(machine.pop_due(20), "b", 15, 0);
}

#[test]
fn error_of_an_in_fence_ends_the_job_without_running_it() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut machine, 0, waiting("a", 500));
    timed(&mut machine).ready(20, 1, -5);
    assert_end(machine.pop_due(20), "a", 20, -5);
}

#[test]
fn first_error_counts() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    let failed = TimedJob {
        in_fences: InFenceState {
            pending: true,
            error: -5,
        },
        ..waiting("a", 500)
    };
    submit(&mut machine, 0, failed);
    assert!(machine.pop_due(100).is_none());
    timed(&mut machine).ready(120, 1, -7);
    timed(&mut machine).ready(130, 1, -9);
    assert_end(machine.pop_due(200), "a", 120, -5);
}

#[test]
fn watchdog_counts_from_when_the_job_became_the_head() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut machine, 0, waiting("a", 0));
    submit(&mut machine, 0, waiting("b", 0));
    assert_end(machine.pop_due(1000), "a", 100, TIMED_OUT);
    assert_end(machine.pop_due(1000), "b", 200, TIMED_OUT);
}

#[test]
fn watchdog_includes_the_wait() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut machine, 0, waiting("a", 60));
    timed(&mut machine).ready(50, 1, 0);
    assert_end(machine.pop_due(1000), "a", 100, TIMED_OUT);
}

#[test]
fn end_at_the_very_moment_of_the_watchdog_is_in_time() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut machine, 0, job("a", 100));
    assert_end(machine.pop_due(100), "a", 100, 0);
}

#[test]
fn watchdog_of_a_manual_queue_counts_from_submission() {
    let mut machine = machine(SchedulerKind::Manual, policy(Some(100)));
    submit(&mut machine, 0, job("a", 0));
    submit(&mut machine, 30, job("b", 0));
    assert_eq!(machine.next_event(), Some(100));
    assert_end(manual(&mut machine).signal(60, 1, 0), "a", 60, 0);
    assert_end(machine.pop_due(1000), "b", 130, TIMED_OUT);
}

#[test]
fn signal_completes_up_to_the_seqno() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    for name in ["a", "b", "c"] {
        submit(&mut machine, 0, job(name, 0));
    }
    assert_end(manual(&mut machine).signal(10, 2, -5), "a", 10, -5);
    assert_end(manual(&mut machine).signal(10, 2, -5), "b", 10, -5);
    assert!(manual(&mut machine).signal(10, 2, -5).is_none());
    assert_eq!((machine.completed(), machine.pending()), (2, 1));
    assert_eq!(machine.next_event(), None);
}

#[test]
fn signal_comes_too_late_for_what_the_watchdog_ends() {
    let mut machine = machine(SchedulerKind::Manual, policy(Some(100)));
    submit(&mut machine, 0, job("a", 0));
    submit(&mut machine, 50, job("b", 0));
    assert_end(manual(&mut machine).signal(120, 2, 0), "a", 100, TIMED_OUT);
    assert_end(manual(&mut machine).signal(120, 2, 0), "b", 120, 0);
}

#[test]
fn cancel_ends_everything_that_is_pending() {
    let mut machine = machine(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut machine, 0, job("a", 10));
    submit(&mut machine, 0, job("b", 10));
    submit(&mut machine, 0, job("c", 0));
    assert_end(machine.pop_due(15), "a", 10, 0);
    assert!(machine.pop_due(15).is_none());
    assert_end(machine.cancel(15, CANCELED), "b", 15, CANCELED);
    assert_end(machine.cancel(15, CANCELED), "c", 15, CANCELED);
    assert!(machine.cancel(15, CANCELED).is_none());
}

#[test]
fn without_watchdog_a_wait_has_no_end() {
    let mut machine = machine(SchedulerKind::Timed, policy(None));
    submit(&mut machine, 0, waiting("a", 10));
    assert_eq!(machine.next_event(), None);
    assert!(machine.pop_due(u64::MAX).is_none());
}

#[test]
fn longest_duration_does_not_overflow() {
    let mut machine = machine(SchedulerKind::Timed, policy(None));
    submit(&mut machine, 100, job("a", u64::MAX));
    assert_eq!(machine.next_event(), Some(u64::MAX));
}

#[test]
fn clock_that_goes_backwards_does_not_reverse_ends() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    submit(&mut machine, 100, job("a", 0));
    submit(&mut machine, 90, job("b", 0));
    assert_end(manual(&mut machine).signal(110, 1, 0), "a", 110, 0);
    assert_end(manual(&mut machine).signal(95, 2, 0), "b", 110, 0);
}

#[test]
fn clock_that_goes_backwards_does_not_start_a_job_early() {
    let mut machine = machine(SchedulerKind::Timed, policy(None));
    submit(&mut machine, 100, job("a", 10));
    assert_end(machine.pop_due(110), "a", 110, 0);
    submit(&mut machine, 90, job("b", 10));
    assert_end(machine.pop_due(200), "b", 120, 0);
}

#[test]
fn clock_that_goes_backwards_does_not_shorten_the_watchdog() {
    let mut machine = machine(SchedulerKind::Manual, policy(Some(50)));
    submit(&mut machine, 100, job("a", 0));
    submit(&mut machine, 90, job("b", 0));
    assert_end(machine.pop_due(150), "a", 150, TIMED_OUT);
    assert_eq!(machine.next_event(), Some(150));
}

#[test]
fn queue_without_memory_has_nothing_to_do() {
    for kind in [SchedulerKind::Timed, SchedulerKind::Manual] {
        let mut machine: Scheduler<&'static str> = empty(kind, policy(Some(100)), 0);
        assert!(machine.pop_due(1000).is_none());
        assert!(machine.pop_ended(1000).is_none());
        assert!(machine.cancel(1000, CANCELED).is_none());
        assert!(machine.reset(1000).is_none());
        match kind {
            SchedulerKind::Timed => {
                let jobs = timed(&mut machine);
                assert!(!jobs.ready(1000, 1, 0));
                assert!(!jobs.set_deadline(1000, 1, 0));
                assert_eq!(jobs.take_start(), None);
            }
            SchedulerKind::Manual => {
                assert!(manual(&mut machine).signal(1000, 1, 0).is_none());
            }
        }
        assert_eq!(machine.next_event(), None);
        let refused = try_submit(&mut machine, 1000, job("a", 0));
        assert_eq!(refused, Err("a"));
        assert_eq!((machine.submitted(), machine.completed()), (0, 0));
    }
}

#[test]
fn timeout_after_the_latest_time_never_comes() {
    let mut machine = machine(SchedulerKind::Manual, policy(Some(u64::MAX)));
    submit(&mut machine, 100, job("a", 0));
    assert_eq!(machine.next_event(), None);
}
