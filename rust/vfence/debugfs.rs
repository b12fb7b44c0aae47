// SPDX-License-Identifier: GPL-2.0

//! The text of the debugfs file `queues`.

use crate::{
    kernel_ext::dma_fence::Fence,
    vfence::{
        device::{
            Device,
            Listed, //
        },
        queue::{
            config::QueueKind,
            Queue, //
        },
        sched::types::JobState,
        sw_sync::timeline::{
            self,
            FenceInfo,
            SwSyncTimeline, //
        },
    },
};
use kernel::{
    debugfs::Writer,
    fmt,
    prelude::*,
    sync::{
        aref::ARef,
        Arc, //
    },
};

/// Most pending jobs that are listed for a queue.
const MAX_JOBS: u64 = 32;
/// Most in-fences that are listed for a job.
const MAX_IN_FENCES: usize = 8;

/// The debugfs file `queues`: all queues of the device and their oldest pending jobs.
///
/// Nothing is written with a lock held. A queue may be destroyed while it is written: its jobs have
/// completed then.
pub(crate) struct QueuesFile(pub(super) Arc<Device>);

impl Writer for QueuesFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (client, listed) in self.0.listed() {
            match listed {
                Listed::Queue(queue) => {
                    write_queue(f, client, &queue)?;
                    write_jobs(f, &queue)?;
                }
                Listed::Timeline(timeline) => write_timeline(f, client, &timeline)?,
                Listed::Client(_) => {}
            }
        }
        Ok(())
    }
}

/// Writes the line of a queue.
fn write_queue(f: &mut fmt::Formatter<'_>, client: u64, queue: &Queue) -> fmt::Result {
    let mut info = Default::default();
    queue.fill_info(&mut info);
    let stopped = if info.state == 0 { "" } else { " stopped" };
    let kind = match queue.kind() {
        QueueKind::Timer => "timer",
        QueueKind::Worker => "worker",
        QueueKind::Manual => "manual",
    };
    f.write_fmt(fmt!(
        "client {} queue {} {} {} context {} submitted {} completed {} \
         errors {} timeouts {} resets {} faults {}{}\n",
        client,
        queue.id(),
        queue.name().as_c_str(),
        kind,
        info.context,
        info.submitted,
        info.completed,
        info.errors,
        info.timeouts,
        info.resets,
        info.faults.iter().sum::<u64>(),
        stopped,
    ))
}

/// Writes the lines of a timeline of sw_sync, in the format of a queue. Its jobs are the pending
/// fences, with their values.
fn write_timeline(
    f: &mut fmt::Formatter<'_>,
    client: u64,
    timeline: &SwSyncTimeline,
) -> fmt::Result {
    let mut infos = [FenceInfo::default(); MAX_JOBS as usize];
    let totals = timeline.inspect(&mut infos);
    // Each timeout is an error, and the timeline continues like a queue after a reset.
    f.write_fmt(fmt!(
        "client {} queue {} {} sw_sync context {} submitted {} completed {} \
         errors {} timeouts {} resets {} faults 0\n",
        client,
        timeline::ID,
        timeline.name(),
        timeline.context_id(),
        totals.completed + totals.pending as u64,
        totals.completed,
        totals.timeouts,
        totals.timeouts,
        totals.timeouts,
    ))?;
    for info in infos.iter().take(totals.pending) {
        // CAST: User space set an unsigned time. 0 stands for no deadline.
        let deadline = info.deadline.map_or(0, |deadline| (deadline as u64).max(1));
        f.write_fmt(fmt!(
            "  job {} pending submitted {} start 0 deadline {} faults 0x0\n",
            info.value,
            info.created,
            deadline,
        ))?;
    }
    if totals.pending > infos.len() {
        f.write_fmt(fmt!("  and {} more jobs\n", totals.pending - infos.len()))?;
    }
    Ok(())
}

/// Writes the lines of the oldest pending jobs. Each is read under the locks of the queue and
/// written without them.
fn write_jobs(f: &mut fmt::Formatter<'_>, queue: &Queue) -> fmt::Result {
    let (first, last) = (queue.completed() + 1, queue.submitted());
    for seqno in (first..=last).take(MAX_JOBS as usize) {
        let (state, record) = match queue.job_state(seqno) {
            JobState::Pending(record) => ("pending", record),
            JobState::Running(record) => ("running", record),
            JobState::Completed(_) | JobState::Forgotten | JobState::Unknown => continue,
        };
        f.write_fmt(fmt!(
            "  job {} {} submitted {} start {} deadline {} faults {:#x}\n",
            seqno,
            state,
            record.submitted,
            record.start,
            record.deadline,
            record.faults,
        ))?;
        write_in_fences(f, queue, seqno)?;
    }
    if last >= first + MAX_JOBS {
        f.write_fmt(fmt!("  and {} more jobs\n", last + 1 - first - MAX_JOBS))?;
    }
    Ok(())
}

/// Writes the lines of the pending in-fences of a job.
fn write_in_fences(f: &mut fmt::Formatter<'_>, queue: &Queue, seqno: u64) -> fmt::Result {
    let mut fences: [Option<ARef<Fence>>; MAX_IN_FENCES] = [const { None }; MAX_IN_FENCES];
    let more = queue.with_in_fences(seqno, |in_fences| {
        // Reads only the flag: `is_signaled()` calls into the fence's driver, which takes locks.
        let mut pending = in_fences.fences().filter(|fence| !fence.signaled_flag());
        for (place, fence) in fences.iter_mut().zip(pending.by_ref()) {
            *place = Some(fence.into());
        }
        pending.count()
    });
    for fence in fences.iter().flatten().filter(|fence| !fence.is_signaled()) {
        let mut result = Ok(());
        fence.with_names(|driver, timeline| {
            result = f.write_fmt(fmt!(
                "    waits for {} {} {}:{}\n",
                driver,
                timeline,
                fence.context(),
                fence.seqno(),
            ));
        });
        result?;
    }
    match more.unwrap_or(0) {
        0 => Ok(()),
        more => f.write_fmt(fmt!("    and {} more in-fences\n", more)),
    }
}
