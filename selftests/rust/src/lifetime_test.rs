// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Loads and unloads `vfence`: its parameters, and fences that outlive the module.

use rustix::fd::{AsFd, AsRawFd};
use rustix::ioctl::{opcode, Opcode};
use rustix::mm::{mmap_anonymous, mprotect, munmap, MapFlags, MprotectFlags, ProtFlags};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use vfence::{uapi::vfence as uapi, Device, Errno, Pattern, Status, SyncFile};
use vfence_selftests::child::Child;
use vfence_selftests::module::Module;
use vfence_selftests::{assert_refused, suite, timestamp, wait};

suite![
    module_loads_and_unloads,
    sysfs_has_the_version,
    completed_fences_outlive_the_module,
    pending_fence_outlives_the_module,
    merged_fence_outlives_the_module,
    pending_jobs_do_not_keep_the_module,
    poll_continues_during_unload,
    fence_of_a_previous_load_serves_as_in_fence,
    open_device_refuses_unload,
    module_loads_twenty_times_under_load,
    unread_events_do_not_keep_the_module,
    batches_do_not_keep_the_module,
    refused_queues_do_not_keep_the_module,
    worker_queues_do_not_keep_the_module,
    exported_fence_outlives_the_module,
    buffers_keep_the_module,
    close_ends_operations,
    counters_page_keeps_the_module,
    killed_reader_closes_the_client,
    killed_waiter_closes_the_client,
    killed_submitter_closes_the_client,
    child_keeps_the_client_open,
    deadlines_race_with_unload,
    watchdog_ms_sets_the_watchdog,
    watchdog_ms_of_zero_lifts_the_watchdog,
    max_queues_and_max_jobs_are_limits,
    invalid_parameters_are_refused,
];

fn module_loads_and_unloads() {
    Module::load("").unload();
    assert_refused(Device::open(), Errno::NOENT);
}

fn sysfs_has_the_version() {
    let _module = Module::load("");
    let version = std::fs::read_to_string("/sys/module/vfence/version").unwrap();
    assert_eq!(version.trim(), env!("CARGO_PKG_VERSION"));
}

fn completed_fences_outlive_the_module() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let (manual, timer) = (
        device.manual_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    let (_, good) = timer
        .job(Duration::from_millis(1))
        .submit_with_out_fence()
        .unwrap();
    assert_eq!(wait(&good), Status::Signalled);
    let (seqno, bad) = manual.submit_with_out_fence().unwrap();
    manual.signal_with_error(seqno, Errno::IO).unwrap();
    let before = [&good, &bad].map(|fence| fence.info().unwrap());
    drop((manual, timer));
    drop(device);
    module.unload();
    assert_eq!([&good, &bad].map(|fence| fence.info().unwrap()), before);
    assert_eq!(
        [&good, &bad].map(wait),
        [Status::Signalled, Status::Failed(Errno::IO)]
    );
}

fn pending_fence_outlives_the_module() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let (_, fence) = {
        let queue = device.manual_queue("").unwrap();
        let fence = queue.submit_with_out_fence().unwrap();
        // Closing the device cancels the job, not dropping the queue.
        std::mem::forget(queue);
        fence
    };
    assert_eq!(fence.status().unwrap(), Status::Pending);
    drop(device);
    module.unload();
    assert_eq!(wait(&fence), Status::Failed(Errno::CANCELED));
    assert!(timestamp(&fence) > 0);
}

fn merged_fence_outlives_the_module() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queues = [(); 2].map(|()| device.manual_queue("").unwrap());
    let [one, other] = queues
        .each_ref()
        .map(|queue| queue.submit_with_out_fence().unwrap().1);
    let merged = one.merge(&other, "").unwrap();
    drop(queues);
    drop(device);
    module.unload();
    assert_eq!(wait(&merged), Status::Failed(Errno::CANCELED));
    drop((one, other));
    assert_eq!(wait(&merged), Status::Failed(Errno::CANCELED));
}

