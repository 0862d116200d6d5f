//! Players and their ratings in SQLite.

use protocol::id::PlayerId;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};

use super::SqliteResults;
use super::results::{id, read_error};
use crate::players::entry::{Before, Entry, people};
use crate::players::places::{Ahead, placed};
use crate::players::{
    Cursor, FORGOTTEN, LATEST_RESULT, Leader, MAX_HISTORY, MAX_LEADERS, Played, PlayerRating,
    Players, Profile, STILL_FORGOTTEN, admit, millis,
};
use crate::rating::Rating;
use crate::results::MatchResult;
use crate::{BoxFuture, EngineError};

const RATINGS: &str = "reading players' ratings";
const LEADERS: &str = "reading a leaderboard";
const HISTORY: &str = "reading a player's matches";
const PROFILE: &str = "reading a player";
const FORGET: &str = "forgetting a player";

/// A rating's columns, as [`rating_of_row`] reads them.
const COLUMNS: &str = "r.player, r.mode, r.mean, r.deviation, r.games, r.wins, r.version,
    r.last_match, r.mean_before, r.deviation_before";

/// What is known of the people of a match, who are there after it.
pub(super) fn before(
    transaction: &Transaction<'_>,
    result: &MatchResult,
) -> rusqlite::Result<Before> {
    let mut before = Before::default();
    let mut rating = transaction
        .prepare_cached("SELECT mean, deviation FROM ratings WHERE player = ?1 AND mode = ?2")?;
    let mut forgotten = transaction.prepare_cached(
        "SELECT 1 FROM forgotten WHERE player = ?1 AND forgotten_at_ms + ?2 >= ?3",
    )?;
    let (grace, at) = (millis(STILL_FORGOTTEN), signed(result.finished_at_ms));
    for player in people(result).into_keys() {
        let text = player.to_string();
        if forgotten.exists(params![text, grace, at])? {
            before.forgotten.insert(player);
            continue;
        }
        let found = rating.query_row(params![text, result.mode], |row| pair(row, 0, 1));
        if let Some(found) = found.optional()? {
            before.ratings.insert(player, found);
        }
    }
    Ok(before)
}

/// Notes who was there, and the ratings that change.
pub(super) fn update(
    transaction: &Transaction<'_>,
    result: &MatchResult,
    entry: &Entry,
) -> rusqlite::Result<()> {
    let at = signed(result.finished_at_ms);
    let mut see = transaction.prepare_cached(
        "INSERT INTO players (player, name, first_seen_ms, last_seen_ms) VALUES (?1, ?2, ?3, ?3)
         ON CONFLICT (player) DO UPDATE SET
             name = CASE WHEN last_seen_ms <= ?3 THEN ?2 ELSE name END,
             first_seen_ms = min(first_seen_ms, ?3), last_seen_ms = max(last_seen_ms, ?3)",
    )?;
    for seat in &entry.seats {
        let standing = &seat.standing;
        if !standing.bot && standing.player != FORGOTTEN {
            see.execute(params![standing.player.to_string(), standing.name, at])?;
        }
    }
    let mut rate = transaction.prepare_cached(
        "INSERT INTO ratings (player, mode, mean, deviation, score, games, wins, version,
             last_match, mean_before, deviation_before)
         VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, 1, ?7, ?8, ?9)
         ON CONFLICT (player, mode) DO UPDATE SET
             mean = ?3, deviation = ?4, score = ?5, games = games + 1, wins = wins + ?6,
             version = version + 1, last_match = ?7, mean_before = ?8, deviation_before = ?9",
    )?;
    for row in &entry.rated {
        rate.execute(params![
            row.player.to_string(),
            result.mode,
            row.after.mean,
            row.after.deviation,
            row.after.score(),
            row.has_won,
            result.match_id.to_string(),
            row.before.mean,
            row.before.deviation,
        ])?;
    }
    Ok(())
}

