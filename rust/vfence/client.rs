// SPDX-License-Identifier: GPL-2.0

//! A client: one open file of the device, and the queues that it owns.

use crate::{
    kernel_ext::{
        dma_fence::Context,
        mutex::LockKillable, //
    },
    uapi::VFENCE_MAX_WAITS,
    vfence::{
        buffer::map::MappingTable,
        device::{
            self,
            Device,
            NodeData, //
        },
        engines::Engines,
        events::Events,
        job::quota::Quota,
        limits::Limits,
        queue::{
            config::{
                QueueConfig,
                QueueKind, //
            },
            trace_owner::TraceOwner,
            Queue,
            QueueRef, //
        },
        refusal::refuse, //
    },
};
use kernel::{
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    str::CStr,
    sync::{
        new_mutex,
        Arc,
        Mutex, //
    },
};

/// An open file of the device.
#[pin_data]
pub(crate) struct Client {
    /// Shown in debugfs and in events; on a DRM node also as `drm-client-id` in fdinfo.
    id: u64,
    device: Arc<Device>,
    /// The queue of the last submission, unless it was destroyed. Held while jobs are prepared and
    /// published, which keeps the seqnos that are reserved for them. User memory is accessed with
    /// the lock held, so it must be taken killably.
    #[pin]
    pub(crate) last_submitted: Mutex<Option<QueueRef>>,
    /// The queue of the last `VFENCE_IOCTL_SIGNAL_NEXT`, unless it was destroyed. Nothing that may
    /// wait for a fence runs with the lock held.
    #[pin]
    pub(crate) last_signalled: Mutex<Option<QueueRef>>,
    #[pin]
    queues: Mutex<Queues>,
    /// Pending in-fences of all jobs. A bound, since the task that signals a fence runs all its
    /// callbacks.
    pub(crate) in_fence_quota: Arc<Quota>,
    /// The buffers that operations of pending jobs have mapped.
    pub(crate) mappings: Arc<MappingTable>,
    pub(crate) events: Arc<Events>,
}

/// The queues of a client.
struct Queues {
    by_id: RBTree<u32, QueueRef>,
    count: u32,
    engines: Engines,
    /// The id of the queue created last.
    last_id: u32,
}

