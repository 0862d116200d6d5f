//! What an origin says to one connection of a session when another one is there already.

use protocol::close::CloseCode;
use protocol::frame::Frame as Binary;
use rpc::inbound::Inbound;
use serde_json::json;

use crate::it::player::{Player, Said, hello};
use crate::it::rig::Rig;

/// The origin has heard of the connection `attempt`.
fn attach_of(attempt: u32) -> impl Fn(&Inbound) -> Option<()> {
    move |inbound| match inbound {
        Inbound::Attach(request) => (request.claim.attempt == attempt).then_some(()),
        _ => None,
    }
}

#[tokio::test]
async fn a_close_for_an_earlier_connection_does_not_end_the_present_one() {
    let rig = Rig::start().await;
    let old = Player::join(&rig, "Ada").await;
    let comeback = old.comeback(2);
    let mut new = Player::greet(rig.socket().await, &comeback).await;
    rig.matcher.close_connection(new.id, 1, CloseCode::Replaced);
    new.expect_well(&rig).await;
    rig.matcher.close_connection(new.id, 2, CloseCode::Replaced);
    new.raw.expect_close(4300).await;
}

#[tokio::test]
async fn a_close_for_an_earlier_connection_does_not_take_the_present_one_off_the_link() {
    let rig = Rig::start().await;
    let old = Player::join(&rig, "Ada").await;
    let comeback = old.comeback(2);
    let mut new = Player::greet(rig.socket().await, &comeback).await;
    rig.matcher.close_connection(new.id, 1, CloseCode::Replaced);
    new.expect_well(&rig).await;
    rig.matcher.freeze();
    new.raw.say(&json!({ "t": "queue.leave" })).await;
    new.raw.hear("channel.lost").await;
    rig.matcher.thaw();
    assert_eq!(new.raw.hear("channel").await["recovered"], true);
}

#[tokio::test]
async fn an_origin_that_does_not_name_the_connection_means_the_present_one() {
    let rig = Rig::start().await;
    let old = Player::join(&rig, "Ada").await;
    let comeback = old.comeback(2);
    let mut new = Player::greet(rig.socket().await, &comeback).await;
    rig.matcher.close_connection(new.id, 0, CloseCode::Replaced);
    new.raw.expect_close(4300).await;
}

#[tokio::test]
async fn an_answer_to_an_earlier_connection_is_not_passed_on() {
    let rig = Rig::start().await;
    let old = Player::join(&rig, "Ada").await;
    let comeback = old.comeback(2);
    let mut new = Player::greet(rig.socket().await, &comeback).await;
    rig.matcher.answer(new.id, 1);
    rig.matcher.emit(new.id, r#"{"e":"after it"}"#);
    let Said::Binary(Binary::Event(event)) = new.raw.listen().await else {
        panic!("the answer was passed on");
    };
    assert_eq!(event.payload, r#"{"e":"after it"}"#);
}

#[tokio::test]
async fn events_that_come_before_the_answer_come_again_after_it() {
    let rig = Rig::start().await;
    let mut raw = rig.socket().await;
    raw.say(&hello(&rig.login("Ada").await)).await;
    let welcome = raw.hear("welcome").await;
    let player = welcome["player"].as_str().unwrap().parse().unwrap();
    let channel = raw.hear("channel").await;

    rig.matcher.hold_attaches();
    let mut again = rig.socket().await;
    let have = json!({ "epoch": channel["epoch"], "offset": channel["offset"] });
    let mut comeback = hello("");
    comeback["resume"] = welcome["resume"].clone();
    comeback["attempt"] = json!(2);
    comeback["have"] = json!({ "match": have });
    again.say(&comeback).await;
    again.hear("welcome").await;
    rig.matcher.saw(attach_of(2)).await;
    // To the matcher the first connection still is the one that counts.
    rig.matcher.emit(player, r#"{"e":"match.found"}"#);
    let state = r#"{"t":"queue.state","mode":"race","waiting_ms":1,"size":1}"#;
    rig.matcher.text(player, state);
    rig.matcher.answer_held();

    let Said::Text(first) = again.listen().await else {
        panic!("an event before the channel");
    };
    assert_eq!(
        (&first["t"], &first["recovered"]),
        (&json!("channel"), &json!(true))
    );
    let event = again.hear_event().await;
    assert_eq!(
        (event.offset.0, &event.payload[..]),
        (1, &br#"{"e":"match.found"}"#[..])
    );
}

#[tokio::test]
async fn snapshots_pass_only_after_the_room_answered_this_wish_to_be_in_it() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    player.enter_room(&rig).await;
    rig.room.snapshot(player.id, 1, "shown");
    let Said::Binary(Binary::Snapshot(shown)) = player.raw.listen().await else {
        panic!("no snapshot");
    };
    assert_eq!(shown.head.tick.0, 1);

    rig.room.hold_attaches();
    let ticket = rig.ticket(player.id);
    let join = json!({ "t": "room.join", "ticket": ticket });
    player.raw.say(&join).await;
    let detached = |inbound: &Inbound| matches!(inbound, Inbound::Detach { .. }).then_some(());
    rig.room.saw(detached).await;
    rig.room.snapshot(player.id, 2, "of the attachment before");
    rig.room.answer_held();
    assert_eq!(player.raw.hear("channel").await["ch"], "room");
    rig.room.snapshot(player.id, 3, "shown");
    let Said::Binary(Binary::Snapshot(shown)) = player.raw.listen().await else {
        panic!("no snapshot");
    };
    assert_eq!(shown.head.tick.0, 3);
}
