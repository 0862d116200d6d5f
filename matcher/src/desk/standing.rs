//! Where players stand by the ticket store, and what follows here.
//!
//! Any matcher may claim, settle, give back and end what this one's players are in. On each tick
//! the desk asks for those of whom something is to be expected: who gather, who are between queue
//! and match, whose ticket was taken as a queue's feed says; and by turns for the others. It tells
//! them what is new.
//! It gives back to the store what that has lost: a ticket, with its old age, and a match that
//! runs. Only for players who are here, and only if the store does not remember that they left.

use std::sync::Arc;
use std::time::Duration;

use engine::Incarnation;
use protocol::id::{MatchId, PlayerId};
use protocol::time::Timestamp;

use super::Desk;
use super::ask::Away;
use super::leaving::Leave;
use super::player::{Activity, Player, Playing, Proposed, Queued, Unsettled, Wish};
use crate::event::{Leaving, MatchEvent};
use crate::store::{
    Added, Asked, EndedMatch, Ending, Expected, Found, Gathered, Gathering, MatchRecord, Restored,
    Sighting, Spot, Standing,
};
use crate::ticket::Ticket;

/// Players that one call asks for.
pub(super) const BATCH: usize = 512;

/// In so many ticks everyone who plays is asked for once: what ends a match is heard by other
/// ways too.
const TURNS: usize = 16;

/// Of those who wait, so many are asked for on each tick, even if it is not their turn.
const FEW: usize = 64;

/// After a store was found to have another history, so many of those who wait are asked for on
/// each tick until everyone was.
const HURRIED: usize = 8 * BATCH;

impl Desk {
    /// This matcher, as it is named in the store.
    pub(super) fn incarnation(&self) -> Incarnation {
        Incarnation {
            node: self.config.node.clone(),
            generation: self.parts.generation,
        }
    }

    /// How this matcher sees players.
    pub(super) fn sighting(&self) -> Sighting {
        Sighting {
            by: self.incarnation(),
            grace: self.config.grace,
        }
    }

    /// Asks for some players, of whom those count as seen who are here.
    pub(super) async fn ask_standing(&mut self, asked: &[Asked]) -> Result<Vec<Standing>, Away> {
        if asked.is_empty() {
            return Ok(Vec::new());
        }
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        self.ask("standing", store.standing(asked, &sighting)).await
    }

    /// Learns what other matchers did to this one's players.
    pub(super) async fn look_around(&mut self, now: Timestamp) {
        // Feeds tell what becomes of those who wait; that they are here is to be said often enough.
        let ticks = self.config.grace.as_nanos() / self.config.tick.as_nanos().max(1) / 4;
        let parts = usize::try_from(ticks).unwrap_or(usize::MAX);
        let few = self.queues.take_hurry(HURRIED).max(FEW);
        let mut players = self.roster.next_waiting(parts, few);
        players.extend(self.roster.next_playing(TURNS));
        let expected = players.into_iter().map(|player| self.expected(player));
        let expected: Vec<Expected> = expected.collect();
        for expected in expected.chunks(BATCH) {
            let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
            let moved = store.moved(expected, &sighting);
            let Ok(standings) = self.ask("standing", moved).await else {
                return; // everyone keeps what they have
            };
            for (Expected { asked, .. }, standing) in expected.iter().zip(standings) {
                if let Some(standing) = standing {
                    self.learn(asked.player, standing, asked.is_here, now).await;
                }
            }
        }
    }

    /// Where a player is, as far as it is known here.
    fn expected(&self, id: PlayerId) -> Expected {
        let settled = self
            .roster
            .player(id)
            .filter(|player| player.unsettled.is_none());
        let at = settled.and_then(|player| match &player.activity {
            Activity::Queued(queued) if queued.placing.is_none() => queued
                .ticket
                .as_ref()
                .map(|ticket| Spot::Waiting(ticket.id)),
            Activity::Playing(playing) => Some(Spot::Playing(playing.match_id)),
            _ => None,
        });
        let asked = Asked {
            player: id,
            is_here: settled.is_some_and(Player::is_here),
        };
        Expected { asked, at }
    }

