// SPDX-License-Identifier: GPL-2.0

//! Manual queues: which jobs user space completes, and which the watchdog ends.

use crate::{
    sched::{
        manual::ManualJob,
        types::{SchedulerKind, TimeoutPolicy, CANCELED, TIMED_OUT},
    },
    setup::{grow, job, machine, manual, manual_job, policy, timed, Scheduler},
};
use proptest::prelude::*;

/// Submits a job, with a new segment if the machine needs one.
fn submit(machine: &mut Scheduler<usize>, now: u64, job: ManualJob<usize>) {
    if machine.free_slots() == 0 {
        assert!(grow(machine));
    }
    assert!(manual(machine).submit(now, job).is_ok());
}

/// Completes all that is pending, and returns the payloads and how each ended.
fn drain(machine: &mut Scheduler<usize>, now: u64) -> Vec<(usize, u64, i32)> {
    std::iter::from_fn(|| manual(machine).signal(now, u64::MAX, 0))
        .map(|ended| (ended.data, ended.record.end, ended.record.error))
        .collect()
}

#[test]
fn job_needs_a_free_slot() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    let slots = machine.free_slots();
    for value in 0..slots {
        submit(&mut machine, 1, manual_job(value));
    }
    let jobs = manual(&mut machine);
    let refused = jobs.submit(1, manual_job(7));
    assert_eq!(refused.err().map(|job| job.fence), Some(7));
    assert_eq!(jobs.pending(), slots);
}

#[test]
fn what_is_cancelled_ends_with_the_error_that_is_given() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    submit(&mut machine, 1, manual_job(1));
    submit(&mut machine, 1, manual_job(2));
    let jobs = manual(&mut machine);
    assert_eq!(jobs.cancel(2, -2).map(|ended| ended.record.error), Some(-2));
    assert!(jobs.stopped());
    assert_eq!(
        jobs.pop_due(2).map(|ended| ended.record.error),
        Some(CANCELED)
    );
}

#[test]
fn manual_machine_takes_its_own_memory_only() {
    let mut machine = machine::<usize>(SchedulerKind::Manual, policy(None));
    let Ok(spare) = Scheduler::<usize>::new_segment(SchedulerKind::Timed);
    assert!(machine.add_segment(spare).is_err());
    // Nor does it have what only jobs have that take time.
    submit(&mut machine, 1, manual_job(1));
    assert!(machine.timed_mut().is_none());
    assert_eq!(machine.fence_mut(1), Some(&mut 1));
}

#[test]
fn schedule_is_not_completed_by_user_space() {
    let mut machine = machine::<usize>(SchedulerKind::Timed, policy(None));
    assert!(timed(&mut machine).submit(1, job(0, 10)).is_ok());
    assert!(machine.manual_mut().is_none());
    assert_eq!(machine.fence_mut(1), Some(&mut 0));
}

proptest! {
    #[test]
    fn runs_end_what_single_signals_end(
        jobs in prop::collection::vec((any::<bool>(), 0..3i32, 0..30u64), 1..150),
        timeout in prop::option::of(1..200u64),
        upto in 0..150u64,
        error in 0..2i32,
    ) {
        let mut machines: Vec<Scheduler<usize>> =
            (0..3).map(|_| machine(SchedulerKind::Manual, policy(timeout))).collect();
        let mut now = 1;
        for (number, (event, own, pause)) in jobs.iter().enumerate() {
            for machine in &mut machines {
                if machine.free_slots() == 0 {
                    assert!(grow(machine));
                }
                let job = ManualJob { event: *event, error: -own, fence: number };
                assert!(manual(machine).submit(now, job).is_ok());
            }
            now += pause;
        }
        let error = -error * 5;
        let [runs, next, single] = &mut machines[..] else { unreachable!() };
        let (mut ends, mut expected) = (Vec::new(), Vec::new());
        loop {
            let before = ends.len();
            let jobs = manual(runs);
            jobs.signal_run(now, error, |seqno, _| seqno <= upto, |seqno, data| {
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
        for machine in [runs, next] {
            prop_assert_eq!(machine.totals(), single.totals());
            for seqno in 0..160 {
                prop_assert_eq!(machine.state(now, seqno), single.state(now, seqno));
            }
        }
    }
}

#[test]
fn the_next_job_is_left_alone_where_it_needs_more_thought() {
    let mut machine = machine::<usize>(SchedulerKind::Manual, policy(Some(100)));
    assert!(manual(&mut machine).signal_next(1, 0).is_none());
    submit(&mut machine, 10, manual_job(1));
    submit(&mut machine, 20, manual_job(2));
    submit(
        &mut machine,
        20,
        ManualJob {
            event: true,
            ..manual_job(3)
        },
    );
    submit(
        &mut machine,
        20,
        ManualJob {
            error: -5,
            ..manual_job(4)
        },
    );
    let jobs = manual(&mut machine);
    // By a clock that is behind.
    assert!(jobs.signal_next(9, 0).is_none());
    // It has timed out, just now.
    assert!(jobs.signal_next(110, 0).is_none());
    assert_eq!(jobs.signal_next(109, -7).map(|(data, _)| data), Some(1));
    assert!(jobs.signal_next(108, 0).is_none());
    assert_eq!(jobs.signal_next(109, 0).map(|(data, _)| data), Some(2));
    assert!(jobs.signal_next(110, 0).is_none());
    assert_eq!(machine.totals().errors, 1);
    assert_eq!(drain(&mut machine, 110), [(3, 110, 0), (4, 110, -5)]);
}

#[test]
fn the_next_job_of_a_stopped_queue_is_left_alone() {
    let mut stops = policy(Some(100));
    stops.on_timeout = TimeoutPolicy::Cancel;
    let mut machine = machine::<usize>(SchedulerKind::Manual, stops);
    assert!(grow(&mut machine));
    for now in [10, 200] {
        assert!(machine
            .manual_mut()
            .unwrap()
            .submit(now, manual_job(1))
            .is_ok());
    }
    assert_eq!(
        machine.pop_due(150).map(|ended| ended.record.error),
        Some(TIMED_OUT)
    );
    assert!(manual(&mut machine).signal_next(210, 0).is_none());
    assert_eq!(
        machine.pop_due(210).map(|ended| ended.record.error),
        Some(CANCELED)
    );
}
