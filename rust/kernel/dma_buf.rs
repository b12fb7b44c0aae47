// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Buffers that drivers and user space share.
//!
//! C header: [`include/linux/dma-buf.h`](srctree/include/linux/dma-buf.h)
//!
//! Documentation:
//! [`Documentation/driver-api/dma-buf.rst`](srctree/Documentation/driver-api/dma-buf.rst)
//!
//! The exporter, an [`Exporter`], owns the memory. Importers use it:
//!
//! ```text
//!   Exporter ─export─▶ ARef<DmaBuf> ─install─▶ file descriptor ─from_fd─▶ ARef<DmaBuf>
//!                                                                             │
//!     for a device:  Attachment ──▶ Mapping: a scatter-gather table  ◀────────┤
//!     for the CPU:   Vmap: kernel addresses; CpuAccess during a use  ◀────────┘
//! ```
//!
//! The fences in a buffer's [reservation object](DmaBuf::resv) order the work on the buffer. A
//! buffer keeps its exporter and the exporter's module until its last reference is dropped.

mod attachment;
mod buf;
mod cpu_access;
mod export;
mod exporter;
#[cfg(CONFIG_KUNIT = "y")]
mod fixture;
mod ops;
mod vmap;

pub(crate) use attachment::{
    Attachment,
    Mapping, //
};
pub(crate) use buf::DmaBuf;
// The driver does not name the type.
#[allow(unused_imports)]
pub(crate) use cpu_access::CpuAccess;
pub(crate) use exporter::Exporter;
pub(crate) use vmap::Vmap;
