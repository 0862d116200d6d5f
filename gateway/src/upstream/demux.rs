//! From one node's stream to the outboxes of the connections that are attached by its link.
//!
//! What names a connection reaches that one only: the session may have come by a later one while
//! the item was under way. What names a room reaches who is attached to that room, and what comes
//! from a node that a connection is not attached to any more is dropped by its outbox.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use engine::Incarnation;
use metrics::counter;
use protocol::close::CloseCode;
use protocol::control::{ErrorCode, ErrorMessage};
use protocol::id::{Channel, Epoch, Generation, NodeId, Offset, Position, RoomId, SessionId};
use rpc::pb;
use rpc::pb::from_origin_item::Item as FromItem;

use super::binding::Binding;
use crate::outbox::{Item, LinkId, Source};

/// Who is attached by a link, or about to be.
#[derive(Debug)]
pub(super) struct Attached {
    link: LinkId,
    channel: Channel,
    /// Whether a room that a node does not know may be elsewhere.
    rooms_move: bool,
    bindings: HashMap<SessionId, Arc<Binding>>,
}

/// What the link has to do about an item.
#[derive(Debug)]
pub(super) enum Delivered {
    Done,
    /// The room is not at the node any more, and perhaps where it is.
    Moved(Arc<Binding>, Option<Incarnation>),
    /// The node knows no such room.
    Unknown(Arc<Binding>),
}

/// Of whom an item is.
#[derive(Debug, Clone, Copy)]
struct Addressee {
    session: u64,
    /// 0 from an origin that names none, and means whichever there is.
    attempt: u32,
    /// 0 likewise.
    room: u64,
}

impl Attached {
    pub(super) fn new(link: LinkId, channel: Channel, rooms_move: bool) -> Self {
        Self {
            link,
            channel,
            rooms_move,
            bindings: HashMap::new(),
        }
    }

