//! A logged-in client that then does nothing but beat.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use protocol::control::{ClientMessage, Have, Hello, ServerMessage};
use protocol::frame::{Acks, Beat, Frame};
use protocol::id::{Channel, InstanceId, PlayerId};
use rpc::token::{Access, Identity};

use crate::server::Gateway;
use crate::wire::{self, BINARY, Dialer, TEXT};
use crate::{BenchError, system};

/// Longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

const TOKEN_LIFETIME: Duration = Duration::from_secs(3600);

/// A session that is attached to the matcher.
#[derive(Debug)]
pub(crate) struct Session {
    stream: TcpStream,
    inbox: Vec<u8>,
}

impl Session {
    /// Connects as the `index`th player and waits until it is welcome and attached.
    pub(crate) fn open(
        gateway: &Gateway,
        dialer: &mut Dialer,
        index: usize,
    ) -> Result<Self, BenchError> {
        let stream = dialer
            .connect(gateway.public())
            .map_err(system("connect"))?;
        stream
            .set_read_timeout(Some(PATIENCE))
            .map_err(system("set a time-out"))?;
        let mut session = Self {
            stream,
            inbox: Vec::new(),
        };
        session.write(&wire::request("/v1/ws", Some(protocol::SUBPROTOCOL)))?;
        session.read_head()?;
        session.write(&wire::masked(
            TEXT,
            hello(gateway, index).to_text().as_bytes(),
        ))?;
        session.expect("hello", |message| {
            matches!(message, ServerMessage::Welcome(_))
        })?;
        session.expect("an attach", |message| {
            matches!(message, ServerMessage::Channel(attached) if attached.ch == Channel::Match)
        })?;
        session.inbox = Vec::new();
        Ok(session)
    }

    /// Beats once, and waits for the answer.
    pub(crate) fn beat(&mut self, time: u32) -> Result<(), BenchError> {
        let ping = Frame::Ping(
            Beat {
                time,
                ..Beat::default()
            },
            Acks::default(),
        )
        .encode();
        self.write(&wire::masked(BINARY, &ping))?;
        let (opcode, payload) = self.read_frame()?;
        match Frame::decode(&payload) {
            Ok(Frame::Pong(_)) if opcode == BINARY => Ok(()),
            _ => Err(unexpected("a heartbeat", &payload)),
        }
    }

    fn expect(
        &mut self,
        what: &'static str,
        is_it: impl Fn(&ServerMessage) -> bool,
    ) -> Result<(), BenchError> {
        let (_, payload) = self.read_frame()?;
        let text = String::from_utf8_lossy(&payload);
        match ServerMessage::parse(&text) {
            Ok(Some(message)) if is_it(&message) => Ok(()),
            _ => Err(unexpected(what, &payload)),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BenchError> {
        self.stream
            .write_all(bytes)
            .map_err(system("write to the server"))
    }

    fn read_head(&mut self) -> Result<(), BenchError> {
        loop {
            if let Some(end) = wire::head_end(&self.inbox) {
                let head: Vec<u8> = self.inbox.drain(..end).collect();
                return if wire::is_switched(&head) {
                    Ok(())
                } else {
                    Err(unexpected("an upgrade", &head))
                };
            }
            self.read_more()?;
        }
    }

    fn read_frame(&mut self) -> Result<(u8, Bytes), BenchError> {
        loop {
            if let Some(frame) = wire::first_frame(&self.inbox) {
                let payload = Bytes::copy_from_slice(&self.inbox[frame.start..frame.end]);
                self.inbox.drain(..frame.end);
                return Ok((frame.opcode, payload));
            }
            self.read_more()?;
        }
    }

    fn read_more(&mut self) -> Result<(), BenchError> {
        let mut buffer = [0; 4096];
        match self
            .stream
            .read(&mut buffer)
            .map_err(system("read from the server"))?
        {
            0 => Err(unexpected("a message", &self.inbox)),
            count => {
                self.inbox.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }
}

/// Names and ids are as long as real ones: the gateway keeps them.
fn hello(gateway: &Gateway, index: usize) -> ClientMessage {
    let identity = Identity {
        player: PlayerId(0x5eed_0000_0000_0000 + index as u64),
        name: format!("Player {index:05}"),
        bot: false,
        rating: 1500,
    };
    ClientMessage::Hello(Hello {
        v: protocol::VERSION,
        token: Some(gateway.signer().sign(Access { identity }, TOKEN_LIFETIME)),
        resume: None,
        instance: InstanceId(index as u64 + 1),
        attempt: 1,
        client: "bench/1".to_owned(),
        have: Have::default(),
        room: None,
    })
}

pub(crate) fn unexpected(what: &'static str, answer: &[u8]) -> BenchError {
    let text = String::from_utf8_lossy(answer);
    BenchError::Answer {
        what,
        answer: text.chars().take(200).collect(),
    }
}
