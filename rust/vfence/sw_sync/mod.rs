// SPDX-License-Identifier: GPL-2.0

//! The timeline of a counter, as sw_sync has it.

pub(crate) mod counter;
pub(crate) mod timeline;
