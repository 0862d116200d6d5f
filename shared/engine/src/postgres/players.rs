//! Players and their ratings in Postgres.

use std::panic::Location;

use chassis::postgres::types::Type;
use chassis::postgres::{Parameter, Row};
use protocol::id::PlayerId;

use super::reading::Reading;
use super::{Attempts, DEADLINE, PostgresResults, query};
use crate::players::places::{Ahead, placed};
use crate::players::{
    Cursor, FORGOTTEN, LATEST_RESULT, Leader, MAX_HISTORY, MAX_LEADERS, Played, PlayerRating,
    Players, Profile, admit, millis,
};
use crate::rating::Rating;
use crate::{BoxFuture, EngineError};

const RATINGS: &str = "reading players' ratings";
const LEADERS: &str = "reading a leaderboard";
const HISTORY: &str = "reading a player's matches";
const PROFILE: &str = "reading a player";
const FORGET: &str = "forgetting a player";

/// A rating's columns, as [`rating_of_row`] reads them.
const COLUMNS: &str = "r.player, r.mode, r.mean, r.deviation, r.games, r.wins, r.version,
    r.last_match, r.mean_before, r.deviation_before";

const PLAYED: &str = "
    SELECT s.match_id, m.room, m.mode, s.finished_at_ms, s.name, s.place,
        (SELECT count(*) FROM standings o WHERE o.match_id = s.match_id),
        s.ticks, s.mean_before, s.deviation_before, s.mean_after, s.deviation_after
    FROM standings s JOIN matches m USING (match_id)
    WHERE s.player = $1 AND s.finished_at_ms <= $2
        AND (s.finished_at_ms < $2 OR s.match_id > $3 COLLATE \"C\")
    ORDER BY s.finished_at_ms DESC, s.match_id, s.position LIMIT $4";

/// The player's row is taken, or made, first: a result that is recorded at the same time waits for
/// it, and then sees that the player is forgotten.
const FORGET_STEPS: [&str; 4] = [
    "INSERT INTO players (player, name, first_seen_ms, last_seen_ms) VALUES ($1, '', $2, $2)
     ON CONFLICT (player) DO UPDATE SET name = ''",
    "INSERT INTO forgotten (player, forgotten_at_ms) VALUES ($1, $2)
     ON CONFLICT (player) DO UPDATE
     SET forgotten_at_ms = greatest(forgotten.forgotten_at_ms, excluded.forgotten_at_ms)",
    "UPDATE standings SET player = $2, name = '', mean_before = NULL, deviation_before = NULL,
         mean_after = NULL, deviation_after = NULL
     WHERE player = $1",
    "DELETE FROM players WHERE player = $1",
];

impl Players for PostgresResults {
    fn ratings<'a>(
        &'a self,
        players: &'a [PlayerId],
    ) -> BoxFuture<'a, Result<Vec<PlayerRating>, EngineError>> {
        Box::pin(async move {
            admit(players.len())?;
            let players: Vec<String> = players.iter().map(PlayerId::to_string).collect();
            let sql = format!("SELECT {COLUMNS} FROM ratings r WHERE r.player = ANY ($1)");
            let of: [Parameter<'_>; 1] = [(&players, Type::TEXT_ARRAY)];
            let rows = query(&self.pool, Location::caller(), RATINGS, &sql, &of).await?;
            rows.iter().map(|row| rating_of_row(RATINGS, row)).collect()
        })
    }

    fn leaders<'a>(
        &'a self,
        mode: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<Leader>, EngineError>> {
        Box::pin(async move {
            let sql = format!(
                "SELECT {COLUMNS}, p.name FROM ratings r JOIN players p USING (player)
                 WHERE r.mode = $1 ORDER BY r.score DESC, r.player LIMIT $2"
            );
            let limit = bound(limit, MAX_LEADERS);
            let of: [Parameter<'_>; 2] = [(&mode, Type::TEXT), (&limit, Type::INT8)];
            let rows = query(&self.pool, Location::caller(), LEADERS, &sql, &of).await?;
            let rows = rows.iter().map(named_of_row).collect::<Result<_, _>>()?;
            Ok(placed(Ahead::default(), rows))
        })
    }

    fn around<'a>(
        &'a self,
        mode: &'a str,
        player: PlayerId,
        side: usize,
    ) -> BoxFuture<'a, Result<Vec<Leader>, EngineError>> {
        Box::pin(async move {
            let (player, side) = (player.to_string(), bound(side, MAX_LEADERS));
            let of: [Parameter<'_>; 3] = [
                (&mode, Type::TEXT),
                (&player, Type::TEXT),
                (&side, Type::INT8),
            ];
            let rows = query(&self.pool, Location::caller(), LEADERS, &around(), &of).await?;
            let mut ahead = Ahead::default();
            if let Some(row) = rows.first() {
                let operation = LEADERS;
                let row = Reading { operation, row };
                let (better, equal) = (row.number(11)?, row.number(12)?);
                ahead = Ahead { better, equal };
            }
            let rows = rows.iter().map(named_of_row).collect::<Result<_, _>>()?;
            Ok(placed(ahead, rows))
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
                let at = i64::try_from(from.finished_at_ms).unwrap_or(i64::MAX);
                (at, from.match_id.to_string())
            });
            let (player, limit) = (player.to_string(), bound(limit, MAX_HISTORY));
            let of: [Parameter<'_>; 4] = [
                (&player, Type::TEXT),
                (&at, Type::INT8),
                (&after, Type::TEXT),
                (&limit, Type::INT8),
            ];
            let rows = query(&self.pool, Location::caller(), HISTORY, PLAYED, &of).await?;
            rows.iter().map(played_of_row).collect()
        })
    }

    fn profile(&self, player: PlayerId) -> BoxFuture<'_, Result<Option<Profile>, EngineError>> {
        Box::pin(async move {
            let text = player.to_string();
            let of: [Parameter<'_>; 1] = [(&text, Type::TEXT)];
            let sql = "SELECT name, first_seen_ms, last_seen_ms FROM players WHERE player = $1";
            let rows = query(&self.pool, Location::caller(), PROFILE, sql, &of).await?;
            let profile = |row| -> Result<Profile, EngineError> {
                let operation = PROFILE;
                let row = Reading { operation, row };
                Ok(Profile {
                    player,
                    name: row.value(0)?,
                    first_seen_ms: row.number(1)?,
                    last_seen_ms: row.number(2)?,
                })
            };
            rows.first().map(profile).transpose()
        })
    }

    fn forget(&self, player: PlayerId, now_ms: u64) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async move {
            let (player, nobody) = (player.to_string(), FORGOTTEN.to_string());
            let now = i64::try_from(now_ms).unwrap_or(i64::MAX);
            let longest = now - millis(LATEST_RESULT);
            let place = Location::caller();
            let mut attempts = Attempts::within(DEADLINE, FORGET);
            loop {
                let attempt = async {
                    let (player, nobody) = ((&player as _, Type::TEXT), (&nobody as _, Type::TEXT));
                    let mut held = self.pool.acquire_at(place).await?;
                    let mut transaction = held.begin().await?;
                    let [see, note, hide, delete] = FORGET_STEPS;
                    let noted: [Parameter<'_>; 2] = [player.clone(), (&now, Type::INT8)];
                    transaction.execute(see, &noted).await?;
                    transaction.execute(note, &noted).await?;
                    let hidden: [Parameter<'_>; 2] = [player.clone(), nobody];
                    transaction.execute(hide, &hidden).await?;
                    transaction.execute(delete, &[player]).await?;
                    let old = "DELETE FROM forgotten WHERE forgotten_at_ms < $1";
                    transaction.execute(old, &[(&longest, Type::INT8)]).await?;
                    transaction.commit().await
                };
                if attempts.make(attempt).await?.is_some() {
                    return Ok(());
                }
            }
        })
    }
}

