//! What waits for one client, in tiers.
//!
//! Snapshots coalesce to the newest. Droppable messages are dropped while anything waits.
//! Reliable messages are kept up to a byte limit; over it the client is closed with a code that
//! lets it resume, and what it missed comes from the origin's log.
//!
//! Events, snapshots and texts of a channel pass only after the origin answered this connection's
//! attach. What comes before was sent to an earlier connection of the session: a client that got
//! it would acknowledge it, and the answer to what it said it has would be too old. Nothing is
//! lost: an attach makes the origin send again all that is not acknowledged.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use protocol::close::CloseCode;
use protocol::id::{Channel, Position};

/// Bytes that an item takes beside its payload, for the limit.
const OVERHEAD: usize = 64;

/// Something for one connection.
#[derive(Debug)]
pub(crate) enum Item {
    /// A binary frame, reliable.
    Binary(Bytes),
    /// A control message, reliable.
    Text(String),
    /// A channel stands.
    Attached {
        channel: Channel,
        position: Position,
        recovered: bool,
        state: String,
    },
    /// A channel's origin cannot be reached.
    Lost {
        channel: Channel,
        reason: &'static str,
    },
    /// A channel is over.
    Closed { channel: Channel, reason: String },
    /// An attach was refused; the text is the `error` message.
    Refused { channel: Channel, error: String },
}

/// The tiers of one connection, filled by the node links and drained by the connection.
#[derive(Debug)]
pub(crate) struct Outbox {
    tiers: Mutex<Tiers>,
    waker: AtomicWaker,
    limit: usize,
}

#[derive(Debug, Default)]
struct Tiers {
    reliable: VecDeque<Item>,
    reliable_bytes: usize,
    snapshot: Option<Bytes>,
    /// By channel: whether the attach was answered, so that what the origin says may pass.
    answered: [bool; Channel::COUNT],
    close: Option<CloseCode>,
}

/// What a connection does next.
#[derive(Debug)]
pub(crate) enum Next {
    /// Handle this.
    Item(Item),
    /// Send this snapshot.
    Snapshot(Bytes),
}

impl Outbox {
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            tiers: Mutex::default(),
            waker: AtomicWaker::new(),
            limit,
        })
    }

    /// The connection attaches to a channel, perhaps anew: nothing of the channel passes before
    /// the answer.
    pub(crate) fn expect_answer(&self, channel: Channel) {
        self.tiers.lock().shut(channel);
    }

    /// Queues something that must arrive.
    pub(crate) fn reliable(&self, item: Item) {
        self.tiers.lock().push(item, self.limit);
        self.waker.wake();
    }

    /// Queues an event or a text of a channel's origin, to arrive if the channel stands.
    pub(crate) fn of_channel(&self, channel: Channel, item: Item) {
        {
            let mut tiers = self.tiers.lock();
            if !tiers.answered[channel.index()] {
                return;
            }
            tiers.push(item, self.limit);
        }
        self.waker.wake();
    }

    /// Queues a text of a channel's origin that may be dropped: only if nothing else waits.
    pub(crate) fn droppable(&self, channel: Channel, text: String) {
        {
            let mut tiers = self.tiers.lock();
            if !tiers.answered[channel.index()] || !tiers.reliable.is_empty() {
                return;
            }
            tiers.push(Item::Text(text), self.limit);
        }
        self.waker.wake();
    }

    /// Queues a snapshot in place of an older one that still waits. Gives whether it did.
    pub(crate) fn snapshot(&self, frame: Bytes) -> bool {
        let coalesced = {
            let mut tiers = self.tiers.lock();
            if !tiers.answered[Channel::Room.index()] {
                return false;
            }
            tiers.snapshot.replace(frame).is_some()
        };
        self.waker.wake();
        coalesced
    }

    /// Ends the connection. The first code counts; what still waits is dropped.
    pub(crate) fn close(&self, code: CloseCode) {
        {
            let mut tiers = self.tiers.lock();
            if tiers.close.is_none() {
                tiers.give_up(code);
            }
        }
        self.waker.wake();
    }

    /// Whether the connection is to end, and how.
    pub(crate) fn closed(&self) -> Option<CloseCode> {
        self.tiers.lock().close
    }

    /// Takes what comes next.
    pub(crate) fn next(&self) -> Option<Next> {
        let mut tiers = self.tiers.lock();
        if let Some(item) = tiers.reliable.pop_front() {
            tiers.reliable_bytes -= item.size();
            if tiers.reliable.is_empty() && tiers.reliable.capacity() > 16 {
                tiers.reliable = VecDeque::new();
            }
            return Some(Next::Item(item));
        }
        tiers.snapshot.take().map(Next::Snapshot)
    }

    /// Wakes the task of `cx` when something is queued.
    pub(crate) fn register(&self, cx: &Context<'_>) {
        self.waker.register(cx.waker());
    }
}

