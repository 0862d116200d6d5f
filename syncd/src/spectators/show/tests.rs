use protocol::frame::Frame;
use rpc::origin::GatewayStream;
use rpc::pb;
use rpc::pb::from_origin_item::Item;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::room::Output;
use crate::room::rig::room;
use crate::worker::Link;

const ROOM: RoomId = RoomId(1);
const EVERY: u32 = 3;

/// The tape of a race to which nobody came.
fn tape() -> Vec<Segment> {
    let mut room = room("race", 2, 1);
    let (mut pieces, mut out) = (Vec::new(), Vec::new());
    while room.ended().is_none() {
        room.step(&mut out);
        for output in out.drain(..) {
            if let Output::Segment { until, bytes } = output {
                pieces.push(Segment { until, bytes });
            }
        }
    }
    assert!(pieces.len() > 3, "{}", pieces.len());
    pieces
}

/// A show with one watcher, and what the watcher's gateway is sent.
struct Rig {
    show: Show,
    lines: Lines,
    sent: mpsc::Receiver<Result<pb::FromOrigin, tonic::Status>>,
    _ended: tokio_util::sync::DropGuard,
}

impl Rig {
    fn new() -> Self {
        let (stream, sent) = GatewayStream::detached(1);
        let ended = CancellationToken::new();
        let link = Link::new(stream, ended.clone());
        let mut lines = Lines::new(false);
        lines.batch(&link, None);
        let mut show = Show::new(ROOM, Duration::ZERO, EVERY, Instant::now());
        show.enter((link.id(), SessionId(1)), 1);
        Self {
            show,
            lines,
            sent,
            _ended: ended.drop_guard(),
        }
    }

    fn take(&mut self, pieces: &[Segment], at: Instant) -> Result<(), Refusal> {
        let news = News::Pieces(pieces.to_vec(), at);
        self.show.take(&Games::default(), at, news)
    }

    /// Brings the show to where it is at `now`; gives what is sent for it.
    fn play(&mut self, now: Instant) -> (Going, Vec<Item>) {
        for _ in 0..100 {
            let mut budget = 200;
            let clock = Timestamp(0);
            let going = self.show.go_on(now, clock, &mut budget, &mut self.lines);
            if going != Going::Behind {
                self.lines.send();
                let batches = std::iter::from_fn(|| self.sent.try_recv().ok());
                let items = batches.flat_map(|batch| batch.unwrap().items);
                return (going, items.filter_map(|item| item.item).collect());
            }
        }
        panic!("it is brought on for ever");
    }
}

fn tick_of(fanout: &pb::Fanout) -> u32 {
    let frame = [&fanout.targets[0].head[..], &fanout.body[..]].concat();
    match Frame::decode(&Bytes::from(frame)) {
        Ok(Frame::Snapshot(snapshot)) => snapshot.head.tick.0,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_into_a_race_is_brought_to_its_place_before_anything_is_shown() {
    let (tape, mut rig) = (tape(), Rig::new());
    let start = Instant::now();
    // The rig's rooms have a delay of 300 ticks, and its race ends with 300.
    rig.take(&tape[..3], start).unwrap();
    let (going, items) = rig.play(start + Duration::from_millis(4_500));
    assert_eq!(going, Going::On);
    let Some(Item::Attached(attached)) = items.first() else {
        panic!("{items:?}");
    };
    let state: serde_json::Value = serde_json::from_str(&attached.state).unwrap();
    let tick = state["tick"].as_u64().unwrap() as u32;
    // 180 ticks were there 4.5 s ago.
    assert!((148..=150).contains(&tick), "{tick}");
    assert_eq!(state["watch"]["delay_ms"], 5_000);
    let shown: Vec<u32> = items
        .iter()
        .filter_map(|item| match item {
            Item::Fanout(fanout) => Some(tick_of(fanout)),
            _ => None,
        })
        .collect();
    assert_eq!(shown, [tick], "nothing of what was before");
}

#[tokio::test(start_paused = true)]
async fn a_replay_that_is_not_the_race_is_closed_wherever_it_is_found() {
    for found in 0..3 {
        let (mut tape, mut rig) = (tape(), Rig::new());
        let mut bytes = tape[found].bytes.to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        tape[found].bytes = bytes.into();
        let start = Instant::now();
        rig.take(&tape[..tape.len() - 1], start).unwrap();
        let (going, items) = rig.play(start + Duration::from_secs(60));
        assert_eq!(going, Going::Done);
        let closed = items.iter().find_map(|item| match item {
            Item::Closed(closed) => Some(closed.reason.as_str()),
            _ => None,
        });
        assert_eq!(closed, Some("failed"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hole_in_the_tape_is_no_race_to_be_watched() {
    let (tape, mut rig) = (tape(), Rig::new());
    let holed = [tape[0].clone(), tape[2].clone()];
    assert_eq!(rig.take(&holed, Instant::now()), Err(Refusal::Unknown));
    let late = [tape[1].clone()];
    let mut rig = Rig::new();
    assert_eq!(rig.take(&late, Instant::now()), Err(Refusal::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_room_of_which_nothing_comes_is_not_waited_for_for_ever() {
    let mut rig = Rig::new();
    let start = Instant::now();
    assert_eq!(rig.play(start + Duration::from_secs(9)).0, Going::On);
    let (going, items) = rig.play(start + OPEN_WITHIN);
    assert_eq!(going, Going::Done);
    assert!(
        matches!(&items[..], [Item::Refused(refused)] if refused.error.contains("unavailable"))
    );
}
