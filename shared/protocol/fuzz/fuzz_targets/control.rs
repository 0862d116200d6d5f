//! Any text as a control message, from either side: it is read, or refused in few words.
#![no_main]

use libfuzzer_sys::fuzz_target;
use protocol::control::{ClientMessage, ServerMessage};

fuzz_target!(|text: &str| {
    match ClientMessage::parse(text) {
        Ok(message) => assert_eq!(ClientMessage::parse(&message.to_text()), Ok(message)),
        Err(error) => assert!(ServerMessage::Error(error).to_text().len() < 1_000),
    }
    match ServerMessage::parse(text) {
        Ok(Some(message)) => assert!(ServerMessage::parse(&message.to_text()).is_ok()),
        Ok(None) => {}
        Err(error) => assert!(ServerMessage::Error(error).to_text().len() < 1_000),
    }
});
