//! When steps are due. Pure: the time is handed in.

use std::time::Duration;

use tokio::time::Instant;

use crate::room::TICK_HZ;

/// Steps that are made up for after a delay. Beyond it time is lost: rooms run late rather than
/// in a rush that delays them further.
const CATCH_UP: u32 = 4;

const PERIOD: Duration = Duration::from_nanos(1_000_000_000 / TICK_HZ as u64);

/// A fixed rate, without drift.
#[derive(Debug)]
pub(crate) struct Ticker {
    next: Instant,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Due {
    /// Steps to make now.
    pub(crate) steps: u32,
    /// Steps that are given up.
    pub(crate) skipped: u32,
}

impl Ticker {
    /// The first step is due one period from `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self { next: now + PERIOD }
    }

    /// When the next step is due.
    pub(crate) fn next(&self) -> Instant {
        self.next
    }

    /// What is due at `now`; it counts as done.
    pub(crate) fn due(&mut self, now: Instant) -> Due {
        if now < self.next {
            return Due {
                steps: 0,
                skipped: 0,
            };
        }
        let late = now - self.next;
        let due = u32::try_from(late.as_nanos() / PERIOD.as_nanos())
            .unwrap_or(u32::MAX - 1)
            .saturating_add(1);
        self.next += PERIOD * due;
        Due {
            steps: due.min(CATCH_UP),
            skipped: due.saturating_sub(CATCH_UP),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_has_sixty_steps() {
        let start = Instant::now();
        let mut ticker = Ticker::new(start);
        let steps = (1..=1000).map(|ms| ticker.due(start + Duration::from_millis(ms)).steps);
        assert_eq!(steps.sum::<u32>(), 60);
    }

    #[test]
    fn a_short_delay_is_made_up_for_and_a_long_one_is_counted() {
        let start = Instant::now();
        let mut ticker = Ticker::new(start);
        let after = |ms| start + Duration::from_millis(ms);
        let due = |steps, skipped| Due { steps, skipped };
        assert_eq!(ticker.due(after(51)), due(3, 0));
        assert_eq!(ticker.due(after(60)), due(0, 0));
        assert_eq!(ticker.due(after(1000)), due(4, 53));
        assert_eq!(ticker.due(after(1017)), due(1, 0));
    }
}
