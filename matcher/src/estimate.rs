//! How much longer a wait will be, by what recent matches took.
//!
//! Of the waits that ended lately and were longer than this one has been so far, half ended
//! within the answer. With none such nothing is known, and nothing is claimed.

use std::collections::VecDeque;
use std::time::Duration;

/// Waits that are remembered. Over it the oldest is forgotten.
const REMEMBERED: usize = 128;

/// Recent waits of one mode.
#[derive(Debug, Clone, Default)]
pub struct Estimator {
    /// In the order in which they ended.
    waits: VecDeque<Duration>,
    /// The same, shortest first.
    sorted: Vec<Duration>,
}

impl Estimator {
    /// Remembers how long one player waited for a match.
    pub fn record(&mut self, waited: Duration) {
        if self.waits.len() == REMEMBERED
            && let Some(oldest) = self.waits.pop_front()
            && let Ok(place) = self.sorted.binary_search(&oldest)
        {
            self.sorted.remove(place);
        }
        self.waits.push_back(waited);
        let place = self.sorted.partition_point(|wait| *wait < waited);
        self.sorted.insert(place, waited);
    }

    /// How much longer it takes for one who has waited for `waited`.
    pub fn remaining(&self, waited: Duration) -> Option<Duration> {
        let longer = &self.sorted[self.sorted.partition_point(|wait| *wait < waited)..];
        longer
            .get(longer.len() / 2)
            .map(|median| median.saturating_sub(waited))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn nothing_is_claimed_while_nothing_is_known() {
        let mut estimator = Estimator::default();
        assert_eq!(estimator.remaining(Duration::ZERO), None);
        estimator.record(seconds(5));
        assert_eq!(estimator.remaining(seconds(6)), None);
    }

    #[test]
    fn the_estimate_is_the_median_of_the_waits_that_are_longer() {
        let mut estimator = Estimator::default();
        for wait in [1, 2, 3, 20, 30] {
            estimator.record(seconds(wait));
        }
        assert_eq!(estimator.remaining(Duration::ZERO), Some(seconds(3)));
        assert_eq!(estimator.remaining(seconds(10)), Some(seconds(20)));
    }

    #[test]
    fn old_waits_are_forgotten() {
        let mut estimator = Estimator::default();
        estimator.record(seconds(100));
        for _ in 0..REMEMBERED {
            estimator.record(seconds(1));
        }
        assert_eq!(estimator.remaining(seconds(2)), None);
    }
}
