// SPDX-License-Identifier: GPL-2.0

//! Jobs without file descriptors: to wait for, to export, to look at.

use super::{
    argument::{
        must_be_zero,
        Argument, //
    },
    client::Client,
    machine::State,
    queue::{
        Queue,
        QueueRef, //
    },
};
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
};
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*, //
};

/// A job that somebody waits for.
struct Point {
    queue: QueueRef,
    seqno: u64,
}

impl Point {
    fn has_completed(&self) -> bool {
        self.queue.completed() >= self.seqno
    }
}

/// `VFENCE_IOCTL_WAIT`.
pub(super) fn wait(client: &Client, argument: &Argument) -> Result {
    let mut wait: vfence_wait = argument.read()?;
    must_be_zero(wait.flags & !VFENCE_WAIT_ANY)?;
    must_be_zero(wait.pad)?;
    let points = points(client, &wait)?;
    let any = wait.flags & VFENCE_WAIT_ANY != 0;
    let waiters = points.iter().map(|point| &point.queue.waiters);
    let come = wait_until(waiters, wait.timeout_ns, || {
        if any {
            points.iter().any(Point::has_completed)
        } else {
            points.iter().all(Point::has_completed)
        }
    })?;
    if !come {
        return Err(ETIME);
    }
    wait.first = if any {
        // CAST: There are no more than `VFENCE_MAX_WAIT_POINTS`.
        points.iter().position(Point::has_completed).unwrap_or(0) as u32
    } else {
        0
    };
    argument.write(&wait)
}

/// Returns the jobs that are to be waited for.
fn points(client: &Client, wait: &vfence_wait) -> Result<KVec<Point>> {
    if wait.count == 0 || wait.count > VFENCE_MAX_WAIT_POINTS {
        return Err(EINVAL);
    }
    let mut points = KVec::with_capacity(wait.count as usize, GFP_KERNEL_ACCOUNT)?;
    for index in 0..wait.count as usize {
        let element = Argument::element(wait.points, index, size_of::<vfence_point>())?;
        let point: vfence_point = element.read()?;
        must_be_zero(point.pad)?;
        let queue = client.queue(point.queue)?;
        if point.seqno == 0 || point.seqno > queue.submitted() {
            return Err(EINVAL);
        }
        let point = Point {
            queue,
            seqno: point.seqno,
        };
        points.push(point, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(points)
}

/// `VFENCE_IOCTL_EXPORT`.
pub(super) fn export(client: &Client, argument: &Argument) -> Result {
    let mut export: vfence_export = argument.read()?;
    must_be_zero(export.flags)?;
    must_be_zero(export.pad)?;
    let queue = client.queue(export.queue)?;
    let fence = Queue::fence(&queue, export.seqno)?;
    let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
    let file = SyncFile::create(&fence)?;
    // CAST: Descriptors fit.
    export.fence = fd.reserved_fd() as i32;
    argument.write(&export)?;
    file.install(fd);
    Ok(())
}

/// `VFENCE_IOCTL_JOB_INFO`.
pub(super) fn job_info(client: &Client, argument: &Argument) -> Result {
    let mut info: vfence_job_info = argument.read()?;
    must_be_zero(info.flags)?;
    must_be_zero(info.pad)?;
    let (state, record) = match client.queue(info.queue)?.job(info.seqno) {
        State::Unknown => return Err(EINVAL),
        State::Forgotten => return Err(ENODATA),
        State::Pending(record) => (PENDING, record),
        State::Running(record) => (RUNNING, record),
        State::Completed(record) => (COMPLETED, record),
    };
    info.state = state;
    info.error = record.error;
    info.submitted_ns = record.submitted;
    info.start_ns = record.start;
    info.end_ns = record.end;
    info.deadline_ns = record.deadline;
    info.faults = record.faults;
    argument.write(&info)
}
