// SPDX-License-Identifier: GPL-2.0

//! What a job consists of besides its place in a queue: in-fences, handles of the device node, operations,
//! and the quota that its client has for them.

pub(crate) mod handles;
pub(crate) mod in_fences;
pub(crate) mod operations;
pub(crate) mod quota;
