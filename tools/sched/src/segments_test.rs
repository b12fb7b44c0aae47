// SPDX-License-Identifier: GPL-2.0

//! Ring: values keep their order, and memory is used again.

use crate::{
    sched::ring::{Ring, RingMemory, SEGMENT_LEN},
    setup::Host,
};
use proptest::prelude::*;
use std::collections::VecDeque;

type Queue = Ring<u64, Host>;

const MOST: usize = 1000;

fn segment() -> Box<[Option<u64>; SEGMENT_LEN]> {
    let Ok(segment) = Host::segment();
    segment
}

fn queue(first: u64) -> Queue {
    let len = Queue::directory_len(MOST);
    Ring::new(vec![None; len], first)
}

/// Makes room and pushes.
fn push(queue: &mut Queue, value: u64) -> u64 {
    if queue.free_slots() == 0 {
        assert_eq!(queue.push(value), Err(value));
        assert!(queue.add_segment(segment()).is_ok());
    }
    queue.push(value).expect("there is room")
}

#[test]
fn directory_is_long_enough_for_any_beginning() {
    for first in 0..2 * SEGMENT_LEN as u64 {
        let mut queue = queue(first);
        for value in 0..MOST as u64 {
            assert_eq!(push(&mut queue, value), first + value);
        }
        assert_eq!(queue.len(), MOST);
    }
}

#[test]
fn numbers_of_other_times_are_not_there() {
    const PLACES: u64 = 4 * SEGMENT_LEN as u64;
    let mut queue: Queue = Ring::new(vec![None; 4], 0);
    for value in 0..3 * PLACES {
        push(&mut queue, value);
        if value >= 100 {
            queue.pop();
        }
    }
    let (first, next) = (queue.first(), queue.next());
    assert_eq!(queue.get(first), Some(&first));
    // Where they would be, others are.
    for other in [first - 1, first - PLACES, next, first + PLACES, 0] {
        assert_eq!(queue.get(other), None);
        assert_eq!(queue.get_mut(other), None);
    }
}

#[test]
fn queue_that_stays_short_needs_two_segments() {
    let mut queue = queue(1);
    let mut added = 0;
    for value in 0..10 * SEGMENT_LEN as u64 {
        if queue.free_slots() == 0 {
            assert!(queue.add_segment(segment()).is_ok());
            added += 1;
        }
        queue.push(value).unwrap();
        let (popped, freed) = queue.pop().unwrap();
        assert_eq!(popped, value);
        assert!(freed.is_none());
    }
    assert!(added <= 2, "{added}");
}

#[test]
fn segments_that_are_too_many_are_given_back() {
    let mut queue = queue(0);
    for value in 0..5 * SEGMENT_LEN as u64 {
        push(&mut queue, value);
    }
    let mut freed = 0;
    while let Some((_, segment)) = queue.pop() {
        if let Some(segment) = segment {
            assert!(segment.iter().all(Option::is_none));
            freed += 1;
        }
    }
    assert_eq!(freed, 4);
    assert_eq!(queue.free_slots(), SEGMENT_LEN);
}

#[test]
fn full_directory_gives_the_segment_back() {
    let mut queue = queue(0);
    for _ in 0..Queue::directory_len(MOST) {
        assert!(queue.add_segment(segment()).is_ok());
    }
    let room = queue.free_slots();
    assert!(queue.add_segment(segment()).is_err());
    assert_eq!(queue.free_slots(), room);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// It behaves as a queue does that keeps its values elsewhere.
    #[test]
    fn segments_are_a_queue(
        first in 0..200u64,
        bursts in prop::collection::vec((0..150usize, 0..150usize), 1..30),
    ) {
        let mut queue = queue(first);
        let mut model = VecDeque::new();
        let mut next = first;
        for (pushes, pops) in bursts {
            for _ in 0..pushes.min(MOST - model.len()) {
                prop_assert_eq!(push(&mut queue, next * 7), next);
                model.push_back(next * 7);
                next += 1;
            }
            for _ in 0..pops {
                prop_assert_eq!(queue.pop().map(|(value, _)| value), model.pop_front());
            }
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.next(), next);
            prop_assert_eq!(queue.first(), next - model.len() as u64);
            for index in queue.first().saturating_sub(2)..next + 2 {
                let expected = index
                    .checked_sub(queue.first())
                    .and_then(|place| model.get(place as usize));
                prop_assert_eq!(queue.get(index), expected);
                prop_assert_eq!(queue.get_mut(index).map(|value| *value), expected.copied());
            }
        }
    }
}
