// SPDX-License-Identifier: GPL-2.0

//! The driver: `/dev/vfence` as its UAPI header describes it.
//!
//! `client` is an open file, `queue` what it owns, `machine` what a queue decides, `in_fences`
//! what a job waits for, `submit` how a job gets from user space into a queue.

#![deny(unsafe_code)]

use crate::kernel_ext::dma_fence::Fence;
use crate::uapi::{
    vfence_query,
    vfence_queue_create,
    vfence_queue_destroy,
    vfence_queue_info,
    vfence_signal,
    vfence_submit,
    VFENCE_API_VERSION,
    VFENCE_CAP_MANUAL_QUEUE,
    VFENCE_CAP_TIMER_QUEUE,
    VFENCE_IOCTL_TYPE, //
};
use argument::Argument;
use kernel::{
    fs::File,
    ioctl::{
        _IOW,
        _IOWR, //
    },
    miscdevice::{
        MiscDevice,
        MiscDeviceRegistration, //
    },
    prelude::*, //
};

mod argument;
mod client;
mod in_fences;
mod limits;
mod machine;
mod name;
mod queue;
mod submit;

pub(crate) use client::Client;
pub(crate) use limits::Limits;

/// An ioctl number without the size of its argument, which may grow.
const fn sizeless(cmd: u32) -> u32 {
    cmd & !(0x3fff << 16)
}

const QUERY: u32 = sizeless(_IOWR::<vfence_query>(VFENCE_IOCTL_TYPE, 0x00));
const QUEUE_CREATE: u32 = sizeless(_IOWR::<vfence_queue_create>(VFENCE_IOCTL_TYPE, 0x01));
const QUEUE_DESTROY: u32 = sizeless(_IOW::<vfence_queue_destroy>(VFENCE_IOCTL_TYPE, 0x02));
const QUEUE_INFO: u32 = sizeless(_IOWR::<vfence_queue_info>(VFENCE_IOCTL_TYPE, 0x03));
const SUBMIT: u32 = sizeless(_IOWR::<vfence_submit>(VFENCE_IOCTL_TYPE, 0x04));
const SIGNAL: u32 = sizeless(_IOWR::<vfence_signal>(VFENCE_IOCTL_TYPE, 0x05));

#[vtable]
impl MiscDevice for Client {
    type Ptr = Pin<KBox<Self>>;

    fn open(_file: &File, _misc: &MiscDeviceRegistration<Self>) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(Client::new(), GFP_KERNEL_ACCOUNT)
    }

    fn release(client: Pin<KBox<Self>>, _file: &File) {
        client.release();
    }

    fn ioctl(client: Pin<&Self>, _file: &File, cmd: u32, arg: usize) -> Result<isize> {
        let argument = Argument::new(cmd, arg);
        match sizeless(cmd) {
            QUERY => query(&argument),
            QUEUE_CREATE => queue_create(&client, &argument),
            QUEUE_DESTROY => queue_destroy(&client, &argument),
            QUEUE_INFO => queue_info(&client, &argument),
            SUBMIT => submit::submit(&client, &argument),
            SIGNAL => signal(&client, &argument),
            _ => Err(ENOTTY),
        }?;
        Ok(0)
    }
}

/// Refuses what is not zero but must be.
fn must_be_zero(field: u32) -> Result {
    if field == 0 {
        Ok(())
    } else {
        Err(EINVAL)
    }
}

fn query(argument: &Argument) -> Result {
    let query: vfence_query = argument.read()?;
    must_be_zero(query.flags)?;
    let limits = Limits::get();
    argument.write(&vfence_query {
        api_version: VFENCE_API_VERSION,
        capabilities: u64::from(VFENCE_CAP_TIMER_QUEUE | VFENCE_CAP_MANUAL_QUEUE),
        watchdog_ns: limits.watchdog.unwrap_or(0),
        max_queues: limits.max_queues,
        max_jobs: limits.max_jobs,
        ..query
    })
}

fn queue_create(client: &Client, argument: &Argument) -> Result {
    let mut create: vfence_queue_create = argument.read()?;
    must_be_zero(create.flags)?;
    must_be_zero(create.pad)?;
    let kind = queue::kind_from_user(create.kind)?;
    let name = create.name;
    client.create(kind, &name, |id, queue| {
        create.queue = id;
        create.context = queue.context().id();
        argument.write(&create)
    })
}

fn queue_destroy(client: &Client, argument: &Argument) -> Result {
    let destroy: vfence_queue_destroy = argument.read()?;
    must_be_zero(destroy.flags)?;
    client.destroy(destroy.queue)
}

fn queue_info(client: &Client, argument: &Argument) -> Result {
    let mut info: vfence_queue_info = argument.read()?;
    must_be_zero(info.flags)?;
    must_be_zero(info.pad)?;
    let queue = client.queue(info.queue)?;
    queue.fill(&mut info);
    argument.write(&info)
}

fn signal(client: &Client, argument: &Argument) -> Result {
    let mut signal: vfence_signal = argument.read()?;
    must_be_zero(signal.flags)?;
    if signal.error > 0 || signal.error < -Fence::MAX_ERRNO {
        return Err(EINVAL);
    }
    let queue = client.queue(signal.queue)?;
    queue.can_signal(signal.seqno)?;
    // What cannot be written is to be found out while nothing has happened yet.
    signal.completed = 0;
    argument.write(&signal)?;
    signal.completed = queue.signal(signal.seqno, signal.error);
    // Only who unmaps the argument meanwhile does not get to know it; the call has not failed.
    let _ = argument.write(&signal);
    Ok(())
}
