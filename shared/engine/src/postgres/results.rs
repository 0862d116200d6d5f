//! Results in Postgres.

use std::panic::Location;
use std::str::FromStr;

use chassis::postgres::types::{FromSqlOwned, Type};
use chassis::postgres::{Parameter, Pool, Row};
use protocol::id::PlayerId;

use super::query;
use crate::results::{MAX_RECENT, MAX_STANDINGS, MatchResult, Recorded, Results, Standing};
use crate::{BoxFuture, EngineError};

/// Results in Postgres.
pub struct PostgresResults {
    pool: Pool,
}

impl PostgresResults {
    /// Results at the end of `pool`, which [`open`](super::open) has made.
    pub fn new(pool: Pool) -> Self {
        Self { pool }
    }
}

const RECORD: &str = "recording a result";
const RECENT: &str = "reading a player's results";
const COUNT: &str = "counting results";

/// One statement, so that it is all or nothing in one round trip. Of several at once for the same
/// match, one inserts it, and the others wait for that and insert nothing.
const INSERT: &str = "
    WITH new AS (
        INSERT INTO matches (match_id, room, mode, finished_at_ms) VALUES ($1, $2, $3, $4)
        ON CONFLICT (match_id) DO NOTHING
        RETURNING match_id, finished_at_ms
    ), seats AS (
        INSERT INTO standings
            (match_id, position, player, name, bot, place, ticks, finished_at_ms)
        SELECT new.match_id, seat.position - 1, seat.player, seat.name, seat.bot, seat.place,
            seat.ticks, new.finished_at_ms
        FROM new, unnest($5, $6, $7, $8, $9)
            WITH ORDINALITY AS seat (player, name, bot, place, ticks, position)
    )
    SELECT count(*) FROM new";

const SELECT: &str = "
    WITH last AS (
        SELECT match_id, finished_at_ms FROM standings WHERE player = $1
        GROUP BY match_id, finished_at_ms
        ORDER BY finished_at_ms DESC, match_id LIMIT $2
    )
    SELECT match_id, room, mode, m.finished_at_ms, player, name, bot, place, ticks
    FROM last JOIN matches m USING (match_id) JOIN standings USING (match_id)
    ORDER BY m.finished_at_ms DESC, match_id, position";

impl Results for PostgresResults {
    fn record<'a>(
        &'a self,
        result: &'a MatchResult,
    ) -> BoxFuture<'a, Result<Recorded, EngineError>> {
        Box::pin(async move {
            if result.standings.len() > MAX_STANDINGS {
                return Err(EngineError::TooLarge {
                    what: "seats in one match",
                    limit: MAX_STANDINGS,
                });
            }
            let columns = Columns::of(result);
            let place = Location::caller();
            let rows = query(&self.pool, place, RECORD, INSERT, &columns.parameters()).await?;
            Ok(match number(RECORD, &rows)? {
                0 => Recorded::AlreadyThere,
                _ => Recorded::New,
            })
        })
    }

    fn recent(
        &self,
        player: PlayerId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<MatchResult>, EngineError>> {
        Box::pin(async move {
            let limit = i64::try_from(limit.min(MAX_RECENT)).unwrap_or(i64::MAX);
            let player = player.to_string();
            let place = Location::caller();
            let of: [Parameter<'_>; 2] = [(&player, Type::TEXT), (&limit, Type::INT8)];
            let rows = query(&self.pool, place, RECENT, SELECT, &of).await?;
            let mut results: Vec<MatchResult> = Vec::new();
            for row in &rows {
                let of_match = match_of_row(row)?;
                let standing = standing_of_row(row)?;
                match results.last_mut() {
                    Some(last) if last.match_id == of_match.match_id => {
                        last.standings.push(standing);
                    }
                    _ => results.push(MatchResult {
                        standings: vec![standing],
                        ..of_match
                    }),
                }
            }
            Ok(results)
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, EngineError>> {
        Box::pin(async move {
            let place = Location::caller();
            let sql = "SELECT count(*) FROM matches";
            let rows = query(&self.pool, place, COUNT, sql, &[]).await?;
            number(COUNT, &rows)
        })
    }
}

/// A result as the statement takes it.
struct Columns {
    match_id: String,
    room: String,
    mode: String,
    finished_at_ms: i64,
    players: Vec<String>,
    names: Vec<String>,
    bots: Vec<bool>,
    places: Vec<i64>,
    ticks: Vec<Option<i64>>,
}

impl Columns {
    fn of(result: &MatchResult) -> Self {
        let seats = &result.standings;
        Self {
            match_id: result.match_id.to_string(),
            room: result.room.to_string(),
            mode: text(&result.mode),
            finished_at_ms: i64::try_from(result.finished_at_ms).unwrap_or(i64::MAX),
            players: seats.iter().map(|seat| seat.player.to_string()).collect(),
            names: seats.iter().map(|seat| text(&seat.name)).collect(),
            bots: seats.iter().map(|seat| seat.bot).collect(),
            places: seats.iter().map(|seat| i64::from(seat.place)).collect(),
            ticks: seats.iter().map(|seat| seat.ticks.map(i64::from)).collect(),
        }
    }

    fn parameters(&self) -> [Parameter<'_>; 9] {
        [
            (&self.match_id, Type::TEXT),
            (&self.room, Type::TEXT),
            (&self.mode, Type::TEXT),
            (&self.finished_at_ms, Type::INT8),
            (&self.players, Type::TEXT_ARRAY),
            (&self.names, Type::TEXT_ARRAY),
            (&self.bots, Type::BOOL_ARRAY),
            (&self.places, Type::INT8_ARRAY),
            (&self.ticks, Type::INT8_ARRAY),
        ]
    }
}

/// Postgres cannot hold the one character that Rust and SQLite can: it is replaced, because a
/// result that cannot be stored would be tried for ever.
fn text(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn match_of_row(row: &Row) -> Result<MatchResult, EngineError> {
    Ok(MatchResult {
        match_id: id(row, 0)?,
        room: id(row, 1)?,
        mode: value(row, 2)?,
        finished_at_ms: value::<i64>(row, 3)?.unsigned_abs(),
        standings: Vec::new(),
    })
}

fn standing_of_row(row: &Row) -> Result<Standing, EngineError> {
    let small = |column, number: i64| u32::try_from(number).map_err(|_| damaged(RECENT, column));
    let ticks: Option<i64> = value(row, 8)?;
    Ok(Standing {
        player: id(row, 4)?,
        name: value(row, 5)?,
        bot: value(row, 6)?,
        place: small(7, value(row, 7)?)?,
        ticks: ticks.map(|ticks| small(8, ticks)).transpose()?,
    })
}

fn number(operation: &'static str, rows: &[Row]) -> Result<u64, EngineError> {
    let row = rows.first().ok_or_else(|| damaged(operation, 0))?;
    let number: i64 = row.try_get(0).map_err(|_| damaged(operation, 0))?;
    Ok(number.unsigned_abs())
}

fn value<T: FromSqlOwned>(row: &Row, column: usize) -> Result<T, EngineError> {
    row.try_get(column).map_err(|_| damaged(RECENT, column))
}

fn id<T: FromStr>(row: &Row, column: usize) -> Result<T, EngineError> {
    let text: String = value(row, column)?;
    text.parse().map_err(|_| damaged(RECENT, column))
}

/// A value that does not fit its type is not the store's failure: repeating will not help.
fn damaged(operation: &'static str, column: usize) -> EngineError {
    EngineError::Damaged {
        operation,
        detail: format!("column {column} does not hold what it should"),
    }
}
