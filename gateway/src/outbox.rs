//! What waits for one client, in tiers.
//!
//! Snapshots coalesce to the newest. Droppable messages are dropped while anything waits.
//! Reliable messages are kept up to a byte limit; over it the client is closed with a code that
//! lets it resume, and what it missed comes from the origin's log.
//!
//! What an origin says of a channel passes only if it comes by the link, and is of the room, that
//! the connection attaches to now: a node that had the room before, and woke up, is not heard.
//!
//! Of that, events, snapshots and texts pass only after the origin answered this connection's
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
use protocol::id::{Channel, Position, RoomId};

/// Bytes that an item takes beside its payload, for the limit.
const OVERHEAD: usize = 64;

/// Names a link of this process. A node that is linked anew as another incarnation, or at another
/// address, has another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LinkId(pub(crate) u64);

/// Where an item of a channel comes from, or is expected from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) link: LinkId,
    pub(crate) channel: Channel,
    /// Not every origin names the room.
    pub(crate) room: Option<RoomId>,
}

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
    /// An attach was refused, which `re` asked for; the text is the `error` message.
    Refused { re: &'static str, error: String },
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
    /// By channel: whom to hear, if anybody.
    heard: [Option<Heard>; Channel::COUNT],
    close: Option<CloseCode>,
}

/// Whom the connection hears on a channel.
#[derive(Debug, Clone, Copy)]
struct Heard {
    link: LinkId,
    room: Option<RoomId>,
    /// Whether the attach was answered.
    answered: bool,
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
    /// the answer, and nothing but what comes from there.
    pub(crate) fn expect_answer(&self, from: Source) {
        self.tiers.lock().hear(
            from.channel,
            Some(Heard {
                link: from.link,
                room: from.room,
                answered: false,
            }),
        );
    }

    /// The connection is attached nowhere: nothing of the channel passes.
    pub(crate) fn expect_nothing(&self, channel: Channel) {
        self.tiers.lock().hear(channel, None);
    }

    /// Queues something of the gateway's own.
    pub(crate) fn reliable(&self, item: Item) {
        self.tiers.lock().push(item, self.limit);
        self.waker.wake();
    }

    /// Queues the answer to an attach, from when on events, snapshots and texts pass. Gives
    /// whether it was expected from there.
    pub(crate) fn answer(&self, from: Source, item: Item) -> bool {
        self.decide(from, item, true)
    }

    /// Queues the end of a channel, after which nothing more of it passes. Gives whether the
    /// channel is expected from there.
    pub(crate) fn end_channel(&self, from: Source, item: Item) -> bool {
        self.decide(from, item, false)
    }

    fn decide(&self, from: Source, item: Item, stands: bool) -> bool {
        {
            let mut tiers = self.tiers.lock();
            let Some(heard) = tiers.heard(from) else {
                return false;
            };
            let answered = Heard {
                answered: true,
                ..*heard
            };
            // What waits is of a history that ends here.
            tiers.hear(from.channel, stands.then_some(answered));
            tiers.push(item, self.limit);
        }
        self.waker.wake();
        true
    }

    /// Queues an event or a text of a channel's origin, to arrive if the channel stands.
    pub(crate) fn of_channel(&self, from: Source, item: Item) {
        {
            let mut tiers = self.tiers.lock();
            if !tiers.passes(from) {
                return;
            }
            tiers.push(item, self.limit);
        }
        self.waker.wake();
    }

    /// Queues a text of a channel's origin that may be dropped: only if nothing else waits.
    pub(crate) fn droppable(&self, from: Source, text: String) {
        {
            let mut tiers = self.tiers.lock();
            if !tiers.passes(from) || !tiers.reliable.is_empty() {
                return;
            }
            tiers.push(Item::Text(text), self.limit);
        }
        self.waker.wake();
    }

    /// Queues a snapshot in place of an older one that still waits. Gives whether it did. `frame`
    /// is made only if it passes.
    pub(crate) fn snapshot(&self, from: Source, frame: impl FnOnce() -> Bytes) -> bool {
        let coalesced = {
            let mut tiers = self.tiers.lock();
            if !tiers.passes(from) {
                return false;
            }
            tiers.snapshot.replace(frame()).is_some()
        };
        self.waker.wake();
        coalesced
    }

    /// Ends the connection, if the origin that says so is the one that is heard.
    pub(crate) fn close_by(&self, from: Source, code: CloseCode) {
        let is_heard = self.tiers.lock().heard(from).is_some();
        if is_heard {
            self.close(code);
        }
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
        self.reliable_bytes += item.size();
        self.reliable.push_back(item);
        if self.reliable_bytes > limit {
            self.give_up(CloseCode::SlowConsumer);
        }
    }

    /// From here on these are heard, on a history that begins here.
    fn hear(&mut self, channel: Channel, heard: Option<Heard>) {
        if self.close.is_none() {
            self.heard[channel.index()] = heard;
        }
        if channel == Channel::Room {
            self.snapshot = None;
        }
    }

