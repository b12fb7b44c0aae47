// SPDX-License-Identifier: GPL-2.0

//! What happens when a queue's timer expires.

use super::{
    super::machine::NEVER,
    Queue,
    BATCH, //
};
use crate::kernel_ext::{
    hrtimer::{
        Expire,
        HrTimer, //
    },
    timekeeping::ktime_get, //
};

/// How long an interrupt then leaves the processor to others at least, in ns.
const BREATHER: u64 = 20_000;

impl Expire for Queue {
    fn expire(timer: &HrTimer<Self>) {
        if let Some(worker) = &timer.worker {
            timer.state.lock().armed = NEVER;
            worker.wake();
            return;
        }
        let mut begun = None;
        let (_, all) = Self::complete(timer, BATCH, |locked, now| {
            if begun.is_none() {
                begun = Some(now);
                locked.armed = NEVER;
            }
            locked.jobs.advance(now)
        });
        if !all {
            // Half of the time for everybody else.
            let now = ktime_get();
            let time = now + (now - begun.unwrap_or(now)).max(BREATHER);
            Self::rearm_by(timer, &mut timer.state.lock(), time);
        }
    }
}
