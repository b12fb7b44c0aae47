// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The crate `vfence`: batches, waits, events, counters, faults, policies and buffers.

use rustix::fd::AsFd;
use std::io::ErrorKind;
use std::time::Duration;
use vfence::uapi::vfence as uapi;
use vfence::{
    Buffer, Device, Errno, Event, Fault, FaultKind, InFencePolicy, JobState, Pattern, QueueKind,
    Status, TimeoutPolicy, TimerQueue,
};
use vfence_selftests::{assert_refused, suite, timestamp, wait};

suite![
    buffer_is_a_dma_buf,
    operations_write_and_checksum,
    buffers_order_jobs,
    worker_queue_runs_jobs,
    batch_submits_jobs,
    refused_batch_reports_the_index,
    batch_refuses_a_queue_of_another_client,
    empty_or_too_large_batch_is_refused,
    wait_any_and_wait_all,
    wait_times_out,
    wait_for_an_unknown_point_is_refused,
    export_before_and_after_completion,
    export_beyond_the_history_fails,
    job_info_follows_the_state,
    event_describes_the_job,
    try_read_events_does_not_block,
    read_events_returns_portions,
    counters_follow_the_jobs,
    counters_outlive_the_queue,
    job_ends_with_its_error,
    manual_job_ends_with_its_error,
    random_duration_is_within_bounds,
    hang_ends_at_the_timeout,
    reset_restarts_a_stopped_queue,
    in_fence_policies_treat_errors,
    earliest_deadline_is_reported,
    deadline_boosts_a_job,
    fault_plan_hits_its_jobs,
    same_seed_repeats_the_run,
    invalid_faults_are_refused,
    manual_queue_refuses_timer_options,
];

const MS: Duration = Duration::from_millis(1);

fn device() -> Device {
    Device::open().unwrap()
}

fn worker_queue_runs_jobs() {
    let device = device();
    assert!(device.capabilities().unwrap().worker_queues);
    let queue = device.worker_queue("decode").unwrap();
    let info = queue.info().unwrap();
    assert_eq!(
        (info.kind, info.name.as_str()),
        (QueueKind::Worker, "decode")
    );
    let (_, fence) = queue.job(MS).submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), Status::Signalled);
}

fn batch_submits_jobs() {
    let device = device();
    let (timer, manual) = (
        device.timer_queue("").unwrap(),
        device.manual_queue("").unwrap(),
    );
    let (_, gate) = manual.submit_with_out_fence().unwrap();
    let mut batch = device.batch();
    assert!(batch.is_empty());
    batch
        .add(timer.job(MS))
        .add_with_out_fence(timer.job(MS).wait_for(&gate))
        .add(manual.job())
        .add_with_out_fence(manual.job().error(Errno::IO));
    assert_eq!(batch.len(), 4);
    let submitted = batch.submit().unwrap();
    let seqnos: Vec<u64> = submitted.iter().map(|job| job.seqno).collect();
    assert_eq!(seqnos, [1, 2, 2, 3]);
    let fences: Vec<_> = submitted.into_iter().map(|job| job.out_fence).collect();
    assert!(fences[0].is_none() && fences[2].is_none());
    let (second, third) = (fences[1].as_ref().unwrap(), fences[3].as_ref().unwrap());
    assert_eq!(second.status().unwrap(), Status::Pending);
    assert_eq!(manual.signal(3).unwrap(), 3);
    assert_eq!(wait(second), Status::Signalled);
    assert_eq!(wait(third), Status::Failed(Errno::IO));
}

fn refused_batch_reports_the_index() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let mut batch = device.batch();
    for _ in 0..10 {
        batch.add_with_out_fence(queue.job(MS));
    }
    batch.add(queue.job(Duration::from_secs(3600)));
    let error = batch.submit().unwrap_err();
    assert_eq!(error.index, Some(10));
    assert_eq!(
        error.error.raw_os_error(),
        Some(Errno::INVAL.raw_os_error())
    );
    assert!(error.to_string().contains("job 10"));
    assert_eq!(queue.info().unwrap().submitted, 0);
}

