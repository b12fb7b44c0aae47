// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `include/uapi/linux/vfence.h`, which says what each field means.

use super::update;
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::ioctl::{opcode, Opcode};

/// `VFENCE_IOCTL_TYPE`: the type byte of the ioctl numbers.
pub const IOCTL_TYPE: u8 = 0xf7;
/// `VFENCE_API_VERSION`: the version of the header that this crate was written for.
pub const API_VERSION: u32 = 2;
/// `VFENCE_NAME_LEN`: size of a queue's name, the closing NUL included.
pub const NAME_LEN: usize = 32;
/// `VFENCE_MAX_IN_FENCES`: most in-fences a job may have.
pub const MAX_IN_FENCES: u32 = 1024;
/// `VFENCE_MAX_WAITS`: most pending in-fences that a client's jobs wait for, and most fences that those of
/// one job may consist of.
pub const MAX_WAITS: u32 = 65536;
/// `VFENCE_CAP_TIMER_QUEUE`: queues of [`QUEUE_TIMER`] can be created.
pub const CAP_TIMER_QUEUE: u64 = 1 << 0;
/// `VFENCE_CAP_MANUAL_QUEUE`: queues of [`QUEUE_MANUAL`] can be created.
pub const CAP_MANUAL_QUEUE: u64 = 1 << 1;
/// `VFENCE_QUEUE_TIMER`: a timer completes the jobs.
pub const QUEUE_TIMER: u32 = 1;
/// `VFENCE_QUEUE_MANUAL`: user space completes the jobs.
pub const QUEUE_MANUAL: u32 = 2;
/// `VFENCE_SUBMIT_OUT_FENCE`: return a sync_file for the job.
pub const SUBMIT_OUT_FENCE: u32 = 1 << 0;

/// `struct vfence_query`: what the device is and can do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Query {
    /// Out: the kernel's [`API_VERSION`].
    pub api_version: u32,
    /// In: must be 0.
    pub flags: u32,
    /// Out: bits `CAP_*`.
    pub capabilities: u64,
    /// Out: the bound on how long the head of a timer queue, or any job of a manual one, stays
    /// pending, in ns; 0 when it was lifted.
    pub watchdog_ns: u64,
    /// Out: most queues that a client can have at a time.
    pub max_queues: u32,
    /// Out: most jobs that a queue can have pending at a time.
    pub max_jobs: u32,
}

/// `struct vfence_queue_create`: make a queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct QueueCreate {
    /// In: [`QUEUE_TIMER`] or [`QUEUE_MANUAL`].
    pub kind: u32,
    /// In: must be 0.
    pub flags: u32,
    /// In: the timeline name of the queue's fences, NUL-terminated; when empty, the device makes one.
    pub name: [u8; NAME_LEN],
    /// Out: the id of the queue, not 0.
    pub queue: u32,
    /// In: must be 0.
    pub pad: u32,
    /// Out: the dma_fence context of the queue.
    pub context: u64,
}

/// `struct vfence_queue_destroy`: end a queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct QueueDestroy {
    /// In: id of the queue.
    pub queue: u32,
    /// In: must be 0.
    pub flags: u32,
}

/// `struct vfence_submit`: append a job to a queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Submit {
    /// In: id of the queue.
    pub queue: u32,
    /// In: 0 or [`SUBMIT_OUT_FENCE`].
    pub flags: u32,
    /// In: how long the job runs once it has started, in ns.
    pub duration_ns: u64,
    /// In: address of an array of `in_fence_count` file descriptors (`i32`), which the kernel reads.
    pub in_fences: u64,
    /// In: number of in-fences.
    pub in_fence_count: u32,
    /// Out: the file descriptor of the out-fence, or -1.
    pub out_fence: i32,
    /// Out: the sequence number of the job on its queue.
    pub seqno: u64,
}

/// `struct vfence_signal`: complete jobs of a manual queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Signal {
    /// In: id of the queue.
    pub queue: u32,
    /// In: must be 0.
    pub flags: u32,
    /// In: the last sequence number to complete.
    pub seqno: u64,
    /// In: 0, or the error to complete with as a negative errno, -4095 to -1.
    pub error: i32,
    /// Out: how many jobs this call has completed.
    pub completed: u32,
}

/// `struct vfence_queue_info`: where a queue stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct QueueInfo {
    /// In: id of the queue.
    pub queue: u32,
    /// In: must be 0.
    pub flags: u32,
    /// Out: [`QUEUE_TIMER`] or [`QUEUE_MANUAL`].
    pub kind: u32,
    /// In: must be 0.
    pub pad: u32,
    /// Out: the dma_fence context.
    pub context: u64,
    /// Out: sequence number of the job submitted last; 0 before the first.
    pub submitted: u64,
    /// Out: sequence number of the job completed last; 0 before the first.
    pub completed: u64,
    /// Out: the timeline name, NUL-terminated.
    pub name: [u8; NAME_LEN],
}

