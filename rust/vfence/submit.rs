// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_SUBMIT` and `VFENCE_IOCTL_SUBMIT_BATCH`: from user space into queues, all jobs or none.
//!
//! Everything that can fail comes first, for all jobs, the reply to user space included. What is prepared is undone
//! when it is dropped. Publishing it cannot fail.

use super::{
    argument::{
        must_be_errno,
        must_be_zero,
        Argument, //
    },
    client::Client,
    device::Device,
    events::Expected,
    faults::{
        Injected,
        Kind as Fault, //
    },
    in_fences::{
        Gate,
        InFences, //
    },
    machine::Job,
    queue::{
        Kind,
        Payload,
        Place,
        Queue,
        QueueRef, //
    },
};
use crate::{
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            SignallingSection, //
        },
        sync_file::SyncFile, //
    },
    uapi::{
        vfence_submit,
        vfence_submit_batch,
        VFENCE_MAX_BATCH,
        VFENCE_SUBMIT_EVENT,
        VFENCE_SUBMIT_HANG,
        VFENCE_SUBMIT_OUT_FENCE, //
    },
};
use core::mem::offset_of;
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*,
    sync::Arc, //
};

/// Where the structure ended in the first version of the header.
const FIRST_SIZE: usize = offset_of!(vfence_submit, duration_max_ns);

/// How much longer a job takes by the kernel's fault injection, in ns.
const INJECTED_DELAY: u64 = 10_000_000;

/// A job that is ready to be published. Dropping it leaves nothing behind.
struct Prepared {
    job: Option<Job<Payload>>,
    gate: Option<Arc<Gate>>,
    out: Option<(SyncFile, FileDescriptorReservation)>,
    event: Option<Expected>,
    place: Place,
}

/// Submits the job that the argument describes.
pub(super) fn submit(client: &Client, argument: &Argument) -> Result {
    let mut submit: vfence_submit = argument.read_from(FIRST_SIZE)?;
    let _submitting = client.submitting.lock();
    let mut prepared = [prepare(client, &mut None, &mut submit)?];
    argument.write(&submit)?;
    publish(&mut prepared);
    Ok(())
}

/// Submits the jobs that the argument describes.
pub(super) fn submit_batch(client: &Client, argument: &Argument) -> Result {
    let mut batch: vfence_submit_batch = argument.read()?;
    must_be_zero(batch.flags)?;
    batch.refused = batch.count;
    let result = submit_all(client, argument, &mut batch);
    if result.is_err() {
        argument.write(&batch)?;
    }
    result
}

/// Submits the jobs of `batch`, whose `refused` tells which one fails.
fn submit_all(client: &Client, argument: &Argument, batch: &mut vfence_submit_batch) -> Result {
    let (count, size) = (batch.count, batch.job_size as usize);
    if count == 0 || count > VFENCE_MAX_BATCH || size < FIRST_SIZE {
        return Err(EINVAL);
    }
    let mut prepared = KVVec::with_capacity(count as usize, GFP_KERNEL)?;
    let _submitting = client.submitting.lock();
    let mut queue = None;
    for index in 0..count {
        batch.refused = index;
        let argument = Argument::element(batch.jobs, index as usize, size)?;
        let mut submit: vfence_submit = argument.read_from(FIRST_SIZE)?;
        prepared.push(prepare(client, &mut queue, &mut submit)?, GFP_KERNEL)?;
        argument.write(&submit)?;
    }
    batch.refused = count;
    argument.write(batch)?;
    publish(&mut prepared);
    Ok(())
}

