// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Submits jobs to `/dev/vfence`, a virtual device that produces fences, and waits for them.
//!
//! An open [`Device`] is a client, which owns queues. A [`TimerQueue`] completes each job after its
//! duration, a [`ManualQueue`] when the program signals it. A job can have an out-fence, a
//! [`SyncFile`], which can be waited for, merged, used as the in-fence of another job, or passed to
//! any driver that takes one. A job without an out-fence needs no file descriptor: its [`Point`]
//! identifies it. The program can wait for a point, export a fence for it later, or read an
//! [`Event`] when it completes. A [`Batch`] submits up to 1024 jobs with one system call.
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
//! The header `include/uapi/linux/vfence.h` is the manual of the device; [`uapi`] has its
//! structures and numbers. Times are in nanoseconds on `CLOCK_MONOTONIC`, see [`monotonic_ns`].
//! Errors are the kernel's errno values, as [`std::io::Error`].

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
