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
use super::ask::Away;
use super::party::{PartyWish, mismatch};
use super::player::{Activity, Player, Queued, Unsettled, Wish};
use super::seating::is_of_events;
use crate::config::{Config, Mode, ModeName, Region};
use crate::event::Leaving;
use crate::store::{Added, Found, Gather, Gathered, Removed, Standing};
use crate::ticket::Ticket;

/// Most regions that a client may name.
const MAX_REGIONS: usize = 32;

/// What a client is told to wait when its ticket is between queue and match, or the store is away.
pub(super) const RETRY_MS: u64 = 1_000;

/// How a player leaves a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leave {
    /// The client says so.
    Asked,
    /// By this matcher's judgement: it does not count if another one has seen the player since.
    Unseen,
}

impl Desk {
    /// A control message of a client.
    pub(super) async fn text(&mut self, stream: StreamId, session: SessionId, text: &str) {
        let Some(id) = self.roster.attached(session, stream) else {
            if self.lobby.has(session, stream) {
                self.put_off(stream, session, text);
            }
            return;
        };
        let answer = match ClientMessage::parse(text) {
            Ok(ClientMessage::QueueJoin(join)) => self.join(id, &join).await,
            Ok(ClientMessage::QueueLeave(_)) => {
                self.forget_waiting_join(id);
                self.leave_queue(id, Some(Leaving::Left), Leave::Asked)
                    .await;
                Ok(())
            }
            // The room hears of it by itself; here it makes the player free to queue again.
            Ok(ClientMessage::RoomLeave(_)) => {
                self.abandon_match(id).await;
                Ok(())
            }
            Ok(message) if is_of_events(&message) => {
                self.event_message(id, (stream, session), &message)
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

    /// Answers a client whose standing is not known yet. Leaves come again with the answer to its
    /// attach.
    fn put_off(&mut self, stream: StreamId, session: SessionId, text: &str) {
        let error = match ClientMessage::parse(text) {
            Ok(ClientMessage::QueueJoin(_)) => out_of_reach().re("queue.join"),
            Ok(message) if is_of_events(&message) => out_of_reach().re(message.kind()),
            Ok(_) => return,
            Err(error) => error,
        };
        if let Some(batch) = self.outbox.to(stream) {
            batch.text(session, ServerMessage::Error(error).to_text());
        }
    }

    async fn join(&mut self, id: PlayerId, join: &QueueJoin) -> Result<(), ErrorMessage> {
        if self.waits_for_ratings(id, join) {
            return Ok(());
        }
        let joined = self.try_join(id, join).await;
        joined.map_err(|error| error.re("queue.join"))
    }

    pub(super) async fn try_join(
        &mut self,
        id: PlayerId,
        join: &QueueJoin,
    ) -> Result<(), ErrorMessage> {
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
            party,
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
            Activity::Queued(_) => self.leave_queue(id, None, Leave::Asked).await,
            // As almost everyone: together with the others of this turn.
            Activity::Idle if player.unsettled.is_none() => {
                self.joins.enter(player, wish, now);
                return Ok(());
            }
            Activity::Idle => {}
        }
        // What was left before, the store has to know first.
        self.flush_ends().await;
        if self.settle_up(id).await.is_err() {
            return Err(out_of_reach());
        }
        self.enter_queue(id, wish, now).await?;
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

    pub(super) async fn enter_queue(
        &mut self,
        id: PlayerId,
        wish: Wish,
        now: Timestamp,
    ) -> Result<(), ErrorMessage> {
        let mut standing = self.try_enter(id, &wish, now).await?;
        // A place that neither the player nor this desk knows of is left over from an attempt
        // whose outcome was never told.
        if is_left_over(&standing, &wish) {
            let store = Arc::clone(&self.parts.store);
            let removed = self.ask("remove", store.remove(id, None)).await;
            removed.map_err(|Away| out_of_reach())?;
            standing = self.try_enter(id, &wish, now).await?;
        } else if matches!(standing, Standing::Match(_)) {
            standing = self.sift(id, standing).await;
            if standing == Standing::Nothing {
                standing = self.try_enter(id, &wish, now).await?;
            }
        }
        match &standing {
            Standing::Match(_) => {
                self.learn(id, standing, true, now).await;
                Err(already_in_match("you are in a match"))
            }
            Standing::Ticket(found) if found.claimed_by.is_none() => {
                self.has_joined(id, &found.ticket, now);
                Ok(())
            }
            Standing::Gathering(_) => {
                self.take_up(id, &standing, now);
                Ok(())
            }
            Standing::Ticket(_) | Standing::Nothing => {
                let error = already_in_match("an earlier ticket is still being dealt with");
                Err(error.retry_after_ms(RETRY_MS))
            }
        }
    }

    /// Asks the store for a place. Gives where the player stands then.
    async fn try_enter(
        &mut self,
        id: PlayerId,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<Standing, ErrorMessage> {
        let entered = match &wish.party {
            None => self.try_add(id, wish, now).await,
            Some(party) => match self.try_gather(id, wish, party, now, now).await {
                Ok(Gathered::Gathering(gathering)) => Ok(Standing::Gathering(gathering)),
                Ok(Gathered::Complete(ticket)) => Ok(waiting(ticket)),
                Ok(Gathered::Kept(standing)) => Ok(standing),
                Ok(Gathered::Mismatch(disagreement)) => return Err(mismatch(disagreement)),
                Ok(Gathered::Full) => Err(self.is_full()),
                Err(Away) => Err(Away),
            },
        };
        entered.map_err(|Away| {
            // It may have worked, and must not stay so: the client is told that it did not.
            self.set_unsettled(id, Unsettled::Queue);
            out_of_reach()
        })
    }

    async fn try_add(
        &mut self,
        id: PlayerId,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<Standing, Away> {
        let Some(player) = self.roster.player(id) else {
            return Ok(Standing::Nothing);
        };
        let ticket = Arc::new(solo(player, wish, now));
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        let tickets = [ticket];
        let mut added = self.ask("add", store.add(&tickets, &sighting)).await?;
        let [ticket] = tickets;
        match added.remove(0) {
            Added::Waiting => Ok(waiting(ticket)),
            Added::Kept(standing) => Ok(standing),
            Added::Gone => Ok(Standing::Nothing),
            Added::Full => Err(self.is_full()),
        }
    }

    /// Brings a player to a party; one who waited there before, with the age of that wait.
    pub(super) async fn try_gather(
        &mut self,
        id: PlayerId,
        wish: &Wish,
        party: &PartyWish,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Gathered, Away> {
        let Some(player) = self.roster.player(id) else {
            return Ok(Gathered::Kept(Standing::Nothing));
        };
        let gather = [coming(player, wish, party, since, now)];
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        let mut gathered = self.ask("gather", store.gather(&gather, &sighting)).await?;
        Ok(gathered.remove(0))
    }

    /// A ticket is new to the queue, and a player here is the one who brought it.
    pub(super) fn has_joined(&mut self, id: PlayerId, ticket: &Arc<Ticket>, now: Timestamp) {
        self.queues.came(ticket, now);
        self.want_round();
        self.take_up(id, &waiting(Arc::clone(ticket)), now);
        self.joined(id, &ticket.mode, now);
    }

    /// Counts a ticket, and remembers what was promised.
    fn joined(&mut self, id: PlayerId, mode: &ModeName, now: Timestamp) {
        self.metrics.of(mode).joined.increment(1);
        let estimate = self.estimates.get(mode);
        let since = self.roster.player(id).and_then(|player| player.queued());
        let expected = since
            .map(|queued| now.since(queued.since))
            .and_then(|waited| estimate?.remaining(waited));
        if let Some(queued) = self.queued_mut(id) {
            queued.expected = expected;
        }
    }

    /// Takes a player out of the queue, if in one. `told`: the event for the client. The other
    /// members of a party gather again.
    pub(super) async fn leave_queue(&mut self, id: PlayerId, told: Option<Leaving>, leave: Leave) {
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        let Some(queued) = player.queued() else {
            return;
        };
        let ticket = queued.ticket.clone();
        player.activity = Activity::Idle;
        let store = Arc::clone(&self.parts.store);
        let this = self.incarnation();
        let unseen_by = match leave {
            Leave::Asked => None,
            Leave::Unseen => Some(&this),
        };
        match self.ask("remove", store.remove(id, unseen_by)).await {
            // The player is at another matcher, which tells what there is to tell.
            Ok(Removed::Kept) => {}
            // Of a claimed ticket, the match goes on without.
            Ok(Removed::Gone) => {
                if let Some(ticket) = ticket {
                    self.queues.went(&ticket);
                }
                self.tell_left(id, told);
            }
            Ok(Removed::Unknown | Removed::Claimed(_)) => {
                self.tell_left(id, told);
            }
            Err(Away) => {
                self.set_unsettled(id, Unsettled::Queue);
                self.tell_left(id, told);
            }
        }
        self.touch(id);
    }

    pub(super) fn tell_left(&mut self, id: PlayerId, told: Option<Leaving>) {
        if let Some(leaving) = told {
            self.notify(id, &leaving.event());
        }
    }

    pub(super) fn set_unsettled(&mut self, id: PlayerId, unsettled: Unsettled) {
        if let Some(player) = self.roster.player_mut(id) {
            player.unsettled = Some(unsettled);
        }
        self.touch(id);
    }

    /// Tells the store what a player has left, if it has not heard.
    pub(super) async fn settle_up(&mut self, id: PlayerId) -> Result<(), Away> {
        let unsettled = self.roster.player(id).and_then(|player| player.unsettled);
        let store = Arc::clone(&self.parts.store);
        match unsettled {
            None => return Ok(()),
            Some(Unsettled::Match(match_id)) => {
                self.ask("depart", store.depart(id, match_id)).await?;
            }
            Some(Unsettled::Queue) => {
                let this = self.incarnation();
                self.ask("remove", store.remove(id, Some(&this))).await?;
            }
        }
        if let Some(player) = self.roster.player_mut(id) {
            player.unsettled = None;
        }
        self.touch(id);
        Ok(())
    }

    /// A wait has lasted too long. A party's members have all waited for as long.
    pub(super) async fn time_out(&mut self, id: PlayerId) {
        let Some(queued) = self.roster.player(id).and_then(|player| player.queued()) else {
            return;
        };
        let mode = queued.wish.mode.clone();
        let reason = if self.config().modes.contains_key(&mode) {
            Leaving::Timeout
        } else {
            Leaving::ModeGone
        };
        self.metrics.of(&mode).timeouts.increment(1);
        self.leave_queue(id, Some(reason), Leave::Unseen).await;
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
            party: queued.fill,
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
    pub(super) fn is_same_queue(&self, other: &Self) -> bool {
        let code = |wish: &Self| wish.party.as_ref().map(|party| party.code.clone());
        self.mode == other.mode && code(self) == code(other)
    }
}

/// A ticket of one player.
pub(super) fn solo(player: &Player, wish: &Wish, now: Timestamp) -> Ticket {
    Ticket {
        id: TicketId(rand::random()),
        mode: wish.mode.clone(),
        members: vec![player.member(&wish.mode)],
        party: None,
        regions: wish.regions.clone(),
        enqueued_at: now,
    }
}

/// One who comes to a party.
pub(super) fn coming(
    player: &Player,
    wish: &Wish,
    party: &PartyWish,
    since: Timestamp,
    now: Timestamp,
) -> Gather {
    Gather {
        code: party.code.clone(),
        mode: wish.mode.clone(),
        size: party.size,
        member: player.member(&wish.mode),
        regions: wish.regions.clone(),
        since,
        ticket: TicketId(rand::random()),
        // A party's age begins when it is complete.
        enqueued_at: now,
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

/// What to tell a client while the store is away.
pub(super) fn out_of_reach() -> ErrorMessage {
    let error = ErrorMessage::new(ErrorCode::Unavailable, "the queue is out of reach");
    error.retry_after_ms(RETRY_MS)
}

fn waiting(ticket: Arc<Ticket>) -> Standing {
    Standing::Ticket(Found {
        ticket,
        claimed_by: None,
    })
}

/// Whether somebody who wants `wish` is in another queue, and can leave it.
fn is_left_over(standing: &Standing, wish: &Wish) -> bool {
    let (mode, code) = match standing {
        Standing::Ticket(found) if found.claimed_by.is_none() => {
            (&found.ticket.mode, found.ticket.party.as_ref())
        }
        Standing::Gathering(gathering) => (&gathering.mode, Some(&gathering.code)),
        _ => return false,
    };
    let wanted = wish.party.as_ref().map(|party| &party.code);
    *mode != wish.mode || code != wanted
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
