// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Large numbers: 10 000 pending fences, hundreds of queues, the maximum number of in-fences.
//!
//! Each case loads the module with larger limits, and with a watchdog that suits slow machines.

use std::time::Duration;
use vfence::uapi::vfence::{MAX_IN_FENCES, MAX_WAITS};
use vfence::{Device, Errno, ManualQueue, Status, SyncFile, TimerQueue};
use vfence_selftests::module::Module;
use vfence_selftests::{allow_files, assert_refused, kernel_is_slow, skip, suite, timestamp, wait};

suite![
    ten_thousand_fences_signal_in_one_call,
    many_jobs_run_back_to_back,
    many_fences_are_cancelled,
    many_queues_run,
    many_clients_close,
    many_jobs_wait_for_one_fence,
    maximum_number_of_in_fences,
    fences_of_merged_in_fences_are_limited,
    signalled_fences_of_merged_in_fences_are_limited,
    waits_of_a_client_are_limited,
];

const FENCES: u64 = 10_000;
/// A number for objects that cost more than a fence.
const MANY: u32 = 500;

fn module() -> Module {
    allow_files(FENCES + 5000);
    Module::load(&format!(
        "watchdog_ms=3600000 max_jobs={FENCES} max_queues={}",
        MAX_IN_FENCES + 1
    ))
}

/// Submits jobs to a new queue and returns their fences.
fn fill(queue: &ManualQueue<'_>, jobs: u64) -> Vec<SyncFile> {
    let fences = (1..=jobs).map(|expected| {
        let (seqno, fence) = queue.submit_with_out_fence().unwrap();
        assert_eq!(seqno, expected);
        fence
    });
    let fences = fences.collect();
    let info = queue.info().unwrap();
    assert_eq!((info.submitted, info.completed), (jobs, 0));
    fences
}

/// Asserts the status and the order of every 17th fence.
fn assert_all(fences: &[SyncFile], status: Status) {
    let mut last = 0;
    for fence in fences.iter().step_by(17) {
        let info = fence.info().unwrap();
        assert_eq!(info.status, status);
        assert!(info.timestamp_ns() >= Some(last));
        last = info.timestamp_ns().unwrap();
    }
}

fn ten_thousand_fences_signal_in_one_call() {
    let module = module();
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let fences = fill(&queue, FENCES);
    assert_refused(queue.submit(), Errno::AGAIN);
    assert_eq!(fences[0].status().unwrap(), Status::Pending);
    assert_eq!(queue.signal(1).unwrap(), 1);
    assert_eq!(fences[1].status().unwrap(), Status::Pending);
    // The completed job makes room for one.
    assert_eq!(queue.submit().unwrap(), FENCES + 1);
    assert_refused(queue.submit(), Errno::AGAIN);
    assert_eq!(u64::from(queue.signal(FENCES + 1).unwrap()), FENCES);
    assert_all(&fences, Status::Signalled);
    drop((queue, fences));
    drop(device);
    module.unload();
}

