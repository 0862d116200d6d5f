//! Section 5.2: frames of every length, whole and chopped.

use crate::it::raw::{BINARY, Frame, Length, Raw, TEXT, bytes_of};
use crate::it::rig::Rig;

/// Both sides of every change in how a length is written.
const LENGTHS: [usize; 9] = [0, 1, 125, 126, 127, 128, 65_535, 65_536, 70_001];

fn payload(len: usize) -> Vec<u8> {
    (0..len).map(|at| b'a' + (at % 23) as u8).collect()
}

async fn expect_echo(raw: &mut Raw, opcode: u8, payload: Vec<u8>) {
    let frame = Frame::new(opcode, payload);
    raw.send(&frame).await;
    raw.expect_message(opcode, &frame.payload).await;
}

#[tokio::test]
async fn messages_of_every_length_come_back() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    for len in LENGTHS {
        expect_echo(&mut raw, TEXT, payload(len)).await;
        expect_echo(&mut raw, BINARY, payload(len)).await;
    }
}

#[tokio::test]
async fn binary_messages_may_hold_any_byte() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    expect_echo(&mut raw, BINARY, (0..=255).collect()).await;
    expect_echo(&mut raw, BINARY, vec![0xfe; 300]).await;
}

#[tokio::test]
async fn any_mask_will_do() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    for mask in [[0; 4], [0xff; 4], [0, 0xff, 1, 0x80]] {
        let frame = Frame {
            mask: Some(mask),
            ..Frame::text("masked")
        };
        raw.send(&frame).await;
        raw.expect_message(TEXT, b"masked").await;
    }
}

#[tokio::test]
async fn frames_may_come_in_pieces_of_any_size() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let frames = [
        Frame::text(payload(126)),
        Frame::binary(payload(300)),
        Frame::text(""),
    ];
    for size in [1, 2, 3, 7, 13, 1000] {
        raw.send_chopped(&bytes_of(&frames), size).await;
        for frame in &frames {
            raw.expect_message(frame.opcode, &frame.payload).await;
        }
    }
    let large = Frame::binary(payload(65_536));
    raw.send_chopped(&large.bytes(), 997).await;
    raw.expect_message(BINARY, &large.payload).await;
}

#[tokio::test]
async fn many_messages_in_one_segment_come_back_in_order() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let frames: Vec<Frame> = (0..1000)
        .map(|at| Frame::text(format!("message {at}")))
        .collect();
    raw.send_bytes(&bytes_of(&frames)).await;
    for frame in &frames {
        raw.expect_message(TEXT, &frame.payload).await;
    }
}

#[tokio::test]
async fn sixteen_mebibytes_come_back_as_text_and_as_binary() {
    let rig = Rig::start().await;
    for opcode in [TEXT, BINARY] {
        let mut raw = rig.echo().await;
        expect_echo(&mut raw, opcode, vec![b'*'; 16 * 1024 * 1024]).await;
    }
}

#[tokio::test]
async fn an_unmasked_frame_fails_the_connection_before_its_payload_has_come() {
    let rig = Rig::start().await;
    for len in [0, 5, 4000] {
        let mut raw = rig.echo().await;
        let frame = Frame {
            mask: None,
            ..Frame::text(payload(len))
        };
        raw.send_bytes(&frame.bytes()[..2]).await;
        raw.expect_close(1002).await;
    }
}

#[tokio::test]
async fn a_length_that_is_not_in_its_shortest_form_fails_the_connection() {
    let rig = Rig::start().await;
    for (length, len) in [
        (Length::Two, 125),
        (Length::Eight, 5),
        (Length::Eight, 65_535),
    ] {
        let mut raw = rig.echo().await;
        let frame = Frame {
            length,
            ..Frame::binary(payload(len))
        };
        raw.send(&frame).await;
        raw.expect_close(1002).await;
    }
}
