//! Results in SQLite.

use std::path::Path;
use std::str::FromStr;

use protocol::id::PlayerId;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, Transaction, TransactionBehavior, params};

use super::{Database, players, store};
use crate::players::entry::Entry;
use crate::results::{
    FIRST_RATING, MAX_RECENT, MAX_STANDINGS, MatchResult, Recorded, Results, Standing,
};
use crate::{BoxFuture, EngineError};

/// Results in SQLite, and the players who had them.
#[derive(Debug)]
pub struct SqliteResults {
    pub(super) database: Database,
}

impl SqliteResults {
    /// Results in `file`, which is made, with its folder, if it is missing. Several processes may
    /// use one file on a local disk.
    ///
    /// # Errors
    /// [`EngineError::Open`], [`EngineError::SchemaTooNew`], [`EngineError::Store`].
    pub fn open(file: &Path) -> Result<Self, EngineError> {
        Database::open(Some(file)).map(|database| Self { database })
    }

    /// Results that end with this value.
    ///
    /// # Errors
    /// [`EngineError::Store`].
    pub fn in_memory() -> Result<Self, EngineError> {
        Database::open(None).map(|database| Self { database })
    }
}

const RECORD: &str = "recording a result";
const RECENT: &str = "reading a player's results";
const COUNT: &str = "counting results";

impl Results for SqliteResults {
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
            let result = result.clone();
            let insert = move |connection: &mut Connection| insert(connection, &result);
            let job = move |connection: &mut Connection| insert(connection).map_err(store(RECORD));
            self.database.run(RECORD, job).await
        })
    }

    fn recent(
        &self,
        player: PlayerId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<MatchResult>, EngineError>> {
        Box::pin(async move {
            let limit = limit.min(MAX_RECENT);
            let job = move |connection: &mut Connection| {
                select_recent(connection, player, limit).map_err(read_error(RECENT))
            };
            self.database.run(RECENT, job).await
        })
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, EngineError>> {
        Box::pin(async move {
            let count = |connection: &mut Connection| {
                let sql = "SELECT count(*) FROM matches";
                let count = connection.query_row(sql, [], |row| row.get::<_, i64>(0));
                count.map(i64::unsigned_abs).map_err(store(COUNT))
            };
            self.database.run(COUNT, count).await
        })
    }
}

fn insert(connection: &mut Connection, result: &MatchResult) -> rusqlite::Result<Recorded> {
    // Immediate: it is alone until it is committed, also among processes.
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let match_id = result.match_id.to_string();
    let finished_at_ms = i64::try_from(result.finished_at_ms).unwrap_or(i64::MAX);
    let inserted = transaction
        .prepare_cached(
            "INSERT INTO matches (match_id, room, mode, finished_at_ms) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (match_id) DO NOTHING",
        )?
        .execute(params![
            match_id,
            result.room.to_string(),
            result.mode,
            finished_at_ms,
        ])?;
    if inserted == 0 {
        return Ok(Recorded::AlreadyThere);
    }
    let entry = Entry::of(result, &players::before(&transaction, result)?);
    insert_seats(&transaction, &match_id, finished_at_ms, &entry)?;
    players::update(&transaction, result, &entry)?;
    transaction.commit()?;
    Ok(Recorded::New)
}

fn insert_seats(
    transaction: &Transaction<'_>,
    match_id: &str,
    finished_at_ms: i64,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let mut insert = transaction.prepare_cached(
        "INSERT INTO standings
         (match_id, position, player, name, bot, place, ticks, finished_at_ms, team,
          mean_before, deviation_before, mean_after, deviation_after)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
    )?;
    for (position, row) in (0_i64..).zip(&entry.seats) {
        let standing = &row.standing;
        let (before, after) = row.change.unzip();
        insert.execute(params![
            match_id,
            position,
            standing.player.to_string(),
            standing.name,
            standing.bot,
            standing.place,
            standing.ticks,
            finished_at_ms,
            standing.team,
            before.map(|rating| rating.mean),
            before.map(|rating| rating.deviation),
            after.map(|rating| rating.mean),
            after.map(|rating| rating.deviation),
        ])?;
    }
    Ok(())
}

fn select_recent(
    connection: &mut Connection,
    player: PlayerId,
    limit: usize,
) -> rusqlite::Result<Vec<MatchResult>> {
    // One transaction, so that the matches and their standings are of one moment.
    let transaction = connection.transaction()?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut results = transaction
        .prepare_cached(
            "SELECT match_id, room, mode, finished_at_ms FROM matches
             WHERE match_id IN (
                 SELECT DISTINCT match_id FROM standings WHERE player = ?1
                 ORDER BY finished_at_ms DESC, match_id LIMIT ?2)
             ORDER BY finished_at_ms DESC, match_id",
        )?
        .query_map(params![player.to_string(), limit], match_of_row)?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let mut standings = transaction.prepare_cached(
        "SELECT player, name, bot, place, ticks, team FROM standings
         WHERE match_id = ?1 ORDER BY position",
    )?;
    for result in &mut results {
        let of_match = standings.query_map([result.match_id.to_string()], standing_of_row)?;
        result.standings = of_match.collect::<rusqlite::Result<_>>()?;
    }
    Ok(results)
}

fn match_of_row(row: &Row<'_>) -> rusqlite::Result<MatchResult> {
    Ok(MatchResult {
        match_id: id(row, 0)?,
        room: id(row, 1)?,
        mode: row.get(2)?,
        finished_at_ms: row.get::<_, i64>(3)?.unsigned_abs(),
        standings: Vec::new(),
    })
}

fn standing_of_row(row: &Row<'_>) -> rusqlite::Result<Standing> {
    Ok(Standing {
        player: id(row, 0)?,
        name: row.get(1)?,
        bot: row.get(2)?,
        place: row.get(3)?,
        ticks: row.get(4)?,
        team: row.get::<_, Option<u32>>(5)?.unwrap_or(0),
        rating: FIRST_RATING,
    })
}

pub(super) fn id<T>(row: &Row<'_>, column: usize) -> rusqlite::Result<T>
where
    T: FromStr<Err = protocol::id::ParseIdError>,
{
    let text: String = row.get(column)?;
    text.parse().map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
    })
}

/// A value that does not fit its type is not the store's failure: repeating will not help.
pub(super) fn read_error(operation: &'static str) -> impl Fn(rusqlite::Error) -> EngineError {
    move |error| match error {
        rusqlite::Error::FromSqlConversionFailure(column, ..)
        | rusqlite::Error::IntegralValueOutOfRange(column, _) => EngineError::Damaged {
            operation,
            detail: format!("column {column} does not hold what it should"),
        },
        other => store(operation)(other),
    }
}
