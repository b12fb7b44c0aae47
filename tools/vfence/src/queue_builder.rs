// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Settings of a queue.

use crate::job::for_kernel;
use crate::queue::{name_for_kernel, ManualQueue, Queue, TimerQueue};
use crate::uapi::vfence as uapi;
use crate::Device;
use std::io;
use std::time::Duration;

/// The effect of an in-fence's error on the job.
///
/// Source: `enum vfence_in_fence_policy`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum InFencePolicy {
    /// The job does not run, and completes with the error of the in-fence.
    #[default]
    Propagate,
    /// The job runs.
    Ignore,
    /// Like [`InFencePolicy::Propagate`], and the queue stops: all jobs complete with `ECANCELED`
    /// until [`Queue::reset`].
    Cancel,
}

/// The effect of a job's timeout on the jobs behind it.
///
/// Source: `enum vfence_timeout_policy`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum TimeoutPolicy {
    /// The device resets the queue, and the jobs run.
    #[default]
    Continue,
    /// The queue stops: all jobs complete with `ECANCELED` until [`Queue::reset`].
    Cancel,
}

/// The settings of a queue before its creation; see [`Device::build_queue`].
///
/// Source: `struct vfence_queue_create`.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it creates a queue"]
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

    /// Sets the bound on the time of a job, which applies like the watchdog's and is at most as
    /// long. Zero is the watchdog's bound.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the seed of random durations; see [`Job::up_to`](crate::Job::up_to).
    pub fn seed(mut self, seed: u64) -> Self {
        self.create.seed = seed;
        self
    }

    /// Sets the effect of an in-fence's error. A manual queue takes only the default.
    pub fn in_fence_policy(mut self, policy: InFencePolicy) -> Self {
        self.create.in_fence_policy = match policy {
            InFencePolicy::Propagate => uapi::IN_FENCE_PROPAGATE,
            InFencePolicy::Ignore => uapi::IN_FENCE_IGNORE,
            InFencePolicy::Cancel => uapi::IN_FENCE_CANCEL,
        };
        self
    }

    /// Sets the effect of a job's timeout.
    pub fn timeout_policy(mut self, policy: TimeoutPolicy) -> Self {
        self.create.timeout_policy = match policy {
            TimeoutPolicy::Continue => uapi::TIMEOUT_CONTINUE,
            TimeoutPolicy::Cancel => uapi::TIMEOUT_CANCEL,
        };
        self
    }

    /// Sets the largest speed of the engine for meeting deadlines, in percent of its normal speed,
    /// from 100 to [`uapi::MAX_BOOST_PERCENT`]. A manual queue refuses it.
    pub fn boost_percent(mut self, percent: u32) -> Self {
        self.create.boost_percent = percent;
        self
    }

    /// Creates the queue like [`Device::timer_queue`].
    ///
    /// Fails like that method, and with `EINVAL` for settings that the queue refuses.
    pub fn timer(self) -> io::Result<TimerQueue<'d>> {
        self.create(uapi::QUEUE_TIMER).map(TimerQueue::new)
    }

    /// Creates the queue like [`Device::worker_queue`]. Fails like [`QueueBuilder::timer`].
    pub fn worker(self) -> io::Result<TimerQueue<'d>> {
        self.create(uapi::QUEUE_WORKER).map(TimerQueue::new)
    }

    /// Creates the queue like [`Device::manual_queue`]. Fails like [`QueueBuilder::timer`].
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
