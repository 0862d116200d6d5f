//! Placements in memory.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::future::ready;

use parking_lot::Mutex;
use protocol::id::{Generation, NodeId, RoomId};

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

    fn place_now(
        &self,
        room: RoomId,
        node: &NodeId,
        generation: Generation,
    ) -> Result<(), EngineError> {
        let mut rooms = self.rooms.lock();
        let full = rooms.len() >= MAX_ROOMS;
        let placement = Placement {
            node: node.clone(),
            generation,
        };
        match rooms.entry(room) {
            Entry::Occupied(mut held) => {
                let twice = held.get().generation == generation && held.get().node != *node;
                if held.get().generation > generation || twice {
                    return Err(fenced(room, held.get(), generation));
                }
                held.insert(placement);
            }
            Entry::Vacant(_) if full => {
                return Err(EngineError::Full {
                    what: "placed rooms",
                    limit: MAX_ROOMS,
                });
            }
            Entry::Vacant(free) => {
                free.insert(placement);
            }
        }
        Ok(())
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
        node: &'a NodeId,
        generation: Generation,
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(ready(self.place_now(room, node, generation)))
    }

    fn find(&self, room: RoomId) -> BoxFuture<'_, Result<Option<Placement>, EngineError>> {
        Box::pin(ready(Ok(self.rooms.lock().get(&room).cloned())))
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
