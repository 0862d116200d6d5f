//! Sections 5.5.2 and 5.5.3: pings and pongs.

use crate::it::raw::{Frame, PING, PONG, TEXT, bytes_of};
use crate::it::rig::Rig;

#[tokio::test]
async fn a_ping_is_answered_with_its_payload() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    for payload in [&b""[..], b"hello", &[0, 0xff, 0xfe, 0xfd, 0], &[0xfe; 125]] {
        raw.send(&Frame::ping(payload)).await;
        raw.expect_pong(payload).await;
    }
}

#[tokio::test]
async fn a_ping_of_more_than_125_bytes_fails_the_connection_before_they_have_come() {
    let rig = Rig::start().await;
    for opcode in [PING, PONG] {
        let mut raw = rig.echo().await;
        raw.send_bytes(&Frame::new(opcode, vec![0xfe; 126]).bytes()[..2])
            .await;
        raw.expect_close(1002).await;
    }
}

#[tokio::test]
async fn a_pong_that_nobody_asked_for_is_ignored() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let frames = [
        Frame::new(PONG, ""),
        Frame::new(PONG, "unasked"),
        Frame::ping("asked"),
    ];
    raw.send_bytes(&bytes_of(&frames)).await;
    raw.expect_pong(b"asked").await;
}

#[tokio::test]
async fn pings_in_a_row_are_answered_in_order() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let pings: Vec<Frame> = (0..10)
        .map(|at| Frame::ping(format!("ping {at}")))
        .collect();
    raw.send_bytes(&bytes_of(&pings)).await;
    for ping in &pings {
        raw.expect_pong(&ping.payload).await;
    }
    raw.send_chopped(&bytes_of(&pings), 1).await;
    for ping in &pings {
        raw.expect_pong(&ping.payload).await;
    }
}

#[tokio::test]
async fn a_ping_behind_a_message_is_answered_behind_its_echo() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    raw.send_bytes(&bytes_of(&[Frame::text("first"), Frame::ping("second")]))
        .await;
    raw.expect_message(TEXT, b"first").await;
    raw.expect_pong(b"second").await;
}
