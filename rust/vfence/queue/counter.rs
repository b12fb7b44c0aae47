// SPDX-License-Identifier: GPL-2.0

//! A counter of 32 bits that user space advances, and what has become of its values.
//!
//! Plain; `tools/sched` compiles this very file on the host. Values are compared modulo 2³², as in the kernel's
//! `__dma_fence_is_later()`.

use core::cmp::Ordering;

/// What has become of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It has been reached.
    Reached,
    /// It was given up: so was a later one.
    GivenUp,
    /// It is still to come.
    Later,
}

/// The counter of a timeline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counter {
    value: u32,
    /// The latest value that was given up, if it is later than `value`.
    given_up: u32,
}

/// Returns how two values compare that are within 2³¹ of each other.
fn compare(one: u32, other: u32) -> Ordering {
    // CAST: The difference, which is what has a sign.
    (one.wrapping_sub(other) as i32).cmp(&0)
}

impl Counter {
    /// Advances the counter by `step`, up to `i32::MAX`.
    pub(crate) fn advance(&mut self, step: u32) {
        self.value = self.value.wrapping_add(step);
        if compare(self.given_up, self.value).is_lt() {
            self.given_up = self.value;
        }
    }

    /// Gives up a value, and all that are earlier.
    pub(crate) fn give_up(&mut self, value: u32) {
        if compare(value, self.given_up).is_gt() {
            self.given_up = value;
        }
    }

    /// Returns how two values compare by when they come: by their distance from the counter, which is negative if they have been
    /// reached.
    pub(crate) fn compare(&self, one: u32, other: u32) -> Ordering {
        // CAST: The distances, which have a sign.
        let distance = |value: u32| value.wrapping_sub(self.value) as i32;
        distance(one).cmp(&distance(other))
    }

    /// Returns whether `value` has been reached.
    pub(crate) fn reached(&self, value: u32) -> bool {
        compare(value, self.value).is_le()
    }

    /// Returns what has become of `value`.
    pub(crate) fn standing(&self, value: u32) -> Standing {
        if self.reached(value) {
            Standing::Reached
        } else if compare(value, self.given_up).is_le() {
            Standing::GivenUp
        } else {
            Standing::Later
        }
    }
}
