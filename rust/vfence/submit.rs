// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_SUBMIT`: from the argument to the queue.

use super::{
    argument::Argument,
    client::Client,
    in_fences::InFences,
    queue::Queue, //
};
use crate::uapi::{
    vfence_submit,
    VFENCE_SUBMIT_OUT_FENCE, //
};
use kernel::prelude::*;

/// Submits the job that the argument describes.
pub(super) fn submit(client: &Client, argument: &Argument) -> Result {
    let mut submit: vfence_submit = argument.read()?;
    if submit.flags & !VFENCE_SUBMIT_OUT_FENCE != 0 {
        return Err(EINVAL);
    }
    let out_fence = submit.flags & VFENCE_SUBMIT_OUT_FENCE != 0;
    let queue = client.queue(submit.queue)?;
    queue.check(submit.duration_ns, submit.in_fence_count)?;
    let in_fences = InFences::from_user(submit.in_fences, submit.in_fence_count)?;
    Queue::submit(
        &queue,
        submit.duration_ns,
        in_fences,
        out_fence,
        |seqno, fd| {
            submit.seqno = seqno;
            submit.out_fence = fd;
            argument.write(&submit)
        },
    )
}
