// SPDX-License-Identifier: GPL-2.0

//! The host tests of `rust/vfence/sched`, which this crate compiles from the driver's own files.
//!
//! `cargo test -p vfence-sched` runs them.

#![cfg(test)]

#[path = "../../../rust/vfence/sw_sync/counter.rs"]
mod counter;
#[path = "../../../rust/vfence/sched/mod.rs"]
mod sched;

mod busy_test;
mod counter_test;
mod deadline_test;
mod fault_plan_test;
mod fixtures;
mod job_state_test;
mod manual_test;
mod model;
mod operations_test;
mod policy_test;
mod random_test;
mod ring_test;
mod schedules_test;
mod speed_test;
mod timing_test;