impl Players for SqliteResults {
    fn ratings<'a>(
        &'a self,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Vec<PlayerRating>, EngineError>> {
        Box::pin(async move {
            admit(players.len())?;
            let players = players.to_vec();
            self.read(RATINGS, move |transaction| {
                let sql = format!("SELECT {COLUMNS} FROM ratings r WHERE player = ?1");
                let mut select = transaction.prepare_cached(&sql)?;
                let mut all = Vec::new();
                for player in players {
                    let found = select.query_map([player.to_string()], rating_of_row)?;
                    all.extend(found.collect::<rusqlite::Result<Vec<_>>>()?);
                }
                Ok(all)
            })
            .await
        })
    }

    fn leaders<'a>(
        &'a self,
        mode: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Leader>, EngineError>> {
        Box::pin(async move {
            let mode = mode.to_owned();
            self.read(LEADERS, move |transaction| {
                let sql = format!(
                    "SELECT {COLUMNS}, p.name FROM ratings r JOIN players p USING (player)
                     WHERE mode = ?1 ORDER BY r.score DESC, r.player LIMIT ?2"
                );
                let mut select = transaction.prepare_cached(&sql)?;
                let limit = bound(limit, MAX_LEADERS);
                let rows = select.query_map(params![mode, limit], named_of_row)?;
                Ok(placed(
                    Ahead::default(),
                    rows.collect::<rusqlite::Result<_>>()?,
                ))
            })
            .await
        })
    }

    fn around<'a>(
        &'a self,
        mode: &'a str,
        player: PlayerId,
        side: usize,
    ) -> BoxFuture<'a, Result<Vec<Leader>, EngineError>> {
        Box::pin(async move {
            let mode = mode.to_owned();
            self.read(LEADERS, move |transaction| {
                select_around(transaction, &mode, player, bound(side, MAX_LEADERS))
            })
            .await
        })
    }

    fn history(
        &self,
        player: PlayerId,
        from: Option<Cursor>,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Played>, EngineError>> {
        Box::pin(async move {
            let (at, after) = from.map_or((i64::MAX, String::new()), |from| {
                (signed(from.finished_at_ms), from.match_id.to_string())
            });
            self.read(HISTORY, move |transaction| {
                let mut select = transaction.prepare_cached(
                    "SELECT s.match_id, m.room, m.mode, s.finished_at_ms, s.name, s.place,
                         (SELECT count(*) FROM standings o WHERE o.match_id = s.match_id),
                         s.ticks, s.mean_before, s.deviation_before, s.mean_after,
                         s.deviation_after
                     FROM standings s JOIN matches m USING (match_id)
                     WHERE s.player = ?1 AND s.finished_at_ms <= ?2
                         AND (s.finished_at_ms < ?2 OR s.match_id > ?3)
                     ORDER BY s.finished_at_ms DESC, s.match_id, s.position LIMIT ?4",
                )?;
                let limit = bound(limit, MAX_HISTORY);
                let player = player.to_string();
                let played = select.query_map(params![player, at, after, limit], played_of_row)?;
                played.collect()
            })
            .await
        })
    }

    fn profile(&self, player: PlayerId) -> BoxFuture<'_, Result<Option<Profile>, EngineError>> {
        Box::pin(async move {
            self.read(PROFILE, move |transaction| {
                transaction
                    .prepare_cached(
                        "SELECT name, first_seen_ms, last_seen_ms FROM players WHERE player = ?1",
                    )?
                    .query_row([player.to_string()], |row| {
                        Ok(Profile {
                            player,
                            name: row.get(0)?,
                            first_seen_ms: row.get::<_, i64>(1)?.unsigned_abs(),
                            last_seen_ms: row.get::<_, i64>(2)?.unsigned_abs(),
                        })
                    })
                    .optional()
            })
            .await
        })
    }

    fn forget(&self, player: PlayerId, now_ms: u64) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let job = move |connection: &mut Connection| {
                forget(connection, player, now_ms).map_err(read_error(FORGET))
            };
            self.database.run(FORGET, job).await
        })
    }
}

impl SqliteResults {
    /// Reads in one transaction, so that all is of one moment.
    async fn read<T: Send + 'static>(
        &self,
        operation: &'static str,
        select: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, EngineError> {
        let job = move |connection: &mut Connection| {
            let transaction = connection.transaction().map_err(read_error(operation))?;
            select(&transaction).map_err(read_error(operation))
        };
        self.database.run(operation, job).await
    }
}

