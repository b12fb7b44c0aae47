// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_CREATE_FENCE` and `VFENCE_IOCTL_SIGNAL_NEXT`: the calls for fences that user space
//! signals.
//!
//! The argument is the id of a manual queue and the result is the return value of the system call,
//! so nothing is copied from or to user space.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        miscdevice::IoctlReturn,
        mutex::LockKillable, //
    },
    vfence::{
        client::Client,
        ioctl::prepare::exported_fence,
        queue::{
            config::QueueKind,
            reserve::Reservation,
            QueueManualJob, //
        },
    },
};
use kernel::prelude::*;

/// `VFENCE_IOCTL_CREATE_FENCE`: returns the file descriptor.
#[inline(never)]
pub(crate) fn create_fence(client: &Client, arg: usize) -> IoctlReturn {
    create(client, queue_id(arg)).into()
}

#[inline(always)]
fn create(client: &Client, id: u32) -> Result<u32> {
    let mut last_submitted = client.last_submitted.lock_killable()?;
    let queue = client.cached_queue(&mut last_submitted, id)?;
    if queue.kind() != QueueKind::Manual {
        return Err(queue.not_manual());
    }
    let mut reservation = Reservation::new(queue);
    let seqno = reservation.reserve()?;
    let (fence, (file, fd)) = exported_fence(queue, seqno)?;
    let job = QueueManualJob {
        error: 0,
        event: false,
        fence: Some(fence),
    };
    {
        let _section = SignallingSection::begin();
        queue.submit(job);
    }
    let number = fd.reserved_fd();
    file.install(fd);
    Ok(number)
}

/// `VFENCE_IOCTL_SIGNAL_NEXT`: returns the number of jobs completed.
#[inline(never)]
pub(crate) fn signal_next(client: &Client, arg: usize) -> IoctlReturn {
    let id = queue_id(arg);
    if let Some(queue) = &*client.last_signalled.lock() {
        if queue.id() == id && queue.signal_plain::<1>(|_| true, 0) == 1 {
            return Ok(1).into();
        }
    }
    signal_any(client, id).into()
}

/// Does the same as [`signal_next`] for any queue and any job.
#[cold]
fn signal_any(client: &Client, id: u32) -> Result<u32> {
    let queue = {
        let mut last_signalled = client.last_signalled.lock();
        client.cached_queue(&mut last_signalled, id)?.clone()
    };
    queue.signal_next()
}

/// Returns the queue id in `arg`.
#[inline]
fn queue_id(arg: usize) -> u32 {
    // CAST: The upper half of a variadic `int` argument is undefined.
    arg as u32
}
