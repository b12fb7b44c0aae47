// SPDX-License-Identifier: GPL-2.0

//! Manual queues: jobs that come before others, and where they are found.

use crate::{
    machine::{Job, Kind, State, CANCELED, TIMED_OUT},
    setup::{grow, job, machine, rules, Machine},
};
use proptest::prelude::*;

/// Puts a job among those in the order of their payloads. Returns whether there was none of that payload.
fn insert(machine: &mut Machine<usize>, now: u64, value: usize) -> bool {
    if machine.room() == 0 {
        assert!(grow(machine));
    }
    let manual = machine.manual().expect("it is manual");
    match manual.find(|pending| pending.cmp(&value)) {
        Ok(found) => {
            assert_eq!(manual.payload_mut(found), Some(&mut { value }));
            false
        }
        Err(place) => {
            let seqno = manual.insert(now, place, job(value, 0));
            assert_eq!(seqno.ok(), Some(place));
            true
        }
    }
}

/// Completes all that is pending, and returns the payloads and how each ended.
fn drain(machine: &mut Machine<usize>, now: u64) -> Vec<(usize, u64, i32)> {
    std::iter::from_fn(|| machine.signal(now, u64::MAX, 0))
        .map(|ended| (ended.payload, ended.record.end, ended.record.error))
        .collect()
}

proptest! {
    #[test]
    fn inserted_jobs_end_in_their_order(values in prop::collection::vec(0..150usize, 0..150)) {
        let mut machine = machine(rules(Kind::Manual, None));
        let mut expected = std::collections::BTreeSet::new();
        for value in values {
            prop_assert_eq!(insert(&mut machine, 1, value), expected.insert(value));
            let first = machine.manual().and_then(|manual| manual.first().copied());
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
        let mut machine = machine(rules(Kind::Manual, Some(TIMEOUT)));
        let (mut now, mut born, mut last) = (1, std::collections::BTreeMap::new(), 0);
        for (value, pause) in values.into_iter().chain([(100, 1000)]) {
            if insert(&mut machine, now, value) {
                born.insert(value, now);
            }
            now += pause;
            while let Some(ended) = machine.advance(now) {
                prop_assert_eq!(ended.record.error, TIMED_OUT);
                prop_assert!(ended.record.end >= last);
                last = ended.record.end;
                // One that came before others may end with them, which is early.
                let birth = born.remove(&ended.payload).expect("it was pending");
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
    let mut machine = machine(rules(Kind::Manual, None));
    let room = machine.room();
    for value in 0..room {
        insert(&mut machine, 1, value + 1);
    }
    let manual = machine.manual().unwrap();
    let refused: Result<u64, Job<usize>> = manual.insert(1, 1, job(0, 0));
    assert_eq!(refused.err().map(|job| job.payload), Some(0));
    assert_eq!(
        manual
            .submit(1, job(7, 0))
            .err()
            .map(|job: Job<usize>| job.payload),
        Some(7)
    );
    assert_eq!(manual.pending(), room);
}

#[test]
fn inserted_job_is_as_old_as_the_next_one() {
    let mut machine = machine(rules(Kind::Manual, Some(100)));
    insert(&mut machine, 10, 5);
    insert(&mut machine, 60, 3);
    let State::Pending(record) = machine.state(60, 1) else {
        panic!("it is pending");
    };
    assert_eq!(record.submitted, 10);
    assert_eq!(machine.next_event(), Some(110));
    insert(&mut machine, 70, 9);
    let ended: Vec<_> = std::iter::from_fn(|| machine.advance(110))
        .map(|ended| ended.payload)
        .collect();
    assert_eq!(ended, [3, 5]);
    assert_eq!(machine.next_event(), Some(170));
}

#[test]
fn what_is_cancelled_ends_with_the_error_that_is_given() {
    let mut machine = machine(rules(Kind::Manual, None));
    insert(&mut machine, 1, 1);
    insert(&mut machine, 1, 2);
    let manual = machine.manual().unwrap();
    assert_eq!(
        manual.cancel(2, -2).map(|ended| ended.record.error),
        Some(-2)
    );
    assert!(manual.stopped());
    assert_eq!(
        manual.advance(2).map(|ended| ended.record.error),
        Some(CANCELED)
    );
}

#[test]
fn manual_machine_takes_its_own_memory_only() {
    let mut machine = machine::<usize>(rules(Kind::Manual, None));
    let Ok(spare) = Machine::<usize>::spare(Kind::Timer);
    assert!(machine.add(spare).is_err());
    // Nor does it have what only jobs have that take time.
    insert(&mut machine, 1, 1);
    assert!(machine.payload_mut(1).is_none());
    assert_eq!(machine.bare_mut(1), Some(&mut 1));
    assert!(machine.work().is_none() && !machine.worked(1, 1, 0) && !machine.ready(1, 1, 0));
}

#[test]
fn schedule_is_not_completed_by_user_space() {
    let mut machine = machine::<usize>(rules(Kind::Timer, None));
    assert!(machine.submit(1, job(0, 10)).is_ok());
    assert!(machine.manual().is_none());
    assert!(machine.signal(5, 1, 0).is_none());
    assert_eq!(machine.bare_mut(1), Some(&mut 0));
}
