// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_SUBMIT` and `VFENCE_IOCTL_SUBMIT_BATCH`: all jobs of a call are published, or
//! none.
//!
//! A job goes through these steps. The first two can fail, and are done for all jobs of a call
//! before the third:
//!
//! 1. prepare: check, reserve a slot, create the fence, collect in-fences and buffers, reply to
//!    user space;
//! 2. with the reservation objects of the buffers locked: add their fences to the in-fences;
//! 3. publish, in a signalling section: enter the queues, which wait for the in-fences of their
//!    heads, and add fences to the reservation objects; then install file descriptors.
//!
//! A job of a manual queue has neither in-fences nor buffers, and skips the second step.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        mutex::LockKillable, //
    },
    uapi::{
        vfence_submit,
        vfence_submit_batch,
        VFENCE_MAX_BATCH, //
    },
    vfence::{
        buffer::{
            job_operations::JobOperations,
            resv::{
                BufferUses,
                LockedBuffers, //
            },
        },
        client::Client,
        ioctl::prepare::{
            OutFence,
            Prepared,
            RequestInputs,
            Submission,
            TimedRequest, //
        },
        job::{
            handles::{
                HandleLookup,
                JobSyncobjs, //
            },
            in_fences::InFences, //
        },
        queue::{
            config::QueueKind,
            reserve::Reservation,
            submit::SubmitJob,
            QueueManualJob,
            QueueRef,
            QueueTimedJob, //
        },
        refusal::{
            must_be_zero,
            refuse, //
        },
        uarg::UserArg, //
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

/// The sizes that `struct vfence_submit` had in earlier versions of the header.
pub(crate) const EARLIER_SIZES: [usize; 2] = [
    offset_of!(vfence_submit, duration_max_ns),
    offset_of!(vfence_submit, uses),
];

/// The reply: two adjacent fields of `struct vfence_submit`.
#[derive(IntoBytes, Immutable)]
#[repr(C, packed(4))]
struct Reply {
    out_fence: i32,
    seqno: u64,
}

const REPLY: usize = offset_of!(vfence_submit, out_fence);
const _: () = assert!(offset_of!(vfence_submit, seqno) == REPLY + offset_of!(Reply, seqno));

/// `VFENCE_IOCTL_SUBMIT`.
#[inline(never)]
pub(super) fn submit<H: HandleLookup>(client: &Client, handles: &H, argument: UserArg) -> Result {
    let (argument, mut syncs) = handles.resolve_job(argument, &[])?;
    let mut place = MaybeUninit::uninit();
    let submit: &vfence_submit = argument.read_versioned_into(&mut place, &EARLIER_SIZES)?;
    let mut last_submitted = client.last_submitted.lock_killable()?;
    let queue = client.cached_queue(&mut last_submitted, submit.queue)?;
    let reservation = Reservation::new(queue);
    let submission = Submission::new(client, handles, 1);
    let out_fence = match queue.kind() {
        QueueKind::Manual => submit_manual(submission, reservation, &argument, submit, &mut syncs),
        QueueKind::Timer | QueueKind::Worker => {
            submit_timed(submission, reservation, &argument, submit, &mut syncs)
        }
    }?;
    publish_fences(iter::once(syncs), out_fence);
    Ok(())
}

/// Submits a job to a manual queue and returns its out-fence.
#[inline]
fn submit_manual<H: HandleLookup>(
    mut submission: Submission<'_, H>,
    mut reservation: Reservation<&QueueRef>,
    argument: &UserArg,
    submit: &vfence_submit,
    syncs: &mut H::Syncobjs,
) -> Result<Option<OutFence>> {
    let prepared = submission.prepare_manual(&mut reservation, submit, syncs)?;
    reply(argument, &prepared)?;
    publish_one(submission, reservation.queue(), prepared.job);
    Ok(prepared.out_fence)
}

/// Submits a job to a timer or worker queue and returns its out-fence.
fn submit_timed<H: HandleLookup>(
    mut submission: Submission<'_, H>,
    mut reservation: Reservation<&QueueRef>,
    argument: &UserArg,
    submit: &vfence_submit,
    syncs: &mut H::Syncobjs,
) -> Result<Option<OutFence>> {
    let (prepared, inputs) = submission.prepare_timed(&mut reservation, submit, syncs, &[])?;
    reply(argument, &prepared)?;
    let queue = reservation.queue();
    let Prepared {
        job: request,
        seqno,
        out_fence,
    } = prepared;
    let Some(inputs) = inputs else {
        let mut job = request.without_inputs();
        submission.inject_faults(&mut job);
        publish_one(submission, queue, job);
        return Ok(out_fence);
    };
    // Dropped after `locked`: dropping `operations` locks reservation objects.
    let RequestInputs {
        mut in_fences,
        uses,
        operations,
    } = KBox::into_inner(inputs);
    let mut locked = None;
    if uses.len() > 0 {
        let locked = locked.insert(LockedBuffers::lock(iter::once(&uses))?);
        submission.join_reservations(locked, queue, &request, &uses, &mut in_fences)?;
    }
    let client = submission.client;
    let mut job = request.with_inputs(client, queue, seqno, in_fences, &operations)?;
    submission.inject_faults(&mut job);
    let section = SignallingSection::begin();
    submission.events.commit();
    queue.submit(job);
    finish_publishing(section, locked);
    Ok(out_fence)
}

/// `VFENCE_IOCTL_SUBMIT_BATCH`.
#[inline(never)]
pub(super) fn submit_batch<H: HandleLookup>(
    client: &Client,
    handles: &H,
    argument: UserArg,
) -> Result {
    let mut batch: vfence_submit_batch = argument.read()?;
    must_be_zero!("submit_batch: flags", batch.flags)?;
    batch.refused = batch.count;
    let result = submit_all(client, handles, &argument, &mut batch);
    if result.is_err() {
        argument.write(&batch)?;
    }
    result
}

/// A job of a batch that uses buffers, before their reservation objects are locked.
struct BufferJob {
    request: TimedRequest,
    queue: QueueRef,
    seqno: u64,
    in_fences: InFences,
}

/// The buffers of a [`BufferJob`]. They are dropped after the reservation objects are unlocked.
struct JobBuffers {
    /// The index of the job in the batch.
    index: u32,
    /// How many jobs of timer and worker queues without buffers precede it in the batch.
    position: usize,
    uses: BufferUses,
    operations: Option<Arc<JobOperations>>,
}

/// Merges the jobs of a batch without buffers with those that have `buffers`, in batch order.
fn in_batch_order<'a, J>(
    mut plain: impl Iterator<Item = J> + 'a,
    mut buffered: impl Iterator<Item = J> + 'a,
    buffers: &'a [JobBuffers],
) -> impl Iterator<Item = J> + 'a {
    let mut positions = buffers.iter().map(|job| job.position).peekable();
    let mut taken = 0;
    iter::from_fn(move || {
        if positions.next_if_eq(&taken).is_some() {
            return buffered.next();
        }
        taken += 1;
        plain.next()
    })
}

