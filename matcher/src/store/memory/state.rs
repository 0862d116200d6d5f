//! What the memory store knows, and what each call does to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Incarnation;
use protocol::id::{MatchId, PlayerId, RoomId, TicketId};
use tokio::time::Instant;

use super::accept::Refusals;
use super::claims::Claim;
use super::feed::Feed;
use super::party::Party;
use super::private::Private;
use crate::config::ModeName;
use crate::store::{
    Added, Change, EndedMatch, Ending, Found, MatchRecord, REMEMBERED, Removed, Restored, Sighting,
    Standing, Swept,
};
use crate::ticket::{Age, PartyCode, Ticket};

/// Everything.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) tickets: BTreeMap<TicketId, Found>,
    /// Those that wait, by age.
    queues: BTreeMap<ModeName, BTreeMap<Age, Arc<Ticket>>>,
    /// What happened to them.
    feeds: BTreeMap<ModeName, Feed>,
    pub(super) claims: BTreeMap<MatchId, Claim>,
    pub(super) matches: BTreeMap<MatchId, Match>,
    /// Each while somebody is in it: until its match, or until the last one leaves.
    pub(super) parties: BTreeMap<PartyCode, Party>,
    /// Each while somebody is in it, or until its match.
    pub(super) privates: BTreeMap<PartyCode, Private>,
    /// Of everyone who is somewhere.
    pub(super) places: BTreeMap<PlayerId, Place>,
    /// Who declined matches of late.
    pub(super) refusals: BTreeMap<PlayerId, Refusals>,
    /// Tickets that are gone, until they are forgotten.
    gone: BTreeMap<TicketId, Instant>,
    /// Rooms that ended, likewise.
    ended: BTreeMap<RoomId, (Ending, Instant)>,
}

/// Where a player is.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) spot: Spot,
    /// Who saw the player last.
    seen_by: Incarnation,
    /// Until when the place is kept. Of no meaning in a match.
    until: Instant,
    /// The player is on a claimed ticket and wants no seat of it.
    pub(super) left: bool,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Spot {
    Ticket(TicketId),
    Gathering(PartyCode),
    Private(PartyCode),
    Match(MatchId),
}

#[derive(Debug, Clone)]
pub(super) struct Match {
    pub(super) record: Arc<MatchRecord>,
    pub(super) ends_at: Instant,
}

impl Place {
    pub(super) fn new(spot: Spot, sighting: &Sighting, now: Instant) -> Self {
        Self {
            spot,
            seen_by: sighting.by.clone(),
            until: now + sighting.grace,
            left: false,
        }
    }

    /// Whether the player waits for a match.
    fn waits(&self) -> bool {
        !matches!(self.spot, Spot::Match(_))
    }
}

impl State {
    /// How many players are somewhere.
    pub(super) fn players(&self) -> usize {
        self.places.len()
    }

    /// Why a ticket cannot be added.
    pub(super) fn obstacle(&self, ticket: &Ticket, now: Instant) -> Option<Added> {
        let elsewhere = ticket
            .members
            .iter()
            .map(|member| self.place_of(member.player, now))
            .find(|standing| *standing != Standing::Nothing);
        if let Some(standing) = elsewhere {
            return Some(Added::Kept(standing));
        }
        let mut members = ticket.members.iter();
        if let Some(left) = members.find_map(|member| self.cooling(member.player, now)) {
            return Some(Added::Cooling(left));
        }
        let until = self.gone.get(&ticket.id)?;
        (*until > now).then_some(Added::Gone)
    }

    pub(super) fn add(&mut self, ticket: Arc<Ticket>, sighting: &Sighting, now: Instant) {
        for member in &ticket.members {
            let place = Place::new(Spot::Ticket(ticket.id), sighting, now);
            self.places.insert(member.player, place);
        }
        if let Some(code) = &ticket.party {
            self.parties
                .entry(code.clone())
                .or_insert_with(|| Party::of(&ticket));
        }
        self.enqueue(&ticket);
    }

