// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Fault injection.

use crate::job::for_kernel;
use crate::uapi::vfence as uapi;
use crate::Errno;
use std::time::Duration;

/// The kind of a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// The job completes with this error, after its duration.
    Fail(Errno),
    /// The job never ends on its own.
    Hang,
    /// The job takes this much longer.
    Delay(Duration),
    /// The job ends, but its interrupt is lost: the job completes when the watchdog expires.
    DropInterrupt,
}

/// A fault of a queue's plan: its kind, and the jobs that it is injected into; see
/// [`TimerQueue::set_faults`](crate::TimerQueue::set_faults).
///
/// Source: `struct vfence_fault`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault(uapi::Fault);

/// The faults that were injected into a job.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Faults {
    /// [`FaultKind::Fail`].
    pub fail: bool,
    /// [`FaultKind::Hang`].
    pub hang: bool,
    /// [`FaultKind::Delay`].
    pub delay: bool,
    /// [`FaultKind::DropInterrupt`].
    pub drop_interrupt: bool,
}

/// The number of jobs of a queue that each kind of fault was injected into.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// [`FaultKind::Fail`].
    pub fail: u64,
    /// [`FaultKind::Hang`].
    pub hang: u64,
    /// [`FaultKind::Delay`].
    pub delay: u64,
    /// [`FaultKind::DropInterrupt`].
    pub drop_interrupt: u64,
}

impl Fault {
    /// Injects `kind` into every `nth` job, counted from the call that sets the plan. The kernel
    /// refuses 0 with `EINVAL`.
    #[must_use]
    pub fn every(nth: u32, kind: FaultKind) -> Self {
        Self(uapi::Fault {
            every: nth,
            ..of_kind(kind)
        })
    }

    /// Injects `kind` into a job with a probability of `millionths`, from 1 to 1000000. The kernel
    /// refuses other values with `EINVAL`.
    #[must_use]
    pub fn with_probability(millionths: u32, kind: FaultKind) -> Self {
        Self(uapi::Fault {
            probability: millionths,
            ..of_kind(kind)
        })
    }

    /// Injects the fault at most `times` times; 0 is no limit.
    #[must_use]
    pub fn limit(mut self, times: u64) -> Self {
        self.0.limit = times;
        self
    }

    pub(crate) fn for_kernel(&self) -> uapi::Fault {
        self.0
    }
}

/// Returns a fault of `kind` without the choice of jobs.
fn of_kind(kind: FaultKind) -> uapi::Fault {
    let (kind, error, delay_ns) = match kind {
        FaultKind::Fail(error) => (uapi::FAULT_FAIL, -error.raw_os_error(), 0),
        FaultKind::Hang => (uapi::FAULT_HANG, 0, 0),
        FaultKind::Delay(delay) => {
            // Any delay beyond the watchdog's bound has the same effect.
            let ns = for_kernel(delay).unwrap_or(u64::MAX);
            (uapi::FAULT_DELAY, 0, ns)
        }
        FaultKind::DropInterrupt => (uapi::FAULT_DROP_INTERRUPT, 0, 0),
    };
    uapi::Fault {
        kind,
        error,
        delay_ns,
        ..Default::default()
    }
}

impl Faults {
    pub(crate) fn from_kernel(bits: u32) -> Self {
        let has = |kind: u32| bits & (1 << kind) != 0;
        Self {
            fail: has(uapi::FAULT_FAIL),
            hang: has(uapi::FAULT_HANG),
            delay: has(uapi::FAULT_DELAY),
            drop_interrupt: has(uapi::FAULT_DROP_INTERRUPT),
        }
    }
}

impl FaultCounts {
    pub(crate) fn from_kernel(counts: &[u64; 8]) -> Self {
        Self {
            fail: counts[uapi::FAULT_FAIL as usize],
            hang: counts[uapi::FAULT_HANG as usize],
            delay: counts[uapi::FAULT_DELAY as usize],
            drop_interrupt: counts[uapi::FAULT_DROP_INTERRUPT as usize],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_has_the_fields_of_the_header() {
        let fault = Fault::every(3, FaultKind::Fail(Errno::IO)).limit(2);
        let expected = uapi::Fault {
            kind: uapi::FAULT_FAIL,
            every: 3,
            error: -5,
            limit: 2,
            ..Default::default()
        };
        assert_eq!(fault.for_kernel(), expected);
        let fault = Fault::with_probability(7, FaultKind::Delay(Duration::from_nanos(9)));
        let expected = uapi::Fault {
            kind: uapi::FAULT_DELAY,
            probability: 7,
            delay_ns: 9,
            ..Default::default()
        };
        assert_eq!(fault.for_kernel(), expected);
    }

    #[test]
    fn fault_bits_are_those_of_the_header() {
        let faults = Faults::from_kernel((1 << uapi::FAULT_HANG) | (1 << uapi::FAULT_DELAY));
        assert!(faults.hang && faults.delay);
        assert!(!faults.fail && !faults.drop_interrupt);
    }
}
