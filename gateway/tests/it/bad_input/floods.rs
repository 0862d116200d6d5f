//! Clients that send more than they may.

use std::time::Duration;

use chassis::limit::Rate;
use serde_json::json;

use crate::it::player::{Player, Said};
use crate::it::raw::{CLOSE, CONTINUATION, Frame, PONG, TEXT, bytes_of};
use crate::it::rig::Rig;

/// A gateway on which five messages pass, and twenty more are forgiven.
async fn strict() -> Rig {
    Rig::with(|config| {
        config.loopback_limits.messages = Rate::per_second(5, 1);
        config.loopback_limits.strikes = 20;
    })
    .await
}

/// Floods a connection and expects that it is told to slow down, not too often, and then closed.
async fn expect_abuse(rig: &Rig, player: &mut Player, flood: &[Frame]) {
    let _ = player.raw.push(&bytes_of(flood)).await;
    let mut told = 0;
    loop {
        let got = player.raw.frame().await.expect("a close in the end");
        match got.opcode {
            TEXT => {
                let error: serde_json::Value = serde_json::from_slice(&got.payload).unwrap();
                assert_eq!(error["code"], "rate_limited");
                assert!(
                    error["retry_after_ms"]
                        .as_u64()
                        .is_some_and(|wait| wait > 0)
                );
                told += 1;
            }
            PONG => {}
            opcode => {
                assert_eq!(
                    (opcode, &got.payload[..2]),
                    (CLOSE, &4304u16.to_be_bytes()[..])
                );
                break;
            }
        }
    }
    assert!((1..=12).contains(&told), "{told}");
    player.raw.expect_end().await;
    let mut other = Player::join(rig, "Bob").await;
    other.expect_well(rig).await;
}

#[tokio::test]
async fn a_flood_of_messages_is_told_to_slow_down_and_then_closed() {
    let rig = strict().await;
    let mut player = Player::join(&rig, "Ada").await;
    let flood = vec![Frame::text(r#"{"t":"queue.leave"}"#); 200];
    expect_abuse(&rig, &mut player, &flood).await;
    let passed = rig.matcher.seen().len();
    assert!(passed < 12, "{passed} items went on to the matcher");
}

#[tokio::test]
async fn a_flood_of_pings_is_one_as_well() {
    let rig = strict().await;
    let mut player = Player::join(&rig, "Ada").await;
    expect_abuse(&rig, &mut player, &vec![Frame::ping("x"); 200]).await;
}

#[tokio::test]
async fn a_flood_before_hello_is_one_as_well() {
    let rig = strict().await;
    let mut raw = rig.socket().await;
    let _ = raw.push(&bytes_of(&vec![Frame::text("{}"); 200])).await;
    loop {
        let got = raw.frame().await.expect("a close in the end");
        if got.opcode == CLOSE {
            assert_eq!(got.payload[..2], 4304u16.to_be_bytes());
            break;
        }
    }
}

#[tokio::test]
async fn a_flood_of_nonsense_within_the_rate_is_closed_too() {
    let rig = Rig::with(|config| {
        config.loopback_limits.messages = Rate::per_second(1000, 1000);
        config.loopback_limits.strikes = 20;
    })
    .await;
    let mut player = Player::join(&rig, "Ada").await;
    let _ = player
        .raw
        .push(&bytes_of(&vec![Frame::binary([0xff]); 100]))
        .await;
    loop {
        let got = player.raw.frame().await.expect("a close in the end");
        if got.opcode == CLOSE {
            assert_eq!(got.payload[..2], 4304u16.to_be_bytes());
            break;
        }
    }
}

#[tokio::test]
async fn bytes_are_limited_and_fragments_are_counted_with_their_headers() {
    let rig = Rig::with(|config| config.loopback_limits.bytes = Rate::per_second(20_000, 1)).await;
    let mut player = Player::join(&rig, "Ada").await;
    let mut frames = vec![Frame::text(r#"{"t":"#).more()];
    frames.resize(5_000, Frame::new(CONTINUATION, "").more());
    frames.push(Frame::new(CONTINUATION, r#""dance"}"#));
    player.raw.send_bytes(&bytes_of(&frames)).await;
    let error = loop {
        match player.raw.listen().await {
            Said::Text(error) => break error,
            Said::Binary(_) => {}
        }
    };
    assert_eq!(error["code"], "rate_limited", "{error}");
    assert!(
        error["retry_after_ms"]
            .as_u64()
            .is_some_and(|wait| wait > 1_000)
    );
}

#[tokio::test]
async fn who_waits_as_told_is_served_again() {
    let rig = Rig::with(|config| config.loopback_limits.messages = Rate::per_second(4, 20)).await;
    let mut player = Player::join(&rig, "Ada").await;
    let flood = vec![Frame::text(r#"{"t":"dance"}"#); 8];
    player.raw.send_bytes(&bytes_of(&flood)).await;
    let mut wait = None;
    for _ in 0..8 {
        let Said::Text(error) = player.raw.listen().await else {
            panic!("a binary frame instead of an error");
        };
        match error["code"].as_str() {
            Some("rate_limited") => wait = error["retry_after_ms"].as_u64(),
            code => assert_eq!(code, Some("unknown_type")),
        }
    }
    // What is tried here is the waiting itself.
    tokio::time::sleep(Duration::from_millis(wait.expect("it was a flood"))).await;
    player.raw.say(&json!({ "t": "dance" })).await;
    player.raw.expect_error("unknown_type").await;
}
