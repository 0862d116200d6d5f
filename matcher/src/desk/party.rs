//! Parties that gather by a code.

use std::collections::BTreeMap;

use protocol::control::{ErrorCode, ErrorMessage, PartyRef};
use protocol::id::PlayerId;

use crate::config::{Mode, ModeName, Region};

/// Lengths of a code, in characters.
const CODE_LENGTH: std::ops::RangeInclusive<usize> = 4..=32;

/// What the members of a party agree on. It is a secret of theirs: not for logs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartyCode(Box<str>);

impl std::fmt::Debug for PartyCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PartyCode(..)")
    }
}

/// A wish for a party, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PartyWish {
    pub(super) code: PartyCode,
    pub(super) size: u8,
}

/// All parties that have a member in a queue: no more than there are players.
#[derive(Debug, Default)]
pub(super) struct Parties(BTreeMap<PartyCode, Party>);

/// A party.
#[derive(Debug)]
pub(super) struct Party {
    mode: ModeName,
    size: u8,
    /// In the order in which they came.
    pub(super) members: Vec<PlayerId>,
}

impl PartyWish {
    /// Checks a party for `mode`.
    pub(super) fn parse(party: &PartyRef, mode: &Mode) -> Result<Self, ErrorMessage> {
        let refused = |field: &str, message: String| {
            Err(ErrorMessage::new(ErrorCode::BadField, message).field(field))
        };
        if !CODE_LENGTH.contains(&party.code.chars().count()) {
            let (min, max) = (CODE_LENGTH.start(), CODE_LENGTH.end());
            let message = format!("a party's code has {min} to {max} characters");
            return refused("party.code", message);
        }
        let most = mode.largest_team();
        if !(2..=most).contains(&party.size) {
            let message = if most < 2 {
                "this mode has no parties".to_owned()
            } else {
                format!("a party in this mode has 2 to {most} members")
            };
            return refused("party.size", message);
        }
        Ok(Self {
            code: PartyCode(party.code.as_str().into()),
            size: party.size,
        })
    }
}

impl Party {
    /// Members present and wanted.
    pub(super) fn fill(&self) -> (u8, u8) {
        let present = u8::try_from(self.members.len()).unwrap_or(u8::MAX);
        (present, self.size)
    }

    /// Whether everyone is there.
    pub(super) fn is_complete(&self) -> bool {
        self.members.len() == usize::from(self.size)
    }
}

impl Parties {
    /// A party.
    pub(super) fn party(&self, code: &PartyCode) -> Option<&Party> {
        self.0.get(code)
    }

    /// `player` comes to a party, which begins with its first member.
    pub(super) fn join(
        &mut self,
        wish: &PartyWish,
        mode: &ModeName,
        player: PlayerId,
    ) -> Result<&Party, ErrorMessage> {
        let party = self.0.entry(wish.code.clone()).or_insert_with(|| Party {
            mode: mode.clone(),
            size: wish.size,
            members: Vec::new(),
        });
        let mismatch = |field: &str, message: &str| {
            Err(ErrorMessage::new(ErrorCode::PartyMismatch, message).field(field))
        };
        if party.mode != *mode {
            return mismatch("mode", "the party gathers for another mode");
        }
        if party.size != wish.size {
            return mismatch("party.size", "the party gathers with another size");
        }
        if party.is_complete() {
            return mismatch("party.code", "the party is full");
        }
        party.members.push(player);
        Ok(party)
    }

    /// `player` leaves. Gives who remains.
    pub(super) fn leave(&mut self, code: &PartyCode, player: PlayerId) -> Vec<PlayerId> {
        let Some(party) = self.0.get_mut(code) else {
            return Vec::new();
        };
        party.members.retain(|member| *member != player);
        let remaining = party.members.clone();
        if remaining.is_empty() {
            self.0.remove(code);
        }
        remaining
    }

    /// The party has its match.
    pub(super) fn disband(&mut self, code: &PartyCode) {
        self.0.remove(code);
    }
}

/// The regions that all members measured, each with the worst latency among them; those who
/// measured none go anywhere. `None` if the others have no region in common.
pub(super) fn common_regions<'a>(
    members: impl Iterator<Item = &'a BTreeMap<Region, u32>>,
) -> Option<BTreeMap<Region, u32>> {
    let mut common: Option<BTreeMap<Region, u32>> = None;
    for regions in members.filter(|regions| !regions.is_empty()) {
        common = Some(match common {
            None => regions.clone(),
            Some(before) => before
                .into_iter()
                .filter_map(|(region, worst)| {
                    let latency = *regions.get(&region)?;
                    Some((region, worst.max(latency)))
                })
                .collect(),
        });
    }
    match common {
        Some(common) if common.is_empty() => None,
        common => Some(common.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regions(latencies: &[(&str, u32)]) -> BTreeMap<Region, u32> {
        latencies
            .iter()
            .map(|(name, latency)| (name.parse().unwrap(), *latency))
            .collect()
    }

    #[test]
    fn a_party_goes_where_all_of_it_can_by_the_worst_latency() {
        let one = regions(&[("east", 20), ("west", 90)]);
        let other = regions(&[("east", 50), ("north", 10)]);
        let anywhere = BTreeMap::new();
        let common = common_regions([&one, &anywhere, &other].into_iter());
        assert_eq!(common, Some(regions(&[("east", 50)])));
        assert_eq!(
            common_regions([&anywhere].into_iter()),
            Some(BTreeMap::new())
        );
        let apart = regions(&[("south", 1)]);
        assert_eq!(common_regions([&one, &apart].into_iter()), None);
    }

    #[test]
    fn a_party_that_everyone_left_is_gone() {
        let mut parties = Parties::default();
        let wish = PartyWish {
            code: PartyCode("abcd".into()),
            size: 2,
        };
        let mode = "team".parse().unwrap();
        assert!(parties.join(&wish, &mode, PlayerId(1)).is_ok());
        assert!(parties.leave(&wish.code, PlayerId(1)).is_empty());
        assert!(parties.party(&wish.code).is_none());
    }
}
