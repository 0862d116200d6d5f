//! Clients that come and go.

use protocol::attach::{Claim, Verdict};
use protocol::close::CloseCode;
use protocol::frame::Ack;
use protocol::id::{PlayerId, SessionId};
use protocol::time::Timestamp;
use rpc::inbound::AttachRequest;
use rpc::origin::StreamId;

use super::Desk;
use super::player::{Activity, Player, Presence, fresh_epoch};
use crate::event::Leaving;

impl Desk {
    /// A client comes to the match channel.
    pub(super) fn attach(&mut self, stream: StreamId, request: AttachRequest) {
        let (session, attempt) = (request.claim.session, request.claim.attempt);
        let known = self.roster.player(request.player);
        let verdict = known.map_or(Verdict::Accept, |player| {
            player.holder.judge(&request.claim)
        });
        let is_new = known.is_none();
        let full = is_new && self.roster.len() >= self.config().players;
        let Some(batch) = self.outbox.to(stream) else {
            return;
        };
        match verdict {
            // The whole connection: nobody would attach a channel that was refused again, but a
            // client whose connection is closed comes back, after a while and maybe elsewhere.
            Verdict::Accept if full => {
                batch.close_connection(session, attempt, CloseCode::Unavailable);
            }
            Verdict::Accept => self.accept(stream, request, is_new),
            Verdict::Stale => batch.close_connection(session, attempt, CloseCode::Superseded),
            Verdict::Replaced => batch.close_connection(session, attempt, CloseCode::Replaced),
        }
    }

    fn accept(&mut self, stream: StreamId, request: AttachRequest, is_new: bool) {
        let now = self.clock.now();
        let claim = request.claim;
        let id = request.player;
        if is_new {
            self.roster.insert(Player::new(&request, stream, now));
            self.roster.bind(id, None, claim.session);
        } else {
            self.displace(id, claim);
        }
        let Some(player) = self.roster.player_mut(id) else {
            return;
        };
        player.presence = Presence::Attached(stream);
        player.name = request.name;
        player.rating = request.rating;
        player.bot = request.bot;
        let attached = player.log.attach(request.mode, fresh_epoch());
        player.next_state = now;
        let state = player.state(now);
        if let Some(batch) = self.outbox.to(stream) {
            batch.attached(claim.session, claim.attempt, attached, state);
        }
        self.touch(id);
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
        // A bot that is not there must not fill a match. It queues anew when it is back.
        if leave || player.bot {
            self.leave_queue(id, None).await;
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
                self.leave_queue(id, Some(Leaving::Away)).await;
            }
            Activity::Queued(_) if player.next_state <= now => self.send_queue_state(id, now),
            Activity::Idle if gone => {
                self.roster.remove(id);
                return;
            }
            _ => {}
        }
        self.touch(id);
    }
}
