//! Entering queues and leaving them.

use std::collections::BTreeMap;
use std::sync::Arc;

use protocol::control::{
    ClientMessage, ErrorCode, ErrorMessage, QueueJoin, QueueState, ServerMessage,
};
use protocol::id::{PlayerId, SessionId, TicketId};
use protocol::time::Timestamp;
use rpc::origin::StreamId;

use super::Desk;
use super::party::{PartyCode, PartyWish, common_regions};
use super::player::{Activity, Queued, Wish};
use crate::config::{Config, Mode, ModeName, Region};
use crate::event::Leaving;
use crate::store::{Added, Removed};
use crate::ticket::Ticket;

/// Most regions that a client may name.
const MAX_REGIONS: usize = 32;

/// What a client is told to wait when its ticket is between queue and match, or the store is away.
const RETRY_MS: u64 = 1_000;

impl Desk {
    /// A control message of a client.
    pub(super) async fn text(&mut self, stream: StreamId, session: SessionId, text: &str) {
        let Some(id) = self.roster.attached(session, stream) else {
            return;
        };
        let answer = match ClientMessage::parse(text) {
            Ok(ClientMessage::QueueJoin(join)) => self.join(id, &join).await,
            Ok(ClientMessage::QueueLeave(_)) => {
                self.leave_queue(id, Some(Leaving::Left)).await;
                Ok(())
            }
            // The room hears of it by itself; here it makes the player free to queue again.
            Ok(ClientMessage::RoomLeave(_)) => {
                self.abandon_match(id);
                Ok(())
            }
            Ok(other) => Err(ErrorMessage::new(
                ErrorCode::OutOfOrder,
                "this message is not for the matchmaker",
            )
            .re(other.kind())),
            Err(error) => Err(error),
        };
        if let Err(error) = answer
            && let Some(batch) = self.outbox.to(stream)
        {
            batch.text(session, ServerMessage::Error(error).to_text());
        }
        self.touch(id);
    }

    async fn join(&mut self, id: PlayerId, join: &QueueJoin) -> Result<(), ErrorMessage> {
        let joined = self.try_join(id, join).await;
        joined.map_err(|error| error.re("queue.join"))
    }

    async fn try_join(&mut self, id: PlayerId, join: &QueueJoin) -> Result<(), ErrorMessage> {
        let config = self.config();
        let now = self.clock.now();
        let (mode_name, mode) = find_mode(&config, &join.mode)?;
        let Some(player) = self.roster.player(id) else {
            return Ok(());
        };
        if self.parts.drain.is_draining() {
            let error = ErrorMessage::new(ErrorCode::Unavailable, "the matchmaker is going away");
            return Err(error.retry_after_ms(RETRY_MS));
        }
        if player.bot && (!mode.bots || join.party.is_some()) {
            let error = ErrorMessage::new(ErrorCode::BadField, "bots only fill, and come alone");
            return Err(error.field("mode"));
        }
        let regions = self.served_regions(&join.regions)?;
        let party = join.party.as_ref();
        let party = party
            .map(|party| PartyWish::parse(party, mode))
            .transpose()?;
        let wish = Wish {
            mode: mode_name.clone(),
            regions,
            party: party.as_ref().map(|party| party.code.clone()),
        };
        match &player.activity {
            Activity::Playing(_) => return Err(already_in_match("you are in a match")),
            Activity::Queued(queued) if queued.wish.is_same_queue(&wish) => {
                self.send_queue_state(id, now); // joining again keeps the place
                return Ok(());
            }
            Activity::Queued(queued) if queued.placing.is_some() => {
                return Err(already_in_match("a match is being made").retry_after_ms(RETRY_MS));
            }
            Activity::Queued(_) => {
                self.leave_queue(id, None).await;
            }
            Activity::Idle => {}
        }
        match party {
            None => {
                self.enter_queue(id, wish, now);
                self.enqueue(&[id], now).await?;
            }
            Some(party) => self.gather(id, wish, &party, now).await?,
        }
        self.send_queue_state(id, now);
        Ok(())
    }

