// SPDX-License-Identifier: GPL-2.0

//! A counter with fences that stand for its values: a manual queue whose jobs are in the order of their values and not in that in
//! which they came.
//!
//! The queue's machine has the jobs, [`Counter`] what has become of the values. Both are under the queue's lock, so that a fence is
//! pending if and only if its value is still to come, but for those that somebody is just completing.

use super::{
    budget::Budget,
    counter::{
        compare,
        Standing, //
    },
    device::Device,
    events::Events,
    faults::Injected,
    limits::Limits,
    machine::{
        self,
        Ended,
        InFencePolicy,
        Job,
        Rules,
        TimeoutPolicy, //
    },
    name::Name,
    queue::{
        Config,
        JobFence,
        Kind,
        Locked,
        Numbers,
        Payload,
        Queue,
        QueueRef, //
    },
};
use crate::{
    kernel_ext::{
        dma_fence::{
            AllocatedFence,
            Fence, //
        },
        timekeeping::ktime_get, //
    },
    trace,
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};

/// The id of a timeline's queue: it is the only one of its file.
const ID: u32 = 1;

/// What all timelines share.
pub(crate) struct Shared {
    device: Arc<Device>,
    // Of these there are none.
    events: Arc<Events>,
    waits: Arc<Budget>,
}

impl Shared {
    /// Creates it. Fails with `ENOMEM`.
    pub(crate) fn new(device: Arc<Device>) -> Result<Self> {
        Ok(Self {
            device,
            events: Events::new()?,
            waits: Budget::new(0)?,
        })
    }

    /// Returns the deadline of a fence of any timeline that is open, in ns on `CLOCK_MONOTONIC`.
    ///
    /// Fails with `ENOENT` if it has none, with `EINVAL` if it is of no such timeline.
    fn deadline(&self, fence: &Fence) -> Result<u64> {
        // Not found is the end of the search.
        let found = self.device.try_for_each(|_, queue| {
            match queue.deadline_of(fence) {
                Err(error) if error == EINVAL => Ok(()),
                deadline if queue.numbers() == Numbers::Values => Err(deadline),
                // A fence of a job.
                _ => Err(Err(EINVAL)),
            }
        });
        match found {
            Ok(()) => Err(EINVAL),
            Err(deadline) => deadline,
        }
    }
}

/// A timeline. Dropping it ends what is pending with `-ENOENT`.
pub(crate) struct Values {
    shared: Arc<Shared>,
    client: u64,
    queue: QueueRef,
}

impl Values {
    /// Creates a timeline whose counter is 0; its fences are pending for `watchdog` ns at most. Fails with `ENOMEM`.
    pub(crate) fn new(shared: Arc<Shared>, name: &[u8], watchdog: Option<u64>) -> Result<Self> {
        let rules = Rules {
            kind: machine::Kind::Manual,
            timeout: watchdog,
            in_fence: InFencePolicy::Propagate,
            after_timeout: TimeoutPolicy::Continue,
            boost: 100,
        };
        let config = Config {
            numbers: Numbers::Values,
            kind: Kind::Manual,
            name: Name::truncated(name),
            rules,
            seed: 0,
        };
        let (waits, events) = (shared.waits.clone(), shared.events.clone());
        let queue = Queue::new(ID, config, Limits::get(), waits, events)?;
        let client = shared.device.next_client();
        let entry = shared.device.entry(client, &queue)?;
        shared.device.show(entry);
        Ok(Self {
            shared,
            client,
            queue,
        })
    }

