// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Submit jobs to `/dev/vfence`, a virtual device that produces fences, and wait for them.
//!
//! An open [`Device`] is a client. It owns queues: a [`TimerQueue`] completes each job after the duration
//! it was given, a [`ManualQueue`] when the program says so. A job can have an out-fence, a [`SyncFile`],
//! that can be waited for, merged, or handed to whatever takes one, another job included. A job without one
//! costs next to nothing, and is still known by its [`Point`]: it can be waited for, be given a fence later, or
//! be reported by an [`Event`]. A [`Batch`] submits up to a thousand with one system call.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! fn main() -> std::io::Result<()> {
//!     let device = vfence::Device::open()?;
//!     let decode = device.timer_queue("decode")?;
//!     let render = device.timer_queue("render")?;
//!
//!     let (_, decoded) = decode.job(Duration::from_millis(4)).submit_with_out_fence()?;
//!     let (_, rendered) = render
//!         .job(Duration::from_millis(8))
//!         .wait_for(&decoded)
//!         .submit_with_out_fence()?;
//!     rendered.wait(None)?;
//!     println!("rendered at {:?} ns", rendered.info()?.timestamp_ns());
//!     Ok(())
//! }
//! ```
//!
//! The manual of the device is its header, `include/uapi/linux/vfence.h`; [`uapi`] has its structures and
//! numbers. Times are in nanoseconds on `CLOCK_MONOTONIC`, see [`monotonic_ns`]. Errors are the kernel's errno
//! values, as [`std::io::Error`].

#![deny(missing_docs)]
#![deny(unsafe_code)]

mod batch;
mod buffer;
mod clock;
mod device;
mod event;
mod fault;
mod job;
mod point;
mod queue;
mod queue_builder;
mod sync_file;
pub mod uapi;

pub use batch::{Batch, BatchError, Submitted};
pub use buffer::Buffer;
pub use clock::monotonic_ns;
pub use device::{Capabilities, Device};
pub use event::Event;
pub use fault::{Fault, FaultCounts, FaultKind, Faults};
pub use job::{Job, Pattern};
pub use point::{JobInfo, JobState, Point};
pub use queue::{Counters, ManualQueue, Queue, QueueInfo, QueueKind, TimerQueue};
pub use queue_builder::{InFencePolicy, QueueBuilder, TimeoutPolicy};
pub use rustix::io::Errno;
pub use sync_file::{FenceInfo, Status, SyncFile, SyncFileInfo};
