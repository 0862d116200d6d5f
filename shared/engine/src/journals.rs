//! Journals: what a node has to have written before others may see what follows from it.
//!
//! Each incarnation of a node that runs rooms has one journal: entries, numbered without a gap,
//! and the newest checkpoint of each of its rooms. Whoever takes the rooms over *seals* the
//! journal first; from then on nothing in it changes, and its owner is refused.

use bytes::Bytes;
use protocol::id::RoomId;
use serde::{Deserialize, Serialize};

use crate::leases::Incarnation;
use crate::{BoxFuture, EngineError};

/// Number of an entry in a journal. The first is 1; 0 means "before the first".
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// What a journal answers its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// All of it is there, now or from an earlier call.
    Done,
    /// Somebody has sealed the journal: the owner's rooms are no longer its own. Nothing was
    /// written.
    Sealed,
    /// The store lacks entries that it had confirmed, or checkpoint calls: its last entry is this.
    /// Nothing was written; the owner sends what is missing again.
    Gap(Seq),
    /// The store does not know the journal, never did or not any more. Nothing was written; the
    /// owner opens it again.
    Missing,
}

/// What a checkpoint call writes, all or nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkpoints {
    /// Counts the owner's calls, from 1. A call that comes after one with a higher number is late:
    /// it changes nothing, and is answered [`Written::Done`].
    pub call: u64,
    /// The newest call that the owner knows to be there, 0 for none. If the store has only older
    /// ones, it answers [`Written::Gap`]: the entries that their checkpoints need may not go.
    pub after: u64,
    /// Rooms with their newest state.
    pub rooms: Vec<(RoomId, Bytes)>,
    /// Rooms that are over, or somebody else's.
    pub gone: Vec<RoomId>,
    /// The last entry that the owner knows to be there. If the store has less, it answers
    /// [`Written::Gap`]: no checkpoint is ever ahead of the entries.
    pub last: Seq,
    /// Entries before this one are needed by no checkpoint and may go.
    pub keep_from: Seq,
}

/// What came of sealing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// Who sealed it first.
    pub by: Incarnation,
    /// The last entry.
    pub last: Seq,
    /// The store cannot show that it still has all that it confirmed: before the journal was sealed
    /// its primary changed, and after that the owner neither began it nor wrote a checkpoint call.
    /// Histories must not be continued.
    pub is_suspect: bool,
}

/// A journal that there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalInfo {
    /// Whose.
    pub who: Incarnation,
    /// Whether it is sealed.
    pub sealed: bool,
}

/// All that a sealed journal holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Estate {
    /// The newest checkpoint of each room, by room.
    pub checkpoints: Vec<(RoomId, Bytes)>,
    /// The entries that are kept, in order.
    pub entries: Vec<(Seq, Bytes)>,
}

/// Journals. Each call answers within a deadline of the store's own. After an error whether it
/// took effect is unknown, and repeating it is harmless.
///
/// Limits: an entry of [`MAX_ENTRY`] bytes, [`MAX_ENTRIES`] entries a call.
pub trait Journals: Send + Sync + 'static {
    /// Makes sure that a journal is there and can be written to; a new one has everything up to
    /// `after` behind it, which is 0 but for a journal that the store has lost.
    ///
    /// Gives [`Written::Done`] or [`Written::Sealed`]. A journal that is there and ends before
    /// `after` is begun anew: the owner has nothing any more of what is between, and writes all
    /// that is needed.
    fn open<'a>(
        &'a self,
        who: &'a Incarnation,
        after: Seq,
    ) -> BoxFuture<'a, Result<Written, EngineError>>;

    /// Appends `entries`, numbered from `first` on. Those that are there already are skipped.
    fn append<'a>(
        &'a self,
        who: &'a Incarnation,
        first: Seq,
        entries: &'a [Bytes],
    ) -> BoxFuture<'a, Result<Written, EngineError>>;

    /// Replaces checkpoints, and lets go of what they make superfluous.
    fn checkpoint<'a>(
        &'a self,
        who: &'a Incarnation,
        checkpoints: &'a Checkpoints,
    ) -> BoxFuture<'a, Result<Written, EngineError>>;

    /// Seals a journal; `None` if there is no such. Sealing again gives the same answer. Durable
    /// as far as the store is before it is confirmed (see `docs/adr/0006`).
    fn seal<'a>(
        &'a self,
        who: &'a Incarnation,
        by: &'a Incarnation,
    ) -> BoxFuture<'a, Result<Option<Seal>, EngineError>>;

    /// All that a sealed journal holds; nothing if there is no such journal. It is read in pieces,
    /// each of which has the deadline of a call.
    ///
    /// # Errors
    /// [`EngineError::Store`] for a journal that is not sealed: its owner may still write.
    fn estate<'a>(&'a self, who: &'a Incarnation) -> BoxFuture<'a, Result<Estate, EngineError>>;

    /// The journals that there are, by owner.
    fn list(&self) -> BoxFuture<'_, Result<Vec<JournalInfo>, EngineError>>;

    /// Forgets a journal whose rooms are all elsewhere or over.
    fn retire<'a>(&'a self, who: &'a Incarnation) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Names the history of the store's primary. It changes when another server becomes the
    /// primary, or the primary begins anew: what the store had confirmed last may be lost then.
    fn lineage(&self) -> BoxFuture<'_, Result<String, EngineError>>;
}

/// Most bytes of an entry.
pub const MAX_ENTRY: usize = 8 * 1024 * 1024;

/// Most entries of one call.
pub const MAX_ENTRIES: usize = 1024;

/// Refuses what a store would have to hold at once.
pub(crate) fn check_limits(entries: &[Bytes]) -> Result<(), EngineError> {
    if entries.len() > MAX_ENTRIES {
        return Err(EngineError::TooLarge {
            what: "entries in one call",
            limit: MAX_ENTRIES,
        });
    }
    if entries.iter().any(|entry| entry.len() > MAX_ENTRY) {
        return Err(EngineError::TooLarge {
            what: "bytes in an entry",
            limit: MAX_ENTRY,
        });
    }
    Ok(())
}

pub(crate) fn not_sealed(who: &Incarnation) -> EngineError {
    EngineError::Store {
        operation: "reading an estate",
        source: format!("the journal of {who} is not sealed").into(),
    }
}
