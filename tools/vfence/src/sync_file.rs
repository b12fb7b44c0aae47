// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fences as file descriptors.

use crate::queue::{name_for_kernel, name_from_kernel};
use crate::uapi::sync_file as uapi;
use crate::Errno;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::time::{Duration, Instant};

/// The file descriptor of a fence, or of several merged ones, of this or of any driver.
///
/// It polls readable once all of them have signalled, with an error or without. Its methods
/// fail with `ENOTTY` on a file of another kind.
#[derive(Debug)]
pub struct SyncFile {
    fd: OwnedFd,
}

/// Whether a fence has signalled.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// Not yet.
    Pending,
    /// It has.
    Signalled,
    /// It has, with an error: `ECANCELED` when its queue was closed, `ETIMEDOUT` when the watchdog ended
    /// it, or what the job or an in-fence failed with.
    Failed(Errno),
}

/// A fence of a sync_file; see [`SyncFile::info`].
///
/// Source: `struct sync_fence_info`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FenceInfo {
    /// The driver: "vfence", or, once it has signalled, "detached-driver".
    pub driver: String,
    /// The timeline: the queue's name, or, once it has signalled, "signaled-timeline".
    pub timeline: String,
    /// Whether it has signalled.
    pub status: Status,
    /// When, in ns on `CLOCK_MONOTONIC`; `None` while it is pending.
    pub timestamp_ns: Option<u64>,
}

/// A sync_file as a whole; see [`SyncFile::info`].
///
/// Source: `struct sync_file_info`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SyncFileInfo {
    /// The name it was merged under, or one the kernel made.
    pub name: String,
    /// Whether all its fences have signalled, and the error of one that has failed.
    pub status: Status,
    /// Its fences.
    pub fences: Vec<FenceInfo>,
}

impl SyncFile {
    /// Waits until the fence has signalled, with an error or without; at most for `timeout`, or as long as
    /// it takes. Returns whether it has.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        // A time that cannot be represented is not reached either.
        let end = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        loop {
            let left = end.map(|end| end.saturating_duration_since(Instant::now()));
            let left = left.and_then(|left| Timespec::try_from(left).ok());
            let mut files = [PollFd::new(&self.fd, PollFlags::IN)];
            match poll(&mut files, left.as_ref()) {
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
                Ok(ready) => return Ok(ready > 0),
            }
        }
    }

    /// Returns whether it has signalled.
    pub fn status(&self) -> io::Result<Status> {
        let mut info = uapi::FileInfo::default();
        uapi::file_info(self.as_fd(), &mut info, &mut [])?;
        Ok(Status::from_kernel(info.status))
    }

    /// Returns all that the kernel tells about it.
    pub fn info(&self) -> io::Result<SyncFileInfo> {
        let mut info = uapi::FileInfo::default();
        uapi::file_info(self.as_fd(), &mut info, &mut [])?;
        let mut fences = vec![uapi::FenceInfo::default(); info.num_fences as usize];
        uapi::file_info(self.as_fd(), &mut info, &mut fences)?;
        fences.truncate(info.num_fences as usize);
        Ok(SyncFileInfo {
            name: name_from_kernel(&info.name),
            status: Status::from_kernel(info.status),
            fences: fences.iter().map(FenceInfo::from_kernel).collect(),
        })
    }

    /// Makes a sync_file that has signalled when both have.
    ///
    /// The kernel leaves fences out that have signalled already, and their errors with them. Fails with
    /// `EINVAL` when `name` contains a NUL or is longer than 31 bytes, `EMFILE`, `ENOMEM`.
    pub fn merge(&self, other: &Self, name: &str) -> io::Result<Self> {
        let mut merge = uapi::MergeData {
            name: name_for_kernel(name)?,
            fd2: rustix::fd::AsRawFd::as_raw_fd(&other.fd),
            ..Default::default()
        };
        Ok(uapi::merge(self.as_fd(), &mut merge)?.into())
    }

    /// Tells the driver by when the fence is needed, in ns on `CLOCK_MONOTONIC`; a hint that it may ignore.
    pub fn set_deadline(&self, deadline_ns: u64) -> io::Result<()> {
        let mut deadline = uapi::SetDeadline {
            deadline_ns,
            pad: 0,
        };
        Ok(uapi::set_deadline(self.as_fd(), &mut deadline)?)
    }
}

impl SyncFileInfo {
    /// Returns when the last of the fences has signalled, in ns on `CLOCK_MONOTONIC`; `None` before that.
    #[must_use]
    pub fn timestamp_ns(&self) -> Option<u64> {
        self.fences
            .iter()
            .map(|fence| fence.timestamp_ns)
            .reduce(|one, other| Some(one?.max(other?)))
            .flatten()
    }
}

impl FenceInfo {
    fn from_kernel(info: &uapi::FenceInfo) -> Self {
        let status = Status::from_kernel(info.status);
        Self {
            driver: name_from_kernel(&info.driver_name),
            timeline: name_from_kernel(&info.obj_name),
            status,
            timestamp_ns: (status != Status::Pending).then_some(info.timestamp_ns),
        }
    }
}

impl Status {
    fn from_kernel(status: i32) -> Self {
        match status {
            0 => Self::Pending,
            error if error < 0 => Self::Failed(Errno::from_raw_os_error(-error)),
            _ => Self::Signalled,
        }
    }
}

impl AsFd for SyncFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl From<OwnedFd> for SyncFile {
    fn from(fd: OwnedFd) -> Self {
        Self { fd }
    }
}

impl From<SyncFile> for OwnedFd {
    fn from(file: SyncFile) -> Self {
        file.fd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(timestamp_ns: Option<u64>) -> FenceInfo {
        FenceInfo {
            driver: String::new(),
            timeline: String::new(),
            status: Status::Pending,
            timestamp_ns,
        }
    }

    fn file(fences: Vec<FenceInfo>) -> SyncFileInfo {
        SyncFileInfo {
            name: String::new(),
            status: Status::Pending,
            fences,
        }
    }

    #[test]
    fn the_kernels_status_has_three_meanings() {
        assert_eq!(Status::from_kernel(0), Status::Pending);
        assert_eq!(Status::from_kernel(1), Status::Signalled);
        assert_eq!(Status::from_kernel(-110), Status::Failed(Errno::TIMEDOUT));
    }

    #[test]
    fn the_last_fence_gives_the_timestamp() {
        assert_eq!(
            file(vec![fence(Some(3)), fence(Some(2))]).timestamp_ns(),
            Some(3)
        );
    }

    #[test]
    fn there_is_no_timestamp_while_one_is_pending() {
        assert_eq!(file(vec![fence(Some(3)), fence(None)]).timestamp_ns(), None);
        assert_eq!(file(vec![fence(None), fence(Some(3))]).timestamp_ns(), None);
    }

    #[test]
    fn another_file_is_refused() {
        let file = SyncFile::from(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
        let error = file.status().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::NOTTY.raw_os_error()));
    }
}
