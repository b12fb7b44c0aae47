// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Submits two jobs, the second of which waits for the first, and prints when the second ended.

use std::time::Duration;

fn main() -> std::io::Result<()> {
    let device = vfence::Device::open()?;
    let queue = device.timer_queue("example")?;

    let submitted = vfence::monotonic_ns();
    let (_, first) = queue
        .job(Duration::from_millis(2))
        .submit_with_out_fence()?;
    let (_, second) = queue
        .job(Duration::from_millis(3))
        .wait_for(&first)
        .submit_with_out_fence()?;
    second.wait(None)?;

    let signalled = second.info()?.timestamp_ns().unwrap_or_default();
    println!(
        "signalled {} µs after submission",
        (signalled - submitted) / 1000
    );
    Ok(())
}
