// SPDX-License-Identifier: GPL-2.0

//! The driver's state machine, compiled on the host from the driver's own files, and its tests.
//!
//! There is nothing here but tests: `cargo test -p vfence-machine`.

#![cfg(test)]

#[path = "../../../rust/vfence/counter.rs"]
mod counter;
#[path = "../../../rust/vfence/faults.rs"]
mod faults;
#[path = "../../../rust/vfence/history.rs"]
mod history;
#[path = "../../../rust/vfence/machine.rs"]
mod machine;
#[path = "../../../rust/vfence/manual.rs"]
mod manual;
#[path = "../../../rust/vfence/pace.rs"]
mod pace;
#[path = "../../../rust/vfence/random.rs"]
mod random;
#[path = "../../../rust/vfence/schedule.rs"]
mod schedule;
#[path = "../../../rust/vfence/segments.rs"]
mod segments;

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