impl Tiers {
    fn push(&mut self, item: Item, limit: usize) {
        if self.close.is_some() {
            return;
        }
        match &item {
            Item::Attached { channel, .. } => {
                self.shut(*channel); // what waits is of a history that ends here
                self.answered[channel.index()] = true;
            }
            Item::Closed { channel, .. } | Item::Refused { channel, .. } => self.shut(*channel),
            Item::Binary(_) | Item::Text(_) | Item::Lost { .. } => {}
        }
        self.reliable_bytes += item.size();
        self.reliable.push_back(item);
        if self.reliable_bytes > limit {
            self.give_up(CloseCode::SlowConsumer);
        }
    }

    /// Nothing more of the channel passes.
    fn shut(&mut self, channel: Channel) {
        self.answered[channel.index()] = false;
        if channel == Channel::Room {
            self.snapshot = None;
        }
    }

    /// A connection that ends has no channel that stands: nothing is queued any more.
    fn give_up(&mut self, code: CloseCode) {
        *self = Self {
            close: Some(code),
            ..Self::default()
        };
    }
}

impl Item {
    fn size(&self) -> usize {
        OVERHEAD
            + match self {
                Self::Binary(bytes) => bytes.len(),
                Self::Text(text) | Self::Refused { error: text, .. } => text.len(),
                Self::Attached { state, .. } => state.len(),
                Self::Closed { reason, .. } => reason.len(),
                Self::Lost { .. } => 0,
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attached(channel: Channel) -> Item {
        let position = Position {
            epoch: protocol::id::Epoch(1),
            offset: protocol::id::Offset(0),
        };
        Item::Attached {
            channel,
            position,
            recovered: false,
            state: "{}".to_owned(),
        }
    }

    /// Both channels stand, and the client has been told.
    fn open(limit: usize) -> Arc<Outbox> {
        let outbox = Outbox::new(limit);
        for channel in Channel::ALL {
            outbox.reliable(attached(channel));
        }
        while outbox.next().is_some() {}
        outbox
    }

    #[test]
    fn what_was_meant_for_an_earlier_connection_does_not_pass() {
        let outbox = Outbox::new(1_000);
        let event = || Item::Binary(Bytes::from_static(b"event"));
        let say_all = || {
            outbox.of_channel(Channel::Room, event());
            outbox.droppable(Channel::Room, "text".to_owned());
            outbox.snapshot(Bytes::from_static(b"snapshot"));
        };
        let heard = || std::iter::from_fn(|| outbox.next()).count();
        say_all();
        outbox.reliable(attached(Channel::Match));
        say_all();
        assert_eq!(heard(), 1, "only that the match channel stands");
        outbox.reliable(attached(Channel::Room));
        say_all();
        assert_eq!(heard(), 3, "attached, event, snapshot");
        outbox.snapshot(Bytes::from_static(b"of the room before"));
        outbox.expect_answer(Channel::Room);
        say_all();
        assert_eq!(heard(), 0);
    }

    #[test]
    fn snapshots_coalesce_to_the_newest() {
        let outbox = open(1_000);
        assert!(!outbox.snapshot(Bytes::from_static(b"old")));
        assert!(outbox.snapshot(Bytes::from_static(b"new")));
        assert!(matches!(outbox.next(), Some(Next::Snapshot(frame)) if &frame[..] == b"new"));
        assert!(outbox.next().is_none());
    }

    #[test]
    fn reliable_messages_go_before_snapshots_and_in_order() {
        let outbox = open(1_000);
        outbox.snapshot(Bytes::from_static(b"s"));
        outbox.reliable(Item::Text("1".to_owned()));
        outbox.reliable(Item::Text("2".to_owned()));
        outbox.droppable(Channel::Match, "dropped".to_owned());
        let order: Vec<String> = std::iter::from_fn(|| outbox.next())
            .map(|next| match next {
                Next::Item(Item::Text(text)) => text,
                Next::Snapshot(_) => "s".to_owned(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(order, ["1", "2", "s"]);
    }

    #[test]
    fn over_the_byte_limit_the_client_is_closed_so_that_it_can_resume() {
        let outbox = Outbox::new(500);
        (0..10).for_each(|_| outbox.reliable(Item::Binary(Bytes::from(vec![0; 100]))));
        assert_eq!(outbox.closed(), Some(CloseCode::SlowConsumer));
        assert!(outbox.next().is_none());
    }

    #[test]
    fn a_snapshot_of_an_older_attachment_is_not_sent() {
        let outbox = open(1_000);
        outbox.snapshot(Bytes::from_static(b"old room"));
        outbox.reliable(attached(Channel::Room));
        assert!(matches!(
            outbox.next(),
            Some(Next::Item(Item::Attached { .. }))
        ));
        assert!(outbox.next().is_none());
    }
}
