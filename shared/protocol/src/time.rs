//! Time as a value. The core reads no clock: callers hand in a [`Timestamp`] of one monotonic
//! clock, real or virtual.

use std::ops::{Add, Sub};
use std::time::Duration;

/// Microseconds on a monotonic clock whose zero is of no meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// Milliseconds, cut to the 32 bits that go on the wire; wraps after 49 days, which every
    /// subtraction of two of them allows for.
    pub fn wire_millis(self) -> u32 {
        (self.0 / 1000) as u32
    }

    /// The time since `earlier`, or nothing if that lies ahead.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}

impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)),
        )
    }
}
