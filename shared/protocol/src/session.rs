//! The client as a whole: connect, log in, stay alive, resume, fail over.
//!
//! A [`Session`] is driven by whoever owns the sockets: it asks for a connection by
//! [`Output::Connect`], is told what happens by `handle_*`, and gives what to send and what to
//! know by `poll_*`. At most one connection is open at a time; a new [`Output::Connect`] means
//! that the one before is to be dropped.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use crate::close::{CloseCode, Retry};
use crate::control::{ClientMessage, Have, Hello, ServerMessage};
use crate::cursor::Cursor;
use crate::frame::Frame;
use crate::id::{Channel, InstanceId, Tick};
use crate::input::InputWindow;
use crate::link::{Link, LinkConfig, LinkEvent, Pace};
use crate::random::Random;
use crate::time::Timestamp;
use crate::timer::Timers;

use leaving::Leaving;
use room::Wish;

pub use config::SessionConfig;
pub use output::{Ended, Output, SessionEvent};

mod config;
mod counts;
mod inbound;
mod leaving;
mod output;
mod room;

/// How many of the last snapshots of a room a client keeps, counted from the room's attach: each
/// one that [`SessionEvent::Snapshot`] tells builds on one of these, or on none.
pub const SNAPSHOTS_KEPT: usize = 40;

const PAUSE: usize = 0;
const CONNECT: usize = 1;

/// Pace until the server's `welcome` says otherwise.
const FIRST_PACE: Pace = Pace {
    interval: Duration::from_secs(5),
    silence: Duration::from_secs(15),
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Paused,
    Connecting,
    Greeting,
    Live,
    Ended,
}

/// A client's session.
#[derive(Debug)]
pub struct Session {
    config: SessionConfig,
    state: State,
    random: Random,
    timers: Timers<2>,
    instance: InstanceId,
    attempt: u32,
    failures: u32,
    address: usize,
    token: String,
    resume: Option<String>,
    /// What is to be attached by the room channel.
    room: Option<Wish>,
    room_attached: bool,
    leaving: Leaving,
    counts: counts::Counts,
    link: Option<Link>,
    cursors: [Cursor; Channel::COUNT],
    inputs: InputWindow,
    /// The last snapshots that were told since the room attached, the newest last.
    snapshots: VecDeque<Tick>,
    /// When the server's welcome came, on the present connection.
    welcomed_at: Timestamp,
    /// When the connection or the room was lost, until it is back.
    lost_at: Option<Timestamp>,
    outputs: VecDeque<Output>,
    events: VecDeque<SessionEvent>,
}

impl Session {
    /// A session that connects at the first [`handle_timeout`](Self::handle_timeout), with an
    /// access token. `seed` makes the instance id and all jitter.
    pub fn new(config: SessionConfig, token: String, seed: u64) -> Self {
        let mut random = Random::new(seed);
        let instance = InstanceId(random.next_u64());
        let address = random.below(config.addresses as u64) as usize;
        let inputs = InputWindow::new(config.input_width, config.input_limit);
        let mut session = Self {
            config,
            state: State::Paused,
            random,
            timers: Timers::default(),
            instance,
            attempt: 0,
            failures: 0,
            address,
            token,
            resume: None,
            room: None,
            room_attached: false,
            leaving: Leaving::default(),
            counts: counts::Counts::default(),
            link: None,
            cursors: Channel::ALL.map(Cursor::new),
            inputs,
            snapshots: VecDeque::new(),
            welcomed_at: Timestamp(0),
            lost_at: None,
            outputs: VecDeque::new(),
            events: VecDeque::new(),
        };
        session.timers.set(PAUSE, Timestamp(0));
        session
    }

    /// The connection that was asked for is open.
    pub fn handle_connected(&mut self, now: Timestamp) {
        if self.state != State::Connecting {
            return;
        }
        self.state = State::Greeting;
        let config = LinkConfig {
            idle: FIRST_PACE,
            active: Pace {
                interval: Duration::from_millis(400),
                silence: self.config.active_silence,
            },
        };
        self.link = Some(Link::client(config, self.random.next_u64(), now));
        if self.ticket().is_none() {
            // Who watches begins anew on each connection.
            self.cursors[Channel::Room.index()].reset();
        }
        let hello = Hello {
            v: crate::VERSION,
            token: self.resume.is_none().then(|| self.token.clone()),
            resume: self.resume.clone(),
            instance: self.instance,
            attempt: self.attempt,
            client: self.config.client.clone(),
            have: Have {
                matcher: self.cursors[Channel::Match.index()].position(),
                room: self.cursors[Channel::Room.index()].position(),
            },
            room: self.ticket().cloned(),
        };
        self.say(&ClientMessage::Hello(hello));
    }

