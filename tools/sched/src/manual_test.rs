// SPDX-License-Identifier: GPL-2.0

//! The manual scheduler: how user space completes jobs.

use crate::{
    fixtures::{
        add_segment, job, manual, manual_job, policy, scheduler, submit, timed, Data, Scheduler,
    },
    sched::{
        manual::ManualJob,
        types::{JobState, SchedulerKind, Submitted, TimeoutPolicy, CANCELED, TIMED_OUT},
    },
};
use proptest::prelude::*;

/// Completes all pending jobs; returns the value, end and error of each.
fn complete_all(scheduler: &mut Scheduler<usize>, now: u64) -> Vec<(usize, u64, i32)> {
    std::iter::from_fn(|| manual(scheduler).signal(now, u64::MAX, 0))
        .map(|ended| (ended.data, ended.record.end, ended.record.error))
        .collect()
}

/// Submits a job, with a new segment if there is no free slot.
fn submit_value(scheduler: &mut Scheduler<usize>, now: u64, value: usize) -> u64 {
    if scheduler.free_slots() == 0 {
        assert!(add_segment(scheduler));
    }
    let submitted = manual(scheduler).submit(now, manual_job(value));
    submitted.ok().expect("there is a free slot").seqno
}

proptest! {
    #[test]
    fn jobs_end_in_the_order_of_submission(values in prop::collection::vec(0..150usize, 0..150)) {
        let mut scheduler = scheduler(SchedulerKind::Manual, policy(None));
        for (count, value) in values.iter().enumerate() {
            prop_assert_eq!(submit_value(&mut scheduler, 1, *value), count as u64 + 1);
            prop_assert_eq!(scheduler.pending(), count + 1);
        }
        let ended = complete_all(&mut scheduler, 2);
        let ended: Vec<_> = ended.into_iter().map(|(value, ..)| value).collect();
        prop_assert_eq!(ended, values);
    }

    #[test]
    fn timeout_ends_each_job_in_time(pauses in prop::collection::vec(0..40u64, 1..100)) {
        const TIMEOUT: u64 = 100;
        let mut scheduler = scheduler(SchedulerKind::Manual, policy(Some(TIMEOUT)));
        let (mut now, mut submitted, mut ended) = (1, Vec::new(), 0);
        for (value, pause) in pauses.into_iter().chain([1000]).enumerate() {
            submit_value(&mut scheduler, now, value);
            submitted.push(now);
            now += pause;
            while let Some(completed) = scheduler.pop_due(now) {
                prop_assert_eq!(completed.data, ended);
                prop_assert_eq!(completed.record.error, TIMED_OUT);
                prop_assert_eq!(completed.record.end, submitted[ended] + TIMEOUT);
                ended += 1;
            }
            for submitted in &submitted[ended..] {
                prop_assert!(submitted + TIMEOUT > now);
            }
        }
        prop_assert_eq!(ended, submitted.len());
    }
}

#[test]
fn submit_returns_the_job_without_a_free_slot() {
    let mut scheduler = scheduler::<usize>(SchedulerKind::Manual, policy(None));
    let slots = scheduler.free_slots();
    let jobs = manual(&mut scheduler);
    for value in 0..slots {
        assert!(jobs.submit(1, manual_job(value)).is_ok());
    }
    let refused = jobs.submit(1, manual_job(slots));
    assert_eq!(refused.err().map(|job| job.fence), Some(slots));
    assert_eq!(jobs.pending(), slots);
}

#[test]
fn submit_returns_whether_the_job_is_the_head() {
    let mut scheduler = scheduler::<usize>(SchedulerKind::Manual, policy(None));
    let jobs = manual(&mut scheduler);
    for (seqno, is_head) in [(1, true), (2, false)] {
        let submitted = jobs.submit(1, manual_job(0)).ok();
        assert_eq!(submitted, Some(Submitted { seqno, is_head }));
    }
    assert!(jobs.signal(2, 2, 0).is_some() && jobs.signal(2, 2, 0).is_some());
    let submitted = jobs.submit(3, manual_job(0)).ok();
    let expected = Submitted {
        seqno: 3,
        is_head: true,
    };
    assert_eq!(submitted, Some(expected));
}

#[test]
fn cancel_ends_jobs_with_ecanceled() {
    let mut scheduler = scheduler::<usize>(SchedulerKind::Manual, policy(None));
    submit_value(&mut scheduler, 1, 1);
    submit_value(&mut scheduler, 1, 2);
    let jobs = manual(&mut scheduler);
    assert_eq!(
        jobs.cancel(2).map(|ended| ended.record.error),
        Some(CANCELED)
    );
    assert!(jobs.stopped());
    assert_eq!(
        jobs.pop_due(2).map(|ended| ended.record.error),
        Some(CANCELED)
    );
}

#[test]
fn manual_scheduler_refuses_a_timed_segment() {
    let mut scheduler = scheduler::<usize>(SchedulerKind::Manual, policy(None));
    let Ok(segment) = Scheduler::<usize>::new_segment(SchedulerKind::Timed);
    assert!(scheduler.add_segment(segment).is_err());
    submit_value(&mut scheduler, 1, 1);
    assert!(scheduler.timed_mut().is_none());
    assert_eq!(scheduler.fence_mut(1), Some(&mut 1));
}

#[test]
fn timed_scheduler_has_no_manual_scheduler() {
    let mut scheduler = scheduler::<usize>(SchedulerKind::Timed, policy(None));
    assert!(timed(&mut scheduler).submit(1, job(0, 10)).is_ok());
    assert!(scheduler.manual_mut().is_none());
    assert_eq!(scheduler.fence_mut(1), Some(&mut 0));
}

