// SPDX-License-Identifier: GPL-2.0 OR MIT

//! How fast a worker queue copies, beside `memcpy()` in user space: measured, and told, but judged by nobody. What is judged is
//! that every byte was copied.

use std::hint::black_box;
use std::time::{Duration, Instant};
use vfence::{Buffer, Device, Pattern, TimerQueue};
use vfence_selftests::{kernel_is_slow, skip, suite};

suite![copies_of_1_mib, copies_of_4_mib, copies_of_16_mib];

const MIB: usize = 1 << 20;
/// The best of so many.
const ROUNDS: usize = 10;
/// How much is copied in a row: what comes before and after a job's copying is done during that of others.
const ROW: usize = 64 * MIB;

/// Returns how long `f` takes at best.
fn best(mut f: impl FnMut()) -> Duration {
    let times = (0..ROUNDS).map(|_| {
        let start = Instant::now();
        f();
        start.elapsed()
    });
    times.min().unwrap()
}

fn crc32c(queue: &TimerQueue<'_>, buffer: &Buffer) -> u64 {
    let job = queue.job(Duration::ZERO).crc32c(buffer, 0..buffer.size());
    let seqno = job.submit().unwrap();
    queue.wait(seqno, None).unwrap();
    queue.job_info(seqno).unwrap().result
}

fn measure(size: usize) {
    if kernel_is_slow() {
        return skip("with every checker on, that says nothing");
    }
    let device = Device::open().unwrap();
    let queue = device.worker_queue("bandwidth").unwrap();
    let (from, to) = (vec![1_u8; size], &mut vec![2_u8; size]);
    let memcpy = best(|| black_box(&mut *to).copy_from_slice(black_box(&from)));

    let buffer = || device.buffer(size as u64).unwrap();
    let (source, target) = (buffer(), buffer());
    let range = || 0..size as u64;
    let fill = queue.job(Duration::ZERO);
    fill.fill(&source, range(), Pattern::U64(0x0123_4567_89ab_cdef))
        .submit()
        .unwrap();
    assert_ne!(crc32c(&queue, &source), crc32c(&queue, &target));
    let copy = || {
        let job = queue.job(Duration::ZERO);
        job.copy(&source, range(), &target, 0).submit().unwrap()
    };
    let copies = |count: usize| {
        let last = (0..count).map(|_| copy()).last().unwrap();
        queue.wait(last, None).unwrap();
    };
    let one = best(|| copies(1));
    let count = ROW / size;
    let row = best(|| copies(count)) / count as u32;
    assert_eq!(crc32c(&queue, &source), crc32c(&queue, &target));

    let against = |time: Duration| memcpy.as_secs_f64() / time.as_secs_f64();
    println!(
        "measured: copies of {} MiB: memcpy() {} µs; in a row {} µs each, {:.2} of its bandwidth; \
         one, from the call to its end, {} µs, {:.2}",
        size / MIB,
        memcpy.as_micros(),
        row.as_micros(),
        against(row),
        one.as_micros(),
        against(one),
    );
}

fn copies_of_1_mib() {
    measure(MIB);
}

fn copies_of_4_mib() {
    measure(4 * MIB);
}

fn copies_of_16_mib() {
    measure(16 * MIB);
}
