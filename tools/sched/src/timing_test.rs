// SPDX-License-Identifier: GPL-2.0

//! The times at which jobs start and end: one example for each rule.

use crate::{
    fixtures::{
        assert_end, empty, job, manual, policy, scheduler, submit, timed, try_submit, waiting,
        Scheduler,
    },
    model::{CANCELED, TIMED_OUT},
    sched::{
        timed::TimedJob,
        types::{InFenceState, SchedulerKind},
    },
};

#[test]
fn jobs_follow_each_other_without_a_gap() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    assert_eq!(submit(&mut scheduler, 100, job("a", 10)), 1);
    assert_eq!(submit(&mut scheduler, 101, job("b", 20)), 2);
    assert_eq!(scheduler.next_event(), Some(110));
    assert!(scheduler.pop_due(109).is_none());
    assert_end(scheduler.pop_due(200), "a", 110, 0);
    assert_end(scheduler.pop_due(200), "b", 130, 0);
    assert!(scheduler.pop_due(u64::MAX).is_none());
    assert_eq!(scheduler.next_event(), None);
}

#[test]
fn pop_plain_takes_only_plain_jobs() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut scheduler, 100, job("a", 10));
    submit(&mut scheduler, 100, job("b", 10));
    let mut reported = job("c", 10);
    reported.event = true;
    submit(&mut scheduler, 100, reported);
    let mut failing = job("d", 10);
    failing.error = -5;
    submit(&mut scheduler, 100, failing);
    let jobs = timed(&mut scheduler);
    assert!(jobs.pop_plain(109, |_| true).is_none());
    assert!(jobs.pop_plain(110, |_| false).is_none());
    let ended = jobs.pop_plain(110, |_| true).unwrap();
    assert_eq!((ended.seqno, ended.data), (1, "a"));
    assert_eq!((ended.start, ended.end), (100, 110));
    assert!(jobs.pop_plain(119, |_| true).is_none());
    let ended = jobs.pop_plain(500, |_| true).unwrap();
    assert_eq!((ended.start, ended.end), (110, 120));
    assert!(jobs.pop_plain(500, |_| true).is_none());
    assert_end(scheduler.pop_due(500), "c", 130, 0);
    let jobs = timed(&mut scheduler);
    assert!(jobs.pop_plain(500, |_| true).is_none());
    assert_end(scheduler.pop_due(500), "d", 140, -5);
    assert_eq!(scheduler.next_event(), None);
}

#[test]
fn job_on_an_idle_queue_starts_when_it_is_submitted() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(None));
    submit(&mut scheduler, 100, job("a", 10));
    assert_end(scheduler.pop_due(110), "a", 110, 0);
    submit(&mut scheduler, 500, job("b", 10));
    assert_end(scheduler.pop_due(510), "b", 510, 0);
}

#[test]
fn job_waits_for_its_in_fences_and_for_the_job_before() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut scheduler, 0, job("a", 50));
    submit(&mut scheduler, 0, waiting("b", 50));
    assert!(!timed(&mut scheduler).ready(20, 2, 0));
    assert_end(scheduler.pop_due(50), "a", 50, 0);
    assert_end(scheduler.pop_due(100), "b", 100, 0);
    submit(&mut scheduler, 100, waiting("c", 50));
    assert_eq!(scheduler.next_event(), Some(1100));
    assert!(timed(&mut scheduler).ready(130, 3, 0));
    assert_eq!(scheduler.next_event(), Some(180));
}

#[test]
fn start_is_when_the_in_fences_signalled_even_if_reported_late() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(None));
    submit(&mut scheduler, 10, waiting("a", 5));
    submit(&mut scheduler, 11, waiting("b", 5));
    submit(&mut scheduler, 12, waiting("c", 5));
    assert!(timed(&mut scheduler).ready(20, 1, 0));
    assert_end(scheduler.pop_due(40), "a", 25, 0);
    // The in-fences signalled before the first job ended, so the second follows without a gap.
    timed(&mut scheduler).ready(20, 2, 0);
    assert_end(scheduler.pop_due(40), "b", 30, 0);
    // The in-fences signalled before the submission.
    timed(&mut scheduler).ready(3, 3, 0);
    assert_end(scheduler.pop_due(40), "c", 35, 0);
    submit(&mut scheduler, 50, waiting("d", 5));
    timed(&mut scheduler).ready(45, 4, 0);
    assert_end(scheduler.pop_due(60), "d", 55, 0);
}