    pub(super) fn enqueue(&mut self, ticket: &Arc<Ticket>) {
        self.tickets
            .insert(ticket.id, Found::waiting(Arc::clone(ticket)));
        self.queues
            .entry(ticket.mode.clone())
            .or_default()
            .insert(ticket.age(), Arc::clone(ticket));
        self.feed_of(&ticket.mode).tell(Change::Waits(ticket.id));
    }

    pub(super) fn dequeue(&mut self, ticket: &Ticket) {
        let Some(queue) = self.queues.get_mut(&ticket.mode) else {
            return;
        };
        let waited = queue.remove(&ticket.age()).is_some();
        if queue.is_empty() {
            self.queues.remove(&ticket.mode);
        }
        if waited {
            self.feed_of(&ticket.mode).tell(Change::Gone(ticket.id));
        }
    }

    /// A queue's feed. It begins with the first look at it.
    pub(super) fn feed_of(&mut self, mode: &ModeName) -> &mut Feed {
        self.feeds.entry(mode.clone()).or_insert_with(Feed::new)
    }

    pub(super) fn waiting(&self, mode: &ModeName) -> Vec<Arc<Ticket>> {
        let queue = self.queues.get(mode);
        queue
            .map(|queue| queue.values().cloned().collect())
            .unwrap_or_default()
    }

    /// Takes a player out of the queue.
    pub(super) fn remove(
        &mut self,
        player: PlayerId,
        unseen_by: Option<&Incarnation>,
        now: Instant,
    ) -> Removed {
        let Some(place) = self.places.get_mut(&player) else {
            return Removed::Unknown;
        };
        if !place.waits() {
            return Removed::Unknown;
        }
        if unseen_by.is_some_and(|by| place.seen_by != *by && place.until > now) {
            return Removed::Kept;
        }
        match place.spot.clone() {
            Spot::Match(_) => return Removed::Unknown,
            Spot::Gathering(code) => self.leave_party(&code, player),
            Spot::Private(code) => self.leave_private(&code, player),
            Spot::Ticket(id) => {
                let Some(found) = self.tickets.get(&id) else {
                    return Removed::Unknown;
                };
                if let Some(match_id) = found.claimed_by {
                    place.left = true;
                    return Removed::Claimed(match_id);
                }
                let ticket = Arc::clone(&found.ticket);
                self.take_apart(&ticket, &[player], now);
            }
        }
        self.places.remove(&player);
        Removed::Gone
    }

    /// A ticket cannot stay without `leavers`: it is gone, and the others gather again.
    pub(super) fn take_apart(&mut self, ticket: &Arc<Ticket>, leavers: &[PlayerId], now: Instant) {
        self.drop_ticket(ticket, now);
        for member in &ticket.members {
            let player = member.player;
            match (&ticket.party, leavers.contains(&player)) {
                (Some(code), true) => self.leave_party(code, player),
                (Some(code), false) => self.gather_again(code, player, ticket.id),
                (None, _) => {
                    self.places.remove(&player);
                }
            }
        }
        for player in leavers {
            self.places.remove(player);
        }
    }

    pub(super) fn drop_ticket(&mut self, ticket: &Ticket, now: Instant) {
        self.dequeue(ticket);
        self.tickets.remove(&ticket.id);
        self.gone.insert(ticket.id, now + REMEMBERED);
    }

    pub(super) fn restore(
        &mut self,
        record: &MatchRecord,
        ends_at: Instant,
        now: Instant,
    ) -> Restored {
        if self.running(record.id, now).is_some() {
            return Restored::Stands;
        }
        if let Some(ending) = self.ending_of(record.room, now) {
            return Restored::Ended(ending);
        }
        self.claims.remove(&record.id);
        for id in &record.tickets {
            let Some(found) = self.tickets.get(id) else {
                continue;
            };
            if found.claimed_by.is_none_or(|by| by == record.id) {
                let ticket = Arc::clone(&found.ticket);
                self.seat(&ticket, record.id, now);
            }
        }
        for member in &record.players {
            self.places.entry(member.player).or_insert_with(|| Place {
                spot: Spot::Match(record.id),
                seen_by: Incarnation {
                    node: record.node.clone(),
                    generation: protocol::id::Generation(0),
                },
                until: now,
                left: false,
            });
        }
        self.keep_match(record, ends_at);
        Restored::Restored
    }

