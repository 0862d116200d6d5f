//! One dead incarnation, as whoever takes its rooms over sees it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use engine::{Estate, Incarnation, Placement};
use protocol::id::{Generation, NodeId, RoomId};
use protocol::time::Timestamp;

use super::{Act, Answer, Ask, HELP_AFTER, LOOK_AGAIN, RETIRE_AFTER, RETRY_AFTER};

/// Rooms that are restored or claimed at once.
const AT_ONCE: usize = 64;

/// A dead incarnation.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) who: Incarnation,
    stage: Stage,
    not_before: Timestamp,
    /// As the store was seen last. Without this it is not sealed.
    pub(super) is_dead: bool,
    is_suspect: bool,
    sealed_at: Timestamp,
    estate: Arc<Estate>,
    rooms: BTreeMap<RoomId, Room>,
    finding: Finding,
}

/// Whether rooms are being looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    No,
    Yes,
    /// In a store that has changed since.
    InVain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be sealed, or read, or forgotten; `true` while the store is being asked.
    Seal(bool),
    Read(bool),
    Rooms,
    Retire(bool),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Room {
    /// To be looked up at this time.
    Waits(Timestamp),
    /// Is being looked up.
    Finding,
    /// Placed on the dead node; is being restored and written.
    Preparing(Placement),
    /// Written; to be claimed at this time.
    Prepared(Claim, Timestamp),
    /// Is being claimed.
    Claiming(Claim),
    /// Was claimed, and nobody knows whether that was done: to be looked up at this time.
    Unsure(Claim, Timestamp),
    /// Is being looked up for that.
    Checking(Claim),
}

/// What is claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Claim {
    from: Placement,
    /// It was asked for before: it may be ours, whatever we want now.
    was_asked: bool,
    /// What was prepared rests on a seal that the store may have lost.
    is_stale: bool,
}

/// Who looks, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look<'a> {
    pub(super) now: Timestamp,
    pub(super) me: &'a Incarnation,
    pub(super) heirs: &'a BTreeSet<Incarnation>,
    /// Rooms that are being taken by now.
    pub(super) busy: usize,
}

impl Look<'_> {
    /// Only one that could go on with a room may take it.
    fn is_heir(&self) -> bool {
        self.heirs.contains(self.me)
    }
}

impl Dead {
    pub(super) fn new(who: Incarnation, now: Timestamp) -> Self {
        Self {
            who,
            stage: Stage::Seal(false),
            not_before: now,
            is_dead: true,
            is_suspect: false,
            sealed_at: now,
            estate: Arc::default(),
            rooms: BTreeMap::new(),
            finding: Finding::No,
        }
    }

    pub(super) fn poll_ask(&mut self, look: Look<'_>) -> Option<Ask> {
        if look.now < self.not_before {
            return None;
        }
        let is_wanted = look.is_heir() || self.under_way() > 0;
        match &mut self.stage {
            Stage::Seal(asked @ false) if self.is_dead && is_wanted => {
                *asked = true;
                Some(Ask::Seal(self.who.clone()))
            }
            // It lives again. What may be ours has to be let go of, or it is kept for good.
            Stage::Seal(false) => self.find(look),
            Stage::Read(asked @ false) => {
                *asked = true;
                Some(Ask::Estate(self.who.clone()))
            }
            Stage::Retire(asked @ false) => {
                *asked = true;
                Some(Ask::Retire(self.who.clone()))
            }
            Stage::Rooms => self
                .claim(look)
                .or_else(|| self.find(look))
                .or_else(|| self.retire(look)),
            Stage::Seal(true) | Stage::Read(true) | Stage::Retire(true) => None,
        }
    }

    /// The store's primary has changed: the journal is sealed again, and read again, before
    /// anything more is taken. What rests on the old seal is let go of, but for what may be ours.
    pub(super) fn distrust(&mut self, now: Timestamp, acts: &mut VecDeque<Act>) {
        self.is_dead = false;
        self.stage = Stage::Seal(false);
        if self.finding == Finding::Yes {
            self.finding = Finding::InVain;
        }
        for (id, room) in &mut self.rooms {
            match room {
                Room::Prepared(claim, at) if claim.was_asked => {
                    *room = Room::Unsure(claim.stale(), *at);
                }
                Room::Preparing(_) | Room::Prepared(..) => {
                    acts.push_back(Act::Abandon(*id));
                    *room = Room::Waits(now);
                }
                Room::Claiming(claim) | Room::Unsure(claim, _) | Room::Checking(claim) => {
                    claim.is_stale = true;
                }
                Room::Waits(_) | Room::Finding => {}
            }
        }
    }

