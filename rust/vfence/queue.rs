// SPDX-License-Identifier: GPL-2.0

//! A queue: locks, timer and fences around the state machine.
//!
//! # Locks
//!
//! | lock | held while | order |
//! |---|---|---|
//! | `submitting`, a mutex | a job is prepared and published | outermost |
//! | `signalling` | a job is taken from the machine and its fence signalled, so that fences signal in order | before the locks of fences |
//! | `state` | the machine is asked or told something | after all others; no fence is signalled, no callback removed, nothing allocated under it |
//!
//! The callback of an in-fence runs with that fence's lock held and takes `state`, so the order is
//! `signalling`, locks of fences, `state`.
//!
//! # Who completes what
//!
//! Jobs of a timer queue, and whatever the watchdog ends, complete in the timer's interrupt. Jobs of a
//! manual queue complete in the ioctl. Closing completes what is left in the context of the caller.

use super::{
    in_fences::{
        Budget,
        InFences,
        Waits, //
    },
    limits::Limits,
    machine::{
        Ended,
        Job,
        Kind,
        Machine,
        Slot, //
    },
    name::Name,
};
use crate::{
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            Context,
            DriverFence,
            PendingFence,
            SignallingSection, //
        },
        hrtimer::{
            Expire,
            HrTimer, //
        },
        sync_file::SyncFile,
        timekeeping::ktime_get, //
    },
    uapi::{
        vfence_queue_info,
        vfence_queue_kind_VFENCE_QUEUE_MANUAL as MANUAL,
        vfence_queue_kind_VFENCE_QUEUE_TIMER as TIMER, //
    },
};
use kernel::{
    fs::file::{
        flags::O_CLOEXEC,
        FileDescriptorReservation, //
    },
    prelude::*,
    str::CStr,
    sync::{
        new_mutex,
        new_spinlock_irq,
        Arc,
        Mutex,
        SpinLockIrq, //
    },
};

/// How much one interrupt completes, jobs and what they waited for counted, and how long it then leaves
/// the processor to others at least, in ns.
const BATCH: usize = 128;
const BREATHER: u64 = 20_000;

/// Slots of the ring when a queue gets its first job.
const FIRST_RING: usize = 16;

/// Returns the kind of queue that the header's number stands for.
pub(super) fn kind_from_user(kind: u32) -> Result<Kind> {
    match kind {
        TIMER => Ok(Kind::Timer),
        MANUAL => Ok(Kind::Manual),
        _ => Err(EINVAL),
    }
}

/// What every fence of a queue carries.
struct QueueFence(Name);

impl DriverFence for QueueFence {
    const DRIVER_NAME: &'static CStr = c"vfence";

    fn timeline_name(&self) -> &CStr {
        self.0.as_c_str()
    }
}

/// What the machine keeps with a job.
struct Payload {
    fence: PendingFence<QueueFence>,
    /// Kept until the job ends, which ends the wait.
    waits: Option<Waits>,
}

type Ring = KVVec<Option<Slot<Payload>>>;

/// Returns a ring of empty slots.
fn ring(slots: usize) -> Result<Ring> {
    let mut ring = KVVec::with_capacity(slots, GFP_KERNEL_ACCOUNT)?;
    while ring.len() < slots {
        ring.push(None, GFP_KERNEL_ACCOUNT)?;
    }
    Ok(ring)
}

/// An execution context of a client; the data of its timer.
///
/// Pending jobs may refer to their queue, through what they wait for. The client refers to it too, until
/// [`Queue::close`], called with another reference, has ended all jobs and waited for the timer. So the last
/// reference goes neither with a job nor in the timer's interrupt, where it could not be cancelled.
#[pin_data]
pub(super) struct Queue {
    kind: Kind,
    name: Name,
    context: Context,
    limits: Limits,
    budget: Arc<Budget>,
    /// Whether the queue is closed; locked by who prepares a job.
    #[pin]
    submitting: Mutex<bool>,
    #[pin]
    signalling: SpinLockIrq<()>,
    #[pin]
    state: SpinLockIrq<Machine<Payload, Ring>>,
}

