// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_QUEUE_FAULTS`: reads the fault plan of a queue.

use crate::{
    uapi::{
        vfence_queue_faults,
        VFENCE_MAX_FAULTS, //
    },
    vfence::{
        client::Client,
        faults::rule_from_user,
        queue::config::QueueKind,
        sched::fault_plan::{
            FaultKind,
            FaultPlan, //
        },
        uarg::{
            must_be_zero,
            UserArg, //
        },
    },
};
use kernel::prelude::*;

/// `VFENCE_IOCTL_QUEUE_FAULTS`.
#[inline(never)]
pub(super) fn set(client: &Client, argument: UserArg) -> Result {
    let faults: vfence_queue_faults = argument.read()?;
    must_be_zero(faults.flags)?;
    let queue = client.queue(faults.queue)?;
    if queue.kind() == QueueKind::Manual || faults.count > VFENCE_MAX_FAULTS {
        return Err(EINVAL);
    }
    let mut plan = FaultPlan::new(faults.seed);
    let mut drops_interrupts = false;
    for index in 0..faults.count as usize {
        let element = UserArg::element(faults.faults, index, faults.fault_size as usize)?;
        let fault = rule_from_user(&element.read()?)?;
        drops_interrupts |= fault.kind == FaultKind::DropInterrupt;
        if !plan.add(fault) {
            return Err(EINVAL);
        }
    }
    queue.set_fault_plan(plan, drops_interrupts)
}
