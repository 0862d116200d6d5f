//! A player's connection: what it does with each message, from `hello` to close.
//!
//! It keeps nothing that matters: events live at their origins, and another gateway can go on
//! from the tokens that the client holds.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::task::Context;

use bytes::Bytes;
use chassis::limit::TokenBucket;
use protocol::close::CloseCode;
use protocol::control::{ClientMessage, ErrorCode, ErrorMessage, ServerMessage};
use protocol::frame::{Frame, FrameError};
use protocol::id::Channel;
use protocol::link::{Link, LinkConfig, LinkEvent, Pace};
use protocol::time::Timestamp;
use tokio_tungstenite::tungstenite::protocol::Message;

use crate::config::{Heartbeat, Limits};
use crate::conn::Handler;
use crate::edge::Edge;
use crate::outbox::{Next, Outbox};

mod hello;
mod live;

use live::Live;

/// Refusals are told to a client at most this often; the rest are only counted.
const TELL_EVERY: u64 = 200_000;

/// Answers that may wait for a client that goes on asking and does not read; over it the client
/// is closed.
const ANSWERS: usize = 32;

/// A player's connection.
#[derive(Debug)]
pub(crate) struct Player {
    edge: Arc<Edge>,
    peer: IpAddr,
    limits: Box<Limits>,
    outbox: Arc<Outbox>,
    link: Link,
    /// Until then a `hello` must have come.
    hello_deadline: Timestamp,
    live: Option<Box<Live>>,
    /// Control messages to send before anything else.
    answers: VecDeque<Message>,
    closing: Option<CloseCode>,
    messages: TokenBucket,
    bytes: TokenBucket,
    strikes: Strikes,
}

/// Counts what a client was refused; a good second forgives one.
#[derive(Debug, Clone, Copy, Default)]
struct Strikes {
    count: u32,
    at: u64,
    told_at: u64,
}

impl Player {
    pub(crate) fn new(edge: Arc<Edge>, peer: IpAddr, limits: Limits, now: Timestamp) -> Self {
        let heartbeat = edge.config.load().heartbeat;
        Self {
            outbox: Outbox::new(limits.outbox.0),
            link: Link::server(paces(&heartbeat), now),
            hello_deadline: now + limits.handshake,
            messages: TokenBucket::new(limits.messages, now.0),
            bytes: TokenBucket::new(limits.bytes, now.0),
            limits: Box::new(limits),
            live: None,
            answers: VecDeque::new(),
            closing: None,
            strikes: Strikes::default(),
            edge,
            peer,
        }
    }

    fn handle_text(&mut self, now: Timestamp, text: &str) {
        let message = match ClientMessage::parse(text) {
            Ok(message) => message,
            Err(error) => {
                return match hello::other_version(text) {
                    Some(version) if self.live.is_none() => self.refuse_version(version),
                    _ => self.refuse(now, error),
                };
            }
        };
        match (&mut self.live, message) {
            (None, ClientMessage::Hello(hello)) => self.handle_hello(now, hello),
            (Some(_), ClientMessage::Hello(_)) => {
                let error = ErrorMessage::new(ErrorCode::OutOfOrder, "hello was said already");
                self.refuse(now, error.re("hello"));
            }
            (None, message) => {
                let error = ErrorMessage::new(ErrorCode::OutOfOrder, "say hello first");
                self.refuse(now, error.re(message.kind()));
            }
            (Some(live), message) => {
                let leaves = match message {
                    ClientMessage::RoomLeave(_) => true,
                    ClientMessage::RoomUnwatch(_) => live.unwatch(),
                    _ => false,
                };
                let refusal = live.handle_control(&self.edge, message, text);
                self.link.set_active(now, live.is_in_room());
                if leaves {
                    self.answer(&closed_by_us(Channel::Room, "left"));
                }
                if let Err(error) = refusal {
                    self.refuse(now, error);
                }
            }
        }
    }

    fn handle_binary(&mut self, now: Timestamp, bytes: Bytes) {
        let Some(live) = &self.live else {
            let error =
                ErrorMessage::new(ErrorCode::OutOfOrder, "say hello first, in a text frame");
            return self.refuse(now, error);
        };
        match Frame::decode(&bytes) {
            Ok(Frame::Input(_)) => live.input(bytes),
            Ok(frame @ (Frame::Ping(..) | Frame::Pong(_) | Frame::Ack(_))) => {
                self.link.handle_frame(now, &frame);
                self.drain_link();
                if let (Frame::Ping(..), Some(rtt)) = (&frame, self.link.rtt()) {
                    self.edge.meters.rtt.record(rtt.as_secs_f64());
                }
            }
            Ok(Frame::Snapshot(_) | Frame::Event(_)) => {
                let text = "snapshots and events go from server to client only";
                self.refuse(
                    now,
                    ErrorMessage::new(ErrorCode::BadFrame, text).field("kind"),
                );
            }
            Err(error) => self.refuse(now, bad_frame(&error)),
        }
    }

    fn drain_link(&mut self) {
        while let Some(event) = self.link.poll_event() {
            match (event, &self.live) {
                (LinkEvent::Acked(ack), Some(live)) => live.acked(ack),
                (LinkEvent::Acked(_), None) => {}
                (LinkEvent::Silent, _) => self.close(CloseCode::HeartbeatTimeout),
            }
        }
    }