    /// What a player is told of what the store says. It may have forgotten its last writes, and
    /// know a match that is over, or that the player has left: then it is told again.
    pub(super) async fn sift(&mut self, id: PlayerId, standing: Standing) -> Standing {
        let Standing::Match(record) = &standing else {
            return standing;
        };
        if self.matches.is_over(record.room) {
            self.matches.must_end(EndedMatch {
                match_id: record.id,
                room: record.room,
                ending: Ending::Finished,
            });
            self.flush_ends().await;
            return Standing::Nothing;
        }
        let left = self.roster.player(id).and_then(|player| player.left);
        if left == Some(record.id) {
            self.set_unsettled(id, Unsettled::Match(record.id));
            // If it fails, another tick tries again.
            let _ = self.settle_up(id).await;
            return Standing::Nothing;
        }
        standing
    }

    /// A known player stands there, says the store.
    pub(super) async fn learn(
        &mut self,
        id: PlayerId,
        standing: Standing,
        is_here: bool,
        now: Timestamp,
    ) {
        let Some(player) = self.roster.player(id) else {
            return;
        };
        if player.unsettled.is_some() {
            // Another turn tries again.
            let _ = self.settle_up(id).await;
            return;
        }
        let standing = self.sift(id, standing).await;
        let Some(player) = self.roster.player(id) else {
            return;
        };
        match (&player.activity, &standing) {
            (Activity::Idle, Standing::Nothing) => {}
            (_, Standing::Private(room)) => {
                let before = self.proposed(id);
                let room = room.clone();
                self.learn_private(id, &room, now);
                self.tell_proposal(id, before);
            }
            (Activity::Private(_), Standing::Nothing) if is_here => {
                if !self.is_behind(now) {
                    self.bring_private_back(id, now).await;
                }
            }
            (Activity::Private(_), Standing::Nothing) => {}
            (_, Standing::Match(record)) => self.learn_match(id, record, now),
            (Activity::Playing(playing), _) => {
                let match_id = playing.match_id;
                self.miss_match(id, match_id, &standing, is_here, now).await;
            }
            // Who is away may wait at another matcher, or may have left there.
            (Activity::Queued(_), Standing::Nothing) if is_here => {
                self.bring_back(id, now).await;
            }
            (Activity::Queued(_), Standing::Nothing) => {}
            (_, Standing::Ticket(_) | Standing::Gathering(_)) => {
                let before = self.proposed(id);
                self.take_up(id, &standing, now);
                self.tell_proposal(id, before);
            }
        }
    }

    fn learn_match(&mut self, id: PlayerId, record: &Arc<MatchRecord>, now: Timestamp) {
        let playing = self.roster.player(id).and_then(|player| player.playing());
        if playing.is_none_or(|playing| playing.match_id != record.id) {
            self.seat(id, record, now);
        }
    }

    /// The store does not know the match that a player is in.
    async fn miss_match(
        &mut self,
        id: PlayerId,
        match_id: MatchId,
        standing: &Standing,
        is_here: bool,
        now: Timestamp,
    ) {
        let record = self.matches.record(match_id);
        let went_back = |record: &MatchRecord| match standing {
            Standing::Ticket(found) => record.tickets.contains(&found.ticket.id),
            other => *other == Standing::Nothing,
        };
        match record {
            Some(record) if went_back(&record) => {
                if is_here && !self.is_behind(now) {
                    self.restore_match(id, &record, now).await;
                }
            }
            // The player has left it by another matcher, and queues anew.
            _ => self.take_up(id, standing, now),
        }
    }

