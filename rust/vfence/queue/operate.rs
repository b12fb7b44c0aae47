// SPDX-License-Identifier: GPL-2.0

//! The duties of a queue's worker, and the means to keep it from executing operations.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        timekeeping::ktime_get, //
    },
    vfence::{
        buffer::job_operations::JobOperations,
        queue::{
            complete::{
                Bounds,
                MAX_COMPLETED, //
            },
            worker::{
                Completed,
                RunByWorker, //
            },
            Queue,
            QueueRef, //
        },
    },
};
use kernel::sync::Arc;

/// Keeps the worker of a queue from executing operations. Other tasks may do so at the same time.
pub(crate) struct StoppedOperations<'a>(&'a Queue);

impl Drop for StoppedOperations<'_> {
    fn drop(&mut self) {
        let given_up = self.0.operating.lock().resume();
        if let (true, Some(worker)) = (given_up, &self.0.worker) {
            worker.wake_operations();
        }
    }
}

impl Queue {
    /// Keeps the worker of a worker queue from executing operations until the guard is dropped.
    /// Waits for the step that it is performing.
    ///
    /// Once a fence has signalled, its job writes to no buffer. A task other than the worker must
    /// therefore not complete a job that runs without the guard.
    pub(crate) fn stop_operations(&self) -> Option<StoppedOperations<'_>> {
        self.worker.as_ref()?;
        self.stop_operations_for_good();
        Some(StoppedOperations(self))
    }

    /// Does the same as [`Queue::stop_operations`], before the queue is closed.
    pub(crate) fn stop_operations_for_good(&self) {
        if self.worker.is_some() {
            self.operating.lock().stop();
        }
    }

    /// Begins or continues the operations of the head, if they may run now, and rearms the timer.
    /// Returns the job's seqno and the operations.
    fn begin_operations(&self) -> Option<(u64, Arc<JobOperations>)> {
        let mut state = self.state.lock();
        let running = state.jobs.timed_mut().and_then(|jobs| {
            let seqno = jobs.begin_operations()?;
            let inputs = jobs.data_mut(seqno)?.inputs.as_ref()?;
            Some((seqno, inputs.operations.clone()?))
        });
        // Beginning operations changes the next event.
        self.rearm(&mut state);
        running
    }
}

impl RunByWorker for QueueRef {
    fn complete_due(&self) -> Completed {
        let _section = SignallingSection::begin();
        let (_, all) = {
            let _stopped = self.stop_operations();
            let bounds = Bounds::work(MAX_COMPLETED);
            self.complete(bounds, |state, now| state.jobs.pop_due(now))
        };
        if !all {
            return Completed::Some;
        }
        match self.begin_operations() {
            Some(_) => Completed::OperationsBegun,
            None => Completed::All,
        }
    }

    fn operate_some(&self) -> bool {
        let _section = SignallingSection::begin();
        // The job that runs is executing no operations meanwhile.
        let bounds = Bounds::work(MAX_COMPLETED);
        let (_, all) = self.complete(bounds, |state, now| state.jobs.pop_due(now));
        if !all {
            return false;
        }
        let mut operating = self.operating.lock();
        if !operating.may_continue() {
            return true;
        }
        let Some((seqno, operations)) = self.begin_operations() else {
            return true;
        };
        let result = operations.step();
        if let Some(result) = result {
            if let Some(jobs) = self.state.lock().jobs.timed_mut() {
                jobs.operations_done(ktime_get(), seqno, result);
            }
        }
        // Unlock before the reference to the operations is dropped.
        drop(operating);
        if let (Some(_), Some(worker)) = (result, &self.worker) {
            // The job has ended, or ends by its duration. This thread may be preempted for long.
            worker.wake();
        }
        false
    }
}
