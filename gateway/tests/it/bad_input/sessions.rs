//! Two connections where one should be, and channels that origins refuse or end.

use protocol::control::{ErrorCode, ErrorMessage};
use rpc::inbound::Inbound;
use serde_json::json;

use crate::it::player::{Player, hello};
use crate::it::raw::Frame;
use crate::it::rig::Rig;

#[tokio::test]
async fn a_second_login_replaces_the_first_which_cannot_win_the_player_back() {
    let rig = Rig::start().await;
    let token = rig.login("Ada").await;
    let mut first = Player::greet(rig.socket().await, &hello(&token)).await;
    let mut message = hello(&token);
    message["instance"] = json!("in_00000000000000bb");
    let mut second = Player::greet(rig.socket().await, &message).await;
    assert_eq!(first.raw.expect_close(4300).await, "replaced");
    let mut raw = rig.socket().await;
    raw.say(&first.comeback(2)).await;
    raw.hear("welcome").await;
    raw.expect_close(4300).await;
    second.expect_well(&rig).await;
}

#[tokio::test]
async fn a_session_that_comes_back_ends_its_older_connection() {
    let rig = Rig::start().await;
    let mut old = Player::join(&rig, "Ada").await;
    let comeback = old.comeback(2);
    let mut new = Player::greet(rig.socket().await, &comeback).await;
    assert_eq!(new.welcome["session"], old.welcome["session"]);
    assert_eq!(old.raw.expect_close(4301).await, "superseded");
    // The older one's farewell does not take the newer one along.
    new.expect_well(&rig).await;
    assert_eq!(
        rig.matcher.attached(new.id, 2).await.to_string(),
        new.welcome["session"]
    );
}

#[tokio::test]
async fn a_connection_that_was_long_on_its_way_does_not_end_a_newer_one() {
    let rig = Rig::start().await;
    let first = Player::join(&rig, "Ada").await;
    let comeback = first.comeback(3);
    let mut newer = Player::greet(rig.socket().await, &comeback).await;
    let mut late = rig.socket().await;
    late.say(&first.comeback(2)).await;
    late.expect_close(4301).await;
    newer.expect_well(&rig).await;
}

#[tokio::test]
async fn a_channel_that_the_origin_refuses_is_told_and_the_connection_stays() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    rig.room.refuse_next(ErrorMessage::new(
        ErrorCode::NotInRoom,
        "there is no seat for you",
    ));
    let ticket = rig.ticket(player.id);
    player
        .raw
        .say(&json!({ "t": "room.join", "ticket": ticket }))
        .await;
    let error = player.raw.expect_error("not_in_room").await;
    assert_eq!(error["re"], "room.join");
    player.expect_well(&rig).await;
    player.enter_room(&rig).await;
}

#[tokio::test]
async fn a_channel_that_ends_is_told_and_late_input_is_dropped() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    player.enter_room(&rig).await;
    rig.room.close_channel(player.id, "ended");
    let closed = player.raw.hear("channel.closed").await;
    assert_eq!(
        (&closed["ch"], &closed["reason"]),
        (&json!("room"), &json!("ended"))
    );
    let input = [4, 1, 0, 0, 0, 0, 0, 1, 1 | 8 << 4, 0, 0, 0, 0, 0];
    player.raw.send(&Frame::binary(input)).await;
    player.expect_well(&rig).await;
    let inputs = rig.room.seen();
    assert!(
        !inputs
            .iter()
            .any(|inbound| matches!(inbound, Inbound::Input { .. }))
    );
}

#[tokio::test]
async fn a_client_that_vanishes_is_detached_but_does_not_leave() {
    let rig = Rig::start().await;
    let player = Player::join(&rig, "Ada").await;
    drop(player.raw);
    let left = rig.matcher.saw(|inbound| match inbound {
        Inbound::Detach { leave, .. } => Some(*leave),
        _ => None,
    });
    assert!(!left.await);
}
