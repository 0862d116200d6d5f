//! No input panics, and none costs more than in proportion to its length.
//!
//! Valid input comes from `vectors.json` and is bent; the same machine runs under the fuzzer
//! (`fuzz/`), for longer.

use bytes::Bytes;
use proptest::prelude::*;
use proptest::sample::Index;
use protocol::control::{ClientMessage, ErrorMessage, ServerMessage};
use protocol::frame::Frame;
use serde_json::Value;

mod machine;

/// Longest that an answer to a bad message may be: it must not be worth a flood.
const LONGEST_ANSWER: usize = 1_000;

/// What happens to valid input.
#[derive(Debug, Clone)]
enum Bend {
    Set(Index, u8),
    Flip(Index, u8),
    Insert(Index, Vec<u8>),
    Cut(Index),
    Double(Index, Index),
}

fn bends() -> impl Strategy<Value = Vec<Bend>> {
    let bend = prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, byte)| Bend::Set(at, byte)),
        (any::<Index>(), 0u8..8).prop_map(|(at, bit)| Bend::Flip(at, bit)),
        (any::<Index>(), prop::collection::vec(any::<u8>(), 1..9))
            .prop_map(|(at, bytes)| Bend::Insert(at, bytes)),
        any::<Index>().prop_map(Bend::Cut),
        any::<(Index, Index)>().prop_map(|(from, to)| Bend::Double(from, to)),
    ];
    prop::collection::vec(bend, 0..6)
}

fn bent(mut bytes: Vec<u8>, bends: &[Bend]) -> Vec<u8> {
    for bend in bends {
        let length = bytes.len();
        if length == 0 {
            break;
        }
        match bend {
            Bend::Set(at, byte) => bytes[at.index(length)] = *byte,
            Bend::Flip(at, bit) => bytes[at.index(length)] ^= 1 << bit,
            Bend::Insert(at, more) => {
                let at = at.index(length);
                bytes.splice(at..at, more.iter().copied());
            }
            Bend::Cut(at) => bytes.truncate(at.index(length)),
            Bend::Double(from, to) => {
                let (from, to) = (from.index(length), to.index(length));
                let part = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.extend(part);
            }
        }
    }
    bytes
}

/// The inputs of a section of `vectors.json`.
fn corpus(section: &str, read: impl Fn(&Value) -> Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let file: Value = serde_json::from_str(include_str!("../vectors.json")).unwrap();
    let vectors = file[section].as_array().unwrap();
    vectors.iter().filter_map(read).collect()
}

fn frames() -> impl Strategy<Value = Vec<u8>> {
    let valid = corpus("frames", |vector| {
        let hex = vector["hex"].as_str()?;
        (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok())
            .collect()
    });
    let bent = (prop::sample::select(valid), bends()).prop_map(|(frame, how)| bent(frame, &how));
    prop_oneof![bent, prop::collection::vec(any::<u8>(), 0..400)]
}

fn texts() -> impl Strategy<Value = String> {
    let text = |vector: &Value| Some(vector["text"].as_str()?.as_bytes().to_vec());
    let mut valid = corpus("client_messages", text);
    valid.extend(corpus("server_messages", text));
    let bent = (prop::sample::select(valid), bends())
        .prop_map(|(text, how)| String::from_utf8_lossy(&bent(text, &how)).into_owned());
    let opening = prop::sample::select(vec!["[", "{\"a\":", "[{\"t\":", "\"\\u0041", "1e9", "-"]);
    let deep = (opening, 1usize..6_000).prop_map(|(opening, times)| {
        let rest = opening.repeat(times);
        format!("{{\"t\":\"queue.join\",\"mode\":\"race\",\"more\":{rest}")
    });
    let long = ("[a-z.]{0,9}", 0usize..16_000).prop_map(|(kind, length)| {
        let long = "x".repeat(length);
        format!("{{\"t\":\"queue.join{kind}\",\"mode\":\"m\",\"regions\":{{\"{long}\":\"far\"}}}}")
    });
    prop_oneof![4 => bent, 1 => deep, 1 => long, 1 => any::<String>()]
}

fn answer_is_short(error: &ErrorMessage) {
    let answer = ServerMessage::Error(error.clone()).to_text();
    assert!(answer.len() <= LONGEST_ANSWER, "{} bytes", answer.len());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_holds_no_more_than_came_in(bytes in frames()) {
        let bytes = Bytes::from(bytes);
        if let Ok(frame) = Frame::decode(&bytes) {
            let held = match &frame {
                Frame::Snapshot(snapshot) => snapshot.body.clone(),
                Frame::Event(event) => event.payload.clone(),
                _ => Bytes::new(),
            };
            // A part of what came in, not a copy of it.
            let shared = bytes.as_ptr_range();
            prop_assert!(held.is_empty() || shared.contains(&held.as_ptr()));
            prop_assert!(frame.encode().len() <= bytes.len());
        }
    }

    #[test]
    fn a_text_makes_no_more_than_came_in(text in texts()) {
        match ClientMessage::parse(&text) {
            Ok(message) => prop_assert!(message.to_text().len() <= text.len() + 100),
            Err(error) => answer_is_short(&error),
        }
        match ServerMessage::parse(&text) {
            Ok(Some(message)) => prop_assert!(message.to_text().len() <= text.len() + 100),
            Ok(None) => {}
            Err(error) => answer_is_short(&error),
        }
    }

    #[test]
    fn no_row_of_messages_breaks_a_state_machine(script in prop::collection::vec(any::<u8>(), 0..3_000)) {
        machine::drive(&script);
    }
}
