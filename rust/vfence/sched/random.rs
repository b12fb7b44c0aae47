// SPDX-License-Identifier: GPL-2.0

//! Random numbers that are the same each time: what a seed stands for.
//!
//! SplitMix64: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014. `tools/sched` compiles this very file on the host.

/// A sequence of random numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Begins the sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number of 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let random = self.next();
        match (high - low).checked_add(1) {
            // The product of a fraction with the number of choices; that some are likelier by 2^-64 of the
            // number of choices does not matter.
            Some(choices) => low + ((u128::from(random) * u128::from(choices)) >> 64) as u64,
            None => random,
        }
    }
}
