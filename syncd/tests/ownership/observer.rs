//! A player with its gateway: looks a room up, is bound to its owner, sends inputs until they are
//! durable, and takes events.

use std::time::Duration;

use engine::{Incarnation, Placement};
use protocol::id::RoomId;

use crate::history::History;
use crate::mutation::Mutation;
use crate::store::{Call, Reply};
use crate::wire::{Party, Poll, Update, Wire};

/// Inputs that are on their way at once.
const AHEAD: u64 = 3;

/// Polls without an answer, after which the owner is looked up.
const PATIENCE: u32 = 3;

/// See the module.
#[derive(Debug)]
pub(crate) struct Observer {
    index: usize,
    pub(crate) room: RoomId,
    seat: usize,
    /// Number of the connection; of all that it had or will have, this is the newest.
    connection: u64,
    bound: Option<Incarnation>,
    is_looking: bool,
    /// The newest owner's term that it has seen.
    generation: u64,
    epoch: u64,
    have: u64,
    sent: u64,
    durable: u64,
    /// Epochs that are over.
    left: Vec<u64>,
    silent: u32,
    is_known: bool,
    pub(crate) is_done: bool,
}

impl Observer {
    pub(crate) fn new(index: usize, room: RoomId, seat: usize) -> Self {
        Self {
            index,
            room,
            seat,
            connection: 0,
            bound: None,
            is_looking: false,
            generation: 0,
            epoch: 0,
            have: 0,
            sent: 0,
            durable: 0,
            left: Vec::new(),
            silent: 0,
            is_known: false,
            is_done: false,
        }
    }

    /// Its clock.
    pub(crate) fn look(&mut self, wire: &mut Wire, history: &History) {
        let story = history.stories.get(&self.room);
        self.is_known |= story.is_some_and(|story| story.is_told);
        if !self.is_known || self.is_done {
            return;
        }
        self.silent += 1;
        if self.silent > PATIENCE {
            self.bound = None;
        }
        if self.bound.is_some() {
            if self.sent < self.durable + AHEAD && wire.chance(600) {
                self.sent += 1;
            }
            self.poll(wire);
        } else if !self.is_looking {
            self.is_looking = true;
            wire.ask(Party::Observer(self.index), 0, Call::Find(self.room));
        }
    }

    fn poll(&self, wire: &mut Wire) {
        let Some(owner) = &self.bound else {
            return;
        };
        let node = node_of(owner);
        let poll = Poll {
            observer: self.index,
            room: self.room,
            seat: self.seat,
            connection: self.connection,
            owner: owner.clone(),
            epoch: self.epoch,
            have: self.have,
            inputs: (self.durable, self.sent),
        };
        wire.poll(node, poll);
    }

    /// Where the room is.
    pub(crate) fn found(&mut self, reply: Option<Reply>, wire: &mut Wire, history: &History) {
        self.is_looking = false;
        let Some(Reply::Found(found)) = reply else {
            return;
        };
        match found {
            Some(Placement { owner, generation }) if generation.0 >= self.generation => {
                self.bound = Some(owner);
                self.connection += 1;
                self.silent = 0;
                self.poll(wire);
            }
            Some(_) => {}
            None => {
                let story = history.stories.get(&self.room);
                self.is_done = story.is_some_and(|story| story.result.is_some());
            }
        }
    }

    /// What a node says.
    pub(crate) fn update(
        &mut self,
        update: Update,
        mutation: Option<Mutation>,
        history: &mut History,
    ) {
        if update.connection != self.connection && mutation != Some(Mutation::NoFence) {
            return;
        }
        let Some(body) = update.body else {
            self.bound = None;
            return;
        };
        self.silent = 0;
        if body.generation < self.generation {
            let what = format!(
                "an observer of {} was shown an older owner's state",
                self.room
            );
            history.violate("I4", what);
        }
        self.generation = body.generation;
        if body.epoch != self.epoch {
            if self.left.contains(&body.epoch) {
                let what = format!("an observer of {} was taken back to an epoch", self.room);
                history.violate("I1", what);
            }
            self.left.push(self.epoch);
            self.epoch = body.epoch;
            self.have = 0;
            self.durable = 0;
        }
        if body.first > self.have {
            let what = format!(
                "an observer of {} was not told event {}",
                self.room, self.have
            );
            history.violate("I1", what);
        }
        for (offset, payload) in (body.first..).zip(body.events) {
            history.seen(self.room, body.epoch, offset, payload);
            self.have = self.have.max(offset + 1);
        }
        self.durable = self.durable.max(body.durable);
        self.sent = self.sent.max(self.durable);
        history.durable(self.room, self.seat, body.epoch, body.durable);
        self.is_done |= body.is_over;
    }
}

/// Where an incarnation runs.
pub(crate) fn node_of(who: &Incarnation) -> usize {
    let digits = who.node.as_str().trim_start_matches('n');
    digits.parse().expect("nodes are numbered")
}

/// An observer looks at its room this often.
pub(crate) fn rhythm(wire: &mut Wire) -> Duration {
    wire.millis(600, 800)
}