fn pending_jobs_do_not_keep_the_module() {
    let module = Module::load("");
    let devices = [(); 2].map(|()| Device::open().unwrap());
    let gate = devices[0].manual_queue("").unwrap();
    let [running, waiting] = [(); 2].map(|()| devices[1].timer_queue("").unwrap());
    let (_, in_fence) = gate.submit_with_out_fence().unwrap();
    let job = running.job(Duration::from_secs(2));
    let (_, runs) = job.submit_with_out_fence().unwrap();
    let job = waiting.job(Duration::from_secs(1)).wait_for(&in_fence);
    let (_, waits) = job.submit_with_out_fence().unwrap();
    // Closing the devices cancels the jobs, not dropping the queues.
    std::mem::forget((gate, running, waiting));
    drop(devices);
    module.unload();
    for fence in [&in_fence, &runs, &waits] {
        assert_eq!(wait(fence), Status::Failed(Errno::CANCELED));
    }
}

fn poll_continues_during_unload() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let (_, fence) = queue.submit_with_out_fence().unwrap();
    std::mem::forget(queue);
    thread::scope(|scope| {
        let poller = scope.spawn(|| wait(&fence));
        drop(device);
        module.unload();
        assert_eq!(poller.join().unwrap(), Status::Failed(Errno::CANCELED));
    });
}

fn fence_of_a_previous_load_serves_as_in_fence() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let (seqno, before) = queue.submit_with_out_fence().unwrap();
    queue.signal(seqno).unwrap();
    drop(queue);
    drop(device);
    module.unload();
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.timer_queue("").unwrap();
    let job = queue.job(Duration::ZERO).wait_for(&before);
    let (_, fence) = job.submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), Status::Signalled);
    let merged = before.merge(&fence, "").unwrap();
    drop(queue);
    drop(device);
    module.unload();
    assert_eq!(wait(&merged), Status::Signalled);
}

fn open_device_refuses_unload() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    assert_eq!(module.try_unload(), Err(Errno::AGAIN));
    // The refusal has no effect on the client.
    let queue = device.timer_queue("").unwrap();
    let (_, fence) = queue.job(Duration::ZERO).submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), Status::Signalled);
    drop(queue);
    drop(device);
    module.unload();
}

fn module_loads_twenty_times_under_load() {
    let mut fences = Vec::new();
    for round in 0..20 {
        let module = Module::load("");
        thread::scope(|scope| {
            let threads = [(); 3].map(|()| {
                scope.spawn(move || {
                    let device = Device::open().unwrap();
                    let queue = device.timer_queue("").unwrap();
                    let mut last: Option<SyncFile> = None;
                    for number in 0..10 {
                        // Some jobs have completed at the unload, some run, some wait.
                        let duration = Duration::from_micros(100 * number * round);
                        let job = queue.job(duration);
                        let job = match &last {
                            Some(last) => job.wait_for(last),
                            None => job,
                        };
                        let (_, fence) = job.submit_with_out_fence().unwrap();
                        last = Some(fence);
                    }
                    std::mem::forget(queue);
                    last
                })
            });
            fences.extend(
                threads
                    .into_iter()
                    .filter_map(|thread| thread.join().unwrap()),
            );
        });
        module.unload();
    }
    assert_eq!(fences.len(), 60);
    for fence in &fences {
        assert!([Status::Signalled, Status::Failed(Errno::CANCELED)].contains(&wait(fence)));
    }
}

fn unread_events_do_not_keep_the_module() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let (timer, manual) = (
        device.timer_queue("").unwrap(),
        device.manual_queue("").unwrap(),
    );
    for _ in 0..300 {
        timer.job(Duration::ZERO).event().submit().unwrap();
        manual.job().event().submit().unwrap();
    }
    assert!(timer.wait(300, None).unwrap());
    // Events of one queue are unread; those of the other arrive during the close.
    std::mem::forget((timer, manual));
    drop(device);
    module.unload();
}

fn batches_do_not_keep_the_module() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    // Queues are cancelled in the order of their creation, so no job starts during the close.
    let queue = device.timer_queue("").unwrap();
    let gate = device.manual_queue("").unwrap();
    let (_, in_fence) = gate.submit_with_out_fence().unwrap();
    let mut batch = device.batch();
    for index in 0..500 {
        let job = queue.job(Duration::from_millis(index));
        let job = if index % 3 == 0 {
            job.wait_for(&in_fence)
        } else {
            job
        };
        if index % 5 == 0 {
            batch.add_with_out_fence(job.event());
        } else {
            batch.add(job);
        }
    }
    let submitted = batch.submit().unwrap();
    std::mem::forget((gate, queue));
    drop(device);
    module.unload();
    let fences: Vec<&SyncFile> = submitted
        .iter()
        .filter_map(|job| job.out_fence.as_ref())
        .collect();
    assert_eq!(fences.len(), 100);
    for fence in fences {
        assert_eq!(wait(fence), Status::Failed(Errno::CANCELED));
    }
}

