// SPDX-License-Identifier: GPL-2.0

//! The wait of a queue's head for its in-fences.
//!
//! Only the head waits: when a job becomes the head, [`Queue::poll_head`] makes it ready if its
//! in-fences have signalled, and otherwise [`Queue::arm`] adds callbacks to them. However many jobs
//! wait for a fence, a queue has one callback on it.
//!
//! Adding a callback takes the fence's lock, below which the callback takes `state`. So the wait is
//! taken out of the job under `state`, armed without it, and returned to the job, if the job is
//! still pending.

use crate::{
    kernel_ext::timekeeping::ktime_get,
    vfence::{
        job::in_fences::{
            InFenceWait,
            NotifyReady, //
        },
        queue::{
            Queue,
            QueueRef,
            QueueState, //
        },
    },
};

/// The wait of a head that is about to be armed, and the seqno of the head.
pub(crate) struct UnarmedWait(u64, InFenceWait<QueueRef>);

impl QueueState {
    /// Returns whether the head has in-fences that take too long for an interrupt. Another task may
    /// be arming them; the head has none then.
    pub(crate) fn head_is_long(&mut self) -> bool {
        let head = self.jobs.completed() + 1;
        let data = self.jobs.timed_mut().and_then(|jobs| jobs.data_mut(head));
        data.is_some_and(|data| data.in_fences().is_some_and(InFenceWait::is_long))
    }

    /// Takes the wait out of the head if the head waits and not all callbacks are armed. The caller
    /// must pass it to [`Queue::arm`] when it has unlocked `state`.
    pub(crate) fn take_unarmed(&mut self) -> Option<UnarmedWait> {
        let (seqno, data) = self.jobs.timed_mut()?.waiting_head()?;
        let in_fences = &mut data.inputs.as_mut()?.in_fences;
        let wait = in_fences.take_if(|wait| !wait.is_armed())?;
        Some(UnarmedWait(seqno, wait))
    }
}

impl Queue {
    /// Makes the head ready if its in-fences have signalled. Called whenever a job may have become
    /// the head, and when a callback has left that to the backlog.
    ///
    /// Returns false if callbacks must be armed, see [`QueueState::take_unarmed`].
    #[inline]
    pub(crate) fn poll_head(&self, state: &mut QueueState) -> bool {
        let jobs = state.jobs.timed_mut();
        match jobs.and_then(|jobs| jobs.waiting_head()) {
            Some(_) => self.poll_waiting_head(state),
            None => true,
        }
    }

    #[cold]
    fn poll_waiting_head(&self, state: &mut QueueState) -> bool {
        let Some(jobs) = state.jobs.timed_mut() else {
            return true;
        };
        let Some((seqno, data)) = jobs.waiting_head() else {
            return true;
        };
        let Some(wait) = data.in_fences() else {
            // Another task arms it.
            return true;
        };
        let Some((last, error)) = wait.outcome() else {
            return wait.is_armed();
        };
        self.make_ready(state, seqno, last, error, ktime_get());
        true
    }

    /// Arms about `max` callbacks of a head, and returns its wait to the job. Returns whether none
    /// is left to arm. The caller rearms the timer. May be called where a spinlock may be taken.
    pub(crate) fn arm(&self, unarmed: UnarmedWait, max: usize) -> bool {
        let UnarmedWait(seqno, mut wait) = unarmed;
        self.trace_wait(seqno, &wait, max);
        let countdown = wait.arm(max);
        let orphan = self.return_wait(seqno, wait);
        let all = countdown.is_some() || orphan.is_some();
        // Without `state`: dropping it takes the locks of the in-fences.
        drop(orphan);
        if let Some((last, error)) = countdown.and_then(|countdown| countdown.end_arming()) {
            self.make_ready(&mut self.state.lock(), seqno, last, error, ktime_get());
        }
        all
    }

    /// Makes job `seqno` ready at the time `now`, see [`NotifyReady::job_ready`].
    fn make_ready(&self, state: &mut QueueState, seqno: u64, last: u64, error: i32, now: u64) {
        let Some(jobs) = state.jobs.timed_mut() else {
            // A job of a manual queue has no in-fences.
            return;
        };
        // Another driver's timestamp may be ahead of the clock.
        if jobs.ready(last.min(now), seqno, error) {
            self.trace_start(&mut state.jobs);
        }
    }

    /// Returns a wait to job `seqno`, or to the caller if the job has completed.
    fn return_wait(
        &self,
        seqno: u64,
        wait: InFenceWait<QueueRef>,
    ) -> Option<InFenceWait<QueueRef>> {
        let mut state = self.state.lock();
        let data = state.jobs.timed_mut().and_then(|jobs| jobs.data_mut(seqno));
        match data.and_then(|data| data.inputs.as_mut()) {
            Some(inputs) => inputs.in_fences.replace(wait),
            None => Some(wait),
        }
    }

    /// Arms all callbacks of a head that has been submitted, if it waits for in-fences.
    pub(crate) fn arm_all(&self, unarmed: Option<UnarmedWait>) {
        if let Some(unarmed) = unarmed {
            self.arm(unarmed, usize::MAX);
            self.rearm(&mut self.state.lock());
        }
    }
}

impl NotifyReady for QueueRef {
    fn job_ready(&self, seqno: u64, last: u64, error: i32) {
        let now = ktime_get();
        if !self.budget.may_start(now) {
            // The heads of too many queues wait for the fence. The backlog polls the head.
            self.backlog.push();
            return;
        }
        let mut state = self.state.lock();
        self.make_ready(&mut state, seqno, last, error, now);
        self.rearm(&mut state);
    }
}
