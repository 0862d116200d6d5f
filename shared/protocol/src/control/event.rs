//! Messages about events with a limited number of seats.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::SeatNumber;

/// Body of `event.list`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventList {
    /// The version of the newest count that the client has of each event. It is told none that
    /// are older, whichever matcher answers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub have: BTreeMap<String, u64>,
}

/// Body of `event.reserve`, `event.confirm` and `event.release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRef {
    /// Name of the event, as `event.list` gave it.
    pub event: String,
}

/// Body of the answer to `event.list`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventsListed {
    /// The events that there are, in the order of their names.
    pub events: Vec<EventInfo>,
    /// The server's wall clock, in milliseconds since 1970: what `opens_at_ms` is to be seen by.
    pub server_time_ms: u64,
}

/// An event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventInfo {
    /// Its name, for programs.
    pub event: String,
    /// Its title, for people.
    pub title: String,
    /// From when seats can be reserved, in milliseconds since 1970.
    pub opens_at_ms: u64,
    /// From when they cannot any more.
    pub closes_at_ms: u64,
    /// How many there are.
    pub seats: u32,
    /// How many can be reserved now, and the version of that count. Absent: not known yet, or only
    /// of a version that is older than what the client has; `event.counts` follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free: Option<u32>,
    /// See `free`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
}

/// Body of `event.counts`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventCounts {
    /// The event.
    pub event: String,
    /// Of two counts of an event, the one with the greater version is newer.
    pub version: u64,
    /// How many seats there are.
    pub seats: u32,
    /// How many of them can be reserved now.
    pub free: u32,
}

/// Body of `event.seat`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventSeat {
    /// The event.
    pub event: String,
    /// How the player stands there.
    pub state: SeatState,
    /// The player's seat; absent with `none`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seat: Option<SeatNumber>,
    /// With `reserved`: how much longer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub left_ms: Option<u64>,
}

/// How a player stands in an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SeatState {
    /// Without a seat.
    None,
    /// The seat is kept for a moment: confirm it.
    Reserved,
    /// It has been confirmed, and is being written.
    Confirming,
    /// It is the player's for good.
    Confirmed,
}
