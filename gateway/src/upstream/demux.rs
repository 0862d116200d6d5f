//! From one node's stream to the outboxes of the connections here.

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
    /// The node answered the session's attach.
    Attached(SessionId),
    /// The session has nothing more to do with the node.
    Over(SessionId),
}

pub(super) fn deliver(registry: &Registry, channel: Channel, item: FromItem) -> Delivered {
    match item {
        FromItem::Fanout(fanout) => fan_out(registry, &fanout),
        FromItem::Event(event) => {
            to(registry, event.session, |outbox| {
                // The frame is a slice of the whole batch, which would stay for as long as a slow
                // reader leaves it waiting.
                outbox.reliable(Item::Binary(Bytes::copy_from_slice(&event.frame)))
            });
        }
        FromItem::Text(text) => {
            // The only texts that an origin sends by itself are queue states, which age at once;
            // answers to requests are errors.
            let is_error = text.text.starts_with("{\"t\":\"error\"");
            to(registry, text.session, |outbox| {
                if is_error {
                    outbox.reliable(Item::Text(text.text));
                } else {
                    outbox.droppable(text.text);
                }
            });
        }
        FromItem::Attached(attached) => return attach(registry, channel, attached),
        FromItem::Refused(refused) => {
            to(registry, refused.session, |outbox| {
                outbox.reliable(Item::Refused {
                    channel,
                    error: refused.error,
                });
            });
            return Delivered::Over(SessionId(refused.session));
        }
        FromItem::Closed(closed) => return close(registry, channel, closed),
        FromItem::Hello(hello) => {
            tracing::info!(
                node = hello.node,
                generation = hello.generation,
                "node says hello"
            );
        }
        FromItem::Beat(_) => {}
    }
    Delivered::Done
}

fn attach(registry: &Registry, channel: Channel, attached: pb::Attached) -> Delivered {
    let position = Position {
        epoch: Epoch(attached.epoch),
        offset: Offset(attached.offset),
    };
    let (recovered, state) = (attached.recovered, attached.state);
    to(registry, attached.session, |outbox| {
        outbox.reliable(Item::Attached {
            channel,
            position,
            recovered,
            state,
        });
    });
    Delivered::Attached(SessionId(attached.session))
}

fn close(registry: &Registry, channel: Channel, closed: pb::Closed) -> Delivered {
    to(registry, closed.session, |outbox| {
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
    });
    Delivered::Over(SessionId(closed.session))
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
