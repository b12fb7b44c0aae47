// SPDX-License-Identifier: GPL-2.0

//! What is to be seen from outside: `queues` in debugfs, and `/proc/PID/fdinfo`.

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

/// How many pending jobs of a queue are shown, and how many in-fences of a job.
const JOBS: u64 = 32;
const IN_FENCES: usize = 8;

/// All queues, as debugfs shows them.
pub(crate) struct QueuesFile(pub(super) Arc<Device>);

impl Writer for QueuesFile {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.try_for_each(|client, queue| {
            write_queue(f, client, queue)?;
            write_jobs(f, queue)
        })
    }
}

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
    f.write_fmt(fmt!("client {} queue {} {} {} context {} submitted {} completed {} errors {} timeouts {} resets {} faults {}{}\n",
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

/// Writes about the oldest pending jobs, one at a time: no lock is held while it is written. While others create fences of sw_sync, a line may
/// have the value of one and the times of another.
fn write_jobs(f: &mut fmt::Formatter<'_>, queue: &Queue) -> fmt::Result {
    let (first, last) = (queue.completed() + 1, queue.submitted());
    for seqno in (first..=last).take(JOBS as usize) {
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
    if last >= first + JOBS {
        f.write_fmt(fmt!("  and {} more jobs\n", last + 1 - first - JOBS))?;
    }
    Ok(())
}

/// Writes what a job waits for still.
fn write_in_fences(f: &mut fmt::Formatter<'_>, queue: &Queue, seqno: u64) -> fmt::Result {
    let mut fences: [Option<ARef<Fence>>; IN_FENCES] = [const { None }; IN_FENCES];
    let more = queue.with_waits(seqno, |waits| {
        // Their drivers must not be asked under a lock.
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

/// Writes about an open file of the device.
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
