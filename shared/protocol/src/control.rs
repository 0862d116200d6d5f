//! Control messages: JSON text frames, low rate, readable in a browser's inspector.
//!
//! Every message is an object whose `t` names its type. Unknown fields are ignored, so that an
//! older peer can be told more; an unknown type is refused by the server with an error that names
//! it, and ignored by a client.

mod error;
mod event;
mod private;
mod say;
mod watch;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::id::{Channel, Epoch, InstanceId, MatchId, Offset, PlayerId, Position, SessionId};

pub use error::{ErrorCode, ErrorMessage};
pub use event::{EventCounts, EventInfo, EventList, EventRef, EventSeat, EventsListed, SeatState};
pub use private::{
    PrivateJoin, PrivateKick, PrivateLeave, PrivateMember, PrivateOpen, PrivateReady, PrivateStart,
    PrivateState,
};
pub use say::{Data, DataError, MAX_DATA, MAX_DATA_DEPTH, RoomSay};
pub use watch::{RoomUnwatch, RoomWatch};

/// What a client says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "t")]
pub enum ClientMessage {
    /// First message on every connection: log in, or resume.
    #[serde(rename = "hello")]
    Hello(Hello),
    /// Enter a queue, or stay in it: joining twice keeps the place.
    #[serde(rename = "queue.join")]
    QueueJoin(QueueJoin),
    /// Leave the queue.
    #[serde(rename = "queue.leave")]
    QueueLeave(QueueLeave),
    /// Take part in a match that was proposed.
    #[serde(rename = "match.accept")]
    MatchAccept(MatchRef),
    /// Do not: the player leaves the queue.
    #[serde(rename = "match.decline")]
    MatchDecline(MatchRef),
    /// Open a private room.
    #[serde(rename = "private.open")]
    PrivateOpen(PrivateOpen),
    /// Enter one by its invite code.
    #[serde(rename = "private.join")]
    PrivateJoin(PrivateJoin),
    /// Say whether the player is ready.
    #[serde(rename = "private.ready")]
    PrivateReady(PrivateReady),
    /// Send a member away, as its leader.
    #[serde(rename = "private.kick")]
    PrivateKick(PrivateKick),
    /// Begin the match, as its leader.
    #[serde(rename = "private.start")]
    PrivateStart(PrivateStart),
    /// Leave it.
    #[serde(rename = "private.leave")]
    PrivateLeave(PrivateLeave),
    /// Enter the room that a match was given.
    #[serde(rename = "room.join")]
    RoomJoin(RoomJoin),
    /// Leave the room for good.
    #[serde(rename = "room.leave")]
    RoomLeave(RoomLeave),
    /// Say something to the members of the room.
    #[serde(rename = "room.say")]
    RoomSay(RoomSay),
    /// Watch a room without a seat in it.
    #[serde(rename = "room.watch")]
    RoomWatch(RoomWatch),
    /// Watch no more.
    #[serde(rename = "room.unwatch")]
    RoomUnwatch(RoomUnwatch),
    /// Which events with a limited number of seats there are, and how they stand from now on.
    #[serde(rename = "event.list")]
    EventList(EventList),
    /// Get a seat, for a moment.
    #[serde(rename = "event.reserve")]
    EventReserve(EventRef),
    /// Keep it for good.
    #[serde(rename = "event.confirm")]
    EventConfirm(EventRef),
    /// Give it back.
    #[serde(rename = "event.release")]
    EventRelease(EventRef),
}

/// Body of `hello`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The wire that the client speaks: [`crate::VERSION`].
    pub v: u16,
    /// Access token of a login. One of `token` and `resume` is needed; `resume` wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Resume token out of the last `welcome`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<String>,
    /// The running client: one random id for each page load or process.
    pub instance: InstanceId,
    /// Counts this client's connections, from 1: of two attaches, the higher one is later.
    pub attempt: u32,
    /// Name and version of the client program, for logs. At most 64 characters.
    #[serde(default)]
    pub client: String,
    /// What the client has of each channel. Absent: nothing.
    #[serde(default, skip_serializing_if = "Have::is_empty")]
    pub have: Have,
    /// The room to be in again at once: its ticket, as `match.found` gave it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<String>,
}

