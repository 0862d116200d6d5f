//! Private rooms, in the memory store.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::Incarnation;
use protocol::id::{MatchId, PlayerId};
use tokio::time::Instant;

use super::claims::Claim;
use super::state::{Place, Spot, State};
use crate::store::{
    Changed, Entered, Entering, Found, PrivateChange, PrivateMember, PrivateRoom, Sighting,
    Standing, Start,
};
use crate::ticket::{PartyCode, Ticket};

/// A private room.
#[derive(Debug, Clone)]
pub(super) struct Private {
    room: PrivateRoom,
    sent_away: BTreeSet<PlayerId>,
    /// The match that begins.
    begins: Option<MatchId>,
}

impl State {
    pub(super) fn enter_private(
        &mut self,
        entering: &Entering,
        sighting: &Sighting,
        has_room: bool,
        now: Instant,
    ) -> Entered {
        let (code, player) = (&entering.code, entering.member.player);
        match self.place_of(player, now) {
            Standing::Nothing => {}
            Standing::Private(room) if room.code == *code => return Entered::In(room),
            standing => return Entered::Kept(standing),
        }
        let known = self.privates.get(code);
        if known.is_none() && entering.open.is_none()
            || known.is_some_and(|one| one.begins.is_some())
        {
            return Entered::Unknown;
        }
        if known.is_some_and(|one| one.sent_away.contains(&player)) {
            return Entered::SentAway;
        }
        if known.is_some_and(|one| one.room.members.len() >= usize::from(one.room.most)) {
            return Entered::Full;
        }
        if !has_room {
            return Entered::StoreFull;
        }
        if let Some((mode, most)) = &entering.open {
            self.privates
                .entry(code.clone())
                .or_insert_with(|| Private {
                    room: PrivateRoom {
                        code: code.clone(),
                        mode: mode.clone(),
                        most: *most,
                        members: Vec::new(),
                    },
                    sent_away: BTreeSet::new(),
                    begins: None,
                });
        }
        let Some(private) = self.privates.get_mut(code) else {
            return Entered::Unknown;
        };
        private.room.members.push(PrivateMember {
            member: entering.member.clone(),
            ready: false,
        });
        let room = private.room.clone();
        let place = Place::new(Spot::Private(code.clone()), sighting, now);
        self.places.insert(player, place);
        Entered::In(room)
    }

    pub(super) fn change_private(&mut self, player: PlayerId, change: PrivateChange) -> Changed {
        let Some(Spot::Private(code)) = self.places.get(&player).map(|place| &place.spot) else {
            return Changed::NotThere;
        };
        let code = code.clone();
        let Some(private) = self.privates.get_mut(&code) else {
            return Changed::NotThere;
        };
        let is_it = |one: &PrivateMember, who: PlayerId| one.member.player == who;
        match change {
            PrivateChange::Ready(ready) => {
                let mut members = private.room.members.iter_mut();
                if let Some(own) = members.find(|one| is_it(one, player)) {
                    own.ready = ready;
                }
            }
            PrivateChange::SendAway(_) if private.room.leader() != Some(player) => {
                return Changed::NotLeader;
            }
            PrivateChange::SendAway(other) => {
                let there = private.room.members.iter().any(|one| is_it(one, other));
                if other != player && there {
                    private.sent_away.insert(other);
                    self.leave_private(&code, other);
                    self.places.remove(&other);
                }
            }
        }
        self.private_room(&code)
            .map_or(Changed::NotThere, Changed::Room)
    }

    pub(super) fn start_private(
        &mut self,
        start: &Start,
        claimant: &Incarnation,
        ends_at: Instant,
    ) -> bool {
        let Some(private) = self.privates.get(&start.code) else {
            return false;
        };
        if let Some(begins) = private.begins {
            return begins == start.match_id; // asked twice
        }
        let members = private.room.members.iter().map(|one| one.member.player);
        let wanted = start.tickets.iter().map(|ticket| ticket.members[0].player);
        let free = |id| {
            let found = self.tickets.get(id);
            found.is_some_and(|found| found.claimed_by.is_none())
        };
        if !members.eq(wanted) || !private.room.is_ready() || !start.bots.iter().all(free) {
            return false;
        }
        for ticket in &start.tickets {
            let found = Found {
                claimed_by: Some(start.match_id),
                ..Found::waiting(Arc::clone(ticket))
            };
            self.tickets.insert(ticket.id, found);
            if let Some(place) = self.places.get_mut(&ticket.members[0].player) {
                place.spot = Spot::Ticket(ticket.id);
            }
        }
        for id in &start.bots {
            self.take(*id, start.match_id);
        }
        let own = start.tickets.iter().map(|ticket| ticket.id);
        let tickets = own.chain(start.bots.iter().copied()).collect();
        let claim = Claim::new(tickets, claimant, ends_at);
        self.claims.insert(start.match_id, claim);
        if let Some(private) = self.privates.get_mut(&start.code) {
            private.begins = Some(start.match_id);
        }
        true
    }

    /// A private room, as it stands.
    pub(super) fn private_room(&self, code: &PartyCode) -> Option<PrivateRoom> {
        self.privates.get(code).map(|private| private.room.clone())
    }

    pub(super) fn leave_private(&mut self, code: &PartyCode, player: PlayerId) {
        let Some(private) = self.privates.get_mut(code) else {
            return;
        };
        let members = &mut private.room.members;
        members.retain(|one| one.member.player != player);
        if members.is_empty() {
            self.privates.remove(code);
        }
    }

    /// The match of a private room does not come about: its members are in the room again.
    pub(super) fn return_private(
        &mut self,
        ticket: &Arc<Ticket>,
        code: &PartyCode,
        leavers: &[PlayerId],
        now: Instant,
    ) {
        self.drop_ticket(ticket, now);
        if let Some(private) = self.privates.get_mut(code) {
            private.begins = None;
        }
        for member in &ticket.members {
            let player = member.player;
            if leavers.contains(&player) {
                self.leave_private(code, player);
                self.places.remove(&player);
            } else if let Some(place) = self.places.get_mut(&player) {
                place.spot = Spot::Private(code.clone());
            }
        }
    }
}
