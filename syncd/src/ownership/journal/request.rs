//! What is asked of the store about a journal.

use bytes::Bytes;
use engine::{Checkpoints, Seq, Written};

/// What the store is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// [`engine::Journals::open`].
    Open {
        /// Everything up to here is behind it.
        after: Seq,
    },
    /// [`engine::Journals::append`].
    Append {
        /// Number of the first entry.
        first: Seq,
        /// The entries.
        entries: Vec<Bytes>,
    },
    /// [`engine::Journals::checkpoint`].
    Checkpoint(Checkpoints),
}

/// What came of a request: the store's answer, or `None` if it gave none and nobody knows.
pub type Reply = Option<Written>;
