//! Rating windows: among one anchor's candidates, the set that makes the best match.
//!
//! Two tickets meet if the difference of their ratings is within the reach of both. For a set,
//! take its lowest and highest rating: it is good if every member reaches both ends. So it is
//! enough to try every pair of ratings as ends, and to keep, between them, the candidates that
//! reach both: any choice among those is good, and every good set is such a choice.

use std::sync::Arc;

use protocol::time::Timestamp;

use super::groups::Group;
use super::packing::{self, Choice, Goal};
use super::queue::{Entry, Key};
use super::regions::{Regions, bit_of};
use super::roles::{self, Masks};
use crate::config::Mode;
use crate::ticket::{Age, Ticket};

/// A ticket that could be in the match.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate<'a> {
    pub(super) ticket: &'a Arc<Ticket>,
    group: Group,
    pub(super) rating: i64,
    /// Rating points to either side that it accepts by now.
    pub(super) reach: i64,
    pub(super) size: u8,
    pub(super) age: Age,
    /// The regions that it accepts by now.
    pub(super) near: Regions,
    /// It measured nothing, and accepts any.
    pub(super) anywhere: bool,
    /// What its members play, in a mode with roles.
    masks: Masks,
}

impl<'a> Candidate<'a> {
    pub(super) fn new(mode: &Mode, now: Timestamp, key: &Key, entry: &'a Entry) -> Self {
        let Key { group, rating, age } = *key;
        let waited = now.since(age.0);
        Self {
            ticket: &entry.ticket,
            group,
            rating: i64::from(rating),
            reach: i64::from(mode.window.reach(waited, entry.deviation)),
            size: entry.size,
            age,
            near: entry.near(mode.region.reach_ms(waited)),
            anywhere: entry.regions.is_empty(),
            masks: roles::masks(mode, &entry.ticket),
        }
    }

    pub(super) fn key(&self) -> Key {
        let rating = i32::try_from(self.rating).expect("it was one");
        Key {
            group: self.group,
            rating,
            age: self.age,
        }
    }

    pub(super) fn distance(&self, other: &Self) -> i64 {
        (self.rating - other.rating).abs()
    }

    pub(super) fn reaches(&self, other: &Self) -> bool {
        self.distance(other) <= self.reach
    }

    pub(super) fn meets(&self, other: &Self) -> bool {
        self.reaches(other) && other.reaches(self)
    }

    /// Whether a match there would do; `None`: one that may be anywhere.
    pub(super) fn accepts(&self, region: Option<u8>) -> bool {
        self.anywhere || region.is_some_and(|bit| self.near & bit_of(bit) != 0)
    }

    pub(super) fn shares_a_region(&self, other: &Self) -> bool {
        match (self.anywhere, other.anywhere) {
            (true, true) => true,
            (true, false) => other.near != 0,
            (false, true) => self.near != 0,
            (false, false) => self.near & other.near != 0,
        }
    }
}

/// The tickets of people for a match, and what is to be added.
#[derive(Debug)]
pub(super) struct Selection {
    /// By age; the anchor is the first.
    pub(super) tickets: Vec<Arc<Ticket>>,
    /// Bots to add.
    pub(super) bots: usize,
    pub(super) team_size: u8,
    pub(super) spread: u32,
    people: u8,
}

impl Selection {
    /// Whether nobody else would fit in.
    pub(super) fn is_full_of_people(&self, goal: &Goal) -> bool {
        self.people == goal.teams * goal.largest
    }

    /// Whether it is the better match for the same anchor.
    pub(super) fn beats(&self, other: &Self) -> bool {
        let rank = |one: &Self| (one.people, one.team_size, std::cmp::Reverse(one.spread));
        rank(self) > rank(other)
    }
}