fn batch_refuses_a_queue_of_another_client() {
    let (ours, theirs) = (device(), device());
    // Each client numbers its own queues.
    let (one, other) = (
        ours.timer_queue("").unwrap(),
        theirs.timer_queue("").unwrap(),
    );
    assert_eq!(one.id(), other.id());
    let mut batch = ours.batch();
    batch.add(one.job(MS)).add(other.job(MS));
    assert_eq!(batch.submit().unwrap_err().index, Some(1));
    assert_eq!(one.info().unwrap().submitted, 0);
}

fn empty_or_too_large_batch_is_refused() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let error = device.batch().submit().unwrap_err();
    assert_eq!(error.index, None);
    let mut batch = device.batch();
    for _ in 0..=uapi::MAX_BATCH {
        batch.add(queue.job(Duration::ZERO));
    }
    let error = std::io::Error::from(batch.submit().unwrap_err());
    assert_refused::<()>(Err(error), Errno::INVAL);
    let mut batch = device.batch();
    for _ in 0..uapi::MAX_BATCH {
        batch.add(queue.job(Duration::ZERO));
    }
    assert_eq!(batch.submit().unwrap().len(), 1024);
    assert!(queue.wait(1024, None).unwrap());
}

fn wait_any_and_wait_all() {
    let device = device();
    let queues = [(); 3].map(|()| device.manual_queue("").unwrap());
    let points = queues
        .each_ref()
        .map(|queue| queue.point(queue.submit().unwrap()));
    assert_eq!((points[2].queue(), points[2].seqno()), (queues[2].id(), 1));
    queues[1].signal(1).unwrap();
    assert_eq!(device.wait_any(&points, None).unwrap(), Some(1));
    assert!(!device.wait_all(&points, Some(Duration::ZERO)).unwrap());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| device.wait_all(&points, None));
        queues[0].signal(1).unwrap();
        queues[2].signal_with_error(1, Errno::IO).unwrap();
        assert!(waiter.join().unwrap().unwrap());
    });
}

fn wait_times_out() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let seqno = queue.submit().unwrap();
    let before = vfence::monotonic_ns();
    assert!(!queue.wait(seqno, Some(5 * MS)).unwrap());
    assert!(vfence::monotonic_ns() >= before + 5_000_000);
    let any = device.wait_any(&[queue.point(seqno)], Some(Duration::ZERO));
    assert_eq!(any.unwrap(), None);
}

fn wait_for_an_unknown_point_is_refused() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    assert_refused(queue.wait(1, None), Errno::INVAL);
    assert_refused(device.wait_all(&[], None), Errno::INVAL);
    let point = queue.point(queue.submit().unwrap());
    let points = vec![point; uapi::MAX_WAIT_POINTS as usize + 1];
    assert_refused(device.wait_any(&points, None), Errno::INVAL);
    // Another client has a queue with this id, and a job with this seqno.
    let other = self::device();
    let others = other.manual_queue("").unwrap();
    others.signal(others.submit().unwrap()).unwrap();
    assert_eq!(others.id(), point.queue());
    let points = [others.point(1), point];
    assert_ne!(points[0], points[1]);
    assert_refused(other.wait_any(&points, None), Errno::INVAL);
    assert!(other.wait_all(&points[..1], None).unwrap());
    drop(queue);
    assert_refused(device.wait_all(&[point], None), Errno::NOENT);
}

fn export_before_and_after_completion() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let seqno = queue.submit().unwrap();
    assert_refused(queue.export(seqno + 1), Errno::INVAL);
    let before = queue.export(seqno).unwrap();
    assert_eq!(before.status().unwrap(), Status::Pending);
    queue.signal_with_error(seqno, Errno::IO).unwrap();
    let after = queue.export(seqno).unwrap();
    assert_eq!(wait(&before), Status::Failed(Errno::IO));
    assert_eq!(after.status().unwrap(), Status::Failed(Errno::IO));
    assert_eq!(timestamp(&before), timestamp(&after));
}

fn export_beyond_the_history_fails() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    for _ in 0..=uapi::HISTORY {
        queue.submit().unwrap();
    }
    queue.signal(u64::from(uapi::HISTORY)).unwrap();
    assert_eq!(
        queue.export(1).unwrap().status().unwrap(),
        Status::Signalled
    );
    queue.signal(u64::from(uapi::HISTORY) + 1).unwrap();
    assert_refused(queue.export(1), Errno::NODATA);
    assert_refused(queue.job_info(1), Errno::NODATA);
    assert!(queue.wait(1, None).unwrap());
}

