// SPDX-License-Identifier: GPL-2.0

//! The resources that all devices of a module share: their bounds hold over all devices.

use crate::{
    kernel_ext::{
        dma_fence::DomainRef,
        workqueue::OwnedQueue, //
    },
    vfence::{
        backlog::{
            Backlog,
            BacklogOwner, //
        },
        budget::InterruptBudget,
        queue::{
            worker::WorkerThreads,
            QueueRef, //
        },
        sw_sync::timeline::TimelineRef, //
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// The resources that all devices of a module share.
pub(crate) struct Shared {
    worker_threads: Arc<WorkerThreads>,
    /// The domain of the fences of queues and timelines.
    fences: DomainRef,
    queue_backlog: BacklogOwner<QueueRef>,
    timeline_backlog: BacklogOwner<TimelineRef>,
}

impl Shared {
    /// Creates the threads, the interrupt budget and the backlogs. Fails with `ENOMEM`.
    pub(crate) fn new(fences: DomainRef) -> Result<Arc<Self>> {
        let budget = InterruptBudget::new()?;
        let backlogs = Arc::new(OwnedQueue::new(c"vfence_backlog")?, GFP_KERNEL)?;
        let shared = Self {
            worker_threads: WorkerThreads::new(crate::NAME)?,
            fences,
            queue_backlog: BacklogOwner::new(&budget, &backlogs)?,
            timeline_backlog: BacklogOwner::new(&budget, &backlogs)?,
        };
        Ok(Arc::new(shared, GFP_KERNEL)?)
    }

    /// Returns the threads of the workers.
    pub(crate) fn worker_threads(&self) -> &Arc<WorkerThreads> {
        &self.worker_threads
    }

    /// Returns the domain of the module's fences.
    pub(crate) fn fences(&self) -> &DomainRef {
        &self.fences
    }

    /// Returns the backlog of the queues.
    pub(crate) fn queue_backlog(&self) -> &Arc<Backlog<QueueRef>> {
        self.queue_backlog.backlog()
    }

    /// Returns the backlog of the timelines of sw_sync.
    pub(crate) fn timeline_backlog(&self) -> &Arc<Backlog<TimelineRef>> {
        self.timeline_backlog.backlog()
    }
}
