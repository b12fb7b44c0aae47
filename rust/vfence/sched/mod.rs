// SPDX-License-Identifier: GPL-2.0

//! The scheduler of a queue: it decides which job starts, which job ends and when, and when the
//! timer must expire next.
//!
//! Pure code: it takes no locks, reads no clock, allocates nothing, uses no kernel types and
//! imports nothing from outside this directory. The caller passes the time in, in ns of one clock,
//! and carries out the decisions. `tools/sched` compiles this directory on the host and tests it.

pub(crate) mod fault_plan;
pub(crate) mod history;
pub(crate) mod job_table;
pub(crate) mod manual;
pub(crate) mod random;
pub(crate) mod ring;
pub(crate) mod scheduler;
pub(crate) mod speed;
pub(crate) mod timed;
pub(crate) mod types;
