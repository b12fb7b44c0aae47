// SPDX-License-Identifier: GPL-2.0

//! What all clients share: the workqueue, the faults that are injected everywhere, and who is there.

use crate::{
    kernel_ext::{
        dma_mapping::DmaDevice,
        fault_inject::FaultAttr,
        workqueue::OwnedQueue, //
    },
    vfence::{
        queue::QueueRef,
        sw_sync::timeline::{
            self,
            TimelineRef, //
        },
    },
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// A client's id, and the id of one of its queues.
type Key = (u64, u32);

/// What all clients share.
#[pin_data]
pub(crate) struct Device {
    /// Where the workers of queues work.
    pub(crate) workqueue: OwnedQueue,
    /// Where buffers are given back. What happens there may wait for fences, and so for the other.
    pub(crate) givers: OwnedQueue,
    /// As which buffers are mapped. It also stands for this in the device model.
    pub(crate) dma: Arc<DmaDevice>,
    /// The kernel's fault injection: what is done to jobs of any queue.
    #[pin]
    pub(crate) fail: FaultAttr,
    #[pin]
    pub(crate) hang: FaultAttr,
    #[pin]
    pub(crate) delay: FaultAttr,
    #[pin]
    pub(crate) drop_interrupt: FaultAttr,
    #[pin]
    queues: Mutex<RBTree<Key, Listed>>,
    clients: Atomic<u64>,
}

/// An entry of the list that debugfs shows.
pub(crate) enum Listed {
    Queue(QueueRef),
    Timeline(TimelineRef),
}

/// The memory of an entry of the list.
pub(crate) struct Entry(RBTreeNode<Key, Listed>);

impl Device {
    /// Creates it. Its directory in debugfs is there already.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let attr = |name| FaultAttr::new(name, crate::NAME);
        Arc::pin_init(
            try_pin_init!(Self {
                workqueue: OwnedQueue::new(crate::NAME)?,
                givers: OwnedQueue::new(c"vfence_give_back")?,
                dma: DmaDevice::new(crate::NAME)?,
                fail <- attr(c"fail"),
                hang <- attr(c"hang"),
                delay <- attr(c"delay"),
                drop_interrupt <- attr(c"drop_interrupt"),
                queues <- new_mutex!(RBTree::new()),
                clients: Atomic::new(0),
            }),
            GFP_KERNEL,
        )
    }

    /// Returns the id of a new client, from 1 on.
    pub(crate) fn next_client(&self) -> u64 {
        self.clients.fetch_add(1, Relaxed) + 1
    }

    /// Prepares a queue's place in the list of all. Fails with `ENOMEM`.
    pub(crate) fn entry(&self, client: u64, queue: &QueueRef) -> Result<Entry> {
        Self::new_entry((client, queue.id()), Listed::Queue(queue.clone()))
    }

    /// Prepares an entry for a timeline of sw_sync. Fails with `ENOMEM`.
    pub(crate) fn timeline_entry(&self, client: u64, timeline: &TimelineRef) -> Result<Entry> {
        Self::new_entry((client, timeline::ID), Listed::Timeline(timeline.clone()))
    }

    fn new_entry(key: Key, listed: Listed) -> Result<Entry> {
        Ok(Entry(RBTreeNode::new(key, listed, GFP_KERNEL_ACCOUNT)?))
    }

    /// Puts a queue into the list of all.
    pub(crate) fn show(&self, entry: Entry) {
        self.queues.lock().insert(entry.0);
    }

    /// Takes a queue out of the list of all.
    pub(crate) fn hide(&self, client: u64, queue: u32) {
        let hidden = self.queues.lock().remove_node(&(client, queue));
        drop(hidden);
    }

    /// Calls `f` with each entry of the list, and the id of its client, until it fails. The list is
    /// locked meanwhile.
    pub(crate) fn try_for_each<E>(
        &self,
        mut f: impl FnMut(u64, &Listed) -> Result<(), E>,
    ) -> Result<(), E> {
        self.queues
            .lock()
            .iter()
            .try_for_each(|((client, _), listed)| f(*client, listed))
    }
}