/// Submits the jobs of `batch`. `batch.refused` is the index of the job that fails.
fn submit_all<H: HandleLookup>(
    client: &Client,
    handles: &H,
    argument: &UserArg,
    batch: &mut vfence_submit_batch,
) -> Result {
    let (count, size) = (batch.count, batch.job_size as usize);
    if count == 0 || count > VFENCE_MAX_BATCH {
        return Err(refuse!(
            EINVAL,
            "submit_batch: count {} is 0 or above VFENCE_MAX_BATCH, {}",
            count,
            VFENCE_MAX_BATCH
        ));
    }
    if size < H::MIN_SUBMIT_SIZE {
        return Err(refuse!(
            EINVAL,
            "submit_batch: job_size {} is smaller than the structure was in any version, {}",
            size,
            H::MIN_SUBMIT_SIZE
        ));
    }
    let mut arguments = KVVec::new();
    let mut syncs = KVVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
    let look_up = |index: u32, syncs: &mut KVVec<H::Syncobjs>| {
        let element = UserArg::element("submit_batch: jobs", batch.jobs, index as usize, size)?;
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
    let mut last_submitted = client.last_submitted.lock_killable()?;
    let mut reservations: KVVec<Reservation> = KVVec::new();
    let (mut jobs, mut manual_jobs) = (KVVec::new(), KVVec::new());
    let mut out_fences = KVVec::new();
    let mut buffers: KVVec<JobBuffers> = KVVec::new();
    let mut buffer_jobs: KVVec<BufferJob> = KVVec::new();
    let mut submission = Submission::new(client, handles, count as usize);
    for index in 0..count {
        batch.refused = index;
        let argument = match arguments.next() {
            Some(argument) => argument,
            None => look_up(index, &mut syncs)?,
        };
        let (earlier, rest) = syncs.split_at_mut(index as usize);
        let syncs = rest.first_mut().ok_or(EINVAL)?;
        let mut place = MaybeUninit::uninit();
        let submit: &vfence_submit = argument.read_versioned_into(&mut place, &EARLIER_SIZES)?;
        let reservation = match reservations.last_mut() {
            Some(reservation) if reservation.queue().id() == submit.queue => reservation,
            previous => {
                if let Some(previous) = previous {
                    previous.stage();
                }
                let queue = client.cached_queue(&mut last_submitted, submit.queue)?;
                let reservation = Reservation::after_staged(queue.clone());
                reservations.push(reservation, GFP_KERNEL_ACCOUNT)?;
                reservations.last_mut().ok_or(EINVAL)?
            }
        };
        let out_fence;
        if reservation.queue().kind() == QueueKind::Manual {
            let prepared = submission.prepare_manual(reservation, submit, syncs)?;
            reply(&argument, &prepared)?;
            push(&mut manual_jobs, prepared.job, count)?;
            out_fence = prepared.out_fence;
        } else {
            let (prepared, inputs) =
                submission.prepare_timed(reservation, submit, syncs, earlier)?;
            reply(&argument, &prepared)?;
            let (request, seqno, queue) = (prepared.job, prepared.seqno, reservation.queue());
            out_fence = prepared.out_fence;
            match inputs.map(KBox::into_inner) {
                None => push(&mut jobs, request.without_inputs(), count)?,
                Some(RequestInputs {
                    in_fences,
                    uses,
                    operations,
                }) if uses.len() == 0 => {
                    let job = request.with_inputs(client, queue, seqno, in_fences, &operations)?;
                    push(&mut jobs, job, count)?;
                }
                Some(RequestInputs {
                    in_fences,
                    uses,
                    operations,
                }) => {
                    let used = JobBuffers {
                        index,
                        position: jobs.len(),
                        uses,
                        operations,
                    };
                    buffers.push(used, GFP_KERNEL_ACCOUNT)?;
                    let job = BufferJob {
                        request,
                        queue: queue.clone(),
                        seqno,
                        in_fences,
                    };
                    buffer_jobs.push(job, GFP_KERNEL_ACCOUNT)?;
                }
            }
        }
        if let Some(out_fence) = out_fence {
            push(&mut out_fences, out_fence, count)?;
        }
    }
    batch.refused = count;
    argument.write(batch)?;
    let mut locked = None;
    let mut buffered: KVVec<QueueTimedJob> = KVVec::new();
    if !buffers.is_empty() {
        buffered.reserve(buffers.len(), GFP_KERNEL_ACCOUNT)?;
        let uses = buffers.iter().map(|used| &used.uses);
        let locked = locked.insert(LockedBuffers::lock(uses)?);
        for (job, used) in buffer_jobs.into_iter().zip(&buffers) {
            batch.refused = used.index;
            let BufferJob {
                request,
                queue,
                seqno,
                mut in_fences,
            } = job;
            submission.join_reservations(locked, &queue, &request, &used.uses, &mut in_fences)?;
            let job = request.with_inputs(client, &queue, seqno, in_fences, &used.operations)?;
            buffered.push(job, GFP_KERNEL_ACCOUNT)?;
        }
        batch.refused = count;
    }
    in_batch_order(jobs.iter_mut(), buffered.iter_mut(), &buffers)
        .for_each(|job| submission.inject_faults(job));
    let section = SignallingSection::begin();
    submission.events.commit();
    let jobs = in_batch_order(jobs.into_iter(), buffered.into_iter(), &buffers);
    publish(&reservations, jobs, manual_jobs.into_iter());
    finish_publishing(section, locked);
    publish_fences(syncs, out_fences);
    Ok(())
}

/// Appends `value` to `list`, which holds at most `max` values and is allocated by the first call.
fn push<T>(list: &mut KVVec<T>, value: T, max: u32) -> Result {
    if list.is_empty() {
        list.reserve(max as usize, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(list.push(value, GFP_KERNEL_ACCOUNT)?)
}

/// Writes the out-fence and the seqno to user space. Fails with `EFAULT`.
fn reply<J>(argument: &UserArg, prepared: &Prepared<J>) -> Result {
    let out_fence = prepared.out_fence.as_ref();
    let reply = Reply {
        // CAST: A file descriptor fits.
        out_fence: out_fence.map_or(-1, |(_, fd)| fd.reserved_fd() as i32),
        seqno: prepared.seqno,
    };
    // The kernel's `AsBytes`, for values of a constant size, has no derive macro.
    let words: [u32; size_of::<Reply>() / size_of::<u32>()] = zerocopy::transmute!(reply);
    argument.write_field(REPLY, &words)
}

/// Publishes the job of a submission that has neither pending in-fences nor buffers.
#[inline]
fn publish_one<H: HandleLookup>(
    mut submission: Submission<'_, H>,
    queue: &QueueRef,
    job: impl SubmitJob,
) {
    submission.events.commit();
    let _section = SignallingSection::begin();
    queue.submit(job);
}

/// Publishes the jobs of `reservations`, in a signalling section. Nothing fails from here on.
fn publish(
    reservations: &[Reservation],
    mut jobs: impl Iterator<Item = QueueTimedJob>,
    mut manual_jobs: impl Iterator<Item = QueueManualJob>,
) {
    for reservation in reservations {
        let (queue, count) = (reservation.queue(), reservation.count());
        match queue.kind() {
            QueueKind::Manual => queue.submit_all(manual_jobs.by_ref().take(count)),
            QueueKind::Timer | QueueKind::Worker => queue.submit_all(jobs.by_ref().take(count)),
        }
    }
}

/// Ends a signalling section in which jobs were published: adds their fences to the reservation
/// objects.
///
/// Publish to the queues first: once a fence is in a reservation object, anyone may set a deadline
/// on it, and its queue must already know the job. The fence may have signalled by then, which is
/// safe: every user of the reservation object waits for its lock first.
fn finish_publishing(section: SignallingSection, locked: Option<LockedBuffers<'_>>) {
    if let Some(mut locked) = locked {
        locked.add_fences();
    }
    drop(section);
}

/// Adds the fences of published jobs to syncobjs and installs the file descriptors of their
/// out-fences.
///
/// Adding a point to a timeline takes time proportional to its length, so no lock but the client's
/// is held.
fn publish_fences<S: JobSyncobjs>(
    syncs: impl IntoIterator<Item = S>,
    out_fences: impl IntoIterator<Item = OutFence>,
) {
    S::publish(syncs.into_iter());
    for (file, fd) in out_fences {
        file.install(fd);
    }
}