/// What a client has of each channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Have {
    /// Of the channel from the matcher.
    #[serde(rename = "match", default, skip_serializing_if = "Option::is_none")]
    pub matcher: Option<Position>,
    /// Of the channel from the room.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub room: Option<Position>,
}

impl Have {
    fn is_empty(&self) -> bool {
        self.matcher.is_none() && self.room.is_none()
    }

    /// What it says of `channel`.
    pub fn of(&self, channel: Channel) -> Option<Position> {
        match channel {
            Channel::Match => self.matcher,
            Channel::Room => self.room,
        }
    }
}

/// Body of `queue.join`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueJoin {
    /// Name of the mode, as the matcher's configuration lists it.
    pub mode: String,
    /// Round-trip time to each region in milliseconds, as the client measured it. Empty: any
    /// region will do.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<String, u32>,
    /// Play together with others who name the same party.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<PartyRef>,
    /// The build of the game that the client runs. Modes may keep builds apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// By what else to meet, as far as the mode has attributes: name and value.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// The roles that the player takes, the dearest first. Empty: any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The receipt out of the last `queue.state` of this wait: if the ticket is lost, it comes back
    /// with its age.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// A party that forms when `size` players name the same `code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartyRef {
    /// Agreed among its members: 4 to 32 characters.
    pub code: String,
    /// How many members it has, 2 or more.
    pub size: u8,
}

/// Body of `queue.leave`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueLeave {}

/// Body of `match.accept` and `match.decline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchRef {
    /// The match, as `match.proposed` named it.
    #[serde(rename = "match")]
    pub match_id: MatchId,
}

/// Body of `room.join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomJoin {
    /// The room ticket out of `match.found`.
    pub ticket: String,
}

/// Body of `room.leave`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoomLeave {}

/// What the server says.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "t")]
pub enum ServerMessage {
    /// Answer to a good `hello`.
    #[serde(rename = "welcome")]
    Welcome(Welcome),
    /// A channel is attached; its events follow from `offset` + 1.
    #[serde(rename = "channel")]
    Channel(ChannelAttached),
    /// A channel's origin is out of reach for now; the gateway goes on trying.
    #[serde(rename = "channel.lost")]
    ChannelLost(ChannelLost),
    /// A channel ended: no more events, no more input.
    #[serde(rename = "channel.closed")]
    ChannelClosed(ChannelClosed),
    /// How the queue stands, about once a second while in it. Not reliable.
    #[serde(rename = "queue.state")]
    QueueState(QueueState),
    /// How a private room stands, whenever that changes, to its members.
    #[serde(rename = "private.state")]
    PrivateState(PrivateState),
    /// Answer to `event.list`.
    #[serde(rename = "event.list")]
    EventsListed(EventsListed),
    /// How many seats of an event are free now. Not reliable.
    #[serde(rename = "event.counts")]
    EventCounts(EventCounts),
    /// How the player stands in an event. After `event.list` one comes for each event that is open;
    /// otherwise in answer to what the player asks.
    #[serde(rename = "event.seat")]
    EventSeat(EventSeat),
    /// This node is going away: connect elsewhere within the time given.
    #[serde(rename = "goaway")]
    GoAway(GoAway),
    /// Something that the client sent was refused.
    #[serde(rename = "error")]
    Error(ErrorMessage),
}

/// Body of `welcome`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The wire that is spoken.
    pub v: u16,
    /// The session; a resume keeps it.
    pub session: SessionId,
    /// The player.
    pub player: PlayerId,
    /// The player's name.
    pub name: String,
    /// For `hello` on the next connection.
    pub resume: String,
    /// Whether this continues an earlier connection's session.
    pub resumed: bool,
    /// The gateway that answers.
    pub node: String,
    /// How often to send a heartbeat while not in a room, in milliseconds.
    pub heartbeat_ms: u32,
    /// How often while in a room.
    pub active_heartbeat_ms: u32,
    /// The server closes a connection on which it hears nothing for this long.
    pub deadline_ms: u32,
    /// The server's wall clock, in milliseconds since 1970.
    pub server_time_ms: u64,
}

