// SPDX-License-Identifier: GPL-2.0

//! What the administrator allows: the module's parameters.

use crate::module_parameters;
use kernel::prelude::*;

/// Most jobs that a queue can be allowed to have pending.
const MOST_JOBS: u32 = 1 << 20;

/// Most bytes that a buffer can be allowed to have.
const MOST_BUFFER: u64 = 1 << 40;

/// The bounds on what a client can pin, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Bound on how long the head of a timer queue, or a manual job, stays pending, in ns; `None` when
    /// it was lifted.
    pub(crate) watchdog: Option<u64>,
    /// Most queues of a client.
    pub(crate) max_queues: u32,
    /// Most pending jobs of a queue.
    pub(crate) max_jobs: u32,
    /// Most bytes of a buffer.
    pub(crate) max_buffer: u64,
}

impl Limits {
    /// Returns the limits.
    pub(crate) fn get() -> Self {
        Self {
            watchdog: match *module_parameters::watchdog_ms.value_ref() {
                0 => None,
                ms => Some(u64::from(ms) * 1_000_000),
            },
            max_queues: *module_parameters::max_queues.value_ref(),
            max_jobs: *module_parameters::max_jobs.value_ref(),
            max_buffer: u64::from(*module_parameters::max_buffer_mib.value_ref()) << 20,
        }
    }

    /// Fails with `EINVAL`, and says why, if a parameter makes no sense; to be called on loading.
    pub(crate) fn check() -> Result {
        let limits = Self::get();
        if limits.max_queues == 0 {
            pr_err!("max_queues must not be 0\n");
            return Err(EINVAL);
        }
        if limits.max_jobs == 0 || limits.max_jobs > MOST_JOBS {
            pr_err!("max_jobs must be from 1 to {}\n", MOST_JOBS);
            return Err(EINVAL);
        }
        if limits.max_buffer == 0 || limits.max_buffer > MOST_BUFFER {
            pr_err!("max_buffer_mib must be from 1 to {}\n", MOST_BUFFER >> 20);
            return Err(EINVAL);
        }
        if limits.watchdog.is_none() {
            pr_notice!("watchdog_ms=0: fences may stay unsignalled for ever\n");
        }
        Ok(())
    }
}
