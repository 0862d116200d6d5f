//! `/debug/echo`: sends every message back, through the same connection code that players use.
//! For conformance suites and probes; on the private port, off by default.

use std::collections::VecDeque;
use std::task::Context;

use bytes::Bytes;
use protocol::close::CloseCode;
use protocol::time::Timestamp;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::conn::Handler;

/// Largest message that is echoed.
pub(crate) const MESSAGE_SIZE: usize = 16 * 1024 * 1024;

/// Larger messages go back in fragments of this size: the write buffer never shrinks.
const FRAGMENT: usize = 4 * 1024;

/// Bytes that may wait to be echoed; reading does not stop, so a peer that sends without reading
/// is closed.
const BACKLOG: usize = 2 * MESSAGE_SIZE;

/// Echoes messages.
#[derive(Debug, Default)]
pub(crate) struct Echo {
    waiting: VecDeque<Message>,
    bytes: usize,
    /// What is left of a message whose first fragments have gone.
    rest: Bytes,
}

impl Handler for Echo {
    fn handle_message(&mut self, _now: Timestamp, message: Message) {
        self.bytes += message.len();
        self.waiting.push_back(message);
    }

    fn handle_alive(&mut self, _now: Timestamp) {}

    fn handle_timeout(&mut self, _now: Timestamp) {}

    fn poll_transmit(&mut self, _now: Timestamp) -> Option<Message> {
        if !self.rest.is_empty() {
            return Some(self.fragment(Data::Continue));
        }
        let message = self.waiting.pop_front()?;
        self.bytes -= message.len();
        if message.len() <= FRAGMENT {
            return Some(message);
        }
        let data = if message.is_text() {
            Data::Text
        } else {
            Data::Binary
        };
        self.rest = message.into_data();
        Some(self.fragment(data))
    }

    fn poll_close(&mut self) -> Option<CloseCode> {
        (self.bytes > BACKLOG).then_some(CloseCode::SlowConsumer)
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        None
    }

    fn register(&mut self, _cx: &Context<'_>) {}
}

impl Echo {
    fn fragment(&mut self, data: Data) -> Message {
        let part = self.rest.split_to(self.rest.len().min(FRAGMENT));
        let last = self.rest.is_empty();
        Message::Frame(Frame::message(part, OpCode::Data(data), last))
    }
}