    /// Whether the message is within the limits. Pure bookkeeping: the message is lost if not,
    /// and the client is told.
    fn admit(&mut self, now: Timestamp, size: usize) -> bool {
        let size = u32::try_from(size).unwrap_or(u32::MAX);
        let verdict = self
            .messages
            .take(1, now.0)
            .and_then(|()| self.bytes.take(size.max(1), now.0));
        let Err(retry) = verdict else {
            return true;
        };
        let text = "more messages or bytes than this connection may send; slow down";
        let error = ErrorMessage::new(ErrorCode::RateLimited, text).retry_after_ms(retry.millis());
        self.refuse(now, error);
        false
    }

    /// Tells the client what is wrong, but not for every message of a flood; closes after too
    /// many.
    fn refuse(&mut self, now: Timestamp, error: ErrorMessage) {
        self.edge.meters.refused.increment(1);
        let strikes = self.strikes.add(now);
        if strikes > self.limits.strikes {
            return self.close(CloseCode::Abuse);
        }
        if strikes <= 10 || self.strikes.may_tell(now) {
            self.answer(&ServerMessage::Error(error));
        }
    }

    fn answer(&mut self, message: &ServerMessage) {
        if self.answers.len() >= ANSWERS {
            return self.close(CloseCode::SlowConsumer);
        }
        self.answers.push_back(Message::text(message.to_text()));
    }

    fn close(&mut self, code: CloseCode) {
        self.closing.get_or_insert(code);
    }

    /// The next message from the node links, made ready for the wire.
    fn next_from_outbox(&mut self, now: Timestamp) -> Option<Message> {
        match self.outbox.next()? {
            Next::Snapshot(frame) => Some(Message::Binary(frame)),
            Next::Item(item) => {
                let message = self.live.as_mut()?.translate(item);
                let in_room = self.live.as_ref().is_some_and(|live| live.is_in_room());
                self.link.set_active(now, in_room);
                Some(message)
            }
        }
    }
}

impl Handler for Player {
    fn handle_message(&mut self, now: Timestamp, message: Message, wire: usize) {
        self.link.handle_heard(now);
        self.edge.meters.received.increment(1);
        if self.closing.is_some() || !self.admit(now, wire) {
            return;
        }
        match message {
            Message::Text(text) => self.handle_text(now, text.as_str()),
            // A slice of the read buffer would pin it for as long as the frame travels.
            Message::Binary(bytes) => self.handle_binary(now, Bytes::copy_from_slice(&bytes)),
            _ => {}
        }
    }

    fn handle_alive(&mut self, now: Timestamp, wire: usize) {
        // WebSocket pings count against the same limit, else they would be a free flood.
        if self.closing.is_none() && self.admit(now, wire) {
            self.link.handle_heard(now);
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if self.live.is_none() && self.hello_deadline <= now {
            self.close(CloseCode::HelloTimeout);
        }
        self.link.handle_timeout(now);
        self.drain_link();
    }

    fn poll_transmit(&mut self, now: Timestamp) -> Option<Message> {
        let message = match self.answers.pop_front() {
            Some(message) => Some(message),
            None => match self.link.poll_transmit(now) {
                Some(frame) => Some(Message::binary(frame.encode())),
                None if self.closing.is_none() => self.next_from_outbox(now),
                None => None,
            },
        };
        if message.is_some() {
            self.edge.meters.sent.increment(1);
        } else if self.answers.capacity() > 0 {
            self.answers = VecDeque::new(); // idle connections keep no buffer
        }
        message
    }

    fn reads_while_blocked(&self) -> bool {
        true
    }

    fn poll_close(&mut self) -> Option<CloseCode> {
        // The outbox is asked here as well: a socket that takes nothing must not keep a
        // connection alive that an origin has ended.
        self.closing.or_else(|| self.outbox.closed())
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        let hello = self.live.is_none().then_some(self.hello_deadline);
        [hello, self.link.poll_timeout()]
            .into_iter()
            .flatten()
            .min()
    }

    fn register(&mut self, cx: &Context<'_>) {
        self.outbox.register(cx);
    }
}

impl Strikes {
    fn add(&mut self, now: Timestamp) -> u32 {
        let good_seconds = u32::try_from((now.0 - self.at) / 1_000_000).unwrap_or(u32::MAX);
        self.count = self.count.saturating_sub(good_seconds) + 1;
        self.at = now.0;
        self.count
    }

    fn may_tell(&mut self, now: Timestamp) -> bool {
        let may = now.0 - self.told_at >= TELL_EVERY;
        if may {
            self.told_at = now.0;
        }
        may
    }
}

fn paces(heartbeat: &Heartbeat) -> LinkConfig {
    LinkConfig {
        idle: Pace {
            interval: heartbeat.interval,
            silence: heartbeat.deadline,
        },
        active: Pace {
            interval: heartbeat.active_interval,
            silence: heartbeat.active_deadline,
        },
    }
}

fn bad_frame(error: &FrameError) -> ErrorMessage {
    let refusal = ErrorMessage::new(ErrorCode::BadFrame, error.to_string());
    match error {
        FrameError::Field { field, .. } => refusal.field(*field),
        FrameError::Empty | FrameError::UnknownKind(_) => refusal.field("kind"),
    }
}

/// The channel's name in control messages.
fn closed_by_us(channel: Channel, reason: &str) -> ServerMessage {
    let reason = reason.to_owned();
    ServerMessage::ChannelClosed(protocol::control::ChannelClosed {
        ch: channel,
        reason,
    })
}