/// Who is on the leaderboard around a player, and how many are before the first of them.
fn around() -> String {
    format!(
        "WITH own AS (SELECT score, player FROM ratings WHERE mode = $1 AND player = $2
         ), near AS (
             (SELECT r.player, r.score FROM ratings r, own WHERE r.mode = $1
                 AND (r.score > own.score OR (r.score = own.score AND r.player < own.player))
                 ORDER BY r.score, r.player DESC LIMIT $3)
             UNION ALL
             (SELECT r.player, r.score FROM ratings r, own WHERE r.mode = $1
                 AND (r.score < own.score OR (r.score = own.score AND r.player >= own.player))
                 ORDER BY r.score DESC, r.player LIMIT $3 + 1)
         ), first AS (SELECT player, score FROM near ORDER BY score DESC, player LIMIT 1)
         SELECT {COLUMNS}, p.name,
             (SELECT count(*) FROM ratings b, first f WHERE b.mode = $1 AND b.score > f.score),
             (SELECT count(*) FROM ratings b, first f
              WHERE b.mode = $1 AND b.score = f.score AND b.player < f.player)
         FROM near JOIN ratings r USING (player) JOIN players p USING (player)
         WHERE r.mode = $1 ORDER BY r.score DESC, r.player"
    )
}

fn rating_of_row(operation: &'static str, row: &Row) -> Result<PlayerRating, EngineError> {
    let row = Reading { operation, row };
    Ok(PlayerRating {
        player: row.id(0)?,
        mode: row.value(1)?,
        rating: pair(row, 2)?,
        games: row.number(4)?,
        wins: row.number(5)?,
        version: row.number(6)?,
        last_match: row.id(7)?,
        before: pair(row, 8)?,
    })
}

fn named_of_row(row: &Row) -> Result<(PlayerRating, String), EngineError> {
    let operation = LEADERS;
    Ok((
        rating_of_row(operation, row)?,
        Reading { operation, row }.value(10)?,
    ))
}

fn played_of_row(row: &Row) -> Result<Played, EngineError> {
    let operation = HISTORY;
    let row = Reading { operation, row };
    let change = match row.value::<Option<f64>>(8)? {
        Some(_) => Some((pair(row, 8)?, pair(row, 10)?)),
        None => None,
    };
    Ok(Played {
        match_id: row.id(0)?,
        room: row.id(1)?,
        mode: row.value(2)?,
        finished_at_ms: row.number(3)?,
        name: row.value(4)?,
        place: row.small(5)?,
        seats: row.small(6)?,
        ticks: row.small_or_none(7)?,
        change,
    })
}

/// A mean, and the deviation beside it.
fn pair(row: Reading<'_>, column: usize) -> Result<Rating, EngineError> {
    Ok(Rating {
        mean: row.value(column)?,
        deviation: row.value(column + 1)?,
    })
}

fn bound(asked: usize, most: usize) -> i64 {
    i64::try_from(asked.min(most)).unwrap_or(i64::MAX)
}
