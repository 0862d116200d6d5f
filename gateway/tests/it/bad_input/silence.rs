//! Peers that are half there: the connection stands, and nobody says anything.

use std::time::Duration;

use protocol::frame::{Acks, Beat, Frame as Binary};
use rpc::inbound::Inbound;

use crate::it::player::{Player, Said};
use crate::it::raw::{Frame, PONG};
use crate::it::rig::Rig;

async fn impatient() -> Rig {
    Rig::with(|config| {
        config.heartbeat.deadline = Duration::from_millis(300);
        config.heartbeat.active_deadline = Duration::from_millis(300);
    })
    .await
}

#[tokio::test]
async fn a_client_that_says_nothing_is_closed_so_that_it_may_resume() {
    let rig = impatient().await;
    let mut player = Player::join(&rig, "Ada").await;
    assert_eq!(player.raw.expect_close(4000).await, "heartbeat_timeout");
    let detached = |inbound: &Inbound| match inbound {
        Inbound::Detach { leave, .. } => Some(*leave),
        _ => None,
    };
    assert!(!rig.matcher.saw(detached).await);
    let comeback = player.comeback(2);
    let mut again = Player::greet(rig.socket().await, &comeback).await;
    again.expect_well(&rig).await;
}

#[tokio::test]
async fn the_deadline_holds_in_a_room_too() {
    let rig = impatient().await;
    let mut player = Player::join(&rig, "Ada").await;
    player.enter_room(&rig).await;
    player.raw.expect_close(4000).await;
    let detached = |inbound: &Inbound| matches!(inbound, Inbound::Detach { .. }).then_some(());
    rig.room.saw(detached).await;
}

#[tokio::test]
async fn half_a_message_is_no_sign_of_life() {
    let rig = impatient().await;
    let mut player = Player::join(&rig, "Ada").await;
    let bytes = Frame::text(r#"{"t":"queue.leave"}"#).bytes();
    for byte in &bytes[..bytes.len() - 1] {
        let readable = player.raw.stream.readable();
        if tokio::time::timeout(Duration::from_millis(40), readable)
            .await
            .is_ok()
        {
            break;
        }
        player.raw.send_bytes(&[*byte]).await;
    }
    player.raw.expect_close(4000).await;
}

#[tokio::test]
async fn a_beat_of_either_kind_is_a_sign_of_life_and_is_answered() {
    let rig = impatient().await;
    let mut silent = Player::join(&rig, "Bob").await;
    let mut beating = Player::join(&rig, "Ada").await;
    let closed = silent.raw.expect_close(4000);
    let mut closed = std::pin::pin!(closed);
    let mut beats = tokio::time::interval(Duration::from_millis(50));
    let mut count = 0;
    loop {
        tokio::select! {
            _ = &mut closed => break,
            _ = beats.tick() => count += 1,
        }
        if count % 2 == 0 {
            beating.raw.send(&Frame::ping("ws")).await;
            let got = beating.raw.frame().await.expect("a pong");
            assert_eq!((got.opcode, &got.payload[..]), (PONG, &b"ws"[..]));
            continue;
        }
        let beat = Beat {
            time: count,
            ..Beat::default()
        };
        beating
            .raw
            .say_binary(&Binary::Ping(beat, Acks::default()))
            .await;
        let Said::Binary(Binary::Pong(pong)) = beating.raw.listen().await else {
            panic!("no pong");
        };
        assert_eq!(pong.echo, count);
    }
    beating.expect_well(&rig).await;
}
