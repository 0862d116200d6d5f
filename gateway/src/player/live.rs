//! A logged-in connection: which channels it has, and what goes where.

use std::sync::Arc;

use bytes::Bytes;
use protocol::attach::Claim;
use protocol::control::{
    ChannelAttached, ChannelLost, ClientMessage, ErrorCode, ErrorMessage, RoomJoin, ServerMessage,
};
use protocol::frame::Ack;
use protocol::id::{Channel, Position};
use protocol::log::Attach;
use rpc::inbound::AttachRequest;
use rpc::token::{Identity, RoomTicket};
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::protocol::Message;

use super::closed_by_us;
use crate::edge::Edge;
use crate::outbox::Item;
use crate::registry::Registration;
use crate::upstream::{NodeLink, QueueFull};

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
    room: Option<NodeLink>,
}

impl Live {
    pub(super) fn new(
        edge: Arc<Edge>,
        registration: Registration,
        claim: Claim,
        identity: Identity,
    ) -> Self {
        edge.meters.sessions.increment(1);
        Self {
            edge,
            registration,
            claim,
            identity,
            room: None,
        }
    }

    pub(super) fn is_in_room(&self) -> bool {
        self.room.is_some()
    }

    pub(super) fn attach_matcher(
        &self,
        edge: &Edge,
        have: Option<Position>,
    ) -> Result<(), QueueFull> {
        edge.upstream
            .matcher
            .attach(self.attach_request(have, None))
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
        let Some(node) = edge.upstream.room(&ticket.node) else {
            let text = format!(
                "the room's node {} is not part of this deployment",
                ticket.node
            );
            return refuse(ErrorCode::RoomUnknown, text);
        };
        self.registration.outbox().expect_answer(Channel::Room);
        self.leave_node(false);
        if node
            .attach(self.attach_request(have, Some(ticket.room)))
            .is_err()
        {
            let text = "the room's node is overloaded; try again";
            let error = ErrorMessage::new(ErrorCode::Unavailable, text).re("room.join");
            return Err(error.retry_after_ms(500));
        }
        self.room = Some(node.clone());
        Ok(())
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
                self.registration.outbox().expect_answer(Channel::Room);
                self.leave_node(true);
                self.to_matcher(edge, "room.leave", text)
            }
            ClientMessage::RoomSay(_) => self.to_room("room.say", text),
            ClientMessage::QueueJoin(_) => self.to_matcher(edge, "queue.join", text),
            ClientMessage::QueueLeave(_) => self.to_matcher(edge, "queue.leave", text),
            ClientMessage::Hello(_) => Ok(()), // the caller has answered it
        }
    }

    /// Passes a checked input frame on. Without a room it is late, and the room has reported it.
    pub(super) fn input(&self, frame: Bytes) {
        if let Some(node) = &self.room {
            node.input(self.claim.session, frame);
        }
    }

    pub(super) fn acked(&self, edge: &Edge, ack: Ack) {
        match (ack.channel, &self.room) {
            (Channel::Match, _) => edge.upstream.matcher.ack(self.claim.session, ack),
            (Channel::Room, Some(node)) => node.ack(self.claim.session, ack),
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
                self.channel_over(channel);
                closed_by_us(channel, &reason)
            }
            Item::Refused { channel, error } => {
                self.channel_over(channel);
                return Message::text(refusal(channel, &error));
            }
        };
        Message::text(message.to_text())
    }

    fn channel_over(&mut self, channel: Channel) {
        if channel == Channel::Room {
            self.room = None;
        }
    }

    fn to_matcher(&self, edge: &Edge, kind: &str, text: &str) -> Result<(), ErrorMessage> {
        self.forward(&edge.upstream.matcher, "the matcher", kind, text)
    }

    fn to_room(&self, kind: &str, text: &str) -> Result<(), ErrorMessage> {
        let Some(node) = &self.room else {
            let text = "you are in no room; join one first";
            return Err(ErrorMessage::new(ErrorCode::NotInRoom, text).re(kind));
        };
        self.forward(node, "the room's node", kind, text)
    }

    fn forward(
        &self,
        origin: &NodeLink,
        name: &str,
        kind: &str,
        text: &str,
    ) -> Result<(), ErrorMessage> {
        if text.len() > MAX_FORWARDED {
            let text = format!("a {kind} has at most {MAX_FORWARDED} bytes");
            return Err(ErrorMessage::new(ErrorCode::BadMessage, text).re(kind));
        }
        let sent = origin.text(self.claim.session, text.to_owned());
        sent.map_err(|_: QueueFull| {
            let text = format!("{name} is overloaded; try again");
            ErrorMessage::new(ErrorCode::Unavailable, text)
                .re(kind)
                .retry_after_ms(500)
        })
    }

    fn leave_node(&mut self, for_good: bool) {
        if let Some(node) = self.room.take() {
            node.detach(self.claim.session, self.claim.attempt, for_good);
        }
    }

    fn attach_request(
        &self,
        have: Option<Position>,
        room: Option<protocol::id::RoomId>,
    ) -> AttachRequest {
        AttachRequest {
            claim: self.claim,
            player: self.identity.player,
            name: self.identity.name.clone(),
            bot: self.identity.bot,
            rating: self.identity.rating,
            mode: have.map_or(Attach::Fresh, Attach::Resume),
            room,
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.leave_node(false);
        self.edge
            .upstream
            .matcher
            .detach(self.claim.session, self.claim.attempt, false);
        self.edge.meters.sessions.decrement(1);
    }
}

/// The origin's error, with the message that it answers.
fn refusal(channel: Channel, error: &str) -> String {
    let error = serde_json::from_str::<ErrorMessage>(error).unwrap_or_else(|_| {
        ErrorMessage::new(
            ErrorCode::Internal,
            "refused without a reason that can be read",
        )
    });
    let error = match channel {
        Channel::Room => error.re("room.join"),
        Channel::Match => error.re("hello"),
    };
    ServerMessage::Error(error).to_text()
}