fn job_info_follows_the_state() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let gate = device.manual_queue("").unwrap();
    let (_, in_fence) = gate.submit_with_out_fence().unwrap();
    let seqno = queue.job(2 * MS).wait_for(&in_fence).submit().unwrap();
    let info = queue.job_info(seqno).unwrap();
    assert_eq!((info.state, info.error), (JobState::Pending, None));
    assert_eq!((info.start_ns, info.end_ns), (None, None));
    assert!(info.submitted_ns <= vfence::monotonic_ns());
    gate.signal(1).unwrap();
    assert!(queue.wait(seqno, None).unwrap());
    let info = queue.job_info(seqno).unwrap();
    assert_eq!(info.state, JobState::Completed);
    assert_eq!(info.end_ns, info.start_ns.map(|start| start + 2_000_000));
    let hang = queue.job(MS).hang().submit().unwrap();
    assert_eq!(queue.job_info(hang).unwrap().state, JobState::Running);
}

fn event_describes_the_job() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let seqno = queue.job(MS).event().error(Errno::PROTO).submit().unwrap();
    queue.job(MS).submit().unwrap();
    let events = device.read_events(10).unwrap();
    let [Event {
        point,
        error,
        submitted_ns,
        start_ns: Some(start_ns),
        end_ns,
        deadline_ns: None,
        ..
    }] = events[..]
    else {
        panic!("{events:?}");
    };
    assert_eq!(point, queue.point(seqno));
    assert_eq!(error, Some(Errno::PROTO));
    assert!(submitted_ns <= start_ns);
    assert_eq!(end_ns, start_ns + 1_000_000);
}

fn try_read_events_does_not_block() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    assert_eq!(device.try_read_events(10).unwrap(), []);
    queue.job().event().submit().unwrap();
    assert_eq!(device.try_read_events(10).unwrap(), []);
    queue.signal(1).unwrap();
    assert_eq!(device.try_read_events(10).unwrap().len(), 1);
    assert_eq!(device.try_read_events(10).unwrap(), []);
    assert_refused(device.read_events(0), Errno::INVAL);
    assert_refused(device.try_read_events(0), Errno::INVAL);
}

fn read_events_returns_portions() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    for _ in 0..100 {
        queue.job().event().submit().unwrap();
    }
    queue.signal(100).unwrap();
    let mut seqnos = Vec::new();
    while seqnos.len() < 100 {
        let events = device.read_events(33).unwrap();
        assert!((1..=33).contains(&events.len()));
        seqnos.extend(events.iter().map(|event| event.point.seqno()));
    }
    assert!(seqnos.into_iter().eq(1..=100));
}

fn counters_follow_the_jobs() {
    let device = device();
    let queue = device.build_queue("").timeout(20 * MS).timer().unwrap();
    let counters = queue.counters().unwrap();
    assert_eq!((counters.submitted(), counters.completed()), (0, 0));
    for _ in 0..50 {
        queue.job(Duration::from_micros(50)).submit().unwrap();
    }
    assert_eq!(counters.submitted(), 50);
    let last = queue.job(MS).hang().submit().unwrap();
    while counters.completed() < last {
        let info = queue.info().unwrap();
        assert!(counters.completed() >= info.completed);
        std::thread::yield_now();
    }
    assert_eq!((counters.errors(), counters.timeouts()), (1, 1));
    assert_eq!(counters.resets(), 1);
    assert_eq!(queue.reset().unwrap(), 2);
    assert_eq!(counters.resets(), 2);
}

fn counters_outlive_the_queue() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let counters = queue.counters().unwrap();
    for _ in 0..3 {
        queue.submit().unwrap();
    }
    queue.signal(1).unwrap();
    drop(queue);
    assert_eq!((counters.completed(), counters.errors()), (3, 2));
    drop(device);
    assert_eq!((counters.completed(), counters.errors()), (3, 2));
}

fn job_ends_with_its_error() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let job = queue.job(MS).error(Errno::IO);
    let (seqno, fence) = job.submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), Status::Failed(Errno::IO));
    assert_eq!(queue.job_info(seqno).unwrap().error, Some(Errno::IO));
    assert_eq!(queue.info().unwrap().errors, 1);
}