/// Body of `channel`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChannelAttached {
    /// Which channel.
    pub ch: Channel,
    /// Its history from here on.
    pub epoch: Epoch,
    /// The last event before those that follow.
    pub offset: Offset,
    /// Whether those are all that the client misses. `false`: what it had is of no use, and
    /// `state` is where it starts.
    pub recovered: bool,
    /// The channel's state now, as its origin describes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<RawValue>>,
}

/// Body of `channel.lost`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelLost {
    /// Which channel.
    pub ch: Channel,
    /// Why: `node_silent`, `node_gone`, `node_unreachable`, or `moved` when another node has the
    /// channel, or is to have it. For logs; others may come.
    pub reason: String,
}

/// Body of `channel.closed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelClosed {
    /// Which channel.
    pub ch: Channel,
    /// Why: `finished`, `abandoned`, `failed`, or `left` in answer to `room.leave`.
    pub reason: String,
}

/// Body of `queue.state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueState {
    /// The mode queued for.
    pub mode: String,
    /// How long this player has waited.
    pub waiting_ms: u64,
    /// Players in the queue.
    pub size: u32,
    /// How much longer it takes, by recent matches; absent while nothing is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub estimate_ms: Option<u64>,
    /// Members present and wanted, while a party gathers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub party: Option<(u8, u8)>,
    /// For a `queue.join`, should the server lose the ticket. Now and then; the last one counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<String>,
}

/// Body of `goaway`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoAway {
    /// Why: `drain`.
    pub reason: String,
    /// The connection is closed after this long.
    pub within_ms: u32,
}

impl ClientMessage {
    /// The types that a server knows.
    pub const TYPES: [&str; 20] = [
        "hello",
        "queue.join",
        "queue.leave",
        "match.accept",
        "match.decline",
        "private.open",
        "private.join",
        "private.ready",
        "private.kick",
        "private.start",
        "private.leave",
        "room.join",
        "room.leave",
        "room.say",
        "room.watch",
        "room.unwatch",
        "event.list",
        "event.reserve",
        "event.confirm",
        "event.release",
    ];

    /// Parses a text frame.
    ///
    /// # Errors
    /// What to tell the client, ready to send: it names the type and the field at fault.
    pub fn parse(text: &str) -> Result<Self, ErrorMessage> {
        let kind = kind_of(text)?;
        match kind.as_ref() {
            "hello" => body(text, &kind).map(Self::Hello),
            "queue.join" => body(text, &kind).map(Self::QueueJoin),
            "queue.leave" => body(text, &kind).map(Self::QueueLeave),
            "match.accept" => body(text, &kind).map(Self::MatchAccept),
            "match.decline" => body(text, &kind).map(Self::MatchDecline),
            "private.open" => body(text, &kind).map(Self::PrivateOpen),
            "private.join" => body(text, &kind).map(Self::PrivateJoin),
            "private.ready" => body(text, &kind).map(Self::PrivateReady),
            "private.kick" => body(text, &kind).map(Self::PrivateKick),
            "private.start" => body(text, &kind).map(Self::PrivateStart),
            "private.leave" => body(text, &kind).map(Self::PrivateLeave),
            "room.join" => body(text, &kind).map(Self::RoomJoin),
            "room.leave" => body(text, &kind).map(Self::RoomLeave),
            "room.say" => body(text, &kind).map(Self::RoomSay),
            "room.watch" => body(text, &kind).map(Self::RoomWatch),
            "room.unwatch" => body(text, &kind).map(Self::RoomUnwatch),
            "event.list" => body(text, &kind).map(Self::EventList),
            "event.reserve" => body(text, &kind).map(Self::EventReserve),
            "event.confirm" => body(text, &kind).map(Self::EventConfirm),
            "event.release" => body(text, &kind).map(Self::EventRelease),
            unknown => Err(ErrorMessage::new(
                ErrorCode::UnknownType,
                format!(
                    "no message type {:?}; known types are {}",
                    abbreviate(unknown),
                    Self::TYPES.join(", ")
                ),
            )
            .field("t")),
        }
    }

