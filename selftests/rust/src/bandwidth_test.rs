// SPDX-License-Identifier: GPL-2.0 OR MIT

//! The bandwidth of copies by a worker queue, beside `memcpy()` in user space.
//!
//! The figures are printed and have no limit. Each case fails if a byte was not copied.

use std::fs::File;
use std::hint::black_box;
use std::ops::Range;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};
use vfence::{Buffer, Device, Pattern, TimerQueue};
use vfence_selftests::{kernel_is_slow, skip, suite};

suite![
    copy_of_1_mib,
    copy_of_4_mib,
    copy_of_16_mib,
    copy_to_an_odd_offset,
    copy_in_the_system_heap,
];

const MIB: usize = 1 << 20;
/// The goal for the ratio of a copying job's bandwidth, from start to end, to that of `memcpy()`.
const GOAL: f64 = 0.9;
/// Each figure is the best of so many rounds.
const ROUNDS: usize = 10;
/// Bytes of a row of jobs, in which the submission of one overlaps the copy of another.
const ROW: usize = 64 * MIB;

/// Returns the shortest time that `f` takes.
fn best(mut f: impl FnMut()) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        f();
        start.elapsed()
    });
    times.min().unwrap()
}

fn crc32c(queue: &TimerQueue<'_>, buffer: &Buffer, range: Range<u64>) -> u64 {
    let job = queue.job(Duration::ZERO).crc32c(buffer, range);
    let seqno = job.submit().unwrap();
    queue.wait(seqno, None).unwrap();
    queue.job_info(seqno).unwrap().result
}

/// Returns a buffer of the system heap, if there is one.
fn heap_buffer(size: usize) -> Option<Buffer> {
    /// C's `struct dma_heap_allocation_data`.
    #[repr(C)]
    struct Allocation {
        len: u64,
        fd: u32,
        fd_flags: u32,
        heap_flags: u64,
    }
    const DMA_HEAP_IOCTL_ALLOC: libc::Ioctl = 0xc018_4800_u32 as libc::Ioctl;

    let heap = File::open("/dev/dma_heap/system").ok()?;
    let mut allocation = Allocation {
        len: size as u64,
        fd: 0,
        fd_flags: (libc::O_RDWR | libc::O_CLOEXEC) as u32,
        heap_flags: 0,
    };
    // SAFETY: `allocation` has the layout that the ioctl reads and writes.
    let status = unsafe { libc::ioctl(heap.as_raw_fd(), DMA_HEAP_IOCTL_ALLOC, &mut allocation) };
    assert_eq!(status, 0);
    // SAFETY: The ioctl has opened the descriptor, and nothing else owns it.
    let fd = unsafe { OwnedFd::from_raw_fd(allocation.fd as i32) };
    Some(fd.try_into().unwrap())
}

/// Measures copies between two buffers of `size` bytes, to `offset`, beside `memcpy()` of the same.
fn measure(what: &str, size: usize, offset: usize, buffer: impl Fn(&Device) -> Option<Buffer>) {
    if kernel_is_slow() {
        return skip("a kernel with every checker says nothing about bandwidth");
    }
    let device = Device::open().unwrap();
    let queue = device.worker_queue("bandwidth").unwrap();
    let (from, to) = (vec![1_u8; size], &mut vec![2_u8; size]);
    let length = size - offset;
    let memcpy = best(|| {
        black_box(&mut to[offset..]).copy_from_slice(black_box(&from[..length]));
    });

    let (Some(source), Some(target)) = (buffer(&device), buffer(&device)) else {
        return skip("the kernel has no CONFIG_DMABUF_HEAPS_SYSTEM");
    };
    let fill = queue.job(Duration::ZERO);
    fill.fill(&source, 0..size as u64, Pattern::U64(0x0123_4567_89ab_cdef))
        .submit()
        .unwrap();
    let sums = || {
        let from = crc32c(&queue, &source, 0..length as u64);
        (from, crc32c(&queue, &target, offset as u64..size as u64))
    };
    let (from, before) = sums();
    assert_ne!(from, before);
    let copy = || {
        let job = queue.job(Duration::ZERO);
        let job = job.copy(&source, 0..length as u64, &target, offset as u64);
        job.submit().unwrap()
    };
    let mut last = 0;
    let mut copies = |count: usize| {
        last = (0..count).map(|_| copy()).last().unwrap();
        queue.wait(last, None).unwrap();
    };
    let one = best(|| copies(1));
    let count = ROW / size;
    let row = best(|| copies(count)) / count as u32;
    let jobs = (0..count as u64).map(|before| {
        let info = queue.job_info(last - before).unwrap();
        Duration::from_nanos(info.end_ns.unwrap() - info.start_ns.unwrap())
    });
    let job = jobs.min().unwrap();
    let (from, after) = sums();
    assert_eq!(from, after);

    let against = |time: Duration| memcpy.as_secs_f64() / time.as_secs_f64();
    println!(
        "measured: copies of {} MiB, {what}: memcpy() {} µs; a job {} µs, {:.2} of its bandwidth \
         (goal {GOAL}: {}); with submission, in a row {} µs each, {:.2}; alone {} µs, {:.2}",
        size / MIB,
        memcpy.as_micros(),
        job.as_micros(),
        against(job),
        if against(job) >= GOAL {
            "met"
        } else {
            "not met"
        },
        row.as_micros(),
        against(row),
        one.as_micros(),
        against(one),
    );
}

/// Measures with buffers of the device.
fn measure_own(size: usize) {
    measure("own buffers", size, 0, |device| {
        device.buffer(size as u64).ok()
    });
}

fn copy_of_1_mib() {
    measure_own(MIB);
}

fn copy_of_4_mib() {
    measure_own(4 * MIB);
}

fn copy_of_16_mib() {
    measure_own(16 * MIB);
}

fn copy_to_an_odd_offset() {
    measure("to an odd offset", 4 * MIB, 1, |device| {
        device.buffer(4 * MIB as u64).ok()
    });
}

fn copy_in_the_system_heap() {
    measure("system heap", 4 * MIB, 0, |_| heap_buffer(4 * MIB));
}
