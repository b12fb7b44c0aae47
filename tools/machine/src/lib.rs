// SPDX-License-Identifier: GPL-2.0

//! The driver's state machine, compiled on the host from the driver's own file, and its tests.
//!
//! There is nothing here but tests: `cargo test -p vfence-machine`.

#![cfg(test)]

#[path = "../../../rust/vfence/machine.rs"]
mod machine;
mod model;
mod schedules;
mod single;