/// Returns whether the rescuer thread of the driver's workqueue exists.
fn has_workqueue() -> bool {
    std::fs::read_dir("/proc").unwrap().any(|entry| {
        let name = std::fs::read_to_string(entry.unwrap().path().join("comm"));
        name.is_ok_and(|name| name.trim_end() == "kworker/R-vfence")
    })
}

/// Creates a worker queue with an argument that is not writable, so that the call fails late.
fn refused_worker_queue(device: &Device) -> io::Result<()> {
    const SIZE: usize = size_of::<uapi::QueueCreate>();
    const NUMBER: Opcode = opcode::read_write::<uapi::QueueCreate>(uapi::IOCTL_TYPE, 1);
    const ACCESS: ProtFlags = ProtFlags::READ.union(ProtFlags::WRITE);
    // SAFETY: The mapping is new, is written only while it is writable, and is unmapped once.
    unsafe {
        let create = mmap_anonymous(std::ptr::null_mut(), SIZE, ACCESS, MapFlags::PRIVATE)?;
        create.cast::<u32>().write(uapi::QUEUE_WORKER);
        mprotect(create, SIZE, MprotectFlags::READ)?;
        let result = match libc::ioctl(device.as_fd().as_raw_fd(), NUMBER.into(), create) {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        };
        munmap(create, SIZE)?;
        result
    }
}

fn refused_queues_do_not_keep_the_module() {
    let module = Module::load("");
    assert!(has_workqueue());
    let device = Device::open().unwrap();
    for _ in 0..3 {
        assert_refused(refused_worker_queue(&device), Errno::FAULT);
    }
    drop(device);
    module.unload();
    assert!(!has_workqueue());
}

fn worker_queues_do_not_keep_the_module() {
    for round in 0..10 {
        let module = Module::load("");
        let device = Device::open().unwrap();
        let queue = device.worker_queue("").unwrap();
        let mut last = None;
        for number in 0..20 {
            // The worker is idle, wakes, or runs at the unload.
            let job = queue.job(Duration::from_micros(50 * round * (number % 2)));
            last = Some(job.submit_with_out_fence().unwrap().1);
        }
        std::mem::forget(queue);
        drop(device);
        module.unload();
        let status = wait(&last.unwrap());
        assert!([Status::Signalled, Status::Failed(Errno::CANCELED)].contains(&status));
    }
}

fn exported_fence_outlives_the_module() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let (first, second) = (queue.submit().unwrap(), queue.submit().unwrap());
    queue.signal_with_error(first, Errno::IO).unwrap();
    let (early, late) = (queue.export(second).unwrap(), queue.export(first).unwrap());
    std::mem::forget(queue);
    drop(device);
    module.unload();
    assert_eq!(wait(&early), Status::Failed(Errno::CANCELED));
    assert_eq!(wait(&late), Status::Failed(Errno::IO));
    assert!(timestamp(&late) <= timestamp(&early));
}

/// Unloads the module once the kernel has dropped the buffers of completed jobs.
fn unload_soon(module: Module) {
    let end = Instant::now() + Duration::from_secs(20);
    while module.try_unload() == Err(Errno::AGAIN) {
        assert!(Instant::now() < end, "the module is still in use");
        thread::sleep(Duration::from_millis(1));
    }
    std::mem::forget(module);
}

fn buffers_keep_the_module() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let buffer = device.buffer(4096).unwrap();
    drop(device);
    assert_eq!(module.try_unload(), Err(Errno::AGAIN));
    assert_eq!(buffer.size(), 4096);
    drop(buffer);
    unload_soon(module);
}