    /// The client's regions, as far as matches can be held there.
    fn served_regions(
        &self,
        measured: &BTreeMap<String, u32>,
    ) -> Result<BTreeMap<Region, u32>, ErrorMessage> {
        let refused =
            |message: String| Err(ErrorMessage::new(ErrorCode::BadField, message).field("regions"));
        if measured.len() > MAX_REGIONS {
            return refused(format!("at most {MAX_REGIONS} regions"));
        }
        let served = self.parts.nodes.regions();
        let mut regions = BTreeMap::new();
        for (name, latency) in measured {
            match name.parse::<Region>() {
                Ok(region) if served.is_empty() || served.contains(&region) => {
                    regions.insert(region, *latency);
                }
                Ok(_) => {}
                Err(error) => return refused(error.to_string()),
            }
        }
        if regions.is_empty() && !measured.is_empty() {
            let served: Vec<_> = served.iter().map(Region::as_str).collect();
            return refused(format!(
                "none of these regions is served; those that are: {}",
                served.join(", ")
            ));
        }
        Ok(regions)
    }

    fn enter_queue(&mut self, id: PlayerId, wish: Wish, now: Timestamp) {
        if let Some(player) = self.roster.player_mut(id) {
            player.activity = Activity::Queued(Queued {
                wish,
                since: now,
                ticket: None,
                placing: None,
                expected: None,
            });
        }
    }

    async fn gather(
        &mut self,
        id: PlayerId,
        wish: Wish,
        party_wish: &PartyWish,
        now: Timestamp,
    ) -> Result<(), ErrorMessage> {
        let party = self.parties.join(party_wish, &wish.mode, id)?;
        let complete = party.is_complete().then(|| party.members.clone());
        self.enter_queue(id, wish, now);
        let Some(members) = complete else {
            return Ok(());
        };
        let queued = self.enqueue(&members, now).await;
        if queued.is_err() {
            self.leave_queue(id, None).await; // the others go on gathering
        }
        queued
    }

    /// Makes a ticket of players who have entered the queue. A party's age begins when it is
    /// complete. If it cannot be, a player who came alone has left the queue again.
    async fn enqueue(&mut self, members: &[PlayerId], now: Timestamp) -> Result<(), ErrorMessage> {
        let queued = self.try_enqueue(members, now).await;
        if queued.is_err()
            && let [alone] = members
        {
            self.leave_queue(*alone, None).await;
        }
        queued
    }

    async fn try_enqueue(
        &mut self,
        members: &[PlayerId],
        now: Timestamp,
    ) -> Result<(), ErrorMessage> {
        let Some(ticket) = self.ticket_of(members, now)? else {
            return Ok(());
        };
        let (id, mode) = (ticket.id, ticket.mode.clone());
        let added = self.parts.store.add(ticket).await;
        let (ticket, since) = match added {
            Ok(Added::Waiting) => (id, now),
            // Left over from another matcher: that place is the player's own.
            Ok(Added::Kept(found))
                if found.claimed_by.is_none()
                    && found.ticket.mode == mode
                    && is_of(&found.ticket, members) =>
            {
                (found.ticket.id, found.ticket.enqueued_at)
            }
            Ok(Added::Kept(_)) => {
                let error = already_in_match("an earlier ticket is still being dealt with");
                return Err(error.retry_after_ms(RETRY_MS));
            }
            Err(error) => {
                self.store_failed(&error);
                let error = ErrorMessage::new(ErrorCode::Unavailable, "the queue is out of reach");
                return Err(error.retry_after_ms(RETRY_MS));
            }
        };
        self.metrics.of(&mode).joined.increment(1);
        let expected = self
            .estimates
            .get(&mode)
            .and_then(|estimate| estimate.remaining(now.since(since)));
        for member in members {
            if let Some(queued) = self.queued_mut(*member) {
                queued.ticket = Some(ticket);
                queued.since = since;
                queued.expected = expected;
            }
            self.touch(*member);
        }
        Ok(())
    }

    fn ticket_of(
        &self,
        members: &[PlayerId],
        now: Timestamp,
    ) -> Result<Option<Ticket>, ErrorMessage> {
        let players: Vec<_> = members
            .iter()
            .filter_map(|member| self.roster.player(*member))
            .collect();
        let wishes: Vec<_> = players
            .iter()
            .filter_map(|player| player.queued())
            .map(|queued| &queued.wish)
            .collect();
        let Some(first) = wishes.first() else {
            return Ok(None);
        };
        let regions = common_regions(wishes.iter().map(|wish| &wish.regions));
        let Some(regions) = regions else {
            let message = "the party's members have no region in common";
            let error = ErrorMessage::new(ErrorCode::PartyMismatch, message);
            return Err(error.field("regions"));
        };
        Ok(Some(Ticket {
            id: TicketId(rand::random()),
            mode: first.mode.clone(),
            members: players.iter().map(|player| player.member()).collect(),
            regions,
            enqueued_at: now,
        }))
    }

