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
        events::Events,
        limits::Limits,
        listing::{
            List,
            Listing, //
        },
        presence::Presence,
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
    /// All clients, their queues, and the timelines of sw_sync: for debugfs, and to find them when
    /// the device is lost.
    #[pin]
    listed: List<Listed>,
    /// The number of clients there have been.
    clients: Atomic<u64>,
}

/// The queue id in the key of a client itself, below those of its queues.
pub(crate) const CLIENT: u32 = 0;

/// An entry of the list.
#[derive(Clone)]
pub(crate) enum Listed {
    Client(Arc<Events>),
    Queue(QueueRef),
    Timeline(TimelineRef),
}

/// The data that the nodes of a device pass to the clients that open them.
pub(crate) struct NodeData {
    pub(crate) device: Arc<Device>,
    pub(crate) presence: Arc<Presence>,
}

impl NodeData {
    /// Returns the data of new nodes of `device`. Fails with `ENOMEM`.
    pub(crate) fn new(device: Arc<Device>) -> Result<Self> {
        let presence = Presence::new()?;
        Ok(Self { device, presence })
    }
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

    /// Allocates the list entry of `client`. Fails with `ENOMEM`.
    pub(crate) fn new_client_listing(client: u64, events: &Arc<Events>) -> Result<Listing<Listed>> {
        Listing::new((client, CLIENT), Listed::Client(events.clone()))
    }

    /// Adds an entry to the list.
    pub(crate) fn list(&self, listing: Listing<Listed>) {
        self.listed.insert(listing);
    }

    /// Removes the entry of `client` with the queue id `queue`, or [`CLIENT`].
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

    /// Ends the use of the device by the clients whose presence is `presence`: their calls, pending
    /// jobs and jobs to come fail with `error`, and those that wait are woken.
    ///
    /// The queues of clients that have lost the device before have no jobs left.
    // Only a DRM device can be lost.
    #[allow(dead_code)]
    pub(crate) fn lose(&self, presence: &Presence, error: Error) {
        presence.lose(error);
        for (_, listed) in self.listed() {
            match listed {
                Listed::Client(events) => events.notify(),
                Listed::Queue(queue) => queue.lose(error),
                Listed::Timeline(_) => {}
            }
        }
    }

    /// Resets all queues.
    // Only a DRM device does so.
    #[allow(dead_code)]
    pub(crate) fn reset_queues(&self) {
        for (_, listed) in self.listed() {
            if let Listed::Queue(queue) = listed {
                queue.reset();
            }
        }
    }
}
