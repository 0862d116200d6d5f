//! Clients that come and go.
//!
//! Of a player who was not here, the store says what there is to tell: another matcher may have
//! served the player until now, and may have died. While the store is away, who is known is told
//! what is known, and who is not waits for it in the [`lobby`](super::lobby).

use std::collections::{BTreeMap, BTreeSet};

use engine::Rating;
use engine::results::FIRST_RATING;
use protocol::attach::{Claim, Verdict};
use protocol::close::CloseCode;
use protocol::frame::Ack;
use protocol::id::{PlayerId, SessionId};
use protocol::time::Timestamp;
use rpc::inbound::AttachRequest;
use rpc::origin::StreamId;

use super::Desk;
use super::ask::Away;
use super::leaving::Leave;
use super::player::{Activity, Player, Presence, fresh_epoch};
use super::rating::Ratings;
use super::standing::BATCH;
use crate::event::Leaving;
use crate::store::{Asked, Standing};

impl Desk {
    /// Where players stand who were not here.
    async fn standing_of(&mut self, newcomers: BTreeSet<PlayerId>) -> BTreeMap<PlayerId, Standing> {
        let asked: Vec<Asked> = newcomers
            .iter()
            .map(|player| Asked {
                player: *player,
                is_here: true,
            })
            .collect();
        let mut standings = Vec::with_capacity(asked.len());
        for asked in asked.chunks(BATCH) {
            match self.ask_standing(asked).await {
                Ok(some) => standings.extend(some),
                Err(Away) => break,
            }
        }
        newcomers.into_iter().zip(standings).collect()
    }

    /// A client comes to the match channel. `standing`: where the store says that the player is,
    /// if it was asked and has answered.
    pub(super) async fn attach(
        &mut self,
        stream: StreamId,
        request: AttachRequest,
        standing: Option<Standing>,
    ) {
        let (session, attempt) = (request.claim.session, request.claim.attempt);
        let known = self.roster.player(request.player);
        let verdict = known.map_or(Verdict::Accept, |player| {
            player.holder.judge(&request.claim)
        });
        let is_new = known.is_none();
        let places = self.config().players;
        let full = is_new && self.roster.len() + self.lobby.len() >= places;
        let Some(batch) = self.outbox.to(stream) else {
            return;
        };
        match verdict {
            // The whole connection: nobody would attach a channel that was refused again, but a
            // client whose connection is closed comes back, after a while and maybe elsewhere.
            Verdict::Accept if full => {
                batch.close_connection(session, attempt, CloseCode::Unavailable);
            }
            Verdict::Accept if is_new && standing.is_none() => self.lobby.enter(stream, request),
            Verdict::Accept => self.accept(stream, request, is_new, standing).await,
            Verdict::Stale => batch.close_connection(session, attempt, CloseCode::Superseded),
            Verdict::Replaced => batch.close_connection(session, attempt, CloseCode::Replaced),
        }
    }

    async fn accept(
        &mut self,
        stream: StreamId,
        request: AttachRequest,
        is_new: bool,
        standing: Option<Standing>,
    ) {
        let now = self.clock.now();
        let claim = request.claim;
        let id = request.player;
        if is_new {
            self.roster.insert(Player::new(&request, now));
            self.roster.bind(id, None, claim.session);
        } else {
            self.displace(id, claim);
        }
        let was_here = self.roster.player(id).is_some_and(Player::is_here);
        match standing.filter(|_| !was_here) {
            // What the state says needs no event.
            Some(standing) if is_new => {
                let standing = self.sift(id, standing).await;
                self.take_up(id, &standing, now);
            }
            // The player may have been elsewhere in between. Before the stream is entered, so
            // that events of it come after the answer.
            Some(standing) => self.learn(id, standing, true, now).await,
            None => {}
        }
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        player.presence = Presence::Attached(stream);
        player.name = request.name;
        player
            .ratings
            .begins_at((request.rating, request.deviation));
        player.bot = request.bot;
        let attached = player.log.attach(request.mode, fresh_epoch());
        player.next_state = now;
        let state = player.state(now);
        if let Some(batch) = self.outbox.to(stream) {
            batch.attached(claim.session, claim.attempt, attached, state);
        }
        self.ask_ratings(id);
        self.touch(id);
    }

