// SPDX-License-Identifier: GPL-2.0 OR MIT

//! `include/uapi/linux/vfence.h`, which says what each field means.

use super::{by_value, update};
use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::ioctl::{opcode, Opcode};

/// `VFENCE_IOCTL_TYPE`: the type byte of the ioctl numbers.
pub const IOCTL_TYPE: u8 = 0xf7;
/// `VFENCE_API_VERSION`: the version of the header that this crate was written for.
pub const API_VERSION: u32 = 4;
/// `VFENCE_NAME_LEN`: size of a queue's name, the closing NUL included.
pub const NAME_LEN: usize = 32;
/// `VFENCE_MAX_IN_FENCES`: most in-fences a job may have.
pub const MAX_IN_FENCES: u32 = 1024;
/// `VFENCE_MAX_WAITS`: most pending in-fences that a client's jobs wait for, and most fences that those of
/// one call may consist of.
pub const MAX_WAITS: u32 = 65536;
/// `VFENCE_MAX_BATCH`: most jobs of one [`submit_batch`].
pub const MAX_BATCH: u32 = 1024;
/// `VFENCE_MAX_WAIT_POINTS`: most points of one [`wait`].
pub const MAX_WAIT_POINTS: u32 = 1024;
/// `VFENCE_MAX_EVENTS`: most events that a client can have, unread or still to come.
pub const MAX_EVENTS: u32 = 65536;
/// `VFENCE_HISTORY`: how many completed jobs a queue remembers.
pub const HISTORY: u32 = 256;
/// `VFENCE_MAX_FAULTS`: most faults in the plan of a queue.
pub const MAX_FAULTS: u32 = 16;
/// `VFENCE_MAX_USES`: most buffers that the jobs of one call may use.
pub const MAX_USES: u32 = 1024;
/// `VFENCE_MAX_MAPPED`: most pages of buffers that a client's pending jobs operate on.
pub const MAX_MAPPED: u32 = 262144;
/// `VFENCE_MAX_OPERATIONS`: most operations of a job.
pub const MAX_OPERATIONS: u32 = 64;
/// `VFENCE_MAX_BOOST_PERCENT`: the fastest that an engine can be made.
pub const MAX_BOOST_PERCENT: u32 = 10000;
/// `VFENCE_CAP_TIMER_QUEUE`: queues of [`QUEUE_TIMER`] can be created.
pub const CAP_TIMER_QUEUE: u64 = 1 << 0;
/// `VFENCE_CAP_MANUAL_QUEUE`: queues of [`QUEUE_MANUAL`] can be created.
pub const CAP_MANUAL_QUEUE: u64 = 1 << 1;
/// `VFENCE_CAP_WORKER_QUEUE`: queues of [`QUEUE_WORKER`] can be created.
pub const CAP_WORKER_QUEUE: u64 = 1 << 2;
/// `VFENCE_CAP_BUFFER`: buffers can be created.
pub const CAP_BUFFER: u64 = 1 << 3;
/// `VFENCE_QUEUE_TIMER`: a timer completes the jobs.
pub const QUEUE_TIMER: u32 = 1;
/// `VFENCE_QUEUE_MANUAL`: user space completes the jobs.
pub const QUEUE_MANUAL: u32 = 2;
/// `VFENCE_QUEUE_WORKER`: a timer wakes a worker that completes the jobs.
pub const QUEUE_WORKER: u32 = 3;
/// `VFENCE_IN_FENCE_PROPAGATE`: a job completes with the error of its in-fence and does not run.
pub const IN_FENCE_PROPAGATE: u32 = 0;
/// `VFENCE_IN_FENCE_IGNORE`: a job runs all the same.
pub const IN_FENCE_IGNORE: u32 = 1;
/// `VFENCE_IN_FENCE_CANCEL`: as [`IN_FENCE_PROPAGATE`], and the queue is stopped.
pub const IN_FENCE_CANCEL: u32 = 2;
/// `VFENCE_TIMEOUT_CONTINUE`: the queue is reset by itself.
pub const TIMEOUT_CONTINUE: u32 = 0;
/// `VFENCE_TIMEOUT_CANCEL`: the queue is stopped.
pub const TIMEOUT_CANCEL: u32 = 1;
/// `VFENCE_SUBMIT_OUT_FENCE`: return a sync_file for the job.
pub const SUBMIT_OUT_FENCE: u32 = 1 << 0;
/// `VFENCE_SUBMIT_EVENT`: report the job's completion by an [`Event`].
pub const SUBMIT_EVENT: u32 = 1 << 1;
/// `VFENCE_SUBMIT_HANG`: the job never ends by itself.
pub const SUBMIT_HANG: u32 = 1 << 2;
/// `VFENCE_USE_WRITE`: the job writes the buffer.
pub const USE_WRITE: u32 = 1 << 0;
/// `VFENCE_USE_NO_WAIT`: the job does not wait for others who use the buffer.
pub const USE_NO_WAIT: u32 = 1 << 1;
/// `VFENCE_USE_NO_ADD`: others who use the buffer do not wait for the job.
pub const USE_NO_ADD: u32 = 1 << 2;
/// `VFENCE_OPERATION_FILL`: a range is filled with a pattern.
pub const OPERATION_FILL: u32 = 1;
/// `VFENCE_OPERATION_COPY`: a range is copied.
pub const OPERATION_COPY: u32 = 2;
/// `VFENCE_OPERATION_CRC32C`: the CRC-32C of a range is the job's result.
pub const OPERATION_CRC32C: u32 = 3;
/// `VFENCE_WAIT_ANY`: wait for one of the points, not for all.
pub const WAIT_ANY: u32 = 1 << 0;
/// `VFENCE_JOB_PENDING`: it waits.
pub const JOB_PENDING: u32 = 1;
/// `VFENCE_JOB_RUNNING`: it has started.
pub const JOB_RUNNING: u32 = 2;
/// `VFENCE_JOB_COMPLETED`: it has completed.
pub const JOB_COMPLETED: u32 = 3;
/// `VFENCE_FAULT_FAIL`: a job completes with an error after its duration.
pub const FAULT_FAIL: u32 = 1;
/// `VFENCE_FAULT_HANG`: a job never ends by itself.
pub const FAULT_HANG: u32 = 2;
/// `VFENCE_FAULT_DELAY`: a job takes longer.
pub const FAULT_DELAY: u32 = 3;
/// `VFENCE_FAULT_DROP_INTERRUPT`: a job ends, but the interrupt that tells of it is lost.
pub const FAULT_DROP_INTERRUPT: u32 = 4;
/// `VFENCE_QUEUE_STOPPED`: a bit of [`QueueInfo::state`].
pub const QUEUE_STOPPED: u32 = 1 << 0;

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
    /// Out: the largest [`BufferCreate::size`], in bytes.
    pub max_buffer_size: u64,
}

