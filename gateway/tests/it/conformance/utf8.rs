//! Section 8.1: text is UTF-8, and what is not is failed at the byte that shows it.

use crate::it::raw::{CONTINUATION, Frame, TEXT, bytes_of};
use crate::it::rig::Rig;

/// Every boundary of the encoding, and what is often got wrong.
const GOOD: [&str; 12] = [
    "Hello-µ@ßöäüàá-UTF-8!!",
    "κόσμε",
    "\u{0}\u{7f}",
    "\u{80}\u{7ff}",
    "\u{800}\u{d7ff}\u{e000}\u{fffd}",
    "\u{feff}with a byte order mark",
    "\u{fffe}\u{ffff}",
    "\u{10000}\u{10ffff}",
    "\u{1f3c1}\u{1f3ce}\u{fe0f}",
    "\u{1fffe}\u{10fffe}",
    "e\u{301}",
    "שלום \u{202b}",
];

/// What is wrong, and how many bytes of it are still the start of something right.
const BAD: [(&[u8], usize); 18] = [
    (b"\x80", 0),
    (b"\xbf", 0),
    (b"ok\xc0\xaf", 2),
    (b"\xc1\xbf", 0),
    (b"\xe0\x80\xaf", 1),
    (b"\xe0\x9f\xbf", 1),
    (b"\xf0\x80\x80\xaf", 1),
    (b"\xf0\x8f\xbf\xbf", 1),
    (b"\xed\xa0\x80", 1),
    (b"\xed\xbf\xbf", 1),
    (
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        12,
    ),
    (b"\xf4\x90\x80\x80", 1),
    (b"\xf5\x80\x80\x80", 0),
    (b"\xf8\x88\x80\x80\x80", 0),
    (b"\xfc\x84\x80\x80\x80\x80", 0),
    (b"\xfe", 0),
    (b"a\xff", 1),
    (b"\xc3(", 1),
];

/// Right as far as they go, and at their end they must not be.
const TRUNCATED: [&[u8]; 6] = [
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f\x8f",
    b"abc\xce",
    b"\xf4\x8f\xbf",
    b"\xe0\xa0",
];

#[tokio::test]
async fn good_text_comes_back() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    for text in GOOD {
        raw.send(&Frame::text(text)).await;
        raw.expect_message(TEXT, text.as_bytes()).await;
    }
}

#[tokio::test]
async fn a_code_point_may_be_split_between_fragments() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    for text in GOOD {
        let mut frames: Vec<Frame> = text
            .bytes()
            .map(|byte| Frame::new(CONTINUATION, [byte]).more())
            .collect();
        frames[0].opcode = TEXT;
        frames.push(Frame::new(CONTINUATION, ""));
        for size in [1, 4096] {
            raw.send_chopped(&bytes_of(&frames), size).await;
            raw.expect_message(TEXT, text.as_bytes()).await;
        }
    }
}

#[tokio::test]
async fn bad_text_fails_the_connection() {
    let rig = Rig::start().await;
    let truncated = TRUNCATED.iter().copied();
    for text in BAD.iter().map(|(text, _)| *text).chain(truncated) {
        let mut raw = rig.echo().await;
        raw.send(&Frame::text(text)).await;
        assert_eq!(raw.expect_close(1007).await, "invalid_utf8", "{text:x?}");
    }
}

#[tokio::test]
async fn bad_text_fails_within_the_frame_at_the_byte_that_shows_it() {
    let rig = Rig::start().await;
    for (text, good) in BAD {
        let mut raw = rig.echo().await;
        let mut payload = text.to_vec();
        payload.extend([b'.'; 200]);
        let bytes = Frame::text(payload).bytes();
        raw.send_bytes(&bytes[..8 + good + 1]).await;
        raw.expect_close(1007).await;
    }
}

#[tokio::test]
async fn bad_text_fails_in_an_early_fragment_before_the_message_is_whole() {
    let rig = Rig::start().await;
    for (text, good) in BAD {
        let mut raw = rig.echo().await;
        let frames = [
            Frame::text(&text[..good]).more(),
            Frame::new(CONTINUATION, &text[good..]).more(),
        ];
        raw.send_bytes(&bytes_of(&frames)).await;
        raw.expect_close(1007).await;
    }
}

#[tokio::test]
async fn text_that_ends_within_a_code_point_fails_at_its_last_fragment() {
    let rig = Rig::start().await;
    for text in TRUNCATED {
        let mut raw = rig.echo().await;
        let frames = [Frame::text(text).more(), Frame::ping("still well")];
        raw.send_bytes(&bytes_of(&frames)).await;
        raw.expect_pong(b"still well").await;
        raw.send(&Frame::new(CONTINUATION, "")).await;
        raw.expect_close(1007).await;
    }
}

#[tokio::test]
async fn binary_messages_and_pings_need_not_be_text() {
    let rig = Rig::start().await;
    let mut raw = rig.echo().await;
    raw.send(&Frame::ping(b"\xff\xfe")).await;
    raw.expect_pong(b"\xff\xfe").await;
    raw.send(&Frame::binary(b"\xc0\xaf")).await;
    raw.expect_message(crate::it::raw::BINARY, b"\xc0\xaf")
        .await;
}
