// SPDX-License-Identifier: GPL-2.0

//! The properties of a new queue.

use crate::{
    uapi::{
        vfence_queue_kind_VFENCE_QUEUE_MANUAL as MANUAL,
        vfence_queue_kind_VFENCE_QUEUE_TIMER as TIMER,
        vfence_queue_kind_VFENCE_QUEUE_WORKER as WORKER, //
    },
    vfence::{
        queue::{
            name::QueueName,
            trace_owner::TraceOwner, //
        },
        refusal::refuse,
        sched::types::{
            QueuePolicy,
            SchedulerKind, //
        },
    },
};
use kernel::prelude::*;

/// The kind of a queue: its jobs complete by a timer, in a worker, or when user space signals them.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueueKind {
    Timer,
    Worker,
    Manual,
}

impl QueueKind {
    /// Returns the kind that `kind`, of the header, stands for. Fails with `EINVAL`.
    pub(crate) fn from_user(kind: u32) -> Result<Self> {
        match kind {
            TIMER => Ok(Self::Timer),
            WORKER => Ok(Self::Worker),
            MANUAL => Ok(Self::Manual),
            _ => Err(refuse!(EINVAL, "queue_create: kind {} is unknown", kind)),
        }
    }

    /// Returns the header's number.
    pub(crate) fn to_user(self) -> u32 {
        match self {
            Self::Timer => TIMER,
            Self::Worker => WORKER,
            Self::Manual => MANUAL,
        }
    }

    /// Returns the kind of scheduler that the queue has.
    pub(crate) fn scheduler_kind(self) -> SchedulerKind {
        match self {
            Self::Timer | Self::Worker => SchedulerKind::Timed,
            Self::Manual => SchedulerKind::Manual,
        }
    }
}

/// The properties of a new queue.
pub(crate) struct QueueConfig {
    pub(crate) kind: QueueKind,
    pub(crate) name: QueueName,
    pub(crate) owner: TraceOwner,
    pub(crate) policy: QueuePolicy,
    /// Random durations are drawn from it.
    pub(crate) seed: u64,
}
