// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Many threads on one client.

use rustix::fd::AsFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use vfence::uapi::vfence as uapi;
use vfence::{Device, Errno, Status, SyncFile};
use vfence_selftests::{allow_files, suite, timestamp, wait};

suite![
    all_submit_to_one_queue,
    some_submit_and_some_signal,
    all_wait_for_each_other,
    queues_come_and_go,
    queues_go_while_others_submit,
    clients_come_and_go,
    many_poll_one_fence,
    info_is_consistent,
];

const THREADS: u32 = 6;
const ROUNDS: u32 = 40;

/// Runs `work` in many threads, which get their number.
fn in_threads(work: impl Fn(u32) + Sync) {
    thread::scope(|scope| {
        for number in 0..THREADS {
            let work = &work;
            scope.spawn(move || work(number));
        }
    });
}

fn all_submit_to_one_queue() {
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

fn some_submit_and_some_signal() {
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
fn all_wait_for_each_other() {
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

fn queues_come_and_go() {
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

fn queues_go_while_others_submit() {
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

fn clients_come_and_go() {
    in_threads(|_| {
        for _ in 0..ROUNDS {
            let device = Device::open().unwrap();
            let gate = device.manual_queue("").unwrap();
            let queue = device.timer_queue("").unwrap();
            let (_, in_fence) = gate.submit_with_out_fence().unwrap();
            let job = queue.job(Duration::ZERO).wait_for(&in_fence);
            let (_, fence) = job.submit_with_out_fence().unwrap();
            // Closing cancels both, in whatever order.
            std::mem::forget((gate, queue));
            drop(rustix::fd::OwnedFd::from(device));
            assert_eq!(wait(&fence), Status::Failed(Errno::CANCELED));
            assert_eq!(wait(&in_fence), Status::Failed(Errno::CANCELED));
        }
    });
}

fn many_poll_one_fence() {
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

fn info_is_consistent() {
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
