// SPDX-License-Identifier: GPL-2.0

//! The driver: what `/dev/vfence` and the render node have in common.
//!
//! - `ioctl`: a file for each group of ioctls of the UAPI header. Jobs come in by `submit`.
//! - `file`: the other file operations: open, release, read, poll, mmap, fdinfo.
//! - `module`: the state of a loaded module; `instance`: a device with its debugfs files;
//!   `debugfs`, `listing`: the text of the file `queues`, and the list that it shows.
//! - `client`, `device`, `shared`: an open file with its queues, what all open files of a device
//!   share, and what all devices share; `engines`: the queues of a client in fdinfo.
//! - `queue`: a queue, with its locks, timer, worker, and fences around a scheduler.
//! - `sw_sync`: a timeline of `/dev/sw_sync`.
//! - `buffer`: dma-bufs: creation, mappings, implicit synchronisation, operations of jobs.
//! - `job`: in-fences and handles of a job, and quotas of its client.
//! - `budget`, `backlog`: the interrupt time of a CPU, and the queues that have used it up.
//! - `settings`, `limits`, `faults`: the settings of a device, and those that a queue keeps: its
//!   limits, and the rules of its fault plan.
//! - `presence`, `events`, `uarg`, `descriptor`, `charged`: whether the device is there, events of
//!   a client, arguments of ioctls, descriptors they return, memory charged to the caller's cgroup.
//! - `refusal`: the reason of an errno, as a debug message.
//! - `sched`: the decisions of a queue, pure code that is tested on the host.
//!
//! Imports go down this list, never up: see `Documentation/design.md`.

#![deny(unsafe_code)]

pub(crate) mod backlog;
pub(crate) mod budget;
pub(crate) mod buffer;
pub(crate) mod charged;
pub(crate) mod client;
pub(crate) mod debugfs;
pub(crate) mod descriptor;
pub(crate) mod device;
pub(crate) mod engines;
pub(crate) mod events;
pub(crate) mod faults;
pub(crate) mod file;
pub(crate) mod instance;
pub(crate) mod ioctl;
pub(crate) mod job;
pub(crate) mod limits;
pub(crate) mod listing;
pub(crate) mod module;
pub(crate) mod presence;
pub(crate) mod queue;
pub(crate) mod refusal;
pub(crate) mod sched;
pub(crate) mod settings;
pub(crate) mod shared;
pub(crate) mod sw_sync;
pub(crate) mod uarg;