    /// Takes a player out of the queue, if in one. `told`: the event for the client. The other
    /// members of a party gather again.
    pub(super) async fn leave_queue(&mut self, id: PlayerId, told: Option<Leaving>) {
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        let Some(queued) = player.queued().cloned() else {
            return;
        };
        player.activity = Activity::Idle;
        if let (Some(ticket), None) = (queued.ticket, queued.placing) {
            match self.parts.store.remove(ticket).await {
                Ok(Removed::Gone | Removed::Unknown) => {}
                // Another matcher has it: its match will miss this player.
                Ok(Removed::Claimed(_)) => {}
                Err(error) => self.store_failed(&error),
            }
        }
        if let Some(leaving) = told {
            self.notify(id, &leaving.event());
        }
        if let Some(code) = &queued.wish.party {
            // Of a party that is being placed, its placing takes care.
            let gather_again = queued.placing.is_none();
            for member in self.parties.leave(code, id) {
                if gather_again {
                    self.gather_again(member);
                }
            }
        }
        self.touch(id);
    }

    /// The player's party has lost a member: it has no ticket until it is complete again.
    pub(super) fn gather_again(&mut self, id: PlayerId) {
        if let Some(queued) = self.queued_mut(id) {
            queued.ticket = None;
            queued.placing = None;
            queued.expected = None;
        }
        self.touch(id);
    }

    /// A wait has lasted too long: for a whole party, if it is one.
    pub(super) async fn time_out(&mut self, id: PlayerId) {
        let Some(queued) = self.roster.player(id).and_then(|player| player.queued()) else {
            return;
        };
        let wish = queued.wish.clone();
        let reason = if self.config().modes.contains_key(&wish.mode) {
            Leaving::Timeout
        } else {
            Leaving::ModeGone
        };
        self.metrics.of(&wish.mode).timeouts.increment(1);
        for member in self.party_of(id, wish.party.as_ref()) {
            self.leave_queue(member, Some(reason)).await;
        }
    }

    fn party_of(&self, id: PlayerId, code: Option<&PartyCode>) -> Vec<PlayerId> {
        code.and_then(|code| self.parties.party(code))
            .map_or_else(|| vec![id], |party| party.members.clone())
    }

    /// Tells a client how the queue stands.
    pub(super) fn send_queue_state(&mut self, id: PlayerId, now: Timestamp) {
        let every = self.config().state_every;
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        player.next_state = now + every;
        let (Some((stream, session)), Some(queued)) = (player.line(), player.queued()) else {
            return;
        };
        let waited = now.since(queued.since);
        let mode = &queued.wish.mode;
        let gathering = queued
            .wish
            .party
            .as_ref()
            .filter(|_| queued.ticket.is_none());
        let estimate = self
            .estimates
            .get(mode)
            .filter(|_| queued.ticket.is_some())
            .and_then(|estimate| estimate.remaining(waited));
        let state = QueueState {
            mode: mode.to_string(),
            waiting_ms: millis(waited),
            size: self.sizes.get(mode).copied().unwrap_or_default(),
            estimate_ms: estimate.map(millis),
            party: gathering
                .and_then(|code| self.parties.party(code))
                .map(|party| party.fill()),
        };
        if let Some(batch) = self.outbox.to(stream) {
            batch.droppable_text(session, ServerMessage::QueueState(state).to_text());
        }
    }

    pub(super) fn queued_mut(&mut self, id: PlayerId) -> Option<&mut Queued> {
        self.roster.player_mut(id)?.queued_mut()
    }
}

impl Wish {
    /// Whether `other` would wait at the same place. New latencies alone do not cost the place.
    fn is_same_queue(&self, other: &Self) -> bool {
        self.mode == other.mode && self.party == other.party
    }
}

fn find_mode<'a>(
    config: &'a Arc<Config>,
    name: &str,
) -> Result<(&'a ModeName, &'a Mode), ErrorMessage> {
    let parsed: Option<ModeName> = name.parse().ok();
    parsed
        .and_then(|name| config.modes.get_key_value(&name))
        .ok_or_else(|| {
            let known: Vec<_> = config.modes.keys().map(ModeName::as_str).collect();
            let message = format!("no such mode; there are {}", known.join(", "));
            ErrorMessage::new(ErrorCode::ModeUnknown, message).field("mode")
        })
}

fn already_in_match(what: &str) -> ErrorMessage {
    let message = format!("{what}; leave it first, or wait until it ends");
    ErrorMessage::new(ErrorCode::AlreadyInMatch, message)
}

fn is_of(ticket: &Ticket, members: &[PlayerId]) -> bool {
    ticket
        .members
        .iter()
        .map(|member| member.player)
        .eq(members.iter().copied())
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
