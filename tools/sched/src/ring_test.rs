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

#[test]
fn pop_if_leaves_a_value_that_is_not_wanted() {
    let mut ring = ring(1);
    assert!(ring.pop_if(|_| true).is_none());
    push(&mut ring, 7);
    assert!(ring.pop_if(|value| *value == 8).is_none());
    assert_eq!(ring.get(1), Some(&7));
    let popped = ring.pop_if(|value| *value == 7);
    assert_eq!(popped.map(|(value, _)| value), Some(7));
    assert_eq!(ring.len(), 0);
}

#[test]
fn pop_run_stops_at_an_unwanted_value_and_at_the_end_of_a_segment() {
    const END: u64 = SEGMENT_LEN as u64;
    let mut ring = ring(0);
    assert!(ring.pop_run(|_, _| true, |_, _| unreachable!()).is_none());
    for value in 0..END + 10 {
        push(&mut ring, 2 * value);
    }
    let mut run = |last| {
        let mut removed = Vec::new();
        let segment = ring.pop_run(
            |index, value| {
                assert_eq!(*value, 2 * index);
                index <= last
            },
            |index, value| removed.push((index, value)),
        );
        assert!(segment.is_none(), "the ring reuses the segment");
        removed
    };
    let values =
        |range: std::ops::Range<u64>| -> Vec<_> { range.map(|index| (index, 2 * index)).collect() };
    assert_eq!(run(4), values(0..5));
    assert_eq!(run(4), values(5..5));
    assert_eq!(run(u64::MAX), values(5..END));
    assert_eq!(run(u64::MAX), values(END..END + 10));
    assert_eq!((ring.first(), ring.len()), (END + 10, 0));
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
