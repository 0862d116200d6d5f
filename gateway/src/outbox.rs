//! What waits for one client, in tiers.
//!
//! Snapshots coalesce to the newest. Droppable messages are dropped while anything waits.
//! Reliable messages are kept up to a byte limit; over it the client is closed with a code that
//! lets it resume, and what it missed comes from the origin's log.

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

    /// Queues something that must arrive.
    pub(crate) fn reliable(&self, item: Item) {
        {
            let mut tiers = self.tiers.lock();
            if tiers.close.is_some() {
                return;
            }
            if let Item::Attached {
                channel: Channel::Room,
                ..
            }
            | Item::Closed { .. } = &item
            {
                tiers.snapshot = None; // of a history that ends here
            }
            tiers.reliable_bytes += item.size();
            tiers.reliable.push_back(item);
            if tiers.reliable_bytes > self.limit {
                tiers.give_up(CloseCode::SlowConsumer);
            }
        }
        self.waker.wake();
    }

    /// Queues a message that may be dropped: only if nothing else waits.
    pub(crate) fn droppable(&self, text: String) {
        if self.tiers.lock().reliable.is_empty() {
            self.reliable(Item::Text(text));
        }
    }

    /// Queues a snapshot in place of an older one that still waits. Gives whether it did.
    pub(crate) fn snapshot(&self, frame: Bytes) -> bool {
        let coalesced = {
            let mut tiers = self.tiers.lock();
            tiers.close.is_none() && tiers.snapshot.replace(frame).is_some()
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

    #[test]
    fn snapshots_coalesce_to_the_newest() {
        let outbox = Outbox::new(1_000);
        assert!(!outbox.snapshot(Bytes::from_static(b"old")));
        assert!(outbox.snapshot(Bytes::from_static(b"new")));
        assert!(matches!(outbox.next(), Some(Next::Snapshot(frame)) if &frame[..] == b"new"));
        assert!(outbox.next().is_none());
    }

    #[test]
    fn reliable_messages_go_before_snapshots_and_in_order() {
        let outbox = Outbox::new(1_000);
        outbox.snapshot(Bytes::from_static(b"s"));
        outbox.reliable(Item::Text("1".to_owned()));
        outbox.reliable(Item::Text("2".to_owned()));
        outbox.droppable("dropped".to_owned());
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
        let outbox = Outbox::new(1_000);
        outbox.snapshot(Bytes::from_static(b"old room"));
        let position = Position {
            epoch: protocol::id::Epoch(1),
            offset: protocol::id::Offset(0),
        };
        let state = "{}".to_owned();
        let channel = Channel::Room;
        outbox.reliable(Item::Attached {
            channel,
            position,
            recovered: false,
            state,
        });
        assert!(matches!(
            outbox.next(),
            Some(Next::Item(Item::Attached { .. }))
        ));
        assert!(outbox.next().is_none());
    }
}
