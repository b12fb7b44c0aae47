// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Queues that behave in a way of their own.

use crate::job::for_kernel;
use crate::queue::{name_for_kernel, ManualQueue, Queue, TimerQueue};
use crate::uapi::vfence as uapi;
use crate::Device;
use std::io;
use std::time::Duration;

/// What an in-fence that fails does to a job.
///
/// Source: `enum vfence_in_fence_policy`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum InFencePolicy {
    /// The job does not run, and completes with the error of the in-fence.
    #[default]
    Propagate,
    /// Nothing: the job runs.
    Ignore,
    /// As [`InFencePolicy::Propagate`], and the queue is stopped: all jobs complete with `ECANCELED` until
    /// [`Queue::reset`].
    Cancel,
}

/// What a job that timed out does to those behind it.
///
/// Source: `enum vfence_timeout_policy`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TimeoutPolicy {
    /// The queue is reset by itself, and they run.
    #[default]
    Continue,
    /// The queue is stopped: all jobs complete with `ECANCELED` until [`Queue::reset`].
    Cancel,
}

/// A queue that is not created yet; see [`Device::build_queue`].
///
/// Source: `struct vfence_queue_create`.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it is told to create a queue"]
pub struct QueueBuilder<'d> {
    device: &'d Device,
    name: String,
    timeout: Duration,
    create: uapi::QueueCreate,
}

impl<'d> QueueBuilder<'d> {
    pub(crate) fn new(device: &'d Device, name: &str) -> Self {
        Self {
            device,
            name: name.into(),
            timeout: Duration::ZERO,
            create: uapi::QueueCreate::default(),
        }
    }

    /// Bounds the time that a job takes, counted like the watchdog's, and at most as long; zero stands for that.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Says what random durations are drawn from; see [`Job::up_to`](crate::Job::up_to).
    pub fn seed(mut self, seed: u64) -> Self {
        self.create.seed = seed;
        self
    }

    /// Says what an in-fence that fails does to a job. A manual queue is refused but for the default.
    pub fn in_fence_policy(mut self, policy: InFencePolicy) -> Self {
        self.create.in_fence_policy = match policy {
            InFencePolicy::Propagate => uapi::IN_FENCE_PROPAGATE,
            InFencePolicy::Ignore => uapi::IN_FENCE_IGNORE,
            InFencePolicy::Cancel => uapi::IN_FENCE_CANCEL,
        };
        self
    }

    /// Says what a job that timed out does to those behind it.
    pub fn timeout_policy(mut self, policy: TimeoutPolicy) -> Self {
        self.create.timeout_policy = match policy {
            TimeoutPolicy::Continue => uapi::TIMEOUT_CONTINUE,
            TimeoutPolicy::Cancel => uapi::TIMEOUT_CANCEL,
        };
        self
    }

    /// Says how fast the engine may run to meet a deadline, in percent of its usual speed, 100 to
    /// [`uapi::MAX_BOOST_PERCENT`]. A manual queue is refused.
    pub fn boost_percent(mut self, percent: u32) -> Self {
        self.create.boost_percent = percent;
        self
    }

    /// Creates the queue, as [`Device::timer_queue`] does.
    ///
    /// Fails as that, and with `EINVAL` for what the methods say is refused.
    pub fn timer(self) -> io::Result<TimerQueue<'d>> {
        self.create(uapi::QUEUE_TIMER).map(TimerQueue::new)
    }

    /// Creates the queue, as [`Device::worker_queue`] does. Fails as [`QueueBuilder::timer`] does.
    pub fn worker(self) -> io::Result<TimerQueue<'d>> {
        self.create(uapi::QUEUE_WORKER).map(TimerQueue::new)
    }

    /// Creates the queue, as [`Device::manual_queue`] does. Fails as [`QueueBuilder::timer`] does.
    pub fn manual(self) -> io::Result<ManualQueue<'d>> {
        self.create(uapi::QUEUE_MANUAL).map(ManualQueue::new)
    }

    fn create(self, kind: u32) -> io::Result<Queue<'d>> {
        let create = uapi::QueueCreate {
            kind,
            name: name_for_kernel(&self.name)?,
            timeout_ns: for_kernel(self.timeout)?,
            ..self.create
        };
        Queue::create(self.device, create)
    }
}