/// `struct vfence_queue_create`: make a queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct QueueCreate {
    /// In: `QUEUE_*`.
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
    /// In: the queue's own bound on the time that a job takes, in ns; 0 for the watchdog's.
    pub timeout_ns: u64,
    /// In: what random durations are drawn from.
    pub seed: u64,
    /// In: `IN_FENCE_*`.
    pub in_fence_policy: u32,
    /// In: `TIMEOUT_*`.
    pub timeout_policy: u32,
    /// In: how fast the engine may run to meet a deadline, in percent of its usual speed; 0 is the same as 100.
    pub boost_percent: u32,
    /// In: must be 0.
    pub pad2: u32,
    /// Out: where `mmap()` finds the [`Counters`].
    pub counters_offset: u64,
}

/// `struct vfence_counters`: what has become of a queue's jobs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Counters {
    /// Sequence number of the job submitted last; 0 before the first.
    pub submitted: u64,
    /// Sequence number of the job completed last; 0 before the first.
    pub completed: u64,
    /// How many of the completed jobs have completed with an error.
    pub errors: u64,
    /// How many of them the watchdog has ended.
    pub timeouts: u64,
    /// How often the queue was reset.
    pub resets: u64,
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
    /// In: any of `SUBMIT_*`.
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
    /// In: when not 0, the duration is drawn from those between `duration_ns` and this.
    pub duration_max_ns: u64,
    /// In: 0, or the error to complete with after the duration as a negative errno, -4095 to -1.
    pub error: i32,
    /// In: must be 0.
    pub pad: u32,
    /// In: address of an array of `use_count` [`Use`], which the kernel reads.
    pub uses: u64,
    /// In: address of an array of `operation_count` [`Operation`], which the kernel reads.
    pub operations: u64,
    /// In: number of buffers that the job uses.
    pub use_count: u32,
    /// In: number of operations.
    pub operation_count: u32,
    /// In: size of [`Use`].
    pub use_size: u32,
    /// In: size of [`Operation`].
    pub operation_size: u32,
}

