//! Players: how good they are, what they have played, and that they may be forgotten.

pub(crate) mod entry;
pub(crate) mod places;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use protocol::id::{MatchId, PlayerId, RoomId};

use crate::rating::Rating;
use crate::results::MAX_STANDINGS;
use crate::{BoxFuture, EngineError};

/// A player's rating in one mode.
#[derive(Debug, Clone, PartialEq)]
pub struct PlayerRating {
    /// Whose.
    pub player: PlayerId,
    /// The mode: each has ratings of its own.
    pub mode: String,
    /// How good.
    pub rating: Rating,
    /// Matches that it comes from, and how many of them were won.
    pub games: u64,
    /// Matches won.
    pub wins: u64,
    /// Counts its changes, from 1.
    pub version: u64,
    /// The match that changed it last.
    pub last_match: MatchId,
    /// What it was before that.
    pub before: Rating,
}

/// A place on a leaderboard.
#[derive(Debug, Clone, PartialEq)]
pub struct Leader {
    /// From 1; who has the same score shares it.
    pub place: u64,
    /// The name that was shown last.
    pub name: String,
    /// How good.
    pub rating: PlayerRating,
}

/// A match, as one who played in it has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Played {
    /// Which.
    pub match_id: MatchId,
    /// Where it was played.
    pub room: RoomId,
    /// What was played.
    pub mode: String,
    /// When it ended, in milliseconds since 1970.
    pub finished_at_ms: u64,
    /// The name that was shown.
    pub name: String,
    /// From 1.
    pub place: u32,
    /// Seats of the match.
    pub seats: u32,
    /// Ticks from the start to the finish; none without a finish.
    pub ticks: Option<u32>,
    /// The rating before and after; none if the match was not rated.
    pub change: Option<(Rating, Rating)>,
}

impl Played {
    /// Where to go on after this one.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            finished_at_ms: self.finished_at_ms,
            match_id: self.match_id,
        }
    }
}

/// A place in a player's history, which begins with the newest match. Matches that are recorded
/// meanwhile do not move it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cursor {
    /// When the match ended that comes before it.
    pub finished_at_ms: u64,
    /// Which that is.
    pub match_id: MatchId,
}

/// Why a text is not a [`Cursor`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a place in a history; take one from an earlier answer")]
pub struct CursorError;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.finished_at_ms, self.match_id)
    }
}

impl FromStr for Cursor {
    type Err = CursorError;

    fn from_str(text: &str) -> Result<Self, CursorError> {
        let (at, match_id) = text.split_once('.').ok_or(CursorError)?;
        Ok(Self {
            finished_at_ms: at.parse().map_err(|_| CursorError)?,
            match_id: match_id.parse().map_err(|_| CursorError)?,
        })
    }
}

/// What is kept of a player beside ratings and matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// Who.
    pub player: PlayerId,
    /// The name that was shown last.
    pub name: String,
    /// When the first match ended, in milliseconds since 1970.
    pub first_seen_ms: u64,
    /// When the last one did.
    pub last_seen_ms: u64,
}

/// Players: [`Results::record`](crate::Results::record) writes, in one transaction with the
/// result, what is read here.
pub trait Players: Send + Sync + 'static {
    /// The ratings of `players`, at most [`MAX_ASKED`], in all modes, in no order in particular.
    /// Who was never rated has none.
    ///
    /// # Errors
    /// [`EngineError::TooLarge`]; the store cannot be asked.
    fn ratings<'a>(
        &'a self,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Vec<PlayerRating>, EngineError>>;

    /// The best of a mode, by [`Rating::score`], best first; at most [`MAX_LEADERS`].
    ///
    /// # Errors
    /// The store cannot be asked.
    fn leaders<'a>(
        &'a self,
        mode: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Leader>, EngineError>>;

    /// A player on the leaderboard, with as many as `side` on either side, at most
    /// [`MAX_LEADERS`]; nobody if the player was never rated in the mode. It counts those who are
    /// better: for a mode with millions of players that takes a moment.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn around<'a>(
        &'a self,
        mode: &'a str,
        player: PlayerId,
        side: usize,
    ) -> BoxFuture<'a, Result<Vec<Leader>, EngineError>>;

    /// A player's matches, newest first, those after `from`; at most [`MAX_HISTORY`].
    ///
    /// # Errors
    /// The store cannot be asked.
    fn history(
        &self,
        player: PlayerId,
        from: Option<Cursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Played>, EngineError>>;

    /// What is kept of a player; none if there is nothing.
    ///
    /// # Errors
    /// The store cannot be asked.
    fn profile(&self, player: PlayerId) -> BoxFuture<'_, Result<Option<Profile>, EngineError>>;

    /// Forgets a player: name and ratings are gone, and of the matches nobody can tell who took
    /// the seat: it is [`FORGOTTEN`]'s, without a name. A result that is recorded later, of a match
    /// that ended before [`STILL_FORGOTTEN`] had passed, is treated likewise. Repeating is harmless.
    /// `now_ms`: milliseconds since 1970.
    ///
    /// # Errors
    /// The store's; repeat.
    fn forget(&self, player: PlayerId, now_ms: u64) -> BoxFuture<'_, Result<(), EngineError>>;
}

/// Who has the seats of players that were forgotten.
pub const FORGOTTEN: PlayerId = PlayerId(0);

/// After a player was forgotten, matches that end within this time are not recorded as the
/// player's: they may have been under way.
pub const STILL_FORGOTTEN: Duration = Duration::from_secs(600);

/// That a player was forgotten is remembered for so long, in case that results come late.
pub const LATEST_RESULT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// Most players of one [`Players::ratings`].
pub const MAX_ASKED: usize = 4 * MAX_STANDINGS;

/// Most places of a leaderboard in one answer.
pub const MAX_LEADERS: usize = 100;

/// Most matches in one answer.
pub const MAX_HISTORY: usize = 500;

pub(crate) fn admit(players: usize) -> Result<(), EngineError> {
    match players <= MAX_ASKED {
        true => Ok(()),
        false => Err(EngineError::TooLarge {
            what: "players asked for",
            limit: MAX_ASKED,
        }),
    }
}

/// Milliseconds, as SQL has them.
pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_what_it_prints() {
        let cursor = Cursor {
            finished_at_ms: 17,
            match_id: MatchId(3),
        };
        assert_eq!(cursor.to_string(), "17.mt_0000000000000003");
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for bad in [
            "",
            "17",
            "17.",
            "x.mt_0000000000000003",
            "17.rm_0000000000000003",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(CursorError), "{bad:?}");
        }
    }
}
