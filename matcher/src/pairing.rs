//! Which tickets make a match. Pure: no clock, no store, no chance.
//!
//! One pass goes through the queue by age. Each ticket of people that is still free becomes the
//! *anchor* of a search among those that are younger, so an anchor is always the oldest of its
//! match. The search is exact within [`NEAREST`]: the oldest ticket that can be matched at all is
//! in the first match of the pass, and what the pass leaves cannot be matched.
//!
//! What makes a match:
//! - Every two tickets of people are within each other's rating window (`window`). Bots have
//!   no window: they play with anyone.
//! - One region is near enough for all tickets that measured, by each one's own limit.
//! - Parties are whole, and teams are of equal size (`packing`); the split has the smallest
//!   difference in rating (`teams`).
//! - It is full of people; or its oldest ticket has waited long enough to begin short-handed, or
//!   with bots.
//!
//! Of the matches that an anchor could have, the one with most people wins, then the fullest, then
//! the one with the smallest spread of ratings, then the nearest region, then the oldest tickets.
//!
//! Tickets' order in the input does not matter. Cost: the queue is sorted, then each anchor looks
//! at no more than [`NEAREST`] neighbours in rating; docs/adr/0003 has the reasons.

mod packing;
mod teams;
mod window;

#[cfg(test)]
mod properties;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use protocol::time::Timestamp;

use crate::config::{Mode, Region};
use crate::ticket::{Age, Ticket};

use packing::Goal;
use window::{Candidate, Selection};

/// Neighbours in rating that the search for one anchor looks at: those whose rating is nearest.
/// It bounds the work in a crowded queue, where a match among the nearest is the rule.
pub const NEAREST: usize = 64;

/// A match that could be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Its tickets: people by age, then bots by age.
    pub tickets: Vec<Seated>,
    /// Where it should be played; `None`: anywhere.
    pub region: Option<Region>,
    /// Difference between the highest and the lowest rating among tickets of people.
    pub spread: u32,
}

/// A ticket in a match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seated {
    /// Which.
    pub ticket: Arc<Ticket>,
    /// Its team, from 1; 0 in a mode without teams.
    pub team: u8,
}

/// Proposes at most `most` matches out of the tickets that wait for `mode`. No ticket is in two.
pub fn pair(mode: &Mode, waiting: &[Arc<Ticket>], now: Timestamp, most: usize) -> Vec<Proposal> {
    let mut pass = Pass::new(mode, waiting, now);
    let mut proposals = Vec::new();
    for anchor in pass.by_age() {
        if proposals.len() == most {
            break;
        }
        // It goes out of the pool in any case: without a match now, it has none with others of
        // this pass either.
        if pass.people.remove(&key(&anchor)).is_some() {
            proposals.extend(pass.match_of(&anchor));
        }
    }
    proposals
}

type Key = (i32, Age);

fn key(ticket: &Ticket) -> Key {
    (ticket.rating(), ticket.age())
}

struct Pass<'a> {
    mode: &'a Mode,
    now: Timestamp,
    /// Free tickets of people, by rating.
    people: BTreeMap<Key, Arc<Ticket>>,
    /// Free bots, by age.
    bots: VecDeque<Arc<Ticket>>,
}

impl<'a> Pass<'a> {
    fn new(mode: &'a Mode, waiting: &[Arc<Ticket>], now: Timestamp) -> Self {
        let (bots, people): (Vec<_>, Vec<_>) = waiting
            .iter()
            .filter(|ticket| (1..=mode.largest_team()).contains(&ticket.size()))
            .cloned()
            .partition(|ticket| ticket.is_bot());
        let mut bots: Vec<_> = bots
            .into_iter()
            .filter(|ticket| ticket.size() == 1)
            .collect();
        bots.sort_unstable_by_key(|ticket| ticket.age());
        Self {
            mode,
            now,
            people: people
                .into_iter()
                .map(|ticket| (key(&ticket), ticket))
                .collect(),
            bots: bots.into(),
        }
    }

    fn by_age(&self) -> Vec<Arc<Ticket>> {
        let mut tickets: Vec<_> = self.people.values().cloned().collect();
        tickets.sort_unstable_by_key(|ticket| ticket.age());
        tickets
    }

    /// The best match with `anchor` in it; its tickets are not free any more.
    fn match_of(&mut self, anchor: &Arc<Ticket>) -> Option<Proposal> {
        let goal = self.goal(anchor);
        // In a crowd the match is among the very nearest: of those who come alone, one with a
        // smaller spread cannot have a member beyond them. Else look further.
        let few = 2 * usize::from(self.mode.players.max);
        let mut found = None;
        for limit in [few.min(NEAREST), NEAREST] {
            let candidates = self.candidates(anchor, limit);
            found = self.best(anchor, &candidates, &goal);
            let full = found
                .as_ref()
                .is_some_and(|(_, selection)| selection.is_full_of_people(&goal));
            if full || candidates.len() <= limit {
                break;
            }
        }
        let (region, selection) = found?;
        Some(self.take(region, selection))
    }

