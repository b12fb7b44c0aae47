// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_SUBMIT` and `VFENCE_IOCTL_SUBMIT_BATCH`: from user space into queues, all jobs or none.
//!
//! Everything that can fail comes first, for all jobs, the reply to user space included. What is prepared is undone
//! when it is dropped. Publishing it cannot fail.
//!
//! Jobs of manual queues go a way of their own: they have nothing to wait for, and nothing to do.

use crate::{
    kernel_ext::dma_fence::SignallingSection,
    uapi::{
        vfence_submit,
        vfence_submit_batch,
        VFENCE_MAX_BATCH, //
    },
    vfence::{
        buffer::resv::{
            BufferUses, //
            LockedBuffers,
        },
        client::Client,
        events::Expected,
        ioctl::prepare::{
            decide,
            Call,
            Open,
            Out,
            Prepared, //
        },
        job::{
            handles::{
                HandleLookup,
                JobSyncobjs, //
            },
            in_fences::{
                Gate,
                InFences, //
            },
            operations::JobOperations, //
        },
        queue::{
            reserve::Run,
            ManualJob,
            Queue,
            QueueKind,
            QueueRef,
            Submit,
            TimedJob, //
        },
        uarg::{
            must_be_zero,
            UserArg, //
        },
    },
};
use core::{
    iter,
    mem::{
        offset_of,
        MaybeUninit, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};
use zerocopy_derive::{
    Immutable,
    IntoBytes, //
};

/// Where the structure ended in earlier versions of the header.
pub(crate) const EARLIER: [usize; 2] = [
    offset_of!(vfence_submit, duration_max_ns),
    offset_of!(vfence_submit, uses),
];

/// What is told to the caller: two fields in a row.
#[derive(IntoBytes, Immutable)]
#[repr(C, packed(4))]
struct Reply {
    out_fence: i32,
    seqno: u64,
}

const REPLY: usize = offset_of!(vfence_submit, out_fence);
const _: () = assert!(offset_of!(vfence_submit, seqno) == REPLY + offset_of!(Reply, seqno));

/// A job of a batch that uses buffers.
struct User {
    /// Which one of the call it is, and which one of those that take time.
    number: u32,
    index: usize,
    uses: BufferUses,
    work: Option<Arc<JobOperations>>,
}

/// Submits the job that the argument describes.
pub(crate) fn submit<H: HandleLookup>(client: &Client, handles: &H, argument: UserArg) -> Result {
    let (argument, mut syncs) = handles.resolve_job(argument, &[])?;
    let mut place = MaybeUninit::uninit();
    let submit: &vfence_submit = argument.read_versioned_into(&mut place, &EARLIER)?;
    let mut last = client.submitting.lock();
    let run = Run::only(client.queue_from(&mut last, submit.queue)?);
    let call = Call::new(client, handles, 1);
    let out = match run.queue().kind() {
        QueueKind::Manual => submit_manual(call, run, &argument, submit, &mut syncs),
        QueueKind::Timer | QueueKind::Worker => {
            submit_timed(call, run, &argument, submit, &mut syncs)
        }
    }?;
    tell(iter::once(syncs), out);
    Ok(())
}

/// Submits a job to a manual queue. Returns what the caller is still to get.
#[inline]
fn submit_manual<H: HandleLookup>(
    mut call: Call<'_, H>,
    mut run: Run<&QueueRef>,
    argument: &UserArg,
    submit: &vfence_submit,
    syncs: &mut H::Syncobjs,
) -> Result<Option<Out>> {
    let prepared = call.prepare_manual(&mut run, submit, syncs)?;
    reply(argument, &prepared)?;
    publish_one(&mut call.expected, run.queue(), prepared.job);
    Ok(prepared.out)
}

/// Submits a job to another queue. Returns what the caller is still to get.
fn submit_timed<H: HandleLookup>(
    mut call: Call<'_, H>,
    mut run: Run<&QueueRef>,
    argument: &UserArg,
    submit: &vfence_submit,
    syncs: &mut H::Syncobjs,
) -> Result<Option<Out>> {
    let (prepared, open) = call.prepare(&mut run, submit, syncs, &[])?;
    reply(argument, &prepared)?;
    let Prepared {
        mut job,
        seqno,
        out,
    } = prepared;
    let Some(open) = open else {
        call.inject(&mut job);
        publish_one(&mut call.expected, run.queue(), job);
        return Ok(out);
    };
    let Open {
        mut in_fences,
        uses,
        work,
    } = KBox::into_inner(open);
    let mut locked = None;
    if uses.len() > 0 {
        let locked = locked.insert(LockedBuffers::lock(iter::once(&uses))?);
        call.join(locked, run.queue(), &job, &uses, &mut in_fences)?;
    }
    // Ours is dropped after the locks: what is refused now gives buffers back, which takes them.
    let gate = decide(&mut job, run.queue(), seqno, in_fences, &work)?;
    call.inject(&mut job);
    let section = SignallingSection::begin();
    arm(&mut job);
    call.expected.keep();
    Queue::append(run.queue(), iter::once(job));
    finish(section, locked, gate);
    Ok(out)
}

/// Submits the jobs that the argument describes.
pub(crate) fn submit_batch<H: HandleLookup>(
    client: &Client,
    handles: &H,
    argument: &UserArg,
) -> Result {
    let mut batch: vfence_submit_batch = argument.read()?;
    must_be_zero(batch.flags)?;
    batch.refused = batch.count;
    let result = submit_all(client, handles, argument, &mut batch);
    if result.is_err() {
        argument.write(&batch)?;
    }
    result
}

/// Submits the jobs of `batch`, whose `refused` tells which one fails.
fn submit_all<H: HandleLookup>(
    client: &Client,
    handles: &H,
    argument: &UserArg,
    batch: &mut vfence_submit_batch,
) -> Result {
    let (count, size) = (batch.count, batch.job_size as usize);
    if count == 0 || count > VFENCE_MAX_BATCH || size < H::MIN_SUBMIT_SIZE {
        return Err(EINVAL);
    }
    let mut arguments = KVVec::new();
    let mut syncs = KVVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
    let look_up = |index: u32, syncs: &mut KVVec<H::Syncobjs>| {
        let element = UserArg::element(batch.jobs, index as usize, size)?;
        let (argument, sync) = handles.resolve_job(element, syncs)?;
        syncs.push(sync, GFP_KERNEL_ACCOUNT)?;
        Ok::<_, Error>(argument)
    };
    if H::MAY_SLEEP {
        for index in 0..count {
            batch.refused = index;
            arguments.push(look_up(index, &mut syncs)?, GFP_KERNEL_ACCOUNT)?;
        }
    }
    let mut arguments = arguments.into_iter();
    let mut last = client.submitting.lock();
    let (mut jobs, mut manual_jobs) = (KVVec::new(), KVVec::new());
    let mut runs: KVVec<Run> = KVVec::new();
    let mut gates = KVVec::new();
    let mut outs = KVVec::new();
    // Jobs that use buffers, and what is open of them. The former are dropped after the locks: what is refused when these are
    // held gives buffers back, which takes them.
    let mut users: KVVec<User> = KVVec::new();
    let mut deciding: KVVec<(QueueRef, u64, InFences)> = KVVec::new();
    let mut call = Call::new(client, handles, count as usize);
    for index in 0..count {
        batch.refused = index;
        let argument = match arguments.next() {
            Some(argument) => argument,
            None => look_up(index, &mut syncs)?,
        };
        let (earlier, rest) = syncs.split_at_mut(index as usize);
        let sync = rest.first_mut().ok_or(EINVAL)?;
        let mut place = MaybeUninit::uninit();
        let submit: &vfence_submit = argument.read_versioned_into(&mut place, &EARLIER)?;
        let run = match runs.last_mut() {
            Some(run) if run.queue().id() == submit.queue => run,
            before => {
                if let Some(before) = before {
                    before.stage();
                }
                let queue = client.queue_from(&mut last, submit.queue)?;
                runs.push(Run::new(queue.clone()), GFP_KERNEL_ACCOUNT)?;
                runs.last_mut().ok_or(EINVAL)?
            }
        };
        if run.queue().kind() == QueueKind::Manual {
            let prepared = call.prepare_manual(run, submit, sync)?;
            reply(&argument, &prepared)?;
            push(&mut manual_jobs, prepared.job, count)?;
            if let Some(out) = prepared.out {
                push(&mut outs, out, count)?;
            }
            continue;
        }
        let (prepared, open) = call.prepare(run, submit, sync, earlier)?;
        reply(&argument, &prepared)?;
        let Prepared {
            mut job,
            seqno,
            out,
        } = prepared;
        if let Some(open) = open {
            let Open {
                in_fences,
                uses,
                work,
            } = KBox::into_inner(open);
            if uses.len() > 0 {
                let queue = run.queue().clone();
                let user = User {
                    number: index,
                    index: jobs.len(),
                    uses,
                    work,
                };
                users.push(user, GFP_KERNEL_ACCOUNT)?;
                deciding.push((queue, seqno, in_fences), GFP_KERNEL_ACCOUNT)?;
            } else if let Some(gate) = decide(&mut job, run.queue(), seqno, in_fences, &work)? {
                gates.push(gate, GFP_KERNEL_ACCOUNT)?;
            }
        }
        push(&mut jobs, job, count)?;
        if let Some(out) = out {
            push(&mut outs, out, count)?;
        }
    }
    batch.refused = count;
    argument.write(batch)?;
    let mut locked = None;
    if !users.is_empty() {
        locked = Some(LockedBuffers::lock(users.iter().map(|user| &user.uses))?);
    }
    for (user, (queue, seqno, mut in_fences)) in users.iter().zip(deciding) {
        batch.refused = user.number;
        let (Some(locked), Some(job)) = (&mut locked, jobs.get_mut(user.index)) else {
            return Err(EINVAL);
        };
        call.join(locked, &queue, job, &user.uses, &mut in_fences)?;
        if let Some(gate) = decide(job, &queue, seqno, in_fences, &user.work)? {
            gates.push(gate, GFP_KERNEL_ACCOUNT)?;
        }
    }
    batch.refused = count;
    jobs.iter_mut().for_each(|job| call.inject(job));
    let section = SignallingSection::begin();
    if !gates.is_empty() {
        jobs.iter_mut().for_each(arm);
    }
    call.expected.keep();
    publish(&runs, jobs.into_iter(), manual_jobs.into_iter());
    finish(section, locked, gates);
    tell(syncs, outs);
    Ok(())
}

/// Appends to a list, whose memory is for `most` values.
fn push<T>(list: &mut KVVec<T>, value: T, most: u32) -> Result {
    if list.is_empty() {
        list.reserve(most as usize, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(list.push(value, GFP_KERNEL_ACCOUNT)?)
}

/// Tells the caller about a job. Fails with `EFAULT`.
fn reply<J>(argument: &UserArg, prepared: &Prepared<J>) -> Result {
    let out = prepared.out.as_ref();
    let reply = Reply {
        // CAST: Descriptors fit.
        out_fence: out.map_or(-1, |(_, fd)| fd.reserved_fd() as i32),
        seqno: prepared.seqno,
    };
    argument.write_field(REPLY, &reply)
}

/// Begins to wait for in-fences. The job's gate stays closed until we pass it, so none is too early.
fn arm(job: &mut TimedJob) {
    if let Some(waits) = job.data.waits_mut() {
        waits.arm();
    }
}

/// Publishes a job that waits for nothing and uses no buffers: nothing can fail any more.
#[inline]
fn publish_one(expected: &mut Expected<'_>, queue: &QueueRef, job: impl Submit) {
    expected.keep();
    let _section = SignallingSection::begin();
    Queue::append_one(queue, job);
}

/// Publishes the jobs of `runs`, which are armed, in a signalling section: nothing can fail any more.
fn publish(
    runs: &[Run],
    mut jobs: impl Iterator<Item = TimedJob>,
    mut manual_jobs: impl Iterator<Item = ManualJob>,
) {
    for run in runs {
        let (queue, count) = (run.queue(), run.count());
        match queue.kind() {
            QueueKind::Manual => Queue::append(queue, manual_jobs.by_ref().take(count)),
            QueueKind::Timer | QueueKind::Worker => Queue::append(queue, jobs.by_ref().take(count)),
        }
    }
}

/// Does what comes after jobs are in their queues, and ends the signalling section.
///
/// The queues come first, for who finds a fence may set a deadline on it, which its queue must know whose it is. That a fence
/// may have signalled when it is added to buffers does no harm: whoever has to wait for it needs their locks, which are `locked`.
fn finish(
    section: SignallingSection,
    mut locked: Option<LockedBuffers<'_>>,
    gates: impl IntoIterator<Item = Arc<Gate>>,
) {
    if let Some(locked) = &mut locked {
        locked.add_fences();
    }
    for gate in gates {
        gate.pass();
    }
    drop(section);
}

/// Tells others about jobs that are published. These need nothing more to end, and no lock but the client's is held: to put a fence into a
/// timeline takes as long as that is.
fn tell<S: JobSyncobjs>(syncs: impl IntoIterator<Item = S>, outs: impl IntoIterator<Item = Out>) {
    syncs.into_iter().for_each(JobSyncobjs::publish);
    for (file, fd) in outs {
        file.install(fd);
    }
}