fn close_ends_operations() {
    for round in 0..20 {
        let module = Module::load("");
        let device = Device::open().unwrap();
        let queues = [(); 2].map(|()| device.worker_queue("").unwrap());
        let buffer = device.buffer(1 << 20).unwrap();
        let mut last = None;
        for number in 0..20 {
            let job = queues[number % 2].job(Duration::ZERO);
            let job = job.fill(&buffer, 0..1 << 20, Pattern::U8(number as u8));
            last = Some(job.submit_with_out_fence().unwrap().1);
        }
        thread::sleep(Duration::from_micros(100 * round));
        std::mem::forget(queues);
        drop(device);
        // Some jobs have completed, some were cancelled.
        let status = wait(&last.unwrap());
        assert!([Status::Signalled, Status::Failed(Errno::CANCELED)].contains(&status));
        drop(buffer);
        unload_soon(module);
    }
}

fn counters_page_keeps_the_module() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.timer_queue("").unwrap();
    let counters = queue.counters().unwrap();
    queue.job(Duration::ZERO).submit().unwrap();
    queue.job(Duration::from_secs(1)).submit().unwrap();
    std::mem::forget(queue);
    // The mapping holds the open file, so jobs continue.
    drop(device);
    assert_eq!(module.try_unload(), Err(Errno::AGAIN));
    while counters.completed() < 2 {
        thread::yield_now();
    }
    assert_eq!((counters.submitted(), counters.errors()), (2, 0));
    drop(counters);
    module.unload();
}

/// Runs `work` in a child, and kills the child once it sleeps.
fn killed(device: Device, work: impl FnOnce(&Device)) {
    let child = Child::fork(|| work(&device));
    drop(device);
    child.wait_until_it_sleeps();
    child.kill();
}

fn killed_reader_closes_the_client() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let (_, fence) = queue.job().event().submit_with_out_fence().unwrap();
    std::mem::forget(queue);
    killed(device, |device| {
        let events = device.read_events(1);
        panic!("unexpected events: {events:?}");
    });
    // The child had the last descriptor.
    assert_eq!(wait(&fence), Status::Failed(Errno::CANCELED));
    module.unload();
}

fn killed_waiter_closes_the_client() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let (seqno, fence) = queue.submit_with_out_fence().unwrap();
    let point = queue.point(seqno);
    std::mem::forget(queue);
    killed(device, |device| {
        let result = device.wait_all(&[point; 1024], None);
        panic!("unexpected completion: {result:?}");
    });
    assert_eq!(wait(&fence), Status::Failed(Errno::CANCELED));
    module.unload();
}

fn killed_submitter_closes_the_client() {
    for round in 0..20 {
        let module = Module::load("");
        let device = Device::open().unwrap();
        let child = Child::fork(|| {
            let queue = device.timer_queue("").unwrap();
            loop {
                let mut batch = device.batch();
                for _ in 0..100 {
                    batch.add_with_out_fence(queue.job(Duration::from_nanos(100)).event());
                }
                // May be refused: unread events are limited.
                drop(batch.submit());
                drop(device.try_read_events(30));
            }
        });
        drop(device);
        thread::sleep(Duration::from_millis(2 * round));
        child.kill();
        module.unload();
    }
}

fn child_keeps_the_client_open() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.timer_queue("").unwrap();
    let job = queue.job(Duration::from_millis(200)).event();
    let (seqno, fence) = job.submit_with_out_fence().unwrap();
    let child = Child::fork(|| {
        assert!(queue.wait(seqno, None).unwrap());
        assert_eq!(device.read_events(1).unwrap()[0].point.seqno(), seqno);
        std::mem::forget(queue);
    });
    // The child has the file, so the job continues.
    drop(device);
    assert_eq!(wait(&fence), Status::Signalled);
    child.succeeded();
    module.unload();
}

fn deadlines_race_with_unload() {
    let module = Module::load("");
    let device = Device::open().unwrap();
    let queue = device.manual_queue("").unwrap();
    let (_, fence) = queue.submit_with_out_fence().unwrap();
    let (_, other) = queue.submit_with_out_fence().unwrap();
    let done = AtomicBool::new(false);
    std::mem::forget(queue);
    thread::scope(|scope| {
        // These calls enter the driver until the fence is detached.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                fence.set_deadline(1).unwrap();
                fence.merge(&other, "").unwrap().set_deadline(2).unwrap();
                fence.info().unwrap();
            }
        });
        drop(device);
        module.unload();
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(wait(&fence), Status::Failed(Errno::CANCELED));
}

