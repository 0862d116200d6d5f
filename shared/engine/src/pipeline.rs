//! Results by way of a queue: [`Queued`] puts them in and waits until the database has them,
//! [`Consumer`] works the queue off. Why it is built like this is in
//! `docs/adr/0014-results-and-ratings.md`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use parking_lot::Mutex;
use protocol::id::{MatchId, PlayerId};
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::redis::{ResultQueue, Whereabouts};
use crate::results::{MAX_STANDINGS, MatchResult, Recorded, Results};
use crate::{BoxFuture, EngineError};

mod consumer;

pub use consumer::{Consumer, Point};

/// How long the consumers have. What they have not dealt with by then, the caller writes into the
/// database itself: maybe there are none.
pub const CONSUMERS: Duration = Duration::from_secs(3);

/// Waits between two looks at what has become of results.
const LOOKS: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(250));

/// Matches that one look asks for.
pub const BATCH: usize = 256;

/// Results that go through the queue.
pub struct Queued {
    queue: ResultQueue,
    /// The database, for what nobody works off, and to read.
    database: Arc<dyn Results>,
    waiting: Arc<Waiting>,
    /// How long the consumers have.
    patience: Duration,
    _watch: AbortOnDropHandle<()>,
}

/// Who waits for which match.
#[derive(Default)]
struct Waiting {
    matches: Mutex<BTreeMap<MatchId, Vec<oneshot::Sender<Whereabouts>>>>,
    came: Notify,
}

impl Queued {
    /// Results that go to `database` by `queue`. Its task belongs to the runtime that this is
    /// called on.
    pub fn new(queue: ResultQueue, database: Arc<dyn Results>) -> Self {
        let waiting = Arc::new(Waiting::default());
        let watch = tokio::spawn(watch(queue.clone(), waiting.clone()));
        Self {
            queue,
            database,
            waiting,
            patience: CONSUMERS,
            _watch: AbortOnDropHandle::new(watch),
        }
    }

    /// The same, with another patience.
    #[must_use]
    pub fn patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    async fn record_now(&self, result: &MatchResult) -> Result<Recorded, EngineError> {
        if result.standings.len() > MAX_STANDINGS {
            return Err(EngineError::TooLarge {
                what: "seats in one match",
                limit: MAX_STANDINGS,
            });
        }
        let queued = timeout(self.patience, self.by_queue(result)).await;
        if let Ok(Ok(())) = queued {
            return Ok(Recorded::New);
        }
        // Nobody takes it, or Redis is away: the database takes it from here as well, once.
        self.database.record(result).await
    }

    /// Comes back when the database has it.
    async fn by_queue(&self, result: &MatchResult) -> Result<(), EngineError> {
        loop {
            // Lost with Redis, it is put in again.
            if self.queue.add(result).await? == Whereabouts::Done {
                return Ok(());
            }
            if let Ok(Whereabouts::Done) = self.waiting.of(result.match_id).await {
                return Ok(());
            }
        }
    }
}

impl Waiting {
    fn of(&self, id: MatchId) -> oneshot::Receiver<Whereabouts> {
        let (sender, receiver) = oneshot::channel();
        self.matches.lock().entry(id).or_default().push(sender);
        self.came.notify_one();
        receiver
    }

    /// Those who are still waited for, one batch after `from` at most.
    fn batch(&self, from: Option<MatchId>) -> Vec<MatchId> {
        let mut matches = self.matches.lock();
        matches.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        let after = from.map_or(0, |id| id.0.saturating_add(1));
        let next = matches.range(MatchId(after)..).take(BATCH);
        next.map(|(id, _)| *id).collect()
    }

    fn tell(&self, id: MatchId, whereabouts: Whereabouts) {
        for sender in self.matches.lock().remove(&id).unwrap_or_default() {
            // Who has stopped waiting need not know.
            let _ = sender.send(whereabouts);
        }
    }
}

/// Looks what has become of all that is waited for, by few calls; rests while nothing is.
async fn watch(queue: ResultQueue, waiting: Arc<Waiting>) {
    let mut backoff = Backoff::new(LOOKS.0, LOOKS.1);
    let mut from = None;
    loop {
        let begin: Option<MatchId> = from.take();
        let batch = waiting.batch(begin);
        if batch.is_empty() && begin.is_none() {
            waiting.came.notified().await;
            backoff.reset();
            continue;
        }
        let last = batch.last().copied().filter(|_| batch.len() == BATCH);
        // A failure is another look; callers have a patience of their own.
        let found = queue.look(&batch).await.unwrap_or_default();
        for (id, whereabouts) in batch.into_iter().zip(found) {
            if whereabouts != Whereabouts::Held {
                waiting.tell(id, whereabouts);
                backoff.reset();
            }
        }
        match last {
            Some(last) => from = Some(last),
            // Everyone was looked for once.
            None => sleep(backoff.next()).await,
        }
    }
}

impl Results for Queued {
    fn record<'a>(
        &'a self,
        result: &'a MatchResult,
    ) -> BoxFuture<'a, Result<Recorded, EngineError>> {
        Box::pin(self.record_now(result))
    }

    /// Each waits for a consumer; what the database is asked itself, its pool bounds.
    fn at_once(&self) -> usize {
        BATCH
    }

    fn recent(
        &self,
        player: PlayerId,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<MatchResult>, EngineError>> {
        self.database.recent(player, limit)
    }

    fn count(&self) -> BoxFuture<'_, Result<u64, EngineError>> {
        self.database.count()
    }
}
