//! Private rooms: players who gather by an invite code, and begin a match when they like.

use std::sync::Arc;

use protocol::id::{MatchId, PlayerId, TicketId};

use super::Standing;
use crate::config::ModeName;
use crate::ticket::{Member, PartyCode, Ticket};

/// A private room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateRoom {
    /// Its invite code.
    pub code: PartyCode,
    /// What is to be played.
    pub mode: ModeName,
    /// Most members.
    pub most: u8,
    /// Who is there, in the order in which they came. The first leads.
    pub members: Vec<PrivateMember>,
}

/// A member of a private room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateMember {
    /// Who.
    pub member: Member,
    /// Whether they have said that they are ready.
    pub ready: bool,
}

impl PrivateRoom {
    /// Who leads.
    pub fn leader(&self) -> Option<PlayerId> {
        let first = self.members.first()?;
        Some(first.member.player)
    }

    /// Whether everyone is ready; who leads is by beginning.
    pub fn is_ready(&self) -> bool {
        self.members.iter().skip(1).all(|one| one.ready)
    }
}

/// Somebody who comes to a private room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entering {
    /// Which.
    pub code: PartyCode,
    /// If it is not there, it is opened, for that and with so many members at most.
    pub open: Option<(ModeName, u8)>,
    /// Who comes.
    pub member: Member,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// The player is in it.
    In(PrivateRoom),
    /// The player stands elsewhere, and did not come.
    Kept(Standing),
    /// There is no such room, or its match begins.
    Unknown,
    /// The player was sent away from it.
    SentAway,
    /// It has no place left.
    Full,
    /// The store has as many players as it takes.
    StoreFull,
}

/// What a member does to a private room, besides leaving.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PrivateChange {
    /// The member is ready, or is not any more.
    Ready(bool),
    /// The leader sends a member away, who may not come back.
    SendAway(PlayerId),
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// So the room stands.
    Room(PrivateRoom),
    /// The player is in no private room.
    NotThere,
    /// Only the leader does that.
    NotLeader,
}

/// The match of a private room: all of its members, and bots.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The room.
    pub code: PartyCode,
    /// The match.
    pub match_id: MatchId,
    /// One for each member, in their order. They are claimed from the start.
    pub tickets: Vec<Arc<Ticket>>,
    /// Tickets of bots that are to be claimed with them.
    pub bots: Vec<TicketId>,
}