impl Client {
    /// Creates a client without queues. Fails with `ENOMEM`.
    pub(crate) fn new(id: u64, node: &NodeData) -> impl PinInit<Self, Error> + '_ {
        try_pin_init!(Self {
            id,
            device: node.device.clone(),
            last_submitted <- new_mutex!(None),
            last_signalled <- new_mutex!(None),
            queues <- new_mutex!(Queues {
                by_id: RBTree::new(),
                count: 0,
                engines: Engines::new(),
                last_id: 0,
            }),
            in_fence_quota: Quota::new(VFENCE_MAX_WAITS)?,
            mappings: MappingTable::new()?,
            events: Events::new(node.presence.clone())?,
        })
    }

    /// Lists the client in the device, until [`Client::close`]. Fails with `ENOMEM`.
    pub(crate) fn list(&self) -> Result {
        let listing = Device::new_client_listing(self.id, &self.events)?;
        self.device.list(listing);
        Ok(())
    }

    /// Returns the device.
    pub(crate) fn device(&self) -> &Device {
        &self.device
    }

    /// Returns the owner of the client's queues, as events show it.
    pub(crate) fn trace_owner(&self) -> TraceOwner {
        TraceOwner::new(self.id, self.device.dma.device().name())
    }

    /// Returns the queue with the id `id`, if there is one.
    pub(crate) fn find_queue(&self, id: u32) -> Option<QueueRef> {
        self.queues.lock().by_id.get(&id).cloned()
    }

    /// Returns the queue with the id `id`. Fails with `ENOENT`.
    pub(crate) fn queue(&self, id: u32) -> Result<QueueRef> {
        self.find_queue(id).ok_or_else(|| no_queue(id))
    }

    /// Returns the queue with the id `id`, from `cache` if it is there; else stores it there.
    /// `cache` is protected by [`Client::last_submitted`] or [`Client::last_signalled`]. Fails with
    /// `ENOENT`.
    #[inline(always)]
    pub(crate) fn cached_queue<'a>(
        &self,
        cache: &'a mut Option<QueueRef>,
        id: u32,
    ) -> Result<&'a QueueRef> {
        if cache.as_ref().is_none_or(|queue| queue.id() != id) {
            *cache = Some(self.queue(id)?);
        }
        cache.as_ref().ok_or(ENOENT)
    }

    /// Calls `f` for each queue, in the order of their ids.
    pub(crate) fn for_each_queue(&self, mut f: impl FnMut(&Queue)) {
        for queue in self.queues.lock().by_id.values() {
            f(queue);
        }
    }

    /// Calls `f` with the name of each engine, the number of its queues, and the time in ns for
    /// which they have been busy.
    pub(crate) fn for_each_engine(&self, f: impl FnMut(&CStr, u32, u64)) {
        let queues = &mut *self.queues.lock();
        let busy = queues
            .by_id
            .values()
            .map(|queue| (queue.name(), queue.busy()));
        queues.engines.show(busy, f);
    }

    /// Returns whether some queue can take another job. If none can, the next completion wakes
    /// pollers.
    pub(crate) fn poll_free_slot(&self) -> bool {
        let queues = self.queues.lock();
        let mut queues = queues.by_id.values();
        queues.any(|queue| queue.poll_free_slot())
    }

    /// Creates a queue with the properties that `config` returns for its id. `reply` writes the
    /// reply to user space; if it fails, the queue does not exist.
    ///
    /// Fails with `ENOSPC` at the limit, `ENOMEM`, as `config` and `reply` do, and as
    /// [`Presence::check`](super::presence::Presence::check) does.
    pub(crate) fn create_queue(
        &self,
        limits: Limits,
        config: impl FnOnce(u32) -> Result<QueueConfig>,
        reply: impl FnOnce(&Queue) -> Result,
    ) -> Result {
        let id = {
            let mut queues = self.queues.lock();
            if queues.count >= limits.max_queues {
                return Err(too_many_queues(&limits));
            }
            let next = queues.last_id.checked_add(1);
            queues.last_id =
                next.ok_or_else(|| refuse!(ENOSPC, "queue_create: the client has used all ids"))?;
            queues.last_id
        };
        let events = self.events.clone();
        let (fences, context) = (self.device.shared().fences().clone(), Context::new().into());
        let backlog = self.device.shared().queue_backlog();
        let queue = Queue::new(id, fences, context, config(id)?, limits, events, backlog)?;
        self.set_default_faults(&queue)?;
        let node = RBTreeNode::new(id, queue.clone(), GFP_KERNEL_ACCOUNT)?;
        let listing = self.device.new_queue_listing(self.id, &queue)?;
        reply(&queue)?;
        {
            let mut queues = self.queues.lock();
            // Another thread may have created the last queue that is allowed.
            if queues.count >= limits.max_queues {
                return Err(too_many_queues(&limits));
            }
            self.device.list(listing);
            // If the device is lost after this, the queue is found in the list.
            let check = self.events.presence().check();
            if let Err(error) = check.and_then(|()| queues.engines.add(queue.name())) {
                self.device.unlist(self.id, id);
                return Err(error);
            }
            // Nothing fails from here on, so the queue will be closed, which releases its worker
            // and its place in the backlog.
            Queue::assign_backlog(&queue);
            Queue::start_worker(&queue, self.device.shared().worker_threads());
            queues.count += 1;
            queues.by_id.insert(node);
        }
        // The new queue has free slots.
        self.events.pollers.notify_all();
        Ok(())
    }

    /// Gives a new queue the fault plan of the device's settings, if there is one.
    // Out of line: the plan is large.
    #[inline(never)]
    fn set_default_faults(&self, queue: &Queue) -> Result {
        if queue.kind() == QueueKind::Manual {
            return Ok(());
        }
        match self.device.settings().faults.plan() {
            // Queues without a timeout ignore dropped interrupts, as with the kernel's injection.
            Some(plan) => queue.set_fault_plan(plan, false),
            None => Ok(()),
        }
    }

    /// Destroys a queue and completes its pending jobs with `-ECANCELED`. Fails with `ENOENT`, and
    /// with `EINTR` if the task is killed.
    pub(crate) fn destroy_queue(&self, id: u32) -> Result {
        let queue = {
            // A submission that has found the queue publishes its jobs first.
            let mut last_submitted = self.last_submitted.lock_killable()?;
            let mut queues = self.queues.lock();
            let queue = queues.by_id.remove(&id).ok_or_else(|| no_queue(id))?;
            queues.count -= 1;
            last_submitted.take_if(|last| last.id() == id);
            self.device.unlist(self.id, id);
            queue
        };
        self.last_signalled.lock().take_if(|last| last.id() == id);
        queue.close();
        self.queues
            .lock()
            .engines
            .remove(queue.name(), queue.busy());
        Ok(())
    }

    /// Closes all queues, after the last reference to the file has gone.
    pub(crate) fn close(&self) {
        let queues = self.queues.lock();
        // First, so that no worker slows down the rest.
        for queue in queues.by_id.values() {
            queue.stop_operations_for_good();
        }
        for queue in queues.by_id.values() {
            self.device.unlist(self.id, queue.id());
            queue.close();
        }
        self.device.unlist(self.id, device::CLIENT);
    }
}

/// Returns the error of a call that names a queue which the client does not have.
#[cold]
#[inline(never)]
fn no_queue(id: u32) -> Error {
    refuse!(
        ENOENT,
        "the client has no queue {}: it never existed or was destroyed",
        id
    )
}

/// Returns the error of the creation of a queue at the limit.
fn too_many_queues(limits: &Limits) -> Error {
    refuse!(
        ENOSPC,
        "queue_create: the client already has max_queues, {}",
        limits.max_queues
    )
}
