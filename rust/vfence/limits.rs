// SPDX-License-Identifier: GPL-2.0

//! The limits of a queue, and the timing of its jobs, as they were when the queue was created.

/// Bounds on the resources that a client can pin, and on the time for which it can.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    /// Longest time that the head of a timer or worker queue, or a job of a manual queue, stays
    /// pending, in ns; `None` if unbounded.
    pub(crate) watchdog: Option<u64>,
    /// Most queues of a client, at least 1.
    pub(crate) max_queues: u32,
    /// Most pending jobs of a queue, at least 1.
    pub(crate) max_jobs: u32,
    /// Largest buffer, in bytes.
    pub(crate) max_buffer: u64,
    /// Duration of the jobs that set none, in ns.
    pub(crate) duration: u64,
}
