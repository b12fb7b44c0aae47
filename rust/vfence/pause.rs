// SPDX-License-Identifier: GPL-2.0

//! The pause of a timer interrupt that has more to complete than one interrupt may.

use crate::kernel_ext::timekeeping::ktime_get;

/// The shortest pause, in ns.
const MIN: u64 = 20_000;

/// Returns the time, in ns on `CLOCK_MONOTONIC`, at which an interrupt that began at `begun` may
/// continue. The pause leaves at least half of the CPU's time to others.
pub(crate) fn end_of_pause(begun: u64) -> u64 {
    let now = ktime_get();
    now + (now - begun).max(MIN)
}
