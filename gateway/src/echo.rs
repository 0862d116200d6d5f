//! `/debug/echo`: sends every message back, through the same connection code that players use.
//! For conformance suites and probes; on the private port, off by default.

use std::task::Context;

use protocol::close::CloseCode;
use protocol::time::Timestamp;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::conn::Handler;

/// Largest message that is echoed.
pub(crate) const MESSAGE_SIZE: usize = 16 * 1024 * 1024;

/// Echoes messages, one after the other: nothing is read while one still has to go back, so a peer
/// that sends without reading costs one message, and is closed when it stalls.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    waiting: Option<Message>,
}

impl Handler for Echo {
    fn handle_message(&mut self, _now: Timestamp, message: Message, _wire: usize) {
        debug_assert!(self.waiting.is_none(), "reads nothing while it owes");
        self.waiting = Some(message);
    }

    fn handle_alive(&mut self, _now: Timestamp, _wire: usize) {}

    fn handle_timeout(&mut self, _now: Timestamp) {}

    fn poll_transmit(&mut self, _now: Timestamp) -> Option<Message> {
        self.waiting.take()
    }

    fn reads_while_blocked(&self) -> bool {
        false
    }

    fn poll_close(&mut self) -> Option<CloseCode> {
        None
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn register(&mut self, _cx: &Context<'_>) {}
}
