// SPDX-License-Identifier: GPL-2.0

//! The in-fences of a job: collecting them from user space, and waiting until all have signalled.
//!
//! Each pending in-fence gets a callback, which is allocated at submission and *armed*, that is,
//! added to the fence, once the job is the head of its queue. The number of callbacks that a fence
//! runs therefore does not depend on how many jobs wait for it, only on the number of queues.
//! In-fences that have signalled by then need no callback: their timestamps and errors are read.
//!
//! The callbacks of a job share a [`Countdown`]. The one that brings it to zero reports the job as
//! ready to its queue, which starts the job's timer and nothing more: a fence callback must not
//! signal a fence. The task that arms the callbacks holds one count, so that the job cannot become
//! ready before the task has returned the callbacks to the job.

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
        job::quota::{
            Charge,
            Quota, //
        },
        refusal::refuse, //
    },
};
use kernel::{
    prelude::*,
    sync::{
        aref::ARef,
        atomic::{
            Acquire,
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

/// Most pending links of a chain that are unwrapped. The job waits for the rest of the chain as
/// for one fence. The headers state the number.
const MAX_LINKS: usize = 8;

/// Most in-fences of a job that an interrupt deals with.
const MAX_IN_INTERRUPT: usize = 16;

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
            return Err(refuse!(
                EINVAL,
                "submit: in_fence_count {} exceeds VFENCE_MAX_IN_FENCES, {}",
                count,
                MAX_IN_FENCES
            ));
        }
        let inaccessible = |_| {
            refuse!(
                EFAULT,
                "submit: in_fences {:#x} does not point to {} accessible descriptors",
                address,
                count
            )
        };
        let start = usize::try_from(address).map_err(|_| inaccessible(EFAULT))?;
        let start = UserPtr::from_addr(start);
        let mut reader = UserSlice::new(start, count * size_of::<i32>()).reader();
        for index in 0..count {
            let fd = reader.read::<i32>().map_err(inaccessible)?;
            let fence = sync_file::get_fence(fd);
            let fence = fence.map_err(|error| no_sync_file(index, fd, error))?;
            unwrap_bounded(&fence, unwrapped, MAX_UNWRAPPED, too_many, |fence| {
                self.add(fence)
            })?;
        }
        Ok(())
    }

    /// Adds a fence, without unwrapping it. If it has signalled, only its error is kept.
    ///
    /// Fails with `ENOSPC` for too many pending fences, `ENOMEM`.
    pub(crate) fn add(&mut self, fence: ARef<Fence>) -> Result {
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
        unwrap_bounded(fence, unwrapped, MAX_UNWRAPPED, too_many, |fence| {
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
            return Err(refuse!(
                ENOSPC,
                "submit: more pending fences than VFENCE_MAX_IN_FENCES, {}, with merged in-fences \
                 expanded and those of buffers included",
                MAX_IN_FENCES
            ));
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
            // One more for the task that arms the callbacks.
            left: Atomic::new(self.pending.len() as i32 + 1),
            last: Atomic::new(0),
            error: Atomic::new(0),
        };
        let countdown = Arc::new(countdown, GFP_KERNEL_ACCOUNT)?;
        let has_container = self.pending.iter().any(|fence| fence.is_container());
        let mut wait = InFenceWait {
            countdown: countdown.clone(),
            callbacks: KVec::with_capacity(self.pending.len(), GFP_KERNEL_ACCOUNT)?,
            armed: 0,
            long: has_container || self.pending.len() > MAX_IN_INTERRUPT,
            charge: Charge::new(quota, self.pending.len())?,
        };
        for fence in self.pending {
            let callback = Callback::new(fence, countdown.clone(), GFP_KERNEL_ACCOUNT)?;
            wait.callbacks.push(callback, GFP_KERNEL_ACCOUNT)?;
        }
        Ok(Some(wait))
    }
}

/// Returns `error`, with which the descriptor `fd` of in-fence `index` was refused.
#[cold]
#[inline(never)]
fn no_sync_file(index: usize, fd: i32, error: Error) -> Error {
    if error == EBADF {
        refuse!(
            EBADF,
            "submit: in_fences[{}], {}, is not an open file descriptor",
            index,
            fd
        )
    } else {
        refuse!(
            error,
            "submit: in_fences[{}], {}, is a file but not a sync_file",
            index,
            fd
        )
    }
}

/// Returns the error of a call that unwraps more than [`MAX_UNWRAPPED`] fences.
#[cold]
#[inline(never)]
fn too_many() -> Error {
    refuse!(
        ENOSPC,
        "submit: the in-fences and the buffers of the call have more than VFENCE_MAX_WAITS, {}, \
         fences, signalled or pending",
        MAX_UNWRAPPED
    )
}

/// Calls `f` with each fence that `fence` contains, or with `fence` itself if it is not a
/// container. Of a chain, these are the fences of the last [`MAX_LINKS`] pending links, and the
/// link before those. `unwrapped` counts the fences.
///
/// Fails with the error that `too_many` returns if `unwrapped` exceeds `max`, and as `f` does.
pub(crate) fn unwrap_bounded(
    fence: &Fence,
    unwrapped: &mut usize,
    max: usize,
    too_many: fn() -> Error,
    mut f: impl FnMut(ARef<Fence>) -> Result,
) -> Result {
    let mut links = 0;
    let mut fences = unwrap(fence);
    while let Some(fence) = fences.next() {
        *unwrapped += 1;
        if *unwrapped > max {
            return Err(too_many());
        }
        if let Some(link) = fences.link() {
            links += 1;
            if links > MAX_LINKS {
                return f(link.into());
            }
        }
        f(fence)?;
    }
    Ok(())
}

/// A queue, as the in-fences of its jobs see it.
pub(crate) trait NotifyReady: Clone + Send + Sync + 'static {
    /// Reports that the in-fences of job `seqno` have signalled, the last of them at the time
    /// `last`, in ns on `CLOCK_MONOTONIC`. `error` is the first error among them since the job was
    /// submitted, or 0.
    ///
    /// Called in the callback of a fence, with the fence's lock held and interrupts disabled.
    fn job_ready(&self, seqno: u64, last: u64, error: i32);
}

