// SPDX-License-Identifier: GPL-2.0

//! The ring: values keep their order, and segments are reused.

use crate::{
    fixtures::Host,
    sched::ring::{Ring, RingMemory, SEGMENT_LEN},
};
use proptest::prelude::*;
use std::collections::VecDeque;

type TestRing = Ring<u64, Host>;

const MAX_VALUES: usize = 1000;

fn segment() -> Box<[Option<u64>; SEGMENT_LEN]> {
    let Ok(segment) = Host::segment();
    segment
}

fn ring(first: u64) -> TestRing {
    let len = TestRing::directory_len(MAX_VALUES);
    Ring::new(vec![None; len], first)
}

/// Pushes a value, with a new segment if there is no free slot.
fn push(ring: &mut TestRing, value: u64) -> u64 {
    if ring.free_slots() == 0 {
        assert_eq!(ring.push(value), Err(value));
        assert!(ring.add_segment(segment()).is_ok());
    }
    ring.push(value).expect("there is a free slot")
}

#[test]
fn directory_is_long_enough_for_any_first_index() {
    for first in 0..2 * SEGMENT_LEN as u64 {
        let mut ring = ring(first);
        for value in 0..MAX_VALUES as u64 {
            assert_eq!(push(&mut ring, value), first + value);
        }
        assert_eq!(ring.len(), MAX_VALUES);
    }
}

#[test]
fn get_returns_none_for_past_and_future_indices() {
    const PLACES: u64 = 4 * SEGMENT_LEN as u64;
    let mut ring: TestRing = Ring::new(vec![None; 4], 0);
    for value in 0..3 * PLACES {
        push(&mut ring, value);
        if value >= 100 {
            ring.pop();
        }
    }
    let (first, next) = (ring.first(), ring.next());
    assert_eq!(ring.get(first), Some(&first));
    // Their slots have other values.
    for other in [first - 1, first - PLACES, next, first + PLACES, 0] {
        assert_eq!(ring.get(other), None);
        assert_eq!(ring.get_mut(other), None);
    }
}

#[test]
fn short_ring_needs_two_segments() {
    let mut ring = ring(1);
    let mut added = 0;
    for value in 0..10 * SEGMENT_LEN as u64 {
        if ring.free_slots() == 0 {
            assert!(ring.add_segment(segment()).is_ok());
            added += 1;
        }
        ring.push(value).unwrap();
        let (popped, freed) = ring.pop().unwrap();
        assert_eq!(popped, value);
        assert!(freed.is_none());
    }
    assert!(added <= 2, "{added}");
}

#[test]
fn pop_returns_segments_that_are_not_needed() {
    let mut ring = ring(0);
    for value in 0..5 * SEGMENT_LEN as u64 {
        push(&mut ring, value);
    }
    let mut freed = 0;
    while let Some((_, segment)) = ring.pop() {
        if let Some(segment) = segment {
            assert!(segment.iter().all(Option::is_none));
            freed += 1;
        }
    }
    assert_eq!(freed, 4);
    assert_eq!(ring.free_slots(), SEGMENT_LEN);
}

#[test]
fn full_directory_refuses_a_segment() {
    let mut ring = ring(0);
    for _ in 0..TestRing::directory_len(MAX_VALUES) {
        assert!(ring.add_segment(segment()).is_ok());
    }
    let room = ring.free_slots();
    assert!(ring.add_segment(segment()).is_err());
    assert_eq!(ring.free_slots(), room);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// The ring has the values, in the order, of a `VecDeque` with the same history.
    #[test]
    fn ring_behaves_like_a_vec_deque(
        first in 0..200u64,
        bursts in prop::collection::vec((0..150usize, 0..150usize), 1..30),
    ) {
        let mut ring = ring(first);
        let mut model = VecDeque::new();
        let mut next = first;
        for (pushes, pops) in bursts {
            for _ in 0..pushes.min(MAX_VALUES - model.len()) {
                prop_assert_eq!(push(&mut ring, next * 7), next);
                model.push_back(next * 7);
                next += 1;
            }
            for _ in 0..pops {
                prop_assert_eq!(ring.pop().map(|(value, _)| value), model.pop_front());
            }
            prop_assert_eq!(ring.len(), model.len());
            prop_assert_eq!(ring.next(), next);
            prop_assert_eq!(ring.first(), next - model.len() as u64);
            for index in ring.first().saturating_sub(2)..next + 2 {
                let expected = index
                    .checked_sub(ring.first())
                    .and_then(|place| model.get(place as usize));
                prop_assert_eq!(ring.get(index), expected);
                prop_assert_eq!(ring.get_mut(index).map(|value| *value), expected.copied());
            }
        }
    }
}
