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
        refusal::{
            must_be_zero,
            refuse, //
        },
        sched::fault_plan::{
            FaultKind,
            FaultPlan, //
        },
        uarg::UserArg, //
    },
};
use kernel::prelude::*;

/// `VFENCE_IOCTL_QUEUE_FAULTS`.
#[inline(never)]
pub(super) fn set(client: &Client, argument: UserArg) -> Result {
    let faults: vfence_queue_faults = argument.read()?;
    must_be_zero!("queue_faults: flags", faults.flags)?;
    let queue = client.queue(faults.queue)?;
    if queue.kind() == QueueKind::Manual {
        return Err(refuse!(
            EINVAL,
            "queue_faults: queue {} is manual",
            faults.queue
        ));
    }
    if faults.count > VFENCE_MAX_FAULTS {
        return Err(refuse!(
            EINVAL,
            "queue_faults: count {} exceeds VFENCE_MAX_FAULTS, {}",
            faults.count,
            VFENCE_MAX_FAULTS
        ));
    }
    let mut plan = FaultPlan::new(faults.seed);
    let mut drops_interrupts = false;
    for index in 0..faults.count as usize {
        let size = faults.fault_size as usize;
        let element = UserArg::element("queue_faults: faults", faults.faults, index, size)?;
        let fault = rule_from_user(&element.read()?)?;
        drops_interrupts |= fault.kind == FaultKind::DropInterrupt;
        // There is room: `count` is checked.
        plan.add(fault);
    }
    queue.set_fault_plan(plan, drops_interrupts)
}
