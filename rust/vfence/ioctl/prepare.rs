// SPDX-License-Identifier: GPL-2.0

//! How jobs are checked and prepared.

use crate::{
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            PendingFence, //
        },
        dma_fence_chain::NonChainFence,
        dma_resv::NonContainerFence,
        fault_inject::FaultAttr,
        sync_file::SyncFile, //
    },
    uapi::{
        vfence_submit,
        VFENCE_SUBMIT_EVENT,
        VFENCE_SUBMIT_HANG,
        VFENCE_SUBMIT_OUT_FENCE, //
    },
    vfence::{
        buffer::{
            ops::OperationList,
            resv::{
                BufferUses, //
                LockedBuffers,
            },
        },
        client::Client,
        events::Expected,
        job::{
            handles::{
                HandleLookup,
                JobSyncobjs, //
            },
            in_fences::{
                Gate,
                InFences,
                Waits, //
            },
            operations::JobOperations, //
        },
        queue::{
            reserve::Run,
            JobFence,
            ManualJob,
            More,
            Payload,
            Queue,
            QueueKind,
            QueueRef,
            TimedJob, //
        },
        sched::{
            fault_plan::{
                FaultKind,
                InjectedFaults, //
            },
            types::{
                DurationRange,
                InFenceState, //
            },
        },
        uarg::must_be_errno, //
    },
};
use core::borrow::Borrow;
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*,
    sync::Arc, //
};

/// How much longer a job takes by the kernel's fault injection, in ns.
const INJECTED_DELAY: u64 = 10_000_000;

/// A job that is ready to be published, and what comes after. Dropping it leaves nothing behind.
pub(crate) struct Prepared<J> {
    pub(crate) job: J,
    pub(crate) seqno: u64,
    pub(crate) out: Option<Out>,
}

/// A sync_file and the file descriptor that it will have.
pub(crate) type Out = (SyncFile, FileDescriptorReservation);

/// What a job waits for and uses, while more may come to it.
pub(crate) struct Open {
    pub(crate) in_fences: InFences,
    pub(crate) uses: BufferUses,
    pub(crate) work: Option<Arc<JobOperations>>,
}

/// One call, and what its jobs share.
pub(crate) struct Call<'a, H> {
    client: &'a Client,
    handles: &'a H,
    pub(crate) expected: Expected<'a>,
    /// How many in-fences it has looked at.
    seen: usize,
    /// How many buffers it has named.
    uses: u32,
}

impl<'a, H: HandleLookup> Call<'a, H> {
    /// Begins a call for so many jobs, with the client's `submitting` held.
    pub(crate) fn new(client: &'a Client, handles: &'a H, jobs: usize) -> Self {
        Self {
            client,
            handles,
            expected: client.events.expect(jobs),
            seen: 0,
            uses: 0,
        }
    }

    /// Checks a job of the queue of `run`, which is a manual one, and prepares it. Has `syncs` know its fence.
    #[inline]
    pub(crate) fn prepare_manual(
        &mut self,
        run: &mut Run<impl Borrow<QueueRef>>,
        submit: &vfence_submit,
        syncs: &mut H::Syncobjs,
    ) -> Result<Prepared<ManualJob>> {
        check_manual(submit, syncs.has_waits())?;
        let seqno = run.reserve()?;
        let event = self.event(submit)?;
        let (fence, out) = fence(run.queue(), seqno, submit, syncs, false)?;
        let job = ManualJob {
            error: submit.error,
            event,
            fence,
        };
        Ok(Prepared { job, seqno, out })
    }

    /// Checks a job of the queue of `run`, which is no manual one, and prepares it. Has `syncs` know its fence; `earlier` are those of the
    /// jobs before it. Also returns what is not decided before buffers are locked, which most jobs do not have.
    pub(crate) fn prepare(
        &mut self,
        run: &mut Run<impl Borrow<QueueRef>>,
        submit: &vfence_submit,
        syncs: &mut H::Syncobjs,
        earlier: &[H::Syncobjs],
    ) -> Result<(Prepared<TimedJob>, Option<KBox<Open>>)> {
        check(run.queue(), submit)?;
        let seqno = run.reserve()?;
        let event = self.event(submit)?;
        let waits = submit.in_fence_count != 0 || syncs.has_waits();
        let mut open = None;
        if waits || submit.use_count != 0 || submit.operation_count != 0 {
            open = Some(self.open(submit, syncs, earlier)?);
        }
        let used = open.as_ref().is_some_and(|open| open.uses.any_adds_fence());
        let (fence, out) = fence(run.queue(), seqno, submit, syncs, used)?;
        let job = TimedJob {
            duration: DurationRange {
                min: submit.duration_ns,
                max: submit.duration_max_ns,
            },
            in_fences: InFenceState::default(),
            error: submit.error,
            hang: submit.flags & VFENCE_SUBMIT_HANG != 0,
            injected: InjectedFaults::default(),
            event,
            operations: false,
            data: Payload { fence, more: None },
        };
        Ok((Prepared { job, seqno, out }, open))
    }

    /// Returns whether user space wants to be told of a job's end, and makes room for that.
    ///
    /// Fails as [`Expected::one_more`] does.
    #[inline(always)]
    fn event(&mut self, submit: &vfence_submit) -> Result<bool> {
        let event = submit.flags & VFENCE_SUBMIT_EVENT != 0;
        if event {
            self.expected.one_more()?;
        }
        Ok(event)
    }

