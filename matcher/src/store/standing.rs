//! Where players stand, and how a matcher asks for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use engine::Incarnation;
use protocol::id::{MatchId, PlayerId, TicketId};
use protocol::time::Timestamp;

use super::private::PrivateRoom;
use super::record::MatchRecord;
use crate::config::{ModeName, Region, Role};
use crate::ticket::{Attributes, PartyCode, Ticket, Version};

/// Where a player stands. In one of these places, never in two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// Nowhere.
    Nothing,
    /// On a ticket.
    Ticket(Found),
    /// In a party that is not complete.
    Gathering(Gathering),
    /// In a private room.
    Private(PrivateRoom),
    /// In a match that runs.
    Match(Arc<MatchRecord>),
}

/// A player's ticket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The ticket.
    pub ticket: Arc<Ticket>,
    /// The match that has it; `None`: it waits.
    pub claimed_by: Option<MatchId>,
    /// That match asks its players whether they take part.
    pub asking: Option<Asking>,
}

impl Found {
    /// A ticket that waits.
    pub fn waiting(ticket: Arc<Ticket>) -> Self {
        Self {
            ticket,
            claimed_by: None,
            asking: None,
        }
    }
}

/// A question to a player whether they take part in a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    /// How much longer it is open.
    pub left: Duration,
    /// Whether this player has accepted.
    pub accepted: bool,
}

/// A party that is not complete, as one of its members sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathering {
    /// What its members agree on.
    pub code: PartyCode,
    /// What it wants to play.
    pub mode: ModeName,
    /// Members wanted.
    pub size: u8,
    /// Members present.
    pub present: u8,
    /// The member's own regions.
    pub regions: BTreeMap<Region, u32>,
    /// The build that all of it play, if that matters.
    pub version: Option<Version>,
    /// What all of it meet others by.
    pub attributes: Attributes,
    /// The roles that the member takes.
    pub roles: Vec<Role>,
    /// Since when the member waits.
    pub since: Timestamp,
}

/// Who sees players, and for how long their places are kept from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The matcher.
    pub by: Incarnation,
    /// How long a place is kept.
    pub grace: Duration,
}

/// Whose standing is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Whose.
    pub player: PlayerId,
    /// Whether the player is there, at the matcher that asks: then the place is kept for longer.
    pub is_here: bool,
}

/// Whose standing is asked for, and what is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// Whose.
    pub asked: Asked,
    /// Where the player is thought to be.
    pub at: Option<Spot>,
}

/// Where most players are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    /// On a ticket that waits.
    Waiting(TicketId),
    /// In a match that runs.
    Playing(MatchId),
}

impl Spot {
    /// Whether a player who stands there is here.
    pub fn is(self, standing: &Standing) -> bool {
        match (self, standing) {
            (Self::Waiting(id), Standing::Ticket(found)) => {
                found.ticket.id == id && found.claimed_by.is_none()
            }
            (Self::Playing(id), Standing::Match(record)) => record.id == id,
            _ => false,
        }
    }
}
