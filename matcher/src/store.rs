//! Where tickets are: waiting, or claimed by one match, or gone. Never two of these.
//!
//! The embedded engine is [`memory::MemoryStore`]. A store on Redis keeps the same promise by one
//! script for each call, and has to pass [`conformance`]; pairing is the same over both. Any number
//! of matchers may then work one queue: what a claim refuses, another matcher has taken.

pub mod conformance;
pub mod memory;

use std::sync::Arc;

use engine::{BoxFuture, EngineError};
use protocol::id::{MatchId, PlayerId, TicketId};

use crate::config::ModeName;
use crate::ticket::Ticket;

pub use memory::MemoryStore;

/// What came of [`TicketStore::add`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It waits.
    Waiting,
    /// Nothing was added: a member is on this ticket, which keeps its place.
    Kept(Found),
}

/// What came of [`TicketStore::remove`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removed {
    /// It waited, and is gone.
    Gone,
    /// A match has it: too late.
    Claimed(MatchId),
    /// There is none such.
    Unknown,
}

/// A player's ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The ticket.
    pub ticket: Arc<Ticket>,
    /// The match that has it; `None`: it waits.
    pub claimed_by: Option<MatchId>,
}

/// The tickets that a match wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The match.
    pub match_id: MatchId,
    /// Its tickets.
    pub tickets: Vec<TicketId>,
}

/// Tickets of all modes. A call answers within a deadline of the store's own; after
/// [`EngineError::Deadline`] whether it took effect is unknown, and repeating it is harmless.
pub trait TicketStore: Send + Sync + 'static {
    /// Lets `ticket` wait, unless one of its members has a ticket already.
    ///
    /// Errors: [`EngineError::Full`] at the store's limit.
    fn add(&self, ticket: Ticket) -> BoxFuture<'_, Result<Added, EngineError>>;

    /// Takes a ticket that waits out of its queue.
    fn remove(&self, ticket: TicketId) -> BoxFuture<'_, Result<Removed, EngineError>>;

    /// The tickets that wait for `mode`, by age.
    fn waiting<'a>(
        &'a self,
        mode: &'a ModeName,
    ) -> BoxFuture<'a, Result<Vec<Arc<Ticket>>, EngineError>>;

    /// Claims tickets for matches: for each match all that it wants, or none. Gives whether it
    /// got them, in the order of `wanted`.
    fn claim<'a>(&'a self, wanted: &'a [Wanted]) -> BoxFuture<'a, Result<Vec<bool>, EngineError>>;

    /// The match stands: its tickets are gone.
    fn settle(&self, match_id: MatchId) -> BoxFuture<'_, Result<(), EngineError>>;

    /// The match failed: its tickets wait again, each with its old age. Gives them.
    fn give_back(&self, match_id: MatchId) -> BoxFuture<'_, Result<Vec<Arc<Ticket>>, EngineError>>;

    /// The ticket that `player` is on.
    fn find(&self, player: PlayerId) -> BoxFuture<'_, Result<Option<Found>, EngineError>>;
}
