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
    handles::{
        Handles,
        Syncs, //
    },
    in_fences::{
        Gate,
        InFences,
        Waits, //
    },
    machine::Job,
    operation::Operations,
    queue::{
        Kind,
        More,
        Payload,
        Queue,
        QueueRef,
        Run, //
    },
    uses::{
        Locked,
        Uses, //
    },
    work::Work,
};
use crate::{
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            SignallingSection, //
        },
        dma_fence_chain::Linkable,
        dma_resv::Addable,
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
    mem::{
        offset_of,
        MaybeUninit, //
    },
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

/// How much longer a job takes by the kernel's fault injection, in ns.
const INJECTED_DELAY: u64 = 10_000_000;

/// A job that is ready to be published, and what comes after. Dropping it leaves nothing behind.
struct Prepared {
    job: Job<Payload>,
    out: Option<Out>,
    /// What is not decided before buffers are locked; most jobs have none.
    open: Option<KBox<Open>>,
}

/// What a job waits for and uses, while more may come to it.
struct Open {
    seqno: u64,
    in_fences: InFences,
    uses: Uses,
    work: Option<Arc<Work>>,
}

/// A job of a batch that uses buffers.
struct User {
    index: usize,
    uses: Uses,
    work: Option<Arc<Work>>,
}

/// A sync_file and the file descriptor that it will have.
type Out = (SyncFile, FileDescriptorReservation);

/// Submits the job that the argument describes.
pub(super) fn submit<H: Handles>(client: &Client, handles: &H, argument: Argument) -> Result {
    let (argument, mut syncs) = handles.job(argument, &[])?;
    let mut place = MaybeUninit::uninit();
    let submit: &mut vfence_submit = argument.read_to(&mut place, &EARLIER)?;
    let _submitting = client.submitting.lock();
    let mut run = Run::new(client.queue(submit.queue)?);
    let mut call = Call::new(client, handles, 1);
    let Prepared { mut job, out, open } = call.prepare(&mut run, submit, &mut syncs, &[])?;
    reply(&argument, submit)?;
    let Some(open) = open else {
        call.inject(&mut job, run.queue());
        call.expected.keep();
        let section = SignallingSection::begin();
        Queue::append_one(run.queue(), job);
        drop(section);
        tell(iter::once(syncs), out);
        return Ok(());
    };
    let Open {
        seqno,
        mut in_fences,
        uses,
        work,
    } = KBox::into_inner(open);
    let mut locked = None;
    if uses.len() > 0 {
        let locked = locked.insert(Locked::new(iter::once(&uses))?);
        call.join(locked, run.queue(), &job, &uses, &mut in_fences)?;
    }
    // Ours is dropped after the locks: what is refused now gives buffers back, which takes them.
    let gate = decide(&mut job, run.queue(), seqno, in_fences, &work)?;
    call.inject(&mut job, run.queue());
    let section = SignallingSection::begin();
    arm(&mut job);
    call.publish(section, &[run], iter::once(job), locked, gate);
    tell(iter::once(syncs), out);
    Ok(())
}

