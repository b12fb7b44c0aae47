// SPDX-License-Identifier: GPL-2.0

//! The driver: `/dev/vfence` as its UAPI header describes it.
//!
//! `client` is an open file, `queue` what it owns, `machine` what a queue decides, `in_fences`
//! what a job waits for, `submit` how jobs get from user space into queues, `points` what can be done with a job
//! afterwards, `short` what takes no structures, `uses` and `operation` what it does with buffers, `mapped` which of them are mapped, `events` what the device tells by itself, `visible` what is to be seen from outside.

#![deny(unsafe_code)]

use crate::{
    kernel_ext::file_operations::{
        FileOperations,
        READABLE,
        WRITABLE, //
    },
    uapi::{
        vfence_buffer_create,
        vfence_export,
        vfence_in_fence_policy_VFENCE_IN_FENCE_CANCEL as IN_FENCE_CANCEL,
        vfence_in_fence_policy_VFENCE_IN_FENCE_IGNORE as IN_FENCE_IGNORE,
        vfence_in_fence_policy_VFENCE_IN_FENCE_PROPAGATE as IN_FENCE_PROPAGATE,
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
        vfence_timeout_policy_VFENCE_TIMEOUT_CANCEL as TIMEOUT_CANCEL,
        vfence_timeout_policy_VFENCE_TIMEOUT_CONTINUE as TIMEOUT_CONTINUE,
        vfence_wait,
        VFENCE_API_VERSION,
        VFENCE_CAP_BUFFER,
        VFENCE_CAP_MANUAL_QUEUE,
        VFENCE_CAP_TIMER_QUEUE,
        VFENCE_CAP_WORKER_QUEUE,
        VFENCE_IOCTL_TYPE,
        VFENCE_MAX_BOOST_PERCENT, //
    },
};
use argument::{
    must_be_errno,
    must_be_zero,
    Argument, //
};
use core::mem::offset_of;
use handles::Handles;
use kernel::{
    fs::File,
    ioctl::{
        _IOW,
        _IOWR, //
    },
    iov::IovIterDest,
    mm::virt::VmaNew,
    page::PAGE_SIZE,
    prelude::*,
    seq_file::SeqFile,
    sync::{
        poll::PollTable,
        Arc, //
    },
};
use limits::Limits;
use machine::{
    InFencePolicy,
    Rules,
    TimeoutPolicy, //
};
use name::Name;
use queue::{
    Config,
    Kind,
    Numbers,
    Queue, //
};

pub(crate) mod argument;
mod budget;
pub(crate) mod buffer;
mod client;
mod counter;
mod counters;
mod device;
mod engine;
mod events;
mod faults;
pub(crate) mod handles;
mod history;
pub(crate) mod in_fences;
mod limits;
mod machine;
mod manual;
mod mapped;
mod memory;
mod name;
mod operation;
mod pace;
mod plan;
mod points;
mod queue;
mod random;
mod schedule;
mod segments;
pub(crate) mod short;
pub(crate) mod submit;
mod uses;
pub(crate) mod values;
mod visible;
mod work;
mod worker;

pub(crate) use client::Client;
pub(crate) use device::Device;
pub(crate) use engine::Engine;

/// An ioctl number without the size of its argument, which may grow.
pub(crate) const fn sizeless(cmd: u32) -> u32 {
    cmd & !(0x3fff << 16)
}

const QUERY: u32 = sizeless(_IOWR::<vfence_query>(VFENCE_IOCTL_TYPE, 0x00));
const QUEUE_CREATE: u32 = sizeless(_IOWR::<vfence_queue_create>(VFENCE_IOCTL_TYPE, 0x01));
const QUEUE_DESTROY: u32 = sizeless(_IOW::<vfence_queue_destroy>(VFENCE_IOCTL_TYPE, 0x02));
const QUEUE_INFO: u32 = sizeless(_IOWR::<vfence_queue_info>(VFENCE_IOCTL_TYPE, 0x03));
const SUBMIT: u32 = sizeless(_IOWR::<vfence_submit>(VFENCE_IOCTL_TYPE, 0x04));
const SIGNAL: u32 = sizeless(_IOWR::<vfence_signal>(VFENCE_IOCTL_TYPE, 0x05));
const SUBMIT_BATCH: u32 = sizeless(_IOWR::<vfence_submit_batch>(VFENCE_IOCTL_TYPE, 0x06));
const WAIT: u32 = sizeless(_IOWR::<vfence_wait>(VFENCE_IOCTL_TYPE, 0x07));
const EXPORT: u32 = sizeless(_IOWR::<vfence_export>(VFENCE_IOCTL_TYPE, 0x08));
const JOB_INFO: u32 = sizeless(_IOWR::<vfence_job_info>(VFENCE_IOCTL_TYPE, 0x09));
const QUEUE_RESET: u32 = sizeless(_IOWR::<vfence_queue_reset>(VFENCE_IOCTL_TYPE, 0x0a));
const QUEUE_FAULTS: u32 = sizeless(_IOW::<vfence_queue_faults>(VFENCE_IOCTL_TYPE, 0x0b));
const BUFFER_CREATE: u32 = sizeless(_IOWR::<vfence_buffer_create>(VFENCE_IOCTL_TYPE, 0x0c));

