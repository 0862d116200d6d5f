//! Messages of those who watch a room without a seat in it.

use serde::{Deserialize, Serialize};

use crate::id::RoomId;

/// Body of `room.watch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoomWatch {
    /// The room: one that runs, or that has ended of late.
    pub room: RoomId,
    /// How long after it happened to be shown what happens, in milliseconds. What is less than
    /// the room's mode allows counts as what it allows. Absent: that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delay_ms: Option<u32>,
}

/// Body of `room.unwatch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoomUnwatch {}
