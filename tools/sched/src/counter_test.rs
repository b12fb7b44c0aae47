// SPDX-License-Identifier: GPL-2.0

//! The counter of a timeline: keys order values modulo 2³², and a value that was given up stays so
//! until the counter reaches it.

use crate::counter::{value, Counter, ValueState};
use proptest::prelude::*;

const MAX: u32 = i32::MAX as u32;

fn at(value: u32) -> Counter {
    let mut counter = Counter::default();
    counter.advance(value / 2);
    counter.advance(value - value / 2);
    counter
}

fn state(counter: &Counter, value: u32) -> ValueState {
    counter.state(counter.key(value))
}

fn give_up(counter: &mut Counter, value: u32) {
    counter.give_up(counter.key(value));
}

#[test]
fn keys_order_values_around_the_counter() {
    for start in [0, 7, MAX, MAX + 1, u32::MAX] {
        let counter = at(start);
        // From half of the values before the counter to half of the values after it.
        let distances = [i32::MIN, -7, -1, 0, 1, 7, i32::MAX];
        for (one, other) in distances
            .iter()
            .flat_map(|one| distances.map(|other| (*one, other)))
        {
            let key = |distance: i32| counter.key(start.wrapping_add(distance as u32));
            assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
        }
    }
}

#[test]
fn key_of_a_value_does_not_change_while_it_is_pending() {
    for start in [0, MAX, u32::MAX] {
        let mut counter = at(start);
        for ahead in [1, 1000, MAX] {
            let pending = start.wrapping_add(ahead);
            let key = counter.key(pending);
            assert_eq!(value(key), pending);
            let mut later = counter;
            for step in [0, ahead / 2, ahead - ahead / 2] {
                later.advance(step);
                assert_eq!(later.key(pending), key);
            }
            assert_eq!(later.reached(), key);
        }
        counter.advance(MAX);
        // The counter can be 2³¹ ahead of a fence that it has reached, and that has not signalled.
        counter.advance(1);
        assert_eq!(counter.key(start), at(start).reached());
    }
}

#[test]
fn counter_begins_at_0() {
    let counter = Counter::default();
    assert_eq!(value(counter.reached()), 0);
    assert_eq!(state(&counter, 0), ValueState::Reached);
    assert_eq!(state(&counter, 1), ValueState::Pending);
    assert_eq!(state(&counter, u32::MAX), ValueState::Reached);
}

#[test]
fn earlier_values_are_given_up_too() {
    let mut counter = at(10);
    give_up(&mut counter, 20);
    give_up(&mut counter, 15);
    assert_eq!(state(&counter, 10), ValueState::Reached);
    assert_eq!(state(&counter, 11), ValueState::GivenUp);
    assert_eq!(state(&counter, 20), ValueState::GivenUp);
    assert_eq!(state(&counter, 21), ValueState::Pending);
    counter.advance(5);
    assert_eq!(state(&counter, 15), ValueState::Reached);
    assert_eq!(state(&counter, 16), ValueState::GivenUp);
    counter.advance(100);
    assert_eq!(state(&counter, 115), ValueState::Reached);
    assert_eq!(state(&counter, 116), ValueState::Pending);
}

proptest! {
    #[test]
    fn counter_wraps_around(
        start in any::<u32>(),
        steps in prop::collection::vec((0..=MAX, 0..=MAX), 1..50)
    ) {
        let mut counter = at(start);
        // A model with 64 bits, far from their ends.
        let (mut now, mut given_up) = ((1u64 << 32) | u64::from(start), 0u64);
        for (step, ahead) in steps {
            let future = now + u64::from(ahead);
            prop_assert_eq!(
                state(&counter, future as u32),
                if future <= now {
                    ValueState::Reached
                } else if future <= given_up {
                    ValueState::GivenUp
                } else {
                    ValueState::Pending
                }
            );
            let past = now - u64::from(ahead);
            prop_assert_eq!(state(&counter, past as u32), ValueState::Reached);
            prop_assert_eq!(value(counter.key(past as u32)), past as u32);
            if ahead % 3 == 0 && future > given_up {
                give_up(&mut counter, future as u32);
                given_up = future;
            }
            counter.advance(step);
            now += u64::from(step);
        }
    }
}
