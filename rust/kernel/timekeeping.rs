// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `CLOCK_MONOTONIC`, the clock of fences and timers.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)
//!
//! Timestamps of fences and expiries of timers are absolute times. The `kernel` crate does not let
//! modules convert its `Instant` to or from one, so times are plain nanoseconds here.

use crate::bindings;

/// Converts a time to C's `ktime_t`. A time beyond `KTIME_MAX` becomes `KTIME_MAX`.
pub(super) fn ktime(ns: u64) -> bindings::ktime_t {
    bindings::ktime_t::try_from(ns).unwrap_or(bindings::ktime_t::MAX)
}

/// Returns the time on `CLOCK_MONOTONIC`, in ns.
pub(crate) fn ktime_get() -> u64 {
    // SAFETY: The function may be called in any context but NMI.
    let now = unsafe { bindings::ktime_get() };
    // CAST: `CLOCK_MONOTONIC` starts at 0 and does not go backwards.
    now as u64
}