impl Queue {
    /// Creates a queue without jobs. Fails with `ENOMEM`.
    pub(super) fn new(
        kind: Kind,
        name: Name,
        limits: Limits,
        budget: Arc<Budget>,
    ) -> Result<Arc<HrTimer<Self>>> {
        let machine = Machine::new(kind, limits.watchdog, KVVec::new());
        let queue = try_pin_init!(Self {
            kind,
            name,
            context: Context::new(),
            limits,
            budget,
            submitting <- new_mutex!(false),
            signalling <- new_spinlock_irq!(()),
            state <- new_spinlock_irq!(machine),
        }? Error);
        Arc::pin_init(HrTimer::new(queue), GFP_KERNEL_ACCOUNT)
    }

    /// Returns the fences' context.
    pub(super) fn context(&self) -> Context {
        self.context
    }

    /// Returns what its client's jobs may still wait for.
    pub(super) fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Fills in what the header says about a queue.
    pub(super) fn fill(&self, info: &mut vfence_queue_info) {
        info.kind = match self.kind {
            Kind::Timer => TIMER,
            Kind::Manual => MANUAL,
        };
        info.context = self.context.id();
        for (to, from) in info.name.iter_mut().zip(self.name.as_bytes()) {
            *to = *from as c_char;
        }
        // With this lock, what counts as completed has signalled, too.
        let _order = self.signalling.lock();
        let state = self.state.lock();
        info.submitted = state.submitted();
        info.completed = state.completed();
    }