    fn best(
        &self,
        anchor: &Ticket,
        candidates: &[Candidate],
        goal: &Goal,
    ) -> Option<(Option<Region>, Selection)> {
        let mut best: Option<(Option<Region>, Selection)> = None;
        for region in self.regions(anchor, candidates) {
            let there: Vec<&Candidate> = candidates
                .iter()
                .filter(|candidate| self.accepts(&candidate.ticket, region.as_ref()))
                .collect();
            let found = window::best(&there, goal);
            if let Some(found) = found
                && best.as_ref().is_none_or(|(_, best)| found.beats(best))
            {
                best = Some((region, found));
            }
        }
        best
    }

    fn goal(&self, anchor: &Ticket) -> Goal {
        let waited = anchor.waited(self.now);
        let fill = self.mode.may_fill_with_bots(waited);
        let smallest = if self.mode.may_start_short(waited) {
            self.mode.smallest_team()
        } else {
            self.mode.largest_team()
        };
        Goal {
            teams: self.mode.teams,
            smallest,
            largest: self.mode.largest_team(),
            bots: if fill { self.bots.len() } else { 0 },
        }
    }

    /// The anchor and the `limit` free tickets nearest to it that could be in a match with it, by
    /// rating.
    fn candidates(&self, anchor: &Arc<Ticket>, limit: usize) -> Vec<Candidate> {
        let own = self.candidate(anchor);
        let accepted = |candidate: &Candidate| {
            candidate.meets(&own) && self.share_a_region(anchor, &candidate.ticket)
        };
        let middle = key(anchor);
        let mut above = self
            .people
            .range(middle..)
            .map(|(_, ticket)| self.candidate(ticket))
            .take_while(|candidate| own.reaches(candidate))
            .filter(accepted)
            .peekable();
        let mut below = self
            .people
            .range(..middle)
            .rev()
            .map(|(_, ticket)| self.candidate(ticket))
            .take_while(|candidate| own.reaches(candidate))
            .filter(accepted)
            .peekable();
        let mut nearest = Vec::new();
        while nearest.len() < limit {
            let up = above.peek().map(|candidate| candidate.distance(&own));
            let down = below.peek().map(|candidate| candidate.distance(&own));
            let next = match (up, down) {
                (None, None) => break,
                (Some(up), Some(down)) if down < up => below.next(),
                (Some(_), _) => above.next(),
                (None, Some(_)) => below.next(),
            };
            nearest.extend(next);
        }
        nearest.push(own);
        nearest.sort_unstable_by_key(|candidate| key(&candidate.ticket));
        nearest
    }

    fn candidate(&self, ticket: &Arc<Ticket>) -> Candidate {
        Candidate {
            rating: i64::from(ticket.rating()),
            reach: i64::from(self.mode.window.reach(ticket.waited(self.now))),
            size: ticket.size(),
            age: ticket.age(),
            ticket: Arc::clone(ticket),
        }
    }

    /// The regions to try, the best for the anchor first.
    fn regions(&self, anchor: &Ticket, candidates: &[Candidate]) -> Vec<Option<Region>> {
        if !anchor.regions.is_empty() {
            let mut near: Vec<_> = self.near(anchor).collect();
            near.sort_unstable();
            return near
                .into_iter()
                .map(|(_, region)| Some(region.clone()))
                .collect();
        }
        let named: BTreeSet<&Region> = candidates
            .iter()
            .flat_map(|candidate| self.near(&candidate.ticket))
            .map(|(_, region)| region)
            .collect();
        if named.is_empty() {
            return vec![None];
        }
        named
            .into_iter()
            .map(|region| Some(region.clone()))
            .collect()
    }

    /// The regions that `ticket` measured and accepts by now, with their latencies.
    fn near<'t>(&self, ticket: &'t Ticket) -> impl Iterator<Item = (u32, &'t Region)> + use<'t> {
        let limit = self.mode.region.reach_ms(ticket.waited(self.now));
        ticket
            .regions
            .iter()
            .filter(move |(_, latency)| **latency <= limit)
            .map(|(region, latency)| (*latency, region))
    }

    fn accepts(&self, ticket: &Ticket, region: Option<&Region>) -> bool {
        ticket.regions.is_empty()
            || region.is_some_and(|region| self.near(ticket).any(|(_, near)| near == region))
    }

    fn share_a_region(&self, a: &Ticket, b: &Ticket) -> bool {
        a.regions.is_empty() && (b.regions.is_empty() || self.near(b).next().is_some())
            || self
                .near(a)
                .any(|(_, region)| self.accepts(b, Some(region)))
    }

    fn take(&mut self, region: Option<Region>, selection: Selection) -> Proposal {
        let mut tickets = selection.tickets;
        for ticket in &tickets {
            self.people.remove(&key(ticket));
        }
        tickets.extend(self.bots.drain(..selection.bots));
        let units: Vec<teams::Unit> = tickets
            .iter()
            .map(|ticket| teams::Unit {
                size: ticket.size(),
                rating: ticket.rating_sum(),
            })
            .collect();
        let split = teams::split(&units, self.mode.teams, selection.team_size);
        let first = u8::from(self.mode.teams > 1);
        let tickets = tickets
            .into_iter()
            .zip(split)
            .map(|(ticket, team)| Seated {
                ticket,
                team: team + first,
            })
            .collect();
        Proposal {
            tickets,
            region,
            spread: selection.spread,
        }
    }
}
