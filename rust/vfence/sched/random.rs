// SPDX-License-Identifier: GPL-2.0

//! Random numbers that are reproducible from a seed.
//!
//! SplitMix64: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
//! OOPSLA 2014.

/// A sequence of random numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Starts the sequence of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number, of 64 bits.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number from `low` to `high`, both included, where `low <= high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        let random = self.next();
        match (high - low).checked_add(1) {
            // `random` is a fraction of 2^64. The probabilities of two numbers differ by at most
            // 2^-64, which no caller can observe.
            Some(choices) => low + ((u128::from(random) * u128::from(choices)) >> 64) as u64,
            None => random,
        }
    }
}
