//! Section 10.4: limits, and peers that test them.

use std::time::Duration;

use crate::it::raw::{BINARY, CONTINUATION, Frame, Length, Raw, TEXT, bytes_of};
use crate::it::rig::Rig;

const LIMIT: usize = 16 * 1024 * 1024;

#[tokio::test]
async fn a_message_over_the_limit_is_refused_by_its_header() {
    let rig = Rig::start().await;
    for opcode in [TEXT, BINARY] {
        let mut raw = rig.echo().await;
        let head = Frame {
            length: Length::Declared(LIMIT as u64 + 1),
            ..Frame::new(opcode, "")
        };
        raw.send_bytes(&head.bytes()[..10]).await;
        assert_eq!(raw.expect_close(1009).await, "message_too_big");
    }
}

#[tokio::test]
async fn fragments_that_are_too_much_together_are_refused_by_the_header_of_the_last() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let half = Frame::binary(vec![1; LIMIT / 2]).more();
    let again = Frame::new(CONTINUATION, vec![1; LIMIT / 2]).more();
    raw.send_bytes(&bytes_of(&[half, again])).await;
    raw.send_bytes(&Frame::new(CONTINUATION, [1]).bytes()[..2])
        .await;
    raw.expect_close(1009).await;
}

#[tokio::test]
async fn absurd_lengths_are_refused() {
    let rig = Rig::start().await;
    for (declared, code) in [
        (1 << 62, 1009),
        ((1 << 63) - 1, 1009),
        (1 << 63, 1002),
        (u64::MAX, 1002),
    ] {
        let mut raw = rig.echo().await;
        let frame = Frame {
            length: Length::Declared(declared),
            ..Frame::binary("")
        };
        raw.send(&frame).await;
        raw.expect_close(code).await;
    }
}

#[tokio::test]
async fn a_peer_that_sends_and_never_reads_is_stopped_and_then_closed() {
    let rig =
        Rig::with(|config| config.loopback_limits.write_stall = Duration::from_millis(300)).await;
    let mut raw = Raw::dial_narrow(rig.private).await;
    raw.upgrade("/debug/echo").await;
    let piece = Frame::binary(vec![1; 64 * 1024]).bytes();
    let mut sent = 0;
    while raw.push(&piece).await {
        sent += piece.len();
        assert!(sent < 256 * 1024 * 1024, "the server takes whatever comes");
    }
    raw.drain().await;
}
