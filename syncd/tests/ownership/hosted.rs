//! A room on a node.

use engine::{Incarnation, Placement, Seq};
use protocol::id::{Generation, RoomId};
use protocol::time::Timestamp;

use crate::store::ServerIndex;
use crate::toy::{Command, SEATS, Toy};
use crate::wire::Report;

/// How far a room is on its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Stage {
    /// New: its first checkpoint is being written.
    Writing,
    /// New: it is being placed; `true` while the store is asked.
    Placing(bool),
    /// It steps.
    Runs,
    /// It steps once more, then goes to that node.
    Stopping(usize),
    /// It stands still after the entry.
    Frozen(Seq, usize),
    /// It was offered to another node, which has until then to answer.
    Offered(Timestamp),
    /// The giver takes it back, by the store; `true` while that is asked.
    TakingBack(bool),
    /// It is not where the giver left it. Looked up, `true` while the store is asked, once the
    /// node has seen the store so often.
    Missing(bool, u64),
    /// It is over and its result is on its way, sent last at that time.
    Reporting(Timestamp),
    /// Its placement is being removed.
    Removing(bool),
}

/// A room of a node that may have been taken for dead, in a store that does not know any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// Its placement is looked up then.
    pub(crate) at: Timestamp,
    pub(crate) is_asked: bool,
    /// Nobody else has said in time that it is theirs.
    pub(crate) is_settled: bool,
}

/// What of a room has been let go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Released {
    pub(crate) events: usize,
    pub(crate) cursors: [u64; SEATS],
    pub(crate) is_over: bool,
    /// The entry that this was written down by.
    pub(crate) at: Seq,
}

/// A connection of an observer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) observer: usize,
    pub(crate) number: u64,
    /// Events that were sent by it, or that the observer had.
    pub(crate) sent: usize,
}

/// A room on a node.
#[derive(Debug)]
pub(crate) struct Hosted {
    pub(crate) toy: Toy,
    pub(crate) generation: u64,
    pub(crate) worker: usize,
    pub(crate) stage: Stage,
    pub(crate) connections: [Option<Connection>; SEATS],
    pub(crate) commands: Vec<Command>,
    /// The last input taken of each seat, of those in `commands` too.
    pub(crate) taken: [u64; SEATS],
    pub(crate) released: Released,
    /// Its placement has to be said again; `Some(true)` while the store is asked.
    pub(crate) replace: Option<bool>,
    /// Where its placement was said last.
    pub(crate) said: Option<ServerIndex>,
    /// When what last placed it was sent.
    pub(crate) said_at: Timestamp,
    /// Somebody else may run it.
    pub(crate) doubt: Option<Doubt>,
    /// It has an epoch that is not written down.
    pub(crate) is_renewing: bool,
    /// The node that it was offered to does not have it.
    pub(crate) is_refused: bool,
}

impl Hosted {
    pub(crate) fn new(toy: Toy, generation: u64, worker: usize, stage: Stage) -> Self {
        Self {
            generation,
            worker,
            stage,
            connections: [None; SEATS],
            commands: Vec::new(),
            taken: toy.cursors,
            released: Released {
                events: toy.events.len(),
                cursors: toy.cursors,
                is_over: false,
                at: Seq(0),
            },
            replace: None,
            said: None,
            said_at: Timestamp(0),
            doubt: None,
            is_renewing: false,
            is_refused: false,
            toy,
        }
    }

    pub(crate) fn placement(&self, owner: &Incarnation) -> Placement {
        Placement {
            owner: owner.clone(),
            generation: Generation(self.generation),
        }
    }

    /// Its end, to be recorded.
    pub(crate) fn report(&self, node: usize, life: u64) -> Report {
        Report {
            node,
            life,
            room: self.toy.id,
            hash: self.toy.hash,
            epoch: self.toy.epoch,
            cursors: self.toy.cursors,
            is_torn: self.toy.is_torn,
        }
    }

    /// Whether it takes a step at the next tick.
    pub(crate) fn steps(&self) -> bool {
        matches!(
            self.stage,
            Stage::Runs | Stage::Stopping(_) | Stage::Reporting(_) | Stage::Removing(_)
        )
    }

    /// Somebody else may run it, and says so until `at`.
    pub(crate) fn doubt_until(&mut self, at: Timestamp) {
        self.replace = None;
        self.doubt = Some(Doubt {
            at,
            is_asked: false,
            is_settled: false,
        });
    }

    /// Whether nothing may be let go of.
    pub(crate) fn is_held(&self) -> bool {
        self.doubt.is_some_and(|doubt| !doubt.is_settled)
    }

    /// Whether its placement may be said: not of one that was offered to another node, which may
    /// have it by now.
    pub(crate) fn is_sure(&self) -> bool {
        let is_offered = matches!(
            self.stage,
            Stage::Offered(_) | Stage::TakingBack(_) | Stage::Missing(..)
        );
        let is_settled = self.doubt.is_some_and(|doubt| doubt.is_settled);
        self.is_placed() && !self.is_held() && (!is_offered || self.is_refused || is_settled)
    }

    /// Whether players may know it.
    pub(crate) fn is_placed(&self) -> bool {
        !matches!(self.stage, Stage::Writing | Stage::Placing(_))
    }
}

/// What a tick of a room did, to be let go when its entry is confirmed.
#[derive(Debug)]
pub(crate) struct Effect {
    pub(crate) room: RoomId,
    pub(crate) epoch: u64,
    pub(crate) tick: u64,
    pub(crate) before: u64,
    pub(crate) after: u64,
    pub(crate) events: usize,
    pub(crate) cursors: [u64; SEATS],
    pub(crate) is_over: bool,
}

/// A room that is to become ours.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) toy: Toy,
    pub(crate) origin: Origin,
}

/// How a room comes.
#[derive(Debug)]
pub(crate) enum Origin {
    /// From a dead node; `true`: it is written and the claims know.
    Dead(Incarnation, bool),
    /// Handed over; `true` while the store is asked.
    Given {
        from: Placement,
        giver: usize,
        asked: bool,
    },
}
