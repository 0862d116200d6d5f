//! Placements: which node runs a room.

use protocol::id::{Generation, NodeId, RoomId};
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, EngineError};

/// Who runs a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The node.
    pub node: NodeId,
    /// The owner's term for this room.
    pub generation: Generation,
}

/// Where rooms are. The generation counts the owners of one room: a node that takes a room over
/// places it with a greater one than it found.
///
/// Limit: [`MAX_ROOMS`] placements.
pub trait Placements: Send + Sync + 'static {
    /// Says that `node` runs `room`. Saying it again changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] if the room has a newer generation, or the same one on another
    /// node; [`EngineError::Full`] past the limit.
    fn place<'a>(
        &'a self,
        room: RoomId,
        node: &'a NodeId,
        generation: Generation,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Who runs `room`, if anybody does.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn find(&self, room: RoomId) -> BoxFuture<'_, Result<Option<Placement>, EngineError>>;

    /// Says that the room is over. One that is not placed needs nothing, and that is no error.
    /// Ids of rooms are never used again, so nothing is remembered.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] if the room has a newer generation.
    fn remove(
        &self,
        room: RoomId,
        generation: Generation,
    ) -> BoxFuture<'_, Result<(), EngineError>>;
}

/// Most rooms that are placed at once.
pub const MAX_ROOMS: usize = 1_000_000;
