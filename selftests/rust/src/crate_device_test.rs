// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The crate `vfence`: devices, queues, single jobs and sync_files.

use rustix::fd::{AsFd, OwnedFd};
use std::time::Duration;
use vfence::uapi::vfence as uapi;
use vfence::{Device, Errno, QueueKind, Status, SyncFile};
use vfence_selftests::{assert_refused, suite, timestamp, wait};

suite![
    capabilities_are_reported,
    faulting_call_returns_efault,
    device_is_made_from_a_descriptor,
    timer_queue_has_its_name,
    manual_queue_has_a_default_name,
    invalid_name_is_refused,
    drop_destroys_the_queue,
    destroy_cancels_jobs,
    destroy_of_a_destroyed_queue_fails,
    job_takes_its_duration,
    job_waits_for_in_fences,
    out_fence_is_optional,
    duration_beyond_the_watchdog_is_refused,
    signal_completes_jobs,
    signal_sets_the_error,
    create_fence_and_signal_next,
    wait_returns_whether_the_fence_signalled,
    info_describes_a_pending_fence,
    info_describes_a_signalled_fence,
    merge_waits_for_both_fences,
    deadline_reaches_the_job,
    sync_file_is_made_from_a_descriptor,
];

const MS: Duration = Duration::from_millis(1);

fn device() -> Device {
    Device::open().unwrap()
}

fn capabilities_are_reported() {
    let capabilities = device().capabilities().unwrap();
    assert_eq!(capabilities.api_version, uapi::API_VERSION);
    assert!(capabilities.timer_queues && capabilities.manual_queues);
    assert_eq!(capabilities.watchdog, Some(Duration::from_secs(2)));
    assert!(capabilities.max_queues > 0 && capabilities.max_jobs > 0);
}

fn faulting_call_returns_efault() {
    let device = device();
    let null = std::ptr::null_mut();
    // SAFETY: The address is NULL, so the kernel writes nothing.
    let result = unsafe { vfence::uapi::any(device.as_fd(), uapi::IOCTL_QUERY, null) };
    assert_eq!(result, Err(Errno::FAULT));
}

fn device_is_made_from_a_descriptor() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let other = Device::from_fd(device.as_fd().try_clone_to_owned().unwrap()).unwrap();
    let mut info = uapi::QueueInfo {
        queue: queue.id(),
        ..Default::default()
    };
    assert_eq!(uapi::queue_info(other.as_fd(), &mut info), Ok(()));
    assert_eq!(info.context, queue.context());
}

fn timer_queue_has_its_name() {
    let device = device();
    let queue = device.timer_queue("decode").unwrap();
    let info = queue.info().unwrap();
    assert_eq!(
        (info.kind, info.name.as_str()),
        (QueueKind::Timer, "decode")
    );
    assert_eq!((info.submitted, info.completed), (0, 0));
    assert_eq!(info.context, queue.context());
}

fn manual_queue_has_a_default_name() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let info = queue.info().unwrap();
    assert_eq!(info.kind, QueueKind::Manual);
    assert_eq!(info.name, format!("queue{}", queue.id()));
}

fn invalid_name_is_refused() {
    let device = device();
    assert_refused(device.timer_queue("with\0nul"), Errno::INVAL);
    assert_refused(device.timer_queue(&"x".repeat(32)), Errno::INVAL);
    assert!(device.timer_queue(&"x".repeat(31)).is_ok());
}

fn drop_destroys_the_queue() {
    let device = device();
    let (_, fence) = device
        .manual_queue("")
        .unwrap()
        .submit_with_out_fence()
        .unwrap();
    assert_eq!(wait(&fence), Status::Failed(Errno::CANCELED));
}

fn destroy_cancels_jobs() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let (_, fence) = queue
        .job(Duration::from_secs(1))
        .submit_with_out_fence()
        .unwrap();
    queue.destroy().unwrap();
    assert_eq!(fence.status().unwrap(), Status::Failed(Errno::CANCELED));
}

fn destroy_of_a_destroyed_queue_fails() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let mut destroy = uapi::QueueDestroy {
        queue: queue.id(),
        ..Default::default()
    };
    uapi::queue_destroy(device.as_fd(), &mut destroy).unwrap();
    assert_refused(queue.info(), Errno::NOENT);
    assert_refused(queue.destroy(), Errno::NOENT);
}

fn job_takes_its_duration() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let before = vfence::monotonic_ns();
    let (seqno, fence) = queue.job(5 * MS).submit_with_out_fence().unwrap();
    assert_eq!(seqno, 1);
    assert_eq!(wait(&fence), Status::Signalled);
    assert!(timestamp(&fence) >= before + 5_000_000);
    assert_eq!(queue.info().unwrap().completed, 1);
}

fn job_waits_for_in_fences() {
    let device = device();
    let (gate, queue) = (
        device.manual_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    let in_fences: Vec<SyncFile> = (0..3)
        .map(|_| gate.submit_with_out_fence().unwrap().1)
        .collect();
    let (_, first) = queue
        .job(MS)
        .wait_for_all(&in_fences)
        .submit_with_out_fence()
        .unwrap();
    let (_, second) = queue
        .job(MS)
        .wait_for(&first)
        .submit_with_out_fence()
        .unwrap();
    gate.signal(2).unwrap();
    assert_eq!(first.status().unwrap(), Status::Pending);
    gate.signal(3).unwrap();
    assert_eq!(wait(&second), Status::Signalled);
    assert!(timestamp(&first) >= timestamp(&in_fences[2]) + 1_000_000);
    assert!(timestamp(&second) >= timestamp(&first) + 1_000_000);
}

fn out_fence_is_optional() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    assert_eq!(queue.job(MS).submit().unwrap(), 1);
    assert_eq!(queue.job(MS).submit().unwrap(), 2);
}