impl Client {
    /// Does what an ioctl asks for, whose number is that of the header.
    ///
    /// Fails with `ENOTTY` for an unknown one, and as the header says.
    pub(crate) fn ioctl<H: Handles>(&self, handles: &H, cmd: u32, arg: usize) -> Result {
        let argument = Argument::new(cmd, arg);
        match sizeless(cmd) {
            QUERY => query(&argument),
            QUEUE_CREATE => queue_create(self, &argument),
            QUEUE_DESTROY => queue_destroy(self, &argument),
            QUEUE_INFO => queue_info(self, &argument),
            SUBMIT => submit::submit(self, handles, argument),
            SIGNAL => signal(self, &argument),
            SUBMIT_BATCH => submit::submit_batch(self, handles, &argument),
            WAIT => points::wait(self, &argument),
            EXPORT => points::export(self, &argument),
            JOB_INFO => points::job_info(self, &argument),
            QUEUE_RESET => queue_reset(self, &argument),
            QUEUE_FAULTS => plan::set(self, &argument),
            BUFFER_CREATE => buffer::create(self.device(), &argument),
            _ => Err(ENOTTY),
        }
    }
}

#[vtable]
impl FileOperations for Client {
    type Data = Arc<Device>;

    fn open(device: &Arc<Device>) -> Result<Pin<KBox<Self>>> {
        KBox::pin_init(Client::new(device.clone()), GFP_KERNEL_ACCOUNT)
    }

    fn release(client: Pin<KBox<Self>>) {
        Client::end(&client);
    }

    fn read(client: Pin<&Self>, nonblocking: bool, to: &mut IovIterDest<'_>) -> Result<usize> {
        client.events.read(nonblocking, to)
    }

    fn poll(client: Pin<&Self>, file: &File, table: &PollTable<'_>) -> u32 {
        table.register_wait(file, &client.events.pollers);
        let mut events = 0;
        if client.events.unread() > 0 {
            events |= READABLE;
        }
        if client.has_room() {
            events |= WRITABLE;
        }
        events
    }

    fn mmap(client: Pin<&Self>, page: usize, vma: &VmaNew) -> Result {
        let id = u32::try_from(page).map_err(|_| EINVAL)?;
        let queue = client.queue(id).map_err(|_| EINVAL)?;
        queue.map(vma)
    }

    fn show_fdinfo(client: Pin<&Self>, seq: &SeqFile) {
        visible::show_fdinfo(&client, seq);
    }
}

fn query(argument: &Argument) -> Result {
    let query: vfence_query = argument.read_from(&[offset_of!(vfence_query, max_buffer_size)])?;
    must_be_zero(query.flags)?;
    let limits = Limits::get();
    argument.write(&vfence_query {
        api_version: VFENCE_API_VERSION,
        capabilities: u64::from(
            VFENCE_CAP_TIMER_QUEUE
                | VFENCE_CAP_MANUAL_QUEUE
                | VFENCE_CAP_WORKER_QUEUE
                | VFENCE_CAP_BUFFER,
        ),
        watchdog_ns: limits.watchdog.unwrap_or(0),
        max_queues: limits.max_queues,
        max_jobs: limits.max_jobs,
        max_buffer_size: limits.max_buffer,
        ..query
    })
}

