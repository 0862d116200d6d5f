//! Results: how a match ended. This must last.

use protocol::id::{MatchId, PlayerId, RoomId};
use serde::{Deserialize, Serialize};

use crate::{BoxFuture, EngineError};

/// How a match ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MatchResult {
    /// The match: a result is recorded once for each.
    pub match_id: MatchId,
    /// Where it was played.
    pub room: RoomId,
    /// What was played.
    pub mode: String,
    /// When it ended, in milliseconds since 1970.
    pub finished_at_ms: u64,
    /// How each seat did, in the order that is shown.
    pub standings: Vec<Standing>,
}

/// How one seat did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Who sat there.
    pub player: PlayerId,
    /// The name that was shown.
    pub name: String,
    /// Whether a bot played.
    pub bot: bool,
    /// From 1.
    pub place: u32,
    /// Ticks from the start to the finish; none for a seat that did not finish.
    pub ticks: Option<u32>,
    /// The team, from 1; 0 in a mode without teams.
    #[serde(default, skip_serializing_if = "has_no_team")]
    pub team: u32,
    /// What the player was matched by: where the rating begins of who has none. It is not stored
    /// for itself; what is read has [`FIRST_RATING`].
    #[serde(default = "first_rating", skip_serializing_if = "is_first")]
    pub rating: i32,
}

/// The rating of who has none, unless the login states another one.
pub const FIRST_RATING: i32 = 1_500;

fn has_no_team(team: &u32) -> bool {
    *team == 0
}

fn first_rating() -> i32 {
    FIRST_RATING
}

fn is_first(rating: &i32) -> bool {
    *rating == FIRST_RATING
}

/// What recording did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// The result is stored.
    New,
    /// There is a result of this match already, which stays as it is.
    AlreadyThere,
}

impl Recorded {
    /// As a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "recorded",
            Self::AlreadyThere => "already_there",
        }
    }
}

/// How matches ended. Limit: [`MAX_STANDINGS`] seats a match; matches as the disk allows.
pub trait Results: Send + Sync + 'static {
    /// Stores a result, durably, unless there is one of this match, and with it, all or nothing,
    /// what it changes in the ratings of [`Players`](crate::Players), where there are any.
    /// Repeating is harmless: on any error but [`EngineError::TooLarge`], repeat.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`] for too many seats, [`EngineError::Full`] while too many calls
    /// wait, else the store's.
    fn record<'a>(
        &'a self,
        result: &'a MatchResult,
    ) -> BoxFuture<'a, Result<Recorded, EngineError>>;

    /// How many [`Self::record`]s may be under way at once and be of use.
    fn at_once(&self) -> usize {
        16
    }

    /// The last matches of a player, newest first; at most `limit` and at most [`MAX_RECENT`].
    ///
    /// # Errors
    /// The store cannot be asked.
    fn recent(
        &self,
        player: PlayerId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<MatchResult>, EngineError>>;

    /// How many matches are stored.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn count(&self) -> BoxFuture<'_, Result<u64, EngineError>>;
}

/// Most seats of one match.
pub const MAX_STANDINGS: usize = 256;

/// Most matches that one [`Results::recent`] answers with.
pub const MAX_RECENT: usize = 100;