    /// The connection ended, or could not be made; with the close code if there was one.
    pub fn handle_closed(&mut self, now: Timestamp, code: Option<u16>) {
        if matches!(self.state, State::Paused | State::Ended) {
            return;
        }
        match Retry::after(code) {
            Retry::Never => self.end(Ended::Closed(code)),
            Retry::Login if self.resume.take().is_some() => self.retry(now, code, false),
            Retry::Login => self.end(Ended::LoginNeeded(code)),
            Retry::Same => self.retry(now, code, false),
            Retry::Elsewhere => self.retry(now, code, true),
        }
    }

    /// A text message came.
    pub fn handle_text(&mut self, now: Timestamp, text: &str) {
        if !self.listens() {
            return;
        }
        self.heard(now);
        match ServerMessage::parse(text) {
            Ok(Some(message)) => self.handle_control(now, message),
            Ok(None) => {}
            Err(error) => self
                .events
                .push_back(SessionEvent::Malformed(error.message)),
        }
    }

    /// A binary message came.
    pub fn handle_binary(&mut self, now: Timestamp, bytes: &Bytes) {
        if self.state != State::Live {
            return;
        }
        self.heard(now);
        match Frame::decode(bytes) {
            Ok(Frame::Event(event)) => self.handle_event(now, event),
            Ok(Frame::Snapshot(snapshot)) => self.handle_snapshot(now, snapshot),
            Ok(frame) => {
                if let Some(link) = &mut self.link {
                    link.handle_frame(now, &frame);
                }
            }
            Err(error) => self
                .events
                .push_back(SessionEvent::Malformed(error.to_string())),
        }
    }

