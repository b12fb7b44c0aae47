// SPDX-License-Identifier: GPL-2.0

//! Checking and preparing the jobs of a submission: everything about a job that can fail.
//!
//! Dropping what is prepared undoes it.

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
            job_operations::JobOperations,
            operations::OperationList,
            resv::{
                BufferUses,
                LockedBuffers, //
            },
        },
        client::Client,
        descriptor,
        events::EventReservation,
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
            JobFence,
            JobInputs,
            Queue,
            QueueManualJob,
            QueueRef,
            QueueTimedJob,
            TimedJobData, //
        },
        refusal::{
            must_be_errno,
            must_be_zero,
            refuse, //
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
    },
};
use core::borrow::Borrow;
use kernel::{
    fs::file::FileDescriptorReservation,
    prelude::*,
    sync::Arc, //
};

/// By how much the kernel's fault injection delays a job, in ns.
const INJECTED_DELAY: u64 = 10_000_000;

/// A sync_file and the file descriptor reserved for it.
pub(crate) type OutFence = (SyncFile, FileDescriptorReservation);

/// A job with a slot and a seqno.
pub(crate) struct Prepared<J> {
    pub(crate) job: J,
    pub(crate) seqno: u64,
    pub(crate) out_fence: Option<OutFence>,
}

/// A job of a timer or worker queue whose in-fences are not final: locking the reservation objects
/// of its buffers may add some.
pub(crate) struct TimedRequest {
    duration: DurationRange,
    error: i32,
    hang: bool,
    event: bool,
    fence: JobFence,
}

/// The in-fences, buffers and operations of a job, collected before reservation objects are locked.
pub(crate) struct RequestInputs {
    pub(crate) in_fences: InFences,
    pub(crate) uses: BufferUses,
    pub(crate) operations: Option<Arc<JobOperations>>,
}

impl TimedRequest {
    /// Returns the job, which has neither in-fences nor operations.
    pub(crate) fn without_inputs(self) -> QueueTimedJob {
        self.into_job(false, 0, None)
    }

    /// Returns the job with its final in-fences and its operations. The caller keeps a reference to
    /// `operations` while reservation objects are locked: dropping the last one locks them.
    ///
    /// Fails with `ENOSPC` if the pending jobs of `client` have too many in-fences, `ENOMEM`.
    pub(crate) fn with_inputs(
        self,
        client: &Client,
        queue: &QueueRef,
        seqno: u64,
        in_fences: InFences,
        operations: &Option<Arc<JobOperations>>,
    ) -> Result<QueueTimedJob> {
        let in_error = in_fences.error();
        let in_fences = in_fences.into_wait(queue, seqno, &client.in_fence_quota)?;
        let pending = in_fences.is_some();
        let mut inputs = None;
        if pending || operations.is_some() {
            let operations = operations.clone();
            inputs = Some(KBox::new(
                JobInputs {
                    in_fences,
                    operations,
                },
                GFP_KERNEL_ACCOUNT,
            )?);
        }
        Ok(self.into_job(pending, in_error, inputs))
    }

    fn into_job(
        self,
        pending: bool,
        in_error: i32,
        inputs: Option<KBox<JobInputs>>,
    ) -> QueueTimedJob {
        QueueTimedJob {
            duration: self.duration,
            in_fences: InFenceState {
                pending,
                error: in_error,
            },
            error: self.error,
            hang: self.hang,
            injected: InjectedFaults::default(),
            event: self.event,
            operations: inputs
                .as_ref()
                .is_some_and(|inputs| inputs.operations.is_some()),
            data: TimedJobData {
                fence: self.fence,
                inputs,
            },
        }
    }
}

/// One submission, and what its jobs share.
pub(crate) struct Submission<'a, H> {
    pub(crate) client: &'a Client,
    handles: &'a H,
    pub(crate) events: EventReservation<'a>,
    /// The number of in-fences unwrapped.
    unwrapped: usize,
    /// The number of buffer uses.
    uses: u32,
}

impl<'a, H: HandleLookup> Submission<'a, H> {
    /// Begins a submission of `jobs` jobs. The client's `last_submitted` must be held.
    pub(crate) fn new(client: &'a Client, handles: &'a H, jobs: usize) -> Self {
        Self {
            client,
            handles,
            events: client.events.reserve(jobs),
            unwrapped: 0,
            uses: 0,
        }
    }

    /// Prepares a job of a manual queue, and stores its fence in `syncs` if they need one.
    ///
    /// Fails as the UAPI header describes.
    #[inline]
    pub(crate) fn prepare_manual(
        &mut self,
        reservation: &mut Reservation<impl Borrow<QueueRef>>,
        submit: &vfence_submit,
        syncs: &mut H::Syncobjs,
    ) -> Result<Prepared<QueueManualJob>> {
        check_manual(submit, syncs.wait_count())?;
        let seqno = reservation.reserve()?;
        let event = self.reserve_event(submit)?;
        let (fence, out_fence) = job_fence(reservation.queue(), seqno, submit, syncs, false)?;
        let job = QueueManualJob {
            error: submit.error,
            event,
            fence,
        };
        Ok(Prepared {
            job,
            seqno,
            out_fence,
        })
    }

