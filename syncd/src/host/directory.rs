//! Which rooms there are at a node, and which there have been.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use protocol::id::{Generation, RoomId};
use rpc::pb;
use tokio::time::Instant;

use super::WorkerIndex;

/// Ended rooms that are remembered, so that a repeated request does not play a match again.
const REMEMBERED: usize = 8_192;

/// Ends that are told anew to who watches anew, and for how long: a matcher whose watch broke
/// around the end of a match must not take it for lost. Over it the oldest are left out.
const RECENT: (usize, Duration) = (1_024, Duration::from_secs(300));

/// See the module.
#[derive(Debug)]
pub(super) struct Directory {
    pub(super) rooms: BTreeMap<RoomId, Place>,
    pub(super) rooms_on: Vec<usize>,
    pub(super) ended: BTreeSet<RoomId>,
    pub(super) ended_order: VecDeque<RoomId>,
    /// Rooms that are gone, but whose result is still being recorded: at most as many as the
    /// recorder and the way to it hold. With the term in which they are ours, if they still are.
    pub(super) untold: BTreeMap<RoomId, Option<Generation>>,
    /// Ends that have been told, the oldest first; at most [`RECENT`].
    pub(super) recent: VecDeque<(Instant, pb::RoomEnded)>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) worker: WorkerIndex,
    /// The term of this owner of the room.
    pub(super) generation: Generation,
    /// Its end has been told; it lingers.
    pub(super) over: bool,
    /// It is being given to another node, which may have it by now.
    pub(super) offered: bool,
}

impl Directory {
    /// No rooms on so many workers.
    pub(super) fn new(workers: usize) -> Self {
        Self {
            rooms: BTreeMap::new(),
            rooms_on: vec![0; workers],
            ended: BTreeSet::new(),
            ended_order: VecDeque::new(),
            untold: BTreeMap::new(),
            recent: VecDeque::new(),
        }
    }

    /// Gives the room's term if it has gone already.
    pub(super) fn told(&mut self, room: RoomId, ended: pb::RoomEnded) -> Option<Generation> {
        if let Some(place) = self.rooms.get_mut(&room) {
            place.over = true;
        }
        let gone = self.untold.remove(&room).flatten();
        let now = Instant::now();
        self.forget_old(now);
        if self.recent.len() == RECENT.0 {
            self.recent.pop_front();
        }
        self.recent.push_back((now, ended));
        gone
    }

    pub(super) fn forget_old(&mut self, now: Instant) {
        let is_old = |at: &Instant| now.duration_since(*at) >= RECENT.1;
        while self.recent.front().is_some_and(|(at, _)| is_old(at)) {
            self.recent.pop_front();
        }
    }

    pub(super) fn remember(&mut self, room: RoomId) {
        if self.ended.insert(room) {
            self.ended_order.push_back(room);
        }
        if self.ended_order.len() > REMEMBERED
            && let Some(oldest) = self.ended_order.pop_front()
        {
            self.ended.remove(&oldest);
        }
    }
}
