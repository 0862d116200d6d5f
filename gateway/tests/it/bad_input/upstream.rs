//! Origins that fall silent or vanish behind the gateway: clients are told, and need do nothing.

use serde_json::json;

use crate::it::player::{Player, hello};
use crate::it::rig::Rig;

#[tokio::test]
async fn a_silent_matcher_is_told_and_attached_again_when_it_is_back() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    rig.matcher.freeze();
    player.raw.say(&json!({ "t": "queue.leave" })).await;
    let lost = player.raw.hear("channel.lost").await;
    assert_eq!(
        (&lost["ch"], &lost["reason"]),
        (&json!("match"), &json!("node_silent"))
    );
    assert!(
        !rig.readiness.is_ready(),
        "nobody new is to come to this gateway"
    );
    rig.matcher.thaw();
    let back = player.raw.hear("channel").await;
    assert_eq!(
        (&back["ch"], &back["recovered"]),
        (&json!("match"), &json!(true))
    );
    assert!(rig.readiness.is_ready());
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn a_silent_room_is_told_and_the_matcher_is_not_affected() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    player.enter_room(&rig).await;
    rig.room.freeze();
    // Something has to arrive for the fake to stop at.
    let mut other = Player::join(&rig, "Bob").await;
    other
        .raw
        .say(&json!({ "t": "room.join", "ticket": rig.ticket(other.id) }))
        .await;
    let lost = player.raw.hear("channel.lost").await;
    assert_eq!(
        (&lost["ch"], &lost["reason"]),
        (&json!("room"), &json!("node_silent"))
    );
    player.expect_well(&rig).await;
    assert!(rig.readiness.is_ready());
    rig.room.thaw();
    for player in [&mut player, &mut other] {
        let back = player.raw.hear("channel").await;
        assert_eq!(back["ch"], "room");
    }
    rig.room.emit(player.id, r#"{"e":"race.start"}"#);
    assert_eq!(
        player.raw.hear_event().await.payload,
        r#"{"e":"race.start"}"#
    );
}

#[tokio::test]
async fn without_a_matcher_a_wish_to_play_is_answered_at_once() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    rig.matcher.vanish();
    assert_eq!(player.raw.hear("channel.lost").await["ch"], "match");
    player
        .raw
        .say(&json!({ "t": "queue.join", "mode": "race" }))
        .await;
    let error = player.raw.expect_error("unavailable").await;
    assert_eq!(error["re"], "queue.join");
    assert!(
        error["retry_after_ms"]
            .as_u64()
            .is_some_and(|wait| wait > 0)
    );
    // A race that goes on goes on.
    player.enter_room(&rig).await;
    // Who logs in now is welcome, and hears the same.
    let mut raw = rig.socket().await;
    raw.say(&hello(&rig.login("Bob").await)).await;
    raw.hear("welcome").await;
    assert_eq!(raw.hear("channel.lost").await["ch"], "match");
    raw.say(&json!({ "t": "queue.join", "mode": "race" })).await;
    raw.expect_error("unavailable").await;
}

#[tokio::test]
async fn leaving_a_room_is_confirmed_and_its_node_hears_of_it() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    player.enter_room(&rig).await;
    player.raw.say(&json!({ "t": "room.leave" })).await;
    let closed = player.raw.hear("channel.closed").await;
    assert_eq!(
        (&closed["ch"], &closed["reason"]),
        (&json!("room"), &json!("left"))
    );
    rig.room.emit(player.id, r#"{"e":"race.start"}"#);
    player.expect_well(&rig).await;
}
