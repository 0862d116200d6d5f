//! Entering queues and leaving them.

use std::sync::Arc;
use std::time::Duration;

use protocol::control::{
    ClientMessage, ErrorCode, ErrorMessage, QueueJoin, QueueState, ServerMessage,
};
use protocol::id::{PlayerId, SessionId};
use protocol::time::Timestamp;
use rpc::origin::StreamId;

use super::Desk;
use super::accepting::cooling_down;
use super::ask::Away;
use super::leaving::Leave;
use super::party::{PartyWish, mismatch};
use super::player::{Activity, Queued, Unsettled, Wish};
use super::private_talk::is_of_private_rooms;
use super::receipts::{self, Brought};
use super::seating::is_of_events;
use super::wish::{coming, find_mode, solo};
use crate::config::ModeName;
use crate::event::Leaving;
use crate::store::{Added, Found, Gathered, Standing};
use crate::ticket::Ticket;

/// What a client is told to wait when its ticket is between queue and match, or the store is away.
pub(super) const RETRY_MS: u64 = 1_000;

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
            Ok(ClientMessage::MatchAccept(one)) => {
                let answered = self.answer_match(id, one.match_id, true).await;
                answered.map_err(|error| error.re("match.accept"))
            }
            Ok(ClientMessage::MatchDecline(one)) => {
                let answered = self.answer_match(id, one.match_id, false).await;
                answered.map_err(|error| error.re("match.decline"))
            }
            Ok(message) if is_of_private_rooms(&message) => {
                let done = self.private_message(id, &message).await;
                done.map_err(|error| error.re(message.kind()))
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
            Ok(message) if is_of_private_rooms(&message) => out_of_reach().re(message.kind()),
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
        let wish = Wish::parse(join, mode_name, mode, &self.parts.nodes.regions())?;
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
            Activity::Private(_) => self.leave_private(id, None, Leave::Asked).await,
            // As almost everyone: together with the others of this turn.
            Activity::Idle if player.unsettled.is_none() => {
                let (brought, refused) = self.bring(id, join, &wish, now);
                self.joins.enter(player, wish, brought, now);
                return refused.map_or(Ok(()), Err);
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

    /// The ticket that a receipt brings back, or why it does not: then it counts for nothing.
    fn bring(
        &self,
        id: PlayerId,
        join: &QueueJoin,
        wish: &Wish,
        now: Timestamp,
    ) -> (Option<Brought>, Option<ErrorMessage>) {
        let receipt = join.receipt.as_ref().filter(|_| wish.party.is_none());
        let signer = &self.parts.signer;
        match receipt.map(|receipt| receipts::read(signer, receipt, id, &wish.mode, now)) {
            None => (None, None),
            Some(Ok(brought)) => (Some(brought), None),
            Some(Err(error)) => (None, Some(error)),
        }
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
        if is_left_over(id, &standing, &wish) {
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
            Standing::Private(room) => {
                self.learn_private(id, &room.clone(), now);
                Err(already_in_match("you are in a private room"))
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
            None => match self.try_add(id, wish, now).await {
                Ok(Ok(standing)) => Ok(standing),
                Ok(Err(cooling)) => return Err(cooling_down(cooling)),
                Err(Away) => Err(Away),
            },
            Some(party) => match self.try_gather(id, wish, party, now, now).await {
                Ok(Gathered::Gathering(gathering)) => Ok(Standing::Gathering(gathering)),
                Ok(Gathered::Complete(ticket)) => Ok(waiting(ticket)),
                Ok(Gathered::Kept(standing)) => Ok(standing),
                Ok(Gathered::Mismatch(disagreement)) => return Err(mismatch(disagreement)),
                Ok(Gathered::Cooling(left)) => return Err(cooling_down(left)),
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

    /// Likewise, alone; or how much longer the player is kept out.
    async fn try_add(
        &mut self,
        id: PlayerId,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<Result<Standing, Duration>, Away> {
        let Some(player) = self.roster.player(id) else {
            return Ok(Ok(Standing::Nothing));
        };
        let ticket = Arc::new(solo(player, wish, None, now));
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        let tickets = [ticket];
        let mut added = self.ask("add", store.add(&tickets, &sighting)).await?;
        let [ticket] = tickets;
        match added.remove(0) {
            Added::Waiting => Ok(Ok(waiting(ticket))),
            Added::Kept(standing) => Ok(Ok(standing)),
            Added::Gone => Ok(Ok(Standing::Nothing)),
            Added::Cooling(left) => Ok(Err(left)),
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

    /// Tells a client how the queue stands.
    pub(super) fn send_queue_state(&mut self, id: PlayerId, now: Timestamp) {
        let every = self.config().state_every;
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        player.next_state = now + every;
        let line = player.line();
        let (Some((stream, session)), Some(queued)) = (line, player.queued_mut()) else {
            return;
        };
        let receipt = receipts::due(&self.parts.signer, id, queued, now);
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
            receipt,
        };
        if let Some(batch) = self.outbox.to(stream) {
            batch.droppable_text(session, ServerMessage::QueueState(state).to_text());
        }
    }

    pub(super) fn queued_mut(&mut self, id: PlayerId) -> Option<&mut Queued> {
        self.roster.player_mut(id)?.queued_mut()
    }
}

pub(super) fn already_in_match(what: &str) -> ErrorMessage {
    let message = format!("{what}; leave it first, or wait until it ends");
    ErrorMessage::new(ErrorCode::AlreadyInMatch, message)
}

/// What to tell a client while the store is away.
pub(super) fn out_of_reach() -> ErrorMessage {
    let error = ErrorMessage::new(ErrorCode::Unavailable, "the queue is out of reach");
    error.retry_after_ms(RETRY_MS)
}

fn waiting(ticket: Arc<Ticket>) -> Standing {
    Standing::Ticket(Found::waiting(ticket))
}

/// Whether somebody who wants `wish` is in another queue, and can leave it.
fn is_left_over(id: PlayerId, standing: &Standing, wish: &Wish) -> bool {
    let stands = match standing {
        Standing::Ticket(found) if found.claimed_by.is_none() => Wish::of_ticket(id, &found.ticket),
        Standing::Gathering(gathering) => Wish::of_gathering(gathering),
        Standing::Private(_) => return true,
        _ => return false,
    };
    !stands.is_same_queue(wish)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
