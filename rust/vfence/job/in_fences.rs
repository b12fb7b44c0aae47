// SPDX-License-Identifier: GPL-2.0

//! The in-fences of a job: collecting them from user space, and waiting until all have signalled.
//!
//! Each pending in-fence gets a callback. The callbacks of a job share a [`Countdown`]. The one
//! that brings it to zero reports the job as ready to its queue, which starts the job's timer and
//! nothing more: a fence callback must not signal a fence. The submitter holds one count until the
//! job is in its queue, so that the job cannot become ready before.

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
    vfence::job::quota::{
        Charge,
        Quota, //
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

/// Most pending in-fences of a job, containers unwrapped.
const MAX_IN_FENCES: usize = VFENCE_MAX_IN_FENCES as usize;

/// Most fences that one ioctl unwraps, pending or signalled.
const MAX_UNWRAPPED: usize = VFENCE_MAX_WAITS as usize;

/// The in-fences of a job before it waits for them, containers unwrapped.
pub(crate) struct InFences {
    /// The pending ones, each once, sorted by address.
    pending: KVec<ARef<Fence>>,
    /// The error of the first in-fence that had already signalled with one, or 0.
    error: i32,
}

impl InFences {
    /// Returns an empty set.
    pub(crate) fn new() -> Self {
        Self {
            pending: KVec::new(),
            error: 0,
        }
    }

    /// Adds the fences of `count` file descriptors, an array of `i32` at the user address
    /// `address`. `unwrapped` counts the fences that the ioctl has unwrapped.
    ///
    /// Fails with `EINVAL` if `count` exceeds `VFENCE_MAX_IN_FENCES` or a file is not a sync_file,
    /// `EFAULT`, `EBADF`, `ENOMEM`, and with `ENOSPC` beyond either bound on unwrapped fences.
    pub(crate) fn add_from_user(
        &mut self,
        address: u64,
        count: u32,
        unwrapped: &mut usize,
    ) -> Result {
        let count = count as usize;
        if count > MAX_IN_FENCES {
            return Err(EINVAL);
        }
        let address = UserPtr::from_addr(usize::try_from(address).map_err(|_| EFAULT)?);
        let mut reader = UserSlice::new(address, count * size_of::<i32>()).reader();
        for _ in 0..count {
            let fence = sync_file::get_fence(reader.read::<i32>()?)?;
            Self::for_each(&fence, unwrapped, |fence| self.add_plain(fence))?;
        }
        Ok(())
    }

    /// Calls `f` with each fence that `fence` contains, or with `fence` itself if it is not a
    /// container.
    ///
    /// Fails with `ENOSPC` if the ioctl has unwrapped too many fences, and as `f` does.
    fn for_each(
        fence: &Fence,
        unwrapped: &mut usize,
        mut f: impl FnMut(ARef<Fence>) -> Result,
    ) -> Result {
        for fence in unwrap(fence) {
            *unwrapped += 1;
            if *unwrapped > MAX_UNWRAPPED {
                return Err(ENOSPC);
            }
            f(fence)?;
        }
        Ok(())
    }

    /// Adds a fence that is not a container. If it has signalled, only its error is kept.
    ///
    /// Fails with `ENOSPC` for too many pending fences, `ENOMEM`.
    pub(crate) fn add_plain(&mut self, fence: ARef<Fence>) -> Result {
        match fence.result() {
            Some(Ok(())) => {}
            Some(Err(error)) if self.error == 0 => self.error = error.to_errno(),
            Some(Err(_)) => {}
            None => self.insert(fence)?,
        }
        Ok(())
    }

    /// Adds a fence of a reservation object, which may be a container. A signalled fence is
    /// ignored, and so is its error.
    ///
    /// Fails with `ENOSPC` for too many fences, `ENOMEM`.
    pub(crate) fn add_pending(&mut self, fence: &Fence, unwrapped: &mut usize) -> Result {
        Self::for_each(fence, unwrapped, |fence| {
            if fence.is_signaled() {
                return Ok(());
            }
            self.insert(fence)
        })
    }

    /// Inserts a pending fence, once.
    fn insert(&mut self, fence: ARef<Fence>) -> Result {
        let address = |fence: &ARef<Fence>| fence.as_raw();
        let Err(index) = self.pending.binary_search_by_key(&address(&fence), address) else {
            return Ok(());
        };
        if self.pending.len() == MAX_IN_FENCES {
            return Err(ENOSPC);
        }
        self.pending.reserve(1, GFP_KERNEL_ACCOUNT)?;
        self.pending
            .insert_within_capacity(index, fence)
            .map_err(|_| ENOMEM)
    }

    /// Returns the error of the first in-fence that had already signalled with one, or 0.
    pub(crate) fn error(&self) -> i32 {
        self.error
    }

    /// Prepares the wait of job `seqno` of `queue`; returns `None` if no in-fence is pending.
    ///
    /// Fails with `ENOSPC` if the client's `quota` of in-fences is used up, `ENOMEM`.
    pub(crate) fn into_wait<Q: NotifyReady>(
        self,
        queue: &Q,
        seqno: u64,
        quota: &Arc<Quota>,
    ) -> Result<Option<InFenceWait<Q>>> {
        if self.pending.is_empty() {
            return Ok(None);
        }
        let countdown = Countdown {
            queue: queue.clone(),
            seqno,
            // One more for the submitter.
            left: Atomic::new(self.pending.len() as i32 + 1),
            last: Atomic::new(0),
            error: Atomic::new(0),
        };
        let mut wait = InFenceWait {
            countdown: Arc::new(countdown, GFP_KERNEL_ACCOUNT)?,
            callbacks: KVec::with_capacity(self.pending.len(), GFP_KERNEL_ACCOUNT)?,
            charge: Charge::new(quota, self.pending.len())?,
        };
        for fence in self.pending {
            let callback = Callback::new(fence, wait.countdown(), GFP_KERNEL_ACCOUNT)?;
            wait.callbacks.push(callback, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Some(wait))
    }
}

/// A queue, as the in-fences of its jobs see it.
pub(crate) trait NotifyReady: Clone + Send + Sync + 'static {
    /// Reports that the in-fences of job `seqno` have signalled, the last of them at the time
    /// `last`, in ns on `CLOCK_MONOTONIC`. `error` is the first error among them since the job was
    /// submitted, or 0.
    ///
    /// Called in any context, with the lock of a fence held.
    fn job_ready(&self, seqno: u64, last: u64, error: i32);
}

/// The wait of a job for its in-fences. Dropping it removes the callbacks, which takes the locks of
/// the in-fences.
pub(crate) struct InFenceWait<Q: NotifyReady> {
    countdown: Arc<Countdown<Q>>,
    callbacks: KVec<Callback<Arc<Countdown<Q>>>>,
    charge: Charge,
}

impl<Q: NotifyReady> InFenceWait<Q> {
    /// Adds the callbacks to the in-fences. The job is not ready before [`Countdown::dec`] is
    /// called for the submitter, too.
    pub(crate) fn arm(&mut self) {
        for callback in &mut self.callbacks {
            callback.arm();
        }
    }

    /// Returns the number of in-fences, signalled ones included.
    pub(crate) fn len(&self) -> usize {
        self.charge.units()
    }

    /// Returns the in-fences, signalled ones included.
    pub(crate) fn fences(&self) -> impl Iterator<Item = &Fence> {
        self.callbacks.iter().map(Callback::fence)
    }

    /// Returns the countdown, which the submitter decrements once the job is in its queue.
    pub(crate) fn countdown(&self) -> Arc<Countdown<Q>> {
        self.countdown.clone()
    }
}

/// The number of in-fences that a job still waits for, and one for its submitter.
pub(crate) struct Countdown<Q: NotifyReady> {
    queue: Q,
    seqno: u64,
    left: Atomic<i32>,
    /// The latest timestamp of the in-fences that have signalled, in ns.
    last: Atomic<u64>,
    /// The first error of an in-fence since the job was submitted, or 0. The job has an earlier
    /// one.
    error: Atomic<i32>,
}

impl<Q: NotifyReady> Countdown<Q> {
    /// Decrements the count and reports the job as ready at zero. May be called in any context.
    pub(crate) fn dec(&self) {
        if self.left.fetch_sub(1, Full) == 1 {
            let (last, error) = (self.last.load(Relaxed), self.error.load(Relaxed));
            self.queue.job_ready(self.seqno, last, error);
        }
    }
}

impl<Q: NotifyReady> Signalled for Arc<Countdown<Q>> {
    fn signalled(&self, result: Result, timestamp: u64) {
        let mut last = self.last.load(Relaxed);
        while last < timestamp {
            match self.last.cmpxchg(last, timestamp, Relaxed) {
                Ok(_) => break,
                Err(other) => last = other,
            }
        }
        if let Err(error) = result {
            // Only the first error is kept, so a failed exchange is not an error.
            let _ = self.error.cmpxchg(0, error.to_errno(), Relaxed);
        }
        self.dec();
    }
}