#[test]
fn job_does_not_start_before_its_submission() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(None));
    submit(&mut scheduler, 0, job("a", 8));
    // No call has taken the first job yet, and the in-fence signalled before its end.
    submit(&mut scheduler, 10, waiting("b", 5));
    timed(&mut scheduler).ready(3, 2, 0);
    assert_end(scheduler.pop_due(20), "a", 8, 0);
    assert_end(scheduler.pop_due(20), "b", 15, 0);
}

#[test]
fn in_fence_error_ends_the_job_without_running_it() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut scheduler, 0, waiting("a", 500));
    timed(&mut scheduler).ready(20, 1, -5);
    assert_end(scheduler.pop_due(20), "a", 20, -5);
}

#[test]
fn first_in_fence_error_applies() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    let failed = TimedJob {
        in_fences: InFenceState {
            pending: true,
            error: -5,
        },
        ..waiting("a", 500)
    };
    submit(&mut scheduler, 0, failed);
    assert!(scheduler.pop_due(100).is_none());
    timed(&mut scheduler).ready(120, 1, -7);
    timed(&mut scheduler).ready(130, 1, -9);
    assert_end(scheduler.pop_due(200), "a", 120, -5);
}

#[test]
fn timeout_counts_from_when_the_job_became_the_head() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut scheduler, 0, waiting("a", 0));
    submit(&mut scheduler, 0, waiting("b", 0));
    assert_end(scheduler.pop_due(1000), "a", 100, TIMED_OUT);
    assert_end(scheduler.pop_due(1000), "b", 200, TIMED_OUT);
}

#[test]
fn timeout_includes_the_wait_for_in_fences() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut scheduler, 0, waiting("a", 60));
    timed(&mut scheduler).ready(50, 1, 0);
    assert_end(scheduler.pop_due(1000), "a", 100, TIMED_OUT);
}

#[test]
fn end_at_the_time_of_the_timeout_is_in_time() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(100)));
    submit(&mut scheduler, 0, job("a", 100));
    assert_end(scheduler.pop_due(100), "a", 100, 0);
}

#[test]
fn timeout_of_a_manual_queue_counts_from_submission() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(Some(100)));
    submit(&mut scheduler, 0, job("a", 0));
    submit(&mut scheduler, 30, job("b", 0));
    assert_eq!(scheduler.next_event(), Some(100));
    assert_end(manual(&mut scheduler).signal(60, 1, 0), "a", 60, 0);
    assert_end(scheduler.pop_due(1000), "b", 130, TIMED_OUT);
}

#[test]
fn signal_completes_up_to_the_seqno() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(None));
    for name in ["a", "b", "c"] {
        submit(&mut scheduler, 0, job(name, 0));
    }
    assert_end(manual(&mut scheduler).signal(10, 2, -5), "a", 10, -5);
    assert_end(manual(&mut scheduler).signal(10, 2, -5), "b", 10, -5);
    assert!(manual(&mut scheduler).signal(10, 2, -5).is_none());
    assert_eq!((scheduler.completed(), scheduler.pending()), (2, 1));
    assert_eq!(scheduler.next_event(), None);
}

#[test]
fn signal_after_the_timeout_is_too_late() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(Some(100)));
    submit(&mut scheduler, 0, job("a", 0));
    submit(&mut scheduler, 50, job("b", 0));
    assert_end(
        manual(&mut scheduler).signal(120, 2, 0),
        "a",
        100,
        TIMED_OUT,
    );
    assert_end(manual(&mut scheduler).signal(120, 2, 0), "b", 120, 0);
}

#[test]
fn cancel_ends_all_pending_jobs() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    submit(&mut scheduler, 0, job("a", 10));
    submit(&mut scheduler, 0, job("b", 10));
    submit(&mut scheduler, 0, job("c", 0));
    assert_end(scheduler.pop_due(15), "a", 10, 0);
    assert!(scheduler.pop_due(15).is_none());
    assert_end(scheduler.cancel(15), "b", 15, CANCELED);
    assert_end(scheduler.cancel(15), "c", 15, CANCELED);
    assert!(scheduler.cancel(15).is_none());
}

