// SPDX-License-Identifier: GPL-2.0

//! Manual queues: jobs that come before others, and where they are found.

use crate::{
    sched::{
        manual::ManualJob,
        types::{JobState, SchedulerKind, TimeoutPolicy, CANCELED, TIMED_OUT},
    },
    setup::{grow, job, machine, manual, manual_job, policy, timed, Scheduler},
};
use proptest::prelude::*;

/// Puts a job among those in the order of their payloads. Returns whether there was none of that data.
fn insert(machine: &mut Scheduler<usize>, now: u64, value: usize) -> bool {
    if machine.free_slots() == 0 {
        assert!(grow(machine));
    }
    let jobs = manual(machine);
    match jobs.find(|pending| pending.cmp(&value)) {
        Ok(found) => {
            assert_eq!(jobs.fence_mut(found), Some(&mut { value }));
            false
        }
        Err(place) => {
            let seqno = jobs.insert(now, place, manual_job(value), |_| false);
            assert_eq!(seqno.ok().map(|submitted| submitted.seqno), Some(place));
            true
        }
    }
}

/// Completes all that is pending, and returns the payloads and how each ended.
fn drain(machine: &mut Scheduler<usize>, now: u64) -> Vec<(usize, u64, i32)> {
    std::iter::from_fn(|| manual(machine).signal(now, u64::MAX, 0))
        .map(|ended| (ended.data, ended.record.end, ended.record.error))
        .collect()
}

proptest! {
    #[test]
    fn inserted_jobs_end_in_their_order(values in prop::collection::vec(0..150usize, 0..150)) {
        let mut machine = machine(SchedulerKind::Manual, policy(None));
        let mut expected = std::collections::BTreeSet::new();
        for value in values {
            prop_assert_eq!(insert(&mut machine, 1, value), expected.insert(value));
            let first = machine.manual_mut().and_then(|manual| manual.first().copied());
            prop_assert_eq!(first, expected.first().copied());
            prop_assert_eq!(machine.pending(), expected.len());
        }
        let ended: Vec<_> = drain(&mut machine, 2).into_iter().map(|(value, ..)| value).collect();
        prop_assert!(ended.into_iter().eq(expected));
    }

    #[test]
    fn no_job_is_pending_for_longer_than_the_watchdog_allows(
        values in prop::collection::vec((0..100usize, 0..40u64), 1..100)
    ) {
        const TIMEOUT: u64 = 100;
        let mut machine = machine(SchedulerKind::Manual, policy(Some(TIMEOUT)));
        let (mut now, mut born, mut last) = (1, std::collections::BTreeMap::new(), 0);
        for (value, pause) in values.into_iter().chain([(100, 1000)]) {
            if insert(&mut machine, now, value) {
                born.insert(value, now);
            }
            now += pause;
            while let Some(ended) = machine.pop_due(now) {
                prop_assert_eq!(ended.record.error, TIMED_OUT);
                prop_assert!(ended.record.end >= last);
                last = ended.record.end;
                // One that came before others may end with them, which is early.
                let birth = born.remove(&ended.data).expect("it was pending");
                prop_assert!(ended.record.end <= birth + TIMEOUT);
            }
            for (value, birth) in &born {
                prop_assert!(birth + TIMEOUT > now, "{} is pending", value);
            }
        }
        prop_assert!(born.is_empty());
    }
}

#[test]
fn inserted_job_needs_room() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    let room = machine.free_slots();
    for value in 0..room {
        insert(&mut machine, 1, value + 1);
    }
    let jobs = manual(&mut machine);
    let refused = jobs.insert(1, 1, manual_job(0), |_| false);
    assert_eq!(refused.err().map(|job| job.fence), Some(0));
    let refused = jobs.submit(1, manual_job(7));
    assert_eq!(refused.err().map(|job| job.fence), Some(7));
    assert_eq!(jobs.pending(), room);
}

