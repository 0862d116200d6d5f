//! `vectors.json`: the wire as data, for clients in other languages.
//!
//! Binary vectors are packed here by a second, slower encoder that shares nothing with the crate;
//! the crate must agree with it both ways. The file must equal what is made here. To write it:
//! `PIXELRUSH_REGENERATE_VECTORS=1 cargo test -p pixelrush-protocol --test it vectors`.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Value, json};

mod close;
mod control;
mod frames;
mod inputs;
mod numbers;
mod packer;
mod resume;
mod snapshots;

const REGENERATE: &str = "PIXELRUSH_REGENERATE_VECTORS";

#[test]
fn the_file_of_vectors_says_what_the_code_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors.json");
    let sections = sections();
    if std::env::var_os(REGENERATE).is_some() {
        std::fs::write(&path, to_text(&sections)).unwrap();
    }
    let file = std::fs::read_to_string(&path).unwrap();
    let file: Value = serde_json::from_str(&file).unwrap();
    // As values: in which order an object's keys are written depends on how serde_json is built.
    for (name, made) in &sections {
        let found = file[name].as_array().unwrap();
        for (number, (found, made)) in found.iter().zip(made).enumerate() {
            assert_eq!(
                found, made,
                "{name}[{number}]; {REGENERATE}=1 writes it anew"
            );
        }
        assert_eq!(found.len(), made.len(), "{name}");
    }
}

/// The sections of the file in order; `docs/PROTOCOL.md` describes each.
fn sections() -> Vec<(&'static str, Vec<Value>)> {
    vec![
        ("bits", numbers::bits()),
        ("var", numbers::var()),
        ("var_errors", numbers::var_errors()),
        ("frames", frames::frames()),
        ("frames_tolerated", frames::tolerated()),
        ("frame_errors", frames::errors()),
        ("client_messages", control::client()),
        ("server_messages", control::server()),
        ("close", close::close()),
        ("snapshots", snapshots::snapshots()),
        ("cursor", resume::cursor()),
        ("clock", resume::clock()),
        ("input_queue", inputs::queue()),
        ("input_window", inputs::window()),
    ]
}

/// JSON with one vector a line, so that a change shows as the vectors that it changes.
fn to_text(sections: &[(&str, Vec<Value>)]) -> String {
    let mut text = format!(
        "{{\n\"subprotocol\": {},\n\"version\": {}",
        json!(protocol::SUBPROTOCOL),
        protocol::VERSION
    );
    for (name, vectors) in sections {
        let lines: Vec<String> = vectors.iter().map(|vector| format!("  {vector}")).collect();
        write!(text, ",\n\"{name}\": [\n{}\n]", lines.join(",\n")).unwrap();
    }
    text + "\n}\n"
}
