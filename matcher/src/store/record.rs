//! Matches that run, as matchers tell each other of them.

use protocol::id::{MatchId, NodeId, PlayerId, RoomId, TicketId};
use protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::{ModeName, Role};
use crate::ticket::{Member, micros};

/// A match that runs, or is about to: what anyone needs to bring its players there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchRecord {
    /// Its name.
    pub id: MatchId,
    /// The mode that is played.
    pub mode: ModeName,
    /// Where it is played.
    pub room: RoomId,
    /// The node that the room began on. It may have moved since.
    pub node: NodeId,
    /// Who has a seat.
    pub players: Vec<Member>,
    /// The tickets that it was made of.
    pub tickets: Vec<TicketId>,
    /// When it got its room, on the clock of tickets.
    #[serde(with = "micros")]
    pub began_at: Timestamp,
}

impl MatchRecord {
    /// What `player` plays, if the mode has roles.
    pub fn role(&self, player: PlayerId) -> Option<&Role> {
        let member = self.players.iter().find(|one| one.player == player)?;
        member.roles.first()
    }

    /// Whether `player` had a seat in the beginning.
    pub fn has(&self, player: PlayerId) -> bool {
        self.players.iter().any(|member| member.player == player)
    }
}
