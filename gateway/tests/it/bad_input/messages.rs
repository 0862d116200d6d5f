//! Messages that mean nothing: the client is told what is wrong, and goes on.

use bytes::Bytes;
use protocol::frame::{Event, Frame as Binary, Snapshot, SnapshotHead};
use protocol::id::{Channel, Epoch, Offset};
use rpc::inbound::Inbound;
use serde_json::{Value, json};

use crate::it::player::{Player, hello};
use crate::it::raw::{BINARY, CONTINUATION, Frame, Raw, TEXT, bytes_of};
use crate::it::rig::Rig;
use crate::it::web::{self, handshake};

#[tokio::test]
async fn text_that_is_no_message_is_told_what_is_wrong_with_it() {
    let rig = Rig::start().await;
    let cases = [
        ("", "bad_message", Value::Null),
        ("hello", "bad_message", Value::Null),
        ("[1, 2]", "bad_message", Value::Null),
        ("{\"t\":", "bad_message", Value::Null),
        (
            "\u{feff}{\"t\":\"queue.leave\"}",
            "bad_message",
            Value::Null,
        ),
        (r#"{"t":5}"#, "bad_message", Value::Null),
        (r#"{"mode":"race"}"#, "bad_message", json!("t")),
        (r#"{"t":"dance"}"#, "unknown_type", json!("t")),
        (r#"{"t":"welcome"}"#, "unknown_type", json!("t")),
    ];
    let mut player = Player::join(&rig, "Ada").await;
    for (text, code, field) in cases {
        player.raw.send(&Frame::text(text)).await;
        let error = player.raw.expect_error(code).await;
        assert_eq!(error["field"], field, "{text}: {error}");
    }
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn a_field_of_the_wrong_kind_is_named() {
    let rig = Rig::start().await;
    let cases = [
        (r#"{"t":"queue.join"}"#, "mode"),
        (r#"{"t":"queue.join","mode":["race"]}"#, "mode"),
        (
            r#"{"t":"queue.join","mode":"race","regions":{"eu":-1}}"#,
            "regions.eu",
        ),
        (
            r#"{"t":"queue.join","mode":"race","party":{"code":"abcd","size":999}}"#,
            "party.size",
        ),
        (r#"{"t":"room.join"}"#, "ticket"),
        (r#"{"t":"room.join","ticket":7}"#, "ticket"),
    ];
    let mut player = Player::join(&rig, "Ada").await;
    for (text, field) in cases {
        player.raw.send(&Frame::text(text)).await;
        let error = player.raw.expect_error("bad_field").await;
        assert_eq!(error["field"], field, "{error}");
        assert!(text.contains(error["re"].as_str().unwrap()), "{error}");
    }
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn a_message_for_a_room_needs_a_room_and_goes_to_its_node_as_it_is() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    let say = json!({ "t": "room.say", "data": { "move": [3, 4] }, "to": 1 });
    player.raw.say(&say).await;
    let error = player.raw.expect_error("not_in_room").await;
    assert_eq!(error["re"], "room.say");
    player.enter_room(&rig).await;
    player.raw.say(&say).await;
    let text = rig.room.saw(|inbound| match inbound {
        Inbound::Text { text, .. } => Some(text.clone()),
        _ => None,
    });
    assert_eq!(text.await, say.to_string());
    let long = json!({ "t": "room.say", "data": "x".repeat(1023) });
    player.raw.say(&long).await;
    let error = player.raw.expect_error("bad_field").await;
    assert_eq!(error["field"], "data");
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn json_that_is_nested_without_end_is_refused() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    let text = format!(r#"{{"t":"queue.leave","x":{}"#, "[".repeat(15_000));
    player.raw.send(&Frame::text(text)).await;
    player.raw.expect_error("bad_message").await;
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn binary_garbage_is_told_which_field_is_wrong() {
    let rig = Rig::start().await;
    let cases: [(&[u8], &str); 8] = [
        (&[], "kind"),
        (&[0], "kind"),
        (&[7, 1, 2, 3], "kind"),
        (&[0xff; 1000], "kind"),
        (&[1], "time"),
        (&[2, 0, 0, 0, 0, 0], "echo"),
        (&[3, 0xff], "count"),
        (&[4, 0, 0, 0, 0, 0, 0, 0, 0, 0], "first"),
    ];
    let mut player = Player::join(&rig, "Ada").await;
    for (bytes, field) in cases {
        player.raw.send(&Frame::binary(bytes)).await;
        let error = player.raw.expect_error("bad_frame").await;
        assert_eq!(error["field"], field, "{bytes:?}: {error}");
    }
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn frames_that_only_a_server_sends_are_refused() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    let event = Binary::Event(Event {
        channel: Channel::Match,
        epoch: Epoch(1),
        offset: Offset(1),
        payload: Bytes::from_static(br#"{"e":"match.found"}"#),
    });
    let snapshot = Binary::Snapshot(Snapshot {
        head: SnapshotHead::default(),
        body: Bytes::new(),
    });
    for frame in [event, snapshot] {
        player.raw.say_binary(&frame).await;
        let error = player.raw.expect_error("bad_frame").await;
        assert_eq!(error["field"], "kind");
    }
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn whatever_comes_before_hello_is_told_to_wait() {
    let rig = Rig::start().await;
    let token = rig.login("Ada").await;
    let mut raw = rig.socket().await;
    raw.say(&json!({ "t": "queue.join", "mode": "race" })).await;
    let error = raw.expect_error("out_of_order").await;
    assert_eq!(error["re"], "queue.join");
    raw.send(&Frame::binary([1])).await;
    raw.expect_error("out_of_order").await;
    assert!(rig.matcher.seen().is_empty(), "nothing of it went on");
    Player::greet(raw, &hello(&token))
        .await
        .expect_well(&rig)
        .await;
}

#[tokio::test]
async fn a_second_hello_is_refused_and_changes_nothing() {
    let rig = Rig::start().await;
    let other = rig.login("Eve").await;
    let mut player = Player::join(&rig, "Ada").await;
    player.raw.say(&hello(&other)).await;
    let error = player.raw.expect_error("out_of_order").await;
    assert_eq!(error["re"], "hello");
    player.expect_well(&rig).await;
}

#[tokio::test]
async fn a_hello_with_a_bad_field_is_told_which_and_can_be_said_again() {
    let rig = Rig::start().await;
    let token = rig.login("Ada").await;
    let mut raw = rig.socket().await;
    let bad = [
        ("v", Value::Null),
        ("v", json!("1")),
        ("v", json!(70_000)),
        ("instance", Value::Null),
        ("instance", json!("in_12")),
        ("instance", json!("pl_00000000000000aa")),
        ("attempt", json!(-1)),
        ("token", json!(5)),
    ];
    for (field, value) in bad {
        let mut message = hello(&token);
        match value {
            Value::Null => drop(message.as_object_mut().unwrap().remove(field)),
            value => message[field] = value,
        }
        raw.say(&message).await;
        let error = raw.expect_error("bad_field").await;
        assert_eq!(
            (&error["re"], &error["field"]),
            (&json!("hello"), &json!(field))
        );
    }
    Player::greet(raw, &hello(&token))
        .await
        .expect_well(&rig)
        .await;
}

#[tokio::test]
async fn another_version_is_told_to_update_and_not_to_come_back() {
    let rig = Rig::start().await;
    let mut message = hello(&rig.login("Ada").await);
    message["v"] = json!(2);
    // Whatever else was said in that version.
    for hello in [message, json!({"t": "hello", "v": 0, "user": "Ada"})] {
        let mut raw = rig.socket().await;
        raw.say(&hello).await;
        let error = raw.expect_error("upgrade_required").await;
        assert_eq!(error["field"], "v");
        assert_eq!(raw.expect_close(4303).await, "upgrade_required");
    }
}

#[tokio::test]
async fn only_our_subprotocol_is_spoken() {
    let rig = Rig::start().await;
    let offer = async |offered: &str| {
        let request = handshake("/v1/ws", &[("Sec-WebSocket-Protocol", offered)]);
        web::ask(rig.public, &request).await
    };
    for good in ["pixelrush.v1", "chat, pixelrush.v1"] {
        let response = offer(good).await;
        let chosen = response.header("sec-websocket-protocol");
        assert_eq!((response.status, chosen), (101, Some("pixelrush.v1")));
    }
    // Told by the answer to its hello that it has to be updated.
    let response = offer("chat, pixelrush.v9").await;
    let chosen = response.header("sec-websocket-protocol");
    assert_eq!((response.status, chosen), (101, Some("pixelrush.v9")));
    for bad in [
        "pixelrush.vx",
        "pixelrush.v",
        "PixelRush.V1",
        "chat.v1",
        "chat",
    ] {
        assert_eq!(
            offer(bad).await.refusal(),
            (400, "bad_protocol".to_owned()),
            "{bad}"
        );
    }
    assert_eq!(offer("").await.header("sec-websocket-protocol"), None);
}

#[tokio::test]
async fn a_message_that_is_too_large_or_malformed_ends_its_connection_and_no_other() {
    let rig = Rig::start().await;
    let mut other = Player::join(&rig, "Bob").await;
    let mut player = Player::join(&rig, "Ada").await;
    let large = vec![b' '; 16 * 1024 + 1];
    let half = &large[..10_000];
    let cases = [
        (Frame::new(TEXT, large.clone()).bytes(), 1009),
        (Frame::new(BINARY, large.clone()).bytes(), 1009),
        (
            bytes_of(&[Frame::text(half).more(), Frame::new(CONTINUATION, half)]),
            1009,
        ),
        (Frame::text(b"\xff").bytes(), 1007),
        (Frame::new(3, "").bytes(), 1002),
    ];
    for (attempt, (bytes, code)) in (2..).zip(cases) {
        // The server answers before all of it has come.
        let _ = player.raw.push(&bytes).await;
        player.raw.expect_close(code).await;
        let comeback = player.comeback(attempt);
        player = Player::greet(rig.socket().await, &comeback).await;
        assert_eq!(player.welcome["resumed"], true);
    }
    player.expect_well(&rig).await;
    other.expect_well(&rig).await;
}

#[tokio::test]
async fn the_largest_message_that_may_be_is_read() {
    let rig = Rig::start().await;
    let mut player = Player::join(&rig, "Ada").await;
    let text = format!("{:<1$}", r#"{"t":"dance"}"#, 16 * 1024);
    player.raw.send(&Frame::text(text)).await;
    player.raw.expect_error("unknown_type").await;
}

#[tokio::test]
async fn something_else_than_http_is_refused() {
    let rig = Rig::start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        &[0; 64],
    ] {
        let mut raw = Raw::dial(rig.public).await;
        raw.send_bytes(bytes).await;
        assert_eq!(raw.response().await.status, 400);
        raw.expect_end().await;
    }
}
