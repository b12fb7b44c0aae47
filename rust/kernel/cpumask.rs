// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The number of CPUs that are online, which the `kernel` crate's `cpumask` does not return.
//!
//! C header: [`include/linux/cpumask.h`](srctree/include/linux/cpumask.h)

use crate::bindings;

/// Returns the number of CPUs that are online, at least 1. It may change at any time.
pub(crate) fn num_online_cpus() -> u32 {
    // SAFETY: The function reads a counter.
    unsafe { bindings::num_online_cpus() }
}
