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
    a_claim_takes_the_place_of_exactly_what_it_names(placements, RoomId(7)).await;
    a_room_that_is_gone_is_not_claimed(placements, RoomId(8)).await;
    many_rooms_are_found_in_the_order_they_are_asked_for(placements).await;
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

async fn a_claim_takes_the_place_of_exactly_what_it_names(
    placements: &dyn Placements,
    room: RoomId,
) {
    place(placements, room, "a", 1).await;
    let (held, wanted) = (at("a", 1), at("b", 2));
    let mut other_process = held.clone();
    other_process.owner.generation = Generation(99);
    for from in [&at("c", 1), &at("a", 2), &other_process] {
        assert!(!claim(placements, room, from, &wanted).await, "{from:?}");
        assert_eq!(find(placements, room).await, Some(held.clone()));
    }
    assert!(claim(placements, room, &held, &wanted).await);
    assert!(claim(placements, room, &held, &wanted).await, "repeated");
    assert!(
        !claim(placements, room, &held, &at("c", 2)).await,
        "somebody else was first"
    );
    assert_eq!(find(placements, room).await, Some(wanted));
    assert_fenced(placements.place(room, &held).await);
    remove(placements, room, 2).await;
}

async fn a_room_that_is_gone_is_not_claimed(placements: &dyn Placements, room: RoomId) {
    assert!(!claim(placements, room, &at("a", 1), &at("b", 2)).await);
    assert_eq!(find(placements, room).await, None);
}

async fn many_rooms_are_found_in_the_order_they_are_asked_for(placements: &dyn Placements) {
    let rooms: Vec<RoomId> = (100..200).rev().map(RoomId).collect();
    for room in rooms.iter().filter(|room| room.0.is_multiple_of(3)) {
        place(placements, *room, "a", room.0).await;
    }
    let found = placements
        .find(&rooms)
        .await
        .expect("the store finds rooms");
    let expected = |room: &RoomId| (room.0.is_multiple_of(3)).then(|| at("a", room.0));
    assert_eq!(found, rooms.iter().map(expected).collect::<Vec<_>>());
    assert_eq!(placements.find(&[]).await.expect("nothing"), []);
    for room in rooms {
        remove(placements, room, room.0).await;
    }
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

async fn claim(
    placements: &dyn Placements,
    room: RoomId,
    from: &Placement,
    to: &Placement,
) -> bool {
    let claimed = placements.claim(room, from, to).await;
    claimed.expect("the store claims rooms")
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
