//! Tapes: what a room's game took in, from its first tick on, so that it can be run again.
//!
//! A tape is cut into segments at fixed ticks. What is on it follows from what the room's journal
//! has confirmed, so every owner of a room cuts the same segments, and a repeated one is dropped.

use std::time::Duration;

use bytes::Bytes;
use protocol::id::{RoomId, Tick};

use crate::{BoxFuture, EngineError};

/// A piece of a tape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// The last tick that it covers. It begins after the one before.
    pub until: Tick,
    /// As the room writes it.
    pub bytes: Bytes,
}

/// Tapes of rooms, running and over. A tape goes `keep` after its last segment.
pub trait Tapes: Send + Sync + 'static {
    /// Adds a segment, unless the tape reaches as far already.
    ///
    /// # Errors
    /// The store cannot be asked; repeating is harmless.
    fn append<'a>(
        &'a self,
        room: RoomId,
        segment: &'a Segment,
        keep: Duration,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// The segments that end after `after`, in order; empty if there is no such tape.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn read(&self, room: RoomId, after: Tick) -> BoxFuture<'_, Result<Vec<Segment>, EngineError>>;
}
