// SPDX-License-Identifier: GPL-2.0

//! A device, which all its open files share: limits, DMA device, fault injection, list of queues.

use crate::{
    kernel_ext::{
        dma_buf::DmaBuf,
        dma_mapping::{
            Bus,
            DmaDevice, //
        },
        fault_inject::FaultAttr, //
    },
    vfence::{
        buffer::create,
        limits::Limits,
        listing::{
            List,
            Listing, //
        },
        queue::QueueRef,
        settings::Settings,
        shared::Shared,
        sw_sync::timeline::{
            self,
            TimelineRef, //
        },
    },
};
use kernel::{
    prelude::*,
    str::CStr,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// A device, which all its open files share.
#[pin_data]
pub(crate) struct Device {
    /// The resources that all devices of the module share.
    shared: Arc<Shared>,
    #[pin]
    settings: Settings,
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
    /// Creates the device `name` on `bus`. Its debugfs directory must exist. Fails with `EINVAL`,
    /// and logs the reason, if a module parameter is out of range, with `ENOMEM`, and as
    /// registering its DMA device does.
    pub(crate) fn new(shared: Arc<Shared>, bus: Bus, name: &CStr) -> Result<Arc<Self>> {
        Arc::pin_init(
            try_pin_init!(Self {
                shared,
                settings <- Settings::from_parameters(),
                dma: DmaDevice::new(bus, name)?,
                fail <- FaultAttr::new(c"fail", name),
                hang <- FaultAttr::new(c"hang", name),
                delay <- FaultAttr::new(c"delay", name),
                drop_interrupt <- FaultAttr::new(c"drop_interrupt", name),
                listed <- List::new(),
                clients: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the resources that all devices of the module share.
    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Creates a buffer of `size` bytes, as [`create::create`] does.
    pub(crate) fn create_buffer(&self, size: u64) -> Result<ARef<DmaBuf>> {
        create::create(&self.dma, self.limits().max_buffer, size)
    }

    /// Returns the settings.
    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the limits of a queue or buffer that is created now.
    pub(crate) fn limits(&self) -> Limits {
        self.settings.limits()
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
