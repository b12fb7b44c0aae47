// SPDX-License-Identifier: GPL-2.0

//! The ioctls that name jobs by queue and seqno: `VFENCE_IOCTL_WAIT`, `VFENCE_IOCTL_EXPORT`,
//! `VFENCE_IOCTL_JOB_INFO`.

use crate::{
    kernel_ext::{
        sync_file::SyncFile,
        wait::wait_until, //
    },
    uapi::{
        vfence_export,
        vfence_job_info,
        vfence_job_state_VFENCE_JOB_COMPLETED as COMPLETED,
        vfence_job_state_VFENCE_JOB_PENDING as PENDING,
        vfence_job_state_VFENCE_JOB_RUNNING as RUNNING,
        vfence_point,
        vfence_wait,
        VFENCE_MAX_WAIT_POINTS,
        VFENCE_WAIT_ANY, //
    },
    vfence::{
        client::Client,
        descriptor,
        queue::{
            Queue,
            QueueRef, //
        },
        refusal::{
            must_be_zero,
            refuse, //
        },
        sched::types::JobState,
        uarg::UserArg, //
    },
};
use core::mem::offset_of;
use kernel::{
    prelude::*,
    rbtree::{
        Entry,
        RBTree,
        RBTreeNodeReservation, //
    },
};

/// The job that a task waits for on one queue.
struct QueueWait {
    queue: QueueRef,
    /// Its seqno: the lowest of those listed with `VFENCE_WAIT_ANY`, else the highest.
    seqno: u64,
}

impl QueueWait {
    fn new(queue: QueueRef, seqno: u64) -> Self {
        queue.begin_wait();
        Self { queue, seqno }
    }

    fn is_over(&self) -> bool {
        self.queue.completed() >= self.seqno
    }
}

impl Drop for QueueWait {
    fn drop(&mut self) {
        self.queue.end_wait();
    }
}

/// The waits of a call, by queue id.
type QueueWaits = RBTree<u32, QueueWait>;

/// `VFENCE_IOCTL_WAIT`.
#[inline(never)]
pub(super) fn wait(client: &Client, argument: UserArg) -> Result {
    let mut wait: vfence_wait = argument.read()?;
    must_be_zero!("wait: unknown part of flags", wait.flags & !VFENCE_WAIT_ANY)?;
    must_be_zero!("wait: pad", wait.pad)?;
    let any = wait.flags & VFENCE_WAIT_ANY != 0;
    let mut waits = QueueWaits::new();
    let points = read_points(&wait, |point| add_point(&mut waits, client, point, any))?;
    let waiters = waits.values().map(|wait| (&wait.queue.waiters, wait.seqno));
    let over = wait_until(waiters, wait.timeout_ns, || {
        if any {
            waits.values().any(QueueWait::is_over)
        } else {
            waits.values().all(QueueWait::is_over)
        }
    })?;
    if !over {
        return Err(ETIME);
    }
    wait.first = 0;
    if any {
        let first = points.iter().position(|point| {
            let wait = waits.get(&point.queue);
            wait.is_some_and(|wait| wait.queue.completed() >= point.seqno)
        });
        // CAST: There are at most `VFENCE_MAX_WAIT_POINTS`.
        wait.first = first.unwrap_or(0) as u32;
    }
    argument.write(&wait)
}

/// Reads the points of `wait` from user space, passes each to `f`, and returns them. Fails with
/// `EINVAL` for none, too many, or reserved fields that are not zero, `EFAULT`, `ENOMEM`, and as
/// `f` does.
fn read_points(
    wait: &vfence_wait,
    mut f: impl FnMut(&vfence_point) -> Result,
) -> Result<KVec<vfence_point>> {
    let count = wait.count;
    if count == 0 || count > VFENCE_MAX_WAIT_POINTS {
        return Err(refuse!(
            EINVAL,
            "wait: count {} is 0 or above VFENCE_MAX_WAIT_POINTS, {}",
            count,
            VFENCE_MAX_WAIT_POINTS
        ));
    }
    let mut points = KVec::with_capacity(wait.count as usize, GFP_KERNEL_ACCOUNT)?;
    for index in 0..wait.count as usize {
        let element = UserArg::element(
            "wait: points",
            wait.points,
            index,
            size_of::<vfence_point>(),
        )?;
        let point: vfence_point = element.read()?;
        must_be_zero!("wait: pad of a point", point.pad)?;
        f(&point)?;
        points.push(point, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(points)
}

/// Adds a point to the waits of a call. Fails with `ENOENT`, `EINVAL` for a job that was not
/// submitted, `ENOMEM`.
fn add_point(waits: &mut QueueWaits, client: &Client, point: &vfence_point, any: bool) -> Result {
    let seqno = point.seqno;
    let wait = match waits.entry(point.queue) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let queue = client.queue(point.queue)?;
            let reservation = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
            entry.insert(QueueWait::new(queue, seqno), reservation)
        }
    };
    if seqno == 0 || seqno > wait.queue.submitted() {
        return Err(wait.queue.not_submitted(seqno));
    }
    wait.seqno = if any {
        wait.seqno.min(seqno)
    } else {
        wait.seqno.max(seqno)
    };
    Ok(())
}

/// `VFENCE_IOCTL_EXPORT`.
#[inline(never)]
pub(super) fn export(client: &Client, argument: UserArg) -> Result {
    let mut export: vfence_export = argument.read()?;
    must_be_zero!("export: flags", export.flags)?;
    must_be_zero!("export: pad", export.pad)?;
    let queue = client.queue(export.queue)?;
    let fd = descriptor::reserve()?;
    // CAST: A file descriptor fits.
    export.fence = fd.reserved_fd() as i32;
    let file = Queue::with_job_fence(&queue, export.seqno, |fence| {
        let file = SyncFile::create(fence)?;
        argument.write(&export)?;
        Ok(file)
    })?;
    file.install(fd);
    Ok(())
}

/// `VFENCE_IOCTL_JOB_INFO`.
#[inline(never)]
pub(super) fn info(client: &Client, argument: UserArg) -> Result {
    let mut info: vfence_job_info =
        argument.read_versioned(&[offset_of!(vfence_job_info, result)])?;
    must_be_zero!("job_info: flags", info.flags)?;
    must_be_zero!("job_info: pad", info.pad)?;
    let queue = client.queue(info.queue)?;
    let (state, record) = match queue.job_state(info.seqno) {
        JobState::Unknown => return Err(queue.not_submitted(info.seqno)),
        JobState::Forgotten => return Err(queue.forgotten(info.seqno)),
        JobState::Pending(record) => (PENDING, record),
        JobState::Running(record) => (RUNNING, record),
        JobState::Completed(record) => (COMPLETED, record),
    };
    info.state = state;
    info.error = record.error;
    info.submitted_ns = record.submitted;
    info.start_ns = record.start;
    info.end_ns = record.end;
    info.deadline_ns = record.deadline;
    info.faults = record.faults;
    info.result = record.result;
    argument.write(&info)
}
