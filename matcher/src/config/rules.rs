//! The parts of a mode that are rules of their own.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::AttributeValue;

/// Shortest and longest time to accept a match.
pub const ACCEPT_WITHIN: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));

/// Longest time for which who does not accept a match is kept out of queues.
pub const LONGEST_COOL_DOWN: Duration = Duration::from_secs(24 * 3600);

/// Players in a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlayerRange {
    /// Fewest, at least 1.
    pub min: u8,
    /// Most, at most [`MAX_MATCH`](super::MAX_MATCH).
    pub max: u8,
}

/// How far apart two ratings may be. Two tickets meet only if each is within the other's window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RatingWindow {
    /// Rating points to either side at first.
    pub start: u32,
    /// Points that each second of waiting adds.
    pub widen_per_second: u32,
    /// Points that are never exceeded.
    pub cap: u32,
    /// Of the uncertainty of the ticket's rating, so much in a hundred is added to the points at
    /// first.
    #[serde(default = "deviation_percent")]
    pub deviation_percent: u32,
}

/// Which values an attribute has. Tickets meet only if theirs are the same; who names none is with
/// others who name none. Bots of ours fill in everywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeRule {
    /// At least one, at most [`MAX_VALUES`](super::MAX_VALUES).
    pub values: BTreeSet<AttributeValue>,
}

/// How players are asked before a match begins. Who does not accept leaves the queue, and may not
/// enter one for a while: `cool_down` after the first time, twice as long after each further one,
/// up to `cool_down_most`. When so much time has passed after a cool-down it begins anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AcceptRule {
    /// How long they have, [`ACCEPT_WITHIN`] at least and at most.
    #[serde(with = "chassis::config::duration")]
    pub within: Duration,
    /// See there; at most [`LONGEST_COOL_DOWN`].
    #[serde(with = "chassis::config::duration")]
    pub cool_down: Duration,
    /// See there; likewise, and not less than `cool_down`.
    #[serde(with = "chassis::config::duration")]
    pub cool_down_most: Duration,
}

impl Default for AcceptRule {
    fn default() -> Self {
        Self {
            within: Duration::from_secs(10),
            cool_down: Duration::from_secs(15),
            cool_down_most: Duration::from_secs(300),
        }
    }
}

/// Which latency to a region a ticket accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegionRule {
    /// Milliseconds of round trip at first.
    pub start_ms: u32,
    /// Milliseconds that each second of waiting adds.
    pub widen_ms_per_second: u32,
    /// Milliseconds that are never exceeded.
    pub cap_ms: u32,
}

impl RatingWindow {
    /// Points to either side after `waited`, for a rating that is so uncertain.
    pub fn reach(&self, waited: Duration, deviation: u32) -> u32 {
        let wider = u64::from(deviation) * u64::from(self.deviation_percent) / 100;
        let start = u64::from(self.start).saturating_add(wider);
        let start = u32::try_from(start).unwrap_or(u32::MAX);
        widened(start, self.widen_per_second, self.cap, waited)
    }
}

impl RegionRule {
    /// Milliseconds that are accepted after `waited`.
    pub fn reach_ms(&self, waited: Duration) -> u32 {
        widened(self.start_ms, self.widen_ms_per_second, self.cap_ms, waited)
    }
}

pub(super) fn deviation_percent() -> u32 {
    50
}

fn widened(start: u32, per_second: u32, cap: u32, waited: Duration) -> u32 {
    let millis = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
    let added = u64::from(per_second).saturating_mul(millis) / 1000;
    let reach = u64::from(start).saturating_add(added);
    u32::try_from(reach).map_or(cap, |reach| reach.min(cap))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_widens_up_to_its_cap_and_never_overflows() {
        let window = RatingWindow {
            start: 100,
            widen_per_second: 20,
            cap: 300,
            deviation_percent: 50,
        };
        assert_eq!(window.reach(Duration::ZERO, 0), 100);
        assert_eq!(window.reach(Duration::from_millis(500), 0), 110);
        assert_eq!(window.reach(Duration::from_secs(60), 0), 300);
        assert_eq!(window.reach(Duration::MAX, 0), 300);
    }

    #[test]
    fn an_uncertain_rating_begins_with_a_wider_window_within_the_cap() {
        let window = RatingWindow {
            start: 100,
            widen_per_second: 20,
            cap: 300,
            deviation_percent: 50,
        };
        assert_eq!(window.reach(Duration::ZERO, 80), 140);
        assert_eq!(window.reach(Duration::from_secs(1), 80), 160);
        assert_eq!(window.reach(Duration::ZERO, 1_000), 300);
        assert_eq!(window.reach(Duration::MAX, u32::MAX), 300);
    }
}
