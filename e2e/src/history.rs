//! What players saw, and the proof that it is as if nothing had failed.
//!
//! - [`History`]: what one player saw, in order; a [`Recorder`] writes it
//! - [`check`]: holds the histories of everyone, the faults and what the store recorded against
//!   the rules, and gives every [`Violation`]

mod check;
mod recorder;

use std::time::Duration;

use protocol::id::{Channel, Epoch, InputSeq, MatchId, Offset, PlayerId, RoomId};
use serde::{Serialize, Serializer};

pub use check::{Loses, Run, SeatTelling, Seats, SeatsTold, Stored, Strike, Violation, check};
pub(crate) use recorder::MatchState;
pub use recorder::{Phase, Recorder};

/// What one player saw.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// Which of the players.
    pub number: u64,
    /// Its id, once it was welcomed.
    pub player: Option<PlayerId>,
    /// What it saw and did, in order.
    pub entries: Vec<Entry>,
    /// When it last made progress.
    #[serde(serialize_with = "millis")]
    pub progress: Duration,
    /// Whether it was told to stop and has come to rest.
    pub is_done: bool,
}

/// Something that a player saw or did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    /// When, since the run began.
    #[serde(rename = "at_ms", serialize_with = "millis")]
    pub at: Duration,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// A seat in a match, as the match channel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SeatIn {
    /// The match.
    #[serde(rename = "match")]
    pub match_id: MatchId,
    /// Where it is played.
    pub room: RoomId,
}

/// Something that a player saw or did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum What {
    /// A gateway welcomed it.
    Welcome {
        /// The gateway.
        node: String,
        /// Whether the session goes on.
        resumed: bool,
    },
    /// The connection was lost.
    Lost {
        /// The close code.
        code: Option<u16>,
    },
    /// It is back.
    Restored {
        /// As the client measures it.
        #[serde(rename = "freeze_ms", serialize_with = "millis")]
        freeze: Duration,
    },
    /// A channel stands.
    Attached {
        /// Which.
        channel: Channel,
        /// For the room channel, which room.
        room: Option<RoomId>,
        /// Its history.
        epoch: Epoch,
        /// Where that stands.
        offset: Offset,
        /// Whether what was known goes on.
        recovered: bool,
        /// For the match channel with its state, the match that the player is in.
        seat: Option<SeatIn>,
    },
    /// A channel is out of reach for now.
    OutOfReach {
        /// Which.
        channel: Channel,
        /// Why.
        reason: String,
    },
    /// A channel is over.
    Closed {
        /// Which.
        channel: Channel,
        /// For the room channel, which room.
        room: Option<RoomId>,
        /// Why.
        reason: String,
    },
    /// An event took effect.
    Event {
        /// Of which channel.
        channel: Channel,
        /// For the room channel, which room.
        room: Option<RoomId>,
        /// Of which history.
        epoch: Epoch,
        /// Which event of it.
        offset: Offset,
        /// What it says.
        payload: String,
    },
    /// Nothing moved for a while, which is over now.
    Silence {
        /// For how long.
        #[serde(rename = "lasted_ms", serialize_with = "millis")]
        lasted: Duration,
        /// What was waited for.
        phase: Phase,
    },
    /// The player asked for a match.
    Queued,
    /// The player left a room, after its result or because it is gone.
    Left {
        /// Which.
        room: RoomId,
    },
    /// The server refused something.
    Refused {
        /// What.
        re: Option<String>,
        /// Why.
        code: String,
        /// For people.
        message: String,
        /// Whether it is worth another attempt.
        retry: bool,
    },
    /// Inputs were given up while the room was there.
    GivenUp {
        /// The first.
        from: InputSeq,
        /// The last.
        to: InputSeq,
    },
    /// A snapshot takes back inputs that an earlier one had called durable.
    Undone {
        /// Durable up to here.
        durable: InputSeq,
        /// Processed only up to here.
        processed: InputSeq,
    },
    /// The server sent what cannot be read.
    Malformed {
        /// What is wrong with it.
        text: String,
    },
    /// The session is over.
    Ended {
        /// Why.
        why: String,
    },
}

impl History {
    /// Of a player that has seen nothing yet.
    pub fn new(number: u64) -> Self {
        Self {
            number,
            player: None,
            entries: Vec::new(),
            progress: Duration::ZERO,
            is_done: false,
        }
    }

    /// When nothing moved in a race, and for how long: what the player saw as a freeze.
    pub fn freezes(&self) -> impl Iterator<Item = (Duration, Duration)> {
        self.entries.iter().filter_map(|entry| match entry.what {
            What::Silence { lasted, phase } if phase != Phase::Match => {
                Some((entry.at.saturating_sub(lasted), lasted))
            }
            _ => None,
        })
    }

    /// The rooms that this player was in, in order.
    pub fn rooms(&self) -> impl Iterator<Item = RoomId> {
        let mut last = None;
        self.entries
            .iter()
            .filter_map(move |entry| match entry.what {
                What::Attached { room, .. } if room.is_some() && room != last => {
                    last = room;
                    room
                }
                _ => None,
            })
    }

    /// How often this player's connection was lost.
    pub fn losses(&self) -> usize {
        let lost = |entry: &&Entry| matches!(entry.what, What::Lost { .. });
        self.entries.iter().filter(lost).count()
    }
}

pub(crate) fn millis<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}
