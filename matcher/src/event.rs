//! The reliable events of the match channel, and why they come.

use bytes::Bytes;
use protocol::id::{MatchId, RoomId};
use serde::{Deserialize, Serialize};

use crate::config::{ModeName, Role};

/// An event of the match channel: a JSON object whose `e` names its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "e")]
pub(crate) enum MatchEvent<'a> {
    /// The player has a seat: `room.join` with the ticket.
    #[serde(rename = "match.found")]
    Found {
        #[serde(rename = "match")]
        match_id: MatchId,
        mode: &'a ModeName,
        room: RoomId,
        /// The room ticket.
        ticket: &'a str,
        /// Seats that are taken, the bots' among them.
        players: usize,
        /// What the player plays, if the mode has roles.
        #[serde(skip_serializing_if = "Option::is_none")]
        role: Option<&'a Role>,
    },
    /// A match asks whether the player takes part: `match.accept` or `match.decline`.
    #[serde(rename = "match.proposed")]
    Proposed {
        #[serde(rename = "match")]
        match_id: MatchId,
        mode: &'a ModeName,
        /// How long it does.
        within_ms: u64,
    },
    /// It does not come about; the player keeps the place in the queue.
    #[serde(rename = "match.off")]
    Off {
        #[serde(rename = "match")]
        match_id: MatchId,
    },
    /// The match is over; the player may queue again.
    #[serde(rename = "match.ended")]
    Ended {
        #[serde(rename = "match")]
        match_id: MatchId,
        room: RoomId,
        reason: Ending,
    },
    /// The player's rating has changed.
    #[serde(rename = "rating")]
    Rating {
        /// By which match.
        #[serde(rename = "match")]
        match_id: MatchId,
        mode: &'a str,
        before: i32,
        after: i32,
        /// How far off it may be.
        deviation: u32,
        /// Matches that it comes from.
        games: u64,
    },
    /// The player is in no private room any more.
    #[serde(rename = "private.left")]
    PrivateLeft { reason: Leaving },
    /// The player is in no queue any more.
    #[serde(rename = "queue.left")]
    QueueLeft {
        reason: Leaving,
        message: &'static str,
    },
}

/// Why a match is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// The room ended by itself.
    Finished,
    /// The room failed, or its node did.
    Lost,
}

/// Why a player is in no queue any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Leaving {
    /// The player asked for it.
    Left,
    /// No match was found in the mode's time.
    Timeout,
    /// The client was out of reach for longer than the grace time.
    Away,
    /// The player was sent away from a private room, or it has gone on without.
    SentAway,
    /// The player declined a match.
    Declined,
    /// The player did not answer whether they take part in a match.
    Unanswered,
    /// The mode was taken out of the configuration.
    ModeGone,
}

impl Leaving {
    /// What to tell people.
    pub(crate) fn event(self) -> MatchEvent<'static> {
        let message = match self {
            Self::Left => "You left the queue.",
            Self::Timeout => "No match was found in time. Try again, or try another mode.",
            Self::Away => "You were disconnected for too long and lost your place in the queue.",
            Self::SentAway => "You are not in the private room any more.",
            Self::Declined => "You declined the match and left the queue.",
            Self::Unanswered => "You did not accept the match in time and left the queue.",
            Self::ModeGone => "This mode is not offered any more.",
        };
        MatchEvent::QueueLeft {
            reason: self,
            message,
        }
    }
}

impl MatchEvent<'_> {
    /// The event's payload.
    pub(crate) fn payload(&self) -> Bytes {
        let json = serde_json::to_vec(self).expect("events have string keys only");
        Bytes::from(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_read_as_the_protocol_says() {
        let mode = "race".parse().unwrap();
        let found = MatchEvent::Found {
            match_id: MatchId(1),
            mode: &mode,
            room: RoomId(2),
            ticket: "a.b.c",
            players: 8,
            role: None,
        };
        assert_eq!(
            found.payload(),
            concat!(
                r#"{"e":"match.found","match":"mt_0000000000000001","mode":"race","#,
                r#""room":"rm_0000000000000002","ticket":"a.b.c","players":8}"#
            )
        );
        let rating = MatchEvent::Rating {
            match_id: MatchId(1),
            mode: "race",
            before: 1_500,
            after: 1_777,
            deviation: 472,
            games: 1,
        };
        assert_eq!(
            rating.payload(),
            concat!(
                r#"{"e":"rating","match":"mt_0000000000000001","mode":"race","before":1500,"#,
                r#""after":1777,"deviation":472,"games":1}"#
            )
        );
        let left = Leaving::Timeout.event().payload();
        assert!(left.starts_with(br#"{"e":"queue.left","reason":"timeout","message":"No"#));
    }
}
