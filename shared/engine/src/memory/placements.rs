//! Placements in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::ready;

use parking_lot::Mutex;
use protocol::id::{Generation, RoomId};

use crate::placements::{MAX_ROOMS, Placement, Placements};
use crate::{BoxFuture, EngineError};

/// Placements in memory. Nothing iterates over them.
#[derive(Debug, Default)]
pub struct MemoryPlacements {
    rooms: Mutex<HashMap<RoomId, Placement>>,
}

impl MemoryPlacements {
    /// No room is placed.
    pub fn new() -> Self {
        Self::default()
    }

    fn place_now(&self, room: RoomId, placement: &Placement) -> Result<(), EngineError> {
        let mut rooms = self.rooms.lock();
        let full = rooms.len() >= MAX_ROOMS;
        match rooms.entry(room) {
            Entry::Occupied(mut held) => {
                let known = held.get();
                let twice = known.generation == placement.generation && known != placement;
                if known.generation > placement.generation || twice {
                    return Err(fenced(room, known, placement.generation));
                }
                held.insert(placement.clone());
            }
            Entry::Vacant(_) if full => {
                return Err(EngineError::Full {
                    what: "placed rooms",
                    limit: MAX_ROOMS,
                });
            }
            Entry::Vacant(free) => {
                free.insert(placement.clone());
            }
        }
        Ok(())
    }

    fn claim_now(&self, room: RoomId, from: &Placement, to: &Placement) -> bool {
        let mut rooms = self.rooms.lock();
        let Some(held) = rooms.get_mut(&room) else {
            return false;
        };
        if held == from {
            *held = to.clone();
        }
        held == to
    }

    fn remove_now(&self, room: RoomId, generation: Generation) -> Result<(), EngineError> {
        let mut rooms = self.rooms.lock();
        if let Entry::Occupied(held) = rooms.entry(room) {
            if held.get().generation > generation {
                return Err(fenced(room, held.get(), generation));
            }
            held.remove();
        }
        Ok(())
    }
}

impl Placements for MemoryPlacements {
    fn place<'a>(
        &'a self,
        room: RoomId,
        placement: &'a Placement,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(ready(self.place_now(room, placement)))
    }

    fn claim<'a>(
        &'a self,
        room: RoomId,
        from: &'a Placement,
        to: &'a Placement,
    ) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(ready(Ok(self.claim_now(room, from, to))))
    }

    fn find<'a>(
        &'a self,
        rooms: &'a [RoomId],
    ) -> BoxFuture<'a, Result<Vec<Option<Placement>>, EngineError>> {
        let held = self.rooms.lock();
        let found = rooms.iter().map(|room| held.get(room).cloned()).collect();
        Box::pin(ready(Ok(found)))
    }

    fn remove(
        &self,
        room: RoomId,
        generation: Generation,
    ) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(ready(self.remove_now(room, generation)))
    }
}

fn fenced(room: RoomId, held: &Placement, offered: Generation) -> EngineError {
    EngineError::Fenced {
        subject: room.to_string(),
        held: held.generation,
        offered,
    }
}
