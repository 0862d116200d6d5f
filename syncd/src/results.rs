//! What becomes of a room that ended: its result is recorded once, then the matchers are told.
//!
//! Recording is idempotent by match, so that it is repeated while the store fails, for a bounded
//! time. One result after the other: a store that fails, fails for all. Each has its own
//! deadline from the moment that its room ended, so that a backlog is not waited for in turn.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use engine::{MatchResult, Recorded, Results};
use protocol::id::{MatchId, RoomId};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::host::Host;
use crate::meters;
use crate::room::EndReason;

/// Longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Shortest and longest wait between two attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// A room that ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) room: RoomId,
    pub(crate) match_id: MatchId,
    pub(crate) reason: EndReason,
    /// None unless the game was finished.
    pub(crate) result: Option<MatchResult>,
    pub(crate) at: Instant,
}

/// Records results until every sender is gone and the queue is empty.
pub(crate) struct Recorder {
    pub(crate) host: Arc<Host>,
    pub(crate) results: Arc<dyn Results>,
    pub(crate) record_for: Duration,
    pub(crate) endings: mpsc::Receiver<Ending>,
}

impl Recorder {
    pub(crate) async fn run(mut self) {
        while let Some(ending) = self.endings.recv().await {
            if let Some(result) = &ending.result {
                self.record(result, ending.at + self.record_for).await;
            }
            meters::room_ended(ending.reason);
            tracing::info!(
                room = %ending.room,
                match_id = %ending.match_id,
                reason = ending.reason.as_str(),
                "room ended"
            );
            self.host.tell_ended(&ending);
        }
    }

    async fn record(&self, result: &MatchResult, deadline: Instant) {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let attempt = self.results.record(result);
            match timeout_at(Instant::now() + ATTEMPT, attempt).await {
                Ok(Ok(Recorded::New)) => return meters::result("recorded"),
                Ok(Ok(Recorded::AlreadyThere)) => return meters::result("already_there"),
                Ok(Err(error)) => {
                    let error = Chain(&error);
                    tracing::warn!(match_id = %result.match_id, %error, "result not recorded");
                }
                Err(_) => tracing::warn!(match_id = %result.match_id, "recording timed out"),
            }
            let wait = backoff.next();
            if Instant::now() + wait >= deadline {
                meters::result("lost");
                // The whole result, so that an operator can enter it by hand.
                tracing::error!(room = %result.room, ?result, "a result is given up");
                return;
            }
            tokio::time::sleep(wait).await;
        }
    }
}
