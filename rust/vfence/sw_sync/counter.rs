// SPDX-License-Identifier: GPL-2.0

//! The counter of a timeline, and the keys that order the values of its fences.
//!
//! Pure code; `tools/sched` compiles this file on the host.
//!
//! User space counts with 32 bits and compares values modulo 2³², as `__dma_fence_is_later()` does.
//! The counter has 64 bits, and a value has the 64-bit *key* that is nearest to the counter. The
//! low 32 bits of a key are the value. Keys do not wrap around, so the key of a pending fence does
//! not change while the counter advances, and an ordered tree can use it.

/// The state of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueState {
    /// The counter has reached the value.
    Reached,
    /// The watchdog has given up this value or a later one.
    GivenUp,
    /// The value is pending.
    Pending,
}

/// The counter of a timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    /// The key of the current value.
    reached: u64,
    /// The highest key that the watchdog has given up, or a lower key than `reached`.
    given_up: u64,
}

impl Default for Counter {
    /// Returns a counter with the value 0.
    fn default() -> Self {
        Self {
            // The keys of earlier values are not negative.
            reached: 1 << 32,
            given_up: 0,
        }
    }
}

impl Counter {
    /// Advances the counter by `step`, which is at most `i32::MAX`.
    pub(crate) fn advance(&mut self, step: u32) {
        self.reached += u64::from(step);
    }

    /// Gives up the value with the key `key`, and all earlier values.
    pub(crate) fn give_up(&mut self, key: u64) {
        self.given_up = self.given_up.max(key);
    }

    /// Returns the key of the current value: the highest key that the counter has reached.
    pub(crate) fn reached(&self) -> u64 {
        self.reached
    }

    /// Returns the key of `value`, within 2³¹ of that of the current value.
    pub(crate) fn key(&self, value: u32) -> u64 {
        // CAST: The low 32 bits are the current value. The difference of two values is signed.
        let distance = value.wrapping_sub(self.reached as u32) as i32;
        self.reached.wrapping_add_signed(i64::from(distance))
    }

    /// Returns the state of the value with the key `key`.
    pub(crate) fn state(&self, key: u64) -> ValueState {
        if key <= self.reached {
            ValueState::Reached
        } else if key <= self.given_up {
            ValueState::GivenUp
        } else {
            ValueState::Pending
        }
    }
}

/// Returns the value of a key.
pub(crate) fn value(key: u64) -> u32 {
    // CAST: The low 32 bits of a key are its value.
    key as u32
}
