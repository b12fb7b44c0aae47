// SPDX-License-Identifier: GPL-2.0

//! The parts of a job other than its place in a queue: in-fences, handles of the device node,
//! and the quota of its client.

pub(crate) mod handles;
pub(crate) mod in_fences;
pub(crate) mod quota;
