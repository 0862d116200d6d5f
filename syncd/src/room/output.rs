//! What leaves a room.

use bytes::Bytes;
use protocol::attach::Claim;
use protocol::close::CloseCode;
use protocol::control::ErrorMessage;
use protocol::frame::Event;
use protocol::id::{SessionId, Tick};
use protocol::input::InputRange;
use protocol::log::Attached;
use serde::{Deserialize, Serialize};

use super::SnapshotTarget;
use crate::game::Seat;

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// It took effect.
    Done,
    /// It is late, or about nobody: nothing changed.
    Ignored,
    /// A player is attached; the channel's state leaves with the next step.
    Attached {
        /// To this seat.
        seat: Seat,
        /// In place of this attachment, which stood until now; it may be the same one.
        previous: Option<Claim>,
    },
    /// An attach that does not count; nothing changed.
    Refused(Refusal),
    /// A message that is not passed on; its sender alone is told.
    Unsaid(ErrorMessage),
}

/// Why an attach does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The player has no seat here.
    NoSeat,
    /// The player has left for good.
    Left,
    /// The same client has been seen on a later connection.
    Stale,
    /// The player has logged in elsewhere since.
    Replaced,
}

/// One thing that leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// The channel stands.
    Attached {
        /// Whose.
        seat: Seat,
        /// To be sent to.
        session: SessionId,
        /// Which connection of it.
        attempt: u32,
        /// Where the event log stands.
        attached: Attached,
        /// A JSON object for the client.
        state: String,
    },
    /// A reliable event.
    Event {
        /// Whose.
        seat: Seat,
        /// To be sent to.
        session: SessionId,
        /// What.
        event: Event,
    },
    /// A snapshot.
    Snapshot {
        /// The packed state.
        body: Bytes,
        /// Who gets it.
        targets: Vec<SnapshotTarget>,
    },
    /// Inputs were lost. The player learns it by an event; this is for metrics.
    InputsLost {
        /// Whose.
        seat: Seat,
        /// Which.
        range: InputRange,
    },
    /// A piece of the room's tape is complete.
    Segment {
        /// The last tick that it covers.
        until: Tick,
        /// For [`crate::replay`].
        bytes: Bytes,
    },
    /// A connection cannot go on.
    CloseConnection {
        /// Whose.
        seat: Seat,
        /// To be closed.
        session: SessionId,
        /// Which connection of it.
        attempt: u32,
        /// Why.
        code: CloseCode,
    },
    /// The room is gone.
    CloseChannel {
        /// Whose.
        seat: Seat,
        /// To be told.
        session: SessionId,
        /// Which connection of it.
        attempt: u32,
        /// Why.
        reason: EndReason,
    },
}

/// Why a room is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndReason {
    /// The game is over.
    Finished,
    /// Nobody was present for too long.
    Abandoned,
    /// The game failed: a bug of ours.
    Failed,
}

impl EndReason {
    /// The reason as other services and clients get it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
            Self::Failed => "failed",
        }
    }
}
