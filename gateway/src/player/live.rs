//! A logged-in connection: which channels it has, and what goes where.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use protocol::attach::Claim;
use protocol::control::{
    ChannelAttached, ChannelLost, ClientMessage, ErrorCode, ErrorMessage, RoomJoin, RoomWatch,
    ServerMessage,
};
use protocol::frame::Ack;
use protocol::id::{Channel, Position, RoomId};
use protocol::log::Attach;
use rpc::inbound::AttachRequest;
use rpc::token::{Identity, RoomTicket};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::closed_by_us;
use crate::edge::Edge;
use crate::outbox::Item;
use crate::registry::Registration;
use crate::upstream::binding::{Binding, SendError};
use crate::upstream::link::out_of_reach;

/// Most bytes of a control message that goes on to an origin. A full batch of them stays far
/// below what one message between the services may have.
const MAX_FORWARDED: usize = 2 * 1024;

/// A logged-in connection.
#[derive(Debug)]
pub(super) struct Live {
    edge: Arc<Edge>,
    registration: Registration,
    claim: Claim,
    identity: Identity,
    matcher: Arc<Binding>,
    room: Option<Arc<Binding>>,
}

impl Live {
    /// Attaches to the matcher; `have` is what the client has of the match channel.
    pub(super) fn new(
        edge: Arc<Edge>,
        registration: Registration,
        claim: Claim,
        identity: Identity,
        have: Option<Position>,
    ) -> Self {
        edge.meters.sessions.increment(1);
        let request = attach_request(claim, &identity, have, None);
        let matcher = Binding::to_match(request, registration.outbox().clone());
        edge.upstream.attach(matcher.clone());
        Self {
            edge,
            registration,
            claim,
            identity,
            matcher,
            room: None,
        }
    }

    pub(super) fn is_in_room(&self) -> bool {
        self.room.as_ref().is_some_and(|room| !room.is_over())
    }

    /// Attaches to the room that `ticket` names.
    pub(super) fn join_room(
        &mut self,
        edge: &Edge,
        ticket: &str,
        have: Option<Position>,
    ) -> Result<(), ErrorMessage> {
        let refuse = |code, text: String| {
            Err(ErrorMessage::new(code, text)
                .re("room.join")
                .field("ticket"))
        };
        let ticket = match edge.signer.check::<RoomTicket>(ticket) {
            Ok(ticket) if ticket.player == self.identity.player => ticket,
            Ok(_) => {
                let text = "this ticket is another player's; use your own".to_owned();
                return refuse(ErrorCode::TokenInvalid, text);
            }
            Err(error) => return refuse(ErrorCode::TokenInvalid, error.to_string()),
        };
        if !edge.upstream.may_have(&ticket.node) {
            let text = format!(
                "the room's node {} is not part of this deployment",
                ticket.node
            );
            return refuse(ErrorCode::RoomUnknown, text);
        }
        self.leave_room(false);
        let request = attach_request(self.claim, &self.identity, have, Some(ticket.room));
        let outbox = self.registration.outbox().clone();
        let room = Binding::to_room(request, ticket.node, outbox);
        edge.upstream.attach(room.clone());
        self.room = Some(room);
        Ok(())
    }

    /// Attaches to a room in which the player has no seat.
    fn watch_room(&mut self, edge: &Edge, watch: RoomWatch) {
        self.leave_room(false);
        let delay = Duration::from_millis(u64::from(watch.delay_ms.unwrap_or_default()));
        let request = AttachRequest {
            watch: Some(delay),
            ..attach_request(self.claim, &self.identity, None, Some(watch.room))
        };
        let room = Binding::to_watch(request, self.registration.outbox().clone());
        edge.upstream.attach(room.clone());
        self.room = Some(room);
    }

    /// Whether there was something to watch.
    pub(super) fn unwatch(&mut self) -> bool {
        let watched = self.room.take_if(|room| room.is_watch());
        if let Some(room) = &watched {
            room.end(true);
        }
        watched.is_some()
    }

    /// The room in which the player has a seat.
    fn own_room(&self) -> Option<&Arc<Binding>> {
        self.room.as_ref().filter(|room| !room.is_watch())
    }

