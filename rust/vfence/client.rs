// SPDX-License-Identifier: GPL-2.0

//! An open file of the device: the queues that it owns, by their ids.

use crate::{
    kernel_ext::dma_fence::Context,
    uapi::VFENCE_MAX_WAITS,
    vfence::{
        buffer::map::MappingTable,
        device::Device,
        events::Events,
        job::quota::Budget,
        limits::Limits,
        queue::{
            Config,
            Queue,
            QueueRef, //
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
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// An open file of the device.
#[pin_data]
pub(crate) struct Client {
    id: u64,
    device: Arc<Device>,
    /// Held while jobs are prepared and published, so that sequence numbers are known before. With it goes the queue that was last
    /// submitted to, if it is still there.
    #[pin]
    pub(crate) submitting: Mutex<Option<QueueRef>>,
    /// The queue whose next job was signalled last, if it is still there. Held while one is, and while it is looked up: for nothing that
    /// others do who may wait for a fence.
    #[pin]
    pub(crate) last_signalled: Mutex<Option<QueueRef>>,
    #[pin]
    queues: Mutex<Queues>,
    /// For fences that jobs wait for. They may be anybody's, and who signals one has to call all that wait for it.
    waits: Arc<Budget>,
    /// The buffers that operations need.
    pub(crate) mappings: Arc<MappingTable>,
    pub(crate) events: Arc<Events>,
}

struct Queues {
    by_id: RBTree<u32, QueueRef>,
    /// How many there are.
    count: u32,
    /// The id that was given out last.
    last_id: u32,
}

impl Client {
    pub(crate) fn new(device: Arc<Device>) -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            id: device.next_client(),
            device,
            submitting <- new_mutex!(None),
            last_signalled <- new_mutex!(None),
            queues <- new_mutex!(Queues {
                by_id: RBTree::new(),
                count: 0,
                last_id: 0,
            }),
            waits: Budget::new(VFENCE_MAX_WAITS)?,
            mappings: MappingTable::new()?,
            events: Events::new()?,
        })
    }

    /// Returns what all clients share.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the queue of that id. Fails with `ENOENT`.
    pub(crate) fn queue(&self, id: u32) -> Result<QueueRef> {
        self.queues.lock().by_id.get(&id).cloned().ok_or(ENOENT)
    }

    /// As [`Client::queue`], but remembers it in `last`, which goes with the client's `submitting` or `last_signalled`.
    #[inline(always)]
    pub(crate) fn queue_from<'a>(
        &self,
        last: &'a mut Option<QueueRef>,
        id: u32,
    ) -> Result<&'a QueueRef> {
        if last.as_ref().is_none_or(|queue| queue.id() != id) {
            *last = Some(self.queue(id)?);
        }
        last.as_ref().ok_or(ENOENT)
    }

    /// Calls `f` for each queue.
    pub(crate) fn for_each(&self, mut f: impl FnMut(&Queue)) {
        for queue in self.queues.lock().by_id.values() {
            f(queue);
        }
    }

    /// Returns whether there is a queue that has room for a job.
    pub(crate) fn has_room(&self) -> bool {
        self.queues
            .lock()
            .by_id
            .values()
            .any(|queue| queue.has_room())
    }

    /// Creates a queue; `config` says how, given its id; `reply` tells the caller about it, and when that fails there
    /// is none.
    ///
    /// Fails with `ENOSPC` at the limit, `ENOMEM`, and as `config` and `reply` do.
    pub(crate) fn create(
        &self,
        limits: Limits,
        config: impl FnOnce(u32) -> Result<Config>,
        reply: impl FnOnce(&Queue) -> Result,
    ) -> Result {
        let id = {
            let mut queues = self.queues.lock();
            if queues.count >= limits.max_queues {
                return Err(ENOSPC);
            }
            queues.last_id = queues.last_id.checked_add(1).ok_or(ENOSPC)?;
            queues.last_id
        };
        let queue = Queue::new(
            id,
            Context::new().into(),
            config(id)?,
            limits,
            self.waits.clone(),
            self.events.clone(),
        )?;
        let node = RBTreeNode::new(id, queue.clone(), GFP_KERNEL_ACCOUNT)?;
        let entry = self.device.entry(self.id, &queue)?;
        reply(&queue)?;
        {
            let mut queues = self.queues.lock();
            // Another thread may have taken the last place in the meantime.
            if queues.count >= limits.max_queues {
                return Err(ENOSPC);
            }
            // Nothing can fail any more, so somebody will close it.
            Queue::employ_worker(&queue, &self.device);
            queues.count += 1;
            queues.by_id.insert(node);
            self.device.show(entry);
        }
        // There is a queue with room now.
        self.events.pollers.notify_all();
        Ok(())
    }

    /// Ends a queue and what it has pending. Fails with `ENOENT`.
    pub(crate) fn destroy(&self, id: u32) -> Result {
        let queue = {
            // Whoever submits to it has found it before.
            let mut last = self.submitting.lock();
            let mut queues = self.queues.lock();
            let queue = queues.by_id.remove(&id).ok_or(ENOENT)?;
            queues.count -= 1;
            last.take_if(|last| last.id() == id);
            self.device.hide(self.id, id);
            queue
        };
        self.last_signalled.lock().take_if(|last| last.id() == id);
        Queue::close(&queue);
        Ok(())
    }

    /// Ends all queues: the file was closed for the last time.
    pub(crate) fn end(&self) {
        for queue in self.queues.lock().by_id.values() {
            self.device.hide(self.id, queue.id());
            Queue::close(queue);
        }
    }
}
