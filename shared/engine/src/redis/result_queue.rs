//! Results on their way to the database: a stream that any matcher works off.
//!
//! Who has a result puts it in and asks until the *database* has it; what Redis loses meanwhile is
//! put in again. So an entry is never the only copy, and the queue may be lost at any moment.
//! Whoever takes an entry writes it into the database, which takes a match once, and then has the
//! entry removed: at whichever point it dies, another one does the same again.

use std::sync::LazyLock;
use std::time::Duration;

use protocol::id::MatchId;

use super::leases::millis;
use super::{Redis, Script};
use crate::EngineError;
use crate::results::MatchResult;

static ADD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/queue_add.lua")));
static LOOK: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/queue_look.lua")));
static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/queue_take.lua")));
static DONE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("lua/queue_done.lua")));

/// Most results that wait in the queue. Over it they wait where they come from.
pub const MAX_QUEUED: usize = 50_000;

/// Most entries of one call.
pub const MAX_TAKEN: usize = 64;

/// The consumers' group.
const GROUP: &str = "database";

/// What a consumer has taken is another one's after this long: longer than the database takes to
/// answer, or not to.
pub const TAKEN_FOR: Duration = Duration::from_secs(15);

/// That the database has a result is remembered for so long. Who asks later puts it in again, which
/// is harmless.
const REMEMBERED: Duration = Duration::from_secs(120);

/// The queue. Clones are the same.
#[derive(Debug, Clone)]
pub struct ResultQueue {
    redis: Redis,
    /// After which what was taken is another consumer's.
    taken_for: Duration,
}

/// What has become of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whereabouts {
    /// The database has it.
    Done,
    /// It waits.
    Held,
    /// Nobody knows it: it was never put in, or lost, or done long ago.
    Missing,
}

/// What a consumer was given.
#[derive(Debug)]
pub struct Taken {
    /// How many entries wait in the queue, those that were taken among them.
    pub waiting: u64,
    /// For how long the oldest of them has.
    pub oldest: Duration,
    /// At most [`MAX_TAKEN`].
    pub entries: Vec<Entry>,
}

/// An entry of the queue.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name.
    pub id: String,
    /// The match, as text.
    pub match_id: String,
    /// The result, as JSON.
    pub result: String,
}

impl ResultQueue {
    /// The queue in `redis`.
    pub fn new(redis: Redis) -> Self {
        Self {
            redis,
            taken_for: TAKEN_FOR,
        }
    }

    /// The same queue, whose entries are another consumer's after another while.
    #[must_use]
    pub fn taken_for(self, taken_for: Duration) -> Self {
        Self { taken_for, ..self }
    }

    fn key(&self, name: &str) -> String {
        self.redis.key("result-queue", name)
    }

    /// Puts a result in, unless it is there or the database has it.
    ///
    /// # Errors
    /// [`EngineError::Full`]; the store's: whether it is in is unknown, and repeating harmless.
    pub async fn add(&self, result: &MatchResult) -> Result<Whereabouts, EngineError> {
        let operation = "queueing a result";
        let text = serde_json::to_string(result).map_err(|source| EngineError::Store {
            operation,
            source: Box::new(source),
        })?;
        let keys = ["entries", "held", "done"].map(|name| self.key(name));
        let call = ADD
            .on(&keys)
            .arg(MAX_QUEUED)
            .arg(result.match_id.to_string())
            .arg(text);
        let answers: Vec<String> = self.redis.run_durable(operation, call).await?;
        match answers.first().map(String::as_str) {
            Some("full") => Err(EngineError::Full {
                what: "results on their way to the database",
                limit: MAX_QUEUED,
            }),
            answer => whereabouts(operation, answer),
        }
    }

    /// What has become of results.
    ///
    /// # Errors
    /// The store's.
    pub async fn look(&self, matches: &[MatchId]) -> Result<Vec<Whereabouts>, EngineError> {
        let operation = "asking for queued results";
        if matches.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = LOOK.on(&["held", "done"].map(|name| self.key(name)));
        for id in matches {
            call.push(id.to_string());
        }
        let answers: Vec<String> = self.redis.run(operation, call).await?;
        let answers = answers
            .iter()
            .map(|answer| whereabouts(operation, Some(answer)));
        answers.collect()
    }

    /// Takes entries for a consumer: they are its own until [`TAKEN_FOR`] has passed.
    ///
    /// # Errors
    /// The store's.
    pub async fn take(&self, consumer: &str) -> Result<Taken, EngineError> {
        let operation = "taking queued results";
        let call = TAKE
            .on(&[self.key("entries")])
            .arg(GROUP)
            .arg(consumer)
            .arg(MAX_TAKEN)
            .arg(millis(self.taken_for));
        let answer: Vec<String> = self.redis.run(operation, call).await?;
        let damaged = || EngineError::Damaged {
            operation,
            detail: "an answer of another form".to_owned(),
        };
        let [waiting, oldest, entries @ ..] = &answer[..] else {
            return Err(damaged());
        };
        let number = |text: &String| text.parse::<u64>().map_err(|_| damaged());
        let entries = entries.chunks_exact(3).map(|entry| Entry {
            id: entry[0].clone(),
            match_id: entry[1].clone(),
            result: entry[2].clone(),
        });
        Ok(Taken {
            waiting: number(waiting)?,
            oldest: Duration::from_millis(number(oldest)?),
            entries: entries.collect(),
        })
    }

    /// The database has these.
    ///
    /// # Errors
    /// The store's: repeating is harmless.
    pub async fn done(&self, entries: &[Entry]) -> Result<(), EngineError> {
        if entries.is_empty() {
            return Ok(());
        }
        let keys = ["entries", "held", "done"].map(|name| self.key(name));
        let mut call = DONE.on(&keys).arg(GROUP).arg(millis(REMEMBERED));
        for entry in entries {
            call.push(&entry.id);
            call.push(&entry.match_id);
        }
        let operation = "taking results out of the queue";
        let _: u64 = self.redis.run(operation, call).await?;
        Ok(())
    }
}

fn whereabouts(operation: &'static str, answer: Option<&str>) -> Result<Whereabouts, EngineError> {
    match answer {
        Some("done") => Ok(Whereabouts::Done),
        Some("held") => Ok(Whereabouts::Held),
        Some("missing") => Ok(Whereabouts::Missing),
        _ => Err(EngineError::Damaged {
            operation,
            detail: "an answer of another form".to_owned(),
        }),
    }
}
