//! Results in Postgres, and what they change in ratings.

use std::collections::BTreeSet;
use std::panic::Location;

use chassis::postgres::types::Type;
use chassis::postgres::{Parameter, Pool, PoolError, Row, Transaction};
use protocol::id::PlayerId;

use super::columns::{RatedColumns, SeatColumns, Seen, text};
use super::reading::{Reading, damaged};
use super::{Attempts, DEADLINE, query};
use crate::players::entry::{Before, Entry};
use crate::players::{STILL_FORGOTTEN, millis};
use crate::rating::Rating;
use crate::results::{
    FIRST_RATING, MAX_RECENT, MAX_STANDINGS, MatchResult, Recorded, Results, Standing,
};
use crate::{BoxFuture, EngineError};

/// Results in Postgres, and the players who had them.
pub struct PostgresResults {
    pub(super) pool: Pool,
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

/// The match, and who was there, whose rows are locked with it: in the order of their ids, so that
/// no two wait for each other. Of several at once for the same match, one inserts it, and the
/// others wait for that and do nothing. A row for the match, and one for each player.
const BEGIN: &str = "
    WITH new AS (
        INSERT INTO matches (match_id, room, mode, finished_at_ms) VALUES ($1, $2, $3, $4)
        ON CONFLICT (match_id) DO NOTHING
        RETURNING finished_at_ms
    ), seen AS (
        INSERT INTO players (player, name, first_seen_ms, last_seen_ms)
        SELECT person.player, person.name, new.finished_at_ms, new.finished_at_ms
        FROM new, unnest($5, $6) AS person (player, name)
        ORDER BY person.player COLLATE \"C\"
        ON CONFLICT (player) DO UPDATE SET
            name = CASE WHEN players.last_seen_ms <= excluded.last_seen_ms
                THEN excluded.name ELSE players.name END,
            first_seen_ms = least(players.first_seen_ms, excluded.first_seen_ms),
            last_seen_ms = greatest(players.last_seen_ms, excluded.last_seen_ms)
        RETURNING player, xmax = 0 AS is_new
    )
    SELECT NULL AS player, TRUE AS is_new FROM new UNION ALL SELECT player, is_new FROM seen";

/// A statement of its own, so that it sees what was committed while the first one waited.
const BEFORE: &str = "
    SELECT player, mean, deviation FROM ratings WHERE player = ANY ($1) AND mode = $2
    UNION ALL
    SELECT player, NULL, NULL FROM forgotten
    WHERE player = ANY ($1) AND forgotten_at_ms + $3 >= $4";

const SEATS: &str = "
    INSERT INTO standings
        (match_id, position, player, name, bot, place, ticks, finished_at_ms, team,
         mean_before, deviation_before, mean_after, deviation_after)
    SELECT $1, seat.position - 1, seat.player, seat.name, seat.bot, seat.place, seat.ticks, $2,
        seat.team, seat.mean_before, seat.deviation_before, seat.mean_after, seat.deviation_after
    FROM unnest($3, $4, $5, $6, $7, $8, $9, $10, $11, $12) WITH ORDINALITY AS seat
        (player, name, bot, place, ticks, team, mean_before, deviation_before, mean_after,
         deviation_after, position)";

const RATE: &str = "
    WITH gone AS (DELETE FROM players WHERE player = ANY ($10))
    INSERT INTO ratings (player, mode, mean, deviation, score, games, wins, version, last_match,
        mean_before, deviation_before)
    SELECT rated.player, $1, rated.mean, rated.deviation, rated.score, 1, rated.wins, 1, $2,
        rated.mean_before, rated.deviation_before
    FROM unnest($3, $4, $5, $6, $7, $8, $9) AS rated
        (player, mean, deviation, score, wins, mean_before, deviation_before)
    ON CONFLICT (player, mode) DO UPDATE SET
        mean = excluded.mean, deviation = excluded.deviation, score = excluded.score,
        games = ratings.games + 1, wins = ratings.wins + excluded.wins,
        version = ratings.version + 1, last_match = excluded.last_match,
        mean_before = excluded.mean_before, deviation_before = excluded.deviation_before";

const SELECT: &str = "
    WITH last AS (
        SELECT match_id, finished_at_ms FROM standings WHERE player = $1
        GROUP BY match_id, finished_at_ms
        ORDER BY finished_at_ms DESC, match_id LIMIT $2
    )
    SELECT match_id, room, mode, m.finished_at_ms, player, name, bot, place, ticks, team
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
            let place = Location::caller();
            let mut attempts = Attempts::within(DEADLINE, RECORD);
            loop {
                let attempt = async {
                    let mut held = self.pool.acquire_at(place).await?;
                    let mut transaction = held.begin().await?;
                    record(&mut transaction, result)
                        .await?
                        .end(transaction)
                        .await
                };
                if let Some(recorded) = attempts.make(attempt).await? {
                    return recorded;
                }
            }
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
            let row = rows.first().ok_or_else(|| damaged(COUNT, 0))?;
            let operation = COUNT;
            Reading { operation, row }.number(0)
        })
    }
}