proptest! {
    #[test]
    fn signal_run_and_signal_next_do_what_signal_does(
        jobs in prop::collection::vec((any::<bool>(), 0..3i32, 0..30u64), 1..150),
        timeout in prop::option::of(1..200u64),
        upto in 0..150u64,
        error in 0..2i32,
    ) {
        let mut schedulers: Vec<Scheduler<usize>> =
            (0..3).map(|_| scheduler(SchedulerKind::Manual, policy(timeout))).collect();
        let mut now = 1;
        for (number, (event, own, pause)) in jobs.iter().enumerate() {
            for scheduler in &mut schedulers {
                if scheduler.free_slots() == 0 {
                    assert!(add_segment(scheduler));
                }
                let job = ManualJob { event: *event, error: -own, fence: number };
                assert!(manual(scheduler).submit(now, job).is_ok());
            }
            now += pause;
        }
        let error = -error * 5;
        let [runs, next, single] = &mut schedulers[..] else { unreachable!() };
        let (mut ends, mut expected) = (Vec::new(), Vec::new());
        loop {
            let before = ends.len();
            let jobs = manual(runs);
            jobs.signal_run(now, error, |seqno| seqno <= upto, |seqno, data| {
                ends.push((seqno, data, now, error));
            });
            if ends.len() > before {
                continue;
            }
            match manual(runs).signal(now, upto, error) {
                Some(end) => ends.push((end.seqno, end.data, end.record.end, end.record.error)),
                None => break,
            }
        }
        while let Some(end) = manual(single).signal(now, upto, error) {
            expected.push((end.seqno, end.data, end.record.end, end.record.error));
        }
        prop_assert_eq!(ends, expected.clone());
        let mut ends = Vec::new();
        loop {
            let seqno = next.completed() + 1;
            let jobs = manual(next);
            if seqno <= upto {
                if let Some((data, _)) = jobs.signal_next(now, error) {
                    ends.push((seqno, data, now, error));
                    continue;
                }
            }
            match manual(next).signal(now, upto, error) {
                Some(end) => ends.push((end.seqno, end.data, end.record.end, end.record.error)),
                None => break,
            }
        }
        prop_assert_eq!(ends, expected);
        for scheduler in [runs, next] {
            prop_assert_eq!(scheduler.totals(), single.totals());
            for seqno in 0..160 {
                prop_assert_eq!(scheduler.state(now, seqno), single.state(now, seqno));
            }
        }
    }
}

#[test]
fn signal_next_completes_only_plain_jobs_that_have_not_timed_out() {
    let submit = |scheduler: &mut Scheduler<usize>, now, job| {
        if scheduler.free_slots() == 0 {
            assert!(add_segment(scheduler));
        }
        assert!(manual(scheduler).submit(now, job).is_ok());
    };
    let mut scheduler = scheduler::<usize>(SchedulerKind::Manual, policy(Some(100)));
    assert!(manual(&mut scheduler).signal_next(1, 0).is_none());
    submit(&mut scheduler, 10, manual_job(1));
    submit(&mut scheduler, 20, manual_job(2));
    submit(
        &mut scheduler,
        20,
        ManualJob {
            event: true,
            ..manual_job(3)
        },
    );
    submit(
        &mut scheduler,
        20,
        ManualJob {
            error: -5,
            ..manual_job(4)
        },
    );
    let jobs = manual(&mut scheduler);
    // The clock went backwards.
    assert!(jobs.signal_next(9, 0).is_none());
    // The job has timed out, at this very time.
    assert!(jobs.signal_next(110, 0).is_none());
    assert_eq!(jobs.signal_next(109, -7).map(|(data, _)| data), Some(1));
    assert!(jobs.signal_next(108, 0).is_none());
    assert_eq!(jobs.signal_next(109, 0).map(|(data, _)| data), Some(2));
    assert!(jobs.signal_next(110, 0).is_none());
    assert_eq!(scheduler.totals().errors, 1);
    assert_eq!(
        complete_all(&mut scheduler, 110),
        [(3, 110, 0), (4, 110, -5)]
    );
}

#[test]
fn signal_next_does_nothing_on_a_stopped_queue() {
    let mut stops = policy(Some(100));
    stops.on_timeout = TimeoutPolicy::Cancel;
    let mut scheduler = scheduler::<usize>(SchedulerKind::Manual, stops);
    assert!(add_segment(&mut scheduler));
    for now in [10, 200] {
        assert!(scheduler
            .manual_mut()
            .unwrap()
            .submit(now, manual_job(1))
            .is_ok());
    }
    assert_eq!(
        scheduler.pop_due(150).map(|ended| ended.record.error),
        Some(TIMED_OUT)
    );
    assert!(manual(&mut scheduler).signal_next(210, 0).is_none());
    assert_eq!(
        scheduler.pop_due(210).map(|ended| ended.record.error),
        Some(CANCELED)
    );
}

#[test]
fn record_shows_deadline_zero_as_the_first_time() {
    let mut scheduler = scheduler(SchedulerKind::Manual, policy(None));
    for (number, deadline) in [0, 7, u64::MAX].into_iter().enumerate() {
        let data = Data { number, deadline };
        submit(&mut scheduler, 1, job(data, 0));
    }
    for (seqno, deadline) in [(1, 1), (2, 7), (3, 0)] {
        let JobState::Pending(record) = scheduler.state(1, seqno) else {
            panic!("the job is pending");
        };
        assert_eq!(record.deadline, deadline);
        let completed = manual(&mut scheduler).signal(2, seqno, 0).unwrap();
        assert_eq!(completed.record.deadline, deadline);
        let state = scheduler.state(2, seqno);
        assert_eq!(state, JobState::Completed(completed.record));
    }
}
