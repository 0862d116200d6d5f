//! What a client hears of a refusal.

use serde::{Deserialize, Serialize};

/// Body of `error`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct ErrorMessage {
    /// Stable, for programs.
    pub code: ErrorCode,
    /// For people: what is wrong and what to do about it.
    pub message: String,
    /// The message that is refused, by its `t`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub re: Option<String>,
    /// The field at fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// When the same may be tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ErrorMessage {
    /// An error with a code and a text.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            re: None,
            field: None,
            retry_after_ms: None,
        }
    }

    /// Names the message that is refused.
    pub fn re(mut self, kind: impl Into<String>) -> Self {
        self.re = Some(kind.into());
        self
    }

    /// Names the field at fault.
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// Says when to try again.
    pub fn retry_after_ms(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }
}

/// What went wrong, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// Not JSON, not an object, or no `t`.
    BadMessage,
    /// The type is not one that the server knows.
    UnknownType,
    /// A field is missing, or has the wrong type or an impossible value.
    BadField,
    /// A binary frame cannot be read.
    BadFrame,
    /// `hello` must come first, and only once.
    OutOfOrder,
    /// The token is missing, forged, or for another use.
    TokenInvalid,
    /// The token has expired.
    TokenExpired,
    /// The client's version is not spoken here any more.
    UpgradeRequired,
    /// Over a limit; `retry_after_ms` says when it is free again.
    RateLimited,
    /// The matcher has no such mode.
    ModeUnknown,
    /// The match was not proposed to the player, or not any more.
    MatchUnknown,
    /// The player did not accept a match; `retry_after_ms` says when they may queue again.
    CoolingDown,
    /// There is no private room of that code, or the player was sent away from it, or is in none.
    PrivateUnknown,
    /// The private room has no place left.
    PrivateFull,
    /// Only who leads a private room does that.
    NotLeader,
    /// A private room cannot begin: somebody is not ready, or they are too few or too many.
    NotReady,
    /// The player is in a match; leave it first.
    AlreadyInMatch,
    /// The party is full, or its members disagree about it.
    PartyMismatch,
    /// The room is not there, or not any more.
    RoomUnknown,
    /// The player has no seat in that room.
    NotInRoom,
    /// The room is not to be watched.
    WatchForbidden,
    /// As many watch as may.
    WatchFull,
    /// There is no such event.
    EventUnknown,
    /// The event has not opened; `retry_after_ms` says when it does.
    EventNotOpen,
    /// The event has closed.
    EventClosed,
    /// No seat is free. With `retry_after_ms`, one may come back by then; without, all are sold.
    EventFull,
    /// The player has no seat there, or not any more: it was not confirmed in time.
    SeatLapsed,
    /// The seat is confirmed, or being confirmed, and cannot be given back.
    SeatConfirmed,
    /// A service behind the gateway is out of reach; nothing is lost, try again.
    Unavailable,
    /// The server failed.
    Internal,
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.serialize(f)
    }
}