#[test]
fn inserted_job_is_as_old_as_the_next_one() {
    let mut machine = machine(SchedulerKind::Manual, policy(Some(100)));
    insert(&mut machine, 10, 5);
    insert(&mut machine, 60, 3);
    let JobState::Pending(record) = machine.state(60, 1) else {
        panic!("it is pending");
    };
    assert_eq!(record.submitted, 10);
    assert_eq!(machine.next_event(), Some(110));
    insert(&mut machine, 70, 9);
    let ended: Vec<_> = std::iter::from_fn(|| machine.pop_due(110))
        .map(|ended| ended.data)
        .collect();
    assert_eq!(ended, [3, 5]);
    assert_eq!(machine.next_event(), Some(170));
}

#[test]
fn what_is_cancelled_ends_with_the_error_that_is_given() {
    let mut machine = machine(SchedulerKind::Manual, policy(None));
    insert(&mut machine, 1, 1);
    insert(&mut machine, 1, 2);
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
    insert(&mut machine, 1, 1);
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

/// Returns the payloads of what is pending, in their order.
fn pending(machine: &mut Scheduler<usize>) -> Vec<usize> {
    let (first, last) = (machine.completed() + 1, machine.submitted());
    (first..=last)
        .map(|seqno| *machine.fence_mut(seqno).unwrap())
        .collect()
}

proptest! {
    #[test]
    fn what_is_swept_is_gone(
        done in 0..70usize, values in 1..150usize, most in 0..50usize, every in 1..5usize
    ) {
        let mut machine = machine(SchedulerKind::Manual, policy(None));
        for value in 0..done + values {
            insert(&mut machine, 1, value);
        }
        for _ in 0..done {
            manual(&mut machine).signal(1, u64::MAX, 0);
        }
        let before = pending(&mut machine);
        let gone = |value: &usize| value % every == 0;
        let mut swept = Vec::new();
        manual(&mut machine).sweep(most, gone, |value| swept.push(value));
        let expected: Vec<_> = before.iter().copied().filter(gone).take(most).collect();
        prop_assert_eq!(&swept, &expected);
        let left: Vec<_> = before.into_iter().filter(|value| !swept.contains(value)).collect();
        prop_assert_eq!(pending(&mut machine), left.clone());
        // There is room for as many again, and all end in their order.
        for value in 0..swept.len() {
            insert(&mut machine, 2, 1000 + value);
        }
        let ended: Vec<_> = drain(&mut machine, 3).into_iter().map(|(value, ..)| value).collect();
        prop_assert!(ended.into_iter().eq(left.into_iter().chain(1000..1000 + swept.len())));
    }

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
fn jobs_that_are_gone_make_nobody_older() {
    let mut machine = machine::<usize>(SchedulerKind::Manual, policy(Some(100)));
    for (now, value) in [(10, 5), (20, 6), (30, 7)] {
        insert(&mut machine, now, value);
    }
    let jobs = manual(&mut machine);
    assert!(jobs
        .insert(60, 1, manual_job(3), |value| *value < 7)
        .is_ok());
    assert!(jobs
        .insert(70, 1, manual_job(2), |value| *value > 3)
        .is_ok());
    assert!(jobs.insert(70, 1, manual_job(1), |_| true).is_ok());
    let submitted = |machine: &Scheduler<usize>, seqno| match machine.state(70, seqno) {
        JobState::Pending(record) => record.submitted,
        other => panic!("{other:?}"),
    };
    assert_eq!(pending(&mut machine), [1, 2, 3, 5, 6, 7]);
    assert_eq!(
        (1..=3)
            .map(|seqno| submitted(&machine, seqno))
            .collect::<Vec<_>>(),
        [70, 30, 30]
    );
    // One is made anew, and is as old as if it had been inserted.
    let jobs = manual(&mut machine);
    assert_eq!(jobs.renew(80, 4, 50, |value| *value == 6), Some(5));
    assert_eq!(submitted(&machine, 4), 30);
    let jobs = manual(&mut machine);
    assert_eq!(jobs.renew(80, 6, 70, |_| false), Some(7));
    assert_eq!(submitted(&machine, 6), 80);
}

#[test]
fn the_next_job_is_left_alone_where_it_needs_more_thought() {
    let submit = |machine: &mut Scheduler<usize>, now, job| {
        if machine.free_slots() == 0 {
            assert!(grow(machine));
        }
        assert!(manual(machine).submit(now, job).is_ok());
    };
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
