// SPDX-License-Identifier: GPL-2.0

//! How fast the engine does the job that runs: its usual speed, or faster to meet a deadline.
//!
//! Plain, like the state machine that has it; `tools/sched` compiles this very file on the host.

/// What is left of a job, and when it will be done.
///
/// # Invariants
///
/// `from <= end`; the engine needs `left` at its usual speed, and at most that from `from` to `end`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Execution {
    from: u64,
    /// What was left at `from`, in ns at the usual speed.
    left: u64,
    end: u64,
}

impl Execution {
    /// Begins a job of `duration` at `start`, at the usual speed.
    pub(crate) fn new(start: u64, duration: u64) -> Self {
        Self {
            from: start,
            left: duration,
            end: start.saturating_add(duration),
        }
    }

    /// Returns when it will be done.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// From `now` on, does what is left as fast as it takes to be done by `deadline`, but at most at `boost` percent
    /// of the usual speed, and not slower than now.
    pub(crate) fn hurry(&mut self, now: u64, deadline: u64, boost: u64) {
        let now = now.max(self.from);
        if deadline >= self.end || now >= self.end {
            return;
        }
        let left = scale(self.left, self.end - now, self.end - self.from);
        let fastest = now.saturating_add(scale(left, 100, boost));
        // INVARIANT: It is faster than before, which was not slower than usual.
        *self = Self {
            from: now,
            left,
            end: fastest.max(deadline).min(self.end),
        };
    }
}

/// Returns `value * part / whole`, rounded up, where `part <= whole`; less exactly when `part * whole` takes more than 64
/// bits.
fn scale(value: u64, mut part: u64, mut whole: u64) -> u64 {
    // The kernel has no division of more; and with times below some seconds it is exact.
    while part.checked_mul(whole).is_none() {
        part >>= 1;
        whole >>= 1;
    }
    let whole = whole.max(1);
    value / whole * part + (value % whole * part).div_ceil(whole)
}
