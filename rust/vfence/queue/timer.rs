// SPDX-License-Identifier: GPL-2.0

//! The timer of a queue: it is started for the next event of the scheduler, and its interrupt
//! completes jobs or wakes the worker.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        hrtimer::HrTimerOwner,
        timekeeping::ktime_get, //
    },
    trace,
    vfence::{
        job::in_fences::InFenceWait,
        pause::end_of_pause,
        queue::{
            complete::{
                Wake,
                MAX_COMPLETED, //
            },
            config::QueueKind,
            Queue,
            QueueScheduler,
            QueueState, //
        },
        sched::{
            timed::PlainCompletion,
            types::NEVER, //
        },
    },
};
use kernel::{
    interrupt::LocalInterruptDisabled,
    prelude::*,
    time::hrtimer::{
        HrTimerCallback,
        HrTimerCallbackContext,
        HrTimerRestart, //
    },
};

/// Most in-fences of a job that `expire_plain()` completes: it does not count them.
const MAX_PLAIN_IN_FENCES: usize = 16;

impl HrTimerCallback for Queue {
    type Pointer<'a> = Pin<&'a Self>;

    fn run(queue: Pin<&Self>, ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let queue = queue.get_ref();
        if let Some(worker) = &queue.worker {
            queue.state.lock().expiry = NEVER;
            worker.wake();
            return HrTimerRestart::NoRestart;
        }
        let irqs_disabled = Self::irqs_disabled(&ctx).filter(|_| queue.kind == QueueKind::Timer);
        match irqs_disabled.and_then(|irqs_disabled| queue.expire_plain(irqs_disabled)) {
            Some(true) => {}
            Some(false) => queue.expire(MAX_COMPLETED - 1 - MAX_PLAIN_IN_FENCES),
            None => queue.expire(MAX_COMPLETED),
        }
        HrTimerRestart::NoRestart
    }
}

impl Queue {
    /// Starts the timer for the next event of the scheduler, if there is one and the timer expires
    /// later.
    pub(crate) fn rearm(&self, state: &mut QueueState) {
        if let Some(time) = state.jobs.next_event() {
            self.rearm_at(state, time);
        }
    }

    /// Starts the timer for `time`, in ns, unless it expires earlier.
    fn rearm_at(&self, state: &mut QueueState, time: u64) {
        if time < state.expiry {
            state.expiry = time;
            self.start_timer(time);
        }
    }

    /// Traces the start of the head, once. Jobs of a manual queue do not start.
    pub(crate) fn trace_start(&self, jobs: &mut QueueScheduler) {
        let start = jobs.timed_mut().and_then(|jobs| jobs.take_start());
        if let Some((seqno, start)) = start {
            trace::job_start(|| (self.context, seqno, self.id, start));
        }
    }

    /// Completes the job that the timer was started for, if it succeeds, has no event, and at most
    /// [`MAX_PLAIN_IN_FENCES`] in-fences.
    ///
    /// Returns whether nothing else is due; the timer is rearmed then. Returns `None`, with no job
    /// completed, for any other job.
    #[inline]
    fn expire_plain(&self, irqs_disabled: &LocalInterruptDisabled) -> Option<bool> {
        let _section = SignallingSection::begin();
        let order = self.signalling.lock_with(irqs_disabled);
        let (job, wake, all);
        {
            let mut guard = self.state.lock_with(irqs_disabled);
            let state = &mut *guard;
            if self.timer_is_queued() || state.expiry == NEVER {
                return None;
            }
            // The timer is started under `state`, so the time it was last started for has passed.
            let due = state.expiry;
            let jobs = state.jobs.timed_mut()?;
            job = jobs.pop_plain(due, |data| {
                let in_fences = data.in_fences().map_or(0, InFenceWait::len);
                in_fences <= MAX_PLAIN_IN_FENCES
            })?;
            let idle = jobs.pending() == 0;
            state.expiry = NEVER;
            let PlainCompletion {
                seqno, start, end, ..
            } = job;
            trace::job_complete(|| (self.context, seqno, self.id, 0, start, end));
            wake = Wake::take(state, seqno);
            all = idle || self.rearm_next(state);
        }
        let PlainCompletion {
            seqno,
            end,
            data,
            segment,
            ..
        } = job;
        let fence = data
            .fence
            .map(|fence| fence.complete_in_interrupt(irqs_disabled, Ok(()), end));
        self.finish(order, seqno, None, (fence, data.inputs, segment));
        self.wake(wake);
        Some(all)
    }

    /// Traces the start of the job that has become the head, and rearms the timer unless its event
    /// is due already. Returns whether it is not, and no callback of an in-fence must be armed.
    fn rearm_next(&self, state: &mut QueueState) -> bool {
        if !self.poll_head(state) {
            return false;
        }
        self.trace_start(&mut state.jobs);
        let Some(time) = state.jobs.next_event() else {
            return true;
        };
        let later = time > ktime_get();
        if later {
            self.rearm_at(state, time);
        }
        later
    }

    /// Completes the jobs that are due, about `max` of them, and rearms the timer for the rest.
    // Out of line: `expire_plain()` must not pay for its stack frame.
    #[inline(never)]
    fn expire(&self, max: usize) {
        let mut begun = None;
        let (_, all) = self.complete(max, |state, now| {
            if begun.is_none() {
                begun = Some(now);
                state.expiry = NEVER;
            }
            state.jobs.pop_due(now)
        });
        if let (false, Some(begun)) = (all, begun) {
            let time = end_of_pause(begun);
            self.rearm_at(&mut self.state.lock(), time);
        }
    }
}
