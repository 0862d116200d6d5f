//! Section 5.2: reserved bits and opcodes. No extension is negotiated, so each fails the
//! connection, and what came before it has been answered.

use crate::it::raw::{BINARY, CLOSE, Frame, PING, PONG, TEXT, bytes_of};
use crate::it::rig::Rig;

#[tokio::test]
async fn a_reserved_bit_fails_the_connection() {
    let rig = Rig::start().await;
    for (reserved, opcode) in (1..=7).zip([TEXT, BINARY, PING, PONG, CLOSE, TEXT, BINARY]) {
        let mut raw = rig.echo().await;
        let bad = Frame {
            reserved,
            ..Frame::new(opcode, "")
        };
        raw.send_bytes(&bytes_of(&[Frame::text("good"), bad, Frame::ping("")]))
            .await;
        raw.expect_message(TEXT, b"good").await;
        raw.expect_close(1002).await;
    }
}

#[tokio::test]
async fn a_reserved_opcode_fails_the_connection() {
    let rig = Rig::start().await;
    for opcode in (3..=7).chain(11..=15) {
        let mut raw = rig.echo().await;
        let frames = [
            Frame::text("good"),
            Frame::new(opcode, "what?"),
            Frame::ping(""),
        ];
        raw.send_bytes(&bytes_of(&frames)).await;
        raw.expect_message(TEXT, b"good").await;
        raw.expect_close(1002).await;
    }
}

#[tokio::test]
async fn a_reserved_bit_or_opcode_is_found_at_the_first_byte() {
    let rig = Rig::start().await;
    for first in [0xc1, 0xa2, 0x99, 0x83, 0x8b] {
        let mut raw = rig.echo().await;
        raw.send_bytes(&[first]).await;
        raw.expect_close(1002).await;
    }
}
