// SPDX-License-Identifier: GPL-2.0

//! A counter with fences that stand for its values: a manual queue whose jobs are in the order of their values and not in that in
//! which they came.
//!
//! The queue's machine has the jobs, [`Counter`] what has become of the values. Both are under the queue's lock, so that a fence that
//! somebody has is pending if its value is still to come and was not given up, and else has signalled or is just about to: who pops
//! it from the machine signals it with that lock held since before.
//!
//! [`Counter`]: super::counter::Counter

use crate::{
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            ContextAllocator,
            Fence, //
        },
        timekeeping::ktime_get, //
    },
    trace,
    vfence::{
        device::Device,
        events::Events,
        job::quota::Budget,
        limits::Limits,
        queue::{
            complete::Target,
            name::Name,
            value,
            Config,
            JobFence,
            Locked,
            ManualJob,
            Numbers,
            Queue,
            QueueKind,
            QueueRef, //
        },
        sched::types::{
            CompletedJob,
            InFencePolicy,
            QueuePolicy,
            TimeoutPolicy, //
        },
        sw_sync::counter::Standing, //
    },
};
use core::{
    num::NonZeroU32,
    ops::Deref, //
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
            Atomic,
            Release, //
        },
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// The id of a timeline's queue: it is the only one of its file.
const ID: u32 = 1;

/// The number of contexts that are allocated at a time. Contexts are part of names, so few unused ones
/// keep the names short.
const CONTEXT_CHUNK: NonZeroU32 = NonZeroU32::new(1024).unwrap();

/// How many fences that nobody has any more are looked for at a time.
const SWEEP: usize = 16;

/// What all timelines share.
#[pin_data]
pub(crate) struct Shared {
    /// Whether the module is there to stay: until then it might go although somebody has opened its device.
    live: Atomic<bool>,
    device: Arc<Device>,
    #[pin]
    contexts: ContextAllocator<Queue>,
    // Of these there are none.
    events: Arc<Events>,
    waits: Arc<Budget>,
}

impl Shared {
    /// Creates it. Fails with `ENOMEM`.
    pub(crate) fn new(device: Arc<Device>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            live: Atomic::new(false),
            device,
            contexts <- ContextAllocator::new(CONTEXT_CHUNK),
            events: Events::new()?,
            waits: Budget::new(0)?,
        })
    }

    /// Lets timelines be created; to be called when the module cannot fail to load any more.
    pub(crate) fn go_live(&self) {
        self.live.store(true, Release);
    }
}

/// A timeline. Dropping it ends what is pending with `-ENOENT`.
#[pin_data]
pub(crate) struct Values {
    queue: Open,
    /// Held while the counter is advanced, until all that it has reached has signalled: values are compared by their distance.
    #[pin]
    advancing: Mutex<()>,
}

impl Values {
    /// Creates a timeline whose counter is 0; its fences are pending for `watchdog` ns at most. Fails with `ENOMEM`.
    pub(crate) fn new(
        shared: Arc<Shared>,
        name: &[u8],
        watchdog: Option<u64>,
    ) -> impl PinInit<Self, Error> {
        let queue = Self::open(shared, name, watchdog);
        try_pin_init!(Self {
            queue: queue?,
            advancing <- new_mutex!(()),
        })
    }

    /// Creates the queue of a timeline.
    fn open(shared: Arc<Shared>, name: &[u8], watchdog: Option<u64>) -> Result<Open> {
        if !shared.live.load(Acquire) {
            return Err(ENODEV);
        }
        let rules = QueuePolicy {
            timeout: watchdog,
            on_in_fence_error: InFencePolicy::Propagate,
            on_timeout: TimeoutPolicy::Continue,
            boost_percent: 100,
        };
        let config = Config {
            numbers: Numbers::Values,
            kind: QueueKind::Manual,
            name: Name::truncated(name),
            rules,
            seed: 0,
        };
        let (waits, events) = (shared.waits.clone(), shared.events.clone());
        let context = shared.contexts.alloc()?;
        let queue = Queue::new(ID, context, config, Limits::get(), waits, events)?;
        let client = shared.device.next_client();
        let entry = shared.device.entry(client, &queue)?;
        shared.device.show(entry);
        Ok(Open {
            shared,
            client,
            queue,
        })
    }

    /// Creates a fence that signals when the counter reaches `value`. `prepare` makes something of it, before anybody else can have it.
    ///
    /// When a fence of that value is pending already, and somebody has it, what is made of that one is returned, so `prepare` may be
    /// called twice. Fails with `ENOSPC` if too many are pending, with `ENOMEM`, and as `prepare` does.
    pub(crate) fn create<R>(
        &self,
        value: u32,
        mut prepare: impl FnMut(&Fence) -> Result<R>,
    ) -> Result<R> {
        let queue = &self.queue;
        let fence =
            AllocatedFence::new(QueueRef::clone(queue), GFP_KERNEL_ACCOUNT)?.init_wrapping(value);
        let prepared = prepare(fence.fence())?;
        let mut job = ManualJob {
            error: 0,
            event: false,
            fence: Some(fence),
        };
        loop {
            match self.place(value, job) {
                Placed::Pending => return Ok(prepared),
                Placed::Over(job, result) => {
                    if let Some(fence) = job.fence {
                        queue.complete_late(fence, result);
                    }
                    return Ok(prepared);
                }
                Placed::Known(fence) => return prepare(&fence),
                // Nobody sees that it signals.
                Placed::Renewed(_gone) => return Ok(prepared),
                Placed::NoRoom(refused) => {
                    job = refused;
                    if queue.pending() >= queue.limits().max_jobs as usize {
                        if !self.sweep() {
                            return Err(ENOSPC);
                        }
                        continue;
                    }
                    match queue.grow() {
                        // Somebody else has made room.
                        Err(error) if error == EAGAIN => {}
                        result => result?,
                    }
                }
            }
        }
    }

