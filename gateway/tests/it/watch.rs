//! Rooms that are watched without a seat in them.

use std::time::Duration;

use protocol::control::{ErrorCode, ErrorMessage};
use protocol::id::PlayerId;
use rpc::inbound::Inbound;
use serde_json::json;

use crate::it::fleet::Fleet;
use crate::it::origin::FakeOrigin;
use crate::it::player::{Player, Said};
use crate::it::rig::{ROOM, Rig};

/// The wish with which the player comes to watch the room.
async fn watched(origin: &FakeOrigin, by: PlayerId) -> Duration {
    let pick = |seen: &Inbound| match seen {
        Inbound::Attach(request) if request.player == by => {
            assert_eq!(request.room, Some(ROOM));
            request.watch
        }
        _ => None,
    };
    origin.saw(pick).await
}

async fn ask(player: &mut Player) {
    let watch = json!({ "t": "room.watch", "room": ROOM, "delay_ms": 9_000 });
    player.raw.say(&watch).await;
}

#[tokio::test]
async fn who_watches_is_shown_the_room_and_heard_by_nobody_until_they_watch_no_more() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    ask(&mut player).await;
    assert_eq!(watched(&rig.room, player.id).await, Duration::from_secs(9));
    assert_eq!(player.raw.hear("channel").await["ch"], "room");
    rig.room.emit(player.id, r#"{"e":"race.start"}"#);
    let event = player.raw.hear_event().await;
    player.raw.acknowledge(&event).await;
    rig.room
        .saw(|seen| matches!(seen, Inbound::Ack { .. }).then_some(()))
        .await;

    player.raw.say(&json!({ "t": "room.say", "data": 1 })).await;
    player.raw.expect_error("not_in_room").await;
    player.raw.say(&json!({ "t": "room.unwatch" })).await;
    let closed = player.raw.hear("channel.closed").await;
    assert_eq!(
        (&closed["ch"], &closed["reason"]),
        (&json!("room"), &json!("left"))
    );
    rig.room
        .saw(|seen| matches!(seen, Inbound::Detach { .. }).then_some(()))
        .await;
    // Without anything to watch it means nothing, least of all to the matcher.
    player.raw.say(&json!({ "t": "room.unwatch" })).await;
    player.expect_well(&rig).await;
    let texts = |seen: &Inbound| matches!(seen, Inbound::Text { .. });
    assert!(!rig.matcher.seen().iter().any(texts));
    assert!(!rig.room.seen().iter().any(texts));
}

#[tokio::test]
async fn to_unwatch_does_not_leave_the_room_that_is_played_in() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    player.enter_room(&rig).await;
    player.raw.say(&json!({ "t": "room.unwatch" })).await;
    rig.room.emit(player.id, r#"{"e":"race.start"}"#);
    match player.raw.listen().await {
        Said::Binary(_) => {}
        Said::Text(said) => panic!("{said}"),
    }
}

#[tokio::test]
async fn a_refusal_to_be_watched_names_the_wish() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    let error = ErrorMessage::new(ErrorCode::WatchForbidden, "not to be watched");
    rig.room.refuse_next(error);
    ask(&mut player).await;
    let error = player.raw.expect_error("watch_forbidden").await;
    assert_eq!(error["re"], "room.watch");
    // The only node knows no such room: there is none.
    let error = ErrorMessage::new(ErrorCode::RoomUnknown, "there is no such room");
    rig.room.refuse_next(error);
    ask(&mut player).await;
    let error = player.raw.expect_error("room_unknown").await;
    assert_eq!(error["re"], "room.watch");
}

#[tokio::test]
async fn a_room_is_watched_at_another_node_when_the_one_that_shows_it_is_gone() {
    let fleet = Fleet::start().await;
    let mut player = Player::join(&fleet.rig, "Ada").await;
    ask(&mut player).await;
    watched(&fleet.rig.room, player.id).await;
    player.raw.hear("channel").await;

    let second = fleet.add("syncd-2", 1).await;
    fleet.linked("syncd-2").await;
    fleet.rig.room.vanish();
    assert_eq!(player.raw.hear("channel.lost").await["ch"], "room");
    watched(&second, player.id).await;
    assert_eq!(player.raw.hear("channel").await["ch"], "room");
}
