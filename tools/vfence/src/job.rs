// SPDX-License-Identifier: GPL-2.0 OR MIT

//! A job of a timer queue: what it waits for and how long it takes.

use crate::queue::Queue;
use crate::uapi::vfence as uapi;
use crate::{Errno, SyncFile};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::io;
use std::time::Duration;

/// A job of a timer queue that is not submitted yet; see [`TimerQueue::job`](crate::TimerQueue::job).
///
/// It starts when all jobs before it have completed and all its in-fences have signalled. When one of
/// those signals with an error, it completes with that error instead of running.
#[derive(Clone, Debug)]
#[must_use = "a job does nothing until it is submitted"]
pub struct Job<'a> {
    queue: &'a Queue<'a>,
    duration: Duration,
    in_fences: Vec<BorrowedFd<'a>>,
}

impl<'a> Job<'a> {
    pub(crate) fn new(queue: &'a Queue<'a>, duration: Duration) -> Self {
        Self {
            queue,
            duration,
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

    /// Submits the job and returns its sequence number.
    ///
    /// Fails with `EAGAIN` when [`Capabilities::max_jobs`](crate::Capabilities::max_jobs) are pending,
    /// `EINVAL` when the duration is longer than the watchdog allows, there are too many in-fences, or one
    /// of them is no sync_file, `ENOSPC` when merged ones contain too many fences, `ENOMEM`.
    pub fn submit(self) -> io::Result<u64> {
        Ok(self.submit_with(0)?.0)
    }

    /// Submits the job and returns its sequence number and its out-fence.
    ///
    /// Fails with `EMFILE` when the process has no free file descriptor, and as [`Job::submit`] does.
    pub fn submit_with_out_fence(self) -> io::Result<(u64, SyncFile)> {
        let (seqno, fence) = self.submit_with(uapi::SUBMIT_OUT_FENCE)?;
        Ok((seqno, fence.ok_or(io::ErrorKind::InvalidData)?))
    }

    fn submit_with(self, flags: u32) -> io::Result<(u64, Option<SyncFile>)> {
        let in_fences: Vec<RawFd> = self.in_fences.iter().map(AsRawFd::as_raw_fd).collect();
        self.queue.submit(uapi::Submit {
            flags,
            duration_ns: u64::try_from(self.duration.as_nanos()).map_err(|_| Errno::INVAL)?,
            in_fences: in_fences.as_ptr() as u64,
            in_fence_count: u32::try_from(in_fences.len()).map_err(|_| Errno::INVAL)?,
            ..Default::default()
        })
    }
}
