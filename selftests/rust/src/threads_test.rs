// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Threads that share one client.

use rustix::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use vfence::uapi::vfence as uapi;
use vfence::{Device, Errno, Point, Status, SyncFile, TimerQueue};
use vfence_selftests::{allow_files, suite, timestamp, wait};

suite![
    threads_submit_to_one_queue,
    threads_submit_and_signal,
    threads_wait_for_each_others_jobs,
    threads_create_and_destroy_queues,
    queues_are_destroyed_during_submits,
    threads_open_and_close_clients,
    threads_poll_one_fence,
    queue_info_is_consistent,
    concurrent_batches_have_contiguous_seqnos,
    refused_batches_leave_no_gap,
    waits_and_exports_race_with_completion,
    each_event_goes_to_one_reader,
    resets_and_deadlines_race_with_jobs,
];

const THREADS: u32 = 6;
const ROUNDS: u32 = 40;

/// Runs `work` on [`THREADS`] threads; each gets its number.
fn in_threads(work: impl Fn(u32) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
}

fn threads_submit_to_one_queue() {
    allow_files(4096);
    let device = Device::open().unwrap();
    let queue = device.timer_queue("").unwrap();
    let jobs = Mutex::new(Vec::new());
    in_threads(|number| {
        for round in 0..ROUNDS {
            let duration = Duration::from_micros(u64::from((number + round) % 5) * 10);
            let job = queue.job(duration).submit_with_out_fence().unwrap();
            jobs.lock().unwrap().push(job);
        }
    });
    let mut jobs = jobs.into_inner().unwrap();
    jobs.sort_by_key(|(seqno, _)| *seqno);
    let mut last = 0;
    for (index, (seqno, fence)) in jobs.iter().enumerate() {
        assert_eq!(*seqno, index as u64 + 1);
        assert_eq!(wait(fence), Status::Signalled);
        assert!(timestamp(fence) >= last);
        last = timestamp(fence);
    }
    assert_eq!(jobs.len() as u32, THREADS * ROUNDS);
}

fn threads_submit_and_signal() {
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let completed = AtomicU32::new(0);
    in_threads(|number| {
        for round in 0..ROUNDS {
            if number % 2 == 0 {
                queue.submit().unwrap();
            } else {
                let seqno = queue.info().unwrap().submitted;
                let error = [None, Some(Errno::IO)][(round % 2) as usize];
                let count = match error {
                    None => queue.signal(seqno),
                    Some(error) => queue.signal_with_error(seqno, error),
                };
                completed.fetch_add(count.unwrap(), Ordering::Relaxed);
            }
        }
    });
    let rest = queue.signal(queue.info().unwrap().submitted).unwrap();
    assert_eq!(completed.into_inner() + rest, THREADS / 2 * ROUNDS);
}

/// Each job waits for the last job of every thread.
fn threads_wait_for_each_others_jobs() {
    allow_files(4096);
    let device = Device::open().unwrap();
    let latest: Mutex<Vec<Option<SyncFile>>> = Mutex::new((0..THREADS).map(|_| None).collect());
    let share = |fence: &SyncFile| SyncFile::from(fence.as_fd().try_clone_to_owned().unwrap());
    in_threads(|number| {
        let queue = device.timer_queue("").unwrap();
        let mut jobs = Vec::new();
        for _ in 0..ROUNDS {
            let in_fences: Vec<SyncFile> =
                latest.lock().unwrap().iter().flatten().map(share).collect();
            let job = queue
                .job(Duration::from_micros(10))
                .wait_for_all(&in_fences);
            let (_, fence) = job.submit_with_out_fence().unwrap();
            latest.lock().unwrap()[number as usize] = Some(share(&fence));
            jobs.push((in_fences, fence));
        }
        for (in_fences, fence) in jobs {
            assert_eq!(wait(&fence), Status::Signalled);
            for in_fence in in_fences {
                assert!(timestamp(&in_fence) + 10_000 <= timestamp(&fence));
            }
        }
    });
}

fn threads_create_and_destroy_queues() {
    let device = Device::open().unwrap();
    in_threads(|_| {
        for round in 0..ROUNDS {
            let queue = device.timer_queue("").unwrap();
            let duration = Duration::from_micros(u64::from(round % 3) * 100);
            let (_, fence) = queue.job(duration).submit_with_out_fence().unwrap();
            drop(queue);
            assert!([Status::Signalled, Status::Failed(Errno::CANCELED)].contains(&wait(&fence)));
        }
    });
}

