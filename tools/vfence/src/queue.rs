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

/// A queue's counters, read without a system call; see [`Queue::counters`].
///
/// They stay when the queue and the client are gone, with what they said last. As long as they are mapped, the
/// kernel's module is in use.
pub use crate::uapi::counters::CountersPage as Counters;

/// What queues of all kinds have.
///
/// Dropping it ends the queue: jobs that are pending complete with `ECANCELED`.
#[derive(Debug)]
pub struct Queue<'d> {
    device: &'d Device,
    id: u32,
    context: u64,
    counters_offset: u64,
}

/// A queue whose jobs take the time that they are given; see [`Device::timer_queue`] and [`Device::worker_queue`].
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
    /// The time that they are given, in process context.
    Worker,
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
    /// How many jobs have completed with an error.
    pub errors: u64,
    /// How many of them the watchdog has ended.
    pub timeouts: u64,
    /// How often the queue was reset, by itself or by [`Queue::reset`].
    pub resets: u64,
    /// The bound on the time of a job that is in force; `None` when there is none.
    pub timeout: Option<Duration>,
    /// How many faults were injected.
    pub faults: FaultCounts,
    /// Whether the queue completes all jobs with `ECANCELED`, until [`Queue::reset`].
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

    /// Returns what a job is known by: for [`Device::wait_all`] and [`Device::wait_any`].
    #[must_use]
    pub fn point(&self, seqno: u64) -> Point {
        Point::new(self.device, self.id, seqno)
    }

    /// Waits until job `seqno` has completed, with an error or without; at most for `timeout`, or as long as it
    /// takes. Returns whether it has.
    ///
    /// Fails with `EINVAL` when it has not been submitted.
    pub fn wait(&self, seqno: u64, timeout: Option<Duration>) -> io::Result<bool> {
        self.device.wait_all(&[self.point(seqno)], timeout)
    }

    /// Returns a fence of job `seqno`, as often as wanted, also when the job has completed already.
    ///
    /// Fails with `EINVAL` when the job has not been submitted, `ENODATA` when [`uapi::HISTORY`] others have
    /// completed after it, `EMFILE`, `ENOMEM`.
    pub fn export(&self, seqno: u64) -> io::Result<SyncFile> {
        let mut export = uapi::Export {
            queue: self.id,
            seqno,
            ..Default::default()
        };
        Ok(uapi::export(self.device.as_fd(), &mut export)?.into())
    }

    /// Returns where job `seqno` stands.
    ///
    /// Fails with `EINVAL` when it has not been submitted, `ENODATA` when [`uapi::HISTORY`] others have
    /// completed after it.
    pub fn job_info(&self, seqno: u64) -> io::Result<JobInfo> {
        let mut info = uapi::JobInfo {
            queue: self.id,
            seqno,
            ..Default::default()
        };
        uapi::job_info(self.device.as_fd(), &mut info)?;
        JobInfo::from_kernel(&info)
    }

    /// Resets the queue, as a GPU is reset, and returns how often it has been, by itself or by this.
    ///
    /// A job that runs or hangs completes with `ECANCELED`; one that waits for in-fences stays. A queue that was stopped
    /// takes jobs again.
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
    /// They are a reference to the open file, as a descriptor is: as long as they are there, dropping the [`Device`] ends
    /// nothing.
    ///
    /// Fails with `ENOMEM`, and with `EINVAL` if the queue was destroyed by its id.
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

    /// Has `faults` done to the jobs that are submitted from now on, in place of what was done before.
    ///
    /// Probabilities are drawn from `seed`: the same seed does the same to the same jobs. Without faults, nothing
    /// goes wrong any more. Fails with `EINVAL` for more than [`uapi::MAX_FAULTS`], or for
    /// [`FaultKind::DropInterrupt`](crate::FaultKind::DropInterrupt) when nothing bounds the queue.
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

    /// Describes a job; its methods say the rest and submit it. Durations, in-fences and hangs are refused.
    pub fn job(&self) -> Job<'_> {
        Job::new(self, Duration::ZERO)
    }

    /// Submits a job and returns its sequence number.
    ///
    /// Fails with `EAGAIN` when [`Capabilities::max_jobs`](crate::Capabilities::max_jobs) are pending.
    pub fn submit(&self) -> io::Result<u64> {
        self.job().submit()
    }

    /// Submits a job and returns its sequence number and its out-fence.
    ///
    /// Fails with `EMFILE` when the process has no free file descriptor, and as
    /// [`ManualQueue::submit`] does.
    pub fn submit_with_out_fence(&self) -> io::Result<(u64, SyncFile)> {
        self.job().submit_with_out_fence()
    }

    /// Submits a job that is nothing but an out-fence, and returns that: [`ManualQueue::submit_with_out_fence`] without the sequence
    /// number, in the quickest way.
    ///
    /// Fails as that does.
    pub fn create_fence(&self) -> io::Result<SyncFile> {
        Ok(uapi::create_fence(self.0.device.as_fd(), self.id)?.into())
    }

    /// Completes the oldest job that is pending, whichever it is, and returns whether there was one.
    pub fn signal_next(&self) -> io::Result<bool> {
        Ok(uapi::signal_next(self.0.device.as_fd(), self.id)?)
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
