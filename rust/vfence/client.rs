// SPDX-License-Identifier: GPL-2.0

//! An open file of the device: the queues that it owns, by their ids.

use super::{
    in_fences::Budget,
    limits::Limits,
    machine::Kind,
    name::Name,
    queue::Queue, //
};
use crate::kernel_ext::hrtimer::HrTimer;
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
    #[pin]
    queues: Mutex<Queues>,
    budget: Arc<Budget>,
}

struct Queues {
    by_id: RBTree<u32, Arc<HrTimer<Queue>>>,
    /// How many there are.
    count: u32,
    /// The id that was given out last.
    last_id: u32,
}

impl Client {
    pub(super) fn new() -> impl PinInit<Self, Error> {
        try_pin_init!(Self {
            queues <- new_mutex!(Queues {
                by_id: RBTree::new(),
                count: 0,
                last_id: 0,
            }),
            budget: Budget::new()?,
        })
    }

    /// Returns the queue of that id. Fails with `ENOENT`.
    pub(super) fn queue(&self, id: u32) -> Result<Arc<HrTimer<Queue>>> {
        self.queues.lock().by_id.get(&id).cloned().ok_or(ENOENT)
    }

    /// Creates a queue; `reply` tells the caller about it, and when that fails there is none.
    ///
    /// Fails with `EINVAL` for a name without NUL, `ENOSPC` at the limit, `ENOMEM`.
    pub(super) fn create(
        &self,
        kind: Kind,
        name: &[u8; Name::LEN],
        reply: impl FnOnce(u32, &Queue) -> Result,
    ) -> Result {
        let limits = Limits::get();
        let id = {
            let mut queues = self.queues.lock();
            if queues.count >= limits.max_queues {
                return Err(ENOSPC);
            }
            queues.last_id = queues.last_id.checked_add(1).ok_or(ENOSPC)?;
            queues.last_id
        };
        let name = Name::from_user(name, id)?;
        let queue = Queue::new(kind, name, limits, self.budget.clone())?;
        let node = RBTreeNode::new(id, queue.clone(), GFP_KERNEL_ACCOUNT)?;
        reply(id, &queue)?;
        let mut queues = self.queues.lock();
        // Another thread may have taken the last place in the meantime.
        if queues.count >= limits.max_queues {
            return Err(ENOSPC);
        }
        queues.count += 1;
        queues.by_id.insert(node);
        Ok(())
    }

    /// Ends a queue and what it has pending. Fails with `ENOENT`.
    pub(super) fn destroy(&self, id: u32) -> Result {
        let queue = {
            let mut queues = self.queues.lock();
            let queue = queues.by_id.remove(&id).ok_or(ENOENT)?;
            queues.count -= 1;
            queue
        };
        queue.close();
        Ok(())
    }

    /// Ends all queues: the file was closed for the last time.
    pub(super) fn release(&self) {
        for queue in self.queues.lock().by_id.values() {
            queue.close();
        }
    }
}
