// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Queues: the execution contexts of a client.

use crate::job::Job;
use crate::uapi::vfence as uapi;
use crate::{Device, Errno, SyncFile};
use rustix::fd::AsFd;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::time::Duration;

/// What queues of both kinds have.
///
/// Dropping it ends the queue: jobs that are pending complete with `ECANCELED`.
#[derive(Debug)]
pub struct Queue<'d> {
    device: &'d Device,
    id: u32,
    context: u64,
}

/// A queue whose jobs take the time that they are given; see [`Device::timer_queue`].
#[derive(Debug)]
pub struct TimerQueue<'d>(Queue<'d>);

/// A queue whose jobs complete when user space says so; see [`Device::manual_queue`].
#[derive(Debug)]
pub struct ManualQueue<'d>(Queue<'d>);

/// What completes the jobs of a queue.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueKind {
    /// The time that they are given.
    Timer,
    /// User space.
    Manual,
}

/// Where a queue stands; see [`Queue::info`].
///
/// Source: `struct vfence_queue_info`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// What completes its jobs.
    pub kind: QueueKind,
    /// The timeline name of its fences.
    pub name: String,
    /// The dma_fence context.
    pub context: u64,
    /// Sequence number of the job submitted last; 0 before the first.
    pub submitted: u64,
    /// Sequence number of the job completed last; 0 before the first.
    pub completed: u64,
}

impl<'d> Queue<'d> {
    pub(crate) fn create(device: &'d Device, kind: u32, name: &str) -> io::Result<Self> {
        let mut create = uapi::QueueCreate {
            kind,
            name: name_for_kernel(name)?,
            ..Default::default()
        };
        uapi::queue_create(device.as_fd(), &mut create)?;
        Ok(Self {
            device,
            id: create.queue,
            context: create.context,
        })
    }

    /// Returns the id that the ioctls know the queue by.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns the dma_fence context of the queue, unique in the system until it reboots.
    #[must_use]
    pub fn context(&self) -> u64 {
        self.context
    }

    /// Returns where the queue stands.
    pub fn info(&self) -> io::Result<QueueInfo> {
        let mut info = uapi::QueueInfo {
            queue: self.id,
            ..Default::default()
        };
        uapi::queue_info(self.device.as_fd(), &mut info)?;
        Ok(QueueInfo {
            kind: match info.kind {
                uapi::QUEUE_TIMER => QueueKind::Timer,
                uapi::QUEUE_MANUAL => QueueKind::Manual,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            },
            name: name_from_kernel(&info.name),
            context: info.context,
            submitted: info.submitted,
            completed: info.completed,
        })
    }

    pub(crate) fn submit(&self, mut job: uapi::Submit) -> io::Result<(u64, Option<SyncFile>)> {
        job.queue = self.id;
        let fence = uapi::submit(self.device.as_fd(), &mut job)?;
        Ok((job.seqno, fence.map(SyncFile::from)))
    }

    fn destroy(&self) -> io::Result<()> {
        let mut destroy = uapi::QueueDestroy {
            queue: self.id,
            ..Default::default()
        };
        Ok(uapi::queue_destroy(self.device.as_fd(), &mut destroy)?)
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        // Fails only if someone has destroyed it by its id, which is as good.
        let _ = self.destroy();
    }
}

impl<'d> TimerQueue<'d> {
    pub(crate) fn new(queue: Queue<'d>) -> Self {
        Self(queue)
    }

    /// Describes a job that runs for `duration`; its methods say the rest and submit it.
    pub fn job(&self, duration: Duration) -> Job<'_> {
        Job::new(self, duration)
    }

    /// Ends the queue, as dropping it does, but tells about errors.
    ///
    /// Fails with `ENOENT` if it was destroyed by its id before.
    pub fn destroy(self) -> io::Result<()> {
        ManuallyDrop::new(self).0.destroy()
    }
}

impl<'d> ManualQueue<'d> {
    pub(crate) fn new(queue: Queue<'d>) -> Self {
        Self(queue)
    }

    /// Submits a job and returns its sequence number.
    ///
    /// Fails with `EAGAIN` when [`Capabilities::max_jobs`](crate::Capabilities::max_jobs) are pending.
    pub fn submit(&self) -> io::Result<u64> {
        Ok(self.0.submit(uapi::Submit::default())?.0)
    }

    /// Submits a job and returns its sequence number and its out-fence.
    ///
    /// Fails with `EMFILE` when the process has no free file descriptor, and as
    /// [`ManualQueue::submit`] does.
    pub fn submit_with_out_fence(&self) -> io::Result<(u64, SyncFile)> {
        let (seqno, fence) = self.0.submit(uapi::Submit {
            flags: uapi::SUBMIT_OUT_FENCE,
            ..Default::default()
        })?;
        Ok((seqno, fence.ok_or(io::ErrorKind::InvalidData)?))
    }

    /// Completes, in order, every pending job up to `seqno`, and returns how many those were.
    ///
    /// Fails with `EINVAL` when `seqno` has not been submitted.
    pub fn signal(&self, seqno: u64) -> io::Result<u32> {
        self.complete(seqno, 0)
    }

    /// Does what [`ManualQueue::signal`] does; the jobs complete with `error`.
    pub fn signal_with_error(&self, seqno: u64, error: Errno) -> io::Result<u32> {
        self.complete(seqno, -error.raw_os_error())
    }

    fn complete(&self, seqno: u64, error: i32) -> io::Result<u32> {
        let mut signal = uapi::Signal {
            queue: self.id,
            seqno,
            error,
            ..Default::default()
        };
        uapi::signal(self.0.device.as_fd(), &mut signal)?;
        Ok(signal.completed)
    }

    /// Ends the queue, as dropping it does, but tells about errors.
    ///
    /// Fails with `ENOENT` if it was destroyed by its id before.
    pub fn destroy(self) -> io::Result<()> {
        ManuallyDrop::new(self).0.destroy()
    }
}

impl<'d> Deref for TimerQueue<'d> {
    type Target = Queue<'d>;

    fn deref(&self) -> &Queue<'d> {
        &self.0
    }
}

impl<'d> Deref for ManualQueue<'d> {
    type Target = Queue<'d>;

    fn deref(&self) -> &Queue<'d> {
        &self.0
    }
}

/// Returns `name` as the kernel takes it. Fails with `EINVAL` if that cannot be.
pub(crate) fn name_for_kernel<const LEN: usize>(name: &str) -> io::Result<[u8; LEN]> {
    let bytes = name.as_bytes();
    if bytes.len() >= LEN || bytes.contains(&0) {
        return Err(Errno::INVAL.into());
    }
    let mut field = [0; LEN];
    field[..bytes.len()].copy_from_slice(bytes);
    Ok(field)
}

/// Returns what the kernel has written into the field for a name.
pub(crate) fn name_from_kernel(field: &[u8]) -> String {
    let name = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leaves_room_for_the_nul() {
        assert_eq!(name_for_kernel::<8>("seven__").unwrap(), *b"seven__\0");
        assert!(name_for_kernel::<8>("eight___").is_err());
    }

    #[test]
    fn a_name_has_no_nul_inside() {
        assert!(name_for_kernel::<8>("a\0b").is_err());
    }

    #[test]
    fn a_name_ends_at_the_nul() {
        assert_eq!(name_from_kernel(b"abc\0def\0"), "abc");
        assert_eq!(name_from_kernel(b"\0\0"), "");
    }
}
