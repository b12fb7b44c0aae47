// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Jobs by queue and sequence number: waiting for them, and what is known of them.

use crate::clock::monotonic_ns;
use crate::fault::Faults;
use crate::job::for_kernel;
use crate::uapi::vfence as uapi;
use crate::{Device, Errno};
use rustix::fd::AsFd;
use std::io;
use std::time::Duration;

/// What a job is known by: its queue and its sequence number there; see [`Queue::point`](crate::Queue::point).
///
/// It belongs to the [`Device`] from which it was got; another one refuses it with `EINVAL`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Point {
    /// [`Device::number`].
    device: u64,
    queue: u32,
    seqno: u64,
}

/// How far a job has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JobState {
    /// It waits: for its turn, for its in-fences, for user space.
    Pending,
    /// It has started.
    Running,
    /// It has completed.
    Completed,
}

/// Where a job stands; see [`Queue::job_info`](crate::Queue::job_info). Times are in ns on `CLOCK_MONOTONIC`.
///
/// Source: `struct vfence_job_info`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct JobInfo {
    /// How far it has come.
    pub state: JobState,
    /// The error that it has completed with.
    pub error: Option<Errno>,
    /// When it was submitted.
    pub submitted_ns: u64,
    /// When it started to run; `None` if it has not, or never ran.
    pub start_ns: Option<u64>,
    /// When it ended, which is its fence's timestamp; `None` if it has not.
    pub end_ns: Option<u64>,
    /// The earliest deadline that a fence of the job was given, [`SyncFile::set_deadline`](crate::SyncFile::set_deadline).
    pub deadline_ns: Option<u64>,
    /// What was injected.
    pub faults: Faults,
    /// What its operations came to, as [`Event::result`](crate::Event::result).
    pub result: u64,
}

impl Point {
    pub(crate) fn new(device: &Device, queue: u32, seqno: u64) -> Self {
        Self {
            device: device.number(),
            queue,
            seqno,
        }
    }

    fn for_kernel(&self) -> uapi::Point {
        uapi::Point {
            queue: self.queue,
            pad: 0,
            seqno: self.seqno,
        }
    }

    /// Returns the id of the queue.
    #[must_use]
    pub fn queue(&self) -> u32 {
        self.queue
    }

    /// Returns the sequence number.
    #[must_use]
    pub fn seqno(&self) -> u64 {
        self.seqno
    }
}

impl Device {
    /// Waits until the jobs at all of `points` have completed, with an error or without; at most for `timeout`, or
    /// as long as it takes. Returns whether they have.
    ///
    /// Fails with `EINVAL` when one has not been submitted, or is of another device; for no points, and for more than
    /// [`uapi::MAX_WAIT_POINTS`]; `ENOENT` when a queue is gone.
    pub fn wait_all(&self, points: &[Point], timeout: Option<Duration>) -> io::Result<bool> {
        Ok(self.wait(points, 0, timeout)?.is_some())
    }

    /// Waits until the job at one of `points` has completed, and returns the lowest index of such a point; `None`
    /// when the time was up before.
    ///
    /// Fails as [`Device::wait_all`] does.
    pub fn wait_any(
        &self,
        points: &[Point],
        timeout: Option<Duration>,
    ) -> io::Result<Option<usize>> {
        let first = self.wait(points, uapi::WAIT_ANY, timeout)?;
        Ok(first.map(|first| first as usize))
    }

    fn wait(
        &self,
        points: &[Point],
        flags: u32,
        timeout: Option<Duration>,
    ) -> io::Result<Option<u32>> {
        // A time that cannot be represented is not reached either.
        let end = timeout.and_then(|timeout| monotonic_ns().checked_add(for_kernel(timeout).ok()?));
        if points.iter().any(|point| point.device != self.number()) {
            return Err(Errno::INVAL.into());
        }
        let points: Vec<uapi::Point> = points.iter().map(Point::for_kernel).collect();
        let mut wait = uapi::Wait {
            flags,
            timeout_ns: end.unwrap_or(u64::MAX),
            ..Default::default()
        };
        loop {
            match uapi::wait(self.as_fd(), &mut wait, &points) {
                // The time is absolute.
                Err(Errno::INTR) => {}
                Err(Errno::TIME) => return Ok(None),
                Err(error) => return Err(error.into()),
                Ok(()) => return Ok(Some(wait.first)),
            }
        }
    }
}

impl JobInfo {
    pub(crate) fn from_kernel(info: &uapi::JobInfo) -> io::Result<Self> {
        Ok(Self {
            state: match info.state {
                uapi::JOB_PENDING => JobState::Pending,
                uapi::JOB_RUNNING => JobState::Running,
                uapi::JOB_COMPLETED => JobState::Completed,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            },
            error: error(info.error),
            submitted_ns: info.submitted_ns,
            start_ns: time(info.start_ns),
            end_ns: time(info.end_ns),
            deadline_ns: time(info.deadline_ns),
            faults: Faults::from_kernel(info.faults),
            result: info.result,
        })
    }
}

/// Returns an error that the kernel writes as a negative errno or 0.
pub(crate) fn error(errno: i32) -> Option<Errno> {
    (errno != 0).then(|| Errno::from_raw_os_error(-errno))
}

/// Returns a time that the kernel writes as 0 when there is none.
pub(crate) fn time(ns: u64) -> Option<u64> {
    (ns != 0).then_some(ns)
}
