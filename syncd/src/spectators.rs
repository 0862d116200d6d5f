//! Those who watch rooms in which they have no seat.
//!
//! What they are shown is not the room but its tape, run again some seconds later ([`Replay`]):
//! nothing that they do can touch a race, any node can serve them, and they see on another node
//! what they saw before. Who watches the same room with the same delay watches one replay; a race
//! that is over is played from its start for whoever asks.
//!
//! A watcher sends no input, so it acknowledges no snapshot: it is sent whole ones, one body and
//! one head for all that watch a replay. Its events are in a log of its own, as a player's are.
//!
//! - `pace`: how far a race may be shown; `show`: a replay and its audience
//! - `reel`: the task that reads a tape
//! - `stage`: the task that plays all shows of a node, and speaks for them to gateways
//!
//! [`Replay`]: crate::replay::Replay

mod pace;
mod reel;
mod show;
mod stage;

use protocol::control::{ErrorCode, ErrorMessage};

pub(crate) use stage::{Limits, Mail, Stage, StageParts, turn_away};

/// Names a show of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ShowId(u64);

/// Why somebody cannot watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// There is no such room, or nothing is left of it, or not for this build.
    Unknown,
    /// Its mode does not allow it.
    Forbidden,
    /// The node has as many watchers, or shows, as it takes.
    Full,
    /// There is nothing of it yet.
    Empty,
    /// What there is cannot be read, or the node is too busy to ask.
    Unavailable,
}

impl Refusal {
    /// What the client hears.
    pub(crate) fn error(self) -> ErrorMessage {
        let error = |code, text: &str| ErrorMessage::new(code, text).re("room.watch");
        match self {
            Self::Unknown => error(
                ErrorCode::RoomUnknown,
                "there is no such room, or its tape is not kept any more",
            ),
            Self::Forbidden => error(
                ErrorCode::WatchForbidden,
                "matches of this mode are not to be watched",
            ),
            Self::Full => error(
                ErrorCode::WatchFull,
                "as many watch as may; try again later",
            )
            .retry_after_ms(5_000),
            Self::Empty => error(
                ErrorCode::Unavailable,
                "nothing of the room can be watched yet, and never of a game that is not taped",
            )
            .retry_after_ms(5_000),
            Self::Unavailable => error(
                ErrorCode::Unavailable,
                "the room cannot be watched for the moment; try again",
            )
            .retry_after_ms(1_000),
        }
    }
}