    pub(super) fn handle_control(
        &mut self,
        edge: &Edge,
        message: ClientMessage,
        text: &str,
    ) -> Result<(), ErrorMessage> {
        match message {
            ClientMessage::RoomJoin(RoomJoin { ticket }) => self.join_room(edge, &ticket, None),
            ClientMessage::RoomLeave(_) => {
                self.leave_room(true);
                self.to_matcher("room.leave", text)
            }
            ClientMessage::RoomSay(_) => self.to_room("room.say", text),
            ClientMessage::RoomWatch(watch) => {
                self.watch_room(edge, watch);
                Ok(())
            }
            ClientMessage::QueueJoin(_) => self.to_matcher("queue.join", text),
            ClientMessage::QueueLeave(_) => self.to_matcher("queue.leave", text),
            ClientMessage::MatchAccept(_)
            | ClientMessage::MatchDecline(_)
            | ClientMessage::PrivateOpen(_)
            | ClientMessage::PrivateJoin(_)
            | ClientMessage::PrivateReady(_)
            | ClientMessage::PrivateKick(_)
            | ClientMessage::PrivateStart(_)
            | ClientMessage::PrivateLeave(_)
            | ClientMessage::EventList(_)
            | ClientMessage::EventReserve(_)
            | ClientMessage::EventConfirm(_)
            | ClientMessage::EventRelease(_) => self.to_matcher(message.kind(), text),
            // The caller has answered these.
            ClientMessage::Hello(_) | ClientMessage::RoomUnwatch(_) => Ok(()),
        }
    }

    /// Passes a checked input frame on. Without a room it is late, and the room has reported it.
    pub(super) fn input(&self, frame: Bytes) {
        if let Some(room) = self.own_room() {
            room.input(frame);
        }
    }

    pub(super) fn acked(&self, ack: Ack) {
        match (ack.channel, &self.room) {
            (Channel::Match, _) => self.matcher.ack(ack),
            (Channel::Room, Some(room)) => room.ack(ack),
            (Channel::Room, None) => {}
        }
    }

    /// Makes a message for the client out of what an origin said.
    pub(super) fn translate(&mut self, item: Item) -> Message {
        let message = match item {
            Item::Binary(frame) => return Message::Binary(frame),
            Item::Text(text) => return Message::text(text),
            Item::Attached {
                channel,
                position,
                recovered,
                state,
            } => ServerMessage::Channel(ChannelAttached {
                ch: channel,
                epoch: position.epoch,
                offset: position.offset,
                recovered,
                state: RawValue::from_string(state).ok(),
            }),
            Item::Lost { channel, reason } => ServerMessage::ChannelLost(ChannelLost {
                ch: channel,
                reason: reason.to_owned(),
            }),
            Item::Closed { channel, reason } => {
                self.forget_room_if_over();
                closed_by_us(channel, &reason)
            }
            Item::Refused { re, error } => {
                self.forget_room_if_over();
                return Message::text(refusal(re, &error));
            }
        };
        Message::text(message.to_text())
    }

    /// What ended may be the room before.
    fn forget_room_if_over(&mut self) {
        self.room.take_if(|room| room.is_over());
    }

    fn to_matcher(&self, kind: &str, text: &str) -> Result<(), ErrorMessage> {
        Self::forward(&self.matcher, "the matcher", kind, text)
    }

    fn to_room(&self, kind: &str, text: &str) -> Result<(), ErrorMessage> {
        let Some(room) = self.own_room().filter(|room| !room.is_over()) else {
            let text = "you are in no room; join one first";
            return Err(ErrorMessage::new(ErrorCode::NotInRoom, text).re(kind));
        };
        Self::forward(room, "the room's node", kind, text)
    }

    fn forward(to: &Binding, name: &str, kind: &str, text: &str) -> Result<(), ErrorMessage> {
        if text.len() > MAX_FORWARDED {
            let text = format!("a {kind} has at most {MAX_FORWARDED} bytes");
            return Err(ErrorMessage::new(ErrorCode::BadMessage, text).re(kind));
        }
        to.text(text.to_owned()).map_err(|error| match error {
            SendError::Homeless => out_of_reach(kind),
            SendError::Full => {
                let text = format!("{name} is overloaded; try again");
                ErrorMessage::new(ErrorCode::Unavailable, text)
                    .re(kind)
                    .retry_after_ms(500)
            }
        })
    }

    fn leave_room(&mut self, for_good: bool) {
        if let Some(room) = self.room.take() {
            room.end(for_good);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.leave_room(false);
        self.matcher.end(false);
        self.edge.meters.sessions.decrement(1);
    }
}

fn attach_request(
    claim: Claim,
    identity: &Identity,
    have: Option<Position>,
    room: Option<RoomId>,
) -> AttachRequest {
    AttachRequest {
        claim,
        player: identity.player,
        name: identity.name.clone(),
        bot: identity.bot,
        rating: identity.rating,
        deviation: 0,
        mode: have.map_or(Attach::Fresh, Attach::Resume),
        room,
        watch: None,
    }
}

/// The origin's error, with the message that it answers.
fn refusal(re: &str, error: &str) -> String {
    let error = serde_json::from_str::<ErrorMessage>(error).unwrap_or_else(|_| {
        ErrorMessage::new(
            ErrorCode::Internal,
            "refused without a reason that can be read",
        )
    });
    ServerMessage::Error(error.re(re)).to_text()
}
