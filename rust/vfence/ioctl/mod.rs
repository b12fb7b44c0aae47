// SPDX-License-Identifier: GPL-2.0

//! The ioctls that all device nodes have: dispatch by the numbers of the UAPI header.

use crate::{
    uapi::{
        vfence_buffer_create,
        vfence_export,
        vfence_job_info,
        vfence_query,
        vfence_queue_create,
        vfence_queue_destroy,
        vfence_queue_faults,
        vfence_queue_info,
        vfence_queue_reset,
        vfence_signal,
        vfence_submit,
        vfence_submit_batch,
        vfence_wait,
        VFENCE_IOCTL_TYPE, //
    },
    vfence::{
        client::Client,
        job::handles::HandleLookup,
        refusal::refuse,
        uarg::UserArg, //
    },
};
use kernel::{
    ioctl::{
        _IOW,
        _IOWR, //
    },
    prelude::*, //
};

pub(crate) mod buffer;
pub(crate) mod fast;
pub(crate) mod faults;
pub(crate) mod job;
pub(crate) mod prepare;
pub(crate) mod queue;
pub(crate) mod submit;

/// Returns an ioctl number without the size of its argument, which grows with the header.
pub(crate) const fn without_size(cmd: u32) -> u32 {
    cmd & !(0x3fff << 16)
}

const QUERY: u32 = without_size(_IOWR::<vfence_query>(VFENCE_IOCTL_TYPE, 0x00));
const QUEUE_CREATE: u32 = without_size(_IOWR::<vfence_queue_create>(VFENCE_IOCTL_TYPE, 0x01));
const QUEUE_DESTROY: u32 = without_size(_IOW::<vfence_queue_destroy>(VFENCE_IOCTL_TYPE, 0x02));
const QUEUE_INFO: u32 = without_size(_IOWR::<vfence_queue_info>(VFENCE_IOCTL_TYPE, 0x03));
const SUBMIT: u32 = without_size(_IOWR::<vfence_submit>(VFENCE_IOCTL_TYPE, 0x04));
const SIGNAL: u32 = without_size(_IOWR::<vfence_signal>(VFENCE_IOCTL_TYPE, 0x05));
const SUBMIT_BATCH: u32 = without_size(_IOWR::<vfence_submit_batch>(VFENCE_IOCTL_TYPE, 0x06));
const WAIT: u32 = without_size(_IOWR::<vfence_wait>(VFENCE_IOCTL_TYPE, 0x07));
const EXPORT: u32 = without_size(_IOWR::<vfence_export>(VFENCE_IOCTL_TYPE, 0x08));
const JOB_INFO: u32 = without_size(_IOWR::<vfence_job_info>(VFENCE_IOCTL_TYPE, 0x09));
const QUEUE_RESET: u32 = without_size(_IOWR::<vfence_queue_reset>(VFENCE_IOCTL_TYPE, 0x0a));
const QUEUE_FAULTS: u32 = without_size(_IOW::<vfence_queue_faults>(VFENCE_IOCTL_TYPE, 0x0b));
const BUFFER_CREATE: u32 = without_size(_IOWR::<vfence_buffer_create>(VFENCE_IOCTL_TYPE, 0x0c));

/// Handles an ioctl by its number in the UAPI header, `cmd`. User space has called `issued`, which
/// differs on a node whose ioctls have another type.
///
/// Fails with `ENOTTY` for an unknown number, and as the UAPI header describes.
// The handlers are out of line: none pays for the stack frames of the others.
pub(crate) fn dispatch<H: HandleLookup>(
    client: &Client,
    handles: &H,
    cmd: u32,
    issued: u32,
    arg: usize,
) -> Result {
    let argument = UserArg::new(cmd, arg);
    match without_size(cmd) {
        QUERY => queue::query(client, argument),
        QUEUE_CREATE => queue::create(client, argument),
        QUEUE_DESTROY => queue::destroy(client, argument),
        QUEUE_INFO => queue::info(client, argument),
        SUBMIT => submit::submit(client, handles, argument),
        SIGNAL => queue::signal(client, argument),
        SUBMIT_BATCH => submit::submit_batch(client, handles, argument),
        WAIT => job::wait(client, argument),
        EXPORT => job::export(client, argument),
        JOB_INFO => job::info(client, argument),
        QUEUE_RESET => queue::reset(client, argument),
        QUEUE_FAULTS => faults::set(client, argument),
        BUFFER_CREATE => buffer::create(client, argument),
        _ => Err(refuse!(ENOTTY, "no such ioctl: {:#x}", issued)),
    }
}