    /// Prepares a job of a timer or worker queue, and stores its fence in `syncs` if they need one.
    /// `earlier` are the syncs of the jobs before it in the submission. Also returns the job's
    /// inputs, if it has any.
    ///
    /// Fails as the UAPI header describes.
    pub(crate) fn prepare_timed(
        &mut self,
        reservation: &mut Reservation<impl Borrow<QueueRef>>,
        submit: &vfence_submit,
        syncs: &mut H::Syncobjs,
        earlier: &[H::Syncobjs],
    ) -> Result<(Prepared<TimedRequest>, Option<KBox<RequestInputs>>)> {
        check_timed(reservation.queue(), submit)?;
        let seqno = reservation.reserve()?;
        let event = self.reserve_event(submit)?;
        let counts = submit.in_fence_count | submit.use_count | submit.operation_count;
        let mut inputs = None;
        if counts | syncs.wait_count() != 0 {
            inputs = Some(self.collect_inputs(submit, syncs, earlier)?);
        }
        let adds = inputs
            .as_ref()
            .is_some_and(|inputs| inputs.uses.any_adds_fence());
        let (fence, out_fence) = job_fence(reservation.queue(), seqno, submit, syncs, adds)?;
        let mut duration = DurationRange {
            min: submit.duration_ns,
            max: submit.duration_max_ns,
        };
        if duration.min | duration.max == 0 {
            duration.min = reservation.queue().limits().duration;
        }
        let job = TimedRequest {
            duration,
            error: submit.error,
            hang: submit.flags & VFENCE_SUBMIT_HANG != 0,
            event,
            fence,
        };
        let prepared = Prepared {
            job,
            seqno,
            out_fence,
        };
        Ok((prepared, inputs))
    }

    /// Returns whether the job reports an event, for which room is reserved then.
    ///
    /// Fails with `EAGAIN` if the client has too many events, `ENOMEM`.
    #[inline(always)]
    fn reserve_event(&mut self, submit: &vfence_submit) -> Result<bool> {
        let event = submit.flags & VFENCE_SUBMIT_EVENT != 0;
        if event {
            self.events.add()?;
        }
        Ok(event)
    }

    /// Takes references to what a job waits for and uses, and maps the buffers of its operations.
    fn collect_inputs(
        &mut self,
        submit: &vfence_submit,
        syncs: &mut H::Syncobjs,
        earlier: &[H::Syncobjs],
    ) -> Result<KBox<RequestInputs>> {
        let mut in_fences = syncs.take_in_fences(earlier)?;
        if submit.in_fence_count != 0 {
            let (address, count) = (submit.in_fences, submit.in_fence_count);
            in_fences.add_from_user(address, count, &mut self.unwrapped)?;
        }
        let uses = BufferUses::from_user(self.handles, submit, &mut self.uses)?;
        let operations = match OperationList::from_user(
            &self.client.mappings,
            &self.client.device().dma,
            submit,
            &uses,
        )? {
            Some(operations) => Some(JobOperations::new(operations)?),
            None => None,
        };
        let inputs = RequestInputs {
            in_fences,
            uses,
            operations,
        };
        Ok(KBox::new(inputs, GFP_KERNEL_ACCOUNT)?)
    }

    /// Adds to `in_fences` the fences in the reservation objects that the job waits for, and makes
    /// room in them for the job's own fence. The objects are `locked`.
    ///
    /// Fails with `ENOSPC` for too many fences, `ENOMEM`.
    pub(crate) fn join_reservations(
        &mut self,
        locked: &mut LockedBuffers<'_>,
        queue: &QueueRef,
        request: &TimedRequest,
        uses: &BufferUses,
        in_fences: &mut InFences,
    ) -> Result {
        let fence = || request.fence.as_ref().map(NonContainerFence::from);
        locked.prepare(
            queue.context_id(),
            uses,
            in_fences,
            fence,
            &mut self.unwrapped,
        )
    }

