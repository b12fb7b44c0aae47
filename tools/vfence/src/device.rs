// SPDX-License-Identifier: GPL-2.0 OR MIT

//! An open file of the device: a client, which owns queues.

use crate::batch::Batch;
use crate::queue::{ManualQueue, TimerQueue};
use crate::queue_builder::QueueBuilder;
use crate::uapi::vfence as uapi;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{open, Mode, OFlags};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// An open file of the device: a client, which owns queues.
///
/// It may be shared by threads. Closing the last reference to the open file, in whatever process that is,
/// completes what is pending with `ECANCELED`. [`Counters`](crate::Counters) are such a reference.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
    /// Distinguishes it from all others of the process: ids of queues mean other queues elsewhere.
    number: u64,
}

/// What the device is and can do; see [`Device::capabilities`].
///
/// Source: `struct vfence_query`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Version of the kernel's side; only ever grows.
    pub api_version: u32,
    /// Whether [`Device::timer_queue`] works.
    pub timer_queues: bool,
    /// Whether [`Device::manual_queue`] works.
    pub manual_queues: bool,
    /// Whether [`Device::worker_queue`] works.
    pub worker_queues: bool,
    /// The bound on how long the head of a timer queue, or any job of a manual one, stays pending,
    /// and on the duration of a job; `None` when the administrator has lifted it.
    pub watchdog: Option<Duration>,
    /// Most queues that a client can have at a time.
    pub max_queues: u32,
    /// Most jobs that a queue can have pending at a time.
    pub max_jobs: u32,
    /// Most bytes of a buffer; 0 if [`Device::buffer`] does not work.
    pub max_buffer_size: u64,
}

impl Device {
    /// Where the device is.
    pub const PATH: &'static str = "/dev/vfence";

    /// Opens [`Device::PATH`].
    ///
    /// Fails with `ENOENT` when the module is not loaded, `EACCES` when the user may not.
    pub fn open() -> io::Result<Self> {
        Self::open_path(Self::PATH)
    }

    /// Opens the device at another path.
    ///
    /// Fails with `ENOTTY` if that is not a vfence device, and as [`Device::open`] does.
    pub fn open_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        Self::from_fd(open(path.as_ref(), flags, Mode::empty())?)
    }

    /// Takes a file descriptor of the device that came from elsewhere, over a socket for example.
    ///
    /// Fails with `ENOTTY` if it is not one of a vfence device.
    pub fn from_fd(fd: OwnedFd) -> io::Result<Self> {
        static LAST: AtomicU64 = AtomicU64::new(0);

        let number = LAST.fetch_add(1, Ordering::Relaxed);
        let device = Self { fd, number };
        device.capabilities()?;
        Ok(device)
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Returns what the device can do, and its limits.
    pub fn capabilities(&self) -> io::Result<Capabilities> {
        let mut query = uapi::Query::default();
        uapi::query(self.as_fd(), &mut query)?;
        Ok(Capabilities {
            api_version: query.api_version,
            timer_queues: query.capabilities & uapi::CAP_TIMER_QUEUE != 0,
            manual_queues: query.capabilities & uapi::CAP_MANUAL_QUEUE != 0,
            worker_queues: query.capabilities & uapi::CAP_WORKER_QUEUE != 0,
            watchdog: match query.watchdog_ns {
                0 => None,
                ns => Some(Duration::from_nanos(ns)),
            },
            max_queues: query.max_queues,
            max_jobs: query.max_jobs,
            max_buffer_size: query.max_buffer_size,
        })
    }

    /// Creates a queue whose jobs take the time that they are given.
    ///
    /// `name` is what its fences show as timeline; the device makes one up when it is empty. Fails with
    /// `EINVAL` when it contains a NUL or is longer than 31 bytes, `ENOSPC` when there are
    /// [`Capabilities::max_queues`] already.
    pub fn timer_queue(&self, name: &str) -> io::Result<TimerQueue<'_>> {
        self.build_queue(name).timer()
    }

    /// Creates a queue like a timer queue, whose jobs complete in process context.
    ///
    /// Name and errors are those of [`Device::timer_queue`].
    pub fn worker_queue(&self, name: &str) -> io::Result<TimerQueue<'_>> {
        self.build_queue(name).worker()
    }

    /// Creates a queue whose jobs are completed by [`ManualQueue::signal`].
    ///
    /// Name and errors are those of [`Device::timer_queue`].
    pub fn manual_queue(&self, name: &str) -> io::Result<ManualQueue<'_>> {
        self.build_queue(name).manual()
    }

    /// Begins a queue that is to behave in a way of its own; the builder's methods say how, and create it.
    pub fn build_queue<'d>(&'d self, name: &str) -> QueueBuilder<'d> {
        QueueBuilder::new(self, name)
    }

    /// Begins a batch: jobs of any queues of this client that are submitted all at once, or none of them.
    pub fn batch(&self) -> Batch<'_> {
        Batch::new(self)
    }
}

impl AsFd for Device {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<Device> for OwnedFd {
    fn from(device: Device) -> Self {
        device.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_device_is_refused() {
        let error = Device::open_path("/dev/null").unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(crate::Errno::NOTTY.raw_os_error())
        );
    }

    #[test]
    fn a_missing_device_is_not_found() {
        let error = Device::open_path("/nonexistent/vfence").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
