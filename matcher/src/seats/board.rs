//! How events stand, as far as this matcher knows: what lists and pushes are made of.
//!
//! Counts come from every answer of the store, from the news that other matchers' changes make, and
//! from a look once a second, in any order. Only one of a greater version replaces another, so an
//! old value never overwrites a newer one.
//!
//! The cache is `quick_cache` (S3-FIFO: Yang et al., "FIFO queues are all you need for cache
//! eviction", SOSP 2023). It finds by itself which keys are hot: one that is asked for again while
//! it is in the small queue moves to the main one, and a crowd of keys that are asked for once
//! passes through without pushing those out.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use parking_lot::Mutex;
use quick_cache::sync::Cache;

use super::Counts;
use crate::config::EventName;

/// Events whose counts are kept; the rest are looked up when somebody asks.
const EVENTS: usize = 1024;

/// See the module.
#[derive(Debug)]
pub struct Board {
    counts: Cache<EventName, Counts>,
    /// Comparing and putting is one step.
    putting: Mutex<()>,
    /// What clients have seen that is newer.
    wanted: Mutex<BTreeMap<EventName, u64>>,
}

impl Default for Board {
    fn default() -> Self {
        Self {
            counts: Cache::new(EVENTS),
            putting: Mutex::new(()),
            wanted: Mutex::default(),
        }
    }
}

impl Board {
    /// Takes note of how an event stood. Gives whether that is news here.
    pub fn put(&self, event: &EventName, counts: Counts) -> bool {
        let _alone = self.putting.lock();
        let known = self.counts.peek(event);
        let is_older = |known: Counts| match known.version.cmp(&counts.version) {
            Ordering::Less => false,
            // An operator has changed the number of seats.
            Ordering::Equal => known.seats == counts.seats,
            Ordering::Greater => true,
        };
        if known.is_some_and(is_older) {
            return false;
        }
        self.counts.insert(event.clone(), counts);
        true
    }

    /// How an event stands, if that is known here.
    pub fn counts(&self, event: &EventName) -> Option<Counts> {
        self.counts.get(event)
    }

    /// The version of that; 0 if it is not known.
    pub fn version(&self, event: &EventName) -> u64 {
        self.counts.peek(event).map_or(0, |counts| counts.version)
    }

    /// Somebody has seen this version of an event: the store is asked for one that is not older.
    pub fn want(&self, event: &EventName, version: u64) {
        if version > self.version(event) {
            let mut wanted = self.wanted.lock();
            if wanted.len() < EVENTS {
                let known = wanted.entry(event.clone()).or_default();
                *known = version.max(*known);
            }
        }
    }

    /// The greatest version that anybody has seen, as far as it is known here.
    pub(super) fn seen(&self, event: &EventName) -> u64 {
        let wanted = self.wanted.lock().remove(event).unwrap_or_default();
        self.version(event).max(wanted)
    }

    /// Forgets events that there are no more.
    pub(super) fn retain(&self, keep: impl Fn(&EventName) -> bool) {
        self.counts.retain(|event, _| keep(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(version: u64, reserved: u32) -> Counts {
        Counts {
            version,
            seats: 10,
            reserved,
            confirmed: 0,
        }
    }

    #[test]
    fn an_older_count_never_replaces_a_newer_one() {
        let (board, event) = (Board::default(), "a".parse().unwrap());
        assert!(board.put(&event, counts(5, 1)));
        assert!(!board.put(&event, counts(4, 2)));
        assert!(!board.put(&event, counts(5, 1)));
        assert_eq!(board.counts(&event), Some(counts(5, 1)));
        assert!(board.put(&event, counts(6, 3)));
        assert_eq!(board.version(&event), 6);
        board.want(&event, 6);
        assert_eq!(board.seen(&event), 6, "nothing newer is wanted");
        board.want(&event, 9);
        assert_eq!(board.seen(&event), 9);
    }

    #[test]
    fn an_event_that_is_asked_for_survives_a_crowd_of_others() {
        let (board, hot) = (Board::default(), "hot".parse().unwrap());
        board.put(&hot, counts(1, 0));
        for number in 0..20 * EVENTS {
            assert!(board.counts(&hot).is_some(), "gone after {number} others");
            board.put(&format!("cold-{number}").parse().unwrap(), counts(1, 0));
        }
        let cold = (0..20 * EVENTS).map(|number| format!("cold-{number}").parse().unwrap());
        let kept = cold.filter(|event| board.version(event) > 0).count();
        assert!(kept < EVENTS, "it is bounded: {kept}");
    }
}
