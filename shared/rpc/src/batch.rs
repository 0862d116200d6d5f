//! What an origin sends to one gateway, gathered into one message.
//!
//! What answers an attach, and what ends it, names the connection that it is about by the attempt
//! of its claim: a session may have come by a later one since, to the same gateway.

use bytes::Bytes;
use protocol::close::CloseCode;
use protocol::control::ErrorMessage;
use protocol::frame::{Event, SnapshotHead};
use protocol::id::{Generation, NodeId, RoomId, SessionId};
use protocol::log::Attached;

use crate::pb;
use crate::pb::from_origin_item::Item;

/// Items for one gateway, in order.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<pb::FromOriginItem>,
    /// The room that items are of; 0 where none is named.
    room: u64,
}

impl Batch {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether there is nothing to send.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Adds what another batch has, behind what is here.
    pub fn append(&mut self, mut other: Self) {
        self.items.append(&mut other.items);
    }

    /// What is added from here on is of `room`: a gateway drops it for connections that have gone
    /// on to another room.
    pub fn speak_of(&mut self, room: RoomId) {
        self.room = room.0;
    }

    /// The channel stands for the session's connection `attempt`; `state` is a JSON object for the
    /// client.
    pub fn attached(
        &mut self,
        session: SessionId,
        attempt: u32,
        attached: Attached,
        state: String,
    ) {
        self.push(Item::Attached(pb::Attached {
            session: session.0,
            epoch: attached.position.epoch.0,
            offset: attached.position.offset.0,
            recovered: attached.recovered,
            state,
            attempt,
            room: self.room,
        }));
    }

    /// The attach of the session's connection `attempt` is refused; the connection stays.
    pub fn refused(&mut self, session: SessionId, attempt: u32, error: &ErrorMessage) {
        let error = serde_json::to_string(error).expect("an error has string keys only");
        self.push(Item::Refused(pb::Refused {
            session: session.0,
            error,
            attempt,
            room: self.room,
        }));
    }

    /// A reliable event.
    pub fn event(&mut self, session: SessionId, event: &Event) {
        let frame = Bytes::from(event.encode());
        self.push(Item::Event(pb::Event {
            session: session.0,
            frame,
            room: self.room,
        }));
    }

    /// One snapshot body for many sessions.
    pub fn fanout(
        &mut self,
        body: Bytes,
        targets: impl IntoIterator<Item = (SessionId, SnapshotHead)>,
    ) {
        let targets = targets
            .into_iter()
            .map(|(session, head)| pb::Target {
                session: session.0,
                head: Bytes::from(head.encode()),
            })
            .collect();
        let room = self.room;
        self.push(Item::Fanout(pb::Fanout {
            body,
            targets,
            room,
        }));
    }

    /// One snapshot for many sessions, the head included.
    pub fn broadcast(
        &mut self,
        body: Bytes,
        head: &SnapshotHead,
        sessions: impl IntoIterator<Item = SessionId>,
    ) {
        let head = Bytes::from(head.encode());
        let target = |session: SessionId| pb::Target {
            session: session.0,
            head: head.clone(),
        };
        let targets = sessions.into_iter().map(target).collect();
        let room = self.room;
        self.push(Item::Fanout(pb::Fanout {
            body,
            targets,
            room,
        }));
    }

    /// A control message.
    pub fn text(&mut self, session: SessionId, text: String) {
        let session = session.0;
        self.push(Item::Text(pb::ServerText {
            session,
            text,
            droppable: false,
            room: self.room,
        }));
    }

    /// A control message that ages at once: it may be dropped while anything else waits for the
    /// client.
    pub fn droppable_text(&mut self, session: SessionId, text: String) {
        let session = session.0;
        self.push(Item::Text(pb::ServerText {
            session,
            text,
            droppable: true,
            room: self.room,
        }));
    }

    /// The channel is over for the session's connection `attempt`, which stays. `reason` is what
    /// `channel.closed` tells.
    pub fn close_channel(&mut self, session: SessionId, attempt: u32, reason: &str) {
        let reason = reason.to_owned();
        self.push(Item::Closed(pb::Closed {
            session: session.0,
            code: 0,
            reason,
            attempt,
            room: self.room,
        }));
    }

    /// The session's connection `attempt` is to be closed with `code`.
    pub fn close_connection(&mut self, session: SessionId, attempt: u32, code: CloseCode) {
        let reason = code.reason().to_owned();
        let code = u32::from(code.code());
        self.push(Item::Closed(pb::Closed {
            session: session.0,
            code,
            reason,
            attempt,
            room: self.room,
        }));
    }

    /// The room is not here any more for the session's connection `attempt`: it is at `to`, or,
    /// if that is not known, wherever its placement says.
    pub fn moved(
        &mut self,
        session: SessionId,
        attempt: u32,
        room: RoomId,
        to: Option<(&NodeId, Generation)>,
    ) {
        self.push(Item::Moved(pb::Moved {
            session: session.0,
            attempt,
            room: room.0,
            node: to.map_or_else(String::new, |(node, _)| node.to_string()),
            generation: to.map_or(0, |(_, generation)| generation.0),
        }));
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.items.push(pb::FromOriginItem { item: Some(item) });
    }

    pub(crate) fn into_message(self) -> pb::FromOrigin {
        pb::FromOrigin { items: self.items }
    }
}
