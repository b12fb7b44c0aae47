// SPDX-License-Identifier: GPL-2.0

//! `VFENCE_IOCTL_QUEUE_FAULTS`: reads the fault plan of a queue.

use crate::{
    uapi::{
        vfence_fault,
        vfence_fault_kind_VFENCE_FAULT_DELAY as DELAY,
        vfence_fault_kind_VFENCE_FAULT_DROP_INTERRUPT as DROP_INTERRUPT,
        vfence_fault_kind_VFENCE_FAULT_FAIL as FAIL,
        vfence_fault_kind_VFENCE_FAULT_HANG as HANG,
        vfence_queue_faults,
        VFENCE_MAX_FAULTS, //
    },
    vfence::{
        client::Client,
        queue::config::QueueKind,
        sched::fault_plan::{
            FaultKind,
            FaultPlan,
            FaultRule,
            FaultTrigger, //
        },
        uarg::{
            must_be_errno,
            must_be_zero,
            UserArg, //
        },
    },
};
use kernel::prelude::*;

// The scheduler's fault kinds are the header's: user space sees them as bits.
const _: () = assert!(
    FaultKind::Fail as u32 == FAIL
        && FaultKind::Hang as u32 == HANG
        && FaultKind::Delay as u32 == DELAY
        && FaultKind::DropInterrupt as u32 == DROP_INTERRUPT
        && FaultPlan::MAX_RULES == VFENCE_MAX_FAULTS as usize
);

/// The probability 1, in millionths.
const ALWAYS: u32 = 1_000_000;

/// `VFENCE_IOCTL_QUEUE_FAULTS`.
pub(super) fn set(client: &Client, argument: &UserArg) -> Result {
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

/// Returns the rule that user space describes. Fails with `EINVAL` if its fields contradict each
/// other.
fn rule_from_user(fault: &vfence_fault) -> Result<FaultRule> {
    let kind = match fault.kind {
        FAIL => FaultKind::Fail,
        HANG => FaultKind::Hang,
        DELAY => FaultKind::Delay,
        DROP_INTERRUPT => FaultKind::DropInterrupt,
        _ => return Err(EINVAL),
    };
    must_be_errno(fault.error)?;
    if (fault.error != 0) != (kind == FaultKind::Fail)
        || (fault.delay_ns != 0) != (kind == FaultKind::Delay)
    {
        return Err(EINVAL);
    }
    let trigger = match (fault.every, fault.probability) {
        (1.., 0) => FaultTrigger::Every(fault.every),
        (0, 1..=ALWAYS) => FaultTrigger::Probability(fault.probability),
        _ => return Err(EINVAL),
    };
    Ok(FaultRule {
        kind,
        trigger,
        error: fault.error,
        delay: fault.delay_ns,
        remaining: match fault.limit {
            0 => u64::MAX,
            limit => limit,
        },
        since_last: 0,
    })
}
