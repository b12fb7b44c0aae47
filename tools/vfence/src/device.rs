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
/// Threads may share it. When the last reference to the open file is closed, in any process, the
/// kernel cancels the pending jobs with `ECANCELED`. [`Counters`](crate::Counters) are such a
/// reference.
#[derive(Debug)]
pub struct Device {
    fd: OwnedFd,
    /// Unique in the process. Queue ids are per client, so they do not identify a queue alone.
    number: u64,
}

/// The capabilities and limits of the device; see [`Device::capabilities`].
///
/// Source: `struct vfence_query`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// The API version of the kernel module; later versions are larger.
    pub api_version: u32,
    /// Whether [`Device::timer_queue`] works.
    pub timer_queues: bool,
    /// Whether [`Device::manual_queue`] works.
    pub manual_queues: bool,
    /// Whether [`Device::worker_queue`] works.
    pub worker_queues: bool,
    /// The bound on how long the head of a timer queue, or any job of a manual queue, stays
    /// pending, and on the duration of a job; `None` if the administrator has lifted it.
    pub watchdog: Option<Duration>,
    /// The limit of queues of a client.
    pub max_queues: u32,
    /// The limit of pending jobs of a queue.
    pub max_jobs: u32,
    /// The limit of bytes of a buffer; 0 if [`Device::buffer`] does not work.
    pub max_buffer_size: u64,
}

impl Device {
    /// The path of the device node.
    pub const PATH: &'static str = "/dev/vfence";

    /// Opens [`Device::PATH`].
    ///
    /// Fails with `ENOENT` if the module is not loaded, and with `EACCES` if the user has no
    /// permission.
    pub fn open() -> io::Result<Self> {
        Self::open_path(Self::PATH)
    }

    /// Opens the device node at `path`.
    ///
    /// Fails like [`Device::open`], and with `ENOTTY` if `path` is not a vfence device.
    pub fn open_path(path: impl AsRef<Path>) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        Self::from_fd(open(path.as_ref(), flags, Mode::empty())?)
    }

    /// Takes a file descriptor of the device, for example one received over a socket.
    ///
    /// Fails with `ENOTTY` if it is not that of a vfence device.
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

    /// Returns the capabilities and limits of the device.
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

    /// Creates a queue whose jobs complete after their durations, in a timer interrupt.
    ///
    /// `name` is the timeline name of its fences; if it is empty, the device chooses one. Fails
    /// with `EINVAL` if `name` contains a NUL or is longer than 31 bytes, and with `ENOSPC` if the
    /// client has [`Capabilities::max_queues`] queues.
    pub fn timer_queue(&self, name: &str) -> io::Result<TimerQueue<'_>> {
        self.build_queue(name).timer()
    }

    /// Creates a queue whose jobs complete after their durations, in process context.
    ///
    /// The name and the errors are those of [`Device::timer_queue`].
    pub fn worker_queue(&self, name: &str) -> io::Result<TimerQueue<'_>> {
        self.build_queue(name).worker()
    }

    /// Creates a queue whose jobs complete by [`ManualQueue::signal`].
    ///
    /// The name and the errors are those of [`Device::timer_queue`].
    pub fn manual_queue(&self, name: &str) -> io::Result<ManualQueue<'_>> {
        self.build_queue(name).manual()
    }

    /// Returns a builder for a queue with other settings than the defaults.
    pub fn build_queue<'d>(&'d self, name: &str) -> QueueBuilder<'d> {
        QueueBuilder::new(self, name)
    }

    /// Returns an empty batch, which submits jobs to queues of this client, all or none.
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
    fn other_device_is_refused() {
        let error = Device::open_path("/dev/null").unwrap_err();
        assert_eq!(
            error.raw_os_error(),
            Some(crate::Errno::NOTTY.raw_os_error())
        );
    }

    #[test]
    fn missing_device_is_not_found() {
        let error = Device::open_path("/nonexistent/vfence").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
