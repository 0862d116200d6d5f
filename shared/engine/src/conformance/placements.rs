//! The contract of [`Placements`].

use protocol::id::{Generation, NodeId, RoomId};

use crate::EngineError;
use crate::leases::Incarnation;
use crate::placements::{Placement, Placements};

/// Runs every check over `placements`, which is empty.
pub async fn all(placements: &dyn Placements) {
    a_room_is_found_where_it_was_placed(placements, RoomId(1)).await;
    placing_again_changes_nothing(placements, RoomId(2)).await;
    a_newer_generation_takes_a_room_over(placements, RoomId(3)).await;
    an_older_generation_neither_places_nor_removes(placements, RoomId(4)).await;
    two_nodes_cannot_share_a_generation(placements, RoomId(5)).await;
    a_newer_generation_may_remove_what_an_older_placed(placements, RoomId(6)).await;
}

async fn a_room_is_found_where_it_was_placed(placements: &dyn Placements, room: RoomId) {
    assert_eq!(find(placements, room).await, None);
    place(placements, room, "a", 1).await;
    assert_eq!(find(placements, room).await, Some(at("a", 1)));
    remove(placements, room, 1).await;
    assert_eq!(find(placements, room).await, None);
    // A room that is gone needs no removing, and that is no error.
    remove(placements, room, 1).await;
}

async fn placing_again_changes_nothing(placements: &dyn Placements, room: RoomId) {
    place(placements, room, "a", 1).await;
    place(placements, room, "a", 1).await;
    assert_eq!(find(placements, room).await, Some(at("a", 1)));
    remove(placements, room, 1).await;
}

async fn a_newer_generation_takes_a_room_over(placements: &dyn Placements, room: RoomId) {
    place(placements, room, "a", 1).await;
    place(placements, room, "b", 2).await;
    assert_eq!(find(placements, room).await, Some(at("b", 2)));
    remove(placements, room, 2).await;
}

async fn an_older_generation_neither_places_nor_removes(placements: &dyn Placements, room: RoomId) {
    place(placements, room, "b", 2).await;
    assert_fenced(placements.place(room, &at("a", 1)).await);
    assert_fenced(placements.remove(room, Generation(1)).await);
    assert_eq!(find(placements, room).await, Some(at("b", 2)));
    remove(placements, room, 2).await;
}

async fn two_nodes_cannot_share_a_generation(placements: &dyn Placements, room: RoomId) {
    place(placements, room, "a", 3).await;
    assert_fenced(placements.place(room, &at("b", 3)).await);
    assert_eq!(find(placements, room).await, Some(at("a", 3)));
    remove(placements, room, 3).await;
}

async fn a_newer_generation_may_remove_what_an_older_placed(
    placements: &dyn Placements,
    room: RoomId,
) {
    place(placements, room, "a", 1).await;
    remove(placements, room, 2).await;
    assert_eq!(find(placements, room).await, None);
}

fn node(name: &str) -> NodeId {
    name.parse().expect("a node's name")
}

fn at(name: &str, generation: u64) -> Placement {
    let owner = Incarnation {
        node: node(name),
        generation: Generation(100),
    };
    Placement {
        owner,
        generation: Generation(generation),
    }
}

async fn place(placements: &dyn Placements, room: RoomId, name: &str, generation: u64) {
    let placed = placements.place(room, &at(name, generation)).await;
    assert!(placed.is_ok(), "{room} is placed on {name}: {placed:?}");
}

async fn remove(placements: &dyn Placements, room: RoomId, generation: u64) {
    let removed = placements.remove(room, Generation(generation)).await;
    assert!(removed.is_ok(), "{room} is removed: {removed:?}");
}

async fn find(placements: &dyn Placements, room: RoomId) -> Option<Placement> {
    let mut found = placements
        .find(&[room])
        .await
        .expect("the store finds rooms");
    found.pop().expect("an answer for each room")
}

fn assert_fenced(outcome: Result<(), EngineError>) {
    assert!(
        matches!(outcome, Err(EngineError::Fenced { .. })),
        "an older generation is fenced off: {outcome:?}"
    );
}
