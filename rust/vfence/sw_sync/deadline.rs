// SPDX-License-Identifier: GPL-2.0

//! The earliest deadline of a fence, kept in the fence's memory.

use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};

/// The earliest deadline that was set on a fence, compared as the core compares `ktime_t`.
///
/// User space sets unsigned times. A time beyond `KTIME_MAX` is a negative `ktime_t`, and so
/// earlier than all others, as in the kernel's sw_sync.
pub(crate) struct SignedDeadline {
    /// Valid if `is_set`.
    earliest: Atomic<i64>,
    is_set: Atomic<bool>,
}

impl Default for SignedDeadline {
    fn default() -> Self {
        Self {
            earliest: Atomic::new(i64::MAX),
            is_set: Atomic::new(false),
        }
    }
}

impl SignedDeadline {
    /// Records `deadline`, a `ktime_t`.
    pub(crate) fn record(&self, deadline: i64) {
        let mut known = self.earliest.load(Relaxed);
        while deadline < known {
            match self.earliest.cmpxchg(known, deadline, Relaxed) {
                Ok(_) => break,
                Err(other) => known = other,
            }
        }
        // Pairs with the `Acquire` in `earliest()`.
        self.is_set.store(true, Release);
    }

    /// Returns the earliest deadline, if one was set.
    pub(crate) fn earliest(&self) -> Option<i64> {
        self.is_set
            .load(Acquire)
            .then(|| self.earliest.load(Relaxed))
    }
}

#[kernel::macros::kunit_tests(vfence_sw_sync_deadline)]
mod tests {
    use super::*;

    #[test]
    fn earliest_deadline_is_kept() {
        let deadline = SignedDeadline::default();
        assert_eq!(deadline.earliest(), None);
        for (time, earliest) in [
            (i64::MAX, i64::MAX),
            (1000, 1000),
            (2000, 1000),
            (500, 500),
            (700, 500),
            (0, 0),
        ] {
            deadline.record(time);
            assert_eq!(deadline.earliest(), Some(earliest));
        }
    }

    #[test]
    fn negative_deadline_is_earlier_than_zero() {
        let deadline = SignedDeadline::default();
        for (time, earliest) in [(0, 0), (-1, -1), (-5, -5), (700, -5), (-9, -9)] {
            deadline.record(time);
            assert_eq!(deadline.earliest(), Some(earliest));
        }
    }
}