fn manual_job_ends_with_its_error() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let job = queue.job().error(Errno::IO).event();
    let (seqno, fence) = job.submit_with_out_fence().unwrap();
    queue.signal(seqno).unwrap();
    assert_eq!(fence.status().unwrap(), Status::Failed(Errno::IO));
    assert_eq!(device.read_events(1).unwrap()[0].error, Some(Errno::IO));
}

fn random_duration_is_within_bounds() {
    let device = device();
    let queue = device.build_queue("").seed(3).timer().unwrap();
    let (low, high) = (Duration::from_nanos(100), Duration::from_nanos(199));
    for _ in 0..100 {
        queue.job(low).up_to(high).event().submit().unwrap();
    }
    let mut durations = Vec::new();
    while durations.len() < 100 {
        let events = device.read_events(100).unwrap();
        durations.extend(events.iter().map(duration));
    }
    assert!(durations.iter().all(|ns| (100..200).contains(ns)));
    durations.sort_unstable();
    durations.dedup();
    assert!(durations.len() > 20);
    assert_refused(queue.job(high).up_to(low).submit(), Errno::INVAL);
}

fn duration(event: &Event) -> u64 {
    event.end_ns - event.start_ns.expect("the job ran")
}

fn hang_ends_at_the_timeout() {
    let device = device();
    let queue = device.build_queue("").timeout(10 * MS).timer().unwrap();
    assert_eq!(queue.info().unwrap().timeout, Some(10 * MS));
    let (seqno, fence) = queue.job(MS).hang().submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), Status::Failed(Errno::TIMEDOUT));
    let info = queue.job_info(seqno).unwrap();
    assert_eq!(info.end_ns, info.start_ns.map(|start| start + 10_000_000));
    let info = queue.info().unwrap();
    assert_eq!((info.timeouts, info.resets, info.stopped), (1, 1, false));
}

fn reset_restarts_a_stopped_queue() {
    let device = device();
    let queue = device
        .build_queue("")
        .timeout(10 * MS)
        .timeout_policy(TimeoutPolicy::Cancel)
        .worker()
        .unwrap();
    let hang = queue.job(MS).hang().submit().unwrap();
    let (_, behind) = queue.job(MS).submit_with_out_fence().unwrap();
    assert_eq!(wait(&behind), Status::Failed(Errno::CANCELED));
    assert_eq!(queue.job_info(hang).unwrap().error, Some(Errno::TIMEDOUT));
    assert!(queue.info().unwrap().stopped);
    assert_eq!(queue.reset().unwrap(), 1);
    assert!(!queue.info().unwrap().stopped);
    let (_, fence) = queue.job(MS).submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), Status::Signalled);
}

fn in_fence_policies_treat_errors() {
    let device = device();
    let gate = device.manual_queue("").unwrap();
    let (_, in_fence) = gate.submit_with_out_fence().unwrap();
    let queues = [
        InFencePolicy::Propagate,
        InFencePolicy::Ignore,
        InFencePolicy::Cancel,
    ]
    .map(|policy| {
        let queue = device.build_queue("").in_fence_policy(policy);
        queue.timer().unwrap()
    });
    let submit = |queue: &TimerQueue<'_>| {
        let (_, first) = queue
            .job(MS)
            .wait_for(&in_fence)
            .submit_with_out_fence()
            .unwrap();
        (first, queue.job(MS).submit_with_out_fence().unwrap().1)
    };
    let fences = queues.each_ref().map(submit);
    gate.signal_with_error(1, Errno::IO).unwrap();
    let (failed, cancelled) = (Status::Failed(Errno::IO), Status::Failed(Errno::CANCELED));
    let expected = [
        (failed, Status::Signalled),
        (Status::Signalled, Status::Signalled),
        (failed, cancelled),
    ];
    let found = fences
        .each_ref()
        .map(|(first, second)| (wait(first), wait(second)));
    assert_eq!(found, expected);
    let stopped = queues.each_ref().map(|queue| queue.info().unwrap().stopped);
    assert_eq!(stopped, [false, false, true]);
}