    /// Takes references to what a job waits for and uses.
    fn open(
        &mut self,
        submit: &vfence_submit,
        syncs: &mut H::Syncobjs,
        earlier: &[H::Syncobjs],
    ) -> Result<KBox<Open>> {
        let mut in_fences = syncs.take_in_fences(earlier)?;
        if submit.in_fence_count != 0 {
            let (address, count) = (submit.in_fences, submit.in_fence_count);
            in_fences.add_from_user(address, count, &mut self.seen)?;
        }
        let uses = BufferUses::from_user(self.handles, submit, &mut self.uses)?;
        let (mappings, device) = (&self.client.mappings, &self.client.device().dma);
        let work = match OperationList::from_user(mappings, device, submit, &uses)? {
            Some(operations) => Some(JobOperations::new(operations)?),
            None => None,
        };
        let open = Open {
            in_fences,
            uses,
            work,
        };
        Ok(KBox::new(open, GFP_KERNEL_ACCOUNT)?)
    }

    /// Has a job wait for others who use its buffers, which are locked, and makes room for its own fence there.
    pub(crate) fn join(
        &mut self,
        locked: &mut LockedBuffers<'_>,
        queue: &QueueRef,
        job: &TimedJob,
        uses: &BufferUses,
        in_fences: &mut InFences,
    ) -> Result {
        let fence = || job.data.fence.as_ref().map(NonContainerFence::from);
        locked.prepare(queue.context_id(), uses, in_fences, fence, &mut self.seen)
    }

    /// Has the kernel's fault injection decide about a job that takes time, which cannot be refused any more.
    pub(crate) fn inject(&self, job: &mut TimedJob) {
        if !FaultAttr::AVAILABLE {
            return;
        }
        let device = self.client.device();
        if device.fail.should_fail() {
            job.injected.add(FaultKind::Fail, EIO.to_errno(), 0);
        }
        if device.hang.should_fail() {
            job.injected.add(FaultKind::Hang, 0, 0);
        }
        if device.delay.should_fail() {
            job.injected.add(FaultKind::Delay, 0, INJECTED_DELAY);
        }
        if device.drop_interrupt.should_fail() {
            job.injected.add(FaultKind::DropInterrupt, 0, 0);
        }
    }
}

/// Makes a job's fence if anybody gets it: the caller, `syncs`, or who uses a buffer that is `used`. Also returns what the caller gets.
#[inline]
fn fence(
    queue: &QueueRef,
    seqno: u64,
    submit: &vfence_submit,
    syncs: &mut impl JobSyncobjs,
    used: bool,
) -> Result<(JobFence, Option<Out>)> {
    let wanted = submit.flags & VFENCE_SUBMIT_OUT_FENCE != 0;
    if !wanted && !used && !syncs.needs_fence() {
        return Ok((None, None));
    }
    let fence = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?.init(seqno);
    if syncs.needs_fence() {
        syncs.set_fence(NonChainFence::from(&fence));
    }
    let mut out = None;
    if wanted {
        out = Some(export(&fence)?);
    }
    Ok((Some(fence), out))
}

/// Makes a job's fence, and what the caller gets.
#[inline]
pub(crate) fn out_fence(queue: &QueueRef, seqno: u64) -> Result<(PendingFence<Queue>, Out)> {
    let fence = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?.init(seqno);
    let out = export(&fence)?;
    Ok((fence, out))
}

/// Makes what the caller gets of a job's fence.
#[inline]
fn export(fence: &PendingFence<Queue>) -> Result<Out> {
    let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
    Ok((SyncFile::create(fence.fence())?, fd))
}

/// Gives a job what it waits for, and its work. Returns the gate, to be passed when it is published.
///
/// Fails with `ENOSPC` if the client's jobs wait for too much, `ENOMEM`.
pub(crate) fn decide(
    job: &mut TimedJob,
    queue: &QueueRef,
    seqno: u64,
    in_fences: InFences,
    work: &Option<Arc<JobOperations>>,
) -> Result<Option<Arc<Gate>>> {
    let error = in_fences.error();
    let waits = in_fences.prepare(queue, seqno)?;
    let gate = waits.as_ref().map(Waits::gate);
    job.in_fences = InFenceState {
        pending: waits.is_some(),
        error,
    };
    job.operations = work.is_some();
    if waits.is_some() || job.operations {
        let work = work.clone();
        job.data.more = Some(KBox::new(More { waits, work }, GFP_KERNEL_ACCOUNT)?);
    }
    Ok(gate)
}

/// Refuses jobs of manual queues that the header refuses, with `EINVAL`; `waits` tells whether there are in-fences besides those that it
/// names by descriptors.
fn check_manual(submit: &vfence_submit, waits: bool) -> Result {
    const FLAGS: u32 = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT;

    // All that jobs have which take time.
    let counts = submit.in_fence_count | submit.use_count | submit.operation_count;
    let durations = submit.duration_ns | submit.duration_max_ns;
    let others = submit.flags & !FLAGS | submit.pad;
    if durations | u64::from(counts | others) != 0 || waits {
        return Err(EINVAL);
    }
    must_be_errno(submit.error)
}

/// Refuses jobs of other queues that the header refuses, with `EINVAL`.
fn check(queue: &Queue, submit: &vfence_submit) -> Result {
    const FLAGS: u32 = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT | VFENCE_SUBMIT_HANG;

    if submit.flags & !FLAGS != 0 || submit.pad != 0 {
        return Err(EINVAL);
    }
    let (low, high) = (submit.duration_ns, submit.duration_max_ns);
    let watchdog = queue.limits().watchdog;
    let fits = watchdog.is_none_or(|watchdog| low.max(high) <= watchdog);
    let works = submit.operation_count != 0;
    if !fits || (high != 0 && high < low) || (works && queue.kind() != QueueKind::Worker) {
        return Err(EINVAL);
    }
    must_be_errno(submit.error)
}
