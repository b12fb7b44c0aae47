// SPDX-License-Identifier: GPL-2.0

//! Reading the state of a queue and of its jobs.

use crate::{
    kernel_ext::timekeeping::ktime_get,
    uapi::{
        vfence_queue_info,
        VFENCE_QUEUE_STOPPED, //
    },
    vfence::{
        job::in_fences::InFenceWait,
        queue::{
            Queue,
            QueueRef, //
        },
        sched::types::JobState, //
    },
};
use kernel::prelude::*;

impl Queue {
    /// Fills in everything in `info` that describes the queue.
    pub(crate) fn fill_info(&self, info: &mut vfence_queue_info) {
        info.kind = self.kind.to_user();
        info.context = self.context;
        for (to, from) in info.name.iter_mut().zip(self.name.as_bytes()) {
            *to = *from as c_char;
        }
        let _order = self.lock_signalling();
        let jobs = &self.state.lock().jobs;
        let totals = jobs.totals();
        info.submitted = jobs.submitted();
        info.completed = jobs.completed();
        info.errors = totals.errors;
        info.timeouts = totals.timeouts;
        info.resets = totals.resets;
        info.timeout_ns = jobs.timeout().unwrap_or(0);
        info.faults = [0; 8];
        for (to, from) in info.faults.iter_mut().zip(totals.faults) {
            *to = from;
        }
        info.state = if jobs.stopped() {
            VFENCE_QUEUE_STOPPED
        } else {
            0
        };
    }

    /// Returns the state of a job. The fence of a job that is reported as completed has signalled.
    pub(crate) fn job_state(&self, seqno: u64) -> JobState {
        let _order = self.lock_signalling();
        self.state.lock().jobs.state(ktime_get(), seqno)
    }

    /// Calls `f` with the in-fences of a job, if it is pending and had pending in-fences when it
    /// was submitted. `f` runs under `state`.
    pub(crate) fn with_in_fences<R>(
        &self,
        seqno: u64,
        f: impl FnOnce(&InFenceWait<QueueRef>) -> R,
    ) -> Option<R> {
        let mut state = self.state.lock();
        state.jobs.timed_mut()?.data_mut(seqno)?.in_fences().map(f)
    }
}