    /// Everybody, who is here no more.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Arc<Binding>> {
        std::mem::take(&mut self.bindings).into_values()
    }

    /// Those that `is_gone` picks, who are here no more.
    pub(super) fn take_if(&mut self, is_gone: impl Fn(&Binding) -> bool) -> Vec<Arc<Binding>> {
        let gone = self.bindings.extract_if(|_, binding| is_gone(binding));
        gone.map(|(_, binding)| binding).collect()
    }

    /// The rooms of those who are here.
    pub(super) fn rooms(&self) -> BTreeSet<RoomId> {
        let bindings = self.bindings.values();
        bindings.filter_map(|binding| binding.room()).collect()
    }

    /// An earlier connection's attach can come into the queue after a later one's.
    pub(super) fn insert(&mut self, binding: Arc<Binding>) {
        let later = self.bindings.get(&binding.session());
        if later.is_none_or(|later| later.attempt() <= binding.attempt()) {
            self.bindings.insert(binding.session(), binding);
        }
    }

    pub(super) fn remove(&mut self, session: SessionId, attempt: u32) {
        let current = self.bindings.get(&session);
        if current.is_some_and(|binding| binding.attempt() == attempt) {
            self.bindings.remove(&session);
        }
    }

    /// Hands an item to whom it is for.
    pub(super) fn deliver(&mut self, item: FromItem) -> Delivered {
        match item {
            FromItem::Fanout(fanout) => self.fan_out(&fanout),
            FromItem::Event(event) => {
                if let Some(binding) = self.find(event.session) {
                    // The frame is a slice of the whole batch, which would stay for as long as a
                    // slow reader leaves it waiting.
                    let frame = Bytes::copy_from_slice(&event.frame);
                    let from = self.source(event.room);
                    binding.outbox().of_channel(from, Item::Binary(frame));
                }
            }
            FromItem::Text(text) => {
                if let Some(binding) = self.find(text.session) {
                    let from = self.source(text.room);
                    match text.droppable {
                        true => binding.outbox().droppable(from, text.text),
                        false => binding.outbox().of_channel(from, Item::Text(text.text)),
                    }
                }
            }
            FromItem::Attached(attached) => self.answer(attached),
            FromItem::Refused(refused) => return self.refuse(refused),
            FromItem::Closed(closed) => self.close(closed),
            FromItem::Moved(moved) => return self.moved(&moved),
            // Said once, when the stream began.
            FromItem::Hello(_) | FromItem::Beat(_) => {}
        }
        Delivered::Done
    }

    fn find(&self, session: u64) -> Option<&Arc<Binding>> {
        self.bindings.get(&SessionId(session))
    }

    fn addressed(&self, whose: Addressee) -> Option<&Arc<Binding>> {
        self.find(whose.session).filter(|binding| {
            (whose.attempt == 0 || whose.attempt == binding.attempt())
                && (whose.room == 0 || binding.room() == Some(RoomId(whose.room)))
        })
    }

    fn source(&self, room: u64) -> Source {
        Source {
            link: self.link,
            channel: self.channel,
            room: (room != 0).then_some(RoomId(room)),
        }
    }

    fn answer(&self, attached: pb::Attached) {
        let Some(binding) = self.addressed(Addressee {
            session: attached.session,
            attempt: attached.attempt,
            room: attached.room,
        }) else {
            return;
        };
        let position = Position {
            epoch: Epoch(attached.epoch),
            offset: Offset(attached.offset),
        };
        let item = Item::Attached {
            channel: self.channel,
            position,
            recovered: attached.recovered,
            state: attached.state,
        };
        if binding.outbox().answer(self.source(attached.room), item) {
            binding.set_answered(self.link);
        }
    }

    fn refuse(&mut self, refused: pb::Refused) -> Delivered {
        let Some(binding) = self.addressed(Addressee {
            session: refused.session,
            attempt: refused.attempt,
            room: refused.room,
        }) else {
            return Delivered::Done;
        };
        let binding = binding.clone();
        self.remove(binding.session(), binding.attempt());
        let may_be_elsewhere = self.rooms_move || binding.is_watch();
        if may_be_elsewhere && self.channel == Channel::Room && is_unknown(&refused.error) {
            return Delivered::Unknown(binding);
        }
        let item = Item::Refused {
            re: binding.asked_by(),
            error: refused.error,
        };
        if binding
            .outbox()
            .end_channel(self.source(refused.room), item)
        {
            binding.set_over();
        }
        Delivered::Done
    }

    fn close(&mut self, closed: pb::Closed) {
        let Some(binding) = self.addressed(Addressee {
            session: closed.session,
            attempt: closed.attempt,
            room: closed.room,
        }) else {
            return;
        };
        let binding = binding.clone();
        self.remove(binding.session(), binding.attempt());
        let from = self.source(closed.room);
        let code = CloseCode::ALL
            .into_iter()
            .find(|code| u32::from(code.code()) == closed.code);
        // The end of the connection makes the detach that the node waits for.
        match code {
            Some(code) => binding.outbox().close_by(from, code),
            None if closed.code != 0 => binding.outbox().close_by(from, CloseCode::Unavailable),
            None => {
                let (channel, reason) = (self.channel, closed.reason);
                let item = Item::Closed { channel, reason };
                if binding.outbox().end_channel(from, item) {
                    binding.set_over();
                }
            }
        }
    }

    fn moved(&mut self, moved: &pb::Moved) -> Delivered {
        let Some(binding) = self.addressed(Addressee {
            session: moved.session,
            attempt: moved.attempt,
            room: moved.room,
        }) else {
            return Delivered::Done;
        };
        let binding = binding.clone();
        self.remove(binding.session(), binding.attempt());
        // A name that cannot be read is as good as none: the placement has it.
        let to = moved.node.parse::<NodeId>().ok().map(|node| Incarnation {
            node,
            generation: Generation(moved.generation),
        });
        Delivered::Moved(binding, to)
    }

    fn fan_out(&self, fanout: &pb::Fanout) {
        let from = self.source(fanout.room);
        let mut coalesced = 0;
        for target in &fanout.targets {
            // What is meant for a session that is not here any more is dropped: the origin's log
            // has it.
            if let Some(binding) = self.find(target.session) {
                let frame = || join(&target.head, &fanout.body);
                coalesced += u64::from(binding.outbox().snapshot(from, frame));
            }
        }
        if coalesced > 0 {
            counter!("gateway_snapshots_coalesced_total").increment(coalesced);
        }
    }
}

fn is_unknown(error: &str) -> bool {
    serde_json::from_str::<ErrorMessage>(error)
        .is_ok_and(|error| error.code == ErrorCode::RoomUnknown)
}

fn join(head: &Bytes, body: &Bytes) -> Bytes {
    let mut frame = BytesMut::with_capacity(head.len() + body.len());
    frame.put_slice(head);
    frame.put_slice(body);
    frame.freeze()
}
