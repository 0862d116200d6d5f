//! A result as the statements take it: an array for each column.

use chassis::postgres::Parameter;
use chassis::postgres::types::Type;

use crate::players::entry::{Entry, people};
use crate::results::MatchResult;

/// The match, and who was there.
pub(super) struct Seen {
    pub(super) match_id: String,
    pub(super) finished_at_ms: i64,
    pub(super) players: Vec<String>,
    room: String,
    mode: String,
    names: Vec<String>,
}

impl Seen {
    pub(super) fn of(result: &MatchResult) -> Self {
        let people = people(result);
        Self {
            match_id: result.match_id.to_string(),
            room: result.room.to_string(),
            mode: text(&result.mode),
            finished_at_ms: i64::try_from(result.finished_at_ms).unwrap_or(i64::MAX),
            players: people.keys().map(ToString::to_string).collect(),
            names: people.values().map(|name| text(name)).collect(),
        }
    }

    pub(super) fn parameters(&self) -> [Parameter<'_>; 6] {
        [
            (&self.match_id, Type::TEXT),
            (&self.room, Type::TEXT),
            (&self.mode, Type::TEXT),
            (&self.finished_at_ms, Type::INT8),
            (&self.players, Type::TEXT_ARRAY),
            (&self.names, Type::TEXT_ARRAY),
        ]
    }
}

/// A row for each seat.
#[derive(Default)]
pub(super) struct SeatColumns {
    players: Vec<String>,
    names: Vec<String>,
    bots: Vec<bool>,
    places: Vec<i64>,
    ticks: Vec<Option<i64>>,
    teams: Vec<i64>,
    /// Mean and deviation before, mean and deviation after.
    changes: [Vec<Option<f64>>; 4],
}

impl SeatColumns {
    pub(super) fn of(entry: &Entry) -> Self {
        let mut columns = Self::default();
        for row in &entry.seats {
            let seat = &row.standing;
            columns.players.push(seat.player.to_string());
            columns.names.push(text(&seat.name));
            columns.bots.push(seat.bot);
            columns.places.push(i64::from(seat.place));
            columns.ticks.push(seat.ticks.map(i64::from));
            columns.teams.push(i64::from(seat.team));
            let (before, after) = row.change.unzip();
            let values = [
                before.map(|rating| rating.mean),
                before.map(|rating| rating.deviation),
                after.map(|rating| rating.mean),
                after.map(|rating| rating.deviation),
            ];
            for (column, value) in columns.changes.iter_mut().zip(values) {
                column.push(value);
            }
        }
        columns
    }

    pub(super) fn parameters<'a>(
        &'a self,
        match_id: &'a String,
        finished_at_ms: &'a i64,
    ) -> [Parameter<'a>; 12] {
        let [mean_before, deviation_before, mean_after, deviation_after] = &self.changes;
        [
            (match_id, Type::TEXT),
            (finished_at_ms, Type::INT8),
            (&self.players, Type::TEXT_ARRAY),
            (&self.names, Type::TEXT_ARRAY),
            (&self.bots, Type::BOOL_ARRAY),
            (&self.places, Type::INT8_ARRAY),
            (&self.ticks, Type::INT8_ARRAY),
            (&self.teams, Type::INT8_ARRAY),
            (mean_before, Type::FLOAT8_ARRAY),
            (deviation_before, Type::FLOAT8_ARRAY),
            (mean_after, Type::FLOAT8_ARRAY),
            (deviation_after, Type::FLOAT8_ARRAY),
        ]
    }
}

/// A row for each rating that changes.
#[derive(Default)]
pub(super) struct RatedColumns {
    players: Vec<String>,
    means: Vec<f64>,
    deviations: Vec<f64>,
    scores: Vec<i64>,
    wins: Vec<i64>,
    means_before: Vec<f64>,
    deviations_before: Vec<f64>,
}

impl RatedColumns {
    pub(super) fn of(entry: &Entry) -> Self {
        let mut columns = Self::default();
        for row in &entry.rated {
            columns.players.push(row.player.to_string());
            columns.means.push(row.after.mean);
            columns.deviations.push(row.after.deviation);
            columns.scores.push(row.after.score());
            columns.wins.push(i64::from(row.has_won));
            columns.means_before.push(row.before.mean);
            columns.deviations_before.push(row.before.deviation);
        }
        columns
    }

    pub(super) fn parameters<'a>(
        &'a self,
        mode: &'a String,
        match_id: &'a String,
        gone: &'a Vec<String>,
    ) -> [Parameter<'a>; 10] {
        [
            (mode, Type::TEXT),
            (match_id, Type::TEXT),
            (&self.players, Type::TEXT_ARRAY),
            (&self.means, Type::FLOAT8_ARRAY),
            (&self.deviations, Type::FLOAT8_ARRAY),
            (&self.scores, Type::INT8_ARRAY),
            (&self.wins, Type::INT8_ARRAY),
            (&self.means_before, Type::FLOAT8_ARRAY),
            (&self.deviations_before, Type::FLOAT8_ARRAY),
            (gone, Type::TEXT_ARRAY),
        ]
    }
}

/// Postgres cannot hold the one character that Rust and SQLite can: it is replaced, because a
/// result that cannot be stored would be tried for ever.
pub(super) fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
