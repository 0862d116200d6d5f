//! Matches whose rooms may be gone.
//!
//! A room is doubted if its node is out of reach, or came back without it. With placements, the
//! room is looked up, and the match goes on wherever it is placed: at its dead node too, until
//! another one takes it over. It is lost once it has been placed nowhere for [`UNPLACED`], because
//! a store that was restarted empty is told again within that time. Rooms that nobody doubts are
//! looked up now and then, for nodes do not tell that a room has left them. Without placements
//! rooms stay where they began: what came back without them has lost them, and so has what stays
//! away.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use engine::{Incarnation, Placement};
use protocol::id::{Generation, MatchId, NodeId, RoomId};
use protocol::time::Timestamp;
use tokio::time::timeout;
use tracing::Instrument;

use super::Desk;
use super::matches::Matches;
use crate::nodes::News;
use crate::store::MatchRecord;

/// A room that is placed nowhere for this long is lost.
const UNPLACED: Duration = Duration::from_secs(10);

/// Rooms in doubt are looked up this often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Other rooms are looked up this often.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// Longest that a look-up takes.
const LOOK_DEADLINE: Duration = Duration::from_secs(2);

/// Rooms that are looked up at once. The rest wait for their turn.
const MOST: usize = 1024;

/// A match that runs.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) record: Arc<MatchRecord>,
    /// Where its room is, as far as is known.
    node: NodeId,
    /// Of which process, if that is known.
    generation: Option<Generation>,
    /// Only lists that open later connections to the node count for the room.
    connection: u64,
    /// Placed nowhere, since then.
    unplaced_since: Option<Timestamp>,
    /// When it was looked up last.
    looked_at: Timestamp,
}

/// What is known of a node.
#[derive(Debug, Default)]
pub(super) struct NodeView {
    connection: u64,
    generation: Option<Generation>,
    /// The rooms that were open when the connection began.
    rooms: BTreeSet<RoomId>,
    /// Out of reach since then.
    gone_since: Option<Timestamp>,
}

/// What came of looking rooms up.
#[derive(Debug)]
pub(crate) struct Looked {
    /// Which.
    matches: Vec<MatchId>,
    /// Where each of them is; `None`: the store did not answer.
    placements: Option<Vec<Option<Placement>>>,
}

impl Running {
    pub(super) fn new(
        record: Arc<MatchRecord>,
        connection: u64,
        generation: Option<Generation>,
    ) -> Self {
        Self {
            node: record.node.clone(),
            generation,
            connection,
            unplaced_since: None,
            looked_at: record.began_at,
            record,
        }
    }

    /// The room is placed there.
    fn is_at(&mut self, placement: Placement, view: Option<&NodeView>) {
        let Incarnation { node, generation } = placement.owner;
        let there = view.and_then(|view| view.generation);
        let is_news = self.node != node || self.generation != Some(generation);
        // The list that opened the connection to a process is older than what was placed there
        // since. Of a process that is not there any more, nothing is heard: the doubt stays.
        let connection = view.map_or(0, |view| view.connection);
        match there {
            Some(there) if is_news => {
                self.connection = if there <= generation { connection } else { 0 };
            }
            None if self.node != node => self.connection = connection,
            _ => {}
        }
        (self.node, self.generation) = (node, Some(generation));
    }
}

impl NodeView {
    /// Whether a room that was asked for on `connection` is gone.
    pub(super) fn has_lost(&self, connection: u64, room: RoomId) -> bool {
        connection < self.connection && !self.rooms.contains(&room)
    }
}

impl Matches {
    /// Whether the match's node can be asked, and does not say that it has the room.
    fn is_missing(&self, running: &Running) -> bool {
        let view = self.nodes.get(&running.node);
        view.is_some_and(|view| {
            view.gone_since.is_none() && view.has_lost(running.connection, running.record.room)
        })
    }

    /// Since when the match's node is out of reach.
    fn gone_since(&self, running: &Running) -> Option<Timestamp> {
        match self.nodes.get(&running.node) {
            Some(view) => view.gone_since,
            None => Some(running.record.began_at),
        }
    }

    /// Matches on `node` that the list which opened its connection shows to be gone.
    fn missing_on(&self, node: &NodeId) -> Vec<MatchId> {
        self.running
            .iter()
            .filter(|(_, running)| running.node == *node && self.is_missing(running))
            .map(|(match_id, _)| *match_id)
            .collect()
    }

    /// Matches whose rooms are to be looked up.
    fn doubted(&self, now: Timestamp) -> Vec<MatchId> {
        let is_doubted = |running: &Running| {
            running.unplaced_since.is_some()
                || self.is_missing(running)
                || self.gone_since(running).is_some()
        };
        self.running
            .iter()
            .filter(|(_, running)| {
                let since = now.since(running.looked_at);
                since >= CHECK_EVERY || (since >= LOOK_EVERY && is_doubted(running))
            })
            .map(|(match_id, _)| *match_id)
            .take(MOST)
            .collect()
    }
}

