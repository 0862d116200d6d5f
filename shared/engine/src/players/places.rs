//! Places on a leaderboard, of rows that follow each other on it.

use super::{Leader, PlayerRating};

/// Who is on the leaderboard before the first row.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ahead {
    /// With a better score.
    pub(crate) better: u64,
    /// With the same.
    pub(crate) equal: u64,
}

/// Gives rows their places: who has the same score shares one, and the next have those that are
/// left.
pub(crate) fn placed(ahead: Ahead, rows: Vec<(PlayerRating, String)>) -> Vec<Leader> {
    let mut leaders: Vec<Leader> = Vec::with_capacity(rows.len());
    for (index, (rating, name)) in (0_u64..).zip(rows) {
        let place = match leaders.last() {
            None => ahead.better + 1,
            Some(last) if last.rating.rating.score() == rating.rating.score() => last.place,
            Some(_) => ahead.better + ahead.equal + index + 1,
        };
        leaders.push(Leader {
            place,
            name,
            rating,
        });
    }
    leaders
}
