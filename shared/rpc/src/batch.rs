//! What an origin sends to one gateway, gathered into one message.
//!
//! What answers an attach, and what ends it, names the connection that it is about by the attempt
//! of its claim: a session may have come by a later one since, to the same gateway.

use bytes::Bytes;
use protocol::close::CloseCode;
use protocol::control::ErrorMessage;
use protocol::frame::{Event, SnapshotHead};
use protocol::id::SessionId;
use protocol::log::Attached;

use crate::pb;
use crate::pb::from_origin_item::Item;

/// Items for one gateway, in order.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<pb::FromOriginItem>,
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
        }));
    }

    /// The attach of the session's connection `attempt` is refused; the connection stays.
    pub fn refused(&mut self, session: SessionId, attempt: u32, error: &ErrorMessage) {
        let error = serde_json::to_string(error).expect("an error has string keys only");
        self.push(Item::Refused(pb::Refused {
            session: session.0,
            error,
            attempt,
        }));
    }

    /// A reliable event.
    pub fn event(&mut self, session: SessionId, event: &Event) {
        let frame = Bytes::from(event.encode());
        self.push(Item::Event(pb::Event {
            session: session.0,
            frame,
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
        self.push(Item::Fanout(pb::Fanout { body, targets }));
    }

    /// A control message.
    pub fn text(&mut self, session: SessionId, text: String) {
        let session = session.0;
        self.push(Item::Text(pb::ServerText {
            session,
            text,
            droppable: false,
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
        }));
    }

    pub(crate) fn push(&mut self, item: Item) {
        self.items.push(pb::FromOriginItem { item: Some(item) });
    }

    pub(crate) fn into_message(self) -> pb::FromOrigin {
        pb::FromOrigin { items: self.items }
    }
}
