// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Queues: the execution contexts of a client.

use crate::fault::{Fault, FaultCounts};
use crate::job::Job;
use crate::point::{JobInfo, Point};
use crate::uapi::vfence as uapi;
use crate::{Device, Errno, SyncFile};
use rustix::fd::AsFd;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::time::Duration;

/// The counters of a queue, which are read without a system call; see [`Queue::counters`].
///
/// The mapping keeps its last values after the queue is destroyed, and keeps the kernel module in
/// use.
pub use crate::uapi::counters::CountersPage as Counters;

/// The part that all kinds of queues share.
///
/// Dropping it destroys the queue: pending jobs complete with `ECANCELED`.
#[derive(Debug)]
pub struct Queue<'d> {
    device: &'d Device,
    id: u32,
    context: u64,
    counters_offset: u64,
}

/// A queue whose jobs complete after their durations; see [`Device::timer_queue`] and
/// [`Device::worker_queue`].
#[derive(Debug)]
pub struct TimerQueue<'d>(Queue<'d>);

/// A queue whose jobs complete when user space signals them; see [`Device::manual_queue`].
#[derive(Debug)]
pub struct ManualQueue<'d>(Queue<'d>);

/// The kind of a queue: its engine.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum QueueKind {
    /// A timer interrupt completes the jobs.
    Timer,
    /// User space completes the jobs.
    Manual,
    /// A worker completes the jobs, in process context.
    Worker,
}

/// The state of a queue; see [`Queue::info`].
///
/// Source: `struct vfence_queue_info`.
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct QueueInfo {
    /// The kind of the queue.
    pub kind: QueueKind,
    /// The timeline name of its fences.
    pub name: String,
    /// The dma_fence context.
    pub context: u64,
    /// The seqno of the job submitted last; 0 before the first.
    pub submitted: u64,
    /// The seqno of the job completed last; 0 before the first.
    pub completed: u64,
    /// The number of jobs that completed with an error.
    pub errors: u64,
    /// The number of jobs that the watchdog ended.
    pub timeouts: u64,
    /// The number of resets, after timeouts and by [`Queue::reset`].
    pub resets: u64,
    /// The bound on the time of a job; `None` if there is none.
    pub timeout: Option<Duration>,
    /// The number of injected faults.
    pub faults: FaultCounts,
    /// Whether the queue is stopped: all jobs complete with `ECANCELED` until [`Queue::reset`].
    pub stopped: bool,
}

impl<'d> Queue<'d> {
    pub(crate) fn create(device: &'d Device, mut create: uapi::QueueCreate) -> io::Result<Self> {
        uapi::queue_create(device.as_fd(), &mut create)?;
        Ok(Self {
            device,
            id: create.queue,
            context: create.context,
            counters_offset: create.counters_offset,
        })
    }

    pub(crate) fn device(&self) -> &'d Device {
        self.device
    }

    /// Returns the queue's id in ioctls.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// Returns the dma_fence context of the queue, which is unique until the system reboots.
    #[must_use]
    pub fn context(&self) -> u64 {
        self.context
    }

    /// Returns the state of the queue.
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
                uapi::QUEUE_WORKER => QueueKind::Worker,
                _ => return Err(io::ErrorKind::InvalidData.into()),
            },
            name: name_from_kernel(&info.name),
            context: info.context,
            submitted: info.submitted,
            completed: info.completed,
            errors: info.errors,
            timeouts: info.timeouts,
            resets: info.resets,
            timeout: match info.timeout_ns {
                0 => None,
                ns => Some(Duration::from_nanos(ns)),
            },
            faults: FaultCounts::from_kernel(&info.faults),
            stopped: info.state & uapi::QUEUE_STOPPED != 0,
        })
    }

    /// Returns the point of job `seqno`, for [`Device::wait_all`] and [`Device::wait_any`].
    #[must_use]
    pub fn point(&self, seqno: u64) -> Point {
        Point::new(self.device, self.id, seqno)
    }

    /// Waits until job `seqno` has completed, with or without an error, at most for `timeout`.
    /// Returns whether it has completed.
    ///
    /// Fails with `EINVAL` if the job was not submitted.
    pub fn wait(&self, seqno: u64, timeout: Option<Duration>) -> io::Result<bool> {
        self.device.wait_all(&[self.point(seqno)], timeout)
    }

    /// Returns a new fence of job `seqno`, which may have completed.
    ///
    /// Fails with `EINVAL` if the job was not submitted, and with `ENODATA` if [`uapi::HISTORY`]
    /// others have completed after it; also with `EMFILE` and `ENOMEM`.
    pub fn export(&self, seqno: u64) -> io::Result<SyncFile> {
        let mut export = uapi::Export {
            queue: self.id,
            seqno,
            ..Default::default()
        };
        Ok(uapi::export(self.device.as_fd(), &mut export)?.into())
    }

    /// Returns the state of job `seqno`.
    ///
    /// Fails with `EINVAL` if the job was not submitted, and with `ENODATA` if [`uapi::HISTORY`]
    /// others have completed after it.
    pub fn job_info(&self, seqno: u64) -> io::Result<JobInfo> {
        let mut info = uapi::JobInfo {
            queue: self.id,
            seqno,
            ..Default::default()
        };
        uapi::job_info(self.device.as_fd(), &mut info)?;
        JobInfo::from_kernel(&info)
    }

    /// Resets the queue, like a GPU, and returns the number of its resets.
    ///
    /// A job that runs or hangs completes with `ECANCELED`; one that waits for in-fences stays. A
    /// stopped queue takes jobs again.
    pub fn reset(&self) -> io::Result<u64> {
        let mut reset = uapi::QueueReset {
            queue: self.id,
            ..Default::default()
        };
        uapi::queue_reset(self.device.as_fd(), &mut reset)?;
        Ok(reset.resets)
    }

    /// Maps the queue's counters.
    ///
    /// The mapping is a reference to the open file, like a descriptor: while it exists, dropping
    /// the [`Device`] cancels no jobs.
    ///
    /// Fails with `EINVAL` if the queue was destroyed by its id, and with `ENOMEM`.
    pub fn counters(&self) -> io::Result<Counters> {
        Ok(Counters::map(self.device.as_fd(), self.counters_offset)?)
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
        // Fails only if the queue was destroyed by its id.
        let _ = self.destroy();
    }
}