fn earliest_deadline_is_reported() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let job = queue.job().event();
    let (seqno, fence) = job.submit_with_out_fence().unwrap();
    fence.set_deadline(5000).unwrap();
    fence.set_deadline(7000).unwrap();
    assert_eq!(queue.job_info(seqno).unwrap().deadline_ns, Some(5000));
    queue.signal(seqno).unwrap();
    assert_eq!(device.read_events(1).unwrap()[0].deadline_ns, Some(5000));
}

fn deadline_boosts_a_job() {
    let device = device();
    let gate = device.manual_queue("").unwrap();
    let queue = device.build_queue("").boost_percent(200).timer().unwrap();
    let (_, in_fence) = gate.submit_with_out_fence().unwrap();
    let job = queue.job(20 * MS).wait_for(&in_fence);
    let (seqno, fence) = job.submit_with_out_fence().unwrap();
    fence.set_deadline(1).unwrap();
    gate.signal(1).unwrap();
    assert_eq!(wait(&fence), Status::Signalled);
    let info = queue.job_info(seqno).unwrap();
    assert_eq!(info.end_ns, info.start_ns.map(|start| start + 10_000_000));
}

/// Runs 100 jobs. Returns what their events report, except for absolute times.
fn outcome(
    device: &Device,
    queue: &TimerQueue<'_>,
) -> Vec<(u64, Option<Errno>, u64, vfence::Faults)> {
    for _ in 0..100 {
        let job = queue.job(Duration::from_nanos(100)).event();
        job.up_to(Duration::from_micros(100)).submit().unwrap();
    }
    let mut outcome = Vec::new();
    while outcome.len() < 100 {
        for event in device.read_events(100).unwrap() {
            outcome.push((
                event.point.seqno(),
                event.error,
                duration(&event),
                event.faults,
            ));
        }
    }
    outcome
}

fn fault_plan_hits_its_jobs() {
    let device = device();
    let queue = device.build_queue("").timeout(20 * MS).timer().unwrap();
    let plan = [
        Fault::every(10, FaultKind::Fail(Errno::IO)),
        Fault::every(1, FaultKind::Hang).limit(1),
        Fault::every(50, FaultKind::Delay(MS)),
        Fault::every(99, FaultKind::DropInterrupt),
    ];
    queue.set_faults(0, &plan).unwrap();
    let outcome = outcome(&device, &queue);
    for (seqno, error, duration, faults) in &outcome {
        assert_eq!(faults.fail, seqno % 10 == 0);
        assert_eq!(faults.hang, *seqno == 1);
        assert_eq!(faults.delay, seqno % 50 == 0);
        assert_eq!(faults.drop_interrupt, *seqno == 99);
        let expected = match (faults.hang, faults.fail) {
            (true, _) => Some(Errno::TIMEDOUT),
            (false, fail) => fail.then_some(Errno::IO),
        };
        assert_eq!(*error, expected);
        assert_eq!(faults.delay, *duration >= 1_000_000 && !faults.hang);
    }
    let counts = queue.info().unwrap().faults;
    assert_eq!((counts.fail, counts.hang), (10, 1));
    assert_eq!((counts.delay, counts.drop_interrupt), (2, 1));
}

fn same_seed_repeats_the_run() {
    let device = device();
    let plan = [
        Fault::with_probability(200_000, FaultKind::Fail(Errno::IO)),
        Fault::with_probability(100_000, FaultKind::Delay(Duration::from_micros(10))),
    ];
    let run = |seed| {
        let queue = device.build_queue("").seed(seed).timer().unwrap();
        queue.set_faults(seed, &plan).unwrap();
        outcome(&device, &queue)
    };
    let first = run(11);
    assert_eq!(first, run(11));
    assert_ne!(first, run(12));
    let failed = first.iter().filter(|job| job.1.is_some()).count();
    assert!((5..40).contains(&failed));
}

fn invalid_faults_are_refused() {
    let device = device();
    let queue = device.timer_queue("").unwrap();
    let refused = |fault| assert_refused(queue.set_faults(0, &[fault]), Errno::INVAL);
    refused(Fault::every(0, FaultKind::Hang));
    refused(Fault::with_probability(0, FaultKind::Hang));
    refused(Fault::with_probability(1_000_001, FaultKind::Hang));
    refused(Fault::every(1, FaultKind::Delay(Duration::ZERO)));
    let too_many = vec![Fault::every(1, FaultKind::Hang); uapi::MAX_FAULTS as usize + 1];
    assert_refused(queue.set_faults(0, &too_many), Errno::INVAL);
    assert!(queue.set_faults(0, &[]).is_ok());
    assert_eq!(outcome(&device, &queue).len(), 100);
}

