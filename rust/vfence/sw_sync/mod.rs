// SPDX-License-Identifier: GPL-2.0

//! The timelines of `/dev/sw_sync`: counters of 32 bits whose fences signal when the counter
//! reaches their values.
//!
//! - `counter`: the counter, and the 64-bit keys of its values; pure code, tested on the host.
//! - `ordered_tree`: the ordered tree of the pending fences.
//! - `age`: the time from which the watchdog counts for a fence.
//! - `timeline`: [`SwSyncTimeline`](timeline::SwSyncTimeline): the lock, creation, advance, close.
//! - `watchdog`: the timer that completes fences with `-ETIMEDOUT`.
//! - `deadline`, `name`: the deadline of a fence, the name of a timeline.

pub(crate) mod age;
pub(crate) mod counter;
pub(crate) mod deadline;
pub(crate) mod name;
pub(crate) mod ordered_tree;
pub(crate) mod timeline;
pub(crate) mod watchdog;