/// What a transaction came to.
enum Outcome {
    Commit,
    /// There is a result already.
    Leave,
    /// The database holds what it should not.
    Damaged(EngineError),
}

impl Outcome {
    async fn end(
        self,
        transaction: Transaction<'_>,
    ) -> Result<Result<Recorded, EngineError>, PoolError> {
        Ok(match self {
            Self::Commit => {
                transaction.commit().await?;
                Ok(Recorded::New)
            }
            Self::Leave => {
                transaction.rollback().await?;
                Ok(Recorded::AlreadyThere)
            }
            Self::Damaged(error) => {
                transaction.rollback().await?;
                Err(error)
            }
        })
    }
}

async fn record(
    transaction: &mut Transaction<'_>,
    result: &MatchResult,
) -> Result<Outcome, PoolError> {
    let seen = Seen::of(result);
    let begun = transaction.query(BEGIN, &seen.parameters()).await?;
    if begun.is_empty() {
        return Ok(Outcome::Leave);
    }
    let (grace, mode) = (millis(STILL_FORGOTTEN), text(&result.mode));
    let known: [Parameter<'_>; 4] = [
        (&seen.players, Type::TEXT_ARRAY),
        (&mode, Type::TEXT),
        (&grace, Type::INT8),
        (&seen.finished_at_ms, Type::INT8),
    ];
    let rows = transaction.query(BEFORE, &known).await?;
    let (before, newcomers) = match (before(&rows), newcomers(&begun)) {
        (Ok(before), Ok(newcomers)) => (before, newcomers),
        (Err(error), _) | (_, Err(error)) => return Ok(Outcome::Damaged(error)),
    };
    let entry = Entry::of(result, &before);
    let seats = SeatColumns::of(&entry);
    let match_id = &seen.match_id;
    transaction
        .execute(SEATS, &seats.parameters(match_id, &seen.finished_at_ms))
        .await?;
    // Of the forgotten, those who are here by this result alone.
    let gone: Vec<String> = before
        .forgotten
        .intersection(&newcomers)
        .map(PlayerId::to_string)
        .collect();
    let rated = RatedColumns::of(&entry);
    transaction
        .execute(RATE, &rated.parameters(&mode, match_id, &gone))
        .await?;
    Ok(Outcome::Commit)
}

fn before(rows: &[Row]) -> Result<Before, EngineError> {
    let mut before = Before::default();
    for row in rows {
        let operation = RECORD;
        let row = Reading { operation, row };
        let player = row.id(0)?;
        match (row.value::<Option<f64>>(1)?, row.value::<Option<f64>>(2)?) {
            (Some(mean), Some(deviation)) => {
                before.ratings.insert(player, Rating { mean, deviation });
            }
            _ => {
                before.forgotten.insert(player);
            }
        }
    }
    Ok(before)
}

/// Who was not in the database before.
fn newcomers(begun: &[Row]) -> Result<BTreeSet<PlayerId>, EngineError> {
    let mut newcomers = BTreeSet::new();
    for row in begun {
        let operation = RECORD;
        let row = Reading { operation, row };
        if row.value::<Option<String>>(0)?.is_some() && row.value(1)? {
            newcomers.insert(row.id(0)?);
        }
    }
    Ok(newcomers)
}

fn match_of_row(row: &Row) -> Result<MatchResult, EngineError> {
    let operation = RECENT;
    let row = Reading { operation, row };
    Ok(MatchResult {
        match_id: row.id(0)?,
        room: row.id(1)?,
        mode: row.value(2)?,
        finished_at_ms: row.number(3)?,
        standings: Vec::new(),
    })
}

fn standing_of_row(row: &Row) -> Result<Standing, EngineError> {
    let operation = RECENT;
    let row = Reading { operation, row };
    Ok(Standing {
        player: row.id(4)?,
        name: row.value(5)?,
        bot: row.value(6)?,
        place: row.small(7)?,
        ticks: row.small_or_none(8)?,
        team: row.small_or_none(9)?.unwrap_or(0),
        rating: FIRST_RATING,
    })
}