/// Submits the jobs that the argument describes.
pub(super) fn submit_batch<H: Handles>(
    client: &Client,
    handles: &H,
    argument: &Argument,
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
fn submit_all<H: Handles>(
    client: &Client,
    handles: &H,
    argument: &Argument,
    batch: &mut vfence_submit_batch,
) -> Result {
    let (count, size) = (batch.count, batch.job_size as usize);
    if count == 0 || count > VFENCE_MAX_BATCH || size < H::SMALLEST {
        return Err(EINVAL);
    }
    let mut arguments = KVVec::new();
    let mut syncs = KVVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
    let look_up = |index: u32, syncs: &mut KVVec<H::Syncs>| {
        let element = Argument::element(batch.jobs, index as usize, size)?;
        let (argument, sync) = handles.job(element, syncs)?;
        syncs.push(sync, GFP_KERNEL_ACCOUNT)?;
        Ok::<_, Error>(argument)
    };
    if H::WAITS {
        for index in 0..count {
            batch.refused = index;
            arguments.push(look_up(index, &mut syncs)?, GFP_KERNEL_ACCOUNT)?;
        }
    }
    let mut arguments = arguments.into_iter();
    let _submitting = client.submitting.lock();
    let mut jobs = KVVec::with_capacity(count as usize, GFP_KERNEL_ACCOUNT)?;
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
        let submit: &mut vfence_submit = argument.read_to(&mut place, &EARLIER)?;
        let run = match runs.last_mut() {
            Some(run) if run.queue().id() == submit.queue => run,
            _ => {
                runs.push(Run::new(client.queue(submit.queue)?), GFP_KERNEL_ACCOUNT)?;
                runs.last_mut().ok_or(EINVAL)?
            }
        };
        let Prepared { mut job, out, open } = call.prepare(run, submit, sync, earlier)?;
        if let Some(open) = open {
            let Open {
                seqno,
                in_fences,
                uses,
                work,
            } = KBox::into_inner(open);
            if uses.len() > 0 {
                let (index, queue) = (index as usize, run.queue().clone());
                users.push(User { index, uses, work }, GFP_KERNEL_ACCOUNT)?;
                deciding.push((queue, seqno, in_fences), GFP_KERNEL_ACCOUNT)?;
            } else if let Some(gate) = decide(&mut job, run.queue(), seqno, in_fences, &work)? {
                gates.push(gate, GFP_KERNEL_ACCOUNT)?;
            }
        }
        jobs.push(job, GFP_KERNEL_ACCOUNT)?;
        if let Some(out) = out {
            outs.push(out, GFP_KERNEL_ACCOUNT)?;
        }
        reply(&argument, submit)?;
    }
    batch.refused = count;
    argument.write(batch)?;
    let mut locked = None;
    if !users.is_empty() {
        locked = Some(Locked::new(users.iter().map(|user| &user.uses))?);
    }
    for (user, (queue, seqno, mut in_fences)) in users.iter().zip(deciding) {
        // CAST: It is below the count.
        batch.refused = user.index as u32;
        let (Some(locked), Some(job)) = (&mut locked, jobs.get_mut(user.index)) else {
            return Err(EINVAL);
        };
        call.join(locked, &queue, job, &user.uses, &mut in_fences)?;
        if let Some(gate) = decide(job, &queue, seqno, in_fences, &user.work)? {
            gates.push(gate, GFP_KERNEL_ACCOUNT)?;
        }
    }
    batch.refused = count;
    let mut injected = jobs.iter_mut();
    for run in &runs {
        for job in injected.by_ref().take(run.count()) {
            call.inject(job, run.queue());
        }
    }
    let section = SignallingSection::begin();
    if !gates.is_empty() {
        jobs.iter_mut().for_each(arm);
    }
    call.publish(section, &runs, jobs.into_iter(), locked, gates);
    tell(syncs, outs);
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
    if let Some(waits) = job.payload.waits_mut() {
        waits.arm();
    }
}

/// Gives a job what it waits for, and its work. Returns the gate, to be passed when it is published.
///
/// Fails with `ENOSPC` if the client's jobs wait for too much, `ENOMEM`.
fn decide(
    job: &mut Job<Payload>,
    queue: &QueueRef,
    seqno: u64,
    in_fences: InFences,
    work: &Option<Arc<Work>>,
) -> Result<Option<Arc<Gate>>> {
    job.in_error = in_fences.error();
    let waits = in_fences.prepare(queue, seqno)?;
    let gate = waits.as_ref().map(Waits::gate);
    job.waits = waits.is_some();
    job.work = work.is_some();
    if job.waits || job.work {
        let work = work.clone();
        job.payload.more = Some(KBox::new(More { waits, work }, GFP_KERNEL_ACCOUNT)?);
    }
    Ok(gate)
}

/// One call, and what its jobs share.
struct Call<'a, H> {
    client: &'a Client,
    handles: &'a H,
    expected: Expected<'a>,
    /// How many in-fences it has looked at.
    seen: usize,
    /// How many buffers it has named.
    uses: u32,
}

impl<'a, H: Handles> Call<'a, H> {
    /// Begins a call for so many jobs, with the client's `submitting` held.
    fn new(client: &'a Client, handles: &'a H, jobs: usize) -> Self {
        Self {
            client,
            handles,
            expected: client.events.expect(jobs),
            seen: 0,
            uses: 0,
        }
    }

