// SPDX-License-Identifier: GPL-2.0

//! The speed of the engine: the usual one, or a higher one to meet a deadline.

/// The execution of a job, from its start to its end. Times are in ns.
///
/// # Invariants
///
/// `from <= end`. The engine needs `left` ns at the usual speed for the rest of the job, and takes
/// at most as long from `from` to `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Execution {
    from: u64,
    left: u64,
    end: u64,
}

impl Execution {
    /// Starts to execute a job of `duration` ns at the time `start`, at the usual speed.
    pub(crate) fn new(start: u64, duration: u64) -> Self {
        // INVARIANT: The engine takes `duration`, or less if the end overflows.
        Self {
            from: start,
            left: duration,
            end: start.saturating_add(duration),
        }
    }

    /// Returns the end of the job.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// From the time `now` on, executes the job as fast as the deadline requires, but at most at
    /// `percent` of the usual speed, and not slower than before.
    pub(crate) fn boost(&mut self, now: u64, deadline: u64, percent: u64) {
        let now = now.max(self.from);
        if deadline >= self.end || now >= self.end {
            return;
        }
        let left = scale(self.left, self.end - now, self.end - self.from);
        let fastest = now.saturating_add(scale(left, 100, percent));
        // INVARIANT: The engine is not slower than before, hence not slower than usual.
        *self = Self {
            from: now,
            left,
            end: fastest.max(deadline).min(self.end),
        };
    }
}

/// Returns `value * part / whole`, rounded up, where `part <= whole`. The result is less exact if
/// `part * whole` exceeds 64 bits, as it does from some seconds on.
fn scale(value: u64, mut part: u64, mut whole: u64) -> u64 {
    // The kernel has no division of 128 bits.
    while part.checked_mul(whole).is_none() {
        part >>= 1;
        whole >>= 1;
    }
    let whole = whole.max(1);
    value / whole * part + (value % whole * part).div_ceil(whole)
}
