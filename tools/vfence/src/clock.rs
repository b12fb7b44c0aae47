// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The clock of the timestamps of fences.

use rustix::time::{clock_gettime, ClockId};

/// Returns the time on `CLOCK_MONOTONIC` in ns, for comparison with timestamps of fences.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
