// SPDX-License-Identifier: GPL-2.0

//! What happens when a queue's timer expires.
//!
//! Mostly one job is due and nothing else is, and the job has a fence at most: the way from the interrupt to who waits for the fence is
//! short then. Else it is that of all jobs that end.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        hrtimer::HrTimerOwner,
        timekeeping::ktime_get, //
    },
    trace,
    vfence::{
        queue::{
            Locked,
            Queue,
            QueueKind,
            BATCH, //
        },
        sched::{
            timed::PlainCompletion,
            types::NEVER, //
        },
    },
};
use core::mem;
use kernel::{
    interrupt::LocalInterruptDisabled,
    prelude::*,
    time::hrtimer::{
        HrTimerCallback,
        HrTimerCallbackContext,
        HrTimerRestart, //
    },
};

/// How long an interrupt then leaves the processor to others at least, in ns.
const BREATHER: u64 = 20_000;

impl HrTimerCallback for Queue {
    type Pointer<'a> = Pin<&'a Self>;

    fn run(this: Pin<&Self>, ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let timer = this.get_ref();
        if let Some(worker) = &timer.worker {
            timer.state.lock().armed = NEVER;
            worker.wake();
            return HrTimerRestart::NoRestart;
        }
        let irqs_off = Self::irqs_disabled(&ctx).filter(|_| timer.kind == QueueKind::Timer);
        match irqs_off.and_then(|irqs_off| Self::end_head(timer, irqs_off)) {
            Some(true) => {}
            Some(false) => Self::end_some(timer, BATCH - 1),
            None => Self::end_some(timer, BATCH),
        }
        HrTimerRestart::NoRestart
    }
}

impl Queue {
    /// Completes the job that the timer was set for, if it ends well and has a fence at most. Returns whether there is nothing left for
    /// now; the timer is set then. Returns `None`, and has done nothing, if there is more to the job.
    #[inline]
    fn end_head(timer: &Self, irqs_off: &LocalInterruptDisabled) -> Option<bool> {
        let _section = SignallingSection::begin();
        let order = timer.signalling.lock_with(irqs_off);
        let (ended, room_wanted, all);
        {
            let mut guard = timer.state.lock_with(irqs_off);
            let locked = &mut *guard;
            // It is started with `state` held. If it was not again, that time has come.
            if timer.timer_is_queued() || locked.armed == NEVER {
                return None;
            }
            let due = locked.armed;
            let jobs = locked.jobs.timed_mut()?;
            ended = jobs.pop_plain(due, |data| data.more.is_none())?;
            let idle = jobs.pending() == 0;
            locked.armed = NEVER;
            room_wanted = mem::take(&mut locked.room_wanted);
            let PlainCompletion {
                seqno, start, end, ..
            } = ended;
            trace::job_complete(|| (timer.context, seqno, timer.id, 0, start, end));
            all = idle || Self::go_on(timer, locked);
        }
        let PlainCompletion {
            seqno,
            end,
            data,
            segment,
            ..
        } = ended;
        if let Some(fence) = data.fence {
            fence.complete_in_interrupt(irqs_off, Ok(()), end);
        }
        timer.counters.show_completed(seqno);
        drop(order);
        drop(segment);
        timer.waiters.wake(seqno);
        if room_wanted {
            timer.events.pollers.notify_all();
        }
        Some(all)
    }

    /// Sets the timer for what comes after a job that has ended. Returns whether it is still to come.
    fn go_on(timer: &Self, locked: &mut Locked) -> bool {
        timer.tell_start(&mut locked.jobs);
        let Some(time) = locked.jobs.next_event() else {
            return true;
        };
        let later = time > ktime_get();
        if later {
            Self::rearm_by(timer, locked, time);
        }
        later
    }

    /// Completes what is due, about `most` of it, and sets the timer for what is left.
    // What it keeps on the stack is not to burden who calls it rarely.
    #[inline(never)]
    fn end_some(timer: &Self, most: usize) {
        let mut begun = None;
        let (_, all) = Self::complete(timer, most, |locked, now| {
            if begun.is_none() {
                begun = Some(now);
                locked.armed = NEVER;
            }
            locked.jobs.pop_due(now)
        });
        if !all {
            // Half of the time for everybody else.
            let now = ktime_get();
            let time = now + (now - begun.unwrap_or(now)).max(BREATHER);
            Self::rearm_by(timer, &mut timer.state.lock(), time);
        }
    }
}
