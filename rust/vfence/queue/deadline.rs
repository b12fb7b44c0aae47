// SPDX-License-Identifier: GPL-2.0

//! The earliest deadline of a fence, kept in the fence's memory.

use crate::vfence::sched::types::NEVER;
use kernel::sync::atomic::{
    Atomic,
    Relaxed, //
};

/// The earliest deadline that was set on a fence.
///
/// User space gives unsigned times, and the core passes them on as `ktime_t`. A time beyond
/// `KTIME_MAX` is a negative `ktime_t`, but far in the future for the queue.
pub(crate) struct Deadline {
    /// The earliest unsigned time, or [`NEVER`].
    earliest: Atomic<u64>,
}

impl Default for Deadline {
    fn default() -> Self {
        Self {
            earliest: Atomic::new(NEVER),
        }
    }
}

impl Deadline {
    /// Records `deadline`, the core's `ktime_t`, and returns it as the unsigned time.
    pub(crate) fn record(&self, deadline: i64) -> u64 {
        // CAST: A negative time is an unsigned time beyond `KTIME_MAX`.
        let deadline = deadline as u64;
        let kept = deadline.min(NEVER - 1);
        let mut known = self.earliest.load(Relaxed);
        while kept < known {
            match self.earliest.cmpxchg(known, kept, Relaxed) {
                Ok(_) => break,
                Err(other) => known = other,
            }
        }
        deadline
    }

    /// Returns the earliest unsigned time, or [`NEVER`].
    pub(crate) fn earliest(&self) -> u64 {
        self.earliest.load(Relaxed)
    }
}

#[kernel::macros::kunit_tests(vfence_deadline)]
mod tests {
    use super::*;

    #[test]
    fn earliest_deadline_is_kept() {
        let deadline = Deadline::default();
        assert_eq!(deadline.earliest(), NEVER);
        for time in [1000, 2000, 500, 700] {
            deadline.record(time);
        }
        assert_eq!(deadline.earliest(), 500);
    }

    #[test]
    fn negative_deadline_is_late_as_an_unsigned_time() {
        let deadline = Deadline::default();
        for (time, earliest) in [
            (-1, u64::MAX - 1),
            (-5, (-5i64) as u64),
            (700, 700),
            (-9, 700),
            (800, 700),
            (0, 0),
        ] {
            deadline.record(time);
            assert_eq!(deadline.earliest(), earliest);
        }
    }
}