    /// Adds the faults that the kernel's fault injection chooses for a job. Must be called when
    /// nothing can refuse the job any more, since the choice counts.
    pub(crate) fn inject_faults(&self, job: &mut QueueTimedJob) {
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

/// Creates the fence of a job, if an out-fence, `syncs` or a reservation object (`adds`) needs one.
/// Also returns the out-fence.
#[inline]
fn job_fence(
    queue: &QueueRef,
    seqno: u64,
    submit: &vfence_submit,
    syncs: &mut impl JobSyncobjs,
    adds: bool,
) -> Result<(JobFence, Option<OutFence>)> {
    let exported = submit.flags & VFENCE_SUBMIT_OUT_FENCE != 0;
    if !exported && !adds && !syncs.needs_fence() {
        return Ok((None, None));
    }
    let fence = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?.init_at(seqno);
    if syncs.needs_fence() {
        syncs.set_fence(NonChainFence::from(&fence));
    }
    let mut out_fence = None;
    if exported {
        out_fence = Some(export(&fence)?);
    }
    Ok((Some(fence), out_fence))
}

/// Creates the fence of job `seqno`, and its out-fence. Fails with `ENOMEM`, `EMFILE`.
#[inline]
pub(crate) fn exported_fence(
    queue: &QueueRef,
    seqno: u64,
) -> Result<(PendingFence<Queue>, OutFence)> {
    let fence = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?.init_at(seqno);
    let out_fence = export(&fence)?;
    Ok((fence, out_fence))
}

#[inline]
fn export(fence: &PendingFence<Queue>) -> Result<OutFence> {
    let fd = descriptor::reserve()?;
    Ok((SyncFile::create(fence.fence())?, fd))
}

/// Refuses, with `EINVAL`, a job that the header does not allow on a manual queue. The job waits
/// for `waits` syncobjs.
fn check_manual(submit: &vfence_submit, waits: u32) -> Result {
    const FLAGS: u32 = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT;

    // All fields that only jobs of other queues may set.
    let counts = submit.in_fence_count | submit.use_count | submit.operation_count | waits;
    let durations = submit.duration_ns | submit.duration_max_ns;
    let others = submit.flags & !FLAGS | submit.pad;
    if durations | u64::from(counts | others) != 0 {
        return Err(not_for_manual(submit, waits));
    }
    must_be_errno!("submit: error", submit.error)
}

/// Returns the error of a job that [`check_manual`] has refused.
#[cold]
#[inline(never)]
fn not_for_manual(submit: &vfence_submit, waits: u32) -> Error {
    let (queue, flags) = (submit.queue, submit.flags);
    if flags & VFENCE_SUBMIT_HANG != 0 {
        return refuse!(
            EINVAL,
            "submit: VFENCE_SUBMIT_HANG on queue {}, which is manual",
            queue
        );
    }
    if let Err(error) = check_reserved(submit) {
        return error;
    }
    let fields = [
        ("duration_ns", submit.duration_ns),
        ("duration_max_ns", submit.duration_max_ns),
        ("in_fence_count", u64::from(submit.in_fence_count)),
        ("use_count", u64::from(submit.use_count)),
        ("operation_count", u64::from(submit.operation_count)),
        ("in_sync_count", u64::from(waits)),
    ];
    let (name, value) = fields
        .into_iter()
        .find(|(_, value)| *value != 0)
        .unwrap_or_default();
    refuse!(
        EINVAL,
        "submit: {} {} on queue {}, which is manual: must be 0",
        name,
        value,
        queue
    )
}

/// Refuses, with `EINVAL`, a job that the header does not allow on `queue`, a timer or worker
/// queue.
fn check_timed(queue: &Queue, submit: &vfence_submit) -> Result {
    const FLAGS: u32 = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT | VFENCE_SUBMIT_HANG;

    let reserved = submit.flags & !FLAGS | submit.pad;
    let (min, max) = (submit.duration_ns, submit.duration_max_ns);
    let watchdog = queue.limits().watchdog;
    let fits = watchdog.is_none_or(|watchdog| min.max(max) <= watchdog);
    let operates = submit.operation_count != 0;
    if reserved != 0
        || !fits
        || (max != 0 && max < min)
        || (operates && queue.kind() != QueueKind::Worker)
    {
        return Err(not_for_timed(queue, submit));
    }
    must_be_errno!("submit: error", submit.error)
}

/// Returns the error of a job that [`check_timed`] has refused.
#[cold]
#[inline(never)]
fn not_for_timed(queue: &Queue, submit: &vfence_submit) -> Error {
    if let Err(error) = check_reserved(submit) {
        return error;
    }
    let (min, max) = (submit.duration_ns, submit.duration_max_ns);
    let watchdog = queue.limits().watchdog.unwrap_or(u64::MAX);
    if min > watchdog {
        refuse!(
            EINVAL,
            "submit: duration_ns {} exceeds the watchdog's {}",
            min,
            watchdog
        )
    } else if max > watchdog {
        refuse!(
            EINVAL,
            "submit: duration_max_ns {} exceeds the watchdog's {}",
            max,
            watchdog
        )
    } else if max != 0 && max < min {
        refuse!(
            EINVAL,
            "submit: duration_max_ns {} is neither 0 nor at least duration_ns, {}",
            max,
            min
        )
    } else {
        let (count, id) = (submit.operation_count, submit.queue);
        refuse!(
            EINVAL,
            "submit: operation_count {} on queue {}, which is not VFENCE_QUEUE_WORKER",
            count,
            id
        )
    }
}

/// Checks the fields that must be 0 on a queue of any kind. Fails with `EINVAL` if one is not.
fn check_reserved(submit: &vfence_submit) -> Result {
    const FLAGS: u32 = VFENCE_SUBMIT_OUT_FENCE | VFENCE_SUBMIT_EVENT | VFENCE_SUBMIT_HANG;

    must_be_zero!("submit: unknown part of flags", submit.flags & !FLAGS)?;
    must_be_zero!("submit: pad", submit.pad)
}