    /// The message's `t`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::QueueJoin(_) => "queue.join",
            Self::QueueLeave(_) => "queue.leave",
            Self::MatchAccept(_) => "match.accept",
            Self::MatchDecline(_) => "match.decline",
            Self::PrivateOpen(_) => "private.open",
            Self::PrivateJoin(_) => "private.join",
            Self::PrivateReady(_) => "private.ready",
            Self::PrivateKick(_) => "private.kick",
            Self::PrivateStart(_) => "private.start",
            Self::PrivateLeave(_) => "private.leave",
            Self::RoomJoin(_) => "room.join",
            Self::RoomLeave(_) => "room.leave",
            Self::RoomSay(_) => "room.say",
            Self::RoomWatch(_) => "room.watch",
            Self::RoomUnwatch(_) => "room.unwatch",
            Self::EventList(_) => "event.list",
            Self::EventReserve(_) => "event.reserve",
            Self::EventConfirm(_) => "event.confirm",
            Self::EventRelease(_) => "event.release",
        }
    }

    /// The text frame.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("control messages have string keys only")
    }
}

impl ServerMessage {
    /// Parses a text frame; `None` for a type that this build does not know, which is ignored.
    ///
    /// # Errors
    /// If the text is not a message, or one of a known type with wrong fields.
    pub fn parse(text: &str) -> Result<Option<Self>, ErrorMessage> {
        const TYPES: [&str; 11] = [
            "welcome",
            "channel",
            "channel.lost",
            "channel.closed",
            "queue.state",
            "private.state",
            "event.list",
            "event.counts",
            "event.seat",
            "goaway",
            "error",
        ];
        let kind = kind_of(text)?;
        if !TYPES.contains(&kind.as_ref()) {
            return Ok(None);
        }
        // An internally tagged enum cannot hold raw JSON, hence the two steps.
        Ok(Some(match kind.as_ref() {
            "welcome" => Self::Welcome(body(text, &kind)?),
            "channel" => Self::Channel(body(text, &kind)?),
            "channel.lost" => Self::ChannelLost(body(text, &kind)?),
            "channel.closed" => Self::ChannelClosed(body(text, &kind)?),
            "queue.state" => Self::QueueState(body(text, &kind)?),
            "private.state" => Self::PrivateState(body(text, &kind)?),
            "event.list" => Self::EventsListed(body(text, &kind)?),
            "event.counts" => Self::EventCounts(body(text, &kind)?),
            "event.seat" => Self::EventSeat(body(text, &kind)?),
            "goaway" => Self::GoAway(body(text, &kind)?),
            _ => Self::Error(body(text, &kind)?),
        }))
    }

    /// The text frame.
    pub fn to_text(&self) -> String {
        serde_json::to_string(self).expect("control messages have string keys only")
    }
}

fn kind_of(text: &str) -> Result<String, ErrorMessage> {
    #[derive(Deserialize)]
    struct Kind {
        t: Option<String>,
    }
    let remedy = "send one JSON object with a string \"t\", for example {\"t\":\"queue.leave\"}";
    // A struct would also be read from an array; only an object is a message.
    if !text.trim_start().starts_with('{') {
        return Err(ErrorMessage::new(
            ErrorCode::BadMessage,
            format!("not a JSON object; {remedy}"),
        ));
    }
    let kind: Kind = serde_json::from_str(text).map_err(|error| {
        let message = format!("{}; {remedy}", abbreviate(&error.to_string()));
        ErrorMessage::new(ErrorCode::BadMessage, message)
    })?;
    kind.t.ok_or_else(|| {
        ErrorMessage::new(ErrorCode::BadMessage, format!("no \"t\"; {remedy}")).field("t")
    })
}

fn body<'a, T: Deserialize<'a>>(text: &'a str, kind: &str) -> Result<T, ErrorMessage> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        // Keys of a map are the client's own text.
        let path = abbreviate(&error.path().to_string());
        let message = abbreviate(&error.inner().to_string());
        let field = if path == "." {
            quoted(&message)
        } else {
            Some(path)
        };
        let message = match &field {
            Some(field) => format!("{kind}.{field}: {message}"),
            None => format!("{kind}: {message}"),
        };
        let error = ErrorMessage::new(ErrorCode::BadField, message).re(kind);
        ErrorMessage { field, ..error }
    })
}

/// The field that serde names in backquotes when one is missing.
fn quoted(message: &str) -> Option<String> {
    message
        .strip_prefix("missing field `")?
        .split('`')
        .next()
        .map(str::to_owned)
}

/// Keeps what a client sent from filling an answer or a log line.
fn abbreviate(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
