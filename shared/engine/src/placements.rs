//! Placements: which node runs a room.

use std::time::Duration;

use protocol::id::{Generation, RoomId};
use serde::{Deserialize, Serialize};

use crate::leases::Incarnation;
use crate::{BoxFuture, EngineError};

/// Who runs a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The process that runs it, whose journal has its history.
    pub owner: Incarnation,
    /// The owner's term for this room: 1 for the first owner, one more for each that took it over.
    pub generation: Generation,
}

/// Where rooms are. The generation counts the owners of one room: who takes a room over places it
/// with a greater one than it found.
///
/// Limit: [`MAX_ROOMS`] placements.
pub trait Placements: Send + Sync + 'static {
    /// Says that a room is there: a new room, or one whose owner says it again. Saying it again
    /// changes nothing.
    ///
    /// # Errors
    /// [`EngineError::Fenced`] if the room has a newer generation, or the same one of another
    /// owner; [`EngineError::Full`] past the limit.
    fn place<'a>(
        &'a self,
        room: RoomId,
        placement: &'a Placement,
    ) -> BoxFuture<'a, Result<(), EngineError>>;

    /// Takes a room over: `to` takes the place of exactly `from`. Gives whether the room is at
    /// `to` now, which a repeated claim finds too. Durable as far as the store is (see
    /// `docs/adr/0006`).
    ///
    /// # Errors
    /// The store cannot be asked; whether the claim took effect is unknown.
    fn claim<'a>(
        &'a self,
        room: RoomId,
        from: &'a Placement,
        to: &'a Placement,
    ) -> BoxFuture<'a, Result<bool, EngineError>>;

    /// Who runs each of `rooms`, in their order; `None` for one that nobody runs.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn find<'a>(
        &'a self,
        rooms: &'a [RoomId],
    ) -> BoxFuture<'a, Result<Vec<Option<Placement>>, EngineError>>;

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

    /// For how long the store has been the same without a break. Shortly after a fail-over rooms
    /// may be missing whose owners are about to place them again: within [`SETTLED`] that a room
    /// is nowhere says nothing.
    fn steady_for(&self) -> Duration {
        Duration::MAX
    }
}

/// Owners have placed their rooms again within this time after a fail-over, if they live.
pub const SETTLED: Duration = Duration::from_secs(3);

/// Most rooms that are placed at once.
pub const MAX_ROOMS: usize = 1_000_000;
