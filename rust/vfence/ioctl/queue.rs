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
            config::{
                QueueConfig,
                QueueKind, //
            },
            name::QueueName, //
        },
        refusal::{
            must_be_errno,
            must_be_zero,
            refuse, //
        },
        sched::types::{
            InFencePolicy,
            QueuePolicy,
            TimeoutPolicy, //
        },
        uarg::UserArg, //
    },
};
use core::mem::offset_of;
use kernel::{
    page::PAGE_SIZE,
    prelude::*, //
};

/// `VFENCE_IOCTL_QUERY`.
#[inline(never)]
pub(super) fn query(client: &Client, argument: UserArg) -> Result {
    let query: vfence_query =
        argument.read_versioned(&[offset_of!(vfence_query, max_buffer_size)])?;
    must_be_zero!("query: flags", query.flags)?;
    let limits = client.device().limits();
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

/// `VFENCE_IOCTL_QUEUE_CREATE`.
#[inline(never)]
pub(super) fn create(client: &Client, argument: UserArg) -> Result {
    let mut create: vfence_queue_create =
        argument.read_versioned(&[offset_of!(vfence_queue_create, timeout_ns)])?;
    must_be_zero!("queue_create: flags", create.flags)?;
    must_be_zero!("queue_create: pad", create.pad)?;
    must_be_zero!("queue_create: pad2", create.pad2)?;
    let limits = client.device().limits();
    let kind = QueueKind::from_user(create.kind)?;
    let policy = policy_from_user(kind, &limits, &create)?;
    let (name, seed) = (create.name, create.seed);
    let config = |id| {
        Ok(QueueConfig {
            kind,
            name: QueueName::from_user(&name, id)?,
            owner: client.trace_owner(),
            policy,
            seed,
        })
    };
    client.create_queue(limits, config, |queue| {
        create.queue = queue.id();
        create.context = queue.context_id();
        // The offset of a mapping counts pages; `Client::mmap()` takes it for the id.
        create.counters_offset = u64::from(queue.id()) * PAGE_SIZE as u64;
        argument.write(&create)
    })
}

/// Returns the policy that user space asks for. Fails with `EINVAL` for an unknown policy, a
/// timeout beyond the watchdog, a boost out of range, and for policies of in-fences or a boost on a
/// manual queue.
fn policy_from_user(
    kind: QueueKind,
    limits: &Limits,
    create: &vfence_queue_create,
) -> Result<QueuePolicy> {
    let timeout = match create.timeout_ns {
        0 => limits.watchdog,
        u64::MAX if limits.watchdog.is_none() => None,
        timeout if limits.watchdog.is_none_or(|watchdog| timeout <= watchdog) => Some(timeout),
        timeout => {
            let watchdog = limits.watchdog.unwrap_or(u64::MAX);
            return Err(refuse!(
                EINVAL,
                "queue_create: timeout_ns {} exceeds the watchdog's {}",
                timeout,
                watchdog
            ));
        }
    };
    let on_in_fence_error = match create.in_fence_policy {
        IN_FENCE_PROPAGATE => InFencePolicy::Propagate,
        IN_FENCE_IGNORE => InFencePolicy::Ignore,
        IN_FENCE_CANCEL => InFencePolicy::Cancel,
        policy => {
            return Err(refuse!(
                EINVAL,
                "queue_create: in_fence_policy {} is unknown",
                policy
            ))
        }
    };
    let on_timeout = match create.timeout_policy {
        TIMEOUT_CONTINUE => TimeoutPolicy::Continue,
        TIMEOUT_CANCEL => TimeoutPolicy::Cancel,
        policy => {
            return Err(refuse!(
                EINVAL,
                "queue_create: timeout_policy {} is unknown",
                policy
            ))
        }
    };
    let boost_percent = match create.boost_percent {
        0 => 100,
        percent @ 100..=VFENCE_MAX_BOOST_PERCENT => percent,
        percent => {
            return Err(refuse!(
                EINVAL,
                "queue_create: boost_percent {} is neither 0 nor from 100 to {}",
                percent,
                VFENCE_MAX_BOOST_PERCENT
            ))
        }
    };
    if kind == QueueKind::Manual && create.in_fence_policy != 0 {
        return Err(refuse!(
            EINVAL,
            "queue_create: a manual queue has no in_fence_policy"
        ));
    }
    if kind == QueueKind::Manual && create.boost_percent != 0 {
        return Err(refuse!(
            EINVAL,
            "queue_create: a manual queue has no boost_percent"
        ));
    }
    Ok(QueuePolicy {
        timeout,
        on_in_fence_error,
        on_timeout,
        boost_percent: u64::from(boost_percent),
    })
}

/// `VFENCE_IOCTL_QUEUE_DESTROY`.
#[inline(never)]
pub(super) fn destroy(client: &Client, argument: UserArg) -> Result {
    let destroy: vfence_queue_destroy = argument.read()?;
    must_be_zero!("queue_destroy: flags", destroy.flags)?;
    client.destroy_queue(destroy.queue)
}

/// `VFENCE_IOCTL_QUEUE_INFO`.
#[inline(never)]
pub(super) fn info(client: &Client, argument: UserArg) -> Result {
    let mut info: vfence_queue_info =
        argument.read_versioned(&[offset_of!(vfence_queue_info, errors)])?;
    must_be_zero!("queue_info: flags", info.flags)?;
    must_be_zero!("queue_info: pad", info.pad)?;
    must_be_zero!("queue_info: pad2", info.pad2)?;
    client.queue(info.queue)?.fill_info(&mut info);
    argument.write(&info)
}

/// `VFENCE_IOCTL_QUEUE_RESET`.
#[inline(never)]
pub(super) fn reset(client: &Client, argument: UserArg) -> Result {
    let mut reset: vfence_queue_reset = argument.read()?;
    must_be_zero!("queue_reset: flags", reset.flags)?;
    let queue = client.queue(reset.queue)?;
    // Write the reply first, so that `EFAULT` has no side effects.
    argument.write(&reset)?;
    reset.resets = queue.reset();
    // The reset has happened: the call succeeds even if another thread has unmapped the argument.
    let _ = argument.write(&reset);
    Ok(())
}

/// `VFENCE_IOCTL_SIGNAL`.
#[inline(never)]
pub(super) fn signal(client: &Client, argument: UserArg) -> Result {
    let signal: vfence_signal = argument.read()?;
    must_be_zero!("signal: flags", signal.flags)?;
    must_be_errno!("signal: error", signal.error)?;
    let queue = client.queue(signal.queue)?;
    queue.check_signal(signal.seqno)?;
    // Write the reply first, so that `EFAULT` has no side effects. Unless another thread
    // interferes, it is right. CAST: A queue has fewer pending jobs.
    let expected = signal.seqno.saturating_sub(queue.completed()) as u32;
    argument.write_field(offset_of!(vfence_signal, completed), &expected)?;
    let completed = queue.signal(signal.seqno, signal.error);
    if completed != expected {
        // The jobs have completed: the call succeeds even if another thread has unmapped the
        // argument.
        let _ = argument.write_field(offset_of!(vfence_signal, completed), &completed);
    }
    Ok(())
}
