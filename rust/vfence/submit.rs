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
        Queue,
        Run, //
    },
};
use crate::{
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            SignallingSection, //
        },
        fault_inject::FaultAttr,
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
use core::{
    iter,
    mem::offset_of, //
};
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*,
    sync::Arc, //
};
use zerocopy_derive::{
    Immutable,
    IntoBytes, //
};

/// Where the structure ended in the first version of the header.
const FIRST_SIZE: usize = offset_of!(vfence_submit, duration_max_ns);

/// What is told to the caller: two fields in a row.
#[derive(IntoBytes, Immutable)]
#[repr(C, packed)]
struct Reply {
    out_fence: i32,
    seqno: u64,
}

const REPLY: usize = offset_of!(vfence_submit, out_fence);
const _: () = assert!(offset_of!(vfence_submit, seqno) == REPLY + offset_of!(Reply, seqno));

/// How much longer a job takes by the kernel's fault injection, in ns.
const INJECTED_DELAY: u64 = 10_000_000;

/// A job that is ready to be published, and what comes after. Dropping it leaves nothing behind.
struct Prepared {
    job: Job<Payload>,
    gate: Option<Arc<Gate>>,
    out: Option<Out>,
}

/// A sync_file and the file descriptor that it will have.
type Out = (SyncFile, FileDescriptorReservation);

/// Submits the job that the argument describes.
pub(super) fn submit(client: &Client, argument: &Argument) -> Result {
    let mut submit: vfence_submit = argument.read_from(FIRST_SIZE)?;
    let _submitting = client.submitting.lock();
    let mut run = Run::new(client.queue(submit.queue)?);
    let mut call = Call::new(client, 1);
    let Prepared { mut job, gate, out } = call.prepare(&mut run, &mut submit)?;
    reply(argument, &submit)?;
    call.inject(&mut job, run.queue());
    let _section = SignallingSection::begin();
    arm(&mut job);
    call.publish(&[run], iter::once(job), gate, out);
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
    let _submitting = client.submitting.lock();
    let mut jobs = KVVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
    let mut runs: KVVec<Run> = KVVec::new();
    let mut gates = KVVec::new();
    let mut outs = KVVec::new();
    let mut call = Call::new(client, count as usize);
    for index in 0..count {
        batch.refused = index;
        let argument = Argument::element(batch.jobs, index as usize, size)?;
        let mut submit: vfence_submit = argument.read_from(FIRST_SIZE)?;
        let run = match runs.last_mut() {
            Some(run) if run.queue().id() == submit.queue => run,
            _ => {
                runs.push(Run::new(client.queue(submit.queue)?), GFP_KERNEL_ACCOUNT)?;
                runs.last_mut().ok_or(EINVAL)?
            }
        };
        let Prepared { job, gate, out } = call.prepare(run, &mut submit)?;
        jobs.push(job, GFP_KERNEL_ACCOUNT)?;
        if let Some(gate) = gate {
            gates.push(gate, GFP_KERNEL_ACCOUNT)?;
        }
        if let Some(out) = out {
            outs.push(out, GFP_KERNEL_ACCOUNT)?;
        }
        reply(&argument, &submit)?;
    }
    batch.refused = count;
    argument.write(batch)?;
    let mut injected = jobs.iter_mut();
    for run in &runs {
        for job in injected.by_ref().take(run.count()) {
            call.inject(job, run.queue());
        }
    }
    let _section = SignallingSection::begin();
    if !gates.is_empty() {
        jobs.iter_mut().for_each(arm);
    }
    call.publish(&runs, jobs.into_iter(), gates, outs);
    Ok(())
}

/// Tells the caller about a job. Fails with `EFAULT`.
fn reply(argument: &Argument, submit: &vfence_submit) -> Result {
    let reply = Reply {
        out_fence: submit.out_fence,
        seqno: submit.seqno,
    };
    argument.write_field(REPLY, &reply)
}

