// SPDX-License-Identifier: GPL-2.0 OR MIT

//! Faults: what goes wrong with which jobs.

use crate::job::for_kernel;
use crate::uapi::vfence as uapi;
use crate::Errno;
use std::time::Duration;

/// What goes wrong with a job.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FaultKind {
    /// It completes with this error, after its duration.
    Fail(Errno),
    /// It never ends by itself.
    Hang,
    /// It takes so much longer.
    Delay(Duration),
    /// It ends, but the interrupt that tells of it is lost: nobody sees it until the watchdog looks.
    DropInterrupt,
}

/// What to do to which jobs of a queue; see [`TimerQueue::set_faults`](crate::TimerQueue::set_faults).
///
/// Source: `struct vfence_fault`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fault(uapi::Fault);

/// What was injected into a job.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Faults {
    /// An error.
    pub fail: bool,
    /// A hang.
    pub hang: bool,
    /// A delay.
    pub delay: bool,
    /// The loss of its interrupt.
    pub drop_interrupt: bool,
}

/// To how many jobs of a queue which fault was done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct FaultCounts {
    /// An error.
    pub fail: u64,
    /// A hang.
    pub hang: u64,
    /// A delay.
    pub delay: u64,
    /// The loss of its interrupt.
    pub drop_interrupt: u64,
}

impl Fault {
    /// Does `kind` to every `nth` job, counted from when the plan is set. 0 is refused by the kernel, with `EINVAL`.
    #[must_use]
    pub fn every(nth: u32, kind: FaultKind) -> Self {
        Self(uapi::Fault {
            every: nth,
            ..of_kind(kind)
        })
    }

    /// Does `kind` to a job with a probability of so many millionths, 1 to 1000000; what is not is refused by the
    /// kernel, with `EINVAL`.
    #[must_use]
    pub fn with_probability(millionths: u32, kind: FaultKind) -> Self {
        Self(uapi::Fault {
            probability: millionths,
            ..of_kind(kind)
        })
    }

    /// Does it so many times at most; 0 stands for no limit.
    #[must_use]
    pub fn limit(mut self, times: u64) -> Self {
        self.0.limit = times;
        self
    }

    pub(crate) fn for_kernel(&self) -> uapi::Fault {
        self.0
    }
}

/// Returns a fault that is done to no job yet.
fn of_kind(kind: FaultKind) -> uapi::Fault {
    let (kind, error, delay_ns) = match kind {
        FaultKind::Fail(error) => (uapi::FAULT_FAIL, -error.raw_os_error(), 0),
        FaultKind::Hang => (uapi::FAULT_HANG, 0, 0),
        FaultKind::Delay(delay) => {
            // Longer than the watchdog's bound is as good as any.
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
    fn a_fault_is_what_the_header_wants() {
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
    fn bits_are_those_of_the_header() {
        let faults = Faults::from_kernel((1 << uapi::FAULT_HANG) | (1 << uapi::FAULT_DELAY));
        assert!(faults.hang && faults.delay);
        assert!(!faults.fail && !faults.drop_interrupt);
    }
}
