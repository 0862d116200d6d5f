//! Works the queue of results off: takes, writes into the database, has it removed.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use futures_util::stream::{self, StreamExt};
use metrics::{counter, gauge};
use tokio::time::sleep;

use crate::EngineError;
use crate::redis::{QueueEntry, ResultQueue};
use crate::results::{MatchResult, Results};

/// Results that are written at once.
const AT_ONCE: usize = 8;

/// Waits between looks at an empty queue.
const IDLE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));

/// Waits between attempts while Redis or the database fails.
const AWAY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// A place in a consumer's work at which it may die. Tests stop there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Entries are taken, and the database knows none of them.
    Taken,
    /// The database has what it takes, and the queue does not know.
    Recorded,
    /// The queue knows.
    Removed,
}

/// Works the queue off.
pub struct Consumer {
    name: String,
    queue: ResultQueue,
    database: Arc<dyn Results>,
    /// What did not work, and has been told.
    is_troubled: bool,
}

impl Consumer {
    /// A consumer; `name` is its own among all that work the queue off.
    pub fn new(name: String, queue: ResultQueue, database: Arc<dyn Results>) -> Self {
        Self {
            name,
            queue,
            database,
            is_troubled: false,
        }
    }

    /// Works for ever. Dropped at any point, another consumer does what is left.
    pub async fn run(mut self) {
        let mut idle = Backoff::new(IDLE.0, IDLE.1);
        let mut away = Backoff::new(AWAY.0, AWAY.1);
        loop {
            match self.step(|_| true).await {
                Ok(0) => sleep(idle.next()).await,
                Ok(_) => {
                    idle.reset();
                    away.reset();
                    if std::mem::take(&mut self.is_troubled) {
                        tracing::info!("queued results reach the database again");
                    }
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.is_troubled, true) {
                        tracing::warn!(
                            error = %Chain(&error),
                            "queued results do not reach the database; they wait"
                        );
                    }
                    sleep(away.next()).await;
                }
            }
        }
    }

    /// One turn: gives how many results the database has by it. `goes_on` is asked at each
    /// [`Point`]; a no ends the turn there, as a crash would.
    ///
    /// # Errors
    /// Redis does not answer, or the database took none of what there was.
    pub async fn step(&mut self, goes_on: impl Fn(Point) -> bool) -> Result<usize, EngineError> {
        let taken = self.queue.take(&self.name).await?;
        gauge!("results_queued").set(taken.waiting as f64);
        gauge!("results_oldest_seconds").set(taken.oldest.as_secs_f64());
        if !goes_on(Point::Taken) {
            return Ok(0);
        }
        let database = &*self.database;
        let mut written = stream::iter(taken.entries)
            .map(|entry| async move { (record(database, &entry).await, entry) })
            .buffer_unordered(AT_ONCE);
        let (mut done, mut failure) = (Vec::new(), None);
        while let Some((outcome, entry)) = written.next().await {
            match outcome {
                Ok(()) => done.push(entry),
                // The others may be luckier; this one is taken again when its time has run out.
                Err(error) => failure = Some(error),
            }
        }
        drop(written);
        if !goes_on(Point::Recorded) {
            return Ok(0);
        }
        self.queue.done(&done).await?;
        goes_on(Point::Removed);
        match failure {
            Some(error) if done.is_empty() => Err(error),
            _ => Ok(done.len()),
        }
    }
}

/// Writes one result. What can never be written is told in full, and counts as dealt with.
async fn record(database: &dyn Results, entry: &QueueEntry) -> Result<(), EngineError> {
    let result: MatchResult = match serde_json::from_str(&entry.result) {
        Ok(result) => result,
        Err(error) => return give_up(entry, &error),
    };
    match database.record(&result).await {
        Ok(outcome) => {
            counter!("results_consumed_total", "outcome" => outcome.as_str()).increment(1);
            Ok(())
        }
        Err(error @ EngineError::TooLarge { .. }) => give_up(entry, &error),
        Err(error) => Err(error),
    }
}

fn give_up(
    entry: &QueueEntry,
    error: &(dyn std::error::Error + 'static),
) -> Result<(), EngineError> {
    counter!("results_consumed_total", "outcome" => "lost").increment(1);
    tracing::error!(
        error = %Chain(error),
        result = entry.result,
        "a queued result cannot be recorded"
    );
    Ok(())
}