    /// Whether something from there counts.
    fn heard(&self, from: Source) -> Option<&Heard> {
        let heard = self.heard[from.channel.index()].as_ref()?;
        let other_room = |room| heard.room.is_some_and(|here| here != room);
        let counts = heard.link == from.link && !from.room.is_some_and(other_room);
        counts.then_some(heard)
    }

    /// Whether something from there, other than an answer, may go to the client.
    fn passes(&self, from: Source) -> bool {
        self.heard(from).is_some_and(|heard| heard.answered)
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

    const MATCHER: Source = Source {
        link: LinkId(1),
        channel: Channel::Match,
        room: None,
    };

    const ROOM: Source = Source {
        link: LinkId(2),
        channel: Channel::Room,
        room: Some(RoomId(5)),
    };

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

    fn event() -> Item {
        Item::Binary(Bytes::from_static(b"event"))
    }

    fn closed() -> Item {
        let (channel, reason) = (Channel::Room, "finished".to_owned());
        Item::Closed { channel, reason }
    }

    fn snapshot(outbox: &Outbox, frame: &'static [u8]) -> bool {
        outbox.snapshot(ROOM, || Bytes::from_static(frame))
    }

    fn heard(outbox: &Outbox) -> usize {
        std::iter::from_fn(|| outbox.next()).count()
    }

    /// Both channels stand, and the client has been told.
    fn open(limit: usize) -> Arc<Outbox> {
        let outbox = Outbox::new(limit);
        for from in [MATCHER, ROOM] {
            outbox.expect_answer(from);
            assert!(outbox.answer(from, attached(from.channel)));
        }
        heard(&outbox);
        outbox
    }

    #[test]
    fn what_was_meant_for_an_earlier_connection_does_not_pass() {
        let outbox = Outbox::new(1_000);
        let say_all = || {
            outbox.of_channel(ROOM, event());
            outbox.droppable(ROOM, "text".to_owned());
            snapshot(&outbox, b"snapshot");
        };
        say_all();
        outbox.expect_answer(MATCHER);
        outbox.expect_answer(ROOM);
        outbox.answer(MATCHER, attached(Channel::Match));
        say_all();
        assert_eq!(heard(&outbox), 1, "only that the match channel stands");
        outbox.answer(ROOM, attached(Channel::Room));
        say_all();
        assert_eq!(heard(&outbox), 3, "attached, event, snapshot");
        snapshot(&outbox, b"of the room before");
        outbox.expect_answer(ROOM);
        say_all();
        assert_eq!(heard(&outbox), 0);
    }

    #[test]
    fn a_node_that_had_the_room_before_is_not_heard() {
        let outbox = open(1_000);
        let woken = Source {
            link: LinkId(3),
            ..ROOM
        };
        outbox.of_channel(woken, event());
        assert!(!outbox.snapshot(woken, Bytes::new));
        assert!(!outbox.answer(woken, attached(Channel::Room)));
        assert!(!outbox.end_channel(woken, closed()));
        outbox.close_by(woken, CloseCode::Replaced);
        assert_eq!((heard(&outbox), outbox.closed()), (0, None));
        outbox.of_channel(ROOM, event());
        assert_eq!(heard(&outbox), 1, "the channel stands as it did");
    }

    #[test]
    fn what_the_same_node_says_of_the_room_before_does_not_pass() {
        let outbox = open(1_000);
        let next = Source {
            room: Some(RoomId(6)),
            ..ROOM
        };
        outbox.expect_answer(next);
        assert!(!outbox.answer(ROOM, attached(Channel::Room)));
        assert!(outbox.answer(next, attached(Channel::Room)));
        outbox.of_channel(ROOM, event());
        assert!(!outbox.end_channel(ROOM, closed()));
        assert_eq!(heard(&outbox), 1);
        // Of an origin that names no room, any item may be meant.
        let unnamed = Source { room: None, ..ROOM };
        outbox.of_channel(unnamed, event());
        assert_eq!(heard(&outbox), 1);
    }

    #[test]
    fn without_a_home_nothing_passes() {
        let outbox = open(1_000);
        snapshot(&outbox, b"old");
        outbox.expect_nothing(Channel::Room);
        outbox.of_channel(ROOM, event());
        assert!(!outbox.end_channel(ROOM, closed()));
        assert_eq!(heard(&outbox), 0);
    }

    #[test]
    fn snapshots_coalesce_to_the_newest() {
        let outbox = open(1_000);
        assert!(!snapshot(&outbox, b"old"));
        assert!(snapshot(&outbox, b"new"));
        assert!(matches!(outbox.next(), Some(Next::Snapshot(frame)) if &frame[..] == b"new"));
        assert!(outbox.next().is_none());
    }

    #[test]
    fn reliable_messages_go_before_snapshots_and_in_order() {
        let outbox = open(1_000);
        snapshot(&outbox, b"s");
        outbox.reliable(Item::Text("1".to_owned()));
        outbox.reliable(Item::Text("2".to_owned()));
        outbox.droppable(MATCHER, "dropped".to_owned());
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
        snapshot(&outbox, b"old room");
        outbox.answer(ROOM, attached(Channel::Room));
        assert!(matches!(
            outbox.next(),
            Some(Next::Item(Item::Attached { .. }))
        ));
        assert!(outbox.next().is_none());
    }
}