/// The wait of a job for its in-fences. Dropping it removes the callbacks that are armed, which
/// takes the locks of their in-fences.
pub(crate) struct InFenceWait<Q: NotifyReady> {
    countdown: Arc<Countdown<Q>>,
    callbacks: KVec<Callback<Arc<Countdown<Q>>>>,
    /// The number of callbacks that are armed, from the first one on.
    armed: usize,
    /// See [`Self::is_long`].
    long: bool,
    charge: Charge,
}

impl<Q: NotifyReady> InFenceWait<Q> {
    /// Returns whether the wait is too long for an interrupt: to arm, to poll or to drop. A chain
    /// takes as long as it has links that have signalled.
    pub(crate) fn is_long(&self) -> bool {
        self.long
    }

    /// Returns whether all callbacks are armed.
    pub(crate) fn is_armed(&self) -> bool {
        self.armed == self.callbacks.len()
    }

    /// Returns the latest timestamp of the in-fences, in ns, and the error of the one that failed
    /// first, or 0, if all have signalled. Otherwise, or if only some callbacks are armed, returns
    /// `None`, and the rest must be armed. Takes no lock.
    pub(crate) fn outcome(&self) -> Option<(u64, i32)> {
        if self.armed > 0 {
            return self.countdown.outcome();
        }
        let (mut last, mut first) = (0, FirstError::default());
        for callback in &self.callbacks {
            let (result, timestamp) = callback.fence().outcome()?;
            last = timestamp.max(last);
            first.observe(result, timestamp);
        }
        Some((last, first.error))
    }

