//! The contract of [`Tapes`].

use std::time::Duration;

use bytes::Bytes;
use protocol::id::{RoomId, Tick};
use tokio::time::{Instant, sleep};

use crate::tapes::{Segment, Tapes};

/// Long enough for a suite.
const KEEP: Duration = Duration::from_secs(600);

/// Runs every check over `tapes`, of which there is none. `short` is a time after which the store
/// can let a tape go exactly enough: 200 ms and more on a real clock.
pub async fn all(tapes: &dyn Tapes, short: Duration) {
    segments_are_read_in_order_from_where_one_is(tapes, RoomId(1)).await;
    a_segment_that_is_repeated_is_dropped(tapes, RoomId(2)).await;
    a_long_tape_comes_whole(tapes, RoomId(3)).await;
    a_tape_goes_after_its_time(tapes, RoomId(4), short).await;
}

async fn segments_are_read_in_order_from_where_one_is(tapes: &dyn Tapes, room: RoomId) {
    assert_eq!(read(tapes, room, 0).await, []);
    let segments = [segment(600, b"\0\xff\r\n"), segment(1200, b"")];
    for segment in &segments {
        append(tapes, room, segment, KEEP).await;
    }
    assert_eq!(read(tapes, room, 0).await, segments);
    assert_eq!(read(tapes, room, 599).await, segments);
    assert_eq!(read(tapes, room, 600).await, segments[1..]);
    assert_eq!(read(tapes, room, 1200).await, []);
    assert_eq!(read(tapes, room, u32::MAX).await, []);
    assert_eq!(read(tapes, RoomId(u64::MAX), 0).await, [], "another room");
}

async fn a_segment_that_is_repeated_is_dropped(tapes: &dyn Tapes, room: RoomId) {
    let (first, second) = (segment(1, b"one"), segment(2, b"two"));
    for segment in [&first, &second, &first, &segment(2, b"other")] {
        append(tapes, room, segment, KEEP).await;
    }
    assert_eq!(read(tapes, room, 0).await, [first, second]);
}

async fn a_long_tape_comes_whole(tapes: &dyn Tapes, room: RoomId) {
    let segments: Vec<Segment> = (1..=100)
        .map(|n| segment(n * 60, &[n as u8; 500]))
        .collect();
    for segment in &segments {
        append(tapes, room, segment, KEEP).await;
    }
    assert_eq!(read(tapes, room, 0).await, segments);
}

async fn a_tape_goes_after_its_time(tapes: &dyn Tapes, room: RoomId, short: Duration) {
    append(tapes, room, &segment(1, b"one"), short).await;
    let until = Instant::now() + short * 20;
    while !read(tapes, room, 0).await.is_empty() {
        assert!(Instant::now() < until, "the tape goes after {short:?}");
        sleep(short / 10).await;
    }
}

fn segment(until: u32, bytes: &[u8]) -> Segment {
    Segment {
        until: Tick(until),
        bytes: Bytes::copy_from_slice(bytes),
    }
}

async fn append(tapes: &dyn Tapes, room: RoomId, segment: &Segment, keep: Duration) {
    let appended = tapes.append(room, segment, keep).await;
    assert!(appended.is_ok(), "{room}: {appended:?}");
}

async fn read(tapes: &dyn Tapes, room: RoomId, after: u32) -> Vec<Segment> {
    tapes.read(room, Tick(after)).await.expect("a tape is read")
}
