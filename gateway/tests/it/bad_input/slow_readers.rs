//! Clients that do not read: what waits for them is bounded, and nobody waits with them.

use std::time::Duration;

use chassis::config::ByteSize;
use protocol::frame::Frame as Binary;
use rpc::inbound::Inbound;
use serde_json::json;

use crate::it::player::{Player, Said, hello};
use crate::it::raw::{CLOSE, Frame, Raw};
use crate::it::rig::Rig;

/// A player whose socket takes next to nothing until it is read.
async fn narrow(rig: &Rig, name: &str) -> Player {
    let mut raw = Raw::dial_narrow(rig.public).await;
    raw.upgrade("/v1/ws").await;
    let token = rig.login(name).await;
    Player::greet(raw, &hello(&token)).await
}

/// An event of `len` bytes with a number in it.
fn numbered(at: u64, len: usize) -> String {
    let head = format!(r#"{{"e":"n","at":{at},"pad":""#);
    format!("{head}{}\"}}", "x".repeat(len - head.len() - 2))
}

fn number_in(payload: &[u8]) -> u64 {
    let event: serde_json::Value = serde_json::from_slice(payload).unwrap();
    event["at"].as_u64().unwrap()
}

#[tokio::test]
async fn snapshots_that_wait_coalesce_to_the_newest() {
    const COUNT: u32 = 3_000;
    let rig = Rig::start().await;
    let mut slow = narrow(&rig, "Ada").await;
    slow.enter_room(&rig).await;
    let mut barrier = Player::join(&rig, "Bob").await;
    barrier.enter_room(&rig).await;
    for tick in 1..=COUNT {
        rig.room.snapshot(slow.id, tick, vec![0; 1_000]);
        if tick % 100 == 0 {
            // The other one, behind the same link, is served all the while.
            rig.room.emit(barrier.id, r#"{"e":"so far"}"#);
            barrier.raw.hear_event().await;
        }
    }
    let (mut seen, mut newest) = (0, 0);
    while newest < COUNT {
        if let Said::Binary(Binary::Snapshot(snapshot)) = slow.raw.listen().await {
            assert!(snapshot.head.tick.0 > newest, "in order");
            newest = snapshot.head.tick.0;
            seen += 1;
        }
    }
    assert!(seen < COUNT / 2, "{seen} of {COUNT} were sent");
    slow.expect_well(&rig).await;
}

#[tokio::test]
async fn events_over_the_limit_close_the_client_which_then_resumes_without_a_loss() {
    const COUNT: u64 = 40;
    let rig = Rig::with(|config| config.loopback_limits.outbox = ByteSize(200 * 1024)).await;
    let mut slow = narrow(&rig, "Ada").await;
    let mut barrier = Player::join(&rig, "Bob").await;
    rig.matcher.emit(slow.id, numbered(0, 4_000));
    let mut last = slow.raw.hear_event().await;
    for at in 1..COUNT {
        rig.matcher.emit(slow.id, numbered(at, 4_000));
    }
    barrier.expect_well(&rig).await;
    // Nothing was acknowledged, so the matcher sends all of it again.
    rig.matcher.resend(slow.id);
    barrier.expect_well(&rig).await;
    loop {
        let (opcode, payload) = slow.raw.piece().await;
        if opcode == CLOSE {
            assert_eq!(
                payload,
                [&4001u16.to_be_bytes()[..], b"slow_consumer"].concat()
            );
            break;
        }
        let Ok(Binary::Event(event)) = Binary::decode(&payload.into()) else {
            panic!("only events were sent");
        };
        assert_eq!(number_in(&event.payload), number_in(&last.payload) + 1);
        last = event;
    }
    let had = number_in(&last.payload);
    assert!(had < COUNT - 1, "the limit was never reached");
    let mut comeback = slow.comeback(2);
    comeback["have"] = json!({ "match": { "epoch": last.epoch, "offset": last.offset } });
    let mut raw = rig.socket().await;
    raw.say(&comeback).await;
    assert_eq!(raw.hear("channel").await["recovered"], true);
    for at in had + 1..COUNT {
        let event = raw.hear_event().await;
        assert_eq!(number_in(&event.payload), at);
        raw.acknowledge(&event).await;
    }
    let settled = |inbound: &Inbound| match inbound {
        Inbound::Ack { ack, .. } => (u64::from(ack.offset.0) == COUNT).then_some(()),
        _ => None,
    };
    rig.matcher.saw(settled).await;
}

#[tokio::test]
async fn queue_states_are_dropped_while_anything_waits() {
    let rig = Rig::start().await;
    let mut slow = narrow(&rig, "Ada").await;
    let mut barrier = Player::join(&rig, "Bob").await;
    for at in 0..40 {
        rig.matcher.emit(slow.id, numbered(at, 4_000));
    }
    let state = r#"{"t":"queue.state","mode":"race","waiting_ms":1,"size":2}"#;
    (0..300).for_each(|_| rig.matcher.text(slow.id, state));
    barrier.expect_well(&rig).await;
    let (mut events, mut states) = (0, 0);
    while events < 40 {
        match slow.raw.listen().await {
            Said::Binary(Binary::Event(event)) => {
                assert_eq!(number_in(&event.payload), events);
                events += 1;
            }
            Said::Text(text) => states += usize::from(text["t"] == "queue.state"),
            Said::Binary(_) => {}
        }
    }
    assert!(states < 10, "{states} of 300 were sent");
}

#[tokio::test]
async fn a_client_that_takes_nothing_at_all_is_let_go() {
    let rig = Rig::with(|config| {
        config.loopback_limits.write_stall = Duration::from_millis(300);
    })
    .await;
    let slow = narrow(&rig, "Ada").await;
    for at in 0..50 {
        rig.matcher.emit(slow.id, numbered(at, 4_000));
    }
    let detached = |inbound: &Inbound| matches!(inbound, Inbound::Detach { .. }).then_some(());
    rig.matcher.saw(detached).await;
}

#[tokio::test]
async fn an_origin_can_end_a_connection_that_takes_nothing() {
    let rig = Rig::start().await;
    let slow = narrow(&rig, "Ada").await;
    for at in 0..50 {
        rig.matcher.emit(slow.id, numbered(at, 4_000));
    }
    // The same player from elsewhere: the old connection goes now, not when its stall is noticed.
    let mut message = hello(&rig.login("Ada").await);
    message["instance"] = json!("in_00000000000000bb");
    let new = Player::greet(rig.socket().await, &message).await;
    let old = slow.welcome["session"].clone();
    let detached = |inbound: &Inbound| match inbound {
        Inbound::Detach { session, .. } => (old == session.to_string()).then_some(()),
        _ => None,
    };
    let waited = tokio::time::timeout(Duration::from_secs(5), rig.matcher.saw(detached));
    waited.await.expect("before the stall of ten seconds");
    assert_ne!(new.welcome["session"], old);
}

#[tokio::test]
async fn heartbeats_count_while_the_client_is_slow_to_read() {
    let rig = Rig::with(|config| {
        config.heartbeat.deadline = Duration::from_millis(400);
    })
    .await;
    let mut slow = narrow(&rig, "Ada").await;
    for at in 0..50 {
        rig.matcher.emit(slow.id, numbered(at, 4_000));
    }
    // A client that says nothing, and was there before, is gone first.
    let mut silent = Player::join(&rig, "Bob").await;
    let mut beats = tokio::time::interval(Duration::from_millis(50));
    let closed = silent.raw.expect_close(4000);
    let mut closed = std::pin::pin!(closed);
    loop {
        tokio::select! {
            reason = &mut closed => break assert_eq!(reason, "heartbeat_timeout"),
            _ = beats.tick() => slow.raw.send(&Frame::new(10, "here")).await,
        }
    }
    for at in 0..50 {
        let event = slow.raw.hear_event().await;
        assert_eq!(number_in(&event.payload), at);
    }
}
