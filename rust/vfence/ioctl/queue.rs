// SPDX-License-Identifier: GPL-2.0

//! The ioctls of the device and of its queues: query, create, destroy, info, reset, signal.

use crate::{
    uapi::{
        vfence_in_fence_policy_VFENCE_IN_FENCE_CANCEL as IN_FENCE_CANCEL,
        vfence_in_fence_policy_VFENCE_IN_FENCE_IGNORE as IN_FENCE_IGNORE,
        vfence_in_fence_policy_VFENCE_IN_FENCE_PROPAGATE as IN_FENCE_PROPAGATE,
        vfence_query,
        vfence_queue_create,
        vfence_queue_destroy,
        vfence_queue_info,
        vfence_queue_reset,
        vfence_signal,
        vfence_timeout_policy_VFENCE_TIMEOUT_CANCEL as TIMEOUT_CANCEL,
        vfence_timeout_policy_VFENCE_TIMEOUT_CONTINUE as TIMEOUT_CONTINUE,
        VFENCE_API_VERSION,
        VFENCE_CAP_BUFFER,
        VFENCE_CAP_MANUAL_QUEUE,
        VFENCE_CAP_TIMER_QUEUE,
        VFENCE_CAP_WORKER_QUEUE,
        VFENCE_MAX_BOOST_PERCENT, //
    },
    vfence::{
        client::Client,
        limits::Limits,
        queue::{
            name::Name,
            Config,
            Queue,
            QueueKind, //
        },
        sched::types::{
            InFencePolicy,
            QueuePolicy,
            TimeoutPolicy, //
        },
        uarg::{
            must_be_errno,
            must_be_zero,
            UserArg, //
        },
    },
};
use core::mem::offset_of;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

pub(crate) fn query(argument: &UserArg) -> Result {
    let query: vfence_query =
        argument.read_versioned(&[offset_of!(vfence_query, max_buffer_size)])?;
    must_be_zero(query.flags)?;
    let limits = Limits::get();
    argument.write(&vfence_query {
        api_version: VFENCE_API_VERSION,
        capabilities: u64::from(
            VFENCE_CAP_TIMER_QUEUE
                | VFENCE_CAP_MANUAL_QUEUE
                | VFENCE_CAP_WORKER_QUEUE
                | VFENCE_CAP_BUFFER,
        ),
        watchdog_ns: limits.watchdog.unwrap_or(0),
        max_queues: limits.max_queues,
        max_jobs: limits.max_jobs,
        max_buffer_size: limits.max_buffer,
        ..query
    })
}

pub(crate) fn create(client: &Client, argument: &UserArg) -> Result {
    let mut create: vfence_queue_create =
        argument.read_versioned(&[offset_of!(vfence_queue_create, timeout_ns)])?;
    must_be_zero(create.flags)?;
    must_be_zero(create.pad)?;
    must_be_zero(create.pad2)?;
    let limits = Limits::get();
    let kind = QueueKind::from_user(create.kind)?;
    let rules = rules(kind, &limits, &create)?;
    let (name, seed) = (create.name, create.seed);
    let config = |id| {
        Ok(Config {
            kind,
            name: Name::from_user(&name, id)?,
            rules,
            seed,
        })
    };
    client.create(limits, config, |queue| {
        create.queue = queue.id();
        create.context = queue.context_id();
        // The offset of a mapping is in pages.
        create.counters_offset = u64::from(queue.id()) * PAGE_SIZE as u64;
        argument.write(&create)
    })
}

/// Returns how the queue is to behave. Fails with `EINVAL` if that cannot be.
fn rules(kind: QueueKind, limits: &Limits, create: &vfence_queue_create) -> Result<QueuePolicy> {
    let timeout = match create.timeout_ns {
        0 => limits.watchdog,
        // It never comes.
        u64::MAX if limits.watchdog.is_none() => None,
        timeout if limits.watchdog.is_none_or(|watchdog| timeout <= watchdog) => Some(timeout),
        _ => return Err(EINVAL),
    };
    let in_fence = match create.in_fence_policy {
        IN_FENCE_PROPAGATE => InFencePolicy::Propagate,
        IN_FENCE_IGNORE => InFencePolicy::Ignore,
        IN_FENCE_CANCEL => InFencePolicy::Cancel,
        _ => return Err(EINVAL),
    };
    let on_timeout = match create.timeout_policy {
        TIMEOUT_CONTINUE => TimeoutPolicy::Continue,
        TIMEOUT_CANCEL => TimeoutPolicy::Cancel,
        _ => return Err(EINVAL),
    };
    let boost = match create.boost_percent {
        0 => 100,
        percent @ 100..=VFENCE_MAX_BOOST_PERCENT => percent,
        _ => return Err(EINVAL),
    };
    if kind == QueueKind::Manual && (create.in_fence_policy != 0 || create.boost_percent != 0) {
        return Err(EINVAL);
    }
    Ok(QueuePolicy {
        timeout,
        on_in_fence_error: in_fence,
        on_timeout,
        boost_percent: u64::from(boost),
    })
}

pub(crate) fn destroy(client: &Client, argument: &UserArg) -> Result {
    let destroy: vfence_queue_destroy = argument.read()?;
    must_be_zero(destroy.flags)?;
    client.destroy(destroy.queue)
}

pub(crate) fn info(client: &Client, argument: &UserArg) -> Result {
    let mut info: vfence_queue_info =
        argument.read_versioned(&[offset_of!(vfence_queue_info, errors)])?;
    must_be_zero(info.flags)?;
    must_be_zero(info.pad)?;
    must_be_zero(info.pad2)?;
    client.queue(info.queue)?.fill(&mut info);
    argument.write(&info)
}

pub(crate) fn reset(client: &Client, argument: &UserArg) -> Result {
    let mut reset: vfence_queue_reset = argument.read()?;
    must_be_zero(reset.flags)?;
    let queue = client.queue(reset.queue)?;
    // What cannot be written is to be found out while nothing has happened yet.
    argument.write(&reset)?;
    reset.resets = Queue::reset(&queue);
    // Only who unmaps the argument meanwhile does not get to know it; the call has not failed.
    let _ = argument.write(&reset);
    Ok(())
}

// The stack of others is not to burden it.
#[inline(never)]
pub(crate) fn signal(client: &Client, argument: &UserArg) -> Result {
    let signal: vfence_signal = argument.read()?;
    must_be_zero(signal.flags)?;
    must_be_errno(signal.error)?;
    let queue = client.queue(signal.queue)?;
    queue.can_signal(signal.seqno)?;
    // What cannot be written is to be found out while nothing has happened yet. It is right if nobody else does something meanwhile.
    // CAST: A queue has no more jobs than that.
    let expected = signal.seqno.saturating_sub(queue.completed()) as u32;
    argument.write_field(offset_of!(vfence_signal, completed), &expected)?;
    let completed = Queue::signal(&queue, signal.seqno, signal.error);
    if completed != expected {
        // Only who unmaps the argument meanwhile does not get to know it; the call has not failed.
        let _ = argument.write_field(offset_of!(vfence_signal, completed), &completed);
    }
    Ok(())
}
