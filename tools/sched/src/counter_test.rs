// SPDX-License-Identifier: GPL-2.0

//! Counters: values are compared modulo 2³², and what was given up stays that until it has been passed.

use crate::counter::{Counter, Standing};
use proptest::prelude::*;

const MOST: u32 = i32::MAX as u32;

fn at(value: u32) -> Counter {
    let mut counter = Counter::default();
    counter.advance(value / 2);
    counter.advance(value - value / 2);
    counter
}

#[test]
fn values_are_in_order_around_the_counter() {
    for start in [0, 7, MOST, MOST + 1, u32::MAX] {
        let counter = at(start);
        // From half the circle behind it to half the circle before.
        let distances = [i32::MIN, -7, -1, 0, 1, 7, i32::MAX];
        for (one, other) in distances
            .iter()
            .flat_map(|one| distances.map(|other| (*one, other)))
        {
            let value = |distance: i32| start.wrapping_add(distance as u32);
            assert_eq!(counter.compare(value(one), value(other)), one.cmp(&other));
        }
    }
}

#[test]
fn counter_begins_at_0() {
    let counter = Counter::default();
    assert_eq!(counter.standing(0), Standing::Reached);
    assert_eq!(counter.standing(1), Standing::Later);
    assert_eq!(counter.standing(u32::MAX), Standing::Reached);
}

#[test]
fn earlier_values_are_given_up_too() {
    let mut counter = at(10);
    counter.give_up(20);
    counter.give_up(15);
    assert_eq!(counter.standing(10), Standing::Reached);
    assert_eq!(counter.standing(11), Standing::GivenUp);
    assert_eq!(counter.standing(20), Standing::GivenUp);
    assert_eq!(counter.standing(21), Standing::Later);
    counter.advance(5);
    assert_eq!(counter.standing(15), Standing::Reached);
    assert_eq!(counter.standing(16), Standing::GivenUp);
    counter.advance(100);
    assert_eq!(counter.standing(115), Standing::Reached);
    assert_eq!(counter.standing(116), Standing::Later);
}

proptest! {
    #[test]
    fn counter_goes_around(
        start in any::<u32>(),
        steps in prop::collection::vec((0..=MOST, 0..=MOST), 1..50)
    ) {
        let mut counter = at(start);
        // What a counter of 64 bits would say, far from its ends.
        let (mut value, mut given_up) = ((1u64 << 32) | u64::from(start), 0u64);
        for (step, ahead) in steps {
            let future = value + u64::from(ahead);
            prop_assert_eq!(
                counter.standing(future as u32),
                if future <= value {
                    Standing::Reached
                } else if future <= given_up {
                    Standing::GivenUp
                } else {
                    Standing::Later
                }
            );
            let past = value - u64::from(ahead);
            prop_assert_eq!(counter.standing(past as u32), Standing::Reached);
            if ahead % 3 == 0 && future > given_up {
                counter.give_up(future as u32);
                given_up = future;
            }
            counter.advance(step);
            value += u64::from(step);
        }
    }
}
