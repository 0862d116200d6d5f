//! The search for a match around one ticket of a queue.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::time::Timestamp;

use super::packing::Goal;
use super::queue::{Entry, Key, Queue};
use super::regions::{Regions, bit_of};
use super::roles::{self, Roles};
use super::window::{self, Candidate, Selection};
use super::{NEAREST, Proposal, Seated, teams};
use crate::config::{Mode, Role};
use crate::ticket::{Age, Ticket};

/// Whom a search looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    Everyone,
    /// The anchor is the oldest of its match.
    Younger,
}

/// The region of a match; `None`: anywhere.
type Where = Option<u8>;

impl Queue {
    /// The tickets that could be the oldest of a match with `key` in it, oldest first, itself last.
    /// None if there is no such match whoever it is.
    pub(super) fn anchors(&self, mode: &Mode, now: Timestamp, key: Key) -> Vec<Key> {
        let candidates = self.candidates(mode, now, key, NEAREST, Whom::Everyone);
        let Some(oldest) = candidates.iter().map(|one| one.age).min() else {
            return Vec::new();
        };
        // A bound: all of them at once, by the rules for the oldest, with this one in it.
        let goal = self.goal(mode, now, oldest);
        let own = candidates.iter().find(|one| one.age == key.age);
        let others = candidates.iter().filter(|one| one.age != key.age);
        let all: Vec<_> = own.into_iter().chain(others).collect();
        if window::choose(all.into_iter(), &goal).is_none() {
            return Vec::new();
        }
        let mut anchors: Vec<Key> = candidates
            .iter()
            .filter(|one| one.age <= key.age)
            .map(Candidate::key)
            .collect();
        anchors.sort_unstable_by_key(|anchor| anchor.age);
        anchors
    }

    /// The best match whose oldest ticket is `anchor`.
    pub(super) fn match_of(&self, mode: &Mode, now: Timestamp, anchor: Key) -> Option<Proposal> {
        let goal = self.goal(mode, now, anchor.age);
        // In a crowd the match is among the very nearest: of those who come alone, one with a
        // smaller spread cannot have a member beyond them. Else look further.
        let few = 2 * usize::from(mode.players.max);
        let mut found = None;
        for limit in [few.min(NEAREST), NEAREST] {
            let candidates = self.candidates(mode, now, anchor, limit, Whom::Younger);
            let own = self.people.get(&anchor)?;
            found = self.best(own, &candidates, &goal);
            let full = found
                .as_ref()
                .is_some_and(|(_, selection)| selection.is_full_of_people(&goal));
            if full || candidates.len() <= limit {
                break;
            }
        }
        let (region, selection) = found?;
        Some(self.proposal(mode, region, selection))
    }

