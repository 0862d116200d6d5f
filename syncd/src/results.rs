//! What becomes of a room that ended: its result is recorded once, then the matchers are told.
//!
//! Recording is idempotent by match, so that it is repeated until it is done, for as long as the
//! process lives. Results are tried side by side: one that the store does not take is in nobody's
//! way. Until its result is recorded a room keeps its place in the store and its last checkpoint
//! in the journal; if the node goes before that, whoever takes the room over records it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use engine::{EngineError, MatchResult, Results};
use protocol::id::{MatchId, RoomId};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::faults;
use crate::host::Host;
use crate::meters::{self, WaitingResults};
use crate::room::EndReason;

/// Longest that one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Shortest and longest wait between two attempts.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// How often it is shown for how long results have waited.
const SHOWN_EVERY: Duration = Duration::from_secs(1);

/// A node that stops tries for so long what is not recorded by then.
const LAST_TRY: Duration = Duration::from_secs(1);

/// A room that ended.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) room: RoomId,
    pub(crate) match_id: MatchId,
    pub(crate) reason: EndReason,
    /// None unless the game was finished.
    pub(crate) result: Option<MatchResult>,
}

/// Records results until every sender is gone and all are recorded, or for a moment after `stop`.
pub(crate) struct Recorder {
    pub(crate) host: Arc<Host>,
    pub(crate) results: Arc<dyn Results>,
    /// Most results that wait for the store here. Over it ended rooms keep their places, so that
    /// the node takes fewer new ones.
    pub(crate) waiting: usize,
    pub(crate) endings: mpsc::Receiver<Ending>,
    pub(crate) stop: CancellationToken,
}

impl Recorder {
    pub(crate) async fn run(mut self) {
        let slots = Arc::new(Semaphore::new(self.results.at_once()));
        let is_troubled = Arc::new(AtomicBool::new(false));
        let give_up = CancellationToken::new();
        let mut work: JoinSet<(Ending, bool)> = JoinSet::new();
        let stopped = {
            let stop = self.stop.clone();
            async move {
                stop.cancelled().await;
                tokio::time::sleep(LAST_TRY).await;
            }
        };
        tokio::pin!(stopped);
        let mut is_open = true;
        let mut waiting = WaitingResults::new();
        let mut look = interval(SHOWN_EVERY);
        while is_open || !work.is_empty() {
            tokio::select! {
                ending = self.endings.recv(), if is_open && work.len() < self.waiting => match ending {
                    Some(ending) => {
                        if ending.result.is_some() {
                            waiting.came(ending.room);
                        }
                        let (results, slots) = (self.results.clone(), slots.clone());
                        let (give_up, is_troubled) = (give_up.clone(), is_troubled.clone());
                        work.spawn(async move {
                            let recording = record(&*results, &slots, &is_troubled, &ending);
                            let done = give_up.run_until_cancelled(recording).await.is_some();
                            (ending, done)
                        });
                    }
                    None => is_open = false,
                },
                Some(done) = work.join_next() => match done {
                    Ok((ending, is_done)) => {
                        waiting.went(ending.room);
                        match is_done {
                            true => self.tell(&ending),
                            false => self.leave(&ending),
                        }
                    }
                    Err(error) => match error.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => return, // the runtime is going down
                    },
                },
                _ = look.tick() => waiting.show(),
                () = &mut stopped, if !give_up.is_cancelled() => give_up.cancel(),
            }
        }
    }

    fn tell(&self, ending: &Ending) {
        meters::room_ended(ending.reason);
        tracing::info!(
            room = %ending.room,
            match_id = %ending.match_id,
            reason = ending.reason.as_str(),
            "room ended"
        );
        faults::BEFORE_END.pass();
        self.host.tell_ended(ending);
        faults::AFTER_END.pass();
    }

    /// The process ends, and the store did not take the result.
    fn leave(&self, ending: &Ending) {
        if self.host.tenure().is_some() {
            meters::result("left");
            tracing::warn!(
                room = %ending.room,
                match_id = %ending.match_id,
                "a result is not recorded; whoever takes the room over records it"
            );
        } else {
            give_up(ending);
        }
    }
}

/// Comes back when the result is recorded, or never can be. `is_troubled`: that the store takes
/// nothing has been told, for all of them.
async fn record(
    results: &dyn Results,
    slots: &Semaphore,
    is_troubled: &AtomicBool,
    ending: &Ending,
) {
    let Some(result) = &ending.result else {
        return;
    };
    let match_id = result.match_id;
    let mut backoff = Backoff::new(RETRY.0, RETRY.1);
    loop {
        // Held for one attempt: those that fail leave the way to the others.
        let slot = slots.acquire().await;
        faults::BEFORE_RECORD.pass();
        let answer = timeout(ATTEMPT, results.record(result)).await;
        faults::AFTER_RECORD.pass();
        drop(slot);
        let error = match answer {
            Ok(Ok(recorded)) => {
                if is_troubled.swap(false, Ordering::Relaxed) {
                    tracing::info!("results are recorded again");
                }
                return meters::result(recorded.as_str());
            }
            // Repeating would not help.
            Ok(Err(error @ EngineError::TooLarge { .. })) => {
                tracing::error!(%match_id, error = %Chain(&error), "a result cannot be recorded");
                return give_up(ending);
            }
            Ok(Err(error)) => Chain(&error).to_string(),
            Err(_) => format!("no answer within {ATTEMPT:?}"),
        };
        if is_troubled.swap(true, Ordering::Relaxed) {
            tracing::debug!(%match_id, error, "another result is not recorded yet");
        } else {
            tracing::warn!(%match_id, error, "result not recorded yet; it is tried again");
        }
        tokio::time::sleep(backoff.next()).await;
    }
}

/// The whole result goes to the log, so that an operator can enter it by hand.
fn give_up(ending: &Ending) {
    meters::result("lost");
    if let Some(result) = &ending.result {
        tracing::error!(room = %result.room, ?result, "a result is given up");
    }
}
