//! From one node's stream to the outboxes of the connections here.
//!
//! What names a connection reaches that one only: the session may have come by a later one while
//! the item was under way.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use metrics::counter;
use protocol::close::CloseCode;
use protocol::id::{Channel, Epoch, Offset, Position, SessionId};
use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;

use crate::outbox::{Item, Outbox};
use crate::registry::Registry;

/// What the link has to remember of a delivery.
pub(super) enum Delivered {
    Done,
    /// The node answered a connection's attach.
    Attached(Addressee),
    /// A connection has nothing more to do with the node.
    Over(Addressee),
}

/// The connection that an item is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addressee {
    pub(super) session: SessionId,
    attempt: u32,
}

impl Addressee {
    fn new(session: u64, attempt: u32) -> Self {
        let session = SessionId(session);
        Self { session, attempt }
    }

    /// Whether it is the session's connection `attempt`. A node of the release before this one
    /// names none, and means whichever there is.
    pub(super) fn is(self, attempt: u32) -> bool {
        self.attempt == 0 || self.attempt == attempt
    }

    fn find(self, registry: &Registry) -> Option<Arc<Outbox>> {
        match self.attempt {
            0 => registry.find(self.session),
            attempt => registry.find_attempt(self.session, attempt),
        }
    }
}

pub(super) fn deliver(registry: &Registry, channel: Channel, item: FromItem) -> Delivered {
    match item {
        FromItem::Fanout(fanout) => fan_out(registry, &fanout),
        FromItem::Event(event) => {
            to(registry, event.session, |outbox| {
                // The frame is a slice of the whole batch, which would stay for as long as a slow
                // reader leaves it waiting.
                let frame = Bytes::copy_from_slice(&event.frame);
                outbox.of_channel(channel, Item::Binary(frame));
            });
        }
        FromItem::Text(text) => {
            to(registry, text.session, |outbox| {
                if text.droppable {
                    outbox.droppable(channel, text.text);
                } else {
                    outbox.of_channel(channel, Item::Text(text.text));
                }
            });
        }
        FromItem::Attached(attached) => return attach(registry, channel, attached),
        FromItem::Refused(refused) => {
            let whose = Addressee::new(refused.session, refused.attempt);
            if let Some(outbox) = whose.find(registry) {
                let error = refused.error;
                outbox.reliable(Item::Refused { channel, error });
            }
            return Delivered::Over(whose);
        }
        FromItem::Closed(closed) => return close(registry, channel, closed),
        FromItem::Hello(hello) => {
            tracing::info!(
                node = hello.node,
                generation = hello.generation,
                "node says hello"
            );
        }
        FromItem::Beat(_) | FromItem::Moved(_) => {}
    }
    Delivered::Done
}

fn attach(registry: &Registry, channel: Channel, attached: pb::Attached) -> Delivered {
    let position = Position {
        epoch: Epoch(attached.epoch),
        offset: Offset(attached.offset),
    };
    let whose = Addressee::new(attached.session, attached.attempt);
    if let Some(outbox) = whose.find(registry) {
        outbox.reliable(Item::Attached {
            channel,
            position,
            recovered: attached.recovered,
            state: attached.state,
        });
    }
    Delivered::Attached(whose)
}

fn close(registry: &Registry, channel: Channel, closed: pb::Closed) -> Delivered {
    let whose = Addressee::new(closed.session, closed.attempt);
    if let Some(outbox) = whose.find(registry) {
        let code = CloseCode::ALL
            .into_iter()
            .find(|code| u32::from(code.code()) == closed.code);
        match code {
            Some(code) => outbox.close(code),
            None if closed.code != 0 => outbox.close(CloseCode::Unavailable),
            None => outbox.reliable(Item::Closed {
                channel,
                reason: closed.reason,
            }),
        }
    }
    Delivered::Over(whose)
}

fn fan_out(registry: &Registry, fanout: &pb::Fanout) {
    let mut coalesced = 0;
    for target in &fanout.targets {
        to(registry, target.session, |outbox: &Outbox| {
            coalesced += u64::from(outbox.snapshot(join(&target.head, &fanout.body)));
        });
    }
    if coalesced > 0 {
        counter!("gateway_snapshots_coalesced_total").increment(coalesced);
    }
}

fn join(head: &Bytes, body: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(head.len() + body.len());
    frame.put_slice(head);
    frame.put_slice(body);
    frame.freeze()
}

/// What is meant for a session that is not here any more is dropped: the origin's log has it.
fn to(registry: &Registry, session: u64, deliver: impl FnOnce(&Outbox)) {
    if let Some(outbox) = registry.find(SessionId(session)) {
        deliver(&outbox);
    }
}
