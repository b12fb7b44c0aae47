// SPDX-License-Identifier: GPL-2.0

//! The time that a CPU's timer interrupts may spend on completions, over all queues and timelines.
//!
//! Each CPU has a bucket that holds [`CAPACITY`]. A callback of a timer takes from it the time that
//! it needs, and time outside of the callbacks fills it again. So callbacks that complete jobs take
//! at most half of the CPU, and no more than the capacity without a pause, however many timers
//! expire. A callback that finds the bucket empty leaves its jobs to the
//! [backlog](super::backlog), and so does one that empties it.

use crate::kernel_ext::timekeeping::ktime_get;
use kernel::{
    cpu::{
        nr_cpu_ids,
        CpuId, //
    },
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
};

/// The interrupt time that a full bucket holds, in ns.
const CAPACITY: u64 = 50_000;

/// The price of a callback that finds the bucket empty, in ns: the core's part of it, and what
/// flows into the bucket meanwhile.
const REFUSAL: u64 = 1_000;

/// The most that a bucket lacks after refusals, in ns.
const MAX_DEBT: u64 = 2 * CAPACITY;

/// The price of starting a timer in the callback of a fence, in ns: more than the callback takes,
/// since its interrupt may follow at once.
const START: u64 = 4_000;

/// The shortest time, in ns, until an event for which an interrupt starts a timer. The time that
/// the CPU has spent in callbacks is added: an event that became due before the interrupt ends
/// would prolong it.
const MIN_DISTANCE: u64 = 5_000;

/// How much later than necessary a timer of the backlog may expire, in ns: about as long as the
/// longest interrupt, so that the interrupt of one such timer ends before others are overdue.
pub(crate) const SLACK: u64 = CAPACITY;

/// The bucket of a CPU: the time, in ns, at which it is full again.
///
/// Its writers run on that CPU with interrupts disabled, so loads and stores suffice. On
/// `PREEMPT_RT` a writer may be preempted, which makes the bucket inexact.
#[repr(align(64))]
struct Bucket(Atomic<u64>);

/// The buckets of all CPUs.
pub(crate) struct InterruptBudget(KVVec<Bucket>);

impl InterruptBudget {
    /// Returns full buckets. Fails with `ENOMEM`.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let cpus = nr_cpu_ids() as usize;
        let mut buckets = KVVec::with_capacity(cpus, GFP_KERNEL)?;
        for _ in 0..cpus {
            buckets.push(Bucket(Atomic::new(0)), GFP_KERNEL)?;
        }
        Ok(Arc::new(Self(buckets), GFP_KERNEL)?)
    }

    #[inline(always)]
    fn bucket(&self) -> Option<&Bucket> {
        self.0.get(CpuId::current().as_u32() as usize)
    }

    /// Begins the callback of a timer that was due at `due`, or at an unknown time. Returns `None`
    /// if the CPU's bucket is empty.
    #[inline(always)]
    pub(crate) fn begin(&self, due: Option<u64>) -> Option<Charge<'_>> {
        let bucket = self.bucket()?;
        let full_at = bucket.0.load(Relaxed);
        let full_since = match due {
            // The clock need not be read. If the interrupt is late, the callback pays for it.
            Some(due) if due >= full_at => due,
            _ => {
                let now = ktime_get();
                let used = full_at.saturating_sub(now);
                if used >= CAPACITY {
                    // A bound, so that callbacks are soon accepted after many were refused.
                    let full_at = (full_at + REFUSAL).min(now + MAX_DEBT);
                    bucket.0.store(full_at, Relaxed);
                    return None;
                }
                now - used
            }
        };
        Some(Charge { bucket, full_since })
    }

    /// Returns whether the callback of a fence may make a job ready and start its timer at the time
    /// `now`. Must be called with interrupts disabled.
    ///
    /// Such callbacks take up to half of a bucket, so that the interrupts of the timers find the
    /// rest. If there are more, the caller keeps the CPU long enough, and the bucket is emptied.
    pub(crate) fn may_start(&self, now: u64) -> bool {
        let Some(bucket) = self.bucket() else {
            return false;
        };
        let full_at = bucket.0.load(Relaxed).max(now);
        let may = full_at - now < CAPACITY / 2;
        let full_at = if may { full_at + START } else { now + CAPACITY };
        bucket.0.store(full_at, Relaxed);
        may
    }
}

