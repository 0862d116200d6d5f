//! The size of the pool by itself: it follows how long callers wait. Pure.
//!
//! It grows by half when more than one caller in twenty waited longer than is wanted, and shrinks
//! by a tenth after a minute in which not even half of it was in use: quickly up, slowly down, so
//! that a burst does not make it swing. If Postgres is what is slow, more connections do not help,
//! and the bounds are what keeps it from being run over.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds of the automatic mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Automatic {
    /// Fewest connections that there may be.
    pub min: u32,
    /// Most connections that there may be.
    pub max: u32,
    /// How long 19 of 20 callers may wait at most.
    #[serde(with = "crate::config::duration")]
    pub wait: Duration,
}

impl Default for Automatic {
    fn default() -> Self {
        Self {
            min: 2,
            max: 50,
            wait: Duration::from_millis(10),
        }
    }
}

/// What was seen since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Callers who got a connection, or gave up.
    pub(super) served: u64,
    /// Those of them who waited too long.
    pub(super) late: u64,
    /// Most connections that were in use at once.
    pub(super) most_used: u32,
    /// How much time the look covers.
    pub(super) over: Duration,
}

/// How long it must have been more than large enough before it shrinks.
const QUIET: Duration = Duration::from_secs(60);

/// Follows the waiting time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Follower {
    quiet_for: Duration,
}

impl Follower {
    /// The size that comes after `size`.
    pub(super) fn next(&mut self, size: u32, seen: Seen, bounds: Automatic) -> u32 {
        let is_late = seen.late * 20 > seen.served;
        let is_idle = seen.late == 0 && u64::from(seen.most_used) * 2 < u64::from(size);
        self.quiet_for = match is_idle {
            true => self.quiet_for + seen.over,
            false => Duration::ZERO,
        };
        let wanted = if is_late {
            size + size.div_ceil(2)
        } else if self.quiet_for >= QUIET {
            self.quiet_for = Duration::ZERO;
            size - (size / 10).max(1).min(size)
        } else {
            size
        };
        wanted.clamp(bounds.min, bounds.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Automatic = Automatic {
        min: 4,
        max: 40,
        wait: Duration::from_millis(10),
    };

    fn seen(late: u64, most_used: u32) -> Seen {
        Seen {
            served: 100,
            late,
            most_used,
            over: Duration::from_secs(1),
        }
    }

    #[test]
    fn it_grows_while_callers_wait_up_to_its_bound() {
        let mut follower = Follower::default();
        let mut size = 4;
        let sizes: Vec<u32> = std::iter::repeat_with(|| {
            size = follower.next(size, seen(6, size), BOUNDS);
            size
        })
        .take(7)
        .collect();
        assert_eq!(sizes, [6, 9, 14, 21, 32, 40, 40]);
    }

    #[test]
    fn a_few_late_ones_change_nothing() {
        let mut follower = Follower::default();
        for _ in 0..200 {
            assert_eq!(follower.next(20, seen(5, 1), BOUNDS), 20);
        }
    }

    #[test]
    fn it_shrinks_after_a_quiet_minute_down_to_its_bound_and_not_while_it_is_used() {
        let mut follower = Follower::default();
        let mut size = 20;
        for _ in 0..59 {
            assert_eq!(follower.next(size, seen(0, 3), BOUNDS), 20);
        }
        assert_eq!(follower.next(size, seen(0, 3), BOUNDS), 18);
        for _ in 0..200 {
            assert_eq!(follower.next(18, seen(0, 9), BOUNDS), 18);
        }
        for _ in 0..60 * 60 {
            size = follower.next(size, seen(0, 0), BOUNDS);
        }
        assert_eq!(size, 4);
    }

    #[test]
    fn new_bounds_hold_at_once() {
        let mut follower = Follower::default();
        assert_eq!(follower.next(100, seen(0, 90), BOUNDS), 40);
        assert_eq!(follower.next(1, seen(0, 1), BOUNDS), 4);
    }
}
