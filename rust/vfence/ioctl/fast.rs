// SPDX-License-Identifier: GPL-2.0

//! The header's short calls: `VFENCE_IOCTL_CREATE_FENCE` and `VFENCE_IOCTL_SIGNAL_NEXT`.
//!
//! Their argument is the id of a manual queue, and their result is what the system call returns: nothing is copied from user space or to it.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        miscdevice::IoctlReturn, //
    },
    vfence::{
        client::Client,
        ioctl::prepare::out_fence,
        queue::{
            reserve::Run,
            ManualJob,
            Queue,
            QueueKind, //
        },
    },
};
use kernel::prelude::*;

/// `VFENCE_IOCTL_CREATE_FENCE`: returns the file descriptor.
#[inline(never)]
pub(crate) fn create_fence(client: &Client, arg: usize) -> IoctlReturn {
    create(client, id(arg)).into()
}

#[inline(always)]
fn create(client: &Client, id: u32) -> Result<u32> {
    let mut last = client.submitting.lock();
    let queue = client.queue_from(&mut last, id)?;
    if queue.kind() != QueueKind::Manual {
        return Err(EINVAL);
    }
    let mut run = Run::only(queue);
    let seqno = run.reserve()?;
    let (fence, (file, fd)) = out_fence(queue, seqno)?;
    let job = ManualJob {
        error: 0,
        event: false,
        fence: Some(fence),
    };
    {
        let _section = SignallingSection::begin();
        Queue::append_one(queue, job);
    }
    let number = fd.reserved_fd();
    file.install(fd);
    Ok(number)
}

/// `VFENCE_IOCTL_SIGNAL_NEXT`: returns how many jobs have completed.
#[inline(never)]
pub(crate) fn signal_next(client: &Client, arg: usize) -> IoctlReturn {
    let id = id(arg);
    // Mostly it is the same queue again.
    if let Some(queue) = &*client.last_signalled.lock() {
        if queue.id() == id && queue.signal_head(|_| true, 0) {
            return Ok(1).into();
        }
    }
    signal_any(client, id).into()
}

/// As [`signal_next`], of a queue that is not remembered, or whatever its next job is.
#[cold]
fn signal_any(client: &Client, id: u32) -> Result<u32> {
    let queue = {
        let mut last = client.last_signalled.lock();
        client.queue_from(&mut last, id)?.clone()
    };
    Queue::signal_next(&queue)
}

/// Returns the id that the argument is. As for all variable arguments of that type, its upper half may be anything.
#[inline]
fn id(arg: usize) -> u32 {
    // CAST: So it is cut off.
    arg as u32
}