    /// Refuses jobs that the header refuses, with `EINVAL`.
    pub(super) fn check(&self, duration: u64, in_fences: u32) -> Result {
        let allowed = match self.kind {
            Kind::Manual => duration == 0 && in_fences == 0,
            Kind::Timer => self
                .limits
                .watchdog
                .is_none_or(|watchdog| duration <= watchdog),
        };
        if allowed {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Makes room for one more job, and returns its sequence number.
    ///
    /// To be called with `submitting` held.
    fn make_room(&self) -> Result<u64> {
        let (seqno, pending, capacity) = {
            let state = self.state.lock();
            (state.submitted() + 1, state.pending(), state.capacity())
        };
        if pending >= self.limits.max_jobs as usize {
            return Err(EAGAIN);
        }
        if pending == capacity {
            let larger = ring((capacity * 2).max(FIRST_RING))?;
            let old = self.state.lock().grow(larger);
            drop(old);
        }
        Ok(seqno)
    }

    /// Submits a job: prepares everything, tells the caller with `reply`, which gets the sequence
    /// number and the out-fence's descriptor, or -1, and publishes. When anything fails there is no job.
    ///
    /// Fails with `ENOENT` if the queue is closed, `EAGAIN` if it is full, `EMFILE`, `ENOMEM`, or
    /// what `reply` fails with.
    pub(super) fn submit(
        queue: &Arc<HrTimer<Self>>,
        duration: u64,
        in_fences: InFences,
        out_fence: bool,
        reply: impl FnOnce(u64, i32) -> Result,
    ) -> Result {
        let closed = queue.submitting.lock();
        if *closed {
            return Err(ENOENT);
        }
        let seqno = queue.make_room()?;
        let fence = AllocatedFence::new(QueueFence(queue.name), GFP_KERNEL_ACCOUNT)?
            .init(queue.context, seqno);
        let out = if out_fence {
            let fd = FileDescriptorReservation::get_unused_fd_flags(O_CLOEXEC)?;
            Some((SyncFile::create(fence.fence())?, fd))
        } else {
            None
        };
        let error = in_fences.error();
        let mut waits = in_fences.prepare(queue, seqno)?;
        let fd = out.as_ref().map_or(-1, |(_, fd)| fd.reserved_fd() as i32);
        reply(seqno, fd)?;

        // From here on nothing can fail.
        let _section = SignallingSection::begin();
        let gate = waits.as_ref().map(Waits::gate);
        if let Some(waits) = &mut waits {
            waits.arm();
        }
        let job = Job {
            duration,
            waits: waits.is_some(),
            error,
            payload: Payload { fence, waits },
        };
        let refused = {
            let mut state = queue.state.lock();
            let refused = state.submit(ktime_get(), job).err();
            if state.pending() == 1 {
                Self::rearm(queue, &state);
            }
            refused
        };
        // `make_room()` has seen to it that there is none.
        if refused.is_some() {
            return Err(EAGAIN);
        }
        if let Some(gate) = gate {
            gate.pass();
        }
        if let Some((file, fd)) = out {
            file.install(fd);
        }
        Ok(())
    }

    /// Takes note that all in-fences of a job have signalled. May be called in any context.
    pub(super) fn ready(queue: &HrTimer<Self>, seqno: u64, error: i32) {
        let mut state = queue.state.lock();
        if state.ready(ktime_get(), seqno, error) {
            Self::rearm(queue, &state);
        }
    }

    /// Refuses, with `EINVAL`, to signal what the header says cannot be signalled.
    pub(super) fn can_signal(&self, seqno: u64) -> Result {
        if self.kind == Kind::Manual && seqno <= self.state.lock().submitted() {
            Ok(())
        } else {
            Err(EINVAL)
        }
    }

    /// Completes the jobs up to `seqno`, and returns how many that were.
    pub(super) fn signal(self: &HrTimer<Self>, seqno: u64, error: i32) -> u32 {
        let (completed, _) =
            self.complete(usize::MAX, |machine, now| machine.signal(now, seqno, error));
        Self::rearm(self, &self.state.lock());
        completed
    }

    /// Refuses jobs from now on, and completes those that are pending with `-ECANCELED`.
    pub(super) fn close(self: &HrTimer<Self>) {
        *self.submitting.lock() = true;
        self.complete(usize::MAX, |machine, now| machine.advance(now));
        self.complete(usize::MAX, |machine, now| machine.cancel(now));
        // Nothing is pending, so nobody starts it again.
        self.cancel();
    }

    /// Starts the timer for what comes next, or stops it if that is nothing.
    fn rearm(timer: &HrTimer<Self>, state: &Machine<Payload, Ring>) {
        match state.next_event() {
            Some(time) => timer.start(time),
            None => timer.try_to_cancel(),
        }
    }

    /// Takes jobs that have ended from the machine with `next`, and signals their fences, until there are no
    /// more or about `most` has been done. Returns how many jobs have ended, and whether that is all.
    fn complete(
        &self,
        most: usize,
        mut next: impl FnMut(&mut Machine<Payload, Ring>, u64) -> Option<Ended<Payload>>,
    ) -> (u32, bool) {
        let _section = SignallingSection::begin();
        let mut completed = 0;
        let mut done = 0;
        while done < most {
            let order = self.signalling.lock();
            let ended = next(&mut self.state.lock(), ktime_get());
            let Some(ended) = ended else {
                return (completed, true);
            };
            let Payload { fence, waits } = ended.payload;
            let result = match ended.error {
                0 => Ok(()),
                errno => Err(Error::from_errno(errno)),
            };
            let fence = fence.complete(result, ended.timestamp);
            drop(order);
            completed += 1;
            done += 1 + waits.as_ref().map_or(0, Waits::len);
            // Removing callbacks takes the locks of in-fences, which others hold while they wait for `state`. The
            // reference to the queue that goes with them is not the last one: see `Queue`.
            drop((fence, waits));
        }
        (completed, false)
    }
}

impl Expire for Queue {
    fn expire(timer: &HrTimer<Self>) {
        let begun = ktime_get();
        let (_, all) = timer.complete(BATCH, |machine, now| machine.advance(now));
        let state = timer.state.lock();
        if all {
            Self::rearm(timer, &state);
        } else {
            // Half of the time for everybody else.
            let now = ktime_get();
            timer.start(now + (now - begun).max(BREATHER));
        }
    }
}

#[kernel::macros::kunit_tests(vfence_queue)]
mod tests {
    use super::*;
    use crate::vfence::machine;

    #[test]
    fn machine_has_the_right_errnos() {
        assert_eq!(machine::CANCELED, ECANCELED.to_errno());
        assert_eq!(machine::TIMED_OUT, ETIMEDOUT.to_errno());
    }

    #[test]
    fn name_that_is_empty_is_made_of_the_id() -> Result {
        let name = Name::from_user(&[0; Name::LEN], 42)?;
        assert_eq!(name.as_c_str(), c"queue42");
        Ok(())
    }

    #[test]
    fn name_must_end() {
        assert!(Name::from_user(&[b'x'; Name::LEN], 1).is_err());
    }

    #[test]
    fn what_is_behind_the_name_is_forgotten() -> Result {
        let mut bytes = [b'x'; Name::LEN];
        bytes[2] = 0;
        let name = Name::from_user(&bytes, 1)?;
        assert_eq!(name.as_c_str(), c"xx");
        assert!(name.as_bytes()[2..].iter().all(|byte| *byte == 0));
        Ok(())
    }
}