fn many_jobs_run_back_to_back() {
    let module = module();
    let device = Device::open().unwrap();
    let (gate, queue) = (
        device.manual_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    let (seqno, in_fence) = gate.submit_with_out_fence().unwrap();
    let (_, first) = queue
        .job(Duration::ZERO)
        .wait_for(&in_fence)
        .submit_with_out_fence()
        .unwrap();
    let fences: Vec<SyncFile> = (1..MANY)
        .map(|_| {
            queue
                .job(Duration::from_nanos(100))
                .submit_with_out_fence()
                .unwrap()
                .1
        })
        .collect();
    assert_eq!(queue.info().unwrap().completed, 0);
    gate.signal(seqno).unwrap();
    assert_eq!(wait(fences.last().unwrap()), Status::Signalled);
    let start = timestamp(&first);
    for (index, fence) in fences.iter().enumerate() {
        assert_eq!(timestamp(fence), start + (index as u64 + 1) * 100);
    }
    drop((gate, queue, in_fence, first, fences));
    drop(device);
    module.unload();
}

fn many_fences_are_cancelled() {
    let module = module();
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let fences = fill(&queue, u64::from(MANY));
    queue.destroy().unwrap();
    drop(device);
    module.unload();
    assert_all(&fences, Status::Failed(Errno::CANCELED));
}

fn many_queues_run() {
    let module = module();
    let device = Device::open().unwrap();
    let queues: Vec<_> = (0..MANY).map(|_| device.timer_queue("").unwrap()).collect();
    let fences: Vec<SyncFile> = queues
        .iter()
        .map(|queue| {
            queue
                .job(Duration::from_millis(5))
                .submit_with_out_fence()
                .unwrap()
                .1
        })
        .collect();
    for fence in &fences {
        assert_eq!(wait(fence), Status::Signalled);
    }
    drop(queues);
    drop(device);
    module.unload();
}

fn many_clients_close() {
    let module = module();
    let devices: Vec<Device> = (0..MANY).map(|_| Device::open().unwrap()).collect();
    for device in &devices {
        let queue = device.timer_queue("").unwrap();
        queue.job(Duration::from_secs(100)).submit().unwrap();
        // Closing the client cancels the job.
        std::mem::forget(queue);
    }
    drop(devices);
    module.unload();
}

fn many_jobs_wait_for_one_fence() {
    let module = module();
    let device = Device::open().unwrap();
    let gate = device.manual_queue("").unwrap();
    let (seqno, in_fence) = gate.submit_with_out_fence().unwrap();
    let queues: Vec<_> = (0..10).map(|_| device.timer_queue("").unwrap()).collect();
    let fences: Vec<SyncFile> = queues
        .iter()
        .cycle()
        .take(MANY as usize)
        .map(|queue| {
            let job = queue.job(Duration::ZERO).wait_for(&in_fence);
            job.submit_with_out_fence().unwrap().1
        })
        .collect();
    gate.signal(seqno).unwrap();
    for fence in &fences {
        assert_eq!(wait(fence), Status::Signalled);
        assert!(timestamp(fence) >= timestamp(&in_fence));
    }
    drop((gate, queues));
    drop(device);
    module.unload();
}

/// Creates manual queues with one pending fence each.
fn gates(device: &Device, count: u32) -> Vec<(ManualQueue<'_>, SyncFile)> {
    (0..count)
        .map(|_| {
            let gate = device.manual_queue("").unwrap();
            let (_, fence) = gate.submit_with_out_fence().unwrap();
            (gate, fence)
        })
        .collect()
}

fn maximum_number_of_in_fences() {
    let module = module();
    let device = Device::open().unwrap();
    let queue = device.timer_queue("").unwrap();
    let gates = gates(&device, MAX_IN_FENCES);
    let in_fences = gates.iter().map(|(_, fence)| fence);
    let job = queue.job(Duration::ZERO).wait_for_all(in_fences.clone());
    let (_, fence) = job.submit_with_out_fence().unwrap();
    let more = queue
        .job(Duration::ZERO)
        .wait_for_all(in_fences)
        .wait_for(&fence);
    assert_refused(more.submit(), Errno::INVAL);
    for (gate, _) in &gates {
        assert_eq!(fence.status().unwrap(), Status::Pending);
        gate.signal(1).unwrap();
    }
    assert_eq!(wait(&fence), Status::Signalled);
    drop((queue, gates));
    drop(device);
    module.unload();
}

/// Merges the fences of all gates into one sync_file.
fn merge(gates: &[(ManualQueue<'_>, SyncFile)]) -> SyncFile {
    let fences = gates
        .iter()
        .map(|(_, fence)| fence.merge(fence, "").unwrap());
    let merged = fences
        .reduce(|all, one| all.merge(&one, "").unwrap())
        .unwrap();
    assert_eq!(merged.info().unwrap().fences.len(), gates.len());
    merged
}

fn fences_of_merged_in_fences_are_limited() {
    let module = module();
    let (theirs, ours) = (Device::open().unwrap(), Device::open().unwrap());
    let gates = gates(&theirs, MAX_IN_FENCES + 1);
    let queue = ours.timer_queue("").unwrap();
    let merged: Vec<SyncFile> = gates.chunks(64).map(merge).collect();
    let (one_more, allowed) = merged.split_last().unwrap();
    let job = || queue.job(Duration::ZERO).wait_for_all(allowed);
    assert_refused(job().wait_for(one_more).submit(), Errno::NOSPC);
    assert_eq!(queue.info().unwrap().submitted, 0);
    // A second reference to the same fence is not a second wait.
    let (_, fence) = job().wait_for_all(allowed).submit_with_out_fence().unwrap();
    for (gate, _) in &gates {
        gate.signal(1).unwrap();
    }
    assert_eq!(wait(&fence), Status::Signalled);
    drop((queue, gates));
    drop((theirs, ours));
    module.unload();
}

fn signalled_fences_of_merged_in_fences_are_limited() {
    const EACH: u32 = MAX_WAITS / MAX_IN_FENCES + 1;
    let module = module();
    let device = Device::open().unwrap();
    let queue = device.timer_queue("").unwrap();
    let gates = gates(&device, EACH);
    let merged = merge(&gates);
    for (gate, _) in &gates {
        gate.signal(1).unwrap();
    }
    let job = |times| {
        queue
            .job(Duration::ZERO)
            .wait_for_all(std::iter::repeat_n(&merged, times))
    };
    assert_refused(job(MAX_IN_FENCES as usize).submit(), Errno::NOSPC);
    let (_, fence) = job((MAX_WAITS / EACH) as usize)
        .submit_with_out_fence()
        .unwrap();
    assert_eq!(wait(&fence), Status::Signalled);
    drop((queue, gates));
    drop(device);
    module.unload();
}

fn waits_of_a_client_are_limited() {
    const MOST: usize = MAX_IN_FENCES as usize;
    if kernel_is_slow() {
        return skip("65536 waits take a slow kernel a minute");
    }
    let module = module();
    let (theirs, ours) = (Device::open().unwrap(), Device::open().unwrap());
    let gates = gates(&theirs, MAX_IN_FENCES);
    let (one, other) = (ours.timer_queue("").unwrap(), ours.timer_queue("").unwrap());
    let submit = |queue: &TimerQueue<'_>, in_fences: usize| {
        let in_fences = gates.iter().map(|(_, fence)| fence).take(in_fences);
        queue.job(Duration::ZERO).wait_for_all(in_fences).submit()
    };
    for _ in 0..MAX_WAITS / MAX_IN_FENCES - 1 {
        submit(&one, MOST).unwrap();
    }
    // The limit applies to all queues of a client together.
    submit(&other, MOST - 1).unwrap();
    assert_refused(submit(&other, 2), Errno::NOSPC);
    submit(&one, 1).unwrap();
    assert_refused(submit(&one, 1), Errno::NOSPC);
    // Cancelled jobs no longer count.
    other.destroy().unwrap();
    submit(&one, MOST - 1).unwrap();
    assert_refused(submit(&one, 1), Errno::NOSPC);
    drop((one, gates));
    drop((theirs, ours));
    module.unload();
}
