//! What a node says again when the store may have lost it: where its rooms are. And what it does
//! when it cannot know whether it was replaced in a store that is gone: its rooms begin new
//! histories for everyone whom another owner may have told something. That is not so for a player
//! who has been attached here all the time, as a player is attached to one node only.

use std::sync::Arc;
use std::time::Duration;

use chassis::backoff::Backoff;
use engine::leases::keeper::LeaseState;
use engine::{EngineError, Placement};
use protocol::id::{Generation, RoomId};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::tenure::Tenure;
use super::writer::Journal;
use crate::host::Host;

/// How often the store is asked whether its primary is the same.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Longest that an answer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Answers of the journal after which it is known that it was not sealed before: one of them may
/// have been under way.
const ANSWERS: u64 = 2;

/// See the module.
pub(crate) struct SayAgain {
    host: Arc<Host>,
    tenure: Arc<Tenure>,
    journal: Arc<Journal>,
    lineage: Option<String>,
    repairs: u64,
    /// Placements are said again once the journal has answered this often.
    due: Option<u64>,
    /// When the lease ended, if it has since the journal was last known to be ours.
    lapsed_at: Option<Instant>,
}

impl SayAgain {
    pub(crate) fn new(host: Arc<Host>, tenure: Arc<Tenure>, journal: Arc<Journal>) -> Self {
        Self {
            host,
            tenure,
            journal,
            lineage: None,
            repairs: 0,
            due: None,
            lapsed_at: None,
        }
    }

    /// Watches until `stop`.
    pub(crate) async fn run(self, lease: watch::Receiver<LeaseState>, stop: CancellationToken) {
        stop.run_until_cancelled(self.watch(lease)).await;
    }

    async fn watch(mut self, mut lease: watch::Receiver<LeaseState>) {
        let mut progress = self.journal.progress();
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                changed = lease.changed() => {
                    if changed.is_err() {
                        return;
                    }
                    if *lease.borrow_and_update() == LeaseState::Lapsed {
                        self.lapsed_at.get_or_insert_with(Instant::now);
                    }
                }
                _ = look.tick() => {
                    let answers = progress.borrow().answers;
                    self.look(answers).await;
                }
                changed = progress.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
            }
            let now = *progress.borrow_and_update();
            if now.sealed {
                return;
            }
            if now.repairs > self.repairs {
                self.repairs = now.repairs;
                if let Some(since) = self.lapsed_at.take() {
                    tracing::warn!(
                        "the store is another one, and this node may have been replaced in the last: who has not been here all the time gets a new history"
                    );
                    self.host.break_histories(since).await;
                }
                self.due = Some(now.answers);
            }
            if self.due.is_some_and(|due| now.answers >= due) {
                self.due = None;
                self.lapsed_at = None;
                self.say().await;
            }
        }
    }

    async fn look(&mut self, answers: u64) {
        let lineage = self.tenure.engine.journals.lineage();
        let Ok(Ok(lineage)) = timeout(ANSWER_WITHIN, lineage).await else {
            return;
        };
        if self
            .lineage
            .replace(lineage.clone())
            .is_some_and(|last| last != lineage)
        {
            tracing::warn!(
                "the store has another primary: this node says again where its rooms are"
            );
            self.due = Some(answers + ANSWERS);
            self.journal.doubt();
        }
    }

    /// Says of every room that it is here; lets go of those that are elsewhere.
    async fn say(&self) {
        for (room, generation) in self.host.owned() {
            self.say_one(room, generation).await;
        }
    }

    async fn say_one(&self, room: RoomId, generation: Generation) {
        let placement = Placement {
            owner: self.journal.who().clone(),
            generation,
        };
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let began = Instant::now();
        // Another change of primary is noticed by the next look: this does not go on for ever.
        while began.elapsed() < ANSWER_WITHIN * 10 {
            match self.tenure.engine.placements.place(room, &placement).await {
                Ok(()) => return,
                Err(EngineError::Fenced { held, .. }) => {
                    tracing::warn!(%room, %held, "a room is another node's");
                    return self.host.give_up(room, None).await;
                }
                Err(_) => tokio::time::sleep(backoff.next()).await,
            }
        }
    }
}