fn queues_are_destroyed_during_submits() {
    let device = Device::open().unwrap();
    let current = AtomicU32::new(0);
    let done = AtomicBool::new(false);
    in_threads(|number| {
        if number == 0 {
            for _ in 0..ROUNDS {
                let queue = device.timer_queue("").unwrap();
                current.store(queue.id(), Ordering::Relaxed);
                while queue.info().unwrap().submitted == 0 {
                    thread::yield_now();
                }
            }
            done.store(true, Ordering::Relaxed);
            return;
        }
        while !done.load(Ordering::Relaxed) {
            let mut submit = uapi::Submit {
                queue: current.load(Ordering::Relaxed),
                flags: uapi::SUBMIT_OUT_FENCE,
                duration_ns: 1_000_000,
                ..Default::default()
            };
            match uapi::submit(device.as_fd(), &mut submit) {
                Ok(fence) => {
                    let status = wait(&SyncFile::from(fence.unwrap()));
                    assert!([Status::Signalled, Status::Failed(Errno::CANCELED)].contains(&status));
                }
                Err(error) => assert_eq!(error, Errno::NOENT),
            }
        }
    });
}

fn threads_open_and_close_clients() {
    in_threads(|_| {
        for _ in 0..ROUNDS {
            let device = Device::open().unwrap();
            let gate = device.manual_queue("").unwrap();
            let queue = device.timer_queue("").unwrap();
            let (_, in_fence) = gate.submit_with_out_fence().unwrap();
            let job = queue.job(Duration::ZERO).wait_for(&in_fence);
            let (_, fence) = job.submit_with_out_fence().unwrap();
            // Closing cancels both jobs, in either order.
            std::mem::forget((gate, queue));
            drop(rustix::fd::OwnedFd::from(device));
            assert_eq!(wait(&fence), Status::Failed(Errno::CANCELED));
            assert_eq!(wait(&in_fence), Status::Failed(Errno::CANCELED));
        }
    });
}

fn threads_poll_one_fence() {
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let (seqno, fence) = queue.submit_with_out_fence().unwrap();
    in_threads(|number| {
        if number == 0 {
            queue.signal(seqno).unwrap();
        }
        assert_eq!(wait(&fence), Status::Signalled);
    });
}

fn queue_info_is_consistent() {
    let device = Device::open().unwrap();
    let queue = device.timer_queue("").unwrap();
    in_threads(|number| {
        let (mut submitted, mut completed) = (0, 0);
        for _ in 0..ROUNDS {
            if number == 0 {
                queue.job(Duration::from_micros(1)).submit().unwrap();
            }
            let info = queue.info().unwrap();
            assert!(info.completed <= info.submitted);
            assert!(info.submitted >= submitted && info.completed >= completed);
            (submitted, completed) = (info.submitted, info.completed);
        }
    });
}

fn concurrent_batches_have_contiguous_seqnos() {
    let device = Device::open().unwrap();
    let (one, other) = (
        device.timer_queue("").unwrap(),
        device.worker_queue("").unwrap(),
    );
    let seqnos = Mutex::new([Vec::new(), Vec::new()]);
    in_threads(|number| {
        for round in 0..ROUNDS {
            // Either queue, or both in turns.
            let queues = [[&one, &one], [&other, &other], [&one, &other]][(round % 3) as usize];
            let mut batch = device.batch();
            for job in 0..30 {
                let duration = Duration::from_nanos(u64::from(number * job));
                batch.add(queues[job as usize % 2].job(duration));
            }
            let submitted = batch.submit().unwrap();
            let mut seqnos = seqnos.lock().unwrap();
            for (index, job) in submitted.iter().enumerate() {
                seqnos[usize::from(queues[index % 2].id() == other.id())].push(job.seqno);
            }
        }
    });
    // Each seqno was used once, without gaps.
    for (queue, mut seqnos) in [&one, &other].into_iter().zip(seqnos.into_inner().unwrap()) {
        seqnos.sort_unstable();
        let submitted = queue.info().unwrap().submitted;
        assert!(submitted > 0 && seqnos.into_iter().eq(1..=submitted));
        assert!(queue.wait(submitted, None).unwrap());
    }
}