    /// Acts on deadlines that have come.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.expired(now) {
            match timer {
                PAUSE => self.connect(now),
                CONNECT => self.retry(now, None, true),
                _ => unreachable!("two timers"),
            }
        }
        self.inputs.handle_timeout(now);
        let Some(link) = &mut self.link else { return };
        link.handle_timeout(now);
        while let Some(event) = link.poll_event() {
            if event == LinkEvent::Silent {
                self.retry(now, None, true);
                return;
            }
        }
    }

    /// Sends a control message; gives whether it went out. While not connected it is refused:
    /// what matters is asked again after a resume by whoever wanted it. Only `queue.leave` is
    /// remembered, until the server shows that the queue is left.
    pub fn send(&mut self, message: &ClientMessage) -> bool {
        let live = self.state == State::Live;
        match message {
            ClientMessage::QueueLeave(_) => self.leaving.leave_queue(live),
            ClientMessage::QueueJoin(_) => {
                if let Some(first) = self.leaving.join_queue(live) {
                    self.say(&first);
                }
            }
            // With what this client has seen.
            ClientMessage::EventList(_) if live => {
                self.say(&ClientMessage::EventList(self.counts.ask()));
                return true;
            }
            _ => {}
        }
        if live {
            self.say(message);
        }
        live
    }

    /// Ends the session with a normal close.
    pub fn close(&mut self) {
        if self.state == State::Ended {
            return;
        }
        self.end(Ended::ByUs);
        self.outputs.clear();
        self.outputs.push_back(Output::Close(CloseCode::Normal));
    }

    /// A new access token. After [`Ended::LoginNeeded`] the session goes on with it at once;
    /// otherwise it is kept for when one is asked for.
    pub fn log_in(&mut self, now: Timestamp, token: String) {
        self.token = token;
        if self.state != State::Ended {
            return;
        }
        self.resume = None;
        self.failures = 0;
        self.state = State::Paused;
        self.timers.set(PAUSE, now);
    }

    /// The next thing to do with the socket. Ask until there is nothing after each call to the
    /// session: that, and not a limit, keeps this queue and that of the events short.
    pub fn poll_output(&mut self, now: Timestamp) -> Option<Output> {
        if let Some(output) = self.outputs.pop_front() {
            return Some(output);
        }
        if self.state != State::Live {
            return None;
        }
        if let Some(leave) = self.leaving.poll_transmit(now) {
            return Some(Output::Text(leave.to_text()));
        }
        let frame = self.link.as_mut()?.poll_transmit(now)?;
        Some(Output::Binary(frame.encode()))
    }

    /// The next thing to know.
    pub fn poll_event(&mut self) -> Option<SessionEvent> {
        self.events.pop_front()
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let link = self.link.as_ref().and_then(Link::poll_timeout);
        let inputs = if self.room_attached {
            self.inputs.poll_timeout()
        } else {
            None
        };
        let leaving = self.leaving.poll_timeout();
        [self.timers.next(), link, inputs, leaving]
            .into_iter()
            .flatten()
            .min()
    }

    /// The connection's link, while there is one: round trip, clock offset.
    pub fn link(&self) -> Option<&Link> {
        self.link.as_ref()
    }

    /// Inputs that are not settled.
    pub fn inputs(&self) -> &InputWindow {
        &self.inputs
    }

    /// Whether control messages can be sent now.
    pub fn is_live(&self) -> bool {
        self.state == State::Live
    }

    /// Whether the room answers now.
    pub fn is_in_room(&self) -> bool {
        self.room_attached
    }

    /// This client's instance id.
    pub fn instance(&self) -> InstanceId {
        self.instance
    }

    /// What this client has of `channel`.
    pub fn cursor(&self, channel: Channel) -> &Cursor {
        &self.cursors[channel.index()]
    }

    fn listens(&self) -> bool {
        matches!(self.state, State::Greeting | State::Live)
    }

    /// The client is back where it can be: with its room, or without one that is no more.
    fn tell_restored(&mut self, now: Timestamp) {
        if let Some(lost_at) = self.lost_at.take() {
            let freeze = now.since(lost_at);
            self.events.push_back(SessionEvent::Restored { freeze });
        }
    }

    fn heard(&mut self, now: Timestamp) {
        if let Some(link) = &mut self.link {
            link.handle_heard(now);
        }
    }

    fn say(&mut self, message: &ClientMessage) {
        self.outputs.push_back(Output::Text(message.to_text()));
    }

    fn connect(&mut self, now: Timestamp) {
        self.state = State::Connecting;
        self.attempt += 1;
        // Longer each time, up to four times: on a slow network the first deadline is too short.
        let patience = self.config.connect_timeout * (1 << self.failures.saturating_sub(1).min(2));
        self.timers.set(CONNECT, now + patience);
        self.outputs.push_back(Output::Connect {
            address: self.address,
        });
    }

    fn retry(&mut self, now: Timestamp, code: Option<u16>, elsewhere: bool) {
        if self.state == State::Live {
            let since = self.link.as_ref().map_or(now, Link::last_heard);
            self.lost_at.get_or_insert(since);
            self.events.push_back(SessionEvent::Lost { code });
            // A server that welcomes us and then hangs up, again and again, is a failing one.
            if now.since(self.welcomed_at) >= self.config.backoff_limit {
                self.failures = 0;
            }
        }
        self.outputs.clear();
        self.outputs.push_back(Output::Drop);
        self.link = None;
        self.room_attached = false;
        self.leaving.handle_lost();
        self.state = State::Paused;
        self.timers.stop(CONNECT);
        if elsewhere && self.config.addresses > 1 {
            self.address = (self.address + 1) % self.config.addresses;
        }
        let pause = self.next_pause();
        self.timers.set(PAUSE, now + pause);
    }

    /// None before the first attempt, so that one lost gateway costs no time; then doubling, with
    /// full jitter, so that a fleet of clients does not come back in step.
    fn next_pause(&mut self) -> Duration {
        let failures = self.failures;
        self.failures += 1;
        if failures == 0 {
            return Duration::ZERO;
        }
        let longest = (self.config.backoff * 2u32.saturating_pow(failures.min(16) - 1))
            .min(self.config.backoff_limit);
        let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(micros / 2 + self.random.below(micros / 2 + 1))
    }

    fn end(&mut self, why: Ended) {
        self.state = State::Ended;
        self.link = None;
        self.room_attached = false;
        self.leaving.handle_lost();
        self.timers = Timers::default();
        self.outputs.clear();
        self.outputs.push_back(Output::Drop);
        self.events.push_back(SessionEvent::Ended(why));
    }
}

#[cfg(test)]
mod leaving_tests;
#[cfg(test)]
mod tests;