    pub(super) fn sealed(&mut self, now: Timestamp, answer: Answer) {
        if self.stage != Stage::Seal(true) {
            return; // of an earlier seal
        }
        match answer {
            Answer::Sealed(Some(seal)) => {
                self.is_suspect = seal.is_suspect;
                self.sealed_at = now;
                self.stage = Stage::Read(false);
            }
            // There is none: only what may be ours is to be looked up.
            Answer::Sealed(None) => {
                self.estate = Arc::default();
                self.sealed_at = now;
                self.stage = Stage::Rooms;
            }
            // By the time that it is asked again the store may have another primary, and the
            // owner a lease: it is looked at before.
            _ => {
                self.stage = Stage::Seal(false);
                self.is_dead = false;
            }
        }
    }

    pub(super) fn read(&mut self, answer: Answer, look: Look<'_>) {
        if self.stage != Stage::Read(true) {
            return; // of an earlier seal
        }
        let Answer::Estate(estate) = answer else {
            self.stage = Stage::Read(false);
            self.not_before = look.now + RETRY_AFTER;
            return;
        };
        for (room, _) in &estate.checkpoints {
            let wait = HELP_AFTER * rank(*room, look.me, look.heirs);
            let waits = Room::Waits(look.now + wait);
            self.rooms.entry(*room).or_insert(waits);
        }
        self.estate = Arc::new(estate);
        self.stage = Stage::Rooms;
    }

    fn find(&mut self, look: Look<'_>) -> Option<Ask> {
        if self.finding != Finding::No {
            return None;
        }
        let free = match look.is_heir() && self.is_sealed() {
            true => AT_ONCE.saturating_sub(look.busy),
            false => 0,
        };
        let is_unsure = |room: &Room| matches!(room, Room::Unsure(_, at) if *at <= look.now);
        let is_due = |room: &Room| matches!(room, Room::Waits(at) if *at <= look.now);
        let unsure = self.rooms.iter().filter(|(_, room)| is_unsure(room));
        let due = self.rooms.iter().filter(|(_, room)| is_due(room));
        let rooms: Vec<RoomId> = unsure.chain(due.take(free)).map(|(id, _)| *id).collect();
        if rooms.is_empty() {
            return None;
        }
        for id in &rooms {
            let state = match self.rooms.get(id) {
                Some(Room::Unsure(claim, _)) => Room::Checking(claim.clone()),
                _ => Room::Finding,
            };
            self.rooms.insert(*id, state);
        }
        self.finding = Finding::Yes;
        Some(Ask::Find(self.who.clone(), rooms))
    }

    pub(super) fn found(
        &mut self,
        rooms: &[RoomId],
        answer: Answer,
        look: Look<'_>,
        acts: &mut VecDeque<Act>,
    ) {
        let finding = std::mem::replace(&mut self.finding, Finding::No);
        let counts =
            finding == Finding::Yes && matches!(self.stage, Stage::Rooms | Stage::Seal(false));
        let now = look.now;
        let placements = match answer {
            Answer::Found(placements) if counts => placements,
            _ => {
                for id in rooms {
                    let state = match self.rooms.get(id) {
                        Some(Room::Checking(claim)) => {
                            Room::Unsure(claim.clone(), now + RETRY_AFTER)
                        }
                        _ => Room::Waits(now + RETRY_AFTER),
                    };
                    self.rooms.insert(*id, state);
                }
                return;
            }
        };
        for (id, placement) in rooms.iter().zip(placements) {
            let state = match self.rooms.get(id) {
                Some(Room::Checking(claim)) => {
                    let claim = claim.clone();
                    self.checked(*id, claim, placement, look, acts)
                }
                _ => self.placed(*id, placement, now, acts),
            };
            self.rooms.insert(*id, state);
        }
    }

    /// Where a room of this node is.
    fn placed(
        &self,
        room: RoomId,
        placement: Option<Placement>,
        now: Timestamp,
        acts: &mut VecDeque<Act>,
    ) -> Room {
        match placement.filter(|placement| placement.owner == self.who) {
            Some(placement) => {
                acts.push_back(Act::Prepare {
                    room,
                    from: self.who.clone(),
                    estate: Arc::clone(&self.estate),
                    is_suspect: self.is_suspect,
                });
                Room::Preparing(placement)
            }
            // Over, or with somebody else; maybe to be placed here by one that stood still.
            None => Room::Waits(now + LOOK_AGAIN),
        }
    }

    /// Where a room is that may be ours.
    fn checked(
        &self,
        room: RoomId,
        claim: Claim,
        placement: Option<Placement>,
        look: Look<'_>,
        acts: &mut VecDeque<Act>,
    ) -> Room {
        let is_sealed = self.is_sealed();
        match placement {
            Some(placement) if placement == claim.to(look.me) && !is_sealed => {
                Room::Unsure(claim, look.now + LOOK_AGAIN)
            }
            // It is ours, and is claimed again: only that waits for the replica.
            Some(placement) if placement == claim.to(look.me) => {
                let is_stale = false;
                Room::Prepared(Claim { is_stale, ..claim }, look.now)
            }
            Some(placement) if placement == claim.from && !claim.is_stale => {
                Room::Prepared(claim, look.now)
            }
            placement => {
                acts.push_back(Act::Abandon(room));
                match is_sealed {
                    true => self.placed(room, placement, look.now, acts),
                    false => Room::Waits(look.now),
                }
            }
        }
    }

