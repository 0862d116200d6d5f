//! Rooms that are on the move, by one way at a time.
//!
//! A room comes here by hand-over or out of a dead node's journal, and goes by hand-over. Each of
//! these writes its own state of the room into our journal, or has it forgotten. So whoever moves a
//! room holds a [`Move`] of it from before the first of that until after the last. Who is second
//! waits or refuses.

use std::collections::BTreeSet;
use std::sync::Arc;

use protocol::id::RoomId;
use tokio::sync::watch;

/// See the module. As many as claims and hand-overs are under way at once.
#[derive(Debug, Default)]
pub(crate) struct Moves(watch::Sender<BTreeSet<RoomId>>);

/// The right to move a room, until it is dropped.
#[derive(Debug)]
pub(crate) struct Move {
    room: RoomId,
    moves: Arc<Moves>,
}

impl Moves {
    /// Begins to move a room, unless somebody does.
    pub(crate) fn begin(self: &Arc<Self>, room: RoomId) -> Option<Move> {
        let is_first = self.0.send_if_modified(|moving| moving.insert(room));
        is_first.then(|| Move {
            room,
            moves: self.clone(),
        })
    }

    /// Waits until nobody moves a room. Somebody may begin again before the caller does.
    pub(crate) async fn ended(&self, room: RoomId) {
        let mut moving = self.0.subscribe();
        let ended = moving.wait_for(|moving| !moving.contains(&room)).await;
        debug_assert!(ended.is_ok(), "self keeps the sender alive");
    }
}

impl Drop for Move {
    fn drop(&mut self) {
        let room = &self.room;
        self.moves.0.send_if_modified(|moving| moving.remove(room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_room_is_moved_by_one_at_a_time() {
        let moves = Arc::new(Moves::default());
        let first = moves.begin(RoomId(1));
        assert!(first.is_some());
        assert!(moves.begin(RoomId(1)).is_none());
        assert!(moves.begin(RoomId(2)).is_some());
        let waits = tokio::spawn({
            let moves = moves.clone();
            async move { moves.ended(RoomId(1)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        drop(first);
        waits.await.expect("it goes on");
        assert!(moves.begin(RoomId(1)).is_some());
    }
}
