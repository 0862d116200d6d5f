//! What one result puts into a database, worked out apart from any: all of them store the same.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::PlayerId;

use super::FORGOTTEN;
use crate::rating::{self, Rating};
use crate::results::{MatchResult, Standing};

/// The people of a match and the names that were shown, each once, in the order of their ids: who
/// locks several players does it in this order, so that no two wait for each other.
pub(crate) fn people(result: &MatchResult) -> BTreeMap<PlayerId, &str> {
    let people = result.standings.iter().filter(|seat| !seat.bot);
    people
        .map(|seat| (seat.player, seat.name.as_str()))
        .collect()
}

/// What is known of the people of a match before it.
#[derive(Debug, Default)]
pub(crate) struct Before {
    /// Ratings in its mode.
    pub(crate) ratings: BTreeMap<PlayerId, Rating>,
    /// Who was forgotten so late that this is not to be recorded of them.
    pub(crate) forgotten: BTreeSet<PlayerId>,
}

/// What a result puts into a database.
#[derive(Debug)]
pub(crate) struct Entry {
    /// A row for each seat, in the order of the standings.
    pub(crate) seats: Vec<SeatRow>,
    /// A row for each rating that changes, in the order of the players.
    pub(crate) rated: Vec<RatedRow>,
}

#[derive(Debug)]
pub(crate) struct SeatRow {
    pub(crate) standing: Standing,
    /// The rating before and after.
    pub(crate) change: Option<(Rating, Rating)>,
}

#[derive(Debug)]
pub(crate) struct RatedRow {
    pub(crate) player: PlayerId,
    pub(crate) before: Rating,
    pub(crate) after: Rating,
    pub(crate) has_won: bool,
}

impl Entry {
    pub(crate) fn of(result: &MatchResult, before: &Before) -> Self {
        let after = rating::rate(&result.standings, &before.ratings);
        let first = |player| {
            let mut seats = result.standings.iter();
            seats.find(|seat| seat.player == player).map(Rating::first)
        };
        let rated: Vec<RatedRow> = after
            .into_iter()
            .filter(|(player, _)| !before.forgotten.contains(player))
            .map(|(player, after)| RatedRow {
                player,
                before: before
                    .ratings
                    .get(&player)
                    .copied()
                    .or_else(|| first(player))
                    .unwrap_or(Rating::FIRST),
                after,
                has_won: rating::is_win(&result.standings, player),
            })
            .collect();
        let mut changes: BTreeMap<PlayerId, (Rating, Rating)> = rated
            .iter()
            .map(|row| (row.player, (row.before, row.after)))
            .collect();
        let seats = result.standings.iter().map(|standing| {
            if !standing.bot && before.forgotten.contains(&standing.player) {
                let standing = Standing {
                    player: FORGOTTEN,
                    name: String::new(),
                    ..standing.clone()
                };
                let change = None;
                return SeatRow { standing, change };
            }
            SeatRow {
                standing: standing.clone(),
                // Of a player with two seats, the first one was rated.
                change: changes.remove(&standing.player).filter(|_| !standing.bot),
            }
        });
        Self {
            seats: seats.collect(),
            rated,
        }
    }
}
