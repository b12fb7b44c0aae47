// SPDX-License-Identifier: GPL-2.0

//! The driver: what `/dev/vfence` and the render node have in common.
//!
//! | module | what it holds |
//! |---|---|
//! | `ioctl` | one file for each group of ioctls of the UAPI header; `submit` is where jobs come in |
//! | `file` | the other file operations: open, release, read, poll, mmap, fdinfo |
//! | `module` | what a module owns while it is loaded; `debugfs`, its files there |
//! | `device`, `client` | what all open files share; one open file and its queues |
//! | `queue` | a queue: locks, timer, worker, and fences around a scheduler |
//! | `sw_sync` | the timeline of `/dev/sw_sync` |
//! | `job` | what a job waits for, names and does |
//! | `buffer` | dma-bufs: creation, mappings, implicit synchronisation, operations |
//! | `sched` | the decisions of a queue, pure code that the host tests |
//! | `events`, `limits`, `uarg`, `charged` | events of a client, module parameters, ioctl arguments, memory |
//!
//! Imports go down this list and never up: see `Documentation/design.md`.

#![deny(unsafe_code)]

pub(crate) mod buffer;
pub(crate) mod charged;
pub(crate) mod client;
pub(crate) mod debugfs;
pub(crate) mod device;
pub(crate) mod events;
pub(crate) mod file;
pub(crate) mod ioctl;
pub(crate) mod job;
pub(crate) mod limits;
pub(crate) mod module;
pub(crate) mod queue;
pub(crate) mod sched;
pub(crate) mod sw_sync;
pub(crate) mod uarg;