    pub(super) fn end(&mut self, ended: &EndedMatch, now: Instant) {
        self.ended
            .entry(ended.room)
            .or_insert((ended.ending, now + REMEMBERED));
        let same_room = |held: &Match| held.record.room == ended.room;
        if !self.matches.get(&ended.match_id).is_some_and(same_room) {
            return;
        }
        if let Some(held) = self.matches.remove(&ended.match_id) {
            for member in &held.record.players {
                self.depart(member.player, ended.match_id);
            }
        }
    }

    pub(super) fn depart(&mut self, player: PlayerId, match_id: MatchId) {
        let place = self.places.get(&player);
        if place.is_some_and(|place| place.spot == Spot::Match(match_id)) {
            self.places.remove(&player);
        }
    }

    /// A player was seen.
    pub(super) fn see(&mut self, player: PlayerId, sighting: &Sighting, now: Instant) {
        if let Some(place) = self.places.get_mut(&player) {
            place.seen_by = sighting.by.clone();
            place.until = now + sighting.grace;
        }
    }

    /// What a player is to be told: nothing of a ticket that was left.
    pub(super) fn standing(&self, player: PlayerId, now: Instant) -> Standing {
        let has_left = self.places.get(&player).is_some_and(|place| place.left);
        match has_left {
            true => Standing::Nothing,
            false => self.place_of(player, now),
        }
    }

    /// Where a player is, even one who has left a ticket that is claimed.
    pub(super) fn place_of(&self, player: PlayerId, now: Instant) -> Standing {
        let Some(place) = self.places.get(&player) else {
            return Standing::Nothing;
        };
        let standing = match &place.spot {
            Spot::Ticket(id) => self.tickets.get(id).cloned().map(|mut found| {
                let asks = found.claimed_by.and_then(|by| self.claim_asks(by));
                found.asking = asks.map(|asks| asks.of(player, now));
                Standing::Ticket(found)
            }),
            Spot::Gathering(code) => self.gathering(code, player).map(Standing::Gathering),
            Spot::Private(code) => self.private_room(code).map(Standing::Private),
            Spot::Match(id) => self.running(*id, now).map(Standing::Match),
        };
        standing.unwrap_or(Standing::Nothing)
    }

    fn running(&self, match_id: MatchId, now: Instant) -> Option<Arc<MatchRecord>> {
        let held = self.matches.get(&match_id)?;
        (held.ends_at > now).then(|| Arc::clone(&held.record))
    }

    pub(super) fn ending_of(&self, room: RoomId, now: Instant) -> Option<Ending> {
        let (ending, until) = self.ended.get(&room)?;
        (*until > now).then_some(*ending)
    }

    pub(super) fn sweep(&mut self, now: Instant) -> Swept {
        let expired: Vec<MatchId> = self
            .claims
            .iter()
            .filter(|(_, claim)| claim.ends_at <= now)
            .map(|(match_id, _)| *match_id)
            .collect();
        for match_id in &expired {
            self.give_back(*match_id, now);
        }
        let unseen: Vec<PlayerId> = self
            .places
            .iter()
            .filter(|(_, place)| place.waits() && place.until <= now)
            .filter(|(_, place)| match &place.spot {
                // Its match decides first.
                Spot::Ticket(id) => self
                    .tickets
                    .get(id)
                    .is_none_or(|found| found.claimed_by.is_none()),
                _ => true,
            })
            .map(|(player, _)| *player)
            .collect();
        for player in &unseen {
            self.remove(*player, None, now);
        }
        self.sweep_refusals(now);
        self.gone.retain(|_, until| *until > now);
        self.ended.retain(|_, (_, until)| *until > now);
        self.sweep_matches(now);
        Swept {
            claims: expired.len(),
            players: unseen.len(),
        }
    }

    fn sweep_matches(&mut self, now: Instant) {
        let over: Vec<Arc<MatchRecord>> = self
            .matches
            .values()
            .filter(|held| held.ends_at <= now)
            .map(|held| Arc::clone(&held.record))
            .collect();
        for record in over {
            self.matches.remove(&record.id);
            for member in &record.players {
                self.depart(member.player, record.id);
            }
        }
    }
}
