//! Results in Redis, for deployments without a database: they last as long as the server's data.
//!
//! The result itself is one key, written once. What is found by player and what counts follow from
//! it in other hash slots; each of those writes changes nothing when it is repeated, so whoever
//! repeats a record completes what an earlier one left out.

use std::sync::LazyLock;

use protocol::id::{MatchId, PlayerId};

use super::{Call, Redis, Script};
use crate::results::{MAX_RECENT, MAX_STANDINGS, MatchResult, Recorded, Results};
use crate::{BoxFuture, EngineError};

static RECORD: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/result_record.lua")));
static INDEX: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("lua/result_index.lua")));

/// Matches are counted in so many sets, so that a Cluster shares them.
const SETS: u64 = 16;

/// Results in Redis.
pub struct RedisResults {
    redis: Redis,
}

impl RedisResults {
    /// Results in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self { redis }
    }

    fn result(&self, id: MatchId) -> String {
        self.redis.key(&id.to_string(), "result")
    }

    fn of_player(&self, player: PlayerId) -> String {
        self.redis.key(&player.to_string(), "results")
    }

    fn counted(&self, set: u64) -> String {
        self.redis.key(&format!("results:{set}"), "all")
    }

    async fn record_now(&self, result: &MatchResult) -> Result<Recorded, EngineError> {
        let operation = "recording a result";
        if result.standings.len() > MAX_STANDINGS {
            return Err(EngineError::TooLarge {
                what: "seats in one match",
                limit: MAX_STANDINGS,
            });
        }
        let text = serde_json::to_string(result).map_err(|source| EngineError::Store {
            operation,
            source: Box::new(source),
        })?;
        let call = RECORD.on(&[self.result(result.match_id)]).arg(text);
        let (text, is_there): (String, bool) = self.redis.run_durable(operation, call).await?;
        self.index(operation, &read(operation, &text)?).await?;
        Ok(if is_there {
            Recorded::AlreadyThere
        } else {
            Recorded::New
        })
    }

    async fn index(
        &self,
        operation: &'static str,
        result: &MatchResult,
    ) -> Result<(), EngineError> {
        let id = result.match_id.to_string();
        let counted = self.counted(result.match_id.0 % SETS);
        let mut calls = vec![Call::command("SADD", &counted).arg(&id)];
        calls.extend(result.standings.iter().map(|standing| {
            INDEX
                .on(&[self.of_player(standing.player)])
                .arg(&id)
                .arg(result.finished_at_ms)
                .arg(MAX_RECENT)
        }));
        let written = self.redis.run_all::<()>(operation, &calls).await?;
        written.into_iter().collect()
    }

    async fn recent_now(
        &self,
        player: PlayerId,
        limit: usize,
    ) -> Result<Vec<MatchResult>, EngineError> {
        let operation = "reading a player's results";
        let limit = limit.min(MAX_RECENT);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let newest = Call::command("ZREVRANGE", &self.of_player(player))
            .arg(0)
            .arg(limit - 1);
        let ids: Vec<String> = self.redis.run(operation, newest).await?;
        let key = |id: &String| Call::command("GET", &self.redis.key(id, "result"));
        let calls: Vec<Call> = ids.iter().map(key).collect();
        let found = self.redis.run_all::<Option<String>>(operation, &calls);
        let mut results = Vec::with_capacity(ids.len());
        for text in found.await? {
            // What the index has and the store has not was lost with a primary.
            if let Some(text) = text? {
                results.push(read(operation, &text)?);
            }
        }
        Ok(results)
    }

    async fn count_now(&self) -> Result<u64, EngineError> {
        let operation = "counting results";
        let size = |set| Call::command("SCARD", &self.counted(set));
        let calls: Vec<Call> = (0..SETS).map(size).collect();
        let sizes = self.redis.run_all::<u64>(operation, &calls).await?;
        sizes.into_iter().sum()
    }
}

impl Results for RedisResults {
    fn record<'a>(
        &'a self,
        result: &'a MatchResult,
    ) -> BoxFuture<'a, Result<Recorded, EngineError>> {
        Box::pin(self.record_now(result))
    }

    fn recent(
        &self,
        player: PlayerId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<MatchResult>, EngineError>> {
        Box::pin(self.recent_now(player, limit))
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, EngineError>> {
        Box::pin(self.count_now())
    }
}

fn read(operation: &'static str, text: &str) -> Result<MatchResult, EngineError> {
    serde_json::from_str(text).map_err(|error| EngineError::Damaged {
        operation,
        detail: error.to_string(),
    })
}
