//! This node's incarnation, and what is said of its rooms in the store.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chassis::backoff::Backoff;
use chassis::telemetry::Chain;
use engine::{Engine, EngineError, Incarnation, Placement};
use protocol::id::{Generation, NodeId, RoomId};
use tokio::sync::mpsc;

use super::entry::Stored;
use super::writer::{Journal, NotWritten};

/// Shortest and longest wait between two attempts to say something to the store.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// How long the store may take to hear of a room before it is given up.
const REGISTER_WITHIN: Duration = Duration::from_secs(1);

/// See the module.
pub(crate) struct Tenure {
    pub(crate) engine: Engine,
    pub(crate) simulation: String,
    node: NodeId,
    journal: ArcSwap<Journal>,
    journal_limit: usize,
    over: mpsc::Sender<Over>,
}

/// A room that is over, with the term in which it was ours.
#[derive(Debug)]
pub(crate) struct Over {
    room: RoomId,
    generation: Generation,
    owner: Incarnation,
}

/// Why a room is not this node's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotOurs {
    #[error("it could not be written down")]
    Journal(#[from] NotWritten),
    #[error("its place could not be said")]
    Place(#[source] EngineError),
    #[error("the store did not answer in time")]
    Deadline,
    #[error("another node has it")]
    Taken,
    #[error("it is on the move here already")]
    Moves,
}

impl Tenure {
    /// The first term of `node`. Rooms that are over are said to be so by [`say_over`].
    pub(crate) fn new(
        engine: Engine,
        node: NodeId,
        simulation: String,
        journal_limit: usize,
        capacity: usize,
    ) -> (Arc<Self>, mpsc::Receiver<Over>) {
        let (over, overs) = mpsc::channel(capacity.max(1));
        let generation = Generation(chassis::clock::unix_ms());
        let journal = Journal::new(incarnation(&node, generation), journal_limit);
        let tenure = Self {
            engine,
            simulation,
            node,
            journal: ArcSwap::new(journal),
            journal_limit,
            over,
        };
        (Arc::new(tenure), overs)
    }

    /// The journal of the present incarnation.
    pub(crate) fn journal(&self) -> Arc<Journal> {
        self.journal.load_full()
    }

    /// The next incarnation: fenced off from all before it, with a journal of its own.
    pub(crate) fn renew(&self) -> Arc<Journal> {
        let last = self.journal.load().who().generation;
        let generation = Generation(chassis::clock::unix_ms().max(last.0 + 1));
        let journal = Journal::new(incarnation(&self.node, generation), self.journal_limit);
        self.journal.store(journal.clone());
        journal
    }

    /// Writes a room down that has not begun here, within the time that the store is given.
    pub(crate) async fn prepare(
        &self,
        journal: &Journal,
        room: RoomId,
        state: Vec<u8>,
    ) -> Result<(), NotWritten> {
        write(journal, room, state);
        let written = journal.written(room, REGISTER_WITHIN).await;
        if written.is_err() {
            journal.forget(room);
        }
        written
    }

    /// Makes sure that a room that was written down here is so still, in a journal that is known to
    /// be ours.
    pub(crate) async fn secure(
        &self,
        journal: &Journal,
        room: RoomId,
        state: &[u8],
    ) -> Result<(), NotWritten> {
        if journal.is_secure(room) {
            return Ok(());
        }
        // Written anew, it shows whether the journal is ours.
        write(journal, room, state.to_vec());
        journal.secured(room, REGISTER_WITHIN).await
    }

    /// Makes a new room this node's, in writing. Gives the incarnation whose it is.
    pub(crate) async fn register(
        &self,
        room: RoomId,
        state: Vec<u8>,
    ) -> Result<Incarnation, NotOurs> {
        let journal = self.journal();
        self.prepare(&journal, room, state).await?;
        let placement = Placement {
            owner: journal.who().clone(),
            generation: Generation(1),
        };
        let placing = self.engine.placements.place(room, &placement);
        let placed = match tokio::time::timeout(REGISTER_WITHIN, placing).await {
            Ok(placed) => placed.map_err(NotOurs::Place),
            Err(_) => Err(NotOurs::Deadline),
        };
        if let Err(error) = placed {
            // It may be placed all the same: then it is so on a node that does not have it, which
            // is what a room that is over looks like, too.
            self.over(room, Generation(1), placement.owner);
            return Err(error);
        }
        Ok(placement.owner)
    }

    /// Takes a room over that was written down here before, from exactly `from`. Gives its
    /// placement.
    pub(crate) async fn claim(
        &self,
        journal: &Journal,
        room: RoomId,
        from: &Placement,
    ) -> Result<Placement, NotOurs> {
        let to = Placement {
            owner: journal.who().clone(),
            generation: Generation(from.generation.0 + 1),
        };
        let claiming = self.engine.placements.claim(room, from, &to);
        match tokio::time::timeout(REGISTER_WITHIN, claiming).await {
            Ok(Ok(true)) => Ok(to),
            Ok(Ok(false)) => Err(NotOurs::Taken),
            Ok(Err(error)) => Err(NotOurs::Place(error)),
            Err(_) => Err(NotOurs::Deadline),
        }
    }

    /// The room is over: nobody has to go on with it.
    pub(crate) fn over(&self, room: RoomId, generation: Generation, owner: Incarnation) {
        let over = Over {
            room,
            generation,
            owner,
        };
        // As many fit as there are rooms. One that does not costs some bytes in the store.
        if self.over.try_send(over).is_err() {
            tracing::warn!(%room, "the store is not told that a room is over: too many wait for it");
        }
    }
}

/// Says which rooms are over, each until the store has heard it.
pub(crate) async fn say_over(tenure: Arc<Tenure>, mut overs: mpsc::Receiver<Over>) {
    while let Some(over) = overs.recv().await {
        let mut backoff = Backoff::new(RETRY.0, RETRY.1);
        loop {
            let placements = &tenure.engine.placements;
            match placements.remove(over.room, over.generation).await {
                Ok(()) | Err(EngineError::Fenced { .. }) => break,
                Err(error) => {
                    tracing::debug!(room = %over.room, error = %Chain(&error), "a room's end is not said yet");
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
        // Only now: a room that is placed and written down nowhere would be looked for in vain.
        let journal = tenure.journal();
        if *journal.who() == over.owner {
            journal.forget(over.room);
        }
    }
}

/// Puts a room that has not begun here into the journal.
pub(super) fn write(journal: &Journal, room: RoomId, state: Vec<u8>) {
    journal.checkpoint(room, |at| {
        let stored = Stored {
            at,
            worker: None,
            room: state.into(),
        };
        stored.encode()
    });
}

fn incarnation(node: &NodeId, generation: Generation) -> Incarnation {
    Incarnation {
        node: node.clone(),
        generation,
    }
}