    /// Adds the callbacks to the in-fences, at most `max` of them in this call. Returns the
    /// countdown if all are added; the caller ends it once the wait is back in its job, see
    /// [`Countdown::end_arming`].
    ///
    /// Takes the locks of the in-fences, and calls the queue as their callbacks do.
    pub(crate) fn arm(&mut self, max: usize) -> Option<Arc<Countdown<Q>>> {
        if self.armed == 0 {
            // In the order of the callbacks, another error might come first.
            let mut first = FirstError::default();
            for (result, timestamp) in self.fences().filter_map(Fence::outcome) {
                first.observe(result, timestamp);
            }
            self.countdown.error.store(first.error, Relaxed);
        }
        for callback in self.callbacks[self.armed..].iter_mut().take(max) {
            if self.long {
                // Lets a chain drop its signalled links with interrupts enabled. The callback would
                // walk them with the fence's lock held.
                callback.fence().is_signaled();
            }
            callback.arm();
            self.armed += 1;
        }
        self.is_armed().then(|| self.countdown.clone())
    }

    /// Returns the number of in-fences, signalled ones included.
    pub(crate) fn len(&self) -> usize {
        self.charge.units()
    }

    /// Returns the in-fences whose callbacks are not armed, in the order in which they will be.
    pub(crate) fn unarmed(&self) -> impl Iterator<Item = &Fence> {
        self.callbacks[self.armed..].iter().map(Callback::fence)
    }

    /// Returns the in-fences, signalled ones included.
    pub(crate) fn fences(&self) -> impl Iterator<Item = &Fence> {
        self.callbacks.iter().map(Callback::fence)
    }
}

/// The error of the in-fence that failed first, by its timestamp.
struct FirstError {
    /// In ns.
    timestamp: u64,
    /// A negative errno, or 0 for none.
    error: i32,
}

impl Default for FirstError {
    fn default() -> Self {
        Self {
            timestamp: u64::MAX,
            error: 0,
        }
    }
}

impl FirstError {
    /// Takes the result of an in-fence and its timestamp into account.
    fn observe(&mut self, result: Result, timestamp: u64) {
        if let (Err(error), true) = (result, timestamp < self.timestamp) {
            (self.timestamp, self.error) = (timestamp, error.to_errno());
        }
    }
}

/// The number of in-fences that a job still waits for, and one for the task that arms the
/// callbacks.
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
    /// Returns the arguments of [`NotifyReady::job_ready`] if the count is zero.
    fn outcome(&self) -> Option<(u64, i32)> {
        let done = self.left.load(Acquire) == 0;
        done.then(|| (self.last.load(Relaxed), self.error.load(Relaxed)))
    }

    /// Decrements the count for the task that has armed the callbacks. Returns the arguments of
    /// [`NotifyReady::job_ready`], which is not called, if the in-fences have signalled.
    pub(crate) fn end_arming(&self) -> Option<(u64, i32)> {
        self.left.fetch_sub(1, Full);
        self.outcome()
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
        if self.left.fetch_sub(1, Full) == 1 {
            let (last, error) = (self.last.load(Relaxed), self.error.load(Relaxed));
            self.queue.job_ready(self.seqno, last, error);
        }
    }
}

#[kernel::macros::kunit_tests(vfence_in_fences)]
mod tests {
    use super::*;
    use crate::kernel_ext::dma_fence::fixture::pending;

    /// The calls of [`NotifyReady::job_ready`], and the arguments of the last one.
    #[derive(Clone)]
    struct Ready(Arc<[Atomic<u64>; 2]>, Arc<[Atomic<i32>; 2]>);

    impl Ready {
        fn new() -> Result<Self> {
            Ok(Self(
                Arc::new([const { Atomic::new(0) }; 2], GFP_KERNEL)?,
                Arc::new([const { Atomic::new(0) }; 2], GFP_KERNEL)?,
            ))
        }

