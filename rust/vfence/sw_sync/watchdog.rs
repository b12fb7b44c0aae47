// SPDX-License-Identifier: GPL-2.0

//! The watchdog of a timeline: its timer ends fences that have been pending for too long.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        hrtimer::HrTimerOwner,
        timekeeping::ktime_get, //
    },
    trace,
    vfence::{
        backlog::CompleteSome,
        budget::SLACK,
        sched::types::NEVER,
        sw_sync::{
            counter::value,
            ordered_tree::BLOCK_LEN,
            timeline::{
                PendingValue,
                SwSyncTimeline,
                TimelineRef,
                TimelineState,
                ID, //
            },
        },
    },
};
use kernel::{
    prelude::*,
    sync::SpinLockIrqGuard,
    time::hrtimer::{
        HrTimerCallback,
        HrTimerCallbackContext,
        HrTimerRestart, //
    },
};

/// Most blocks whose fences time out before the backlog turns to another timeline.
const MAX_BLOCKS: usize = 16;

impl HrTimerCallback for SwSyncTimeline {
    type Pointer<'a> = Pin<&'a Self>;

    fn run(this: Pin<&Self>, _ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        // `armed` stays in the past, so that nothing starts the timer before the backlog does.
        let Some(charge) = this.budget.begin(this.timer_expires()) else {
            this.backlog.push();
            return HrTimerRestart::NoRestart;
        };
        while !this.expire_some() {
            if ktime_get() >= charge.until() {
                this.backlog.push();
                break;
            }
        }
        HrTimerRestart::NoRestart
    }
}

impl CompleteSome for TimelineRef {
    fn complete_some(&self) -> bool {
        (0..MAX_BLOCKS).any(|_| self.expire_some())
    }
}

impl SwSyncTimeline {
    /// Returns the time at which a fence times out, or [`NEVER`].
    pub(super) fn expiry(&self, created: u64) -> u64 {
        created.saturating_add(self.watchdog)
    }

    /// Returns whether a fence has timed out at the time `now`.
    pub(super) fn has_timed_out(&self, pending: &PendingValue, now: u64) -> bool {
        self.expiry(pending.created) <= now
    }

    /// Starts the timer unless it is armed for an earlier time. `armed` is the field of
    /// [`TimelineState`].
    pub(super) fn arm(&self, armed: &mut u64, expires: u64) {
        if expires < *armed {
            *armed = expires;
            self.start_timer_range(expires, SLACK);
        }
    }

    /// Signals some of the fences that have timed out, after the timer has expired. Returns whether
    /// no more have; the timer is armed for the next one then.
    fn expire_some(&self) -> bool {
        let _section = SignallingSection::begin();
        let mut state = self.state.lock();
        state.armed = NEVER;
        !self.time_out_some(state)
    }

    /// Signals the fences of the first block that have timed out, with `-ETIMEDOUT`, and gives up
    /// the values of those that are referenced.
    ///
    /// Returns whether there may be more. Otherwise, arms the timer for the first pending fence.
    pub(super) fn time_out_some(&self, mut guard: SpinLockIrqGuard<'_, TimelineState>) -> bool {
        let mut ended = [const { None }; BLOCK_LEN];
        let mut places = ended.iter_mut();
        let mut emptied = [None];
        let now = ktime_get();
        let TimelineState {
            counter,
            pending,
            armed,
            completed,
            timeouts,
        } = &mut *guard;
        pending.remove_first(
            &mut emptied,
            |_, pending| self.has_timed_out(pending, now),
            |key, pending| {
                *completed += 1;
                *timeouts += 1;
                // An unreferenced fence has no waiters, so its timeout gives up no value.
                if pending.fence.is_shared() {
                    counter.give_up(key);
                }
                let (value, expiry) = (u64::from(value(key)), self.expiry(pending.created));
                let error = ETIMEDOUT.to_errno();
                trace::job_complete(|event| event(self.context_id(), value, ID, error, 0, expiry));
                if let Some(place) = places.next() {
                    *place = Some((pending.fence, expiry));
                }
            },
        );
        let next = pending
            .first()
            .map_or(NEVER, |(_, first)| self.expiry(first.created));
        let more = next <= now;
        if !more {
            // Not sooner, so that more fences have timed out then.
            self.arm(armed, next.max(now + SLACK));
        }
        for (fence, expiry) in ended.into_iter().flatten() {
            fence.complete_with(&guard, Err(ETIMEDOUT), expiry);
        }
        drop(guard);
        more
    }
}
