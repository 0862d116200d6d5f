//! Every state machine of the protocol, driven by bytes: any script is a valid one.
//!
//! Shared by the tests and the fuzzer, so it depends on the protocol alone.

use std::time::Duration;

use bytes::Bytes;
use protocol::cursor::Cursor;
use protocol::frame::{Ack, Acks, Beat, Event, Frame, InputFrame, Snapshot, SnapshotHead, Steps};
use protocol::id::{Channel, Epoch, InputSeq, Offset, Position, Tick};
use protocol::input::InputQueue;
use protocol::link::{Link, LinkConfig, Pace};
use protocol::log::{Attach, EventLog, LogLimits};
use protocol::session::{Output, Session, SessionConfig};
use protocol::time::Timestamp;

/// Most that one call may give to do: a log of [`LIMITS`] sent again, or a window of inputs.
const MOST: usize = 64;

const LIMITS: LogLimits = LogLimits {
    events: 32,
    bytes: 1_024,
};

const LINK: LinkConfig = LinkConfig {
    idle: Pace {
        interval: Duration::from_secs(25),
        silence: Duration::from_secs(60),
    },
    active: Pace {
        interval: Duration::from_millis(400),
        silence: Duration::from_secs(1),
    },
};

/// Runs a script against one of each.
pub(super) fn drive(script: &[u8]) {
    let mut script = Script(script);
    let mut machine = Machine::new(script.number());
    while !script.0.is_empty() {
        machine.step(&mut script);
        machine.drain();
    }
}

/// Reads choices; when it is used up every choice is 0.
struct Script<'a>(&'a [u8]);

impl Script<'_> {
    fn byte(&mut self) -> u8 {
        match self.0.split_first() {
            Some((first, rest)) => {
                self.0 = rest;
                *first
            }
            None => 0,
        }
    }

    /// Small numbers and those near the end are where mistakes live.
    fn number(&mut self) -> u32 {
        let (kind, byte) = (self.byte(), u32::from(self.byte()));
        match kind % 4 {
            0 | 1 => byte % 16,
            2 => u32::MAX - byte % 20,
            _ => u32::from_le_bytes([self.byte(), self.byte(), self.byte(), byte as u8]),
        }
    }

    fn yes(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    fn channel(&mut self) -> Channel {
        Channel::ALL[usize::from(self.byte() & 1)]
    }

    fn epoch(&mut self) -> Epoch {
        Epoch(u32::from(self.byte() % 4))
    }

    fn payload(&mut self) -> Bytes {
        let length = usize::from(self.byte()).min(self.0.len());
        let (payload, rest) = self.0.split_at(length);
        self.0 = rest;
        Bytes::copy_from_slice(payload)
    }

    fn ack(&mut self) -> Ack {
        Ack {
            channel: self.channel(),
            epoch: self.epoch(),
            offset: Offset(self.number()),
            resend: self.yes(),
        }
    }

    fn frame(&mut self) -> Frame {
        let beat = |script: &mut Self| Beat {
            time: script.number(),
            echo: script.number(),
            hold: script.number() as u16,
        };
        match self.byte() % 6 {
            0 => Frame::Ping(beat(self), self.acks()),
            1 => Frame::Pong(beat(self)),
            2 => Frame::Ack(self.acks()),
            3 => Frame::Input(self.input()),
            4 => Frame::Snapshot(Snapshot {
                head: SnapshotHead {
                    tick: Tick(self.number()),
                    distance: self.number(),
                    processed: InputSeq(self.number()),
                    durable_lag: self.number(),
                    queued: self.byte() % 16,
                },
                body: self.payload(),
            }),
            _ => Frame::Event(Event {
                channel: self.channel(),
                epoch: self.epoch(),
                offset: Offset(self.number()),
                payload: self.payload(),
            }),
        }
    }

    fn acks(&mut self) -> Acks {
        let mut acks = Acks::default();
        for _ in 0..self.byte() % 3 {
            acks.set(self.ack());
        }
        acks
    }

    fn input(&mut self) -> InputFrame {
        let mut steps = Steps::new(1 + self.byte() % 32);
        for _ in 0..=self.byte() % 15 {
            steps.push(self.number());
        }
        InputFrame {
            epoch: self.epoch(),
            offset: Offset(self.number()),
            snapshot: Tick(self.number()),
            first: InputSeq(self.number().max(1)),
            steps,
        }
    }

    fn server_text(&mut self) -> String {
        let (epoch, offset) = (self.epoch(), self.number());
        let channel = if self.yes() { "match" } else { "room" };
        match self.byte() % 6 {
            0 | 1 => WELCOME.to_owned(),
            2 | 3 => format!(
                "{{\"t\":\"channel\",\"ch\":\"{channel}\",\"epoch\":{epoch},\"offset\":{offset},\
                 \"recovered\":{}}}",
                self.yes()
            ),
            4 => format!("{{\"t\":\"channel.lost\",\"ch\":\"{channel}\",\"reason\":\"gone\"}}"),
            _ => format!("{{\"t\":\"channel.closed\",\"ch\":\"{channel}\",\"reason\":\"left\"}}"),
        }
    }
}