    async fn restore_match(&mut self, id: PlayerId, record: &Arc<MatchRecord>, now: Timestamp) {
        let lifetime = self.lifetime(record, now);
        let store = Arc::clone(&self.parts.store);
        match self.ask("restore", store.restore(record, lifetime)).await {
            Ok(Restored::Restored) => {
                self.metrics.restored.increment(1);
                tracing::warn!(r#match = %record.id, "the store had lost a match; restored");
            }
            // Somebody has just restored it, or the player has left it by another matcher.
            Ok(Restored::Stands) => {
                let asked = [Asked {
                    player: id,
                    is_here: false,
                }];
                if let Ok(standings) = self.ask_standing(&asked).await
                    && standings == [Standing::Nothing]
                {
                    self.take_up(id, &Standing::Nothing, now);
                }
            }
            Ok(Restored::Ended(ending)) => self.end_match(record.id, ending),
            Err(Away) => {}
        }
    }

    /// The store does not know the place of a player who waits here.
    async fn bring_back(&mut self, id: PlayerId, now: Timestamp) {
        if self.is_behind(now) {
            return;
        }
        let Some(queued) = self.roster.player(id).and_then(|player| player.queued()) else {
            return;
        };
        let queued = queued.clone();
        let reason = match queued.proposed {
            Some(proposed) if !proposed.accepted => Leaving::Unanswered,
            _ => Leaving::Left,
        };
        let standing = match (&queued.ticket, &queued.wish.party) {
            // Of a private room whose match was to begin: it is not for the queue.
            (Some(ticket), _) if ticket.private.is_some() => Ok(Standing::Nothing),
            (Some(ticket), _) => self.bring_ticket_back(ticket).await,
            (None, Some(party)) => {
                let (wish, since) = (&queued.wish, queued.since);
                match self.try_gather(id, wish, party, since, now).await {
                    Ok(Gathered::Gathering(gathering)) => Ok(Standing::Gathering(gathering)),
                    Ok(Gathered::Complete(ticket)) => Ok(Standing::Ticket(Found::waiting(ticket))),
                    Ok(Gathered::Kept(standing)) => Ok(standing),
                    Ok(Gathered::Mismatch(_) | Gathered::Cooling(_)) => Ok(Standing::Nothing),
                    Ok(Gathered::Full) => Err(self.is_full()),
                    Err(Away) => Err(Away),
                }
            }
            (None, None) => Ok(Standing::Nothing),
        };
        match standing {
            Err(Away) => {}
            // It was left, by another matcher; or a match was not accepted.
            Ok(Standing::Nothing) => {
                self.leave_queue(id, Some(reason), Leave::Unseen).await;
            }
            Ok(Standing::Match(record)) if record.has(id) => self.learn_match(id, &record, now),
            Ok(standing) if is_with(&standing, id, &queued) => self.take_up(id, &standing, now),
            // Another member of the party has gone on.
            Ok(_) => {
                self.leave_queue(id, Some(reason), Leave::Unseen).await;
            }
        }
    }

    async fn bring_ticket_back(&mut self, ticket: &Arc<Ticket>) -> Result<Standing, Away> {
        let (store, sighting) = (Arc::clone(&self.parts.store), self.sighting());
        let tickets = [Arc::clone(ticket)];
        let mut added = self.ask("add", store.add(&tickets, &sighting)).await?;
        match added.remove(0) {
            Added::Waiting => {
                self.queues.came(ticket, self.clock.now());
                self.metrics.restored.increment(1);
                tracing::warn!(ticket = %ticket.id, "the store had lost a ticket; restored");
                Ok(Standing::Ticket(Found::waiting(Arc::clone(ticket))))
            }
            Added::Kept(standing) => Ok(standing),
            Added::Gone | Added::Cooling(_) => Ok(Standing::Nothing),
            Added::Full => Err(self.is_full()),
        }
    }

    /// Makes what the store says so here, and tells nobody.
    pub(super) fn take_up(&mut self, id: PlayerId, standing: &Standing, now: Timestamp) {
        let activity = match standing {
            Standing::Nothing => Activity::Idle,
            Standing::Ticket(found) => Activity::Queued(self.on_ticket(id, found, now)),
            Standing::Gathering(gathering) => Activity::Queued(self.in_party(id, gathering)),
            Standing::Private(room) => Activity::Private(room.clone()),
            Standing::Match(record) => Activity::Playing(self.in_match(id, record, now)),
        };
        if let Some(player) = self.roster.player_mut(id) {
            player.activity = activity;
        }
        self.touch(id);
    }

    fn on_ticket(&self, id: PlayerId, found: &Found, now: Timestamp) -> Queued {
        let ticket = &found.ticket;
        let (wish, expected) = self.wish_of(id, Wish::of_ticket(id, ticket));
        let before = self.roster.player(id).and_then(|player| player.queued());
        let same = before.filter(|before| {
            before
                .ticket
                .as_ref()
                .is_some_and(|one| one.id == ticket.id)
        });
        let receipt_at = same.and_then(|before| before.receipt_at);
        Queued {
            wish,
            since: ticket.enqueued_at,
            ticket: Some(Arc::clone(ticket)),
            placing: found.claimed_by,
            proposed: Proposed::of(found, now),
            fill: None,
            receipt_at,
            expected,
        }
    }

    fn in_party(&self, id: PlayerId, gathering: &Gathering) -> Queued {
        let (wish, _) = self.wish_of(id, Wish::of_gathering(gathering));
        Queued {
            wish,
            since: gathering.since,
            ticket: None,
            placing: None,
            proposed: None,
            fill: Some((gathering.present, gathering.size)),
            receipt_at: None,
            expected: None,
        }
    }

    /// What a player wished for here and was promised, if it is the same; else what the store
    /// shows.
    fn wish_of(&self, id: PlayerId, wish: Wish) -> (Wish, Option<Duration>) {
        let queued = self.roster.player(id).and_then(|player| player.queued());
        match queued {
            Some(queued) if queued.wish.is_same_queue(&wish) => {
                (queued.wish.clone(), queued.expected)
            }
            _ => (wish, None),
        }
    }

    fn in_match(&mut self, id: PlayerId, record: &Arc<MatchRecord>, now: Timestamp) -> Playing {
        self.adopt(record, now);
        Playing {
            match_id: record.id,
            mode: record.mode.clone(),
            room: record.room,
            role: record.role(id).cloned(),
            ticket: self.sign(id, record, now),
        }
    }

    /// Gives a player the seat in a match, and tells.
    pub(super) fn seat(&mut self, id: PlayerId, record: &Arc<MatchRecord>, now: Timestamp) {
        let Some(player) = self.roster.player(id) else {
            return;
        };
        let is_bot = player.bot;
        let wait = player
            .queued()
            .filter(|queued| {
                queued
                    .ticket
                    .as_ref()
                    .is_some_and(|one| one.private.is_none())
            })
            .map(|queued| (now.since(queued.since), queued.expected));
        let metrics = self.metrics.of(&record.mode);
        if is_bot {
            metrics.seats_bots.increment(1);
        } else {
            metrics.seats_people.increment(1);
            if let Some((waited, expected)) = wait {
                metrics.waited(waited, expected);
                let estimator = self.estimates.entry(record.mode.clone());
                estimator.or_default().record(waited);
            }
        }
        let playing = self.in_match(id, record, now);
        let event = MatchEvent::Found {
            match_id: record.id,
            mode: &record.mode,
            room: record.room,
            ticket: &playing.ticket,
            players: record.players.len(),
            role: playing.role.as_ref(),
        };
        let payload = event.payload();
        if let Some(player) = self.roster.player_mut(id) {
            player.activity = Activity::Playing(playing);
        }
        self.append(id, payload);
    }
}

/// Whether it is this player who stands there.
fn is_with(standing: &Standing, id: PlayerId, queued: &Queued) -> bool {
    match standing {
        // Of another member.
        Standing::Nothing | Standing::Private(_) => false,
        Standing::Ticket(found) => {
            let mut members = found.ticket.members.iter();
            members.any(|member| member.player == id)
        }
        // A ticket is kept out by any of its members; who gathers, by nobody else.
        Standing::Gathering(_) => queued.ticket.is_none(),
        Standing::Match(record) => record.has(id),
    }
}
