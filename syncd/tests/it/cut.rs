//! A shared store that nodes can be cut off from.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use bytes::Bytes;
use engine::{
    BoxFuture, Checkpoints, Engine, EngineError, Estate, Incarnation, JournalInfo, Journals,
    Leases, NodeKind, NodeRecord, Placement, Placements, Seal, Segment, Seq, Tapes, Written,
};
use protocol::id::{Generation, NodeId, RoomId, Tick};
use tokio::sync::watch;

/// A node's way to the store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Cable(Arc<AtomicU8>);

/// A strand of a cable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Leases = 1,
    Journals = 2,
    /// Where rooms are, but for claims.
    Placements = 4,
    Claims = 8,
    Tapes = 16,
}

impl Cable {
    /// Nothing gets through from now on.
    pub(crate) fn cut(&self) {
        self.0.store(u8::MAX, Ordering::Relaxed);
    }

    pub(crate) fn mend(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(crate) fn cut_part(&self, part: Part) {
        self.0.fetch_or(part as u8, Ordering::Relaxed);
    }

    pub(crate) fn mend_part(&self, part: Part) {
        self.0.fetch_and(!(part as u8), Ordering::Relaxed);
    }

    fn check(&self, part: Part) -> Result<(), EngineError> {
        match self.0.load(Ordering::Relaxed) & part as u8 {
            0 => Ok(()),
            _ => Err(EngineError::Deadline { operation: "test" }),
        }
    }

    /// The stores of `engine` at the end of this cable.
    pub(crate) fn to(&self, engine: &Engine) -> Engine {
        Engine {
            leases: Arc::new(Cut(self.clone(), engine.leases.clone())),
            placements: Arc::new(Cut(self.clone(), engine.placements.clone())),
            journals: Arc::new(Cut(self.clone(), engine.journals.clone())),
            tapes: Arc::new(Cut(self.clone(), engine.tapes.clone())),
            is_shared: true,
            ..engine.clone()
        }
    }
}

struct Cut<T: ?Sized>(Cable, Arc<T>);

macro_rules! through {
    ($self:ident, $part:ident, $call:expr) => {
        match $self.0.check(Part::$part) {
            Ok(()) => $call,
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    };
}

impl Leases for Cut<dyn Leases> {
    fn renew<'a>(
        &'a self,
        record: &'a NodeRecord,
        ttl: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        through!(self, Leases, self.1.renew(record, ttl))
    }

    fn withdraw<'a>(
        &'a self,
        kind: NodeKind,
        node: &'a NodeId,
        generation: Generation,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        through!(self, Leases, self.1.withdraw(kind, node, generation))
    }

    fn list(&self, kind: NodeKind) -> BoxFuture<'_, Result<Vec<NodeRecord>, EngineError>> {
        through!(self, Leases, self.1.list(kind))
    }

    fn watch(&self, kind: NodeKind) -> watch::Receiver<Arc<Vec<NodeRecord>>> {
        self.1.watch(kind)
    }
}

impl Placements for Cut<dyn Placements> {
    fn place<'a>(
        &'a self,
        room: RoomId,
        placement: &'a Placement,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        through!(self, Placements, self.1.place(room, placement))
    }

    fn claim<'a>(
        &'a self,
        room: RoomId,
        from: &'a Placement,
        to: &'a Placement,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        through!(self, Claims, self.1.claim(room, from, to))
    }

    fn find<'a>(
        &'a self,
        rooms: &'a [RoomId],
    ) -> BoxFuture<'a, Result<Vec<Option<Placement>>, EngineError>> {
        through!(self, Placements, self.1.find(rooms))
    }

    fn remove(
        &self,
        room: RoomId,
        generation: Generation,
    ) -> BoxFuture<'_, Result<(), EngineError>> {
        through!(self, Placements, self.1.remove(room, generation))
    }
}

impl Journals for Cut<dyn Journals> {
    fn open<'a>(
        &'a self,
        who: &'a Incarnation,
        after: Seq,
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        through!(self, Journals, self.1.open(who, after))
    }

    fn append<'a>(
        &'a self,
        who: &'a Incarnation,
        first: Seq,
        entries: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        through!(self, Journals, self.1.append(who, first, entries))
    }

    fn checkpoint<'a>(
        &'a self,
        who: &'a Incarnation,
        checkpoints: &'a Checkpoints,
    ) -> BoxFuture<'a, Result<Written, EngineError>> {
        through!(self, Journals, self.1.checkpoint(who, checkpoints))
    }

    fn seal<'a>(
        &'a self,
        who: &'a Incarnation,
        by: &'a Incarnation,
    ) -> BoxFuture<'a, Result<Option<Seal>, EngineError>> {
        through!(self, Journals, self.1.seal(who, by))
    }

    fn estate<'a>(&'a self, who: &'a Incarnation) -> BoxFuture<'a, Result<Estate, EngineError>> {
        through!(self, Journals, self.1.estate(who))
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<JournalInfo>, EngineError>> {
        through!(self, Journals, self.1.list())
    }

    fn retire<'a>(&'a self, who: &'a Incarnation) -> BoxFuture<'a, Result<(), EngineError>> {
        through!(self, Journals, self.1.retire(who))
    }

    fn lineage(&self) -> BoxFuture<'_, Result<String, EngineError>> {
        through!(self, Journals, self.1.lineage())
    }
}

impl Tapes for Cut<dyn Tapes> {
    fn append<'a>(
        &'a self,
        room: RoomId,
        segment: &'a Segment,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        through!(self, Tapes, self.1.append(room, segment, keep))
    }

    fn read(&self, room: RoomId, after: Tick) -> BoxFuture<'_, Result<Vec<Segment>, EngineError>> {
        through!(self, Tapes, self.1.read(room, after))
    }
}
