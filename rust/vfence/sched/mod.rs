// SPDX-License-Identifier: GPL-2.0

//! The scheduler of a queue: which job starts, which ends and when, and what comes next.
//!
//! Pure code: no locks, no clocks, no allocation, no kernel types. The caller passes the time in, in ns
//! on one clock, and carries out what the scheduler decides. `tools/sched` compiles this folder on the
//! host and tests it. Nothing here imports anything from outside the folder.

pub(crate) mod fault_plan;
pub(crate) mod history;
pub(crate) mod manual;
pub(crate) mod random;
pub(crate) mod ring;
pub(crate) mod scheduler;
pub(crate) mod speed;
pub(crate) mod timed;
pub(crate) mod types;
