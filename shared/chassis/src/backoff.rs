//! How long to wait before the next attempt: doubling up to a limit, with jitter, so that a fleet
//! that lost the same peer does not come back in one wave.

use std::time::Duration;

/// The waits of one retry loop.
///
/// The n-th wait is drawn evenly from the upper half of `first * 2^n`, capped at the limit. The
/// lower half is left out so that two attempts never follow each other at once.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    limit: Duration,
    next: Duration,
}

impl Backoff {
    /// Waits that begin at `first` and never exceed `limit`.
    pub fn new(first: Duration, limit: Duration) -> Self {
        let first = first.min(limit);
        Self {
            first,
            limit,
            next: first,
        }
    }

    /// The wait before the next attempt.
    #[expect(
        clippy::should_implement_trait,
        reason = "an endless iterator would hand every caller an Option that is never None"
    )]
    pub fn next(&mut self) -> Duration {
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(self.limit);
        wait.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Forgets the failures so far: call it once an attempt has held.
    pub fn reset(&mut self) {
        self.next = self.first;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn between(wait: Duration, low_ms: u64, high_ms: u64) -> bool {
        (Duration::from_millis(low_ms)..=Duration::from_millis(high_ms)).contains(&wait)
    }

    #[test]
    fn waits_double_up_to_the_limit() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_millis(300));
        assert!(between(backoff.next(), 50, 100));
        assert!(between(backoff.next(), 100, 200));
        for _ in 0..100 {
            assert!(between(backoff.next(), 150, 300));
        }
    }

    #[test]
    fn a_reset_begins_again_at_the_first_wait() {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_secs(10));
        for _ in 0..20 {
            backoff.next();
        }
        backoff.reset();
        assert!(between(backoff.next(), 5, 10));
    }

    #[test]
    fn waits_differ_between_loops() {
        let draw = || Backoff::new(Duration::from_secs(1000), Duration::from_secs(1000)).next();
        assert_ne!([draw(), draw(), draw()], [draw(), draw(), draw()]);
    }
}