/// `struct vfence_use`: a buffer that a job uses.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Use {
    /// In: a dma-buf.
    pub fd: i32,
    /// In: any of `USE_*`.
    pub flags: u32,
}

/// `struct vfence_operation`: what is done with buffers.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Operation {
    /// In: `OPERATION_*`.
    pub kind: u32,
    /// In: index of the [`Use`] that is written.
    pub target: u32,
    /// In: index of the [`Use`] that is read.
    pub source: u32,
    /// In: size of the pattern in bytes: 1, 4 or 8.
    pub pattern_size: u32,
    /// In: where in the target, in bytes.
    pub target_offset: u64,
    /// In: where in the source, in bytes.
    pub source_offset: u64,
    /// In: how many bytes.
    pub length: u64,
    /// In: what to fill with.
    pub pattern: u64,
}

/// `struct vfence_submit_batch`: append jobs to queues, all of them or none.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct SubmitBatch {
    /// In: address of an array of `count` [`Submit`].
    pub jobs: u64,
    /// In: number of jobs.
    pub count: u32,
    /// In: size of [`Submit`].
    pub job_size: u32,
    /// In: must be 0.
    pub flags: u32,
    /// Out: index of the job that was refused.
    pub refused: u32,
}

/// `struct vfence_point`: a job, by its queue and sequence number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
#[repr(C)]
pub struct Point {
    /// In: id of the queue.
    pub queue: u32,
    /// In: must be 0.
    pub pad: u32,
    /// In: the sequence number of the job.
    pub seqno: u64,
}

/// `struct vfence_wait`: wait until jobs have completed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Wait {
    /// In: address of an array of `count` [`Point`].
    pub points: u64,
    /// In: number of points.
    pub count: u32,
    /// In: 0 or [`WAIT_ANY`].
    pub flags: u32,
    /// In: until when to wait, in ns on `CLOCK_MONOTONIC`; `u64::MAX` waits for ever.
    pub timeout_ns: u64,
    /// Out: with [`WAIT_ANY`] the lowest index of a point that has completed.
    pub first: u32,
    /// In: must be 0.
    pub pad: u32,
}

/// `struct vfence_export`: return a sync_file for a job.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Export {
    /// In: id of the queue.
    pub queue: u32,
    /// In: must be 0.
    pub flags: u32,
    /// In: the sequence number of the job.
    pub seqno: u64,
    /// Out: the file descriptor of the sync_file.
    pub fence: i32,
    /// In: must be 0.
    pub pad: u32,
}

/// `struct vfence_job_info`: where a job stands.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct JobInfo {
    /// In: id of the queue.
    pub queue: u32,
    /// In: must be 0.
    pub flags: u32,
    /// In: the sequence number of the job.
    pub seqno: u64,
    /// Out: `JOB_*`.
    pub state: u32,
    /// Out: what it has completed with: a negative errno, or 0.
    pub error: i32,
    /// Out: when it was submitted.
    pub submitted_ns: u64,
    /// Out: when it started to run; 0 if it has not, or never ran.
    pub start_ns: u64,
    /// Out: when it ended; 0 if it has not.
    pub end_ns: u64,
    /// Out: the earliest deadline of its fence; 0 if none was set.
    pub deadline_ns: u64,
    /// Out: what was injected: bits `1 << FAULT_*`.
    pub faults: u32,
    /// In: must be 0.
    pub pad: u32,
    /// Out: what the job's operations came to, or 0.
    pub result: u64,
}

/// `struct vfence_buffer_create`: make a buffer.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct BufferCreate {
    /// In: how many bytes are wanted; out: how many there are, whole pages.
    pub size: u64,
    /// In: must be 0.
    pub flags: u32,
    /// Out: a dma-buf with close-on-exec set that the caller owns.
    pub fd: i32,
}

/// `struct vfence_event`: a job has completed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Event {
    /// Id of the queue.
    pub queue: u32,
    /// What the job completed with: a negative errno, or 0.
    pub error: i32,
    /// The sequence number of the job.
    pub seqno: u64,
    /// When it was submitted.
    pub submitted_ns: u64,
    /// When it started to run; 0 if it never ran.
    pub start_ns: u64,
    /// When it ended.
    pub end_ns: u64,
    /// The earliest deadline of its fence; 0 if none was set.
    pub deadline_ns: u64,
    /// What was injected: bits `1 << FAULT_*`.
    pub faults: u32,
    /// 0.
    pub flags: u32,
    /// What the job's operations came to, or 0.
    pub result: u64,
}

