// SPDX-License-Identifier: GPL-2.0

//! dma-bufs: creation, mappings, implicit synchronisation, and the operations of jobs on them.

pub(crate) mod create;
pub(crate) mod map;
pub(crate) mod ops;
pub(crate) mod resv;
