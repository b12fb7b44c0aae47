// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The watchdog at its default of 2 s: every fence signals in bounded time.
//!
//! The timeout counts from when a job becomes the head of a timer queue, and from the submission of
//! a manual job. Timestamps follow the schedule: they are exact however late the interrupt comes.
//!
//! The cases run concurrently, because they mostly wait.

use std::time::Duration;
use vfence::{monotonic_ns, Device, Errno, Status, SyncFile, TimerQueue};
use vfence_selftests::{parallel_suite, timestamp, wait};

parallel_suite![
    late_in_fence_times_out,
    queue_continues_after_a_timeout,
    duration_counts_towards_the_timeout,
    longest_duration_completes,
    time_in_the_queue_does_not_count,
    manual_job_times_out,
    manual_jobs_time_out_from_their_submission,
    manual_queue_continues_after_a_timeout,
    timeout_propagates_to_waiting_jobs,
];

const TIMED_OUT: Status = Status::Failed(Errno::TIMEDOUT);
const MS: Duration = Duration::from_millis(1);

fn device() -> Device {
    Device::open().unwrap()
}

fn bound(device: &Device) -> Duration {
    device
        .capabilities()
        .unwrap()
        .watchdog
        .expect("the module is loaded with a watchdog")
}

fn bound_ns(device: &Device) -> u64 {
    bound(device).as_nanos() as u64
}

/// Returns a fence that signals after 1.5 times the watchdog.
fn late_fence(device: &Device, queue: &TimerQueue<'_>) -> SyncFile {
    let duration = bound(device) * 3 / 4;
    queue.job(duration).submit().unwrap();
    queue.job(duration).submit_with_out_fence().unwrap().1
}

fn late_in_fence_times_out() {
    let device = device();
    let (slow, queue) = (
        device.timer_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    let in_fence = late_fence(&device, &slow);
    let before = monotonic_ns();
    let (_, fence) = queue
        .job(MS)
        .wait_for(&in_fence)
        .submit_with_out_fence()
        .unwrap();
    let after = monotonic_ns();
    assert_eq!(wait(&fence), TIMED_OUT);
    assert!(timestamp(&fence) >= before + bound_ns(&device));
    assert!(timestamp(&fence) <= after + bound_ns(&device));
    // The in-fence still signals, with no job waiting.
    assert_eq!(wait(&in_fence), Status::Signalled);
    assert!(timestamp(&fence) < timestamp(&in_fence));
}

fn queue_continues_after_a_timeout() {
    let device = device();
    let (slow, queue) = (
        device.timer_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    let in_fence = late_fence(&device, &slow);
    let (_, stuck) = queue
        .job(MS)
        .wait_for(&in_fence)
        .submit_with_out_fence()
        .unwrap();
    let (_, next) = queue.job(MS).submit_with_out_fence().unwrap();
    assert_eq!(wait(&next), Status::Signalled);
    assert_eq!(wait(&stuck), TIMED_OUT);
    assert_eq!(timestamp(&next), timestamp(&stuck) + 1_000_000);
}

fn duration_counts_towards_the_timeout() {
    let device = device();
    let (gate, queue) = (
        device.manual_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    let (seqno, in_fence) = gate.submit_with_out_fence().unwrap();
    let job = queue.job(bound(&device)).wait_for(&in_fence);
    let (_, fence) = job.submit_with_out_fence().unwrap();
    // The job starts a little after it became the head, so it would end too late.
    gate.signal(seqno).unwrap();
    assert_eq!(wait(&in_fence), Status::Signalled);
    assert_eq!(wait(&fence), TIMED_OUT);
}

fn longest_duration_completes() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let before = monotonic_ns();
    let (_, fence) = queue.job(bound(&device)).submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), Status::Signalled);
    assert!(timestamp(&fence) >= before + bound_ns(&device));
}

fn time_in_the_queue_does_not_count() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    assert_eq!(wait(&late_fence(&device, &queue)), Status::Signalled);
    assert_eq!(queue.info().unwrap().completed, 2);
}

fn manual_job_times_out() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let before = monotonic_ns();
    let (seqno, fence) = queue.submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), TIMED_OUT);
    assert!(timestamp(&fence) >= before + bound_ns(&device));
    assert_eq!(queue.info().unwrap().completed, 1);
    assert_eq!(queue.signal(seqno).unwrap(), 0);
    assert_eq!(fence.status().unwrap(), TIMED_OUT);
}

fn manual_jobs_time_out_from_their_submission() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let mut last = monotonic_ns() + bound_ns(&device);
    let fences = [(); 3].map(|()| queue.submit_with_out_fence().unwrap().1);
    let after = monotonic_ns();
    for fence in &fences {
        assert_eq!(wait(fence), TIMED_OUT);
        assert!(timestamp(fence) >= last);
        last = timestamp(fence);
    }
    assert!(last <= after + bound_ns(&device));
}

fn manual_queue_continues_after_a_timeout() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let (_, stuck) = queue.submit_with_out_fence().unwrap();
    assert_eq!(wait(&stuck), TIMED_OUT);
    let (seqno, next) = queue.submit_with_out_fence().unwrap();
    assert_eq!(next.status().unwrap(), Status::Pending);
    assert_eq!(queue.signal(seqno).unwrap(), 1);
    assert_eq!(wait(&next), Status::Signalled);
}

fn timeout_propagates_to_waiting_jobs() {
    let device = device();
    let (gate, queue) = (
        device.manual_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    let (_, stuck) = gate.submit_with_out_fence().unwrap();
    let (_, fence) = queue
        .job(MS)
        .wait_for(&stuck)
        .submit_with_out_fence()
        .unwrap();
    assert_eq!(wait(&fence), TIMED_OUT);
    assert_eq!(wait(&stuck), TIMED_OUT);
}
