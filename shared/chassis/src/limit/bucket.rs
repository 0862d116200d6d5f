//! A token bucket in whole numbers: nothing drifts, whatever the rate.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::RetryAfter;
use crate::config::duration;

/// So many tokens at once, refilled at so many a period: `{ burst = 20, refill = 10, per = "1s" }`
/// (`per` is a second unless stated).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RateText")]
pub struct Rate {
    burst: NonZeroU32,
    refill: NonZeroU32,
    #[serde(with = "duration")]
    per: Duration,
}

/// Why a rate is none: a burst or refill of 0, or a period that is not from 1 ms to 1 h.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a rate has a burst and a refill of at least 1 and a period from 1ms to 1h")]
pub struct RateError;

#[derive(Deserialize)]
struct RateText {
    burst: u32,
    refill: u32,
    #[serde(with = "duration", default = "a_second")]
    per: Duration,
}

/// The tokens of one owner: 32 bytes, for each connection. It starts full.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// Tokens times the period in microseconds, so that a microsecond's refill is a whole number.
    level: u64,
    /// When `level` was right.
    at: u64,
    burst: NonZeroU32,
    refill: NonZeroU32,
    /// The period in microseconds.
    per: u32,
}

impl Rate {
    /// `refill` tokens every `per`, of which `burst` can be saved up.
    ///
    /// # Errors
    /// See [`RateError`].
    pub const fn new(burst: u32, refill: u32, per: Duration) -> Result<Self, RateError> {
        let millis = per.as_millis();
        match (NonZeroU32::new(burst), NonZeroU32::new(refill)) {
            (Some(burst), Some(refill)) if millis >= 1 && millis <= 3_600_000 => {
                Ok(Self { burst, refill, per })
            }
            _ => Err(RateError),
        }
    }

    /// `refill` tokens a second, of which `burst` can be saved up; for defaults in code.
    ///
    /// # Panics
    /// If one of them is 0.
    pub const fn per_second(burst: u32, refill: u32) -> Self {
        match Self::new(burst, refill, Duration::from_secs(1)) {
            Ok(rate) => rate,
            Err(_) => panic!("a rate of nothing"),
        }
    }

    /// Most tokens that one bucket holds.
    pub fn burst(&self) -> u32 {
        self.burst.get()
    }
}

impl TryFrom<RateText> for Rate {
    type Error = RateError;

    fn try_from(text: RateText) -> Result<Self, RateError> {
        Self::new(text.burst, text.refill, text.per)
    }
}

impl TokenBucket {
    /// A full bucket.
    pub fn new(rate: Rate, now: u64) -> Self {
        let per = u32::try_from(rate.per.as_micros()).unwrap_or(u32::MAX);
        let mut bucket = Self {
            level: 0,
            at: now,
            burst: rate.burst,
            refill: rate.refill,
            per,
        };
        bucket.level = bucket.capacity();
        bucket
    }

    /// Takes `n` tokens, or none. More than the burst counts as the burst: otherwise a message
    /// that is legal but larger would never pass.
    ///
    /// # Errors
    /// [`RetryAfter`] says when there will be enough.
    pub fn take(&mut self, n: u32, now: u64) -> Result<(), RetryAfter> {
        self.advance(now);
        let wanted = u64::from(n.min(self.burst.get())) * u64::from(self.per);
        match self.level.checked_sub(wanted) {
            Some(left) => {
                self.level = left;
                Ok(())
            }
            None => {
                let wait = (wanted - self.level).div_ceil(u64::from(self.refill.get()));
                Err(RetryAfter(Duration::from_micros(wait)))
            }
        }
    }

    /// Whether the bucket is full at `now`: it then limits no more than a new one does.
    pub fn is_full(&mut self, now: u64) -> bool {
        self.advance(now);
        self.level == self.capacity()
    }

    fn advance(&mut self, now: u64) {
        let refilled = now
            .saturating_sub(self.at)
            .saturating_mul(u64::from(self.refill.get()));
        self.level = self.level.saturating_add(refilled).min(self.capacity());
        // Two threads may read the clock in one order and come here in the other.
        self.at = self.at.max(now);
    }

    fn capacity(&self) -> u64 {
        u64::from(self.burst.get()) * u64::from(self.per)
    }
}

fn a_second() -> Duration {
    Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;

    #[test]
    fn a_burst_passes_and_the_next_waits_for_its_token() {
        let mut bucket = TokenBucket::new(Rate::per_second(3, 10), 0);
        for _ in 0..3 {
            assert_eq!(bucket.take(1, 0), Ok(()));
        }
        let wait = RetryAfter(Duration::from_millis(100));
        assert_eq!(bucket.take(1, 0), Err(wait));
        assert_eq!(
            bucket.take(1, SECOND / 10 - 1),
            Err(RetryAfter(Duration::from_micros(1)))
        );
        assert_eq!(bucket.take(1, SECOND / 10), Ok(()));
    }

    #[test]
    fn waiting_as_told_is_enough_at_any_rate() {
        for (burst, refill, per_ms) in [
            (1, 3, 1000),
            (5, 7, 60_000),
            (100, 1, 1),
            (7, 999, 3_600_000),
        ] {
            let rate = Rate::new(burst, refill, Duration::from_millis(per_ms)).expect("rate");
            let mut bucket = TokenBucket::new(rate, 5);
            assert_eq!(bucket.take(burst, 5), Ok(()));
            let RetryAfter(wait) = bucket.take(burst, 5).expect_err("empty");
            let later = 5 + wait.as_micros() as u64;
            assert!(bucket.take(burst, later - 1).is_err());
            assert_eq!(bucket.take(burst, later), Ok(()));
        }
    }

    #[test]
    fn idle_time_saves_up_no_more_than_the_burst() {
        let mut bucket = TokenBucket::new(Rate::per_second(2, 1000), 0);
        let much_later = u64::MAX - SECOND;
        assert!(bucket.take(2, much_later).is_ok());
        assert!(bucket.take(1, much_later).is_err());
        assert!(!bucket.is_full(much_later));
        assert!(bucket.is_full(much_later + 2000));
    }

    #[test]
    fn more_than_the_burst_takes_the_whole_burst() {
        let mut bucket = TokenBucket::new(Rate::per_second(4, 4), 0);
        assert_eq!(bucket.take(1000, 0), Ok(()));
        assert_eq!(
            bucket.take(1000, 0),
            Err(RetryAfter(Duration::from_secs(1)))
        );
    }

    #[test]
    fn a_clock_reading_that_arrives_late_gives_nothing_twice() {
        let mut bucket = TokenBucket::new(Rate::per_second(1, 1), 0);
        assert!(bucket.take(1, SECOND).is_ok());
        assert!(bucket.take(1, 0).is_err());
        assert!(bucket.take(1, SECOND).is_err());
    }

    #[test]
    fn a_rate_of_nothing_is_refused_in_configuration() {
        let read = |text: &str| toml::from_str::<Rate>(text);
        assert_eq!(
            read("burst = 2\nrefill = 1").ok(),
            Some(Rate::per_second(2, 1))
        );
        assert!(read("burst = 2\nrefill = 5\nper = \"1m\"").is_ok());
        assert!(read("burst = 0\nrefill = 1").is_err());
        assert!(read("burst = 1\nrefill = 1\nper = \"2h\"").is_err());
    }

    #[test]
    fn a_retry_is_told_in_milliseconds_that_suffice() {
        assert_eq!(RetryAfter(Duration::from_micros(1)).millis(), 1);
        assert_eq!(RetryAfter(Duration::from_millis(7)).millis(), 7);
    }
}