impl<'d> TimerQueue<'d> {
    pub(crate) fn new(queue: Queue<'d>) -> Self {
        Self(queue)
    }

    /// Returns a job that runs for `duration`; its methods set its other properties and submit it.
    pub fn job(&self, duration: Duration) -> Job<'_> {
        Job::new(self, duration)
    }

    /// Replaces the queue's plan of faults: injects `faults` into the jobs submitted from now on.
    ///
    /// Random faults are drawn from `seed`: the same seed and the same jobs give the same faults.
    /// No faults end the injection. Fails with `EINVAL` for more than [`uapi::MAX_FAULTS`], and for
    /// [`FaultKind::DropInterrupt`](crate::FaultKind::DropInterrupt) on a queue without a timeout.
    pub fn set_faults(&self, seed: u64, faults: &[Fault]) -> io::Result<()> {
        let faults: Vec<uapi::Fault> = faults.iter().map(Fault::for_kernel).collect();
        let mut plan = uapi::QueueFaults {
            queue: self.0.id,
            seed,
            ..Default::default()
        };
        Ok(uapi::queue_faults(
            self.0.device.as_fd(),
            &mut plan,
            &faults,
        )?)
    }

    /// Destroys the queue like a drop, and returns the error of a failure.
    ///
    /// Fails with `ENOENT` if it was destroyed by its id.
    pub fn destroy(self) -> io::Result<()> {
        ManuallyDrop::new(self).0.destroy()
    }
}

impl<'d> ManualQueue<'d> {
    pub(crate) fn new(queue: Queue<'d>) -> Self {
        Self(queue)
    }

    /// Returns a job; its methods set its properties and submit it. A manual queue refuses
    /// durations, in-fences and hangs.
    pub fn job(&self) -> Job<'_> {
        Job::new(self, Duration::ZERO)
    }

    /// Submits a job and returns its seqno.
    ///
    /// Fails with `EAGAIN` if [`Capabilities::max_jobs`](crate::Capabilities::max_jobs) jobs are
    /// pending.
    pub fn submit(&self) -> io::Result<u64> {
        self.job().submit()
    }

    /// Submits a job and returns its seqno and its out-fence.
    ///
    /// Fails like [`ManualQueue::submit`], and with `EMFILE` if the process has no free file
    /// descriptor.
    pub fn submit_with_out_fence(&self) -> io::Result<(u64, SyncFile)> {
        self.job().submit_with_out_fence()
    }

    /// Submits a job and returns its out-fence only, with the fast ioctl
    /// `VFENCE_IOCTL_CREATE_FENCE`.
    ///
    /// Fails like [`ManualQueue::submit_with_out_fence`].
    pub fn create_fence(&self) -> io::Result<SyncFile> {
        Ok(uapi::create_fence(self.0.device.as_fd(), self.id)?.into())
    }

    /// Completes the oldest pending job and returns whether there was one.
    pub fn signal_next(&self) -> io::Result<bool> {
        Ok(uapi::signal_next(self.0.device.as_fd(), self.id)?)
    }

    /// Completes all pending jobs up to `seqno`, in order, and returns their number.
    ///
    /// Fails with `EINVAL` if `seqno` was not submitted.
    pub fn signal(&self, seqno: u64) -> io::Result<u32> {
        self.complete(seqno, 0)
    }

    /// Like [`ManualQueue::signal`]; the jobs complete with `error`.
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

    /// Destroys the queue like a drop, and returns the error of a failure.
    ///
    /// Fails with `ENOENT` if it was destroyed by its id.
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

/// Returns `name` with its NUL. Fails with `EINVAL` if it does not fit or contains a NUL.
pub(crate) fn name_for_kernel<const LEN: usize>(name: &str) -> io::Result<[u8; LEN]> {
    let bytes = name.as_bytes();
    if bytes.len() >= LEN || bytes.contains(&0) {
        return Err(Errno::INVAL.into());
    }
    let mut field = [0; LEN];
    field[..bytes.len()].copy_from_slice(bytes);
    Ok(field)
}

/// Returns the name in a field that the kernel wrote.
pub(crate) fn name_from_kernel(field: &[u8]) -> String {
    let name = field.split(|byte| *byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(name).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_leaves_room_for_the_nul() {
        assert_eq!(name_for_kernel::<8>("seven__").unwrap(), *b"seven__\0");
        assert!(name_for_kernel::<8>("eight___").is_err());
    }

    #[test]
    fn name_with_a_nul_inside_is_refused() {
        assert!(name_for_kernel::<8>("a\0b").is_err());
    }

    #[test]
    fn name_ends_at_the_nul() {
        assert_eq!(name_from_kernel(b"abc\0def\0"), "abc");
        assert_eq!(name_from_kernel(b"\0\0"), "");
    }
}
