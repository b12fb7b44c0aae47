// SPDX-License-Identifier: GPL-2.0

//! dma-bufs: creation, mappings, implicit synchronisation, and the operations of jobs on them.

pub(crate) mod create;
pub(crate) mod job_operations;
pub(crate) mod map;
pub(crate) mod operations;
pub(crate) mod resv;