fn queue_create(client: &Client, argument: &Argument) -> Result {
    let mut create: vfence_queue_create =
        argument.read_from(&[offset_of!(vfence_queue_create, timeout_ns)])?;
    must_be_zero(create.flags)?;
    must_be_zero(create.pad)?;
    must_be_zero(create.pad2)?;
    let limits = Limits::get();
    let kind = Kind::from_user(create.kind)?;
    let rules = rules(kind, &limits, &create)?;
    let (name, seed) = (create.name, create.seed);
    let config = |id| {
        Ok(Config {
            numbers: Numbers::Jobs,
            kind,
            name: Name::from_user(&name, id)?,
            rules,
            seed,
        })
    };
    client.create(limits, config, |queue| {
        create.queue = queue.id();
        create.context = queue.context_id();
        // The offset of a mapping is in pages.
        create.counters_offset = u64::from(queue.id()) * PAGE_SIZE as u64;
        argument.write(&create)
    })
}

/// Returns how the queue is to behave. Fails with `EINVAL` if that cannot be.
fn rules(kind: Kind, limits: &Limits, create: &vfence_queue_create) -> Result<Rules> {
    let timeout = match create.timeout_ns {
        0 => limits.watchdog,
        // It never comes.
        u64::MAX if limits.watchdog.is_none() => None,
        timeout if limits.watchdog.is_none_or(|watchdog| timeout <= watchdog) => Some(timeout),
        _ => return Err(EINVAL),
    };
    let in_fence = match create.in_fence_policy {
        IN_FENCE_PROPAGATE => InFencePolicy::Propagate,
        IN_FENCE_IGNORE => InFencePolicy::Ignore,
        IN_FENCE_CANCEL => InFencePolicy::Cancel,
        _ => return Err(EINVAL),
    };
    let after_timeout = match create.timeout_policy {
        TIMEOUT_CONTINUE => TimeoutPolicy::Continue,
        TIMEOUT_CANCEL => TimeoutPolicy::Cancel,
        _ => return Err(EINVAL),
    };
    let boost = match create.boost_percent {
        0 => 100,
        percent @ 100..=VFENCE_MAX_BOOST_PERCENT => percent,
        _ => return Err(EINVAL),
    };
    if kind == Kind::Manual && (create.in_fence_policy != 0 || create.boost_percent != 0) {
        return Err(EINVAL);
    }
    Ok(Rules {
        kind: kind.of_machine(),
        timeout,
        in_fence,
        after_timeout,
        boost: u64::from(boost),
    })
}

fn queue_destroy(client: &Client, argument: &Argument) -> Result {
    let destroy: vfence_queue_destroy = argument.read()?;
    must_be_zero(destroy.flags)?;
    client.destroy(destroy.queue)
}

fn queue_info(client: &Client, argument: &Argument) -> Result {
    let mut info: vfence_queue_info =
        argument.read_from(&[offset_of!(vfence_queue_info, errors)])?;
    must_be_zero(info.flags)?;
    must_be_zero(info.pad)?;
    must_be_zero(info.pad2)?;
    client.queue(info.queue)?.fill(&mut info);
    argument.write(&info)
}

fn queue_reset(client: &Client, argument: &Argument) -> Result {
    let mut reset: vfence_queue_reset = argument.read()?;
    must_be_zero(reset.flags)?;
    let queue = client.queue(reset.queue)?;
    // What cannot be written is to be found out while nothing has happened yet.
    argument.write(&reset)?;
    reset.resets = Queue::reset(&queue);
    // Only who unmaps the argument meanwhile does not get to know it; the call has not failed.
    let _ = argument.write(&reset);
    Ok(())
}

// The stack of others is not to burden it.
#[inline(never)]
fn signal(client: &Client, argument: &Argument) -> Result {
    let signal: vfence_signal = argument.read()?;
    must_be_zero(signal.flags)?;
    must_be_errno(signal.error)?;
    let queue = client.queue(signal.queue)?;
    queue.can_signal(signal.seqno)?;
    // What cannot be written is to be found out while nothing has happened yet. It is right if nobody else does something meanwhile.
    // CAST: A queue has no more jobs than that.
    let expected = signal.seqno.saturating_sub(queue.completed()) as u32;
    argument.write_field(offset_of!(vfence_signal, completed), &expected)?;
    let completed = Queue::signal(&queue, signal.seqno, signal.error);
    if completed != expected {
        // Only who unmaps the argument meanwhile does not get to know it; the call has not failed.
        let _ = argument.write_field(offset_of!(vfence_signal, completed), &completed);
    }
    Ok(())
}