        /// Returns the number of calls, the seqno, the timestamp and the error.
        fn calls(&self) -> (i32, u64, u64, i32) {
            let ([seqno, last], [calls, error]) = (&*self.0, &*self.1);
            let (seqno, last) = (seqno.load(Relaxed), last.load(Relaxed));
            (calls.load(Relaxed), seqno, last, error.load(Relaxed))
        }
    }

    impl NotifyReady for Ready {
        fn job_ready(&self, seqno: u64, last: u64, error: i32) {
            self.0[0].store(seqno, Relaxed);
            self.0[1].store(last, Relaxed);
            self.1[0].add(1, Relaxed);
            self.1[1].store(error, Relaxed);
        }
    }

    /// Returns the wait of job 7 for `fences`.
    fn wait(ready: &Ready, fences: &[&Fence]) -> Result<InFenceWait<Ready>> {
        let mut in_fences = InFences::new();
        for fence in fences {
            in_fences.add((*fence).into())?;
        }
        let wait = in_fences.into_wait(ready, 7, &Quota::new(8)?)?;
        wait.ok_or(EINVAL)
    }

    #[test]
    fn unarmed_wait_has_no_callback() -> Result {
        let ready = Ready::new()?;
        let (one, two) = (pending()?, pending()?);
        let wait = wait(&ready, &[one.fence(), two.fence()])?;
        one.complete(Ok(()), 5);
        assert!(wait.outcome().is_none());
        two.complete(Ok(()), 3);
        assert!(wait.outcome() == Some((5, 0)));
        drop(wait);
        assert!(ready.calls() == (0, 0, 0, 0));
        Ok(())
    }

    #[test]
    fn armed_wait_reports_in_its_last_callback() -> Result {
        let ready = Ready::new()?;
        let (one, two) = (pending()?, pending()?);
        let mut wait = wait(&ready, &[one.fence(), two.fence()])?;
        let countdown = wait.arm(8).ok_or(EINVAL)?;
        one.complete(Err(EIO), 5);
        assert!(countdown.end_arming().is_none() && ready.calls().0 == 0);
        two.complete(Ok(()), 3);
        assert!(ready.calls() == (1, 7, 5, EIO.to_errno()));
        Ok(())
    }

    #[test]
    fn fences_that_signal_while_they_are_armed_do_not_report() -> Result {
        let ready = Ready::new()?;
        let (one, two, three) = (pending()?, pending()?, pending()?);
        let mut wait = wait(&ready, &[one.fence(), two.fence(), three.fence()])?;
        assert!(wait.arm(1).is_none() && !wait.is_armed());
        one.complete(Ok(()), 5);
        two.complete(Ok(()), 9);
        three.complete(Err(EIO), 6);
        assert!(wait.outcome().is_none());
        let countdown = wait.arm(8).ok_or(EINVAL)?;
        assert!(wait.is_armed() && ready.calls().0 == 0);
        assert!(countdown.end_arming() == Some((9, EIO.to_errno())));
        assert!(wait.outcome() == Some((9, EIO.to_errno())));
        assert!(ready.calls().0 == 0);
        Ok(())
    }

    #[test]
    fn earliest_error_counts() -> Result {
        let ready = Ready::new()?;
        for earliest in 0..3 {
            let (one, two, three) = (pending()?, pending()?, pending()?);
            let fences = [one.fence(), two.fence(), three.fence()];
            let signalled = wait(&ready, &fences)?;
            let last = pending()?;
            let [a, b, c] = fences;
            let mut armed = wait(&ready, &[a, b, c, last.fence()])?;
            for (index, fence) in [one, two, three].into_iter().enumerate() {
                let first = index == earliest;
                let error = if first { EIO } else { ENODATA };
                fence.complete(Err(error), if first { 1 } else { 2 });
            }
            assert!(signalled.outcome() == Some((2, EIO.to_errno())));
            let countdown = armed.arm(4).ok_or(EINVAL)?;
            assert!(countdown.end_arming().is_none());
            last.complete(Err(ENOENT), 3);
            assert!(ready.calls().3 == EIO.to_errno());
        }
        Ok(())
    }
}