    /// A player was forgotten: whoever is connected as the player is to log in anew, and is nobody
    /// that was here before.
    pub(super) async fn dismiss(&mut self, id: PlayerId) {
        self.leave_queue(id, None, Leave::Asked).await;
        self.abandon_match(id).await;
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        player.ratings = Ratings::new((FIRST_RATING, Rating::FIRST.spread()));
        let attempt = player.claim().attempt;
        if let Some((stream, session)) = player.line()
            && let Some(batch) = self.outbox.to(stream)
        {
            batch.close_connection(session, attempt, CloseCode::TokenInvalid);
        }
    }

    /// Lets those in whom the store was asked for in vain.
    pub(super) async fn open_lobby(&mut self) {
        if self.lobby.len() == 0 || !self.has_patience() {
            return;
        }
        let waiting = self.lobby.take();
        let players = waiting.iter().map(|one| one.request.player).collect();
        let mut standings = self.standing_of(players).await;
        for one in waiting {
            let standing = standings.remove(&one.request.player);
            self.attach(one.stream, one.request, standing).await;
        }
    }

    /// Makes `claim` the one that counts, and closes the connection that counted before, if it is
    /// another one.
    fn displace(&mut self, id: PlayerId, claim: Claim) {
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        let line = player.line();
        let Some(former) = player.holder.accept(claim) else {
            return;
        };
        let code = match former.session == claim.session {
            false => Some(CloseCode::Replaced),
            true => (former.attempt != claim.attempt).then_some(CloseCode::Superseded),
        };
        if let (Some(code), Some((line, _))) = (code, line)
            && let Some(batch) = self.outbox.to(line)
        {
            batch.close_connection(former.session, former.attempt, code);
        }
        self.roster.bind(id, Some(former.session), claim.session);
    }

    /// A client's connection ended.
    pub(super) async fn detach(
        &mut self,
        stream: StreamId,
        session: SessionId,
        attempt: u32,
        leave: bool,
    ) {
        let Some(id) = self.roster.attached(session, stream) else {
            self.lobby.leave(session, stream, attempt);
            return;
        };
        let is_current = self
            .roster
            .player(id)
            .is_some_and(|player| player.claim().attempt == attempt);
        if is_current {
            self.gone_away(id, leave).await;
        }
    }

    /// A gateway's stream ended, with or without its sockets: until they are heard of again its
    /// clients are away.
    pub(super) async fn stream_ended(&mut self, stream: StreamId) {
        self.lobby.stream_ended(stream);
        for id in self.roster.attached_by(stream) {
            self.gone_away(id, false).await;
        }
    }

    async fn gone_away(&mut self, id: PlayerId, leave: bool) {
        let now = self.clock.now();
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        player.presence = Presence::Away(now);
        if leave {
            self.leave_queue(id, None, Leave::Asked).await;
            self.leave_private(id, None, Leave::Asked).await;
        } else if player.bot {
            // A bot that is not there must not fill a match. It queues anew when it is back.
            self.leave_queue(id, None, Leave::Unseen).await;
        }
        self.touch(id);
    }

    /// A client has everything up to there.
    pub(super) fn acknowledge(&mut self, stream: StreamId, session: SessionId, ack: Ack) {
        let now = self.clock.now();
        if let Some(id) = self.roster.attached(session, stream)
            && let Some(player) = self.roster.player_mut(id)
        {
            player.log.handle_ack(now, ack);
            self.touch(id);
        }
    }

    /// Does what is due for one player.
    pub(super) async fn look_after(&mut self, id: PlayerId, now: Timestamp) {
        let config = self.config();
        let is_joining = self.is_joining(id);
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        player.log.handle_timeout(now);
        let due = |at: Option<Timestamp>| at.is_some_and(|at| at <= now);
        let timed_out = due(player.times_out_at(&config));
        let gone = due(player.gone_at(&config));
        match &player.activity {
            Activity::Queued(_) if timed_out => self.time_out(id).await,
            Activity::Queued(_) if gone => {
                self.leave_queue(id, Some(Leaving::Away), Leave::Unseen)
                    .await;
            }
            Activity::Private(_) if gone => {
                self.leave_private(id, Some(Leaving::Away), Leave::Unseen)
                    .await;
            }
            Activity::Queued(_) if player.next_state <= now => self.send_queue_state(id, now),
            Activity::Idle if gone && !is_joining => {
                self.roster.remove(id);
                return;
            }
            _ => {}
        }
        self.touch(id);
    }
}
