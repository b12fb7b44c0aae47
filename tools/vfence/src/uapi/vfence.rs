// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `<linux/vfence.h>`: the ioctls of `/dev/vfence`. The header documents each structure and field.

use super::{by_value, update};
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;

#[path = "vfence_generated.rs"]
mod generated;

pub use generated::*;

/// Calls [`IOCTL_QUERY`].
pub fn query(fd: BorrowedFd<'_>, argument: &mut Query) -> Result<(), Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_QUERY, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_CREATE`].
pub fn queue_create(fd: BorrowedFd<'_>, argument: &mut QueueCreate) -> Result<(), Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_QUEUE_CREATE, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_DESTROY`].
pub fn queue_destroy(fd: BorrowedFd<'_>, argument: &mut QueueDestroy) -> Result<(), Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_QUEUE_DESTROY, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_INFO`].
pub fn queue_info(fd: BorrowedFd<'_>, argument: &mut QueueInfo) -> Result<(), Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_QUEUE_INFO, _>(fd, argument) }
}

/// Calls [`IOCTL_SUBMIT`] and returns the out-fence if [`SUBMIT_OUT_FENCE`] is set.
pub fn submit(fd: BorrowedFd<'_>, argument: &mut Submit) -> Result<Option<OwnedFd>, Errno> {
    // A value from the caller must not be taken for an fd from the kernel.
    argument.out_fence = -1;
    // SAFETY: `argument` is the structure of this ioctl; the kernel only reads at its pointers.
    unsafe { update::<IOCTL_SUBMIT, _>(fd, argument) }?;
    Ok(match argument.out_fence {
        -1 => None,
        // SAFETY: The ioctl succeeded, so this is a new file descriptor of this process.
        fd => Some(unsafe { OwnedFd::from_raw_fd(fd) }),
    })
}

/// Calls [`IOCTL_SIGNAL`].
pub fn signal(fd: BorrowedFd<'_>, argument: &mut Signal) -> Result<(), Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_SIGNAL, _>(fd, argument) }
}

/// Calls [`IOCTL_CREATE_FENCE`] and returns the out-fence.
pub fn create_fence(fd: BorrowedFd<'_>, queue: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: The argument of this ioctl is a queue id.
    let fence = unsafe { by_value(fd, IOCTL_CREATE_FENCE, queue) }?;
    // SAFETY: The ioctl succeeded, so this is a new file descriptor of this process.
    Ok(unsafe { OwnedFd::from_raw_fd(fence) })
}

/// Calls [`IOCTL_SIGNAL_NEXT`] and returns whether there was a job to complete.
pub fn signal_next(fd: BorrowedFd<'_>, queue: u32) -> Result<bool, Errno> {
    // SAFETY: The argument of this ioctl is a queue id.
    Ok(unsafe { by_value(fd, IOCTL_SIGNAL_NEXT, queue) }? != 0)
}

/// Calls [`IOCTL_SUBMIT_BATCH`] with `jobs` and returns the out-fences of those that have
/// [`SUBMIT_OUT_FENCE`] set.
///
/// After a failure, [`SubmitBatch::refused`] is the index of the refused job.
pub fn submit_batch(
    fd: BorrowedFd<'_>,
    argument: &mut SubmitBatch,
    jobs: &mut [Submit],
) -> Result<Vec<Option<OwnedFd>>, Errno> {
    argument.jobs = jobs.as_mut_ptr() as u64;
    argument.count = u32::try_from(jobs.len()).map_err(|_| Errno::INVAL)?;
    argument.job_size = size_of::<Submit>() as u32;
    // SAFETY: `argument` is the structure of this ioctl; its pointer is valid for reads and writes
    // of `count` jobs. The kernel only reads at the pointers of the jobs.
    unsafe { update::<IOCTL_SUBMIT_BATCH, _>(fd, argument) }?;
    let fence = |job: &Submit| match job.out_fence {
        -1 => None,
        // SAFETY: The ioctl succeeded, so this is a new file descriptor of this process. Each job
        // has its own.
        fd => Some(unsafe { OwnedFd::from_raw_fd(fd) }),
    };
    Ok(jobs.iter().map(fence).collect())
}

/// Calls [`IOCTL_WAIT`] with `points`.
pub fn wait(fd: BorrowedFd<'_>, argument: &mut Wait, points: &[Point]) -> Result<(), Errno> {
    argument.points = points.as_ptr() as u64;
    argument.count = u32::try_from(points.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: `argument` is the structure of this ioctl; the kernel only reads at its pointers.
    unsafe { update::<IOCTL_WAIT, _>(fd, argument) }
}

/// Calls [`IOCTL_EXPORT`] and returns the sync_file.
pub fn export(fd: BorrowedFd<'_>, argument: &mut Export) -> Result<OwnedFd, Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_EXPORT, _>(fd, argument) }?;
    // SAFETY: The ioctl succeeded, so this is a new file descriptor of this process.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fence) })
}

/// Calls [`IOCTL_BUFFER_CREATE`] and returns the dma-buf.
pub fn buffer_create(fd: BorrowedFd<'_>, argument: &mut BufferCreate) -> Result<OwnedFd, Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_BUFFER_CREATE, _>(fd, argument) }?;
    // SAFETY: The ioctl succeeded, so this is a new file descriptor of this process.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
}

/// Calls [`IOCTL_JOB_INFO`].
pub fn job_info(fd: BorrowedFd<'_>, argument: &mut JobInfo) -> Result<(), Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_JOB_INFO, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_RESET`].
pub fn queue_reset(fd: BorrowedFd<'_>, argument: &mut QueueReset) -> Result<(), Errno> {
    // SAFETY: `argument` is the structure of this ioctl and has no pointers.
    unsafe { update::<IOCTL_QUEUE_RESET, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_FAULTS`] with `faults`.
pub fn queue_faults(
    fd: BorrowedFd<'_>,
    argument: &mut QueueFaults,
    faults: &[Fault],
) -> Result<(), Errno> {
    argument.faults = faults.as_ptr() as u64;
    argument.count = u32::try_from(faults.len()).map_err(|_| Errno::INVAL)?;
    argument.fault_size = size_of::<Fault>() as u32;
    // SAFETY: `argument` is the structure of this ioctl; the kernel only reads at its pointers.
    unsafe { update::<IOCTL_QUEUE_FAULTS, _>(fd, argument) }
}

impl Event {
    /// Returns the event in the bytes that `read()` returned.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        // SAFETY: The sizes are equal, and every bit pattern is a valid event.
        unsafe { std::mem::transmute(*bytes) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// Asserts the size of the structure and the offset of each field: the ABI, which never
    /// changes.
    macro_rules! layout {
        ($type:ty, $size:literal, $($field:ident: $offset:literal),+) => {
            assert_eq!(size_of::<$type>(), $size);
            assert_eq!(align_of::<$type>() % 4, 0);
            $(assert_eq!(offset_of!($type, $field), $offset, stringify!($field));)+
        };
    }

    #[test]
    fn query_has_the_layout_of_the_abi() {
        layout!(Query, 40, api_version: 0, flags: 4, capabilities: 8, watchdog_ns: 16,
            max_queues: 24, max_jobs: 28, max_buffer_size: 32);
    }

    #[test]
    fn queue_create_has_the_layout_of_the_abi() {
        layout!(QueueCreate, 96, kind: 0, flags: 4, name: 8, queue: 40, pad: 44, context: 48,
            timeout_ns: 56, seed: 64, in_fence_policy: 72, timeout_policy: 76, boost_percent: 80,
            pad2: 84, counters_offset: 88);
    }

    #[test]
    fn queue_destroy_has_the_layout_of_the_abi() {
        layout!(QueueDestroy, 8, queue: 0, flags: 4);
    }

    #[test]
    fn queue_info_has_the_layout_of_the_abi() {
        layout!(QueueInfo, 176, queue: 0, flags: 4, kind: 8, pad: 12, context: 16, submitted: 24,
            completed: 32, name: 40, errors: 72, timeouts: 80, resets: 88, timeout_ns: 96,
            faults: 104, state: 168, pad2: 172);
    }

    #[test]
    fn submit_has_the_layout_of_the_abi() {
        layout!(Submit, 88, queue: 0, flags: 4, duration_ns: 8, in_fences: 16, in_fence_count: 24,
            out_fence: 28, seqno: 32, duration_max_ns: 40, error: 48, pad: 52, uses: 56,
            operations: 64, use_count: 72, operation_count: 76, use_size: 80, operation_size: 84);
        layout!(Use, 8, fd: 0, flags: 4);
        layout!(Operation, 48, kind: 0, target: 4, source: 8, pattern_size: 12, target_offset: 16,
            source_offset: 24, length: 32, pattern: 40);
    }

    #[test]
    fn signal_has_the_layout_of_the_abi() {
        layout!(Signal, 24, queue: 0, flags: 4, seqno: 8, error: 16, completed: 20);
    }

    #[test]
    fn submit_batch_has_the_layout_of_the_abi() {
        layout!(SubmitBatch, 24, jobs: 0, count: 8, job_size: 12, flags: 16, refused: 20);
    }

    #[test]
    fn wait_has_the_layout_of_the_abi() {
        layout!(Point, 16, queue: 0, pad: 4, seqno: 8);
        layout!(Wait, 32, points: 0, count: 8, flags: 12, timeout_ns: 16, first: 24, pad: 28);
    }

    #[test]
    fn export_has_the_layout_of_the_abi() {
        layout!(Export, 24, queue: 0, flags: 4, seqno: 8, fence: 16, pad: 20);
    }

    #[test]
    fn job_info_has_the_layout_of_the_abi() {
        layout!(JobInfo, 72, queue: 0, flags: 4, seqno: 8, state: 16, error: 20, submitted_ns: 24,
            start_ns: 32, end_ns: 40, deadline_ns: 48, faults: 56, pad: 60, result: 64);
    }

    #[test]
    fn event_has_the_layout_of_the_abi() {
        layout!(Event, 64, queue: 0, error: 4, seqno: 8, submitted_ns: 16, start_ns: 24, end_ns: 32,
            deadline_ns: 40, faults: 48, flags: 52, result: 56);
    }

    #[test]
    fn event_is_read_from_its_bytes() {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&7u32.to_ne_bytes());
        bytes[4..8].copy_from_slice(&(-5i32).to_ne_bytes());
        bytes[8..16].copy_from_slice(&9u64.to_ne_bytes());
        let event = Event::from_bytes(&bytes);
        assert_eq!((event.queue, event.error, event.seqno), (7, -5, 9));
    }

    #[test]
    fn reset_has_the_layout_of_the_abi() {
        layout!(QueueReset, 16, queue: 0, flags: 4, resets: 8);
    }

    #[test]
    fn faults_have_the_layout_of_the_abi() {
        layout!(Fault, 32, kind: 0, every: 4, probability: 8, error: 12, delay_ns: 16, limit: 24);
        layout!(QueueFaults, 32, queue: 0, flags: 4, seed: 8, faults: 16, count: 24,
            fault_size: 28);
    }

    #[test]
    fn buffer_create_has_the_layout_of_the_abi() {
        layout!(BufferCreate, 16, size: 0, flags: 8, fd: 12);
    }

    #[test]
    fn counters_have_the_layout_of_the_abi() {
        layout!(Counters, 40, submitted: 0, completed: 8, errors: 16, timeouts: 24, resets: 32);
    }

    #[test]
    fn ioctl_numbers_are_those_of_the_abi() {
        assert_eq!(IOCTL_QUERY, 0xc028_f700);
        assert_eq!(IOCTL_QUEUE_CREATE, 0xc060_f701);
        assert_eq!(IOCTL_QUEUE_DESTROY, 0x4008_f702);
        assert_eq!(IOCTL_QUEUE_INFO, 0xc0b0_f703);
        assert_eq!(IOCTL_SUBMIT, 0xc058_f704);
        assert_eq!(IOCTL_SIGNAL, 0xc018_f705);
        assert_eq!(IOCTL_SUBMIT_BATCH, 0xc018_f706);
        assert_eq!(IOCTL_WAIT, 0xc020_f707);
        assert_eq!(IOCTL_EXPORT, 0xc018_f708);
        assert_eq!(IOCTL_JOB_INFO, 0xc048_f709);
        assert_eq!(IOCTL_QUEUE_RESET, 0xc010_f70a);
        assert_eq!(IOCTL_QUEUE_FAULTS, 0x4020_f70b);
        assert_eq!(IOCTL_BUFFER_CREATE, 0xc010_f70c);
        assert_eq!(IOCTL_CREATE_FENCE, 0x0000_f70d);
        assert_eq!(IOCTL_SIGNAL_NEXT, 0x0000_f70e);
    }

    #[test]
    fn other_file_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsFd::as_fd(&file);
        assert_eq!(query(fd, &mut Query::default()), Err(Errno::NOTTY));
    }
}
