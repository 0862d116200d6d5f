//! Which losses are allowed, and which are not.
//!
//! What a node has let go of rests on its journal. As long as the store keeps what it confirmed,
//! nothing is lost, whatever happens to the nodes. When the store loses writes, their owner says
//! them again: so they are lost for good only if it cannot, because it was gone already, or is
//! gone before it has. That, and nothing else, is allowed here:
//!
//! - *gone before*: the store lost a room's last checkpoint, entries or placement while no process
//!   ran the room;
//! - *gone since*: the process that ran it died, or was taken for dead after it had stood still
//!   or had been cut off for a lease, before it had written everything again. That may be a node
//!   that a room was just being handed to, too: the giver cannot know, and lets go of the room.

use std::time::Duration;

use engine::{Incarnation, Placement, Seq};
use protocol::id::RoomId;

use crate::hosted::Hosted;
use crate::node::Host;
use crate::store::State;
use crate::toy;
use crate::world::World;

/// A node that is not disturbed has said everything again within this time.
const SAY_AGAIN: Duration = Duration::from_secs(3);

/// Why a room may be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Nobody ran it when the store lost what it had of it.
    GoneBefore,
    /// Who ran it was gone before it had said it again.
    GoneSince,
}

impl World {
    /// A process dies, or its journal is sealed: what it has let go of has to be in the store, or
    /// the store has lost it and the process cannot have said it again.
    pub(crate) fn check_left(&mut self, host: &Host, may_be_lost: bool) {
        let state = self.store.state();
        let journal = state.journals.get(&host.me);
        if journal.is_some_and(|journal| journal.sealed.is_some()) {
            return; // looked at when it was sealed
        }
        let primary = Some(self.store.primary());
        let may_be_lost = may_be_lost && self.is_fresh(host);
        // Rooms that are being made may be told of yet, by who does not know that it is sealed.
        let made = host.rooms.iter().filter(|(_, hosted)| !hosted.is_placed());
        // And so are rooms that were handed to it, which it does not know yet.
        let is_ours = |room: &RoomId| {
            let held = state.placements.get(room);
            held.is_some_and(|held| held.owner == host.me)
        };
        let taken = host.preparing.keys().filter(|room| is_ours(room));
        let is_unwritten = |room: &RoomId| !is_whole(state, &host.me, *room, Seq(0));
        let made = made.map(|(room, _)| room).chain(taken).copied();
        let made = made.filter(is_unwritten);
        let unmade: Vec<RoomId> = match may_be_lost && host.proved != primary {
            true => made.collect(),
            false => Vec::new(),
        };
        let mut lacking = Vec::new();
        for (room, hosted) in host.rooms.iter().filter(|(_, hosted)| hosted.is_placed()) {
            let held = state.placements.get(room);
            let is_ours = held.is_some_and(|held| held.owner == host.me);
            let is_elsewhere = held.is_some_and(|held| held.generation.0 > hosted.generation);
            if is_elsewhere || self.is_recorded(*room) {
                continue;
            }
            if !is_whole(state, &host.me, *room, hosted.released.at) {
                lacking.push((*room, may_be_lost && host.proved != primary));
            } else if !is_ours {
                let is_fresh = may_be_lost && hosted.said != primary;
                lacking.push((*room, is_fresh || hosted.is_held()));
            }
        }
        for room in unmade {
            let story = self.history.story(room);
            story.lost.get_or_insert(Loss::GoneSince);
        }
        for (room, may_be_lost) in lacking {
            self.lose(room, Loss::GoneSince, may_be_lost, &host.me);
        }
    }

    /// Whether the store has lost something and `host` has not had the time to say it again.
    fn is_fresh(&self, host: &Host) -> bool {
        let Some(lost_at) = self.lost_at else {
            return false;
        };
        let troubled = self.nodes[host.index].troubled.max(self.troubled);
        self.wire.now < lost_at.max(troubled) + SAY_AGAIN
    }

    fn is_recorded(&self, room: RoomId) -> bool {
        let story = self.history.stories.get(&room);
        story.is_none_or(|story| story.result.is_some() || !story.is_told)
    }

    fn lose(&mut self, room: RoomId, why: Loss, may_be_lost: bool, who: &Incarnation) {
        self.wire
            .trace(|| format!("{room} of {who} is not whole in the store"));
        if may_be_lost {
            self.history.story(room).lost.get_or_insert(why);
        } else {
            let what = format!("{who} left, and the store does not have all of {room}");
            self.history.violate("I5", what);
        }
    }

    /// A room is handed to a node that does not know yet that it was sealed: its giver lets go of
    /// it. What was written of it is there for the next one, unless the store has lost that.
    pub(crate) fn check_handed(&mut self, room: RoomId, from: &Placement, to: &Placement) {
        let state = self.store.state();
        let journal = state.journals.get(&to.owner);
        let is_sealed = journal.is_some_and(|journal| journal.sealed.is_some());
        let is_taken = state.placements.get(&room) == Some(from);
        let is_there = is_whole(state, &to.owner, room, Seq(0));
        if is_sealed && is_taken && !is_there && from.owner != to.owner && self.lost_at.is_some() {
            self.wire
                .trace(|| format!("{room} is handed to {}, which is sealed", to.owner));
            let story = self.history.story(room);
            story.lost.get_or_insert(Loss::GoneSince);
        }
    }

    /// The store has lost something, between `before` and now.
    pub(crate) fn check_lost(&mut self) {
        self.history.counts.losses_of_store += 1;
        self.lost_at = Some(self.wire.now);
        let state = self.store.state();
        let told = self.history.stories.iter();
        let open = told.filter(|(_, story)| story.is_told && story.result.is_none());
        let mut gone = Vec::new();
        for (room, _) in open {
            let runs = |host: &Host| host.rooms.get(room).is_some_and(Hosted::is_placed);
            let owner = self.nodes.iter().filter_map(|node| node.host.as_ref());
            let is_run = owner
                .clone()
                .any(|host| runs(host) && !self.was_sealed(&host.me));
            let placed = state.placements.get(room);
            let is_there =
                placed.is_some_and(|placed| is_whole(state, &placed.owner, *room, Seq(0)));
            if !is_run && !is_there {
                gone.push(*room);
            }
        }
        for room in gone {
            self.wire.trace(|| format!("{room} is lost: nobody ran it"));
            self.history
                .story(room)
                .lost
                .get_or_insert(Loss::GoneBefore);
        }
    }
}

/// Whether `owner`'s journal has `room` and all entries after its checkpoint, up to `upto`.
fn is_whole(state: &State, owner: &Incarnation, room: RoomId, upto: Seq) -> bool {
    let Some(journal) = state.journals.get(owner) else {
        return false;
    };
    let Some(checkpoint) = journal.checkpoints.get(&room) else {
        return false;
    };
    let (at, ..) = toy::decode(checkpoint);
    let first = journal.entries.keys().next();
    let has_no_hole = first.is_none_or(|first| *first <= at.next()) || journal.last <= at;
    has_no_hole && journal.last >= upto
}