fn watchdog_ms_sets_the_watchdog() {
    let module = Module::load("watchdog_ms=50");
    let device = Device::open().unwrap();
    assert_eq!(
        device.capabilities().unwrap().watchdog,
        Some(Duration::from_millis(50))
    );
    let (gate, queue) = (
        device.manual_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    assert_refused(queue.job(Duration::from_millis(51)).submit(), Errno::INVAL);
    let before = vfence::monotonic_ns();
    let (_, fence) = gate.submit_with_out_fence().unwrap();
    assert_eq!(wait(&fence), Status::Failed(Errno::TIMEDOUT));
    assert!(timestamp(&fence) >= before + 50_000_000);
    drop((gate, queue));
    drop(device);
    module.unload();
}

fn watchdog_ms_of_zero_lifts_the_watchdog() {
    let module = Module::load("watchdog_ms=0");
    let device = Device::open().unwrap();
    assert_eq!(device.capabilities().unwrap().watchdog, None);
    // A timeout of U64_MAX is no timeout.
    for nanos in [0, u64::MAX] {
        let build = || device.build_queue("").timeout(Duration::from_nanos(nanos));
        let (manual, timer) = (build().manual().unwrap(), build().timer().unwrap());
        assert_eq!(manual.info().unwrap().timeout, None);
        assert_eq!(timer.info().unwrap().timeout, None);
        let fence = manual.create_fence().unwrap();
        assert!(manual.signal_next().unwrap());
        assert_eq!(wait(&fence), Status::Signalled);
    }
    let (gate, queue) = (
        device.manual_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    let (seqno, pending) = gate.submit_with_out_fence().unwrap();
    let (_, waiting) = queue
        .job(Duration::ZERO)
        .wait_for(&pending)
        .submit_with_out_fence()
        .unwrap();
    let other = device.timer_queue("").unwrap();
    let (_, endless) = other
        .job(Duration::from_nanos(u64::MAX))
        .submit_with_out_fence()
        .unwrap();
    // Longer than the default watchdog.
    thread::sleep(Duration::from_millis(2500));
    for fence in [&pending, &waiting, &endless] {
        assert_eq!(fence.status().unwrap(), Status::Pending);
    }
    gate.signal(seqno).unwrap();
    assert_eq!(wait(&waiting), Status::Signalled);
    drop((gate, queue, other));
    assert_eq!(wait(&endless), Status::Failed(Errno::CANCELED));
    drop(device);
    module.unload();
}

fn max_queues_and_max_jobs_are_limits() {
    let module = Module::load("max_queues=2 max_jobs=3");
    let device = Device::open().unwrap();
    let capabilities = device.capabilities().unwrap();
    assert_eq!((capabilities.max_queues, capabilities.max_jobs), (2, 3));
    let (gate, queue) = (
        device.manual_queue("").unwrap(),
        device.timer_queue("").unwrap(),
    );
    assert_refused(device.timer_queue(""), Errno::NOSPC);
    let fences = [(); 3].map(|()| gate.submit_with_out_fence().unwrap().1);
    assert_refused(gate.submit(), Errno::AGAIN);
    assert_refused(gate.submit_with_out_fence(), Errno::AGAIN);
    for _ in 0..3 {
        queue
            .job(Duration::ZERO)
            .wait_for(&fences[2])
            .submit()
            .unwrap();
    }
    assert_refused(queue.job(Duration::ZERO).submit(), Errno::AGAIN);
    gate.signal(1).unwrap();
    assert_eq!(gate.submit().unwrap(), 4);
    assert_refused(gate.submit(), Errno::AGAIN);
    drop(queue);
    drop(device.timer_queue("").unwrap());
    drop(gate);
    drop(device);
    module.unload();
}

fn invalid_parameters_are_refused() {
    for parameters in [
        "max_queues=0",
        "max_jobs=0",
        "max_jobs=1048577",
        "max_jobs=-1",
        "watchdog_ms=soon",
        "max_buffer_mib=0",
        "max_buffer_mib=1048577",
    ] {
        let refused = Module::try_load(parameters).err();
        assert_eq!(refused, Some(Errno::INVAL), "{parameters}");
    }
    Module::load("max_jobs=1048576").unload();
}
