// SPDX-License-Identifier: GPL-2.0

//! What a job waits for: in-fences from user space, and how they count down.
//!
//! Every in-fence that is pending gets a callback. They share a [`Gate`] that counts them; the last one
//! tells the queue that the job is ready, which starts a timer and nothing more, since a callback must not
//! signal a fence. The submitter holds one count until the job is in the queue.

use crate::{
    kernel_ext::{
        dma_fence::{
            Callback,
            Fence,
            Signalled, //
        },
        dma_fence_unwrap::unwrap,
        sync_file, //
    },
    uapi::{
        VFENCE_MAX_IN_FENCES,
        VFENCE_MAX_WAITS, //
    },
    vfence::{
        job::quota::Share,
        queue::{
            Queue,
            QueueRef, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Atomic,
            Full,
            Relaxed, //
        },
        Arc, //
    },
    uaccess::{
        UserPtr,
        UserSlice, //
    },
};

const MOST: usize = VFENCE_MAX_IN_FENCES as usize;
/// Most fences that one call looks at, whether they are pending or not.
const MOST_SEEN: usize = VFENCE_MAX_WAITS as usize;

/// The in-fences of a job, taken apart.
pub(crate) struct InFences {
    /// Those that are pending, each once, by address.
    pending: KVec<ARef<Fence>>,
    /// The error of the first one that has signalled with an error already, or 0.
    error: i32,
}

impl InFences {
    /// Returns none.
    pub(crate) fn none() -> Self {
        Self {
            pending: KVec::new(),
            error: 0,
        }
    }

    /// Adds the fences of the `count` file descriptors at `address` in user space; `seen` is how many
    /// the call has looked at.
    ///
    /// Fails with `EINVAL` for too many, `EFAULT`, `EBADF`, `EINVAL` for a file of another kind,
    /// `ENOSPC` when they contain too many that are pending, or the call has looked at too many.
    pub(crate) fn add_from_user(&mut self, address: u64, count: u32, seen: &mut usize) -> Result {
        let count = count as usize;
        if count > MOST {
            return Err(EINVAL);
        }
        let address = UserPtr::from_addr(usize::try_from(address).map_err(|_| EFAULT)?);
        let mut reader = UserSlice::new(address, count * size_of::<i32>()).reader();
        for _ in 0..count {
            self.add(&*sync_file::get_fence(reader.read::<i32>()?)?, seen)?;
        }
        Ok(())
    }

    /// Calls `f` with each fence that `fence` consists of. Fails with `ENOSPC` if the call has looked at too many.
    fn each(fence: &Fence, seen: &mut usize, mut f: impl FnMut(ARef<Fence>) -> Result) -> Result {
        for fence in unwrap(fence) {
            *seen += 1;
            if *seen > MOST_SEEN {
                return Err(ENOSPC);
            }
            f(fence)?;
        }
        Ok(())
    }

    /// Adds a fence, which may be a container; if it has signalled, its error counts.
    ///
    /// Fails with `ENOSPC` for too many.
    fn add(&mut self, fence: &Fence, seen: &mut usize) -> Result {
        Self::each(fence, seen, |fence| self.add_plain(fence))
    }

    /// Adds a fence that is no container; if it has signalled, its error counts.
    ///
    /// Fails with `ENOSPC` for too many.
    pub(crate) fn add_plain(&mut self, fence: ARef<Fence>) -> Result {
        match fence.result() {
            Some(Ok(())) => {}
            Some(Err(error)) if self.error == 0 => self.error = error.to_errno(),
            Some(Err(_)) => {}
            None => self.wait_for(fence)?,
        }
        Ok(())
    }

    /// Adds a fence, which may be a container, unless it has signalled; then its error does not count either.
    ///
    /// Fails with `ENOSPC` for too many.
    pub(crate) fn add_pending(&mut self, fence: &Fence, seen: &mut usize) -> Result {
        Self::each(fence, seen, |fence| {
            if fence.is_signaled() {
                return Ok(());
            }
            self.wait_for(fence)
        })
    }