    fn best(
        &self,
        anchor: &Entry,
        candidates: &[Candidate<'_>],
        goal: &Goal,
    ) -> Option<(Where, Selection)> {
        let mut best: Option<(Where, Selection)> = None;
        for region in self.regions(anchor, candidates) {
            let there: Vec<&Candidate<'_>> = candidates
                .iter()
                .filter(|candidate| candidate.accepts(region))
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

    fn goal(&self, mode: &Mode, now: Timestamp, oldest: Age) -> Goal {
        let waited = now.since(oldest.0);
        let fill = mode.may_fill_with_bots(waited);
        let smallest = if mode.may_start_short(waited) {
            mode.smallest_team()
        } else {
            mode.largest_team()
        };
        Goal {
            teams: mode.teams,
            smallest,
            largest: mode.largest_team(),
            bots: if fill { self.bots.len() } else { 0 },
            roles: Roles::of(mode),
            effort: Cell::new(roles::BUDGET),
        }
    }

    /// The ticket `middle` and the `limit` tickets nearest to it that could be in a match with it,
    /// by rating.
    fn candidates(
        &self,
        mode: &Mode,
        now: Timestamp,
        middle: Key,
        limit: usize,
        whom: Whom,
    ) -> Vec<Candidate<'_>> {
        let Some(entry) = self.people.get(&middle) else {
            return Vec::new();
        };
        let own = Candidate::new(mode, now, &middle, entry);
        let accepted = |candidate: &Candidate<'_>| {
            (whom == Whom::Everyone || candidate.age > middle.age)
                && candidate.size <= mode.largest_team()
                && candidate.meets(&own)
                && candidate.shares_a_region(&own)
        };
        let candidate = |(key, entry)| Candidate::new(mode, now, key, entry);
        let mut above = self
            .people
            .range((
                std::ops::Bound::Excluded(middle),
                std::ops::Bound::Unbounded,
            ))
            .take_while(|(key, _)| key.group == middle.group)
            .map(candidate)
            .take_while(|candidate| own.reaches(candidate))
            .filter(accepted)
            .peekable();
        let mut below = self
            .people
            .range(..middle)
            .rev()
            .take_while(|(key, _)| key.group == middle.group)
            .map(candidate)
            .take_while(|candidate| own.reaches(candidate))
            .filter(accepted)
            .peekable();
        let mut nearest = Vec::with_capacity(limit + 1);
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
        nearest.sort_unstable_by_key(Candidate::key);
        nearest
    }

    /// The regions to try, the best for the anchor first.
    fn regions(&self, anchor: &Entry, candidates: &[Candidate<'_>]) -> Vec<Where> {
        let near = |age: Age| candidates.iter().find(|one| one.age == age);
        if !anchor.regions.is_empty() {
            let near = near(anchor.ticket.age()).map_or(0, |own| own.near);
            let mut by_latency: Vec<(u32, u8)> = anchor
                .regions
                .iter()
                .filter(|(bit, _)| near & bit_of(*bit) != 0)
                .map(|(bit, latency)| (*latency, *bit))
                .collect();
            by_latency.sort_unstable_by_key(|(latency, bit)| (*latency, self.names.name(*bit)));
            return by_latency.into_iter().map(|(_, bit)| Some(bit)).collect();
        }
        let named: Regions = candidates.iter().fold(0, |set, one| set | one.near);
        if named == 0 {
            return vec![None];
        }
        self.names.sorted(named).into_iter().map(Some).collect()
    }

    fn proposal(&self, mode: &Mode, region: Where, selection: Selection) -> Proposal {
        let mut tickets = selection.tickets;
        tickets.extend(self.bots.values().take(selection.bots).cloned());
        Proposal {
            tickets: seat(mode, tickets, selection.team_size),
            region: region.and_then(|bit| self.names.name(bit).cloned()),
            spread: selection.spread,
        }
    }
}

/// Splits tickets that fit into teams of that size, and gives everyone a role.
pub(super) fn seat(mode: &Mode, tickets: Vec<Arc<Ticket>>, team_size: u8) -> Vec<Seated> {
    let units: Vec<teams::Unit> = tickets
        .iter()
        .map(|ticket| teams::Unit {
            size: ticket.size(),
            rating: ticket.rating_sum(),
            masks: roles::masks(mode, ticket),
        })
        .collect();
    let split = teams::split(&units, mode.teams, team_size, Roles::of(mode));
    let first = u8::from(mode.teams > 1);
    let seated = tickets.into_iter().zip(split).map(|(ticket, team)| Seated {
        ticket,
        team: team + first,
        roles: Vec::new(),
    });
    let mut tickets: Vec<Seated> = seated.collect();
    give_roles(mode, &mut tickets);
    tickets
}

/// Gives everyone of each team a role, if the mode has roles.
fn give_roles(mode: &Mode, tickets: &mut [Seated]) {
    if mode.roles.is_empty() {
        return;
    }
    let teams: BTreeSet<u8> = tickets.iter().map(|seated| seated.team).collect();
    for team in teams {
        let members = tickets.iter().filter(|seated| seated.team == team);
        let members = members.flat_map(|seated| &seated.ticket.members);
        let wanted: Vec<&[Role]> = members.map(roles::likes).collect();
        let assigned = roles::assign(mode, &wanted).expect("the split gives everyone a role");
        let mut assigned = assigned.into_iter();
        for seated in tickets.iter_mut().filter(|seated| seated.team == team) {
            let size = seated.ticket.members.len();
            seated.roles = assigned.by_ref().take(size).collect();
        }
    }
}
