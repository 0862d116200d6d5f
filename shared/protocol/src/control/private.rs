//! Messages about private rooms: players gather by an invite code, and begin when they like.

use serde::{Deserialize, Serialize};

use crate::id::PlayerId;

/// Body of `private.open`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateOpen {
    /// What is to be played.
    pub mode: String,
}

/// Body of `private.join`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateJoin {
    /// The invite code.
    pub code: String,
}

/// Body of `private.ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateReady {
    /// Whether the player is.
    pub ready: bool,
}

/// Body of `private.kick`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateKick {
    /// Who is to go.
    pub player: PlayerId,
}

/// Body of `private.start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PrivateStart {}

/// Body of `private.leave`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PrivateLeave {}

/// Body of `private.state`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateState {
    /// The invite code.
    pub code: String,
    /// What is to be played.
    pub mode: String,
    /// Most members.
    pub most: u8,
    /// Who is there, in the order in which they came. The first leads.
    pub members: Vec<PrivateMember>,
}

/// A member of a private room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrivateMember {
    /// Who.
    pub player: PlayerId,
    /// The player's name.
    pub name: String,
    /// Whether the player is ready. It need not be said of who leads.
    pub ready: bool,
}
