//! Claims of the memory store: from tickets that a match wants to a match that stands.

use std::sync::Arc;

use engine::Incarnation;
use protocol::id::{MatchId, PlayerId, TicketId};
use tokio::time::Instant;

use super::accept::Asks;
use super::state::{Match, Spot, State};
use crate::store::{MatchRecord, Wanted};
use crate::ticket::Ticket;

/// Tickets that a match has.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) tickets: Vec<TicketId>,
    #[expect(dead_code, reason = "for who looks at a store by a debugger")]
    claimant: Incarnation,
    pub(super) ends_at: Instant,
    /// If its players are asked.
    asks: Option<Asks>,
}

impl Claim {
    pub(super) fn new(tickets: Vec<TicketId>, claimant: &Incarnation, ends_at: Instant) -> Self {
        Self {
            tickets,
            claimant: claimant.clone(),
            ends_at,
            asks: None,
        }
    }
}

impl State {
    /// A ticket that waits is claimed.
    pub(super) fn take(&mut self, id: TicketId, match_id: MatchId) {
        if let Some(found) = self.tickets.get_mut(&id) {
            found.claimed_by = Some(match_id);
            let ticket = Arc::clone(&found.ticket);
            self.dequeue(&ticket);
        }
    }

    pub(super) fn claim(
        &mut self,
        wanted: &Wanted,
        claimant: &Incarnation,
        ends_at: Instant,
        now: Instant,
    ) -> bool {
        if let Some(claim) = self.claims.get_mut(&wanted.match_id) {
            claim.ends_at = ends_at;
            return claim.tickets == wanted.tickets; // asked twice
        }
        let mut tickets = wanted.tickets.clone();
        tickets.sort_unstable();
        tickets.dedup();
        let free = |id| {
            self.tickets
                .get(id)
                .is_some_and(|found| found.claimed_by.is_none())
        };
        if tickets.len() != wanted.tickets.len() || !tickets.iter().all(free) {
            return false;
        }
        for id in &tickets {
            self.take(*id, wanted.match_id);
        }
        let claim = Claim {
            asks: wanted.ask.as_ref().map(|question| Asks::new(question, now)),
            ..Claim::new(wanted.tickets.clone(), claimant, ends_at)
        };
        self.claims.insert(wanted.match_id, claim);
        true
    }

    pub(super) fn renew(&mut self, matches: &[MatchId], ends_at: Instant) {
        for match_id in matches {
            if let Some(claim) = self.claims.get_mut(match_id) {
                claim.ends_at = ends_at;
            }
        }
    }

    /// The question of a match that asks.
    pub(super) fn asks_of(&mut self, match_id: MatchId) -> Option<&mut Asks> {
        self.claims.get_mut(&match_id)?.asks.as_mut()
    }

    /// The same, to look at.
    pub(super) fn claim_asks(&self, match_id: MatchId) -> Option<&Asks> {
        self.claims.get(&match_id)?.asks.as_ref()
    }

    /// Whether a match has claimed a ticket.
    pub(super) fn is_claimed_by(&self, ticket: TicketId, match_id: MatchId) -> bool {
        let found = self.tickets.get(&ticket);
        found.is_some_and(|found| found.claimed_by == Some(match_id))
    }

    /// The tickets that a match has claimed.
    pub(super) fn claimed(&self, match_id: MatchId) -> Vec<Arc<Ticket>> {
        let claim = self.claims.get(&match_id);
        let ids = claim
            .map(|claim| claim.tickets.as_slice())
            .unwrap_or_default();
        ids.iter()
            .filter_map(|id| self.tickets.get(id))
            .filter(|found| found.claimed_by == Some(match_id))
            .map(|found| Arc::clone(&found.ticket))
            .collect()
    }

    /// A player wants no seat of the ticket's match.
    pub(super) fn mark_left(&mut self, player: PlayerId) {
        if let Some(place) = self.places.get_mut(&player) {
            place.left = true;
        }
    }

    /// Ends a claim. Gives the tickets that it held.
    pub(super) fn unclaim(&mut self, match_id: MatchId) -> Vec<Arc<Ticket>> {
        let claimed = self.claimed(match_id);
        self.claims.remove(&match_id);
        claimed
    }

    pub(super) fn settle(&mut self, record: &MatchRecord, ends_at: Instant, now: Instant) -> bool {
        if let Some(held) = self.matches.get(&record.id) {
            return held.record.room == record.room; // asked twice
        }
        let claims_all = self
            .claims
            .get(&record.id)
            .is_some_and(|claim| claim.tickets == record.tickets);
        if !claims_all || self.ending_of(record.room, now).is_some() {
            return false;
        }
        for ticket in self.unclaim(record.id) {
            self.seat(&ticket, record.id, now);
        }
        self.keep_match(record, ends_at);
        true
    }

    /// A ticket goes up in a match, with those on it who have not left.
    pub(super) fn seat(&mut self, ticket: &Arc<Ticket>, match_id: MatchId, now: Instant) {
        self.drop_ticket(ticket, now);
        if let Some(code) = &ticket.party {
            self.disband(code, ticket.id);
        }
        if let Some(code) = &ticket.private {
            self.privates.remove(code);
        }
        for member in &ticket.members {
            let Some(place) = self.places.get_mut(&member.player) else {
                continue;
            };
            if place.spot != Spot::Ticket(ticket.id) {
                continue;
            }
            if place.left {
                self.places.remove(&member.player);
            } else {
                place.spot = Spot::Match(match_id);
            }
        }
    }

    pub(super) fn keep_match(&mut self, record: &MatchRecord, ends_at: Instant) {
        let held = Match {
            record: Arc::new(record.clone()),
            ends_at,
        };
        self.matches.insert(record.id, held);
    }

    pub(super) fn give_back(&mut self, match_id: MatchId, now: Instant) {
        for ticket in self.unclaim(match_id) {
            let leavers: Vec<PlayerId> = ticket
                .members
                .iter()
                .map(|member| member.player)
                .filter(|player| self.places.get(player).is_none_or(|place| place.left))
                .collect();
            if let Some(code) = &ticket.private {
                self.return_private(&ticket, code, &leavers, now);
            } else if leavers.is_empty() {
                self.enqueue(&ticket);
            } else {
                self.take_apart(&ticket, &leavers, now);
            }
        }
    }
}