fn duration_beyond_the_watchdog_is_refused() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    assert_refused(queue.job(Duration::from_secs(3)).submit(), Errno::INVAL);
    assert_refused(queue.job(Duration::MAX).submit(), Errno::INVAL);
    assert_eq!(queue.info().unwrap().submitted, 0);
}

fn signal_completes_jobs() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    for seqno in 1..=3 {
        assert_eq!(queue.submit().unwrap(), seqno);
    }
    assert_eq!(queue.signal(2).unwrap(), 2);
    assert_eq!(queue.signal(2).unwrap(), 0);
    assert_refused(queue.signal(4), Errno::INVAL);
    let info = queue.info().unwrap();
    assert_eq!((info.submitted, info.completed), (3, 2));
}

fn create_fence_and_signal_next() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    assert!(!queue.signal_next().unwrap());
    let fences: Vec<_> = (0..3).map(|_| queue.create_fence().unwrap()).collect();
    for (index, fence) in fences.iter().enumerate() {
        assert_eq!(fence.status().unwrap(), Status::Pending);
        assert!(queue.signal_next().unwrap());
        assert_eq!(fence.status().unwrap(), Status::Signalled);
        assert_eq!(queue.info().unwrap().completed, index as u64 + 1);
    }
    assert!(!queue.signal_next().unwrap());
}

fn signal_sets_the_error() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let (seqno, fence) = queue.submit_with_out_fence().unwrap();
    assert_eq!(queue.signal_with_error(seqno, Errno::IO).unwrap(), 1);
    assert_eq!(wait(&fence), Status::Failed(Errno::IO));
}

fn wait_returns_whether_the_fence_signalled() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let (seqno, fence) = queue.submit_with_out_fence().unwrap();
    assert!(!fence.wait(Some(Duration::ZERO)).unwrap());
    assert!(!fence.wait(Some(MS)).unwrap());
    queue.signal(seqno).unwrap();
    assert!(fence.wait(Some(Duration::ZERO)).unwrap());
    assert!(fence.wait(Some(Duration::MAX)).unwrap());
    assert!(fence.wait(None).unwrap());
}

fn info_describes_a_pending_fence() {
    let device = device();
    let queue = device.manual_queue("render").unwrap();
    let (_, fence) = queue.submit_with_out_fence().unwrap();
    let info = fence.info().unwrap();
    assert_eq!(info.status, Status::Pending);
    assert_eq!(info.timestamp_ns(), None);
    let [only] = info.fences.as_slice() else {
        panic!("{} fences instead of one", info.fences.len());
    };
    assert_eq!(
        (only.driver.as_str(), only.timeline.as_str()),
        ("vfence", "render")
    );
}

fn info_describes_a_signalled_fence() {
    let device = device();
    let queue = device.manual_queue("render").unwrap();
    let before = vfence::monotonic_ns();
    let (seqno, fence) = queue.submit_with_out_fence().unwrap();
    queue.signal(seqno).unwrap();
    let info = fence.info().unwrap();
    assert_eq!(info.status, Status::Signalled);
    assert!(info.timestamp_ns().unwrap() >= before);
    assert_eq!(info.fences[0].driver, "detached-driver");
    assert_eq!(info.fences[0].timeline, "signaled-timeline");
}

fn merge_waits_for_both_fences() {
    let device = device();
    let queues = [(); 2].map(|()| device.manual_queue("").unwrap());
    let [one, other] = queues
        .each_ref()
        .map(|queue| queue.submit_with_out_fence().unwrap().1);
    let merged = one.merge(&other, "both").unwrap();
    assert_refused(one.merge(&other, &"x".repeat(32)), Errno::INVAL);
    let info = merged.info().unwrap();
    assert_eq!((info.name.as_str(), info.fences.len()), ("both", 2));
    queues[0].signal(1).unwrap();
    assert_eq!(merged.status().unwrap(), Status::Pending);
    assert_eq!(merged.info().unwrap().timestamp_ns(), None);
    queues[1].signal(1).unwrap();
    assert_eq!(wait(&merged), Status::Signalled);
    assert_eq!(timestamp(&merged), timestamp(&one).max(timestamp(&other)));
}

fn deadline_reaches_the_job() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let (seqno, fence) = queue.submit_with_out_fence().unwrap();
    fence.set_deadline(5000).unwrap();
    assert_eq!(queue.job_info(seqno).unwrap().deadline_ns, Some(5000));
}

fn sync_file_is_made_from_a_descriptor() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let (seqno, fence) = queue.submit_with_out_fence().unwrap();
    let fence = SyncFile::from(OwnedFd::from(fence));
    assert_eq!(fence.status().unwrap(), Status::Pending);
    queue.signal(seqno).unwrap();
    assert_eq!(wait(&fence), Status::Signalled);
}