    /// Checks a job of the queue of `run`, and prepares it. Fills in what is told to the caller, and has `syncs` know its fence; `earlier`
    /// are those of the jobs before it.
    #[inline]
    fn prepare(
        &mut self,
        run: &mut Run,
        submit: &mut vfence_submit,
        syncs: &mut H::Syncs,
        earlier: &[H::Syncs],
    ) -> Result<Prepared> {
        const FLAGS: u32 = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT | VFENCE_SUBMIT_HANG;

        if submit.flags & !FLAGS != 0 || submit.pad != 0 {
            return Err(EINVAL);
        }
        let waits = submit.in_fence_count != 0 || syncs.waits();
        check(run.queue(), submit, waits)?;
        let seqno = run.reserve()?;
        let event = submit.flags & VFENCE_SUBMIT_EVENT != 0;
        if event {
            self.expected.one_more()?;
        }
        let mut open = None;
        if waits || submit.use_count != 0 || submit.operation_count != 0 {
            open = Some(self.open(submit, syncs, earlier, seqno)?);
        }
        let (mut fence, mut out) = (None, None);
        submit.out_fence = -1;
        let wanted = submit.flags & VFENCE_SUBMIT_OUT_FENCE != 0;
        let used = open.as_ref().is_some_and(|open| open.uses.any_adds());
        if wanted || used || syncs.needs_fence() {
            let pending = AllocatedFence::new(run.queue().clone(), GFP_KERNEL_ACCOUNT)?.init(seqno);
            if syncs.needs_fence() {
                syncs.keep(Linkable::from(&pending));
            }
            if wanted {
                let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
                submit.out_fence = fd.reserved_fd() as i32;
                out = Some((SyncFile::create(pending.fence())?, fd));
            }
            fence = Some(pending);
        }
        submit.seqno = seqno;
        let job = Job {
            duration: (submit.duration_ns, submit.duration_max_ns),
            waits: false,
            in_error: 0,
            error: submit.error,
            hang: submit.flags & VFENCE_SUBMIT_HANG != 0,
            injected: Injected::default(),
            event,
            work: false,
            payload: Payload { fence, more: None },
        };
        Ok(Prepared { job, out, open })
    }

    /// Takes references to what a job waits for and uses.
    fn open(
        &mut self,
        submit: &vfence_submit,
        syncs: &mut H::Syncs,
        earlier: &[H::Syncs],
        seqno: u64,
    ) -> Result<KBox<Open>> {
        let mut in_fences = syncs.in_fences(earlier)?;
        if submit.in_fence_count != 0 {
            let (address, count) = (submit.in_fences, submit.in_fence_count);
            in_fences.add_from_user(address, count, &mut self.seen)?;
        }
        let uses = Uses::from_user(self.handles, submit, &mut self.uses)?;
        let work = match Operations::from_user(self.client, submit, &uses)? {
            Some(operations) => Some(Work::new(operations)?),
            None => None,
        };
        let open = Open {
            seqno,
            in_fences,
            uses,
            work,
        };
        Ok(KBox::new(open, GFP_KERNEL_ACCOUNT)?)
    }

    /// Has a job wait for others who use its buffers, which are locked, and makes room for its own fence there.
    fn join(
        &mut self,
        locked: &mut Locked<'_>,
        queue: &QueueRef,
        job: &Job<Payload>,
        uses: &Uses,
        in_fences: &mut InFences,
    ) -> Result {
        let fence = || job.payload.fence.as_ref().map(Addable::from);
        locked.prepare(queue, uses, in_fences, fence, &mut self.seen)
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
    ///
    /// The queues come first, for who finds a fence may set a deadline on it, which its queue must know whose it is. That a fence
    /// may have signalled when it is added to buffers does no harm: whoever has to wait for it needs their locks, which are `locked`.
    fn publish(
        mut self,
        section: SignallingSection,
        runs: &[Run],
        mut jobs: impl Iterator<Item = Job<Payload>>,
        mut locked: Option<Locked<'_>>,
        gates: impl IntoIterator<Item = Arc<Gate>>,
    ) {
        self.expected.keep();
        for run in runs {
            Queue::append(run.queue(), jobs.by_ref().take(run.count()));
        }
        if let Some(locked) = &mut locked {
            locked.add();
        }
        for gate in gates {
            gate.pass();
        }
        drop(section);
    }
}

/// Tells others about jobs that are published. These need nothing more to end, and no lock but the client's is held: to put a fence into a
/// timeline takes as long as that is.
fn tell<S: Syncs>(syncs: impl IntoIterator<Item = S>, outs: impl IntoIterator<Item = Out>) {
    syncs.into_iter().for_each(Syncs::publish);
    for (file, fd) in outs {
        file.install(fd);
    }
}

/// Refuses jobs that the header refuses, with `EINVAL`; `waits` tells whether there are in-fences.
fn check(queue: &Queue, submit: &vfence_submit, waits: bool) -> Result {
    let (low, high) = (submit.duration_ns, submit.duration_max_ns);
    let longest = low.max(high);
    let fits = match queue.kind() {
        Kind::Manual => {
            longest == 0
                && !waits
                && submit.use_count == 0
                && submit.flags & VFENCE_SUBMIT_HANG == 0
        }
        Kind::Timer | Kind::Worker => queue
            .limits()
            .watchdog
            .is_none_or(|watchdog| longest <= watchdog),
    };
    let works = submit.operation_count != 0;
    if !fits || (high != 0 && high < low) || (works && queue.kind() != Kind::Worker) {
        return Err(EINVAL);
    }
    must_be_errno(submit.error)
}