fn manual_queue_refuses_timer_options() {
    let device = device();
    let queue = device.manual_queue("").unwrap();
    let (_, fence) = queue.submit_with_out_fence().unwrap();
    assert_refused(queue.job().hang().submit(), Errno::INVAL);
    assert_refused(queue.job().up_to(MS).submit(), Errno::INVAL);
    assert_refused(queue.job().wait_for(&fence).submit(), Errno::INVAL);
    assert_refused(
        device.build_queue("").boost_percent(200).manual(),
        Errno::INVAL,
    );
    let policy = InFencePolicy::Ignore;
    let refused = device.build_queue("").in_fence_policy(policy).manual();
    assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
}

fn buffer_is_a_dma_buf() {
    let device = device();
    let buffer = device.buffer(5000).unwrap();
    assert_eq!(buffer.size(), 8192);
    let again = Buffer::try_from(buffer.as_fd().try_clone_to_owned().unwrap()).unwrap();
    assert_eq!(again.size(), 8192);
    assert_refused(device.buffer(0), Errno::INVAL);
    let most = device.capabilities().unwrap().max_buffer_size;
    assert_refused(device.buffer(most + 1), Errno::NOSPC);
    let pipe = rustix::pipe::pipe().unwrap().0;
    assert_refused(Buffer::try_from(pipe), Errno::SPIPE);
}

/// Returns the CRC-32C of `count` bytes of value `byte`.
fn crc32c_of(byte: u8, count: usize) -> u64 {
    let crc = (0..count).fold(!0u32, |crc, _| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ if crc & 1 != 0 { 0x82f6_3b78 } else { 0 }
        })
    });
    u64::from(!crc)
}

fn operations_write_and_checksum() {
    let device = device();
    let queue = device.worker_queue("").unwrap();
    let (one, other) = (device.buffer(8192).unwrap(), device.buffer(8192).unwrap());
    let job = queue
        .job(Duration::ZERO)
        .fill(&one, 0..8192, Pattern::U8(1))
        .fill(&one, 4096..8192, Pattern::U32(0x0202_0202))
        .fill(&other, 0..8192, Pattern::U64(3))
        .copy(&one, 4000..5000, &other, 0)
        .crc32c(&other, 96..1000)
        .event();
    let seqno = job.submit().unwrap();
    let event = &device.read_events(1).unwrap()[0];
    assert_eq!(event.result, crc32c_of(2, 904));
    assert_eq!(queue.job_info(seqno).unwrap().result, event.result);
    let outside = queue.job(Duration::ZERO).crc32c(&one, 1..8193);
    assert_refused(outside.submit(), Errno::INVAL);
    let timer = device.timer_queue("").unwrap();
    let elsewhere = timer.job(Duration::ZERO).crc32c(&one, 0..1);
    assert_refused(elsewhere.submit(), Errno::INVAL);
}

fn buffers_order_jobs() {
    let device = device();
    let queues = [(); 3].map(|()| device.worker_queue("").unwrap());
    let buffer = device.buffer(4096).unwrap();
    let mut batch = device.batch();
    for round in 0..60 {
        let job = queues[round % 3].job(Duration::from_micros(10));
        let pattern = Pattern::U8(round as u8);
        batch.add(job.fill(&buffer, 0..4096, pattern));
    }
    batch.add(
        queues[0]
            .job(Duration::ZERO)
            .crc32c(&buffer, 0..4096)
            .event(),
    );
    // This job neither waits nor adds a fence.
    let apart = queues[1].job(Duration::ZERO).reads(&buffer);
    batch.add(apart.without_implicit_wait().without_implicit_fence());
    batch.add(queues[2].job(Duration::ZERO).writes(&buffer));
    batch.submit().unwrap();
    assert_eq!(
        device.read_events(1).unwrap()[0].result,
        crc32c_of(59, 4096)
    );
}
