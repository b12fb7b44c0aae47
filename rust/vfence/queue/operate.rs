// SPDX-License-Identifier: GPL-2.0

//! One run of the worker of a queue.

use crate::{
    kernel_ext::{
        dma_fence::SignallingSection,
        timekeeping::ktime_get, //
    },
    vfence::queue::{
        complete::MAX_COMPLETED,
        worker::RunByWorker,
        QueueRef, //
    },
};

impl RunByWorker for QueueRef {
    fn run_some(&self) -> bool {
        let _section = SignallingSection::begin();
        let _operating = self.stop_operations();
        let (_, all) = self.complete(MAX_COMPLETED, |state, now| state.jobs.pop_due(now));
        if !all {
            return false;
        }
        let running = {
            let mut state = self.state.lock();
            let running = state.jobs.timed_mut().and_then(|jobs| {
                let seqno = jobs.begin_operations()?;
                let inputs = jobs.data_mut(seqno)?.inputs.as_ref()?;
                Some((seqno, inputs.operations.clone()?))
            });
            // Beginning operations changes the next event.
            self.rearm(&mut state);
            running
        };
        let Some((seqno, operations)) = running else {
            return true;
        };
        if let Some(result) = operations.step() {
            if let Some(jobs) = self.state.lock().jobs.timed_mut() {
                jobs.operations_done(ktime_get(), seqno, result);
            }
        }
        false
    }
}