/// Begins to wait for in-fences. The job's gate stays closed until we pass it, so none is too early.
fn arm(job: &mut Job<Payload>) {
    if let Some(waits) = &mut job.payload.waits {
        waits.arm();
    }
}

/// One call, and what its jobs share.
struct Call<'a> {
    client: &'a Client,
    expected: Expected<'a>,
    /// How many in-fences it has looked at.
    seen: usize,
}

impl<'a> Call<'a> {
    /// Begins a call for so many jobs, with the client's `submitting` held.
    fn new(client: &'a Client, jobs: usize) -> Self {
        Self {
            client,
            expected: client.events.expect(jobs),
            seen: 0,
        }
    }

    /// Checks a job of the queue of `run`, and prepares it. Fills in what is told to the caller.
    fn prepare(&mut self, run: &mut Run, submit: &mut vfence_submit) -> Result<Prepared> {
        const FLAGS: u32 = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT | VFENCE_SUBMIT_HANG;

        if submit.flags & !FLAGS != 0 || submit.pad != 0 {
            return Err(EINVAL);
        }
        check(run.queue(), submit)?;
        let seqno = run.reserve()?;
        let event = submit.flags & VFENCE_SUBMIT_EVENT != 0;
        if event {
            self.expected.one_more()?;
        }
        let (mut in_error, mut waits, mut gate) = (0, None, None);
        if submit.in_fence_count != 0 {
            let (address, count) = (submit.in_fences, submit.in_fence_count);
            let in_fences = InFences::from_user(address, count, &mut self.seen)?;
            in_error = in_fences.error();
            waits = in_fences.prepare(run.queue(), seqno)?;
            gate = waits.as_ref().map(|waits| waits.gate());
        }
        let (mut fence, mut out) = (None, None);
        submit.out_fence = -1;
        if submit.flags & VFENCE_SUBMIT_OUT_FENCE != 0 {
            let pending = AllocatedFence::new(run.queue().clone(), GFP_KERNEL_ACCOUNT)?.init(seqno);
            let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
            submit.out_fence = fd.reserved_fd() as i32;
            out = Some((SyncFile::create(pending.fence())?, fd));
            fence = Some(pending);
        }
        submit.seqno = seqno;
        let job = Job {
            duration: (submit.duration_ns, submit.duration_max_ns),
            waits: waits.is_some(),
            in_error,
            error: submit.error,
            hang: submit.flags & VFENCE_SUBMIT_HANG != 0,
            injected: Injected::default(),
            event,
            payload: Payload { fence, waits },
        };
        Ok(Prepared { job, gate, out })
    }

    /// Has the kernel's fault injection decide about a job of `queue`, which cannot be refused any more.
    fn inject(&self, job: &mut Job<Payload>, queue: &Queue) {
        if !FaultAttr::AVAILABLE || queue.kind() == Kind::Manual {
            return;
        }
        let device = self.client.device();
        if device.fail.should_fail() {
            job.injected.add(Fault::Fail, EIO.to_errno(), 0);
        }
        if device.hang.should_fail() {
            job.injected.add(Fault::Hang, 0, 0);
        }
        if device.delay.should_fail() {
            job.injected.add(Fault::Delay, 0, INJECTED_DELAY);
        }
        if device.drop_interrupt.should_fail() {
            job.injected.add(Fault::DropInterrupt, 0, 0);
        }
    }

    /// Publishes the jobs of `runs`, which are armed, in a signalling section: nothing can fail any more.
    fn publish(
        mut self,
        runs: &[Run],
        mut jobs: impl Iterator<Item = Job<Payload>>,
        gates: impl IntoIterator<Item = Arc<Gate>>,
        outs: impl IntoIterator<Item = Out>,
    ) {
        self.expected.keep();
        for run in runs {
            Queue::append(run.queue(), jobs.by_ref().take(run.count()));
        }
        for gate in gates {
            gate.pass();
        }
        for (file, fd) in outs {
            file.install(fd);
        }
    }
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