#[test]
fn wait_without_timeout_has_no_end() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(None));
    submit(&mut scheduler, 0, waiting("a", 10));
    assert_eq!(scheduler.next_event(), None);
    assert!(scheduler.pop_due(u64::MAX).is_none());
}

#[test]
fn longest_duration_does_not_overflow() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(None));
    submit(&mut scheduler, 100, job("a", u64::MAX));
    assert_eq!(scheduler.next_event(), Some(u64::MAX));
}

#[test]
fn clock_that_goes_backwards_does_not_reverse_ends() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(None));
    submit(&mut scheduler, 100, job("a", 0));
    submit(&mut scheduler, 90, job("b", 0));
    assert_end(manual(&mut scheduler).signal(110, 1, 0), "a", 110, 0);
    assert_end(manual(&mut scheduler).signal(95, 2, 0), "b", 110, 0);
}

#[test]
fn clock_that_goes_backwards_does_not_start_a_job_early() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(None));
    submit(&mut scheduler, 100, job("a", 10));
    assert_end(scheduler.pop_due(110), "a", 110, 0);
    submit(&mut scheduler, 90, job("b", 10));
    assert_end(scheduler.pop_due(200), "b", 120, 0);
}

#[test]
fn clock_that_goes_backwards_does_not_shorten_the_timeout() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(Some(50)));
    submit(&mut scheduler, 100, job("a", 0));
    submit(&mut scheduler, 90, job("b", 0));
    assert_end(scheduler.pop_due(150), "a", 150, TIMED_OUT);
    assert_eq!(scheduler.next_event(), Some(150));
}

#[test]
fn queue_without_slots_does_nothing() {
    for kind in [SchedulerKind::Timed, SchedulerKind::Manual] {
        let mut scheduler: Scheduler<&'static str> = empty(kind, policy(Some(100)), 0);
        assert!(scheduler.pop_due(1000).is_none());
        assert!(scheduler.pop_ended(1000).is_none());
        assert!(scheduler.cancel(1000).is_none());
        assert!(scheduler.reset(1000).is_none());
        match kind {
            SchedulerKind::Timed => {
                let jobs = timed(&mut scheduler);
                assert!(!jobs.ready(1000, 1, 0));
                assert!(!jobs.set_deadline(1000, 1, 0));
                assert_eq!(jobs.take_start(), None);
            }
            SchedulerKind::Manual => {
                assert!(manual(&mut scheduler).signal(1000, 1, 0).is_none());
            }
        }
        assert_eq!(scheduler.next_event(), None);
        let refused = try_submit(&mut scheduler, 1000, job("a", 0));
        assert_eq!(refused, Err("a"));
        assert_eq!((scheduler.submitted(), scheduler.completed()), (0, 0));
    }
}

#[test]
fn timeout_after_the_last_time_does_not_expire() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(Some(u64::MAX)));
    submit(&mut scheduler, 100, job("a", 0));
    assert_eq!(scheduler.next_event(), None);
}

#[test]
fn waiting_head_is_the_head_while_it_waits() {
    let mut scheduler = scheduler(SchedulerKind::Timed, policy(Some(1000)));
    assert!(timed(&mut scheduler).waiting_head().is_none());
    submit(&mut scheduler, 100, job("a", 10));
    submit(&mut scheduler, 100, waiting("b", 10));
    submit(&mut scheduler, 100, waiting("c", 10));
    assert!(timed(&mut scheduler).waiting_head().is_none());
    assert_end(scheduler.pop_due(110), "a", 110, 0);
    let jobs = timed(&mut scheduler);
    assert_eq!(jobs.waiting_head(), Some((2, &mut "b")));
    assert!(jobs.ready(105, 2, 0));
    assert!(jobs.waiting_head().is_none());
    assert_end(scheduler.pop_due(200), "b", 120, 0);
    assert_eq!(timed(&mut scheduler).waiting_head(), Some((3, &mut "c")));
    // A stopped queue waits for nothing.
    assert!(scheduler.cancel(300).is_some());
    submit(&mut scheduler, 400, waiting("d", 10));
    assert!(timed(&mut scheduler).waiting_head().is_none());
}
