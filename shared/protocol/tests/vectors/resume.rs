//! The client's place in a channel, and its measure of the server's clock.

use bytes::Bytes;
use protocol::cursor::{Arrival, Cursor};
use protocol::frame::{Beat, Event, Frame};
use protocol::id::{Channel, Epoch, Offset};
use protocol::link::{Link, LinkConfig, Pace};
use protocol::time::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;

enum Step {
    Attached(u32, u32, bool),
    Event(u32, u32),
    Reset,
}
use Step::{Attached, Reset};

pub(super) fn cursor() -> Vec<Value> {
    let top = u32::MAX;
    let rows: [(&str, &[Step]); 8] = [
        (
            "once and in order",
            &[
                Attached(7, 0, false),
                Step::Event(7, 1),
                Step::Event(7, 2),
                Step::Event(7, 1),
                Step::Event(7, 2),
                Step::Event(7, 3),
            ],
        ),
        (
            "nothing before the attach",
            &[Step::Event(7, 1), Attached(7, 1, false), Step::Event(7, 2)],
        ),
        (
            "a resume goes on",
            &[
                Attached(7, 4, false),
                Step::Event(7, 5),
                Step::Event(7, 6),
                Attached(7, 5, true),
                Step::Event(7, 6),
                Step::Event(7, 7),
            ],
        ),
        (
            "a new history starts over",
            &[
                Attached(7, 4, false),
                Step::Event(7, 5),
                Attached(9, 0, false),
                Step::Event(7, 6),
                Step::Event(9, 1),
            ],
        ),
        (
            "a gap is asked for once a row",
            &[
                Attached(7, 0, false),
                Step::Event(7, 2),
                Step::Event(7, 3),
                Step::Event(7, 4),
                Step::Event(7, 2),
                Step::Event(7, 1),
                Step::Event(7, 2),
                Step::Event(7, 4),
                Step::Event(7, 3),
            ],
        ),
        (
            "a history that cannot go on is not trusted",
            &[
                Attached(7, 4, false),
                Attached(9, 4, true),
                Step::Event(9, 5),
                Attached(9, 5, false),
                Step::Event(9, 6),
                Attached(9, 8, true),
            ],
        ),
        (
            "a closed channel is forgotten",
            &[
                Attached(7, 4, false),
                Reset,
                Step::Event(7, 5),
                Attached(7, 5, true),
            ],
        ),
        (
            "the last numbers",
            &[
                Attached(top, top - 2, false),
                Step::Event(top, top),
                Step::Event(top, top - 1),
                Step::Event(top, top),
                Step::Event(top, top),
            ],
        ),
    ];
    rows.into_iter()
        .map(|(name, steps)| cursor_row(name, steps))
        .collect()
}

fn cursor_row(name: &str, steps: &[Step]) -> Value {
    let mut cursor = Cursor::new(Channel::Room);
    let mut told = Vec::new();
    for step in steps {
        let mut row = match *step {
            Attached(epoch, offset, recovered) => {
                let goes_on = cursor.handle_attached(Epoch(epoch), Offset(offset), recovered);
                let attached = json!({"epoch": epoch, "offset": offset, "recovered": recovered});
                json!({"attached": attached, "goes_on": goes_on})
            }
            Step::Event(epoch, offset) => {
                let event = Event {
                    channel: Channel::Room,
                    epoch: Epoch(epoch),
                    offset: Offset(offset),
                    payload: Bytes::new(),
                };
                let arrival = match cursor.handle_event(&event) {
                    Arrival::Apply => "apply",
                    Arrival::Drop => "drop",
                    Arrival::Missing => "missing",
                };
                json!({"event": {"epoch": epoch, "offset": offset}, "arrival": arrival})
            }
            Reset => {
                cursor.reset();
                json!({"reset": true})
            }
        };
        row["position"] = json!(cursor.position());
        told.push(row);
    }
    json!({"name": name, "steps": told})
}

/// When by the client's clock, and the pong's time, echo and hold.
type Heard = (u32, [u32; 3]);

/// Pongs that a client hears: when by its own clock, what they say, and what follows from it.
pub(super) fn clock() -> Vec<Value> {
    let rows: [(&str, &[Heard]); 6] = [
        ("one sample", &[(1_070, [6_040, 1_000, 10])]),
        (
            "the shortest round trip counts",
            &[
                (1_100, [5_090, 1_000, 0]),
                (1_540, [5_520, 1_500, 0]),
                (2_200, [6_190, 2_000, 10]),
            ],
        ),
        ("no echo, no measurement", &[(1_070, [6_040, 0, 0])]),
        (
            "a hold that is too long, no measurement",
            &[(90_000, [95_000, 10_000, 65_535])],
        ),
        (
            "an echo of something else, no measurement",
            &[(100_000, [1, 0xffff_0000, 3])],
        ),
        ("clocks wrap", &[(20, [40, u32::MAX - 19, 10])]),
    ];
    rows.into_iter()
        .map(|(name, beats)| clock_row(name, beats))
        .collect()
}

fn clock_row(name: &str, beats: &[Heard]) -> Value {
    let pace = Pace {
        interval: Duration::from_secs(25),
        silence: Duration::from_secs(60),
    };
    let config = LinkConfig {
        idle: pace,
        active: pace,
    };
    let mut link = Link::client(config, 1, Timestamp(0));
    let mut told = Vec::new();
    for (now, [time, echo, hold]) in beats.iter().copied() {
        let beat = Beat {
            time,
            echo,
            hold: hold as u16,
        };
        link.handle_frame(Timestamp(u64::from(now) * 1_000), &Frame::Pong(beat));
        told.push(json!({
            "now": now,
            "pong": {"time": time, "echo": echo, "hold": hold},
            "rtt_ms": link.rtt().map(|rtt| rtt.as_millis() as u64),
            "offset_ms": link.clock_offset_ms(),
        }));
    }
    json!({"name": name, "steps": told})
}
