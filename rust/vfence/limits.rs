// SPDX-License-Identifier: GPL-2.0

//! The limits of a device, which the module parameters set.

use crate::module_parameters;
use kernel::prelude::*;

/// The largest valid `max_jobs`.
const HIGHEST_MAX_JOBS: u32 = 1 << 20;

/// The largest valid `max_buffer_mib`, in bytes.
const HIGHEST_MAX_BUFFER: u64 = 1 << 40;

/// Bounds on the resources that a client can pin, and on the time for which it can.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Longest time that the head of a timer or worker queue, or a job of a manual queue, stays
    /// pending, in ns; `None` if unbounded.
    pub(crate) watchdog: Option<u64>,
    /// Most queues of a client, at least 1.
    pub(crate) max_queues: u32,
    /// Most pending jobs of a queue, at least 1.
    pub(crate) max_jobs: u32,
    /// Largest buffer, in bytes.
    pub(crate) max_buffer: u64,
}

impl Limits {
    /// Returns the limits that the module parameters set. Fails with `EINVAL`, and logs the reason,
    /// if one is out of range.
    pub(crate) fn from_parameters() -> Result<Self> {
        let limits = Self {
            watchdog: match *module_parameters::watchdog_ms.value_ref() {
                0 => None,
                ms => Some(u64::from(ms) * 1_000_000),
            },
            max_queues: *module_parameters::max_queues.value_ref(),
            max_jobs: *module_parameters::max_jobs.value_ref(),
            max_buffer: u64::from(*module_parameters::max_buffer_mib.value_ref()) << 20,
        };
        if limits.max_queues == 0 {
            pr_err!("max_queues=0: must be at least 1\n");
            return Err(EINVAL);
        }
        if limits.max_jobs == 0 || limits.max_jobs > HIGHEST_MAX_JOBS {
            pr_err!(
                "max_jobs={}: must be from 1 to {}\n",
                limits.max_jobs,
                HIGHEST_MAX_JOBS
            );
            return Err(EINVAL);
        }
        if limits.max_buffer == 0 || limits.max_buffer > HIGHEST_MAX_BUFFER {
            pr_err!(
                "max_buffer_mib={}: must be from 1 to {}\n",
                limits.max_buffer >> 20,
                HIGHEST_MAX_BUFFER >> 20
            );
            return Err(EINVAL);
        }
        if limits.watchdog.is_none() {
            pr_notice!("watchdog_ms=0: the time until a fence signals is unbounded\n");
        }
        Ok(limits)
    }
}
