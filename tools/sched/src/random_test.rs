// SPDX-License-Identifier: GPL-2.0

//! Random numbers, and the durations that are drawn from them.

use crate::{
    fixtures::{random_job, runs, seeded, submit, MAX_JOBS},
    sched::random::Random,
};

#[test]
fn numbers_are_those_of_splitmix64() {
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
fn between_returns_all_numbers_within_its_bounds() {
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
fn between_can_return_any_64_bit_number() {
    assert_eq!(Random::new(3).between(0, u64::MAX), Random::new(3).next());
    let mut random = Random::new(3);
    assert!((0..100).any(|_| random.between(0, u64::MAX) > u64::MAX / 2));
}

#[test]
fn seed_decides_the_durations() {
    let draw = |seed| {
        let mut scheduler = seeded(seed);
        for index in 0..MAX_JOBS {
            submit(&mut scheduler, 1, random_job(index));
        }
        runs(&mut scheduler)
    };
    let runs = draw(1);
    assert!(runs.iter().all(|run| (100..=200).contains(run)));
    assert!(runs.iter().any(|run| *run != runs[0]));
    assert_eq!(runs, draw(1));
    assert_ne!(runs, draw(2));
}