fn refused_batches_leave_no_gap() {
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let accepted = AtomicU32::new(0);
    in_threads(|number| {
        for round in 0..ROUNDS {
            let mut batch = device.batch();
            for _ in 0..10 {
                batch.add(queue.job().event());
            }
            let refuse = (number + round) % 2 == 0;
            if refuse {
                batch.add(queue.job().hang());
            }
            match batch.submit() {
                Ok(jobs) => {
                    let first = jobs[0].seqno;
                    assert!(jobs.iter().map(|job| job.seqno).eq(first..first + 10));
                    accepted.fetch_add(10, Ordering::Relaxed);
                }
                Err(error) => assert_eq!((refuse, error.index), (true, Some(10))),
            }
        }
    });
    let accepted = u64::from(accepted.into_inner());
    assert_eq!(accepted, u64::from(THREADS * ROUNDS / 2 * 10));
    assert_eq!(queue.info().unwrap().submitted, accepted);
    queue.signal(accepted).unwrap();
    let mut events = Vec::new();
    while events.len() < accepted as usize {
        events.extend(device.try_read_events(1000).unwrap());
    }
    assert_eq!(device.try_read_events(1).unwrap(), []);
}

fn waits_and_exports_race_with_completion() {
    allow_files(4096);
    let device = Device::open().unwrap();
    let queues = [
        device.timer_queue("").unwrap(),
        device.worker_queue("").unwrap(),
    ];
    in_threads(|number| {
        let queue = &queues[(number % 2) as usize];
        let counters = queue.counters().unwrap();
        for round in 0..ROUNDS {
            let duration = Duration::from_micros(u64::from((number + round) % 4) * 50);
            let seqno = queue.job(duration).submit().unwrap();
            match round % 3 {
                0 => {
                    assert!(queue.wait(seqno, None).unwrap());
                    assert!(counters.completed() >= seqno);
                }
                1 => {
                    // The same fence, whether the job is pending, running or completed.
                    let fence = queue.export(seqno).unwrap();
                    assert_eq!(wait(&fence), Status::Signalled);
                    let info = queue.job_info(seqno).unwrap();
                    assert_eq!(info.end_ns, Some(timestamp(&fence)));
                }
                _ => {
                    // The last job of each queue with jobs; this one has some.
                    let last = |queue: &TimerQueue<'_>| {
                        let seqno = queue.info().unwrap().submitted;
                        (seqno > 0).then(|| queue.point(seqno))
                    };
                    let points: Vec<Point> = queues.iter().filter_map(last).collect();
                    assert!(device.wait_any(&points, None).unwrap().is_some());
                    assert!(device.wait_all(&points, None).unwrap());
                }
            }
        }
    });
}

fn each_event_goes_to_one_reader() {
    const JOBS: usize = (THREADS / 2 * ROUNDS * 5) as usize;
    let device = Device::open().unwrap();
    let queue = device.worker_queue("").unwrap();
    let seqnos = Mutex::new(Vec::new());
    in_threads(|number| {
        if number % 2 == 0 {
            for _ in 0..ROUNDS {
                let mut batch = device.batch();
                for _ in 0..5 {
                    batch.add(queue.job(Duration::from_nanos(500)).event());
                }
                batch.submit().unwrap();
            }
            return;
        }
        while seqnos.lock().unwrap().len() < JOBS {
            let events = device.try_read_events(1 + number as usize).unwrap();
            let mut seqnos = seqnos.lock().unwrap();
            seqnos.extend(events.iter().map(|event| event.point.seqno()));
        }
    });
    let mut seqnos = seqnos.into_inner().unwrap();
    seqnos.sort_unstable();
    assert!(seqnos.into_iter().eq(1..=JOBS as u64));
}

fn resets_and_deadlines_race_with_jobs() {
    allow_files(4096);
    let device = Device::open().unwrap();
    let queue = device.build_queue("").boost_percent(1000).timer().unwrap();
    let resets = AtomicU32::new(0);
    in_threads(|number| {
        for round in 0..ROUNDS {
            if number == 0 {
                queue.reset().unwrap();
                resets.fetch_add(1, Ordering::Relaxed);
                continue;
            }
            let job = queue.job(Duration::from_micros(200));
            let (_, fence) = job.submit_with_out_fence().unwrap();
            fence.set_deadline(u64::from(round % 2)).unwrap();
            assert!([Status::Signalled, Status::Failed(Errno::CANCELED)].contains(&wait(&fence)));
        }
    });
    let info = queue.info().unwrap();
    assert_eq!(info.resets, u64::from(resets.into_inner()));
    assert_eq!(info.completed, u64::from((THREADS - 1) * ROUNDS));
    assert!(info.errors <= info.resets);
}
