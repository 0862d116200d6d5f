//! The feed of a queue: which tickets began to wait and which ceased to, in order.
//!
//! It lets a matcher keep a queue in memory without reading it again. The store keeps the end of
//! each feed only, and a matcher may find itself with another store than it knew: restarted empty,
//! or failed over without its last writes. So a reader names the last entry that it has read, by
//! place and content, and the store tells what came after *that very entry*. If it is not there,
//! what the reader knows may be wrong: it takes the feed's end, reads the queue anew, and applies
//! what the feed tells from there. As long as it is there, all that the reader knows is a beginning
//! of what happened, because servers lose the end of what was written and never a part before it.

use std::sync::Arc;

use protocol::id::TicketId;

use crate::ticket::Ticket;

/// Entries of a feed that a store keeps at least, each of what one call brought about.
pub const KEPT: usize = 1024;

/// What happened to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// A ticket waits.
    Waits(TicketId),
    /// A ticket does not wait any more: it is claimed, or gone.
    Gone(TicketId),
}

/// A place in a feed. It means something to the store that gave it only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// Which entry.
    pub(super) place: String,
    /// What it says: another history may have another entry there.
    pub(super) content: String,
}

/// What a feed tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fed {
    /// In order.
    pub changes: Vec<Change>,
    /// Up to here.
    pub upto: Cursor,
    /// There is more already.
    pub more: bool,
}

/// A part of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// In no order.
    pub tickets: Vec<Arc<Ticket>>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}
