// SPDX-License-Identifier: GPL-2.0

//! The device, which all its open files share: threads, interrupt budget, backlogs, DMA device,
//! fault injection, list of queues.

use crate::{
    kernel_ext::{
        dma_fence::DomainRef,
        dma_mapping::DmaDevice,
        fault_inject::FaultAttr,
        workqueue::OwnedQueue, //
    },
    vfence::{
        backlog::{
            Backlog,
            BacklogOwner, //
        },
        budget::InterruptBudget,
        listing::{
            List,
            Listing, //
        },
        queue::{
            worker::WorkerThreads,
            QueueRef, //
        },
        sw_sync::timeline::{
            self,
            TimelineRef, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// The device, which all its open files share.
#[pin_data]
pub(crate) struct Device {
    worker_threads: Arc<WorkerThreads>,
    /// The domain of the fences of queues and timelines.
    fences: DomainRef,
    queue_backlog: BacklogOwner<QueueRef>,
    timeline_backlog: BacklogOwner<TimelineRef>,
    /// The device that buffers are mapped for, and that stands for this one in the device model.
    pub(crate) dma: Arc<DmaDevice>,
    /// The attributes of the kernel's fault injection, which apply to the jobs of all queues.
    #[pin]
    pub(crate) fail: FaultAttr,
    #[pin]
    pub(crate) hang: FaultAttr,
    #[pin]
    pub(crate) delay: FaultAttr,
    #[pin]
    pub(crate) drop_interrupt: FaultAttr,
    /// The queues of all clients and the timelines of sw_sync, for debugfs.
    #[pin]
    listed: List<Listed>,
    /// The number of clients there have been.
    clients: Atomic<u64>,
}

/// An entry of the list for debugfs.
#[derive(Clone)]
pub(crate) enum Listed {
    Queue(QueueRef),
    Timeline(TimelineRef),
}

impl Device {
    /// Creates the device. Its debugfs directory must exist. Fails with `ENOMEM`, and as
    /// registering its DMA device does.
    pub(crate) fn new(fences: DomainRef) -> Result<Arc<Self>> {
        let attr = |name| FaultAttr::new(name, crate::NAME);
        let budget = InterruptBudget::new()?;
        let backlogs = Arc::new(OwnedQueue::new(c"vfence_backlog")?, GFP_KERNEL)?;
        Arc::pin_init(
            try_pin_init!(Self {
                worker_threads: WorkerThreads::new(crate::NAME)?,
                fences,
                queue_backlog: BacklogOwner::new(&budget, &backlogs)?,
                timeline_backlog: BacklogOwner::new(&budget, &backlogs)?,
                dma: DmaDevice::new(crate::NAME)?,
                fail <- attr(c"fail"),
                hang <- attr(c"hang"),
                delay <- attr(c"delay"),
                drop_interrupt <- attr(c"drop_interrupt"),
                listed <- List::new(),
                clients: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
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

    /// Returns the id of a new client: 1, 2, 3 …
    pub(crate) fn new_client_id(&self) -> u64 {
        self.clients.fetch_add(1, Relaxed) + 1
    }

    /// Allocates the list entry of a queue of `client`. Fails with `ENOMEM`.
    pub(crate) fn new_queue_listing(
        &self,
        client: u64,
        queue: &QueueRef,
    ) -> Result<Listing<Listed>> {
        Listing::new((client, queue.id()), Listed::Queue(queue.clone()))
    }

    /// Allocates the list entry of the timeline of `client`. Fails with `ENOMEM`.
    pub(crate) fn new_timeline_listing(
        &self,
        client: u64,
        timeline: &TimelineRef,
    ) -> Result<Listing<Listed>> {
        Listing::new((client, timeline::ID), Listed::Timeline(timeline.clone()))
    }

    /// Adds an entry to the list.
    pub(crate) fn list(&self, listing: Listing<Listed>) {
        self.listed.insert(listing);
    }

    /// Removes the entry of `client` with the queue id `queue`.
    pub(crate) fn unlist(&self, client: u64, queue: u32) {
        self.listed.remove((client, queue));
    }

    /// Returns the entries of the list, each with the id of its client. The list may change
    /// meanwhile: see [`List::walk`].
    pub(crate) fn listed(&self) -> impl Iterator<Item = (u64, Listed)> + '_ {
        self.listed
            .walk()
            .map(|((client, _), listed)| (client, listed))
    }
}
