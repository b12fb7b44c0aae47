// SPDX-License-Identifier: GPL-2.0

//! Jobs without file descriptors: to wait for, to export, to look at.

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
        queue::{
            Queue,
            QueueRef, //
        },
        sched::types::JobState,
        uarg::{
            must_be_zero,
            UserArg, //
        },
    },
};
use core::mem::offset_of;
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*,
    rbtree::{
        Entry,
        RBTree,
        RBTreeNodeReservation, //
    },
};

/// What one waits for on a queue. A manual one knows that one does.
struct Wanted {
    queue: QueueRef,
    /// The job that decides: of any the first, of all the last.
    seqno: u64,
}

impl Wanted {
    fn new(queue: QueueRef, seqno: u64) -> Self {
        queue.count_waiter(true);
        Self { queue, seqno }
    }

    fn has_come(&self) -> bool {
        self.queue.completed() >= self.seqno
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.queue.count_waiter(false);
    }
}

/// What one waits for, by the queue's id.
type Queues = RBTree<u32, Wanted>;

/// `VFENCE_IOCTL_WAIT`.
pub(crate) fn wait(client: &Client, argument: &UserArg) -> Result {
    let mut wait: vfence_wait = argument.read()?;
    must_be_zero(wait.flags & !VFENCE_WAIT_ANY)?;
    must_be_zero(wait.pad)?;
    let any = wait.flags & VFENCE_WAIT_ANY != 0;
    let mut queues = Queues::new();
    let points = points(&wait, |point| want(&mut queues, client, point, any))?;
    let waiters = queues
        .values()
        .map(|wanted| (&wanted.queue.waiters, wanted.seqno));
    let come = wait_until(waiters, wait.timeout_ns, || {
        if any {
            queues.values().any(Wanted::has_come)
        } else {
            queues.values().all(Wanted::has_come)
        }
    })?;
    if !come {
        return Err(ETIME);
    }
    wait.first = 0;
    if any {
        let first = points.iter().position(|point| {
            let wanted = queues.get(&point.queue);
            wanted.is_some_and(|wanted| wanted.queue.completed() >= point.seqno)
        });
        // CAST: There are no more than `VFENCE_MAX_WAIT_POINTS`.
        wait.first = first.unwrap_or(0) as u32;
    }
    argument.write(&wait)
}

/// Returns the points that `wait` lists, once `f` has taken each of them.
fn points(
    wait: &vfence_wait,
    mut f: impl FnMut(&vfence_point) -> Result,
) -> Result<KVec<vfence_point>> {
    if wait.count == 0 || wait.count > VFENCE_MAX_WAIT_POINTS {
        return Err(EINVAL);
    }
    let mut points = KVec::with_capacity(wait.count as usize, GFP_KERNEL_ACCOUNT)?;
    for index in 0..wait.count as usize {
        let element = UserArg::element(wait.points, index, size_of::<vfence_point>())?;
        let point: vfence_point = element.read()?;
        must_be_zero(point.pad)?;
        f(&point)?;
        points.push(point, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(points)
}

/// Adds a point to what is waited for. Fails with `ENOENT`, `EINVAL` for a job that was not submitted, `ENOMEM`.
fn want(queues: &mut Queues, client: &Client, point: &vfence_point, any: bool) -> Result {
    let seqno = point.seqno;
    let wanted = match queues.entry(point.queue) {
        Entry::Occupied(entry) => entry.into_mut(),
        Entry::Vacant(entry) => {
            let queue = client.queue(point.queue)?;
            let reservation = RBTreeNodeReservation::new(GFP_KERNEL_ACCOUNT)?;
            entry.insert(Wanted::new(queue, seqno), reservation)
        }
    };
    if seqno == 0 || seqno > wanted.queue.submitted() {
        return Err(EINVAL);
    }
    wanted.seqno = if any {
        wanted.seqno.min(seqno)
    } else {
        wanted.seqno.max(seqno)
    };
    Ok(())
}

/// `VFENCE_IOCTL_EXPORT`.
pub(crate) fn export(client: &Client, argument: &UserArg) -> Result {
    let mut export: vfence_export = argument.read()?;
    must_be_zero(export.flags)?;
    must_be_zero(export.pad)?;
    let queue = client.queue(export.queue)?;
    let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
    // CAST: Descriptors fit.
    export.fence = fd.reserved_fd() as i32;
    let file = Queue::fence(&queue, export.seqno, |fence| {
        let file = SyncFile::create(fence)?;
        argument.write(&export)?;
        Ok(file)
    })?;
    file.install(fd);
    Ok(())
}

/// `VFENCE_IOCTL_JOB_INFO`.
pub(crate) fn job_info(client: &Client, argument: &UserArg) -> Result {
    let mut info: vfence_job_info =
        argument.read_versioned(&[offset_of!(vfence_job_info, result)])?;
    must_be_zero(info.flags)?;
    must_be_zero(info.pad)?;
    let (state, record) = match client.queue(info.queue)?.job(info.seqno) {
        JobState::Unknown => return Err(EINVAL),
        JobState::Forgotten => return Err(ENODATA),
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