/// `struct vfence_queue_reset`: reset a queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct QueueReset {
    /// In: id of the queue.
    pub queue: u32,
    /// In: must be 0.
    pub flags: u32,
    /// Out: how often the queue was reset, this time included.
    pub resets: u64,
}

/// `struct vfence_fault`: what to do to which jobs.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct Fault {
    /// In: `FAULT_*`.
    pub kind: u32,
    /// In: do it to every so manyth job.
    pub every: u32,
    /// In: do it to a job with this probability, in millionths.
    pub probability: u32,
    /// In: the error of [`FAULT_FAIL`] as a negative errno, -4095 to -1.
    pub error: i32,
    /// In: how much longer, in ns, with [`FAULT_DELAY`].
    pub delay_ns: u64,
    /// In: do it so many times at most; 0 for no limit.
    pub limit: u64,
}

/// `struct vfence_queue_faults`: set the fault plan of a queue.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C)]
pub struct QueueFaults {
    /// In: id of the queue.
    pub queue: u32,
    /// In: must be 0.
    pub flags: u32,
    /// In: what the probabilities are drawn from.
    pub seed: u64,
    /// In: address of an array of `count` [`Fault`].
    pub faults: u64,
    /// In: number of faults; 0 ends the plan.
    pub count: u32,
    /// In: size of [`Fault`].
    pub fault_size: u32,
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
    /// Out: `QUEUE_*`.
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
    /// Out: [`Counters::errors`].
    pub errors: u64,
    /// Out: [`Counters::timeouts`].
    pub timeouts: u64,
    /// Out: [`Counters::resets`].
    pub resets: u64,
    /// Out: the bound that is in force, in ns; 0 if there is none.
    pub timeout_ns: u64,
    /// Out: how many faults were injected of each `FAULT_*`, at that index.
    pub faults: [u64; 8],
    /// Out: 0 or [`QUEUE_STOPPED`].
    pub state: u32,
    /// In: must be 0.
    pub pad2: u32,
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
/// `VFENCE_IOCTL_SUBMIT_BATCH`, with a [`SubmitBatch`].
pub const IOCTL_SUBMIT_BATCH: Opcode = opcode::read_write::<SubmitBatch>(IOCTL_TYPE, 0x06);
/// `VFENCE_IOCTL_WAIT`, with a [`Wait`].
pub const IOCTL_WAIT: Opcode = opcode::read_write::<Wait>(IOCTL_TYPE, 0x07);
/// `VFENCE_IOCTL_EXPORT`, with an [`Export`].
pub const IOCTL_EXPORT: Opcode = opcode::read_write::<Export>(IOCTL_TYPE, 0x08);
/// `VFENCE_IOCTL_JOB_INFO`, with a [`JobInfo`].
pub const IOCTL_JOB_INFO: Opcode = opcode::read_write::<JobInfo>(IOCTL_TYPE, 0x09);
/// `VFENCE_IOCTL_QUEUE_RESET`, with a [`QueueReset`].
pub const IOCTL_QUEUE_RESET: Opcode = opcode::read_write::<QueueReset>(IOCTL_TYPE, 0x0a);
/// `VFENCE_IOCTL_QUEUE_FAULTS`, with a [`QueueFaults`].
pub const IOCTL_QUEUE_FAULTS: Opcode = opcode::write::<QueueFaults>(IOCTL_TYPE, 0x0b);
/// `VFENCE_IOCTL_BUFFER_CREATE`.
pub const IOCTL_BUFFER_CREATE: Opcode = opcode::read_write::<BufferCreate>(IOCTL_TYPE, 0x0c);
/// `VFENCE_IOCTL_CREATE_FENCE`, with the id of a queue.
pub const IOCTL_CREATE_FENCE: Opcode = opcode::none(IOCTL_TYPE, 0x0d);
/// `VFENCE_IOCTL_SIGNAL_NEXT`, with the id of a queue.
pub const IOCTL_SIGNAL_NEXT: Opcode = opcode::none(IOCTL_TYPE, 0x0e);

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
    // SAFETY: The structure is that of the number, and the kernel only reads through its pointers.
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

/// Calls [`IOCTL_CREATE_FENCE`] and returns the out-fence.
pub fn create_fence(fd: BorrowedFd<'_>, queue: u32) -> Result<OwnedFd, Errno> {
    // SAFETY: The argument of that number is an id.
    let fence = unsafe { by_value(fd, IOCTL_CREATE_FENCE, queue) }?;
    // SAFETY: The call has succeeded, so this is a new file descriptor that belongs to the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(fence) })
}

/// Calls [`IOCTL_SIGNAL_NEXT`] and returns whether there was a job to complete.
pub fn signal_next(fd: BorrowedFd<'_>, queue: u32) -> Result<bool, Errno> {
    // SAFETY: The argument of that number is an id.
    Ok(unsafe { by_value(fd, IOCTL_SIGNAL_NEXT, queue) }? != 0)
}

/// Calls [`IOCTL_SUBMIT_BATCH`] with `jobs`, and returns the out-fence of each that has asked for one.
///
/// When it fails, [`SubmitBatch::refused`] is the index of the job that was refused.
pub fn submit_batch(
    fd: BorrowedFd<'_>,
    argument: &mut SubmitBatch,
    jobs: &mut [Submit],
) -> Result<Vec<Option<OwnedFd>>, Errno> {
    argument.jobs = jobs.as_mut_ptr() as u64;
    argument.count = u32::try_from(jobs.len()).map_err(|_| Errno::INVAL)?;
    argument.job_size = size_of::<Submit>() as u32;
    // SAFETY: The structure is that of the number; its pointer is valid for reads and writes of as many jobs as it says, and
    // through theirs the kernel only reads.
    unsafe { update::<IOCTL_SUBMIT_BATCH, _>(fd, argument) }?;
    let fence = |job: &Submit| match job.out_fence {
        -1 => None,
        // SAFETY: The call has succeeded, so this is a new file descriptor that belongs to the caller; each is
        // in one job.
        fd => Some(unsafe { OwnedFd::from_raw_fd(fd) }),
    };
    Ok(jobs.iter().map(fence).collect())
}

/// Calls [`IOCTL_WAIT`] with `points`.
pub fn wait(fd: BorrowedFd<'_>, argument: &mut Wait, points: &[Point]) -> Result<(), Errno> {
    argument.points = points.as_ptr() as u64;
    argument.count = u32::try_from(points.len()).map_err(|_| Errno::INVAL)?;
    // SAFETY: The structure is that of the number, and the kernel only reads through its pointer.
    unsafe { update::<IOCTL_WAIT, _>(fd, argument) }
}

/// Calls [`IOCTL_EXPORT`] and returns the sync_file.
pub fn export(fd: BorrowedFd<'_>, argument: &mut Export) -> Result<OwnedFd, Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOCTL_EXPORT, _>(fd, argument) }?;
    // SAFETY: The call has succeeded, so this is a new file descriptor that belongs to the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fence) })
}

/// Calls [`IOCTL_BUFFER_CREATE`] and returns the dma-buf.
pub fn buffer_create(fd: BorrowedFd<'_>, argument: &mut BufferCreate) -> Result<OwnedFd, Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOCTL_BUFFER_CREATE, _>(fd, argument) }?;
    // SAFETY: The call has succeeded, so this is a new file descriptor that belongs to the caller.
    Ok(unsafe { OwnedFd::from_raw_fd(argument.fd) })
}

/// Calls [`IOCTL_JOB_INFO`].
pub fn job_info(fd: BorrowedFd<'_>, argument: &mut JobInfo) -> Result<(), Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
    unsafe { update::<IOCTL_JOB_INFO, _>(fd, argument) }
}

/// Calls [`IOCTL_QUEUE_RESET`].
pub fn queue_reset(fd: BorrowedFd<'_>, argument: &mut QueueReset) -> Result<(), Errno> {
    // SAFETY: The structure is that of the number, and has no pointers.
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
    // SAFETY: The structure is that of the number, and the kernel only reads through its pointer.
    unsafe { update::<IOCTL_QUEUE_FAULTS, _>(fd, argument) }
}

impl Event {
    /// Returns what the bytes that `read()` has returned stand for.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; size_of::<Self>()]) -> Self {
        // SAFETY: The sizes are the same, there is no padding, and every bit pattern is an event.
        unsafe { std::mem::transmute(*bytes) }
    }
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
        layout!(Query, 40, api_version: 0, flags: 4, capabilities: 8, watchdog_ns: 16, max_queues: 24,
            max_jobs: 28, max_buffer_size: 32);
    }

    #[test]
    fn queue_create_has_the_layout_of_the_header() {
        layout!(QueueCreate, 96, kind: 0, flags: 4, name: 8, queue: 40, pad: 44, context: 48, timeout_ns: 56,
            seed: 64, in_fence_policy: 72, timeout_policy: 76, boost_percent: 80, pad2: 84, counters_offset: 88);
    }

    #[test]
    fn queue_destroy_has_the_layout_of_the_header() {
        layout!(QueueDestroy, 8, queue: 0, flags: 4);
    }

    #[test]
    fn queue_info_has_the_layout_of_the_header() {
        layout!(QueueInfo, 176, queue: 0, flags: 4, kind: 8, pad: 12, context: 16, submitted: 24,
            completed: 32, name: 40, errors: 72, timeouts: 80, resets: 88, timeout_ns: 96, faults: 104, state: 168,
            pad2: 172);
    }

    #[test]
    fn submit_has_the_layout_of_the_header() {
        layout!(Submit, 88, queue: 0, flags: 4, duration_ns: 8, in_fences: 16, in_fence_count: 24,
            out_fence: 28, seqno: 32, duration_max_ns: 40, error: 48, pad: 52, uses: 56, operations: 64,
            use_count: 72, operation_count: 76, use_size: 80, operation_size: 84);
        layout!(Use, 8, fd: 0, flags: 4);
        layout!(Operation, 48, kind: 0, target: 4, source: 8, pattern_size: 12, target_offset: 16,
            source_offset: 24, length: 32, pattern: 40);
    }

    #[test]
    fn signal_has_the_layout_of_the_header() {
        layout!(Signal, 24, queue: 0, flags: 4, seqno: 8, error: 16, completed: 20);
    }

    #[test]
    fn submit_batch_has_the_layout_of_the_header() {
        layout!(SubmitBatch, 24, jobs: 0, count: 8, job_size: 12, flags: 16, refused: 20);
    }

    #[test]
    fn wait_has_the_layout_of_the_header() {
        layout!(Point, 16, queue: 0, pad: 4, seqno: 8);
        layout!(Wait, 32, points: 0, count: 8, flags: 12, timeout_ns: 16, first: 24, pad: 28);
    }

    #[test]
    fn export_has_the_layout_of_the_header() {
        layout!(Export, 24, queue: 0, flags: 4, seqno: 8, fence: 16, pad: 20);
    }

    #[test]
    fn job_info_has_the_layout_of_the_header() {
        layout!(JobInfo, 72, queue: 0, flags: 4, seqno: 8, state: 16, error: 20, submitted_ns: 24, start_ns: 32,
            end_ns: 40, deadline_ns: 48, faults: 56, pad: 60, result: 64);
    }

    #[test]
    fn event_has_the_layout_of_the_header() {
        layout!(Event, 64, queue: 0, error: 4, seqno: 8, submitted_ns: 16, start_ns: 24, end_ns: 32,
            deadline_ns: 40, faults: 48, flags: 52, result: 56);
    }

    #[test]
    fn event_is_made_of_its_bytes() {
        let mut bytes = [0; 64];
        bytes[..4].copy_from_slice(&7u32.to_ne_bytes());
        bytes[4..8].copy_from_slice(&(-5i32).to_ne_bytes());
        bytes[8..16].copy_from_slice(&9u64.to_ne_bytes());
        let event = Event::from_bytes(&bytes);
        assert_eq!((event.queue, event.error, event.seqno), (7, -5, 9));
    }

    #[test]
    fn reset_has_the_layout_of_the_header() {
        layout!(QueueReset, 16, queue: 0, flags: 4, resets: 8);
    }

    #[test]
    fn faults_have_the_layout_of_the_header() {
        layout!(Fault, 32, kind: 0, every: 4, probability: 8, error: 12, delay_ns: 16, limit: 24);
        layout!(QueueFaults, 32, queue: 0, flags: 4, seed: 8, faults: 16, count: 24, fault_size: 28);
    }

    #[test]
    fn buffer_create_has_the_layout_of_the_header() {
        layout!(BufferCreate, 16, size: 0, flags: 8, fd: 12);
    }

    #[test]
    fn counters_have_the_layout_of_the_header() {
        layout!(Counters, 40, submitted: 0, completed: 8, errors: 16, timeouts: 24, resets: 32);
    }

    #[test]
    fn numbers_are_those_of_the_header() {
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
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let file = std::fs::File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsFd::as_fd(&file);
        assert_eq!(query(fd, &mut Query::default()), Err(Errno::NOTTY));
    }
}
