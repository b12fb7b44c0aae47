// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The Direct Rendering Manager for drivers without hardware: devices with selectable features,
//! buffer objects that wrap dma-bufs, dumb buffers, and syncobjs.
//!
//! C headers: those in [`include/drm/`](srctree/include/drm/)
//!
//! ```text
//!   Registration<T> { T::Data } ── open ──▶ File<T> { T::File } ── ioctl ──▶ T::ioctl, or the core
//!                                              │
//!                            handles of this file: gem::Object, Syncobj
//! ```

// An abstraction is complete even where the driver uses only a part of it.
#![allow(dead_code)]
#![deny(clippy::undocumented_unsafe_blocks, unsafe_op_in_unsafe_fn)]

mod device;
mod driver;
mod dumb;
mod dumb_buffer;
mod file;
mod gem;
mod modeset;
mod registration;
mod syncobj;

pub(crate) use driver::{
    Driver,
    Feature, //
};
pub(crate) use dumb_buffer::DumbBuffer;
pub(crate) use file::File;
pub(crate) use gem::{
    NewHandle,
    Object,
    ObjectRef, //
};
pub(crate) use registration::{
    Recovery,
    Registration, //
};
pub(crate) use syncobj::{
    find_fence,
    Syncobj, //
};