impl Desk {
    /// News of a syncd node.
    pub(super) async fn heard(&mut self, news: News) {
        let now = self.clock.now();
        match news {
            News::Open {
                node,
                generation,
                connection,
                rooms,
                ended,
            } => {
                // First, so that a match whose end nobody told does not count as lost.
                self.rooms_ended(&ended).await;
                let view = NodeView {
                    connection,
                    generation,
                    rooms,
                    gone_since: None,
                };
                self.matches.nodes.insert(node.clone(), view);
                if self.parts.placements.is_none() {
                    let lost = self.matches.missing_on(&node);
                    self.lose(&lost).await;
                }
            }
            News::Gone { node } => {
                let view = self.matches.nodes.entry(node).or_default();
                view.gone_since.get_or_insert(now);
            }
            News::Ended(ended) => self.room_ended(&ended),
        }
    }

    /// The process that runs on a node, if it is known.
    pub(super) fn generation_of(&self, node: &NodeId) -> Option<Generation> {
        self.matches.nodes.get(node)?.generation
    }

    /// A match that began elsewhere, or before this matcher did. Of which connection its room is,
    /// nobody knows: with placements it is looked up if the node does not name it, without them
    /// nothing follows from the list that there is.
    pub(super) fn discover(&mut self, record: &Arc<MatchRecord>, now: Timestamp) -> Running {
        let is_placed = self.parts.placements.is_some();
        let view = self.matches.nodes.entry(record.node.clone());
        let view = view.or_insert_with(|| NodeView {
            gone_since: Some(now),
            ..NodeView::default()
        });
        let connection = if is_placed { 0 } else { view.connection };
        Running::new(Arc::clone(record), connection, None)
    }

    /// Deals with rooms that are in doubt.
    pub(super) async fn look_for_lost(&mut self, now: Timestamp) {
        let Some(placements) = self.parts.placements.clone() else {
            return self.give_up_nodes(now).await;
        };
        if self.looking {
            return;
        }
        let matches = self.matches.doubted(now);
        let rooms: Vec<RoomId> = matches
            .iter()
            .filter_map(|match_id| self.matches.running.get(match_id))
            .map(|running| running.record.room)
            .collect();
        if rooms.is_empty() {
            return;
        }
        self.looking = true;
        let looked = self.looked.clone();
        let look = async move {
            let found = timeout(LOOK_DEADLINE, placements.find(&rooms)).await;
            let placements = match found {
                Ok(Ok(placements)) => Some(placements),
                Ok(Err(error)) => {
                    let error = chassis::telemetry::Chain(&error);
                    tracing::debug!(error = %error, "rooms cannot be looked up");
                    None
                }
                Err(_) => None,
            };
            // An error means that the desk has ended.
            let _ = looked
                .send(Looked {
                    matches,
                    placements,
                })
                .await;
        };
        let span = tracing::info_span!("placements");
        self.parts.drain.spawn("placements", look.instrument(span));
    }

    /// Rooms were looked up.
    pub(super) async fn looked_up(&mut self, looked: Looked) {
        self.looking = false;
        let now = self.clock.now();
        let Some(placements) = looked.placements else {
            // A store that was away may come back empty: what it did not know before says nothing.
            for match_id in looked.matches {
                if let Some(running) = self.matches.running.get_mut(&match_id) {
                    (running.looked_at, running.unplaced_since) = (now, None);
                }
            }
            return;
        };
        let mut lost = Vec::new();
        for (match_id, placement) in looked.matches.into_iter().zip(placements) {
            if self.is_lost(match_id, placement, now) {
                lost.push(match_id);
            }
        }
        self.lose(&lost).await;
    }

    fn is_lost(&mut self, match_id: MatchId, placement: Option<Placement>, now: Timestamp) -> bool {
        let Matches { running, nodes, .. } = &mut self.matches;
        let Some(running) = running.get_mut(&match_id) else {
            return false;
        };
        running.looked_at = now;
        let Some(placement) = placement else {
            let since = *running.unplaced_since.get_or_insert(now);
            return now.since(since) >= UNPLACED;
        };
        running.unplaced_since = None;
        let view = nodes.get(&placement.owner.node);
        running.is_at(placement, view);
        false
    }

    /// Without placements: a node that has been out of reach for too long has lost its matches.
    async fn give_up_nodes(&mut self, now: Timestamp) {
        let lost_after = self.config.placing.lost_after;
        let given_up = |view: &NodeView| {
            view.gone_since
                .is_some_and(|since| now.since(since) >= lost_after)
        };
        let nodes = &self.matches.nodes;
        if !nodes.values().any(given_up) {
            return;
        }
        let lost: Vec<MatchId> = self
            .matches
            .running
            .iter()
            .filter(|(_, running)| nodes.get(&running.node).is_some_and(given_up))
            .map(|(match_id, _)| *match_id)
            .collect();
        self.lose(&lost).await;
    }
}
