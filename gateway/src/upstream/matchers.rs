//! Which matcher a player belongs to. All gateways choose alike, so that one matcher has all
//! sessions of a player. Pure.
//!
//! Choice is by rendezvous hashing (Thaler and Ravishankar, "A Name-Based Mapping Scheme for
//! Rendezvous", 1996): a matcher that goes moves its own players only, and one that comes takes
//! its share evenly from all.

use std::time::Duration;

use protocol::id::{NodeId, PlayerId};
use protocol::time::Timestamp;

use crate::outbox::LinkId;

/// A matcher that comes gets players once nothing changed for this long: one that comes and goes
/// moves nobody.
const SETTLE: Duration = Duration::from_secs(1);

/// The matcher that a player belongs to, of `matchers`.
pub(super) fn owner(matchers: &[(NodeId, LinkId)], player: PlayerId) -> Option<LinkId> {
    chosen(matchers.iter(), player.0).map(|(_, link)| *link)
}

/// The node that all gateways choose for something of that number, of those that they see alike.
pub(super) fn chosen<'a>(
    nodes: impl Iterator<Item = &'a (NodeId, LinkId)>,
    number: u64,
) -> Option<&'a (NodeId, LinkId)> {
    nodes.max_by_key(|(node, _)| (score(node, number), node))
}

/// The matchers that players are shared out over, as they come and go.
#[derive(Debug, Default)]
pub(super) struct Owners {
    shown: Vec<(NodeId, LinkId)>,
    /// What was offered last, and since when.
    offered: Vec<(NodeId, LinkId)>,
    since: Timestamp,
}

impl Owners {
    /// The matchers now, by name.
    pub(super) fn shown(&self) -> &[(NodeId, LinkId)] {
        &self.shown
    }

    /// Takes note of the matchers that are to have players, by name. Gives whether [`Self::shown`]
    /// changed. One that is gone is left out at once: its players need a home. One that has come
    /// waits, unless there is no other.
    pub(super) fn offer(&mut self, now: Timestamp, matchers: Vec<(NodeId, LinkId)>) -> bool {
        if self.offered != matchers {
            self.offered = matchers;
            self.since = now;
        }
        let before = self.shown.len();
        self.shown.retain(|matcher| self.offered.contains(matcher));
        let has_settled = self.since + SETTLE <= now || self.shown.is_empty();
        if has_settled && self.shown != self.offered {
            self.shown.clone_from(&self.offered);
            return true;
        }
        self.shown.len() != before
    }

    /// When the matchers may change without anything having happened.
    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        (self.shown != self.offered).then(|| self.since + SETTLE)
    }
}

/// FNV-1a of the name, mixed with the number by the finaliser of SplitMix64 (Steele, Lea and
/// Flood, 2014). Never to change: gateways of two releases have to agree.
fn score(node: &NodeId, number: u64) -> u64 {
    let name = node
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    mix(mix(name) ^ number)
}

fn mix(mut word: u64) -> u64 {
    word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(5_000_000);

    fn matchers(numbers: &[u64]) -> Vec<(NodeId, LinkId)> {
        let matcher = |number: &u64| (format!("m-{number}").parse().unwrap(), LinkId(*number));
        numbers.iter().map(matcher).collect()
    }

    #[test]
    fn a_matcher_that_goes_moves_its_own_players_only() {
        let (all, fewer) = (matchers(&[1, 2, 3]), matchers(&[1, 3]));
        let mut counts = [0; 4];
        for player in (0..3_000).map(PlayerId) {
            let before = owner(&all, player).unwrap();
            counts[before.0 as usize] += 1;
            if before != LinkId(2) {
                assert_eq!(owner(&fewer, player), Some(before));
            }
        }
        let even = |count: &i32| (800..1_200).contains(count);
        assert!(counts[1..].iter().all(even), "{counts:?}");
    }

    #[test]
    fn gateways_of_all_releases_choose_alike() {
        let all = matchers(&[1, 2, 3]);
        let chosen: Vec<u64> = (0..8)
            .map(|player| owner(&all, PlayerId(player)).unwrap().0)
            .collect();
        // Worked out apart from this code.
        assert_eq!(chosen, [2, 3, 3, 2, 3, 1, 2, 3]);
    }

    #[test]
    fn the_first_matcher_has_players_at_once_and_the_next_after_a_while() {
        let mut owners = Owners::default();
        assert!(owners.offer(START, matchers(&[1])));
        assert!(!owners.offer(START, matchers(&[1, 2])));
        assert_eq!(owners.poll_timeout(), Some(START + SETTLE));
        assert!(owners.offer(START + SETTLE, matchers(&[1, 2])));
        assert_eq!(owners.shown(), matchers(&[1, 2]));
        assert_eq!(owners.poll_timeout(), None);
    }

    #[test]
    fn a_matcher_that_comes_and_goes_moves_nobody() {
        let mut owners = Owners::default();
        owners.offer(START, matchers(&[1]));
        for step in 1..20 {
            let now = START + SETTLE / 2 * step;
            let up: &[u64] = if step % 2 == 0 { &[1] } else { &[1, 2] };
            assert!(!owners.offer(now, matchers(up)));
        }
    }

    #[test]
    fn a_matcher_that_is_gone_is_left_out_at_once() {
        let mut owners = Owners::default();
        owners.offer(START, matchers(&[1]));
        owners.offer(START, matchers(&[1, 2]));
        owners.offer(START + SETTLE, matchers(&[1, 2]));
        assert!(owners.offer(START + SETTLE, matchers(&[2])));
        assert_eq!(owners.shown(), matchers(&[2]));
        assert!(owners.offer(START + SETTLE, Vec::new()));
        assert!(owners.shown().is_empty());
    }

    #[test]
    fn a_matcher_that_is_linked_anew_waits_like_a_new_one() {
        let mut owners = Owners::default();
        owners.offer(START, matchers(&[1, 2]));
        let mut again = matchers(&[1, 2]);
        again[1].1 = LinkId(9);
        assert!(owners.offer(START, again.clone()));
        assert_eq!(owners.shown(), &again[..1]);
        assert!(owners.offer(START + SETTLE, again.clone()));
        assert_eq!(owners.shown(), again);
    }
}
