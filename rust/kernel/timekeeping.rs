// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The clock of fences and timers.
//!
//! C header: [`include/linux/timekeeping.h`](srctree/include/linux/timekeeping.h)
//!
//! The `kernel` crate's `Instant` cannot be made of, or turned into, the absolute time that a
//! fence's timestamp and a timer's expiry are, so those are plain nanoseconds here.

use crate::bindings;

/// Returns what C takes for the time `ns`; the latest it knows stands for all that are later.
pub(super) fn ktime(ns: u64) -> bindings::ktime_t {
    bindings::ktime_t::try_from(ns).unwrap_or(bindings::ktime_t::MAX)
}

/// Returns the time on `CLOCK_MONOTONIC`, in ns.
pub(crate) fn ktime_get() -> u64 {
    // SAFETY: There are no requirements; it may be called from any context but NMI.
    let now = unsafe { bindings::ktime_get() };
    // CAST: `CLOCK_MONOTONIC` starts at 0 and does not go backwards.
    now as u64
}
