//! Rooms of a node whose lease has ended while its link is up. It may be well, and its store have
//! lost the lease; or it is cut off from the store alone, and others have taken its rooms without
//! its knowing. The placements tell: whoever is attached to a room that has another owner by now
//! goes there, as if the node had said so itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use chassis::telemetry::Chain;
use engine::{Incarnation, Placements};
use protocol::id::RoomId;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

/// How often the placements are asked: an owner's rooms move one after the other.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// Longest that one answer may take.
const ASK: Duration = Duration::from_millis(500);

/// Rooms in one question.
const ASK_ROOMS: usize = 1_000;

/// Where it is written who has a room; nowhere, if rooms stay where they are.
#[derive(Clone, Default)]
pub(super) struct Whereabouts(pub(super) Option<Arc<dyn Placements>>);

/// The doubts of one link.
#[derive(Debug)]
pub(super) struct Doubt {
    whereabouts: Whereabouts,
    /// The node has no lease.
    is_doubted: watch::Receiver<bool>,
    ask_at: Instant,
    question: Option<Question>,
}

/// What is to be done about a doubt.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Say by [`Doubt::ask`] which rooms there are.
    Ask,
    /// These rooms are placed on others.
    Displaced(BTreeMap<RoomId, Incarnation>),
}

struct Question(Pin<Box<dyn Future<Output = BTreeMap<RoomId, Incarnation>> + Send>>);

impl Doubt {
    pub(super) fn new(whereabouts: Whereabouts, is_doubted: watch::Receiver<bool>) -> Self {
        Self {
            whereabouts,
            is_doubted,
            ask_at: Instant::now(),
            question: None,
        }
    }

    /// What comes next; for ever nothing while the node has its lease. Cancel safe.
    pub(super) async fn step(&mut self) -> Step {
        if let Some(Question(asking)) = &mut self.question {
            let displaced = asking.await;
            self.question = None;
            return Step::Displaced(displaced);
        }
        let doubted = self.is_doubted.wait_for(|is_doubted| *is_doubted);
        let is_over = doubted.await.is_err();
        if is_over || self.whereabouts.0.is_none() {
            std::future::pending::<()>().await;
        }
        sleep_until(self.ask_at).await;
        self.ask_at = Instant::now() + ASK_EVERY;
        Step::Ask
    }

    /// Asks which of `rooms` others have than `owner`.
    pub(super) fn ask(&mut self, owner: Incarnation, rooms: BTreeSet<RoomId>) {
        let Some(placements) = self.whereabouts.0.clone().filter(|_| !rooms.is_empty()) else {
            return;
        };
        let rooms: Vec<RoomId> = rooms.into_iter().collect();
        let asking = async move { displaced(&*placements, &owner, &rooms).await };
        self.question = Some(Question(Box::pin(asking)));
    }
}

/// The rooms that others have, as far as there is an answer. One without a placement may be lost by
/// the store: nobody else has it.
async fn displaced(
    placements: &dyn Placements,
    owner: &Incarnation,
    rooms: &[RoomId],
) -> BTreeMap<RoomId, Incarnation> {
    let mut displaced = BTreeMap::new();
    for rooms in rooms.chunks(ASK_ROOMS) {
        match timeout(ASK, placements.find(rooms)).await {
            Ok(Ok(found)) => {
                let owners = found.into_iter().map(|found| Some(found?.owner));
                let owners = rooms.iter().zip(owners);
                let others = owners.filter_map(|(room, found)| Some((*room, found?)));
                displaced.extend(others.filter(|(_, found)| found != owner));
            }
            Ok(Err(error)) => {
                tracing::debug!(error = %Chain(&error), "rooms cannot be looked up");
                break;
            }
            Err(_) => break,
        }
    }
    displaced
}

impl fmt::Debug for Whereabouts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Whereabouts(known: {})", self.0.is_some())
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Question")
    }
}
