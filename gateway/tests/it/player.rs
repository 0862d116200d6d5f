//! A client of the session protocol, as far as tests need one.

use bytes::Bytes;
use protocol::frame::{Ack, Acks, Event, Frame as Binary};
use protocol::id::PlayerId;
use serde_json::{Value, json};

use super::raw::{BINARY, Frame, Raw, TEXT};
use super::rig::Rig;

/// The instance of a client that does not say otherwise.
pub(crate) const INSTANCE: &str = "in_00000000000000aa";

/// What the server said.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    Text(Value),
    Binary(Binary),
}

/// A connection that has said hello.
pub(crate) struct Player {
    pub(crate) raw: Raw,
    pub(crate) welcome: Value,
    pub(crate) id: PlayerId,
}

/// A good first hello.
pub(crate) fn hello(token: &str) -> Value {
    json!({ "t": "hello", "v": 1, "token": token, "instance": INSTANCE, "attempt": 1 })
}

impl Player {
    /// Logs in, says hello, and waits for the channel to the matcher.
    pub(crate) async fn join(rig: &Rig, name: &str) -> Self {
        let token = rig.login(name).await;
        Self::greet(rig.socket().await, &hello(&token)).await
    }

    /// Says a hello that has to be good, and waits for the channel to the matcher.
    pub(crate) async fn greet(mut raw: Raw, hello: &Value) -> Self {
        raw.say(hello).await;
        let welcome = raw.hear("welcome").await;
        let id = welcome["player"].as_str().unwrap().parse().unwrap();
        let mut player = Self { raw, welcome, id };
        player.raw.hear("channel").await;
        player
    }

    /// The hello with which this client comes back as its `attempt`-th connection.
    pub(crate) fn comeback(&self, attempt: u32) -> Value {
        json!({
            "t": "hello", "v": 1, "resume": self.welcome["resume"],
            "instance": INSTANCE, "attempt": attempt,
        })
    }

    /// Enters the room, by a ticket of its own.
    pub(crate) async fn enter_room(&mut self, rig: &Rig) {
        let ticket = rig.ticket(self.id);
        self.raw
            .say(&json!({ "t": "room.join", "ticket": ticket }))
            .await;
        let attached = self.raw.hear("channel").await;
        assert_eq!(attached["ch"], "room");
    }

    /// The connection works: a message goes through to the matcher and back.
    pub(crate) async fn expect_well(&mut self, rig: &Rig) {
        rig.matcher.emit(self.id, r#"{"e":"probe"}"#);
        loop {
            let event = self.raw.hear_event().await;
            if event.payload == r#"{"e":"probe"}"# {
                return;
            }
        }
    }
}

impl Raw {
    /// Sends a control message.
    pub(crate) async fn say(&mut self, message: &Value) {
        self.send(&Frame::text(message.to_string())).await;
    }

    /// Sends a binary frame.
    pub(crate) async fn say_binary(&mut self, frame: &Binary) {
        self.send(&Frame::binary(frame.encode())).await;
    }

    /// Acknowledges an event.
    pub(crate) async fn acknowledge(&mut self, event: &Event) {
        let mut acks = Acks::default();
        acks.set(Ack {
            channel: event.channel,
            epoch: event.epoch,
            offset: event.offset,
            resend: false,
        });
        self.say_binary(&Binary::Ack(acks)).await;
    }

    /// The next message, whatever it is.
    pub(crate) async fn listen(&mut self) -> Said {
        match self.message().await {
            (TEXT, text) => Said::Text(serde_json::from_slice(&text).expect("JSON")),
            (BINARY, bytes) => Said::Binary(Binary::decode(&Bytes::from(bytes)).expect("a frame")),
            (opcode, _) => panic!("opcode {opcode}"),
        }
    }

    /// Waits for the control message `kind`.
    pub(crate) async fn hear(&mut self, kind: &str) -> Value {
        loop {
            match self.listen().await {
                Said::Text(message) if message["t"] == kind => return message,
                Said::Text(message) => assert_ne!(message["t"], "error", "{message}"),
                Said::Binary(_) => {}
            }
        }
    }

    /// Waits for a reliable event.
    pub(crate) async fn hear_event(&mut self) -> Event {
        loop {
            if let Said::Binary(Binary::Event(event)) = self.listen().await {
                return event;
            }
        }
    }

    /// The next message is an error with this code; gives it. Each says something to people.
    pub(crate) async fn expect_error(&mut self, code: &str) -> Value {
        let Said::Text(error) = self.listen().await else {
            panic!("a binary frame instead of {code}");
        };
        assert_eq!(
            (&error["t"], &error["code"]),
            (&json!("error"), &json!(code)),
            "{error}"
        );
        assert!(
            error["message"].as_str().is_some_and(|text| text.len() > 8),
            "{error}"
        );
        error
    }
}
