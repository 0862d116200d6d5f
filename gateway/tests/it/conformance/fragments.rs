//! Section 5.4: fragmentation.

use crate::it::raw::{BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT, bytes_of};
use crate::it::rig::Rig;

fn more(payload: &str) -> Frame {
    Frame::new(CONTINUATION, payload).more()
}

fn last(payload: &str) -> Frame {
    Frame::new(CONTINUATION, payload)
}

#[tokio::test]
async fn fragments_make_one_message() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    for opcode in [TEXT, BINARY] {
        let frames = [
            Frame::new(opcode, "one, ").more(),
            more("two, "),
            last("three"),
        ];
        for size in [1, 1000] {
            raw.send_chopped(&bytes_of(&frames), size).await;
            raw.expect_message(opcode, b"one, two, three").await;
        }
    }
}

#[tokio::test]
async fn fragments_may_be_empty() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let all: [(&[Frame], &[u8]); 4] = [
        (&[Frame::text("").more(), more(""), last("")], b""),
        (
            &[Frame::text("").more(), more("middle"), last("")],
            b"middle",
        ),
        (&[Frame::text("start").more(), more(""), last("")], b"start"),
        (&[Frame::text("").more(), last("end")], b"end"),
    ];
    for (frames, whole) in all {
        raw.send_bytes(&bytes_of(frames)).await;
        raw.expect_message(TEXT, whole).await;
    }
}

#[tokio::test]
async fn a_message_may_have_very_many_fragments() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let mut frames = vec![Frame::binary("x").more()];
    frames.resize(10_000, more("x"));
    frames.push(last("x"));
    raw.send_bytes(&bytes_of(&frames)).await;
    raw.expect_message(BINARY, &vec![b'x'; 10_001]).await;
}

#[tokio::test]
async fn control_frames_between_fragments_are_answered_at_once() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let frames = [
        Frame::text("one, ").more(),
        Frame::ping("now"),
        more("two, "),
        Frame::new(PONG, ""),
    ];
    raw.send_bytes(&bytes_of(&frames)).await;
    raw.expect_pong(b"now").await;
    raw.send_bytes(&bytes_of(&[Frame::ping("again"), last("three")]))
        .await;
    raw.expect_pong(b"again").await;
    raw.expect_message(TEXT, b"one, two, three").await;
}

#[tokio::test]
async fn a_close_between_fragments_is_answered() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    raw.send_bytes(&bytes_of(&[
        Frame::text("one").more(),
        Frame::close(1000, "enough"),
    ]))
    .await;
    raw.expect_close(1000).await;
}

#[tokio::test]
async fn a_continuation_of_nothing_fails_the_connection() {
    let rig = Rig::start().await;
    let cases: [&[Frame]; 3] = [
        &[last("nothing")],
        &[more("nothing"), last("")],
        &[Frame::text("whole"), last("nothing")],
    ];
    for frames in cases {
        let mut raw = rig.echo().await;
        raw.send_bytes(&bytes_of(frames)).await;
        if frames[0].opcode == TEXT {
            raw.expect_message(TEXT, b"whole").await;
        }
        raw.expect_close(1002).await;
    }
}

#[tokio::test]
async fn a_message_within_a_fragmented_message_fails_the_connection() {
    let rig = Rig::start().await;
    for (outer, inner) in [
        (TEXT, TEXT),
        (TEXT, BINARY),
        (BINARY, TEXT),
        (BINARY, BINARY),
    ] {
        for last in [true, false] {
            let mut raw = rig.echo().await;
            let second = Frame {
                last,
                ..Frame::new(inner, "two")
            };
            raw.send_bytes(&bytes_of(&[Frame::new(outer, "one").more(), second]))
                .await;
            raw.expect_close(1002).await;
        }
    }
}

#[tokio::test]
async fn a_fragmented_control_frame_fails_the_connection() {
    let rig = Rig::start().await;
    for opcode in [PING, PONG, CLOSE] {
        let mut raw = rig.echo().await;
        raw.send_bytes(&bytes_of(&[Frame::new(opcode, "").more(), last("")]))
            .await;
        raw.expect_close(1002).await;
    }
}