/// `VFENCE_IOCTL_QUERY`, with a [`Query`].
pub const IOCTL_QUERY: Opcode = opcode::read_write::<Query>(IOCTL_TYPE, 0x00);
/// `VFENCE_IOCTL_QUEUE_CREATE`, with a [`QueueCreate`].
pub const IOCTL_QUEUE_CREATE: Opcode = opcode::read_write::<QueueCreate>(IOCTL_TYPE, 0x01);
/// `VFENCE_IOCTL_QUEUE_DESTROY`, with a [`QueueDestroy`].
pub const IOCTL_QUEUE_DESTROY: Opcode = opcode::write::<QueueDestroy>(IOCTL_TYPE, 0x02);
/// `VFENCE_IOCTL_QUEUE_INFO`, with a [`QueueInfo`].
pub const IOCTL_QUEUE_INFO: Opcode = opcode::read_write::<QueueInfo>(IOCTL_TYPE, 0x03);
/// `VFENCE_IOCTL_SUBMIT`, with a [`Submit`].
pub const IOCTL_SUBMIT: Opcode = opcode::read_write::<Submit>(IOCTL_TYPE, 0x04);
/// `VFENCE_IOCTL_SIGNAL`, with a [`Signal`].
pub const IOCTL_SIGNAL: Opcode = opcode::read_write::<Signal>(IOCTL_TYPE, 0x05);

/// Calls [`IOCTL_QUERY`].
pub fn query(fd: BorrowedFd<'_>, argument: &mut Query) -> Result<(), Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOCTL_QUERY, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_CREATE`].
pub fn queue_create(fd: BorrowedFd<'_>, argument: &mut QueueCreate) -> Result<(), Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOCTL_QUEUE_CREATE, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_DESTROY`].
pub fn queue_destroy(fd: BorrowedFd<'_>, argument: &mut QueueDestroy) -> Result<(), Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOCTL_QUEUE_DESTROY, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_INFO`].
pub fn queue_info(fd: BorrowedFd<'_>, argument: &mut QueueInfo) -> Result<(), Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOCTL_QUEUE_INFO, _>(fd, argument) }
}

/// Calls [`IOCTL_SUBMIT`] and returns the out-fence, if one was asked for.
pub fn submit(fd: BorrowedFd<'_>, argument: &mut Submit) -> Result<Option<OwnedFd>, Errno> {
    // What comes back must be what the kernel has written.
    argument.out_fence = -1;
    // SAFETY: The structure is that of the number, and the kernel only reads through its pointer.
    unsafe { update::<IOCTL_SUBMIT, _>(fd, argument) }?;
    Ok(match argument.out_fence {
        -1 => None,
        // SAFETY: The call has succeeded, so this is a new file descriptor that belongs to the caller.
        fd => Some(unsafe { OwnedFd::from_raw_fd(fd) }),
    })
}

/// Calls [`IOCTL_SIGNAL`].
pub fn signal(fd: BorrowedFd<'_>, argument: &mut Signal) -> Result<(), Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOCTL_SIGNAL, _>(fd, argument) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    /// Asserts the offset of each field, in the order of the header, and the size of the structure.
    macro_rules! layout {
        ($type:ty, $size:literal, $($field:ident: $offset:literal),+) => {
            assert_eq!(size_of::<$type>(), $size);
            assert_eq!(align_of::<$type>() % 4, 0);
            $(assert_eq!(offset_of!($type, $field), $offset, stringify!($field));)+
        };
    }

    #[test]
    fn query_has_the_layout_of_the_header() {
        layout!(Query, 32, api_version: 0, flags: 4, capabilities: 8, watchdog_ns: 16, max_queues: 24,
            max_jobs: 28);
    }

    #[test]
    fn queue_create_has_the_layout_of_the_header() {
        layout!(QueueCreate, 56, kind: 0, flags: 4, name: 8, queue: 40, pad: 44, context: 48);
    }

    #[test]
    fn queue_destroy_has_the_layout_of_the_header() {
        layout!(QueueDestroy, 8, queue: 0, flags: 4);
    }

    #[test]
    fn queue_info_has_the_layout_of_the_header() {
        layout!(QueueInfo, 72, queue: 0, flags: 4, kind: 8, pad: 12, context: 16, submitted: 24,
            completed: 32, name: 40);
    }

    #[test]
    fn submit_has_the_layout_of_the_header() {
        layout!(Submit, 40, queue: 0, flags: 4, duration_ns: 8, in_fences: 16, in_fence_count: 24,
            out_fence: 28, seqno: 32);
    }

    #[test]
    fn signal_has_the_layout_of_the_header() {
        layout!(Signal, 24, queue: 0, flags: 4, seqno: 8, error: 16, completed: 20);
    }

    #[test]
    fn numbers_are_those_of_the_header() {
        assert_eq!(IOCTL_QUERY, 0xc020_f700);
        assert_eq!(IOCTL_QUEUE_CREATE, 0xc038_f701);
        assert_eq!(IOCTL_QUEUE_DESTROY, 0x4008_f702);
        assert_eq!(IOCTL_QUEUE_INFO, 0xc048_f703);
        assert_eq!(IOCTL_SUBMIT, 0xc028_f704);
        assert_eq!(IOCTL_SIGNAL, 0xc018_f705);
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsFd::as_fd(&file);
        assert_eq!(query(fd, &mut Query::default()), Err(Errno::NOTTY));
    }
}
