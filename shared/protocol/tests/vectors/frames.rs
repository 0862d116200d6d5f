//! Binary frames: hex and fields.

use bytes::Bytes;
use protocol::frame::{
    Ack, Acks, Beat, Event, Frame, FrameError, InputFrame, Snapshot, SnapshotHead, Steps,
};
use protocol::id::{Channel, Epoch, InputSeq, Offset, Tick};
use serde_json::{Value, json};

use super::packer::{Packer, hex};

const TOP: u32 = u32::MAX;

/// Frames that encode to the hex and decode from it.
pub(super) fn frames() -> Vec<Value> {
    let far = json!({"channel": "room", "resend": true, "epoch": TOP, "offset": TOP});
    let near = json!({"channel": "match", "resend": false, "epoch": 7, "offset": 3});
    let rows = [
        ("first ping", ping(1_000, 0, 0, json!([]))),
        ("ping with one ack", ping(5_400, 5_398, 41, json!([near]))),
        (
            "ping, all highest",
            ping(TOP, TOP, 65_535, json!([near, far])),
        ),
        (
            "pong",
            json!({"kind": "pong", "time": 123_456_789, "echo": 1_000, "hold": 2}),
        ),
        (
            "pong, all zero",
            json!({"kind": "pong", "time": 0, "echo": 0, "hold": 0}),
        ),
        ("ack of nothing", json!({"kind": "ack", "acks": []})),
        ("ack", json!({"kind": "ack", "acks": [near]})),
        (
            "ack that asks to resend",
            json!({"kind": "ack", "acks": [far]}),
        ),
        (
            "ack of both channels",
            json!({"kind": "ack", "acks": [near, far]}),
        ),
        ("one step", input([0x1234_5678, 4, 297, 1], 8, &[5])),
        (
            "three steps",
            input([0x1234_5678, 4, 300, 898], 8, &[1, 5, 9]),
        ),
        (
            "fifteen steps of one bit",
            input(
                [1, 0, 0, 127],
                1,
                &[1, 0, 1, 1, 0, 1, 0, 0, 1, 1, 1, 0, 0, 0, 1],
            ),
        ),
        (
            "steps of 32 bits, all highest",
            input([TOP, TOP, TOP, TOP - 2], 32, &[TOP, 0]),
        ),
        ("whole snapshot", snapshot([300, 0, 120, 2], 1, "0badf00d")),
        ("delta snapshot", snapshot([303, 3, 123, 0], 0, "2a")),
        (
            "snapshot, all highest",
            snapshot([TOP, TOP, TOP, TOP], 15, "ff"),
        ),
        ("snapshot with an empty body", snapshot([1, 0, 0, 0], 0, "")),
        (
            "event of the match channel",
            event("match", 7, 1, r#"{"e":"queue.left","reason":"left"}"#),
        ),
        (
            "event of the room channel",
            event("room", 0x9e37_79b9, 128, r#"{"e":"seat.left","seat":3}"#),
        ),
        (
            "event, all highest",
            event("room", TOP, TOP, r#"{"e":"é"}"#),
        ),
        ("event with an empty payload", event("match", 1, 1, "")),
    ];
    rows.into_iter()
        .map(|(name, fields)| {
            let bytes = pack(&fields);
            let frame = frame_of(&fields);
            assert_eq!(hex(&frame.encode()), hex(&bytes), "{name}");
            assert_eq!(
                Frame::decode(&Bytes::from(bytes.clone())),
                Ok(frame),
                "{name}"
            );
            json!({"name": name, "hex": hex(&bytes), "frame": fields})
        })
        .collect()
}

/// What a receiver reads although no sender of this version writes it.
pub(super) fn tolerated() -> Vec<Value> {
    let pong = json!({"kind": "pong", "time": 9, "echo": 8, "hold": 7});
    let mut longer = pack(&pong);
    longer.extend([0xde, 0xad]);
    let ack = json!({"channel": "match", "resend": false, "epoch": 7, "offset": 3});
    let mut padded = pack(&json!({"kind": "ack", "acks": [ack]}));
    *padded.last_mut().unwrap() |= 0b1111_0000;
    let mut number = Packer::default();
    number
        .put(6, 8)
        .put(0, 8)
        .put(7, 32)
        .put(3, 7)
        .put(1, 1)
        .put(0, 8)
        .bytes(b"{}");
    let rows = [
        ("bytes of a later version follow", longer, pong),
        (
            "padding is not zero",
            padded,
            json!({"kind": "ack", "acks": [ack]}),
        ),
        (
            "a number is longer than it has to be",
            number.packed(),
            event("match", 7, 3, "{}"),
        ),
    ];
    rows.into_iter()
        .map(|(name, bytes, fields)| {
            let decoded = Frame::decode(&Bytes::from(bytes.clone()));
            assert_eq!(decoded, Ok(frame_of(&fields)), "{name}");
            json!({"name": name, "hex": hex(&bytes), "frame": fields})
        })
        .collect()
}

/// What cannot be read, and which field is at fault.
pub(super) fn errors() -> Vec<Value> {
    let whole = |fields: Value| pack(&fields);
    let mut short = whole(ping(1, 2, 3, json!([])));
    short.truncate(6);
    let mut count = Packer::default();
    count.put(3, 8).put(3, 2);
    let mut steps = whole(input([1, 1, 1, 1], 8, &[1, 2, 3]));
    steps.truncate(steps.len() - 2);
    let mut number = Packer::default();
    number.put(5, 8).bytes(&[0xff; 5]);
    let rows = [
        ("nothing", vec![]),
        ("kind 0", vec![0]),
        ("kind 7", vec![7, 1, 2, 3]),
        ("ping cut short", short),
        ("three acks for two channels", count.packed()),
        ("no steps", whole(input([1, 1, 1, 1], 8, &[]))),
        ("steps of no bits", whole(input([1, 1, 1, 1], 0, &[0]))),
        ("steps of 33 bits", whole(input([1, 1, 1, 1], 33, &[0]))),
        ("first step is 0", whole(input([1, 1, 1, 0], 8, &[1]))),
        (
            "step numbers overflow",
            whole(input([1, 1, 1, TOP], 8, &[1])),
        ),
        ("a step is missing", steps),
        ("tick of more than 32 bits", number.packed()),
        ("event without offset", vec![6, 1, 0, 0, 0, 0]),
    ];
    rows.into_iter()
        .map(|(name, bytes)| {
            let error = Frame::decode(&Bytes::from(bytes.clone())).expect_err(name);
            let field = match error {
                FrameError::Field { field, .. } => Some(field),
                FrameError::Empty | FrameError::UnknownKind(_) => None,
            };
            let message = error.to_string();
            json!({"name": name, "hex": hex(&bytes), "field": field, "message": message})
        })
        .collect()
}

fn ping(time: u32, echo: u32, hold: u16, acks: Value) -> Value {
    json!({"kind": "ping", "time": time, "echo": echo, "hold": hold, "acks": acks})
}

fn input([epoch, offset, snapshot, first]: [u32; 4], width: u8, steps: &[u32]) -> Value {
    json!({
        "kind": "input", "epoch": epoch, "offset": offset, "snapshot": snapshot, "first": first,
        "width": width, "steps": steps,
    })
}

fn snapshot([tick, distance, processed, durable_lag]: [u32; 4], queued: u8, body: &str) -> Value {
    json!({
        "kind": "snapshot", "tick": tick, "distance": distance, "processed": processed,
        "durable_lag": durable_lag, "queued": queued, "body": body,
    })
}

fn event(channel: &str, epoch: u32, offset: u32, payload: &str) -> Value {
    json!({
        "kind": "event", "channel": channel, "epoch": epoch, "offset": offset, "payload": payload,
    })
}

/// Packs the fields by the tables of `docs/PROTOCOL.md`.
fn pack(fields: &Value) -> Vec<u8> {
    let number = |name: &str| fields[name].as_u64().unwrap();
    let mut bits = Packer::default();
    match fields["kind"].as_str().unwrap() {
        "ping" => {
            bits.put(1, 8);
            pack_beat(&mut bits, fields);
            pack_acks(&mut bits, fields);
        }
        "pong" => {
            bits.put(2, 8);
            pack_beat(&mut bits, fields);
        }
        "ack" => {
            bits.put(3, 8);
            pack_acks(&mut bits, fields);
        }
        "input" => {
            let steps = fields["steps"].as_array().unwrap();
            bits.put(4, 8)
                .put(number("epoch"), 32)
                .var(number("offset"));
            bits.var(number("snapshot")).var(number("first"));
            bits.put(steps.len() as u64, 4).put(number("width"), 6);
            for step in steps {
                bits.put(step.as_u64().unwrap(), number("width") as u32);
            }
        }
        "snapshot" => {
            bits.put(5, 8).var(number("tick")).var(number("distance"));
            bits.var(number("processed")).var(number("durable_lag"));
            bits.put(number("queued"), 4).bytes(&unhex(&fields["body"]));
        }
        "event" => {
            bits.put(6, 8)
                .put(channel_of(fields).index() as u64, 1)
                .align();
            bits.put(number("epoch"), 32).var(number("offset"));
            bits.bytes(fields["payload"].as_str().unwrap().as_bytes());
        }
        other => panic!("kind {other}"),
    }
    bits.packed()
}

fn pack_beat(bits: &mut Packer, fields: &Value) {
    let number = |name: &str| fields[name].as_u64().unwrap();
    bits.put(number("time"), 32)
        .put(number("echo"), 32)
        .put(number("hold"), 16);
}

fn pack_acks(bits: &mut Packer, fields: &Value) {
    let acks = fields["acks"].as_array().unwrap();
    bits.put(acks.len() as u64, 2);
    for ack in acks {
        bits.put(channel_of(ack).index() as u64, 1);
        bits.put(u64::from(ack["resend"].as_bool().unwrap()), 1);
        bits.put(ack["epoch"].as_u64().unwrap(), 32)
            .var(ack["offset"].as_u64().unwrap());
    }
}

fn frame_of(fields: &Value) -> Frame {
    let number = |name: &str| fields[name].as_u64().unwrap() as u32;
    match fields["kind"].as_str().unwrap() {
        "ping" => Frame::Ping(beat_of(fields), acks_of(fields)),
        "pong" => Frame::Pong(beat_of(fields)),
        "ack" => Frame::Ack(acks_of(fields)),
        "input" => {
            let mut steps = Steps::new(number("width") as u8);
            for step in fields["steps"].as_array().unwrap() {
                assert!(steps.push(step.as_u64().unwrap() as u32));
            }
            Frame::Input(InputFrame {
                epoch: Epoch(number("epoch")),
                offset: Offset(number("offset")),
                snapshot: Tick(number("snapshot")),
                first: InputSeq(number("first")),
                steps,
            })
        }
        "snapshot" => Frame::Snapshot(Snapshot {
            head: SnapshotHead {
                tick: Tick(number("tick")),
                distance: number("distance"),
                processed: InputSeq(number("processed")),
                durable_lag: number("durable_lag"),
                queued: number("queued") as u8,
            },
            body: unhex(&fields["body"]).into(),
        }),
        _ => Frame::Event(Event {
            channel: channel_of(fields),
            epoch: Epoch(number("epoch")),
            offset: Offset(number("offset")),
            payload: fields["payload"].as_str().unwrap().to_owned().into(),
        }),
    }
}

fn beat_of(fields: &Value) -> Beat {
    let number = |name: &str| fields[name].as_u64().unwrap() as u32;
    Beat {
        time: number("time"),
        echo: number("echo"),
        hold: number("hold") as u16,
    }
}

fn acks_of(fields: &Value) -> Acks {
    let mut acks = Acks::default();
    for ack in fields["acks"].as_array().unwrap() {
        acks.set(Ack {
            channel: channel_of(ack),
            epoch: Epoch(ack["epoch"].as_u64().unwrap() as u32),
            offset: Offset(ack["offset"].as_u64().unwrap() as u32),
            resend: ack["resend"].as_bool().unwrap(),
        });
    }
    acks
}

fn channel_of(fields: &Value) -> Channel {
    match fields["channel"].as_str().unwrap() {
        "match" => Channel::Match,
        _ => Channel::Room,
    }
}

fn unhex(text: &Value) -> Vec<u8> {
    let digits: Vec<char> = text.as_str().unwrap().chars().collect();
    digits
        .chunks(2)
        .map(|pair| u8::from_str_radix(&String::from_iter(pair), 16).unwrap())
        .collect()
}