fn select_around(
    transaction: &Transaction<'_>,
    mode: &str,
    player: PlayerId,
    side: i64,
) -> rusqlite::Result<Vec<Leader>> {
    let player = player.to_string();
    let own = transaction
        .prepare_cached("SELECT score FROM ratings WHERE player = ?1 AND mode = ?2")?
        .query_row(params![player, mode], |row| row.get::<_, i64>(0))
        .optional()?;
    let Some(score) = own else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "WITH near AS (
             SELECT * FROM (SELECT player, score FROM ratings WHERE mode = ?1
                 AND (score > ?2 OR (score = ?2 AND player < ?3))
                 ORDER BY score, player DESC LIMIT ?4)
             UNION ALL
             SELECT * FROM (SELECT player, score FROM ratings WHERE mode = ?1
                 AND (score < ?2 OR (score = ?2 AND player >= ?3))
                 ORDER BY score DESC, player LIMIT ?4 + 1)
         ), first AS (SELECT player, score FROM near ORDER BY score DESC, player LIMIT 1)
         SELECT {COLUMNS}, p.name,
             (SELECT count(*) FROM ratings b, first f WHERE b.mode = ?1 AND b.score > f.score),
             (SELECT count(*) FROM ratings b, first f
              WHERE b.mode = ?1 AND b.score = f.score AND b.player < f.player)
         FROM near JOIN ratings r USING (player) JOIN players p USING (player)
         WHERE r.mode = ?1 ORDER BY r.score DESC, r.player"
    );
    let mut ahead = Ahead::default();
    let mut select = transaction.prepare_cached(&sql)?;
    let rows = select.query_map(params![mode, score, player, side], |row| {
        ahead = Ahead {
            better: row.get::<_, i64>(11)?.unsigned_abs(),
            equal: row.get::<_, i64>(12)?.unsigned_abs(),
        };
        named_of_row(row)
    })?;
    let rows = rows.collect::<rusqlite::Result<_>>()?;
    Ok(placed(ahead, rows))
}

fn forget(connection: &mut Connection, player: PlayerId, now_ms: u64) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let (text, now) = (player.to_string(), signed(now_ms));
    transaction.execute(
        "INSERT INTO forgotten (player, forgotten_at_ms) VALUES (?1, ?2)
         ON CONFLICT (player) DO UPDATE SET forgotten_at_ms = max(forgotten_at_ms, ?2)",
        params![text, now],
    )?;
    transaction.execute(
        "DELETE FROM forgotten WHERE forgotten_at_ms < ?1",
        [now - millis(LATEST_RESULT)],
    )?;
    transaction.execute(
        "UPDATE standings SET player = ?2, name = '', mean_before = NULL,
             deviation_before = NULL, mean_after = NULL, deviation_after = NULL
         WHERE player = ?1",
        params![text, FORGOTTEN.to_string()],
    )?;
    transaction.execute("DELETE FROM players WHERE player = ?1", [&text])?;
    transaction.commit()
}

fn rating_of_row(row: &Row<'_>) -> rusqlite::Result<PlayerRating> {
    Ok(PlayerRating {
        player: id(row, 0)?,
        mode: row.get(1)?,
        rating: pair(row, 2, 3)?,
        games: row.get::<_, i64>(4)?.unsigned_abs(),
        wins: row.get::<_, i64>(5)?.unsigned_abs(),
        version: row.get::<_, i64>(6)?.unsigned_abs(),
        last_match: id(row, 7)?,
        before: pair(row, 8, 9)?,
    })
}

fn named_of_row(row: &Row<'_>) -> rusqlite::Result<(PlayerRating, String)> {
    Ok((rating_of_row(row)?, row.get(10)?))
}

fn played_of_row(row: &Row<'_>) -> rusqlite::Result<Played> {
    let change = match row.get::<_, Option<f64>>(8)? {
        Some(_) => Some((pair(row, 8, 9)?, pair(row, 10, 11)?)),
        None => None,
    };
    Ok(Played {
        match_id: id(row, 0)?,
        room: id(row, 1)?,
        mode: row.get(2)?,
        finished_at_ms: row.get::<_, i64>(3)?.unsigned_abs(),
        name: row.get(4)?,
        place: row.get(5)?,
        seats: row.get(6)?,
        ticks: row.get(7)?,
        change,
    })
}

fn pair(row: &Row<'_>, mean: usize, deviation: usize) -> rusqlite::Result<Rating> {
    Ok(Rating {
        mean: row.get(mean)?,
        deviation: row.get(deviation)?,
    })
}

fn bound(asked: usize, most: usize) -> i64 {
    i64::try_from(asked.min(most)).unwrap_or(i64::MAX)
}

fn signed(millis: u64) -> i64 {
    i64::try_from(millis).unwrap_or(i64::MAX)
}