    /// Adds a fence that is pending, unless it is there already.
    fn wait_for(&mut self, fence: ARef<Fence>) -> Result {
        let address = |fence: &ARef<Fence>| fence.as_raw();
        let Err(place) = self.pending.binary_search_by_key(&address(&fence), address) else {
            return Ok(());
        };
        if self.pending.len() == MOST {
            return Err(ENOSPC);
        }
        self.pending.reserve(1, GFP_KERNEL_ACCOUNT)?;
        self.pending
            .insert_within_capacity(place, fence)
            .map_err(|_| ENOMEM)
    }

    /// Returns the error of an in-fence that had signalled already, or 0.
    pub(crate) fn error(&self) -> i32 {
        self.error
    }

    /// Prepares the wait of job `seqno` of `queue`; returns `None` if there is nothing to wait for.
    ///
    /// Fails with `ENOSPC` if the client's jobs wait for too much, `ENOMEM`.
    pub(crate) fn prepare(self, queue: &QueueRef, seqno: u64) -> Result<Option<Waits>> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let gate = Arc::new(
            Gate {
                queue: queue.clone(),
                seqno,
                // One more: the submitter's.
                closed_by: Atomic::new(self.pending.len() as i32 + 1),
                last: Atomic::new(0),
                error: Atomic::new(0),
            },
            GFP_KERNEL_ACCOUNT,
        )?;
        let callbacks = KVec::with_capacity(self.pending.len(), GFP_KERNEL_ACCOUNT)?;
        let mut waits = Waits {
            gate,
            callbacks,
            share: Share::new(queue.waits(), self.pending.len())?,
        };
        for fence in self.pending {
            let callback = Callback::new(fence, waits.gate(), GFP_KERNEL_ACCOUNT)?;
            waits.callbacks.push(callback, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Some(waits))
    }
}

/// The wait of one job for its in-fences. Dropping it ends the wait.
pub(crate) struct Waits {
    gate: Arc<Gate>,
    callbacks: KVec<Callback<Arc<Gate>>>,
    /// Of the client's budget.
    share: Share,
}

impl Waits {
    /// Starts to count. The gate stays closed until [`Gate::pass`] is called as well.
    pub(crate) fn arm(&mut self) {
        for callback in &mut self.callbacks {
            callback.arm();
        }
    }

    /// Returns for how many fences it waits.
    pub(crate) fn len(&self) -> usize {
        self.share.count()
    }

    /// Returns the fences that it waits for, those included that have signalled meanwhile.
    pub(crate) fn fences(&self) -> impl Iterator<Item = &Fence> {
        self.callbacks.iter().map(Callback::fence)
    }

    /// Returns the gate, for the submitter to pass.
    pub(crate) fn gate(&self) -> Arc<Gate> {
        self.gate.clone()
    }
}

/// What in-fences and the submitter pass; the last one opens it.
pub(crate) struct Gate {
    queue: QueueRef,
    seqno: u64,
    closed_by: Atomic<i32>,
    /// When the last of those that have signalled did so, in ns.
    last: Atomic<u64>,
    /// The first error seen since the job was submitted, or 0; the machine has an earlier one.
    error: Atomic<i32>,
}

impl Gate {
    /// Totals one; the last tells the queue. May be called in any context.
    pub(crate) fn pass(&self) {
        if self.closed_by.fetch_sub(1, Full) == 1 {
            let (last, error) = (self.last.load(Relaxed), self.error.load(Relaxed));
            Queue::ready(&self.queue, self.seqno, last, error);
        }
    }
}

impl Signalled for Arc<Gate> {
    fn signalled(&self, result: Result, timestamp: u64) {
        let mut last = self.last.load(Relaxed);
        while last < timestamp {
            match self.last.cmpxchg(last, timestamp, Relaxed) {
                Ok(_) => break,
                Err(other) => last = other,
            }
        }
        if let Err(error) = result {
            // Only the first error is kept; that there was one already is no failure.
            let _ = self.error.cmpxchg(0, error.to_errno(), Relaxed);
        }
        self.pass();
    }
}
