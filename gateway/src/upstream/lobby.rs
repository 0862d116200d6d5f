//! Where channels without a home wait until the router takes them in.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use engine::Incarnation;
use parking_lot::Mutex;
use protocol::id::{Channel, NodeId, SessionId};
use protocol::time::Timestamp;
use tokio::sync::Notify;

use super::binding::Binding;

/// A place to wait. Bounded by what waits: each channel of a connection has one place.
#[derive(Debug, Default)]
pub(crate) struct Lobby {
    waiting: Mutex<BTreeMap<Seat, Newcomer>>,
    wake: Notify,
}

/// Names a channel of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    pub(crate) session: SessionId,
    pub(crate) channel: Channel,
    pub(crate) attempt: u32,
}

/// A channel that has just lost its home, or has had none yet.
#[derive(Debug)]
pub(crate) struct Newcomer {
    pub(crate) binding: Arc<Binding>,
    pub(crate) spell: Spell,
    pub(crate) cause: Cause,
}

/// Why a channel has no home.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The client has just asked for it.
    Asked,
    /// The node's queue takes nothing.
    Full,
    /// The link to its node broke; what clients are told of that.
    Lost(&'static str),
    /// Its node says that the room is elsewhere, and perhaps where.
    Moved(Option<Incarnation>),
    /// The node that was asked knows no such room.
    Unknown(Incarnation),
    /// Another matcher is to have the player.
    Rehomed,
}

/// A search for a home: from when a channel has none until a node answers its attach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spell {
    /// When it began.
    pub(crate) since: Option<Timestamp>,
    /// How often a node was tried that turned out not to have the room.
    pub(crate) bounces: u32,
    /// The last of these that did not say where the room is.
    pub(crate) refused: Option<Refused>,
    /// Of a room that is watched: the nodes that cannot show it.
    pub(crate) without: Vec<NodeId>,
    /// Whether the client knows.
    pub(crate) told: bool,
}

/// A node that did not know the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) by: Incarnation,
    /// When it said so, for the first and the last time on end.
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
}

impl Spell {
    /// A node did not know the room.
    pub(crate) fn refuse(&mut self, now: Timestamp, by: Incarnation) {
        let before = self.refused.take().filter(|before| before.by == by);
        let first = before.map_or(now, |before| before.first);
        let last = now;
        self.refused = Some(Refused { by, first, last });
    }
}

impl Seat {
    pub(crate) fn of(binding: &Binding) -> Self {
        Self {
            session: binding.session(),
            channel: binding.channel(),
            attempt: binding.attempt(),
        }
    }
}

impl Lobby {
    /// Takes a channel in. Of two of one connection, the one that it has given up gives way.
    pub(crate) fn enter(&self, newcomer: Newcomer) {
        let mut waiting = self.waiting.lock();
        match waiting.entry(Seat::of(&newcomer.binding)) {
            Entry::Occupied(_) if newcomer.binding.is_over() => return,
            Entry::Occupied(mut entry) => drop(entry.insert(newcomer)),
            Entry::Vacant(entry) => drop(entry.insert(newcomer)),
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Everybody who waits, by session.
    pub(crate) fn take(&self) -> BTreeMap<Seat, Newcomer> {
        std::mem::take(&mut self.waiting.lock())
    }

    /// Something changed that the router has to know.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until somebody entered, or [`Self::wake`] was called. Cancel safe.
    pub(crate) async fn woken(&self) {
        self.wake.notified().await;
    }
}