const WELCOME: &str = "{\"t\":\"welcome\",\"v\":1,\"session\":\"se_0000000000000001\",\
    \"player\":\"pl_0000000000000002\",\"name\":\"Ada\",\"resume\":\"r\",\"resumed\":false,\
    \"node\":\"g\",\"heartbeat_ms\":25000,\"active_heartbeat_ms\":400,\"deadline_ms\":60000,\
    \"server_time_ms\":0}";

struct Machine {
    now: Timestamp,
    session: Session,
    link: Link,
    log: EventLog,
    queue: InputQueue,
    cursor: Cursor,
}

impl Machine {
    fn new(seed: u32) -> Self {
        let config = SessionConfig {
            addresses: 2,
            input_limit: 50,
            ..SessionConfig::default()
        };
        Self {
            now: Timestamp(0),
            session: Session::new(config, "token".to_owned(), u64::from(seed)),
            link: Link::server(LINK, Timestamp(0)),
            log: EventLog::new(Channel::Room, Epoch(1), LIMITS),
            queue: InputQueue::new(20),
            cursor: Cursor::new(Channel::Room),
        }
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let now = self.now;
        match script.byte() % 16 {
            0..=3 => self
                .session
                .handle_binary(now, &script.frame().encode().into()),
            4..=6 => self.session.handle_text(now, &script.server_text()),
            7 => self.session_is_told(script),
            8 => {
                let text = String::from_utf8_lossy(&script.payload()).into_owned();
                self.session.handle_text(now, &text);
            }
            9 => {
                let millis = u64::from(script.byte()) * u64::from(script.byte());
                self.now = now + Duration::from_millis(millis);
                self.session.handle_timeout(self.now);
                self.link.handle_timeout(self.now);
                self.log.handle_timeout(self.now);
            }
            10 => self.link.handle_frame(now, &script.frame()),
            11 => self.log_is_told(script),
            12 => {
                let input = script.input();
                let lost = self.queue.accept(input.first, input.steps.as_slice());
                assert!(lost.is_none_or(|lost| lost.from <= lost.to));
                assert!(self.queue.queued() <= 20);
            }
            13 => drop(self.queue.take()),
            14 => {
                let (epoch, offset) = (script.epoch(), Offset(script.number()));
                self.cursor.handle_attached(epoch, offset, script.yes());
            }
            _ => {
                if let Frame::Event(event) = script.frame() {
                    self.cursor.handle_event(&event);
                }
            }
        }
    }

    fn session_is_told(&mut self, script: &mut Script<'_>) {
        let now = self.now;
        match script.byte() % 8 {
            0 | 1 => self.session.handle_connected(now),
            2 => {
                let code = (script.number() % 5_000) as u16;
                self.session
                    .handle_closed(now, script.yes().then_some(code));
            }
            3 => self
                .session
                .join_room(format!("ticket-{}", script.byte() % 2)),
            4 => self.session.leave_room(),
            5 => (0..script.byte()).for_each(|step| self.session.push_input(step.into())),
            6 => self.session.flush_inputs(now),
            _ => self.session.log_in(now, "token".to_owned()),
        }
    }

    fn log_is_told(&mut self, script: &mut Script<'_>) {
        match script.byte() % 4 {
            0 | 1 => drop(self.log.append(script.payload())),
            2 => self.log.handle_ack(self.now, script.ack()),
            _ => {
                let at = Position {
                    epoch: script.epoch(),
                    offset: Offset(script.number()),
                };
                let attach = match script.byte() % 3 {
                    0 => Attach::Fresh,
                    1 => Attach::Continue,
                    _ => Attach::Resume(at),
                };
                self.log.attach(attach, script.epoch());
            }
        }
    }

    /// Takes all there is to do and to know; it must come to an end.
    fn drain(&mut self) {
        let now = self.now;
        let session = std::iter::from_fn(|| self.session.poll_output(now));
        let mut sent = 0;
        for output in session.take(MOST) {
            sent += 1;
            if let Output::Binary(bytes) = output {
                assert!(Frame::decode(&bytes.into()).is_ok());
            }
        }
        assert!(sent < MOST, "the session has no end of things to do");
        // One for each step of input that a push gave up, and some.
        assert!(std::iter::from_fn(|| self.session.poll_event()).count() < 300);
        assert!(
            std::iter::from_fn(|| self.link.poll_transmit(now))
                .take(MOST)
                .count()
                < MOST
        );
        assert!(
            std::iter::from_fn(|| self.link.poll_event())
                .take(MOST)
                .count()
                < MOST
        );
        assert!(std::iter::from_fn(|| self.log.poll_transmit(now)).count() <= LIMITS.events);
    }
}
