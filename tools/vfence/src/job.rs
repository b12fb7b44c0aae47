// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A job: what it waits for, how long it takes, how it ends.

use crate::queue::Queue;
use crate::uapi::vfence as uapi;
use crate::{Errno, SyncFile};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::io;
use std::time::Duration;

/// A job that is not submitted yet; see [`TimerQueue::job`](crate::TimerQueue::job) and
/// [`ManualQueue::job`](crate::ManualQueue::job).
///
/// On a timer queue it starts when all jobs before it have completed and all its in-fences have signalled. When one of
/// those signals with an error, the queue's [`InFencePolicy`](crate::InFencePolicy) says what happens.
#[derive(Clone, Debug)]
#[must_use = "a job does nothing until it is submitted"]
pub struct Job<'a> {
    queue: &'a Queue<'a>,
    flags: u32,
    duration: Duration,
    longest: Option<Duration>,
    error: Option<Errno>,
    in_fences: Vec<BorrowedFd<'a>>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(queue: &'a Queue<'a>, duration: Duration) -> Self {
        Self {
            queue,
            flags: 0,
            duration,
            longest: None,
            error: None,
            in_fences: Vec::new(),
        }
    }

    /// Has the job wait for `fence`, a sync_file of any driver, which may be closed once the job is submitted.
    pub fn wait_for(mut self, fence: &'a impl AsFd) -> Self {
        self.in_fences.push(fence.as_fd());
        self
    }

    /// Has the job wait for all of `fences`.
    pub fn wait_for_all(mut self, fences: impl IntoIterator<Item = &'a (impl AsFd + 'a)>) -> Self {
        self.in_fences.extend(fences.into_iter().map(AsFd::as_fd));
        self
    }

    /// Has the duration drawn, from the queue's seed, from those between the one given first and `longest`, both
    /// included. A `longest` of zero is none.
    pub fn up_to(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Has the job complete with `error`, after its duration.
    pub fn error(mut self, error: Errno) -> Self {
        self.error = Some(error);
        self
    }

    /// Has the job hang: the watchdog ends it with `ETIMEDOUT`, or [`Queue::reset`] with `ECANCELED`.
    pub fn hang(mut self) -> Self {
        self.flags |= uapi::SUBMIT_HANG;
        self
    }

    /// Has the job's completion reported; see [`Device::read_events`](crate::Device::read_events).
    pub fn event(mut self) -> Self {
        self.flags |= uapi::SUBMIT_EVENT;
        self
    }

    /// Submits the job and returns its sequence number.
    ///
    /// Fails with `EAGAIN` when [`Capabilities::max_jobs`](crate::Capabilities::max_jobs) are pending, or there are
    /// [`uapi::MAX_EVENTS`] events, of which `poll()` knows nothing: read some; `EINVAL` when the duration is longer than the watchdog allows, there are too many
    /// in-fences, one of them is no sync_file, or the queue takes no such job; `ENOSPC` when merged ones contain too many
    /// fences; `ENOMEM`.
    pub fn submit(self) -> io::Result<u64> {
        let in_fences = self.in_fence_fds();
        Ok(self.queue.submit(self.for_kernel(&in_fences, 0)?)?.0)
    }

    /// Submits the job and returns its sequence number and its out-fence.
    ///
    /// Fails with `EMFILE` when the process has no free file descriptor, and as [`Job::submit`] does.
    pub fn submit_with_out_fence(self) -> io::Result<(u64, SyncFile)> {
        let in_fences = self.in_fence_fds();
        let job = self.for_kernel(&in_fences, uapi::SUBMIT_OUT_FENCE)?;
        let (seqno, fence) = self.queue.submit(job)?;
        Ok((seqno, fence.ok_or(io::ErrorKind::InvalidData)?))
    }

    pub(crate) fn queue(&self) -> &'a Queue<'a> {
        self.queue
    }

    pub(crate) fn in_fence_fds(&self) -> Vec<RawFd> {
        self.in_fences.iter().map(AsRawFd::as_raw_fd).collect()
    }

    /// Returns the job as the kernel takes it; `in_fences` must live until then.
    pub(crate) fn for_kernel(&self, in_fences: &[RawFd], flags: u32) -> io::Result<uapi::Submit> {
        Ok(uapi::Submit {
            queue: self.queue.id(),
            flags: self.flags | flags,
            duration_ns: for_kernel(self.duration)?,
            duration_max_ns: for_kernel(self.longest.unwrap_or_default())?,
            in_fences: in_fences.as_ptr() as u64,
            in_fence_count: u32::try_from(in_fences.len()).map_err(|_| Errno::INVAL)?,
            error: self.error.map_or(0, |error| -error.raw_os_error()),
            ..Default::default()
        })
    }
}

/// Returns a duration in ns. Fails with `EINVAL` if it is longer than centuries.
pub(crate) fn for_kernel(duration: Duration) -> io::Result<u64> {
    Ok(u64::try_from(duration.as_nanos()).map_err(|_| Errno::INVAL)?)
}
