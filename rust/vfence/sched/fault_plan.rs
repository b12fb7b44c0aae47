// SPDX-License-Identifier: GPL-2.0

//! The fault plan of a queue: which faults are injected into which jobs.

use super::random::Random;

/// A kind of fault. The numbers are those of the UAPI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// The job ends with an error.
    Fail = 1,
    /// The job runs until the timeout or a reset ends it.
    Hang = 2,
    /// The job takes longer.
    Delay = 3,
    /// No interrupt reports the end of the job; the queue notices it at the timeout.
    DropInterrupt = 4,
}

impl FaultKind {
    /// One more than the highest number.
    pub(crate) const COUNT: usize = 5;

    pub(crate) const ALL: [Self; 4] = [Self::Fail, Self::Hang, Self::Delay, Self::DropInterrupt];

    /// Returns the bit of the kind in [`InjectedFaults::kinds`].
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Selects the jobs of a rule.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FaultTrigger {
    /// Every n-th job.
    Every(u32),
    /// Each job with this probability, in millionths.
    Probability(u32),
}

/// A rule of a plan: a fault, and the jobs into which it is injected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultRule {
    pub(crate) kind: FaultKind,
    pub(crate) trigger: FaultTrigger,
    /// The error of [`FaultKind::Fail`], a negative errno; 0 for other kinds.
    pub(crate) error: i32,
    /// The additional duration of [`FaultKind::Delay`], in ns; 0 for other kinds.
    pub(crate) delay: u64,
    /// How many more jobs the fault may be injected into.
    pub(crate) remaining: u64,
    /// How many jobs [`FaultTrigger::Every`] has passed over since it selected one.
    pub(crate) since_last: u32,
}

impl FaultRule {
    /// Returns whether the fault is injected into the next job.
    fn selects_next(&mut self, random: &mut Random) -> bool {
        let selected = match self.trigger {
            FaultTrigger::Every(every) => {
                self.since_last += 1;
                self.since_last >= every
            }
            FaultTrigger::Probability(millionths) => {
                random.between(0, 999_999) < u64::from(millionths)
            }
        };
        if !selected {
            return false;
        }
        self.since_last = 0;
        if self.remaining == 0 {
            return false;
        }
        self.remaining -= 1;
        true
    }
}

/// The faults of one job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InjectedFaults {
    /// The [`FaultKind::bit`]s.
    pub(crate) kinds: u32,
    /// The error of [`FaultKind::Fail`], a negative errno, or 0.
    pub(crate) error: i32,
    /// The additional duration of the job, in ns.
    pub(crate) delay: u64,
}

impl InjectedFaults {
    /// Adds a fault. The error of the first failure applies; the delays add up.
    pub(crate) fn add(&mut self, kind: FaultKind, error: i32, delay: u64) {
        let kinds = kind.bit();
        self.merge(Self {
            kinds,
            error,
            delay,
        });
    }

    /// Adds the faults of `other`, as [`InjectedFaults::add`] does.
    pub(crate) fn merge(&mut self, other: Self) {
        self.kinds |= other.kinds;
        if self.error == 0 {
            self.error = other.error;
        }
        self.delay = self.delay.saturating_add(other.delay);
    }

    /// Returns whether there is a fault of that kind.
    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.kinds & kind.bit() != 0
    }
}

/// The fault plan of a queue.
pub(crate) struct FaultPlan {
    rules: [Option<FaultRule>; Self::MAX_RULES],
    random: Random,
}

impl FaultPlan {
    /// The most rules of a plan.
    pub(crate) const MAX_RULES: usize = 16;

    /// Returns the plan of a queue without faults.
    pub(crate) fn empty() -> Self {
        Self::new(0)
    }

    /// Returns a plan without rules, whose probabilities are drawn from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            rules: [None; Self::MAX_RULES],
            random: Random::new(seed),
        }
    }

    /// Adds a rule. Returns false if there are [`FaultPlan::MAX_RULES`] rules.
    pub(crate) fn add(&mut self, rule: FaultRule) -> bool {
        match self.rules.iter_mut().find(|place| place.is_none()) {
            Some(place) => {
                *place = Some(rule);
                true
            }
            None => false,
        }
    }

    /// Returns the faults of the next job.
    pub(crate) fn next_job(&mut self) -> InjectedFaults {
        let mut injected = InjectedFaults::default();
        for rule in self.rules.iter_mut().map_while(Option::as_mut) {
            if rule.selects_next(&mut self.random) {
                injected.add(rule.kind, rule.error, rule.delay);
            }
        }
        injected
    }
}
