// SPDX-License-Identifier: GPL-2.0

//! The text of the debugfs file `queues` and of `/proc/PID/fdinfo/FD`.

use crate::{
    kernel_ext::dma_fence::Fence,
    vfence::{
        client::Client,
        device::Device,
        queue::{
            Numbers,
            Queue,
            QueueKind, //
        },
        sched::types::JobState, //
    },
};
use kernel::{
    debugfs::Writer,
    fmt,
    prelude::*,
    seq_file::SeqFile,
    seq_print,
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
pub(crate) struct QueuesFile(pub(super) Arc<Device>);

impl Writer for QueuesFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.try_for_each(|client, queue| {
            write_queue(f, client, queue)?;
            write_jobs(f, queue)
        })
    }
}

/// Writes the line of a queue.
fn write_queue(f: &mut fmt::Formatter<'_>, client: u64, queue: &Queue) -> fmt::Result {
    let mut info = Default::default();
    queue.fill(&mut info);
    let stopped = if info.state == 0 { "" } else { " stopped" };
    let kind = match (queue.numbers(), queue.kind()) {
        (Numbers::Values, _) => "sw_sync",
        (Numbers::Jobs, QueueKind::Timer) => "timer",
        (Numbers::Jobs, QueueKind::Worker) => "worker",
        (Numbers::Jobs, QueueKind::Manual) => "manual",
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

/// Writes the lines of the oldest pending jobs. Each is read under the locks of the queue and
/// written without them. On a timeline of sw_sync, fences can be inserted in between, so that the
/// value and the times of a line may be those of two fences.
fn write_jobs(f: &mut fmt::Formatter<'_>, queue: &Queue) -> fmt::Result {
    let (first, last) = (queue.completed() + 1, queue.submitted());
    for seqno in (first..=last).take(MAX_JOBS as usize) {
        let shown = queue.shown(seqno);
        let (state, record) = match queue.job(seqno) {
            JobState::Pending(record) => ("pending", record),
            JobState::Running(record) => ("running", record),
            JobState::Completed(_) | JobState::Forgotten | JobState::Unknown => continue,
        };
        f.write_fmt(fmt!(
            "  job {} {} submitted {} start {} deadline {} faults {:#x}\n",
            shown,
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
    let more = queue.with_waits(seqno, |waits| {
        // Reads only the flag: `is_signaled()` calls into the fence's driver, which takes locks.
        let mut pending = waits.fences().filter(|fence| !fence.signaled_flag());
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

/// Writes the lines of an open file in `/proc/PID/fdinfo/FD`.
pub(crate) fn show_fdinfo(client: &Client, seq: &SeqFile) {
    let (mut queues, mut jobs) = (0, 0);
    client.for_each(|queue| {
        queues += 1;
        jobs += queue.pending();
    });
    seq_print!(seq, "vfence-queues:\t{}\n", queues);
    seq_print!(seq, "vfence-jobs:\t{}\n", jobs);
    seq_print!(seq, "vfence-events:\t{}\n", client.events.unread());
}
