//! The book that all matchers share.
//!
//! It is quick, and may lose things: it may come back empty, or without its last writes. So it is
//! *open* only after what the ledger has was written into it ([`SeatStore::rebuild`]); until then
//! every call answers [`Told::Cold`] and sells nothing. What it has lost besides, the ledger finds
//! when a seat is written.
//!
//! Many players are asked about in one call: at the opening second a matcher gathers all that came
//! while the last call was under way, and a script that serves hundreds costs little more than one
//! that serves one.

pub mod conformance;
mod memory;
mod redis;

use std::sync::Arc;
use std::time::Duration;

use engine::{BoxFuture, EngineError};
use protocol::id::{PlayerId, SeatNumber};
use tokio::sync::broadcast;

use super::{Begun, Counts, Released, Reserved, Terms};
use crate::config::{Event, EventName};

pub use memory::MemorySeats;
pub use redis::RedisSeats;

/// Most players, or seats, in one call. Callers cut what is more: a script must not hold Redis up.
pub const MOST: usize = 512;

/// News that may wait for a listener; over it the oldest are gone, and it has to look by itself.
pub const NEWS: usize = 256;

/// An event as stores are asked about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sale {
    /// Which.
    pub name: EventName,
    /// What it allows.
    pub terms: Terms,
}

impl Sale {
    /// A configured event.
    pub fn new(name: &EventName, event: &Event) -> Self {
        Self {
            name: name.clone(),
            terms: Terms {
                seats: event.seats,
                opens_at: event.opens_at(),
                closes_at: event.closes_at(),
                hold: event.hold,
            },
        }
    }
}

/// What a store says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told<T> {
    /// It has not been told what the ledger has: see [`SeatStore::rebuild`].
    Cold,
    /// The answer, and how the event stands after it.
    Known(T, Counts),
}

/// A part of what the ledger has of an event, on its way into a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Drawn at random for each rebuild: a store that was emptied in the middle of one does not
    /// take its last part for the whole.
    pub token: u64,
    /// Which part, from 0.
    pub index: u32,
    /// Whether no more follow: then the event is open.
    pub is_last: bool,
    /// Seats of the ledger, up to [`MOST`].
    pub seats: Vec<(PlayerId, SeatNumber)>,
}

/// What came of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuilt {
    /// It is in, or was.
    Done,
    /// An earlier part of it is not there (any more): begin again.
    Again,
}

/// What a look at an event found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Swept {
    /// Seats that are free again.
    pub lapsed: usize,
    /// Seats that have been in writing for too long: ask the ledger, and then
    /// [`settle`](SeatStore::settle) or [`undo`](SeatStore::undo) them.
    pub doubtful: Vec<(PlayerId, SeatNumber)>,
}

/// News of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Which.
    pub event: EventName,
    /// How it stands. Later news may be of an earlier version.
    pub counts: Counts,
}

/// Who has which seat, for all matchers. Time is the store's; a call answers within a deadline of
/// the store's own, and after [`EngineError::Deadline`], when it is unknown whether it took effect,
/// repeating it is harmless. No call takes more than [`MOST`] players or seats.
pub trait SeatStore: Send + Sync + 'static {
    /// Gives each player a seat, if one is free, in the order in which they are named.
    fn reserve<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Told<Vec<Reserved>>, EngineError>>;

    /// The seats of these players are about to be written, which takes at most `within`; later it
    /// is in doubt.
    fn begin<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
        within: Duration,
    ) -> BoxFuture<'a, Result<Told<Vec<Begun>>, EngineError>>;

    /// The ledger has these seats. Also a store that is cold takes note.
    fn settle<'a>(
        &'a self,
        sale: &'a Sale,
        seats: &'a [(PlayerId, SeatNumber)],
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// The ledger does not have these seats, which were being written.
    fn undo<'a>(
        &'a self,
        sale: &'a Sale,
        seats: &'a [(PlayerId, SeatNumber)],
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Players give their reservations back.
    fn release<'a>(
        &'a self,
        sale: &'a Sale,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Told<Vec<Released>>, EngineError>>;

    /// Frees what has lapsed, names what is in doubt, and says how the event stands; for every
    /// matcher to call about once a second. `seen`: the greatest version that the caller has seen;
    /// from now on they are not less.
    fn sweep<'a>(
        &'a self,
        sale: &'a Sale,
        seen: u64,
    ) -> BoxFuture<'a, Result<Told<Swept>, EngineError>>;

    /// Tells the store a part of what the ledger has. The last part opens the event. An event that
    /// is open stays so meanwhile.
    fn rebuild<'a>(
        &'a self,
        sale: &'a Sale,
        part: &'a Part,
    ) -> BoxFuture<'a, Result<Rebuilt, EngineError>>;

    /// Names the history of what the store has. Another one may lack some of what was there:
    /// whoever finds one tells it again what the ledger has.
    fn lineage(&self) -> BoxFuture<'_, Result<String, EngineError>>;

    /// News of all events from now on, of all matchers' doing. Some may be missing.
    fn news(&self) -> broadcast::Receiver<News>;
}

/// Shared by those who sell seats.
pub type SharedSeats = Arc<dyn SeatStore>;