    /// Creates a fence that signals when the counter reaches `value`. `prepare` makes something of it, before anybody else can have it.
    ///
    /// When a fence of that value is pending already, what is made of that one is returned, so `prepare` may be called
    /// twice. Fails with `ENOSPC` if too many are pending, with `ENOMEM`, and as `prepare` does.
    pub(crate) fn create<R>(
        &self,
        value: u32,
        mut prepare: impl FnMut(&Fence) -> Result<R>,
    ) -> Result<R> {
        let queue = &self.queue;
        let fence = AllocatedFence::new(queue.clone(), GFP_KERNEL_ACCOUNT)?.init_wrapping(value);
        let prepared = prepare(fence.fence())?;
        let mut job = Job {
            duration: (0, 0),
            waits: false,
            in_error: 0,
            error: 0,
            hang: false,
            injected: Injected::default(),
            event: false,
            work: false,
            payload: Payload {
                fence: Some(fence),
                more: None,
            },
        };
        loop {
            match self.place(value, job) {
                Placed::Pending => return Ok(prepared),
                Placed::Over(job, result) => {
                    if let Some(fence) = job.payload.fence {
                        fence.complete(result, ktime_get());
                    }
                    return Ok(prepared);
                }
                Placed::Known(fence) => return prepare(&fence),
                Placed::NoRoom(refused) => {
                    job = refused;
                    queue.grow().map_err(|error| match error {
                        EAGAIN => ENOSPC,
                        error => error,
                    })?;
                }
            }
        }
    }

    /// Makes a job with a fence pending, if there is something to wait for.
    fn place(&self, value: u32, job: Job<Payload>) -> Placed {
        let now = ktime_get();
        let mut locked = self.queue.state.lock();
        let standing = locked.counter.standing(value);
        let idle = locked.jobs.pending() == 0;
        let Some(jobs) = locked.jobs.manual() else {
            return Placed::NoRoom(job);
        };
        let place = match jobs.find(|fence| compare(self::value(fence), value)) {
            Ok(seqno) => match jobs.payload_mut(seqno) {
                Some(Some(fence)) => return Placed::Known(fence.fence().into()),
                _ => return Placed::NoRoom(job),
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
        match jobs.insert(now, place, job) {
            Ok(seqno) => {
                trace::job_submit(self.queue.context_id(), seqno, ID, 0, 0);
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
        /// Values are compared by their difference.
        const MOST: u32 = i32::MAX as u32;

        while step > MOST {
            self.advance_by(MOST);
            step -= MOST;
        }
        self.advance_by(step);
    }

    fn advance_by(&self, step: u32) {
        let mut step = Some(step);
        let next = |locked: &mut Locked, now: u64| {
            if let Some(step) = step.take() {
                locked.counter.advance(step);
            }
            let jobs = locked.jobs.manual()?;
            let reached = locked.counter.standing(value(jobs.first()?)) == Standing::Reached;
            if !reached {
                return None;
            }
            let seqno = jobs.completed() + 1;
            jobs.signal(now, seqno, 0).map(Ended::of_manual)
        };
        Queue::complete(&self.queue, usize::MAX, next);
    }

    /// Returns the deadline of a fence of this or another timeline that is open, in ns on `CLOCK_MONOTONIC`.
    ///
    /// Fails with `ENOENT` if it has none, with `EINVAL` if it is of no such timeline.
    pub(crate) fn deadline(&self, fence: &Fence) -> Result<u64> {
        match self.queue.deadline_of(fence) {
            Err(error) if error == EINVAL => self.shared.deadline(fence),
            deadline => deadline,
        }
    }

    /// Returns how many fences are pending.
    pub(crate) fn pending(&self) -> usize {
        self.queue.pending()
    }
}

impl Drop for Values {
    fn drop(&mut self) {
        self.shared.device.hide(self.client, ID);
        Queue::close(&self.queue);
    }
}

/// What has become of a job that was to be made pending.
enum Placed {
    Pending,
    /// Its value is not to come any more.
    Over(Job<Payload>, Result),
    /// There is this one of the same value.
    Known(ARef<Fence>),
    /// The queue has to grow.
    NoRoom(Job<Payload>),
}

/// Returns the value that a fence stands for.
fn value(fence: &JobFence) -> u32 {
    // CAST: Values have 32 bits.
    fence
        .as_ref()
        .map_or(0, |fence| fence.fence().seqno() as u32)
}
