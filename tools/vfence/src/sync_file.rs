// SPDX-License-Identifier: GPL-2.0 OR MIT

//! sync_files: fences as file descriptors.

use crate::queue::{name_for_kernel, name_from_kernel};
use crate::uapi::sync_file as uapi;
use crate::Errno;
use rustix::event::{poll, PollFd, PollFlags, Timespec};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::time::{Duration, Instant};

/// The file descriptor of one fence or of several merged ones, of any driver.
///
/// It polls readable when all its fences have signalled, with or without an error. The methods
/// fail with `ENOTTY` if the file is not a sync_file.
#[derive(Debug)]
pub struct SyncFile {
    fd: OwnedFd,
}

/// The status of a fence.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Status {
    /// The fence has not signalled.
    Pending,
    /// The fence has signalled without an error.
    Signalled,
    /// The fence has signalled with this error: `ECANCELED` if its queue was destroyed, `ETIMEDOUT`
    /// if the watchdog ended the job, else the error of the job or of an in-fence.
    Failed(Errno),
}

/// A fence of a sync_file; see [`SyncFile::info`].
///
/// Source: `struct sync_fence_info`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct FenceInfo {
    /// The name of the driver; "detached-driver" once the fence has signalled.
    pub driver: String,
    /// The name of the queue; "signaled-timeline" once the fence has signalled.
    pub timeline: String,
    /// The status of the fence.
    pub status: Status,
    /// The time of the signal, in ns on `CLOCK_MONOTONIC`; `None` while the fence is pending.
    pub timestamp_ns: Option<u64>,
}

/// The state of a sync_file; see [`SyncFile::info`].
///
/// Source: `struct sync_file_info`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SyncFileInfo {
    /// The name given to [`SyncFile::merge`], or one that the kernel chose.
    pub name: String,
    /// The status of all fences together, with the error of one that failed.
    pub status: Status,
    /// The fences.
    pub fences: Vec<FenceInfo>,
}

impl SyncFile {
    /// Waits until all fences have signalled, with or without an error, at most for `timeout`.
    /// Returns whether they have signalled.
    pub fn wait(&self, timeout: Option<Duration>) -> io::Result<bool> {
        // An end that `Instant` cannot represent is no timeout.
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

    /// Returns the status of all fences together.
    pub fn status(&self) -> io::Result<Status> {
        let mut info = uapi::FileInfo::default();
        uapi::file_info(self.as_fd(), &mut info, &mut [])?;
        Ok(Status::from_kernel(info.status))
    }

    /// Returns the state of the sync_file and of each of its fences.
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

    /// Returns a new sync_file with the fences of both.
    ///
    /// The kernel leaves out fences that have signalled, so their errors are lost. Fails with
    /// `EINVAL` if `name` contains a NUL or is longer than 31 bytes; also with `EMFILE` and
    /// `ENOMEM`.
    pub fn merge(&self, other: &Self, name: &str) -> io::Result<Self> {
        let mut merge = uapi::MergeData {
            name: name_for_kernel(name)?,
            fd2: rustix::fd::AsRawFd::as_raw_fd(&other.fd),
            ..Default::default()
        };
        Ok(uapi::merge(self.as_fd(), &mut merge)?.into())
    }

    /// Sets the deadline of the fence, in ns on `CLOCK_MONOTONIC`: a hint, which drivers may
    /// ignore.
    pub fn set_deadline(&self, deadline_ns: u64) -> io::Result<()> {
        let mut deadline = uapi::SetDeadline {
            deadline_ns,
            pad: 0,
        };
        Ok(uapi::set_deadline(self.as_fd(), &mut deadline)?)
    }
}

impl SyncFileInfo {
    /// Returns the latest timestamp of the fences, in ns on `CLOCK_MONOTONIC`; `None` while a fence
    /// is pending.
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
    fn status_is_pending_signalled_or_an_error() {
        assert_eq!(Status::from_kernel(0), Status::Pending);
        assert_eq!(Status::from_kernel(1), Status::Signalled);
        assert_eq!(Status::from_kernel(-110), Status::Failed(Errno::TIMEDOUT));
    }

    #[test]
    fn latest_fence_gives_the_timestamp() {
        assert_eq!(
            file(vec![fence(Some(3)), fence(Some(2))]).timestamp_ns(),
            Some(3)
        );
    }

    #[test]
    fn pending_fence_leaves_no_timestamp() {
        assert_eq!(file(vec![fence(Some(3)), fence(None)]).timestamp_ns(), None);
        assert_eq!(file(vec![fence(None), fence(Some(3))]).timestamp_ns(), None);
    }

    #[test]
    fn other_file_is_refused() {
        let file = SyncFile::from(OwnedFd::from(std::fs::File::open("/dev/null").unwrap()));
        let error = file.status().unwrap_err();
        assert_eq!(error.raw_os_error(), Some(Errno::NOTTY.raw_os_error()));
    }
}