/// The time of one callback. Dropping it takes that time from the bucket.
pub(crate) struct Charge<'a> {
    bucket: &'a Bucket,
    /// The time since which the CPU would have spent, without a pause, what the bucket lacks.
    full_since: u64,
}

impl Charge<'_> {
    /// Returns the time that the bucket lacks at the time `now`, this callback included.
    #[inline(always)]
    fn used_at(&self, now: u64) -> u64 {
        now.saturating_sub(self.full_since)
    }

    /// Returns the time at which the bucket is empty.
    pub(crate) fn until(&self) -> u64 {
        self.full_since.saturating_add(CAPACITY)
    }

    /// Returns whether an event at `time` is far enough, at the time `now`, to start a timer for
    /// it.
    pub(crate) fn is_far(&self, time: u64, now: u64) -> bool {
        time > now + self.used_at(now).clamp(MIN_DISTANCE, CAPACITY)
    }
}

impl Drop for Charge<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        let now = ktime_get();
        let full_at = now + self.used_at(now).min(CAPACITY);
        self.bucket.0.store(full_at, Relaxed);
    }
}

#[kernel::macros::kunit_tests(vfence_budget)]
mod tests {
    use super::*;
    use kernel::interrupt::local_interrupt_disable;

    #[test]
    fn timers_that_are_due_take_half_of_the_bucket() -> Result {
        let budget = InterruptBudget::new()?;
        let irqs_off = local_interrupt_disable();
        let now = ktime_get();
        let mut started = 0;
        while budget.may_start(now) {
            started += 1;
        }
        // The refusal has emptied the bucket, and so has this one.
        let early = budget.may_start(now + CAPACITY / 2);
        let late = budget.may_start(now + CAPACITY + 1);
        drop(irqs_off);
        assert_eq!(started, (CAPACITY / 2).div_ceil(START));
        assert!(!early && late);
        Ok(())
    }

    #[test]
    fn callback_pays_for_its_time() -> Result {
        let budget = InterruptBudget::new()?;
        let irqs_off = local_interrupt_disable();
        // The callback is as late as the bucket allows.
        let due = ktime_get() - CAPACITY;
        let charge = budget.begin(Some(due)).ok_or(EINVAL)?;
        let until = charge.until();
        let near = charge.is_far(due + 2 * CAPACITY, due + CAPACITY);
        let far = charge.is_far(due + 2 * CAPACITY + 1, due + CAPACITY);
        drop(charge);
        let full_at = budget.bucket().ok_or(EINVAL)?.0.load(Relaxed);
        drop(irqs_off);
        assert_eq!(until, due + CAPACITY);
        assert!(!near && far);
        assert!(full_at >= due + 2 * CAPACITY);
        Ok(())
    }

    #[test]
    fn empty_bucket_refuses_callbacks() -> Result {
        let budget = InterruptBudget::new()?;
        let irqs_off = local_interrupt_disable();
        let bucket = budget.bucket().ok_or(EINVAL)?;
        let far = ktime_get() + 1_000_000_000;
        let refuses = |due| {
            bucket.0.store(far, Relaxed);
            budget.begin(due).is_none()
        };
        let refused = refuses(None) && refuses(Some(far - 1));
        // Refusals have a price, but only up to a bound.
        let full_at = bucket.0.load(Relaxed);
        let bound = ktime_get() + MAX_DEBT;
        // The CPU is idle until then.
        let accepted = budget.begin(Some(full_at)).is_some();
        drop(irqs_off);
        assert!(refused && accepted);
        assert!(full_at <= bound);
        Ok(())
    }
}