    /// A room is written into our journal, or cannot be restored here.
    pub(super) fn prepared(&mut self, now: Timestamp, room: RoomId, done: bool) {
        if let Some(state) = self.rooms.get_mut(&room)
            && let Room::Preparing(from) = state
        {
            let claim = Claim {
                from: from.clone(),
                was_asked: false,
                is_stale: false,
            };
            *state = match done {
                true => Room::Prepared(claim, now),
                false => Room::Waits(now + RETIRE_AFTER),
            };
        }
    }

    fn claim(&mut self, look: Look<'_>) -> Option<Ask> {
        let is_heir = look.is_heir();
        let (room, state) = self.rooms.iter_mut().find(|(_, room)| match room {
            Room::Prepared(claim, at) => *at <= look.now && (is_heir || claim.was_asked),
            _ => false,
        })?;
        let Room::Prepared(claim, _) = state else {
            return None;
        };
        let (from, to) = (claim.from.clone(), claim.to(look.me));
        *state = Room::Claiming(Claim {
            was_asked: true,
            ..claim.clone()
        });
        let room = *room;
        Some(Ask::Claim { room, from, to })
    }

    pub(super) fn claimed(
        &mut self,
        now: Timestamp,
        room: RoomId,
        placement: Placement,
        answer: Answer,
        acts: &mut VecDeque<Act>,
    ) {
        let Some(Room::Claiming(claim)) = self.rooms.get(&room) else {
            return;
        };
        let state = match answer {
            Answer::Claimed(true) => {
                acts.push_back(Act::Adopt { room, placement });
                Room::Waits(now + LOOK_AGAIN)
            }
            Answer::Claimed(false) => {
                acts.push_back(Act::Abandon(room));
                Room::Waits(now + LOOK_AGAIN)
            }
            _ => Room::Unsure(claim.clone(), now + RETRY_AFTER),
        };
        self.rooms.insert(room, state);
    }

    /// Forgets the journal when nothing more can come of it. One node is enough for that.
    fn retire(&mut self, look: Look<'_>) -> Option<Ask> {
        let is_old = look.now.since(self.sealed_at) >= RETIRE_AFTER;
        if !is_old || self.under_way() > 0 || look.heirs.first() != Some(look.me) {
            return None;
        }
        self.stage = Stage::Retire(true);
        Some(Ask::Retire(self.who.clone()))
    }

    /// Whether the journal is gone; else it is asked for again.
    pub(super) fn retired(&mut self, now: Timestamp, answer: &Answer) -> bool {
        if self.stage != Stage::Retire(true) {
            return false; // of an earlier seal
        }
        self.stage = Stage::Retire(false);
        self.not_before = now + RETRY_AFTER;
        !matches!(answer, Answer::Unknown)
    }

    pub(super) fn poll_timeout(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Seal(false) if !self.is_dead => {
                let rooms = self.rooms.values().filter_map(|room| match room {
                    Room::Unsure(_, at) => Some(*at),
                    _ => None,
                });
                rooms.min()
            }
            Stage::Seal(false) | Stage::Read(false) | Stage::Retire(false) => Some(self.not_before),
            Stage::Seal(true) | Stage::Read(true) | Stage::Retire(true) => None,
            Stage::Rooms => {
                let rooms = self.rooms.values().filter_map(|room| match room {
                    Room::Waits(at) | Room::Prepared(_, at) | Room::Unsure(_, at) => Some(*at),
                    _ => None,
                });
                rooms.min().or(Some(self.sealed_at + RETIRE_AFTER))
            }
        }
    }

    /// Whether it was sealed in the store as it is now.
    fn is_sealed(&self) -> bool {
        self.stage == Stage::Rooms
    }

    /// Rooms that are being taken.
    pub(super) fn under_way(&self) -> usize {
        let rooms = self.rooms.values();
        rooms.filter(|room| !matches!(room, Room::Waits(_))).count()
    }
}

impl Claim {
    fn to(&self, me: &Incarnation) -> Placement {
        Placement {
            owner: me.clone(),
            generation: Generation(self.from.generation.0 + 1),
        }
    }

    fn stale(&self) -> Self {
        Self {
            is_stale: true,
            ..self.clone()
        }
    }
}

/// How many of `heirs` come before `me` for `room`: rendezvous hashing, so that every node has the
/// same order without a word (Thaler and Ravishankar, 1998).
fn rank(room: RoomId, me: &Incarnation, heirs: &BTreeSet<Incarnation>) -> u32 {
    let weight = |node: &NodeId| {
        let mut hasher = DefaultHasher::new();
        (room.0, node.as_str()).hash(&mut hasher);
        hasher.finish()
    };
    let own = weight(&me.node);
    let before = heirs.iter().filter(|heir| weight(&heir.node) > own);
    u32::try_from(before.count()).unwrap_or(u32::MAX)
}
