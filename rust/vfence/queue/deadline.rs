// SPDX-License-Identifier: GPL-2.0

//! The earliest deadline of a fence, kept in the fence's memory.

use crate::vfence::sched::types::NEVER;
use kernel::sync::atomic::{
    Acquire,
    Atomic,
    Relaxed,
    Release, //
};

/// The earliest deadline that was set on a fence.
///
/// User space gives unsigned times, and the core passes them on as `ktime_t`. A time beyond
/// `KTIME_MAX` is far in the future for the queue, but negative, and so the earliest of all, for
/// `SW_SYNC_GET_DEADLINE`, which compares as the core does.
pub(crate) struct Deadline {
    /// The earliest `ktime_t`, valid if `unsigned` is not [`NEVER`].
    signed: Atomic<i64>,
    /// The earliest unsigned time, or [`NEVER`].
    unsigned: Atomic<u64>,
}

impl Default for Deadline {
    fn default() -> Self {
        Self {
            signed: Atomic::new(i64::MAX),
            unsigned: Atomic::new(NEVER),
        }
    }
}

impl Deadline {
    /// Records `deadline`, the core's `ktime_t`, and returns it as the unsigned time.
    pub(crate) fn record(&self, deadline: i64) -> u64 {
        let mut known = self.signed.load(Relaxed);
        while deadline < known {
            match self.signed.cmpxchg(known, deadline, Relaxed) {
                Ok(_) => break,
                Err(other) => known = other,
            }
        }
        // CAST: A negative time is an unsigned time beyond `KTIME_MAX`.
        let deadline = deadline as u64;
        let kept = deadline.min(NEVER - 1);
        let mut known = self.unsigned.load(Relaxed);
        // Pairs with the `Acquire` in `signed()`.
        while kept < known {
            match self.unsigned.cmpxchg(known, kept, Release) {
                Ok(_) => break,
                Err(other) => known = other,
            }
        }
        deadline
    }

    /// Returns the earliest unsigned time, or [`NEVER`].
    pub(crate) fn unsigned(&self) -> u64 {
        self.unsigned.load(Relaxed)
    }

    /// Returns the earliest `ktime_t`, if a deadline was set.
    pub(crate) fn signed(&self) -> Option<i64> {
        (self.unsigned.load(Acquire) != NEVER).then(|| self.signed.load(Relaxed))
    }
}

#[kernel::macros::kunit_tests(vfence_deadline)]
mod tests {
    use super::*;

    #[test]
    fn earliest_deadline_is_kept() {
        let deadline = Deadline::default();
        assert_eq!(deadline.signed(), None);
        assert_eq!(deadline.unsigned(), NEVER);
        for time in [1000, 2000, 500, 700] {
            deadline.record(time);
        }
        assert_eq!(deadline.signed(), Some(500));
        assert_eq!(deadline.unsigned(), 500);
    }

    #[test]
    fn negative_deadline_is_late_as_an_unsigned_time() {
        let deadline = Deadline::default();
        for (time, unsigned, signed) in [
            (-1, u64::MAX - 1, -1),
            (-5, (-5i64) as u64, -5),
            (700, 700, -5),
            (-9, 700, -9),
            (800, 700, -9),
            (0, 0, -9),
        ] {
            deadline.record(time);
            assert_eq!(deadline.unsigned(), unsigned);
            assert_eq!(deadline.signed(), Some(signed));
        }
    }
}
