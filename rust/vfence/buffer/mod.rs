// SPDX-License-Identifier: GPL-2.0

//! dma-bufs: creating them, mapping them for operations, implicit synchronisation, and the operations.

pub(crate) mod create;
pub(crate) mod map;
pub(crate) mod ops;
pub(crate) mod resv;
