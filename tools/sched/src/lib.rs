// SPDX-License-Identifier: GPL-2.0

//! The host tests of the driver's scheduler, `rust/vfence/sched`, which is compiled here from the driver's own files.
//!
//! Run them with `cargo test -p vfence-sched`.

#![cfg(test)]

#[path = "../../../rust/vfence/sw_sync/counter.rs"]
mod counter;
#[path = "../../../rust/vfence/sched/mod.rs"]
mod sched;

mod chance_test;
mod counter_test;
mod deadline_test;
mod history_test;
mod manual_test;
mod model;
mod policy_test;
mod schedules;
mod segments_test;
mod setup;
mod time_test;
mod work_test;