    /// Forgets some fences that nobody has any more. Returns whether there were any.
    fn sweep(&self) -> bool {
        let mut gone: [JobFence; SWEEP] = [const { None }; SWEEP];
        let mut places = gone.iter_mut();
        {
            let mut locked = self.queue.state.lock();
            let Some(jobs) = locked.jobs.manual_mut() else {
                return false;
            };
            jobs.sweep(SWEEP, is_gone, |fence| {
                if let Some(place) = places.next() {
                    *place = fence;
                }
            });
            self.queue.show_submitted(jobs.submitted());
        }
        gone.iter().any(Option::is_some)
    }

    /// Makes a job with a fence pending, if there is something to wait for.
    fn place(&self, value: u32, job: ManualJob) -> Placed {
        let mut locked = self.queue.state.lock();
        let now = ktime_get();
        let counter = locked.counter;
        let standing = counter.standing(value);
        let idle = locked.jobs.pending() == 0;
        let Some(jobs) = locked.jobs.manual_mut() else {
            return Placed::NoRoom(job);
        };
        let place = match jobs.find(|fence| counter.compare(self::value(fence), value)) {
            Ok(seqno) => match jobs.fence_mut(seqno) {
                Some(Some(fence)) if fence.is_shared() => {
                    return Placed::Known(fence.fence().into());
                }
                _ => {
                    let gone = jobs.renew(now, seqno, job.fence, is_gone);
                    return Placed::Renewed(gone.flatten());
                }
            },
            Err(place) => place,
        };
        // With earlier ones that are pending, somebody is just completing those, and this one then.
        if standing != Standing::Later && place <= jobs.completed() + 1 {
            let result = match standing {
                Standing::GivenUp => Err(ETIMEDOUT),
                _ => Ok(()),
            };
            return Placed::Over(job, result);
        }
        let most = self.queue.limits().max_jobs as usize;
        if jobs.pending() >= most {
            return Placed::NoRoom(job);
        }
        match jobs.insert(now, place, job, is_gone) {
            Ok(_) => {
                trace::job_submit(|| (self.queue.context_id(), u64::from(value), ID, 0, 0));
                self.queue.show_submitted(jobs.submitted());
                if idle {
                    Queue::rearm(&self.queue, &mut locked);
                }
                Placed::Pending
            }
            Err(job) => Placed::NoRoom(job),
        }
    }

    /// Adds `step` to the counter, and signals what it has reached.
    pub(crate) fn advance(&self, mut step: u32) {
        const MOST: u32 = i32::MAX as u32;

        let _advancing = self.advancing.lock();
        while step > MOST {
            self.advance_by(MOST);
            step -= MOST;
        }
        self.advance_by(step);
    }

    fn advance_by(&self, step: u32) {
        self.queue.state.lock().counter.advance(step);
        let (_, rest) = self.queue.complete_runs(Target::Reached, 0);
        if !rest {
            return;
        }
        // What is left has timed out, as an interrupt is about to say.
        let next = |locked: &mut Locked, now: u64| {
            let counter = locked.counter;
            let jobs = locked.jobs.manual_mut()?;
            if !counter.reached(value(jobs.first()?)) {
                return None;
            }
            let seqno = jobs.completed() + 1;
            jobs.signal(now, seqno, 0).map(CompletedJob::from_manual)
        };
        Queue::complete(&self.queue, usize::MAX, next);
    }

    /// Returns the deadline of a fence of this or another timeline, in ns on `CLOCK_MONOTONIC`.
    ///
    /// Fails with `ENOENT` if it has none, with `EINVAL` if it is of no such timeline.
    pub(crate) fn deadline(&self, fence: &Fence) -> Result<i64> {
        let contexts = &self.queue.shared.contexts;
        let deadline = contexts.data_of(fence).ok_or(EINVAL)?;
        deadline.signed().ok_or(ENOENT)
    }

    /// Returns how many fences are pending.
    pub(crate) fn pending(&self) -> usize {
        self.queue.pending()
    }
}

/// The queue of a timeline, shown among all others. Dropping it closes it.
struct Open {
    shared: Arc<Shared>,
    client: u64,
    queue: QueueRef,
}

impl Deref for Open {
    type Target = QueueRef;

    fn deref(&self) -> &QueueRef {
        &self.queue
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.device.hide(self.client, ID);
        Queue::close(&self.queue);
    }
}

/// What has become of a job that was to be made pending.
enum Placed {
    Pending,
    /// Its value is not to come any more.
    Over(ManualJob, Result),
    /// There is this one of the same value.
    Known(ARef<Fence>),
    /// There was this one of the same value, which nobody had any more.
    Renewed(JobFence),
    /// The queue has to grow.
    NoRoom(ManualJob),
}

/// Returns whether a fence is one that nobody has any more.
fn is_gone(fence: &JobFence) -> bool {
    !fence.as_ref().is_some_and(|fence| fence.is_shared())
}
