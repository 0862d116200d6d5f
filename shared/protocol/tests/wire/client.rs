//! The client: a real [`Session`], and a player who checks what the session tells.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use protocol::cursor::Cursor;
use protocol::frame::{Event, Frame};
use protocol::id::Channel;
use protocol::input::InputRange;
use protocol::session::{Output, Session, SessionConfig, SessionEvent};
use protocol::time::Timestamp;
use serde_json::Value;

use super::gateway::Ws;
use super::world::Fault;

pub(super) struct Client {
    pub(super) session: Session,
    /// The socket that the session means.
    pub(super) socket: Option<u64>,
    /// Of each channel: how many events took effect, by the state or one by one.
    seen: [u64; Channel::COUNT],
    /// Of each channel: how often its history started over.
    pub(super) restarts: [u32; Channel::COUNT],
    pushed: u32,
    /// Which step has which number in the room's present history.
    numbers: BTreeMap<u32, u32>,
    reported: BTreeSet<u32>,
    fault: Option<Fault>,
}

impl Client {
    pub(super) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let config = SessionConfig {
            addresses: 2,
            input_width: 32,
            input_limit: 60,
            ..SessionConfig::default()
        };
        let mut session = Session::new(config, "token".to_owned(), seed);
        session.join_room("ticket".to_owned());
        Self {
            session,
            socket: None,
            seen: [0; Channel::COUNT],
            restarts: [0; Channel::COUNT],
            pushed: 0,
            numbers: BTreeMap::new(),
            reported: BTreeSet::new(),
            fault,
        }
    }

    /// Hands over what came, and gives what to do with the socket.
    pub(super) fn hear(&mut self, now: Timestamp, message: Ws) -> Result<Vec<Output>, String> {
        match message {
            Ws::Open => self.session.handle_connected(now),
            Ws::Text(text) => self.session.handle_text(now, &text),
            Ws::Binary(bytes) => {
                if self.fault == Some(Fault::ClientRepeats) {
                    self.take_without_cursor(&bytes)?;
                }
                self.session.handle_binary(now, &bytes);
            }
            Ws::Closed(code) => {
                self.socket = None;
                self.session.handle_closed(now, code);
            }
        }
        self.pump(now)
    }

    pub(super) fn handle_timeout(&mut self, now: Timestamp) -> Result<Vec<Output>, String> {
        self.session.handle_timeout(now);
        self.pump(now)
    }

    pub(super) fn flush(&mut self, now: Timestamp) -> Result<Vec<Output>, String> {
        self.session.flush_inputs(now);
        self.pump(now)
    }

    /// Every step of input is a number of its own, so that it is known where it turns up.
    pub(super) fn push(&mut self) -> Result<(), String> {
        self.pushed += 1;
        self.session.push_input(self.pushed);
        let number = self.session.inputs().last();
        self.numbers.insert(number.0, self.pushed);
        self.take_events()
    }

    pub(super) fn seen(&self, channel: Channel) -> u64 {
        self.seen[channel.index()]
    }

    /// A step that is neither applied nor reported.
    pub(super) fn forgotten(&self, applied: &[u32]) -> Option<u32> {
        let applied: BTreeSet<u32> = applied.iter().copied().collect();
        (1..=self.pushed).find(|step| !applied.contains(step) && !self.reported.contains(step))
    }

    fn pump(&mut self, now: Timestamp) -> Result<Vec<Output>, String> {
        let outputs: Vec<Output> = std::iter::from_fn(|| self.session.poll_output(now))
            .take(1_000)
            .collect();
        if outputs.len() == 1_000 {
            return Err("the session has something to send for ever".to_owned());
        }
        self.take_events()?;
        Ok(outputs)
    }

    fn take_events(&mut self) -> Result<(), String> {
        while let Some(event) = self.session.poll_event() {
            match event {
                SessionEvent::Channel(attached) if !attached.recovered => {
                    let state = attached.state.ok_or("a new history without state")?;
                    let state: Value = serde_json::from_str(state.get()).unwrap();
                    self.seen[attached.ch.index()] = state["n"].as_u64().unwrap();
                    self.restarts[attached.ch.index()] += 1;
                    if attached.ch == Channel::Room {
                        // The state says what became of them.
                        self.reported.extend(1..=self.pushed);
                        self.numbers.clear();
                    }
                }
                SessionEvent::Event(event) if self.fault != Some(Fault::ClientRepeats) => {
                    self.take_event(&event)?;
                }
                SessionEvent::InputsGivenUp(range) => self.report(range),
                SessionEvent::Ended(why) => return Err(format!("the session ended: {why:?}")),
                SessionEvent::Malformed(what) => return Err(format!("malformed: {what}")),
                SessionEvent::Refused(error) => return Err(format!("refused: {error}")),
                _ => {}
            }
        }
        Ok(())
    }

    fn take_event(&mut self, event: &Event) -> Result<(), String> {
        let payload: Value = serde_json::from_slice(&event.payload).unwrap();
        let number = payload["n"].as_u64().unwrap();
        let seen = &mut self.seen[event.channel.index()];
        if number != *seen + 1 {
            return Err(format!(
                "{:?}: event {number} took effect after {seen}",
                event.channel
            ));
        }
        *seen = number;
        if payload["e"] == "inputs.lost" {
            self.report(serde_json::from_value(payload).unwrap());
        }
        Ok(())
    }

    fn report(&mut self, range: InputRange) {
        let numbers = self.numbers.range(range.from.0..=range.to.0);
        self.reported.extend(numbers.map(|(_, step)| *step));
    }

    fn take_without_cursor(&mut self, bytes: &Bytes) -> Result<(), String> {
        let Ok(Frame::Event(event)) = Frame::decode(bytes) else {
            return Ok(());
        };
        let position = self.session.cursor(event.channel).position();
        let known: &Cursor = self.session.cursor(event.channel);
        if known.position().is_none() || position.map(|at| at.epoch) != Some(event.epoch) {
            return Ok(());
        }
        self.take_event(&event)
    }
}
