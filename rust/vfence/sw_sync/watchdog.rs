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
        pause::end_of_pause,
        sched::types::NEVER,
        sw_sync::{
            counter::value,
            ordered_tree::BLOCK_LEN,
            timeline::{
                PendingValue,
                SwSyncTimeline,
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

/// The number of fences after which an interrupt stops ending fences.
const MAX_ENDED: u64 = 128;

impl HrTimerCallback for SwSyncTimeline {
    type Pointer<'a> = Pin<&'a Self>;

    fn run(this: Pin<&Self>, _ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let begun = ktime_get();
        let _section = SignallingSection::begin();
        let mut last = None;
        loop {
            let mut state = this.state.lock();
            state.armed = NEVER;
            let ended = state.timeouts;
            if ended >= *last.get_or_insert(ended + MAX_ENDED) {
                break;
            }
            if !this.time_out_some(state) {
                return HrTimerRestart::NoRestart;
            }
        }
        let expires = end_of_pause(begun);
        this.arm(&mut this.state.lock().armed, expires);
        HrTimerRestart::NoRestart
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
            self.start_timer(expires);
        }
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
                trace::job_complete(|| (self.context_id(), value, ID, error, 0, expiry));
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
            self.arm(armed, next);
        }
        for (fence, expiry) in ended.into_iter().flatten() {
            fence.complete_with(&guard, Err(ETIMEDOUT), expiry);
        }
        drop(guard);
        more
    }
}