/// Checks a job and prepares it, with `submitting` held. Fills in what is told to the caller.
///
/// `last` is the queue of the job before, of which the next one often is, too.
fn prepare(
    client: &Client,
    last: &mut Option<QueueRef>,
    submit: &mut vfence_submit,
) -> Result<Prepared> {
    const FLAGS: u32 = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT | VFENCE_SUBMIT_HANG;

    if submit.flags & !FLAGS != 0 || submit.pad != 0 {
        return Err(EINVAL);
    }
    let queue = match last {
        Some(queue) if queue.id() == submit.queue => &*queue,
        _ => last.insert(client.queue(submit.queue)?),
    };
    check(queue, submit)?;
    let in_fences = InFences::from_user(submit.in_fences, submit.in_fence_count)?;
    let (place, seqno) = Queue::reserve(queue)?;
    let event = match submit.flags & VFENCE_SUBMIT_EVENT {
        0 => None,
        _ => Some(client.events.expect()?),
    };
    let (mut fence, mut out) = (None, None);
    submit.out_fence = -1;
    if submit.flags & VFENCE_SUBMIT_OUT_FENCE != 0 {
        let pending = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?.init(seqno);
        let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
        submit.out_fence = fd.reserved_fd() as i32;
        out = Some((SyncFile::create(pending.fence())?, fd));
        fence = Some(pending);
    }
    submit.seqno = seqno;
    let in_error = in_fences.error();
    let waits = in_fences.prepare(queue, seqno)?;
    let gate = waits.as_ref().map(|waits| waits.gate());
    let job = Job {
        duration: (submit.duration_ns, submit.duration_max_ns),
        waits: waits.is_some(),
        in_error,
        error: submit.error,
        hang: submit.flags & VFENCE_SUBMIT_HANG != 0,
        injected: injected(client.device(), queue),
        event: event.is_some(),
        payload: Payload { fence, waits },
    };
    Ok(Prepared {
        job: Some(job),
        gate,
        out,
        event,
        place,
    })
}

/// Refuses jobs that the header refuses, with `EINVAL`.
fn check(queue: &Queue, submit: &vfence_submit) -> Result {
    let (low, high) = (submit.duration_ns, submit.duration_max_ns);
    let longest = low.max(high);
    let fits = match queue.kind() {
        Kind::Manual => {
            longest == 0 && submit.in_fence_count == 0 && submit.flags & VFENCE_SUBMIT_HANG == 0
        }
        Kind::Timer | Kind::Worker => queue
            .limits()
            .watchdog
            .is_none_or(|watchdog| longest <= watchdog),
    };
    if !fits || (high != 0 && high < low) {
        return Err(EINVAL);
    }
    must_be_errno(submit.error)
}

/// Returns what the kernel's fault injection does to a job of `queue`.
fn injected(device: &Device, queue: &Queue) -> Injected {
    let mut injected = Injected::default();
    if queue.kind() == Kind::Manual {
        return injected;
    }
    if device.fail.should_fail() {
        injected.add(Fault::Fail, EIO.to_errno(), 0);
    }
    if device.hang.should_fail() {
        injected.add(Fault::Hang, 0, 0);
    }
    if device.delay.should_fail() {
        injected.add(Fault::Delay, 0, INJECTED_DELAY);
    }
    if device.drop_interrupt.should_fail() {
        injected.add(Fault::DropInterrupt, 0, 0);
    }
    injected
}

/// Publishes jobs: from here on nothing can fail.
fn publish(prepared: &mut [Prepared]) {
    let _section = SignallingSection::begin();
    // The gates stay closed until we pass them, so no in-fence is too early.
    for job in prepared
        .iter_mut()
        .filter_map(|prepared| prepared.job.as_mut())
    {
        if let Some(waits) = &mut job.payload.waits {
            waits.arm();
        }
    }
    for run in
        prepared.chunk_by_mut(|one, other| one.place.queue().id() == other.place.queue().id())
    {
        if let Some(queue) = run.first().map(|first| first.place.queue().clone()) {
            Queue::append(
                &queue,
                run.iter_mut().filter_map(|prepared| prepared.job.take()),
            );
        }
    }
    for prepared in prepared {
        if let Some(event) = prepared.event.take() {
            event.keep();
        }
        if let Some(gate) = prepared.gate.take() {
            gate.pass();
        }
        if let Some((file, fd)) = prepared.out.take() {
            file.install(fd);
        }
    }
}