/// The best match out of `candidates`, which are sorted by rating and have the anchor, the oldest,
/// among them.
pub(super) fn best(candidates: &[&Candidate<'_>], goal: &Goal) -> Option<Selection> {
    let anchor = candidates
        .iter()
        .enumerate()
        .min_by_key(|(_, candidate)| candidate.age)?
        .0;
    let mut by_age: Vec<usize> = (0..candidates.len()).collect();
    by_age.sort_unstable_by_key(|index| candidates[*index].age);
    // What all of them together cannot do, no window of them can.
    let bound = choose(by_age.iter().map(|index| candidates[*index]), goal)?;

    let mut best: Option<(Choice, Vec<usize>)> = None;
    for ends in windows(candidates, anchor, goal) {
        let members: Vec<usize> = by_age
            .iter()
            .copied()
            .filter(|index| ends.within(candidates[*index]))
            .collect();
        if members.first() != Some(&anchor) {
            continue; // the anchor itself does not reach both ends
        }
        let Some(choice) = choose(members.iter().map(|index| candidates[*index]), goal) else {
            continue;
        };
        // Windows come by rising spread, so only more people or fuller teams are better.
        let better = best
            .as_ref()
            .is_none_or(|(best, _)| choice.rank() > best.rank());
        if better {
            let done = choice.rank() == bound.rank();
            best = Some((choice, members));
            if done {
                break;
            }
        }
    }
    best.map(|(choice, members)| selection(candidates, choice, &members))
}

/// The best choice of tickets that are in order of preference, with the first of them.
pub(super) fn choose<'a>(
    members: impl Iterator<Item = &'a Candidate<'a>> + Clone,
    goal: &Goal,
) -> Option<Choice> {
    let sizes: Vec<u8> = members.clone().map(|one| one.size).collect();
    let masks: Vec<Masks> = match goal.roles {
        Some(_) => members.map(|one| one.masks).collect(),
        None => Vec::new(),
    };
    packing::choose(&sizes, &masks, goal)
}

fn selection(candidates: &[&Candidate<'_>], choice: Choice, members: &[usize]) -> Selection {
    let chosen: Vec<&Candidate<'_>> = choice
        .chosen
        .iter()
        .map(|place| candidates[members[*place]])
        .collect();
    let ratings = || chosen.iter().map(|candidate| candidate.rating);
    let spread = ratings().max().unwrap_or(0) - ratings().min().unwrap_or(0);
    Selection {
        tickets: chosen
            .iter()
            .map(|candidate| Arc::clone(candidate.ticket))
            .collect(),
        bots: choice.bots,
        team_size: choice.team_size,
        spread: u32::try_from(spread).expect("within a reach, which is 32 bits"),
        people: choice.people,
    }
}

struct Ends {
    low: i64,
    high: i64,
}

impl Ends {
    fn within(&self, candidate: &Candidate<'_>) -> bool {
        (self.low..=self.high).contains(&candidate.rating)
            && candidate.rating - self.low <= candidate.reach
            && self.high - candidate.rating <= candidate.reach
    }
}

/// Every pair of ratings around the anchor that has enough players between, by rising spread.
fn windows(candidates: &[&Candidate<'_>], anchor: usize, goal: &Goal) -> Vec<Ends> {
    let mut players_before = Vec::with_capacity(candidates.len() + 1);
    players_before.push(0_usize);
    for candidate in candidates {
        let before = players_before[players_before.len() - 1];
        players_before.push(before + usize::from(candidate.size));
    }
    let mut windows = Vec::new();
    for low in 0..=anchor {
        if low > 0 && candidates[low - 1].rating == candidates[low].rating {
            continue; // the same window as that of its equal
        }
        for high in anchor..candidates.len() {
            let next = candidates.get(high + 1);
            if next.is_some_and(|next| next.rating == candidates[high].rating) {
                continue;
            }
            if players_before[high + 1] - players_before[low] >= goal.fewest_people() {
                windows.push(Ends {
                    low: candidates[low].rating,
                    high: candidates[high].rating,
                });
            }
        }
    }
    windows.sort_by_key(|ends| (ends.high - ends.low, ends.low));
    windows
}
