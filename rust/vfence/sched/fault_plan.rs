// SPDX-License-Identifier: GPL-2.0

//! The fault plan of a queue: what goes wrong with which jobs.
//!
//! Plain, like the state machine that asks it; `tools/sched` compiles this very file on the host.

use super::random::Random;

/// What can go wrong with a job: a bit each, as user space sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FaultKind {
    /// It completes with an error.
    Fail = 1,
    /// It never ends by itself.
    Hang = 2,
    /// It takes longer.
    Delay = 3,
    /// Nobody hears of its end until the watchdog looks.
    DropInterrupt = 4,
}

impl FaultKind {
    /// How many there are, and one for the number 0, which is none.
    pub(crate) const COUNT: usize = 5;

    pub(crate) const ALL: [Self; 4] = [Self::Fail, Self::Hang, Self::Delay, Self::DropInterrupt];

    /// Returns the bit that stands for it.
    pub(crate) const fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// To which jobs a fault is done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FaultTrigger {
    /// Each time after so many, one of them.
    Every(u32),
    /// With this probability, in millionths.
    Probability(u32),
}

/// One fault of a plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FaultRule {
    pub(crate) kind: FaultKind,
    pub(crate) trigger: FaultTrigger,
    /// The error of [`FaultKind::Fail`].
    pub(crate) error: i32,
    /// How much longer [`FaultKind::Delay`] takes, in ns.
    pub(crate) delay: u64,
    /// How often it may be done yet.
    pub(crate) remaining: u64,
    /// How many jobs have passed since it was done by [`FaultTrigger::Every`].
    pub(crate) since_last: u32,
}

impl FaultRule {
    fn hits(&mut self, random: &mut Random) -> bool {
        let hit = match self.trigger {
            FaultTrigger::Every(every) => {
                self.since_last += 1;
                self.since_last >= every
            }
            FaultTrigger::Probability(millionths) => {
                random.between(0, 999_999) < u64::from(millionths)
            }
        };
        if !hit {
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

/// What is done to one job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct InjectedFaults {
    /// The [`FaultKind::bit`]s.
    pub(crate) kinds: u32,
    /// The error of [`FaultKind::Fail`], or 0.
    pub(crate) error: i32,
    /// How much longer it takes, in ns.
    pub(crate) delay: u64,
}

impl InjectedFaults {
    /// Adds a fault; of several errors the first one counts, delays add up.
    pub(crate) fn add(&mut self, kind: FaultKind, error: i32, delay: u64) {
        let kinds = kind.bit();
        self.merge(Self {
            kinds,
            error,
            delay,
        });
    }

    /// Adds all of `more`.
    pub(crate) fn merge(&mut self, more: Self) {
        self.kinds |= more.kinds;
        if self.error == 0 {
            self.error = more.error;
        }
        self.delay = self.delay.saturating_add(more.delay);
    }

    /// Returns whether a fault of that kind is among them.
    pub(crate) fn has(&self, kind: FaultKind) -> bool {
        self.kinds & kind.bit() != 0
    }
}

/// The faults of a queue, and the random numbers that they are drawn from.
pub(crate) struct FaultPlan {
    faults: [Option<FaultRule>; Self::MAX_RULES],
    random: Random,
}

impl FaultPlan {
    /// Most faults of a plan.
    pub(crate) const MAX_RULES: usize = 16;

    /// Returns a plan by which nothing goes wrong.
    pub(crate) fn empty() -> Self {
        Self::new(0)
    }

    /// Returns a plan without faults yet, whose probabilities will be drawn from `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            faults: [None; Self::MAX_RULES],
            random: Random::new(seed),
        }
    }

    /// Adds a fault. Returns whether there was a place for it.
    pub(crate) fn add(&mut self, fault: FaultRule) -> bool {
        match self.faults.iter_mut().find(|place| place.is_none()) {
            Some(place) => {
                *place = Some(fault);
                true
            }
            None => false,
        }
    }

    /// Decides what is done to the next job.
    pub(crate) fn next_job(&mut self) -> InjectedFaults {
        let mut injected = InjectedFaults::default();
        for fault in self.faults.iter_mut().map_while(Option::as_mut) {
            if fault.hits(&mut self.random) {
                injected.add(fault.kind, fault.error, fault.delay);
            }
        }
        injected
    }
}
