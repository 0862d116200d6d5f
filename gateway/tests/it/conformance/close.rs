//! Sections 5.5.1 and 7: the end of a connection.

use crate::it::raw::{BINARY, CLOSE, Frame, TEXT, bytes_of};
use crate::it::rig::Rig;

/// Sends `frames` and expects the close to be answered with the same payload.
async fn expect_answer(rig: &Rig, close: &Frame) {
    let mut raw = rig.echo().await;
    raw.send(close).await;
    let got = raw.frame().await.expect("a close frame");
    assert_eq!((got.opcode, &got.payload), (CLOSE, &close.payload));
    raw.expect_end().await;
}

#[tokio::test]
async fn a_close_is_answered_and_then_the_server_ends_the_connection() {
    let rig = Rig::start().await;
    expect_answer(&rig, &Frame::new(CLOSE, "")).await;
    expect_answer(&rig, &Frame::close(1000, "")).await;
    expect_answer(&rig, &Frame::close(1000, "that was all")).await;
    expect_answer(&rig, &Frame::close(1000, [b'*'; 123])).await;
    expect_answer(&rig, &Frame::close(1000, "Hello-µ@ßöäüàá-UTF-8!!")).await;
}

#[tokio::test]
async fn valid_codes_are_answered_with_themselves() {
    let rig = Rig::start().await;
    for code in (1000..=1003)
        .chain(1007..=1013)
        .chain([3000, 3999, 4000, 4999])
    {
        expect_answer(&rig, &Frame::close(code, "")).await;
    }
}

#[tokio::test]
async fn invalid_codes_are_answered_with_a_protocol_error() {
    let rig = Rig::start().await;
    for code in [
        0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
    ] {
        let mut raw = rig.echo().await;
        raw.send(&Frame::close(code, "why not")).await;
        raw.expect_close(1002).await;
    }
}

#[tokio::test]
async fn half_a_code_or_too_long_a_reason_is_a_protocol_error() {
    let rig = Rig::start().await;
    for close in [Frame::new(CLOSE, [3]), Frame::close(1000, [b'*'; 124])] {
        let mut raw = rig.echo().await;
        raw.send(&close).await;
        raw.expect_close(1002).await;
    }
}

#[tokio::test]
async fn a_reason_has_to_be_utf8() {
    let rig = Rig::start().await;
    for reason in [&b"\xed\xa0\x80"[..], b"cut \xc3", b"\xff"] {
        let mut raw = rig.echo().await;
        raw.send(&Frame::close(1000, reason)).await;
        raw.expect_close(1007).await;
    }
}

#[tokio::test]
async fn what_came_before_a_close_is_answered_before_it() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    raw.send_bytes(&bytes_of(&[
        Frame::text("last words"),
        Frame::close(1000, ""),
    ]))
    .await;
    raw.expect_message(TEXT, b"last words").await;
    raw.expect_close(1000).await;
    let mut raw = rig.echo().await;
    let large = Frame::binary(vec![7; 256 * 1024]);
    raw.send_bytes(&bytes_of(&[large.clone(), Frame::close(1000, "")]))
        .await;
    raw.expect_message(BINARY, &large.payload).await;
    raw.expect_close(1000).await;
}

#[tokio::test]
async fn what_comes_after_a_close_is_ignored() {
    let rig = Rig::start().await;
    let unmasked = Frame {
        mask: None,
        ..Frame::text("too late")
    };
    for late in [
        Frame::text("too late"),
        Frame::ping(""),
        Frame::close(1000, ""),
        unmasked,
    ] {
        let mut raw = rig.echo().await;
        raw.send_bytes(&bytes_of(&[Frame::close(1001, ""), late]))
            .await;
        raw.expect_close(1001).await;
    }
}

#[tokio::test]
async fn a_client_that_answers_our_close_ends_in_order() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    raw.send(&Frame::new(3, "reserved")).await;
    let got = raw.frame().await.expect("a close frame");
    assert_eq!(got.opcode, CLOSE);
    raw.send(&Frame::new(CLOSE, got.payload)).await;
    raw.expect_end().await;
}

#[tokio::test]
async fn a_client_that_floods_on_after_our_close_still_learns_why() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    let mut bytes = Frame::new(3, "reserved").bytes();
    bytes.extend(vec![0x5a; 500_000]);
    raw.send_bytes(&bytes).await;
    raw.expect_close(1002).await;
}

#[tokio::test]
async fn a_client_that_vanishes_takes_nobody_with_it() {
    let rig = Rig::start().await;
    for bytes in [
        &b""[..],
        &Frame::text("half").bytes()[..7],
        &Frame::ping("whole").bytes(),
    ] {
        let mut raw = rig.echo().await;
        raw.send_bytes(bytes).await;
        drop(raw);
    }
    let mut raw = rig.echo().await;
    raw.send(&Frame::text("here")).await;
    raw.expect_message(TEXT, b"here").await;
}
