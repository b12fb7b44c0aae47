// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Points: jobs by queue and seqno, to wait for and to query.

use crate::clock::monotonic_ns;
use crate::fault::Faults;
use crate::job::for_kernel;
use crate::uapi::vfence as uapi;
use crate::{Device, Errno};
use rustix::fd::AsFd;
use std::io;
use std::time::Duration;

/// The queue and the seqno of a job; see [`Queue::point`](crate::Queue::point).
///
/// A point belongs to its [`Device`]; another device refuses it with `EINVAL`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Point {
    /// [`Device::number`].
    device: u64,
    queue: u32,
    seqno: u64,
}

/// The state of a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum JobState {
    /// The job waits for the jobs before it, for its in-fences, or for user space.
    Pending,
    /// The job has started.
    Running,
    /// The job has completed.
    Completed,
}

/// The state of a job and its times; see [`Queue::job_info`](crate::Queue::job_info). Times are in
/// ns on `CLOCK_MONOTONIC`.
///
/// Source: `struct vfence_job_info`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct JobInfo {
    /// The state of the job.
    pub state: JobState,
    /// The error of the job, once it has completed.
    pub error: Option<Errno>,
    /// The time of submission.
    pub submitted_ns: u64,
    /// The time at which the job started; `None` if it has not started or did not run.
    pub start_ns: Option<u64>,
    /// The time at which the job ended, which is the timestamp of its fence; `None` before that.
    pub end_ns: Option<u64>,
    /// The earliest deadline of a fence of the job; see
    /// [`SyncFile::set_deadline`](crate::SyncFile::set_deadline).
    pub deadline_ns: Option<u64>,
    /// The faults that were injected.
    pub faults: Faults,
    /// The result of the operations, as in [`Event::result`](crate::Event::result).
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

    /// Returns the seqno.
    #[must_use]
    pub fn seqno(&self) -> u64 {
        self.seqno
    }
}

impl Device {
    /// Waits until the jobs at all of `points` have completed, with or without an error, at most
    /// for `timeout`. Returns whether all have completed.
    ///
    /// Fails with `EINVAL` if a job was not submitted or belongs to another device, for no points,
    /// and for more than [`uapi::MAX_WAIT_POINTS`]; with `ENOENT` if a queue was destroyed.
    pub fn wait_all(&self, points: &[Point], timeout: Option<Duration>) -> io::Result<bool> {
        Ok(self.wait(points, 0, timeout)?.is_some())
    }

    /// Waits until the job at one of `points` has completed, at most for `timeout`. Returns the
    /// lowest index of a point whose job has completed; `None` at the timeout.
    ///
    /// Fails like [`Device::wait_all`].
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
        // An end beyond 64 bits of ns is no timeout.
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
                // The timeout is absolute: call again.
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

/// Converts a negative errno, or 0 for no error, from the kernel.
pub(crate) fn error(errno: i32) -> Option<Errno> {
    (errno != 0).then(|| Errno::from_raw_os_error(-errno))
}

/// Converts a time from the kernel, where 0 is none.
pub(crate) fn time(ns: u64) -> Option<u64> {
    (ns != 0).then_some(ns)
}
