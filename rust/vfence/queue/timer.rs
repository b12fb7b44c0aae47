// SPDX-License-Identifier: GPL-2.0

//! The timer of a queue: it is started for the next event of the scheduler, and its interrupt
//! completes jobs or wakes the worker. The backlog completes the rest.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        hrtimer::HrTimerOwner,
        timekeeping::ktime_get, //
    },
    trace,
    vfence::{
        backlog::CompleteSome,
        budget::{
            Charge,
            SLACK, //
        },
        job::in_fences::InFenceWait,
        queue::{
            complete::{
                Bounds,
                Wake,
                MAX_COMPLETED, //
            },
            config::QueueKind,
            Queue,
            QueueRef,
            QueueScheduler,
            QueueState, //
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

/// Most jobs and in-fences, roughly, that the backlog completes before another queue's turn. A
/// queue waits for one turn of each queue before it.
const TURN: usize = 16;

impl HrTimerCallback for Queue {
    type Pointer<'a> = Pin<&'a Self>;

    fn run(queue: Pin<&Self>, ctx: HrTimerCallbackContext<'_, Self>) -> HrTimerRestart {
        let queue = queue.get_ref();
        // `expiry` stays in the past, so that nothing starts the timer before the backlog does.
        let Some(charge) = queue.budget.begin(queue.timer_expires()) else {
            queue.backlog.push();
            return HrTimerRestart::NoRestart;
        };
        if let Some(worker) = &queue.worker {
            queue.state.lock().expiry = NEVER;
            worker.wake();
            return HrTimerRestart::NoRestart;
        }
        let irqs_disabled = Self::irqs_disabled(&ctx).filter(|_| queue.kind == QueueKind::Timer);
        let plain = irqs_disabled.and_then(|irqs_off| queue.expire_plain(irqs_off, &charge));
        if plain != Some(true) {
            queue.expire(&charge);
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
            trace::job_start(|event| event(self.context, seqno, self.id, start));
            self.trace_run(jobs, seqno);
        }
    }

    /// Completes the job that the timer was started for, if it succeeds, and has neither an
    /// event nor a long wait.
    ///
    /// Returns whether nothing else is due soon; the timer is rearmed then. Returns `None`, with no
    /// job completed, for any other job.
    #[inline]
    fn expire_plain(
        &self,
        irqs_disabled: &LocalInterruptDisabled,
        charge: &Charge<'_>,
    ) -> Option<bool> {
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
                !data.in_fences().is_some_and(InFenceWait::is_long)
            })?;
            let idle = jobs.pending() == 0;
            state.expiry = NEVER;
            let PlainCompletion {
                seqno, start, end, ..
            } = job;
            trace::job_complete(|event| event(self.context, seqno, self.id, 0, start, end));
            self.trace_done(seqno);
            wake = Wake::take(state, seqno);
            all = idle || self.rearm_next(state, charge);
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
    /// is due, or soon. Returns whether it is not, and no callback of an in-fence must be armed.
    fn rearm_next(&self, state: &mut QueueState, charge: &Charge<'_>) -> bool {
        if state.head_is_long() || !self.poll_head(state) {
            return false;
        }
        self.trace_start(&mut state.jobs);
        self.rearm_if_far(state, charge)
    }

    /// Rearms the timer in its interrupt unless the next event is due, or soon. Returns whether it
    /// is not.
    fn rearm_if_far(&self, state: &mut QueueState, charge: &Charge<'_>) -> bool {
        let Some(time) = state.jobs.next_event() else {
            return true;
        };
        let far = charge.is_far(time, ktime_get());
        if far {
            self.rearm_at(state, time);
        }
        far
    }

    /// Completes jobs that are due, as long as the interrupt may, and rearms the timer for the
    /// rest or leaves it to the backlog.
    // Out of line: `expire_plain()` must not pay for its stack frame.
    #[inline(never)]
    fn expire(&self, charge: &Charge<'_>) {
        let all = self.complete_expired(Bounds {
            work: MAX_COMPLETED,
            until: charge.until(),
            in_interrupt: true,
        });
        if !all || !self.rearm_if_far(&mut self.state.lock(), charge) {
            self.backlog.push();
        }
    }

    /// Completes jobs that are due, after the timer has expired. Returns whether no more are due.
    fn complete_expired(&self, bounds: Bounds) -> bool {
        let mut expired = true;
        let (_, all) = self.complete(bounds, |state, now| {
            if mem::take(&mut expired) {
                state.expiry = NEVER;
            }
            state.jobs.pop_due(now)
        });
        all
    }
}

impl CompleteSome for QueueRef {
    fn complete_some(&self) -> bool {
        if let Some(worker) = &self.worker {
            self.state.lock().expiry = NEVER;
            worker.wake();
            return true;
        }
        let all = self.complete_expired(Bounds::work(TURN));
        if all {
            let mut state = self.state.lock();
            if let Some(time) = state.jobs.next_event() {
                // Not sooner, so that more jobs are due then; and together with other queues.
                let time = time.max(ktime_get() + SLACK);
                if time < state.expiry {
                    state.expiry = time;
                    self.start_timer_range(time, SLACK);
                }
            }
        }
        all
    }
}
