// SPDX-License-Identifier: GPL-2.0

//! How jobs end: taken from the machine, and their fences signalled.

use crate::{
    kernel_ext::{
        dma_fence::{
            FenceBatch,
            PendingFence,
            SignalledFence,
            SignallingSection, //
        },
        hrtimer::HrTimerOwner,
        timekeeping::ktime_get, //
    },
    trace,
    uapi::vfence_event,
    vfence::{
        job::in_fences::Waits,
        queue::{
            counters::Done,
            CompletedJob,
            JobFence,
            Locked,
            More,
            Payload,
            Queue,
            QueueKind,
            BATCH, //
        },
        sched::{
            ring::SEGMENT_LEN,
            types::{
                self,
                JobRecord, //
            },
        },
    },
};
use core::mem;
use kernel::{
    prelude::*,
    sync::{
        MutexGuard,
        SpinLockIrqGuard, //
    },
};

/// The lock under which a queue's fences signal: `signalling`, or `state` of a manual queue.
enum Order<'a> {
    Signalling(SpinLockIrqGuard<'a, ()>),
    State(SpinLockIrqGuard<'a, Locked>),
}

impl<'a> Order<'a> {
    /// Keeps what is needed of both locks.
    fn keep(
        signalling: Option<SpinLockIrqGuard<'a, ()>>,
        state: SpinLockIrqGuard<'a, Locked>,
    ) -> Self {
        match signalling {
            Some(signalling) => Self::Signalling(signalling),
            None => Self::State(state),
        }
    }

    /// Signals a fence.
    fn complete(&self, fence: PendingFence<Queue>, error: i32, end: u64) -> SignalledFence {
        match self {
            Self::Signalling(lock) => fence.complete_with(lock, result(error), end),
            Self::State(lock) => fence.complete_with(lock, result(error), end),
        }
    }
}

impl Queue {
    /// Completes the jobs up to `seqno`, and returns how many that were.
    #[inline(always)]
    pub(crate) fn signal(queue: &Self, seqno: u64, error: i32) -> u32 {
        let next = |head| head == seqno;
        // What errors take is not to burden those without.
        let done = match error {
            0 => queue.signal_head(next, 0),
            error => queue.signal_head(next, error),
        };
        if done {
            return 1;
        }
        Self::signal_up_to(queue, seqno, error)
    }

    /// As [`Queue::signal`], whatever the jobs are.
    // What it keeps on the stack is not to burden who completes one job.
    #[inline(never)]
    fn signal_up_to(queue: &Self, seqno: u64, error: i32) -> u32 {
        let (mut completed, rest) = queue.complete_runs(seqno, error);
        if rest {
            let next = |locked: &mut Locked, now| {
                let jobs = locked.jobs.manual_mut()?;
                jobs.signal(now, seqno, error)
                    .map(CompletedJob::from_manual)
            };
            completed += Self::complete(queue, usize::MAX, next).0;
        }
        completed
    }

    /// Completes the job that is next, whichever that is. Returns how many that were: none if nothing is pending.
    ///
    /// Fails with `EINVAL` for a queue that is not a manual one.
    pub(crate) fn signal_next(queue: &Self) -> Result<u32> {
        if queue.signal_head(|_| true, 0) {
            return Ok(1);
        }
        if queue.kind != QueueKind::Manual {
            return Err(EINVAL);
        }
        loop {
            let seqno = queue.completed() + 1;
            if seqno > queue.submitted() {
                return Ok(0);
            }
            // Others may complete that one.
            match Self::signal_up_to(queue, seqno, 0) {
                0 => {}
                completed => return Ok(completed),
            }
        }
    }

    /// Completes the job that is next, if its number is `wanted`, and it has nothing but perhaps a fence. Returns whether it is so.
    ///
    /// As jobs that are still pending are not older, there is no need to set the timer.
    #[inline(always)]
    pub(crate) fn signal_head(&self, wanted: impl FnOnce(u64) -> bool, error: i32) -> bool {
        let _section = SignallingSection::begin();
        let mut guard = self.state.lock();
        let now = ktime_get();
        let locked = &mut *guard;
        let Some(jobs) = locked.jobs.manual_mut() else {
            return false;
        };
        let seqno = jobs.completed() + 1;
        if !wanted(seqno) {
            return false;
        }
        let Some((fence, spare)) = jobs.signal_next(now, error) else {
            return false;
        };
        let done = (error != 0).then(|| Done::new(seqno, jobs.totals()));
        let room_wanted = mem::take(&mut locked.room_wanted);
        let told = room_wanted || locked.waiting != 0;
        trace::job_complete(|| (self.context, seqno, self.id, error, 0, now));
        let fence = fence.map(|fence| fence.complete_with(&guard, result(error), now));
        match done {
            None => self.counters.show_completed(seqno),
            Some(done) => self.counters.show_done(&done),
        }
        drop(guard);
        drop((fence, spare));
        if told {
            self.tell(seqno, room_wanted);
        }
        true
    }

    /// Tells those who wait for jobs up to `seqno`, and those who poll if room is wanted.
    #[cold]
    fn tell(&self, seqno: u64, room_wanted: bool) {
        self.waiters.wake(seqno);
        if room_wanted {
            self.events.pollers.notify_all();
        }
    }

    /// Completes the jobs of a manual queue up to `last` that have nothing but perhaps a fence, up to the first one that has more to
    /// it. Returns how many there were, and whether there is such a one.
    ///
    /// As jobs that are still pending are not older, there is no need to set the timer.
    pub(crate) fn complete_runs(&self, last: u64, error: i32) -> (u32, bool) {
        let _section = SignallingSection::begin();
        let (mut completed, mut room_wanted) = (0, false);
        let rest = loop {
            let before = completed;
            let mut more = false;
            let (mut spare, mut row) = (None, None);
            let mut locked = self.state.lock();
            if let Some(jobs) = locked.jobs.manual_mut() {
                let now = ktime_get();
                let row = row.insert(FenceBatch::<_, SEGMENT_LEN>::new(result(error), now));
                let done = |seqno, fence: JobFence| {
                    completed += 1;
                    trace::job_complete(|| (self.context, seqno, self.id, error, 0, now));
                    if let Some(fence) = fence {
                        row.push(fence);
                    }
                };
                let wanted = |seqno, _: &JobFence| seqno <= last;
                spare = jobs.signal_run(now, error, wanted, done);
                more = jobs.completed() < last && jobs.pending() > 0;
            }
            if let Some(row) = &mut row {
                row.complete_with(&locked);
            }
            let so_far = Done::new(locked.jobs.completed(), locked.jobs.totals());
            self.counters.show_done(&so_far);
            room_wanted |= completed > before && mem::take(&mut locked.room_wanted);
            drop(locked);
            drop(spare);
            if !more || completed == before {
                break more;
            }
        };
        if completed > 0 {
            self.waiters.wake(self.completed());
        }
        if room_wanted {
            self.events.pollers.notify_all();
        }
        (completed, rest)
    }

    /// Resets the queue, and returns how often it has been.
    pub(crate) fn reset(queue: &Self) -> u64 {
        let _engine = queue.stop_engine();
        let (begun, mut resets) = (ktime_get(), None);
        // Somebody may submit all the while: what comes after the beginning is left alone.
        Self::complete(queue, usize::MAX, |locked, _| {
            if resets.is_some() {
                return None;
            }
            let jobs = &mut locked.jobs;
            jobs.pop_ended(begun).or_else(|| {
                let ended = jobs.reset(begun);
                resets = Some(jobs.totals().resets);
                ended
            })
        });
        Self::rearm(queue, &mut queue.state.lock());
        resets.unwrap_or(0)
    }

    /// Ends those jobs that are pending; nobody submits any more.
    pub(crate) fn close(queue: &Self) {
        let engine = queue.stop_engine();
        let begun = ktime_get();
        Self::complete(queue, usize::MAX, |locked, _| locked.jobs.pop_ended(begun));
        Self::complete(queue, usize::MAX, |locked, now| {
            locked.jobs.cancel(now, types::CANCELED)
        });
        drop(engine);
        // Nothing is pending, so nobody starts it again.
        queue.cancel_timer();
        if let Some(worker) = &queue.worker {
            worker.dismiss();
        }
    }

    /// Takes jobs that have ended from the machine with `next`, and signals their fences, until there are no
    /// more or about `most` has been done. Returns how many jobs have ended, and whether that is all; the timer is set then, but for a
    /// worker's queue.
    pub(crate) fn complete(
        queue: &Self,
        most: usize,
        mut next: impl FnMut(&mut Locked, u64) -> Option<CompletedJob>,
    ) -> (u32, bool) {
        let _section = SignallingSection::begin();
        let (mut completed, mut done) = (0, 0);
        let (mut all, mut room_wanted, mut reported) = (false, false, false);
        while !all && done < most {
            let before = completed;
            let signalling = queue.signalling();
            let mut left = BATCH.min(most - done);
            // Fences of jobs that have nothing else. With two places it is mostly seen at once that the first was all.
            let mut fences = [None, None];
            let (mut count, mut last) = (0, None);
            let so_far;
            let order = {
                let mut locked = queue.state.lock();
                let now = ktime_get();
                // Of jobs that nobody wants to know about, many at a time.
                while left > 0 && count < fences.len() && last.is_none() {
                    let Some(ended) = next(&mut locked, now) else {
                        all = true;
                        // A worker asks for its work first.
                        if queue.worker.is_none() {
                            Self::rearm(queue, &mut locked);
                        }
                        break;
                    };
                    completed += 1;
                    done += 1;
                    left -= 1;
                    queue.note_end(&mut locked, &ended);
                    if ended.data.more.is_some() || ended.event || ended.segment.is_some() {
                        last = Some(ended);
                    } else if let Some(fence) = ended.data.fence {
                        fences[count] = Some((fence, ended.record.error, ended.record.end));
                        count += 1;
                    }
                }
                so_far = Done::new(locked.jobs.completed(), locked.jobs.totals());
                if completed > before {
                    room_wanted |= mem::take(&mut locked.room_wanted);
                }
                Order::keep(signalling, locked)
            };
            for (fence, error, end) in fences.into_iter().flatten() {
                order.complete(fence, error, end);
            }
            let Some(ended) = last else {
                queue.counters.show_done(&so_far);
                continue;
            };
            let record = ended.record;
            let Payload { fence, more } = ended.data;
            let fence = fence.map(|fence| order.complete(fence, record.error, record.end));
            queue.counters.show_done(&so_far);
            if ended.event {
                queue.events.report(queue.event(ended.seqno, &record));
                reported = true;
            }
            drop(order);
            let (mut waits, mut work) = (None, None);
            if let Some(more) = more {
                More { waits, work } = KBox::into_inner(more);
            }
            done += waits.as_ref().map_or(0, Waits::len);
            if let (Some(worker), Some(work)) = (&queue.worker, work.take()) {
                worker.give_back(work);
            }
            // Removing callbacks takes the locks of in-fences, which others hold while they wait for `state`.
            drop((fence, waits, ended.segment));
        }
        if completed > 0 {
            queue.waiters.wake(queue.completed());
        }
        if reported {
            queue.events.notify();
        } else if room_wanted {
            queue.events.pollers.notify_all();
        }
        (completed, all)
    }

    /// Tells who traces that a job has ended, and that the next one has started.
    fn note_end(&self, locked: &mut Locked, ended: &CompletedJob) {
        let JobRecord {
            start, end, error, ..
        } = ended.record;
        trace::job_complete(|| (self.context, ended.seqno, self.id, error, start, end));
        self.tell_start(&mut locked.jobs);
    }

    /// Returns what user space is told about the end of a job.
    fn event(&self, seqno: u64, record: &JobRecord) -> vfence_event {
        vfence_event {
            queue: self.id,
            error: record.error,
            seqno,
            submitted_ns: record.submitted,
            start_ns: record.start,
            end_ns: record.end,
            deadline_ns: record.deadline,
            faults: record.faults,
            result: record.result,
            ..Default::default()
        }
    }

    /// Has the worker, if there is one, do nothing until what is returned is dropped.
    fn stop_engine(&self) -> Option<MutexGuard<'_, ()>> {
        self.worker.as_ref().map(|_| self.engine.lock())
    }

    /// Completes some of what has ended, and does some work of the job that runs. Returns whether there is nothing left for now; the
    /// timer is set then.
    pub(crate) fn work_some(queue: &Self) -> bool {
        let _section = SignallingSection::begin();
        let _engine = queue.stop_engine();
        let (_, all) = Self::complete(queue, BATCH, |locked, now| locked.jobs.pop_due(now));
        if !all {
            return false;
        }
        let work = {
            let mut locked = queue.state.lock();
            // Jobs of manual queues have no operations.
            let work = locked.jobs.timed_mut().and_then(|jobs| {
                let seqno = jobs.begin_operations()?;
                let more = jobs.data_mut(seqno)?.more.as_ref()?;
                Some((seqno, more.work.clone()?))
            });
            // When work has begun, it is something else that comes next.
            Self::rearm(queue, &mut locked);
            work
        };
        let Some((seqno, work)) = work else {
            return true;
        };
        if let Some(result) = work.step() {
            let mut locked = queue.state.lock();
            if let Some(jobs) = locked.jobs.timed_mut() {
                jobs.operations_done(ktime_get(), seqno, result);
            }
        }
        false
    }
}

/// Returns what a fence is completed with.
pub(crate) fn result(error: i32) -> Result {
    match error {
        0 => Ok(()),
        errno => Err(Error::from_errno(errno)),
    }
}
