//! A small seeded generator for jitter and for tests: the core draws no entropy of its own.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014). Not
//! for secrets.

use std::time::Duration;

/// SplitMix64.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Random(u64);

impl Random {
    /// A generator whose whole sequence follows from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound` (0 for a bound of 0). Bias is below 2^-32 for bounds below 2^32.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A duration spread evenly over `base` ± `percent` %.
    pub fn jitter(&mut self, base: Duration, percent: u32) -> Duration {
        let micros = u64::try_from(base.as_micros()).unwrap_or(u64::MAX);
        let span = micros / 100 * u64::from(percent);
        Duration::from_micros(micros - span + self.below(2 * span + 1))
    }
}
