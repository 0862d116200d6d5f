//! Taking over the rooms of nodes that are gone. Pure: what is seen of the store goes in, what is
//! to be asked of it comes out.
//!
//! An incarnation that has a journal and no lease is dead to us, whatever it thinks itself. Its
//! journal is sealed first; from then on it can tell nobody anything that counts. Only then are
//! its rooms taken, each on its own: what the journal holds of it (its *estate*) is restored, the
//! restored room is written into our own journal, and then its placement is exchanged, from
//! exactly the dead owner to us. Whoever exchanges it first has the room; everyone else lets go of
//! what they restored.
//!
//! - Nodes share the work: each begins with the rooms that it ranks first for, and helps with the
//!   others after [`HELP_AFTER`].
//! - After the store's primary has changed nothing is taken for one lease: leases may be lost that
//!   their owners are about to say again.
//! - A sealed journal is looked at again until it is [old](RETIRE_AFTER): a claimant that stood
//!   still may place a room on itself when its own journal has long been sealed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use engine::{Estate, Incarnation, JournalInfo, Placement, Seal};
use protocol::id::{Generation, NodeId, RoomId};
use protocol::time::Timestamp;

/// Rooms of others are left to them for so long for each node that ranks before us.
pub const HELP_AFTER: Duration = Duration::from_millis(500);

/// A request that got no answer is made again after this.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The rooms of a sealed journal are looked up again this often.
pub const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A journal of which nothing is left is forgotten so long after it was sealed here.
pub const RETIRE_AFTER: Duration = Duration::from_secs(60);

/// Rooms that are restored or claimed at once.
const AT_ONCE: usize = 64;

/// What is seen of the store at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// [`engine::Journals::lineage`].
    pub lineage: String,
    /// The incarnations that have a lease.
    pub alive: BTreeSet<Incarnation>,
    /// Those of `alive` that may take rooms of ours over: same simulation, not draining.
    pub heirs: BTreeSet<Incarnation>,
    /// The journals that there are.
    pub journals: Vec<JournalInfo>,
}

/// What the store is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// [`engine::Journals::seal`].
    Seal(Incarnation),
    /// [`engine::Journals::estate`].
    Estate(Incarnation),
    /// [`engine::Placements::find`].
    Find(Incarnation, Vec<RoomId>),
    /// [`engine::Placements::claim`].
    Claim {
        /// Which room.
        room: RoomId,
        /// From whom.
        from: Placement,
        /// To us.
        to: Placement,
    },
    /// [`engine::Journals::retire`].
    Retire(Incarnation),
}

/// The store's answer, of the kind that the request has.
#[derive(Debug, Clone)]
pub enum Answer {
    /// None, and nobody knows whether it was done.
    Unknown,
    /// To [`Ask::Seal`].
    Sealed(Option<Seal>),
    /// To [`Ask::Estate`].
    Estate(Estate),
    /// To [`Ask::Find`].
    Found(Vec<Option<Placement>>),
    /// To [`Ask::Claim`].
    Claimed(bool),
    /// To [`Ask::Retire`].
    Retired,
}

/// What is to be done here.
#[derive(Debug, Clone)]
pub enum Act {
    /// Restore a room and write it into our journal as one that has not begun; then say so by
    /// [`Claims::handle_prepared`].
    Prepare {
        /// Which room.
        room: RoomId,
        /// Whose it was.
        from: Incarnation,
        /// What is left of it.
        estate: Arc<Estate>,
        /// Histories must not be continued.
        is_suspect: bool,
    },
    /// The room is ours: it begins.
    Adopt {
        /// Which room.
        room: RoomId,
        /// Its placement.
        placement: Placement,
    },
    /// Somebody else has the room: let go of what was prepared.
    Abandon(RoomId),
}

/// See the module.
#[derive(Debug)]
pub struct Claims {
    me: Incarnation,
    /// How long nothing is taken after a change of lineage.
    pause: Duration,
    lineage: Option<String>,
    paused_until: Timestamp,
    heirs: BTreeSet<Incarnation>,
    estates: BTreeMap<Incarnation, Dead>,
    acts: VecDeque<Act>,
}

/// A dead incarnation.
#[derive(Debug)]
struct Dead {
    stage: Stage,
    not_before: Timestamp,
    is_suspect: bool,
    sealed_at: Timestamp,
    estate: Arc<Estate>,
    rooms: BTreeMap<RoomId, Room>,
    finding: bool,
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
    Prepared(Placement, Timestamp),
    /// Is being claimed.
    Claiming(Placement),
}

impl Claims {
    /// The claims of `me`, who takes nothing for `pause` after a change of lineage.
    pub fn new(me: Incarnation, pause: Duration) -> Self {
        Self {
            me,
            pause,
            lineage: None,
            paused_until: Timestamp(0),
            heirs: BTreeSet::new(),
            estates: BTreeMap::new(),
            acts: VecDeque::new(),
        }
    }

    /// The store was looked at.
    pub fn handle_view(&mut self, now: Timestamp, view: View) {
        if self.lineage.as_ref() != Some(&view.lineage) {
            if self.lineage.is_some() {
                self.paused_until = now + self.pause;
            }
            self.lineage = Some(view.lineage);
        }
        self.heirs = view.heirs;
        if !self.may_take(now) {
            return;
        }
        let journals: BTreeSet<&Incarnation> = view.journals.iter().map(|info| &info.who).collect();
        self.estates.retain(|who, dead| {
            journals.contains(who) || dead.rooms.values().any(Room::is_under_way)
        });
        for info in &view.journals {
            if info.who != self.me && !view.alive.contains(&info.who) {
                let dead = || Dead::new(now);
                self.estates.entry(info.who.clone()).or_insert_with(dead);
            }
        }
    }

    /// The next thing to ask of the store. Each is answered by [`handle_answer`](Self::handle_answer), once.
    pub fn poll_ask(&mut self, now: Timestamp) -> Option<Ask> {
        if !self.may_take(now) {
            return None;
        }
        let busy = self.under_way();
        let me = self.me.clone();
        let heirs = &self.heirs;
        let mut estates = self.estates.iter_mut();
        estates.find_map(|(who, dead)| dead.poll_ask(now, who, &me, heirs, busy))
    }

    /// The store's answer to `ask`.
    pub fn handle_answer(&mut self, now: Timestamp, ask: &Ask, answer: Answer) {
        match ask {
            Ask::Seal(who) => self.with(who, |dead, _, _| dead.sealed(now, answer)),
            Ask::Estate(who) => {
                let (me, heirs) = (self.me.clone(), self.heirs.clone());
                self.with(who, |dead, _, _| dead.read(now, answer, &me, &heirs));
            }
            Ask::Find(who, rooms) => {
                self.with(who, |dead, who, acts| {
                    dead.found(now, who, rooms, answer, acts)
                });
            }
            Ask::Claim { room, from, to } => {
                let to = to.clone();
                self.with(&from.owner, |dead, _, acts| {
                    dead.claimed(now, *room, to, answer, acts);
                });
            }
            Ask::Retire(who) => match answer {
                Answer::Unknown => self.with(who, |dead, _, _| {
                    dead.stage = Stage::Retire(false);
                    dead.not_before = now + RETRY_AFTER;
                }),
                _ => {
                    self.estates.remove(who);
                }
            },
        }
    }

    /// A room is written into our journal (`true`), or cannot be restored here.
    pub fn handle_prepared(
        &mut self,
        now: Timestamp,
        from: &Incarnation,
        room: RoomId,
        done: bool,
    ) {
        self.with(from, |dead, _, _| {
            if let Some(state) = dead.rooms.get_mut(&room)
                && let Room::Preparing(placement) = state
            {
                *state = match done {
                    true => Room::Prepared(placement.clone(), now),
                    false => Room::Waits(now + RETIRE_AFTER),
                };
            }
        });
    }

    /// The next thing to do here.
    pub fn poll_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// Rooms that are being taken, for the log.
    pub fn under_way(&self) -> usize {
        let rooms = self.estates.values().flat_map(|dead| dead.rooms.values());
        rooms.filter(|room| room.is_under_way()).count()
    }

    /// When there is something to ask next without anything having come in.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let times = self.estates.values().filter_map(Dead::poll_timeout);
        times.min().map(|at| at.max(self.paused_until))
    }

    /// Only one that could go on with a room may take it, and not right after a change of primary.
    fn may_take(&self, now: Timestamp) -> bool {
        now >= self.paused_until && self.heirs.contains(&self.me)
    }

    fn with(
        &mut self,
        who: &Incarnation,
        work: impl FnOnce(&mut Dead, &Incarnation, &mut VecDeque<Act>),
    ) {
        if let Some(dead) = self.estates.get_mut(who) {
            work(dead, who, &mut self.acts);
        }
    }
}

impl Dead {
    fn new(now: Timestamp) -> Self {
        Self {
            stage: Stage::Seal(false),
            not_before: now,
            is_suspect: false,
            sealed_at: now,
            estate: Arc::default(),
            rooms: BTreeMap::new(),
            finding: false,
        }
    }

    fn poll_ask(
        &mut self,
        now: Timestamp,
        who: &Incarnation,
        me: &Incarnation,
        heirs: &BTreeSet<Incarnation>,
        busy: usize,
    ) -> Option<Ask> {
        if now < self.not_before {
            return None;
        }
        match &mut self.stage {
            Stage::Seal(asked @ false) => {
                *asked = true;
                Some(Ask::Seal(who.clone()))
            }
            Stage::Read(asked @ false) => {
                *asked = true;
                Some(Ask::Estate(who.clone()))
            }
            Stage::Retire(asked @ false) => {
                *asked = true;
                Some(Ask::Retire(who.clone()))
            }
            Stage::Rooms => self
                .claim(now, me)
                .or_else(|| self.find(now, who, busy))
                .or_else(|| self.retire(now, who, me, heirs)),
            Stage::Seal(true) | Stage::Read(true) | Stage::Retire(true) => None,
        }
    }

    fn sealed(&mut self, now: Timestamp, answer: Answer) {
        match answer {
            Answer::Sealed(Some(seal)) => {
                self.is_suspect = seal.is_suspect;
                self.sealed_at = now;
                self.stage = Stage::Read(false);
            }
            // There is none: nobody can take anything from it.
            Answer::Sealed(None) => self.stage = Stage::Retire(false),
            _ => {
                self.stage = Stage::Seal(false);
                self.not_before = now + RETRY_AFTER;
            }
        }
    }

    fn read(
        &mut self,
        now: Timestamp,
        answer: Answer,
        me: &Incarnation,
        heirs: &BTreeSet<Incarnation>,
    ) {
        let Answer::Estate(estate) = answer else {
            self.stage = Stage::Read(false);
            self.not_before = now + RETRY_AFTER;
            return;
        };
        for (room, _) in &estate.checkpoints {
            let wait = HELP_AFTER * rank(*room, me, heirs);
            self.rooms.entry(*room).or_insert(Room::Waits(now + wait));
        }
        self.estate = Arc::new(estate);
        self.stage = Stage::Rooms;
    }

    fn find(&mut self, now: Timestamp, who: &Incarnation, busy: usize) -> Option<Ask> {
        if self.finding {
            return None;
        }
        let due = |room: &Room| matches!(room, Room::Waits(at) if *at <= now);
        let rooms: Vec<RoomId> = self
            .rooms
            .iter()
            .filter(|(_, room)| due(room))
            .map(|(id, _)| *id)
            .take(AT_ONCE.saturating_sub(busy))
            .collect();
        if rooms.is_empty() {
            return None;
        }
        for room in &rooms {
            self.rooms.insert(*room, Room::Finding);
        }
        self.finding = true;
        Some(Ask::Find(who.clone(), rooms))
    }

    fn found(
        &mut self,
        now: Timestamp,
        who: &Incarnation,
        rooms: &[RoomId],
        answer: Answer,
        acts: &mut VecDeque<Act>,
    ) {
        self.finding = false;
        let placements = match answer {
            Answer::Found(placements) => placements,
            _ => {
                for room in rooms {
                    self.rooms.insert(*room, Room::Waits(now + RETRY_AFTER));
                }
                return;
            }
        };
        for (room, placement) in rooms.iter().zip(placements) {
            let state = match placement.filter(|placement| placement.owner == *who) {
                Some(placement) => {
                    acts.push_back(Act::Prepare {
                        room: *room,
                        from: who.clone(),
                        estate: Arc::clone(&self.estate),
                        is_suspect: self.is_suspect,
                    });
                    Room::Preparing(placement)
                }
                // Over, or with somebody else; maybe to be placed here by one that stood still.
                None => Room::Waits(now + LOOK_AGAIN),
            };
            self.rooms.insert(*room, state);
        }
    }

    fn claim(&mut self, now: Timestamp, me: &Incarnation) -> Option<Ask> {
        let due = |room: &Room| matches!(room, Room::Prepared(_, at) if *at <= now);
        let (room, state) = self.rooms.iter_mut().find(|(_, room)| due(room))?;
        let Room::Prepared(from, _) = state else {
            return None;
        };
        let from = from.clone();
        *state = Room::Claiming(from.clone());
        let to = Placement {
            owner: me.clone(),
            generation: Generation(from.generation.0 + 1),
        };
        let room = *room;
        Some(Ask::Claim { room, from, to })
    }

    fn claimed(
        &mut self,
        now: Timestamp,
        room: RoomId,
        placement: Placement,
        answer: Answer,
        acts: &mut VecDeque<Act>,
    ) {
        let state = match (answer, self.rooms.get(&room)) {
            (Answer::Claimed(true), _) => {
                acts.push_back(Act::Adopt { room, placement });
                Room::Waits(now + LOOK_AGAIN)
            }
            (Answer::Claimed(false), _) => {
                acts.push_back(Act::Abandon(room));
                Room::Waits(now + LOOK_AGAIN)
            }
            (_, Some(Room::Claiming(from))) => Room::Prepared(from.clone(), now + RETRY_AFTER),
            _ => return,
        };
        self.rooms.insert(room, state);
    }

    /// Forgets the journal when nothing more can come of it. One node is enough for that.
    fn retire(
        &mut self,
        now: Timestamp,
        who: &Incarnation,
        me: &Incarnation,
        heirs: &BTreeSet<Incarnation>,
    ) -> Option<Ask> {
        let is_old = now.since(self.sealed_at) >= RETIRE_AFTER;
        let settled = !self.rooms.values().any(Room::is_under_way);
        if !is_old || !settled || heirs.first() != Some(me) {
            return None;
        }
        self.stage = Stage::Retire(true);
        Some(Ask::Retire(who.clone()))
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        match self.stage {
            Stage::Seal(false) | Stage::Read(false) | Stage::Retire(false) => Some(self.not_before),
            Stage::Seal(true) | Stage::Read(true) | Stage::Retire(true) => None,
            Stage::Rooms => {
                let rooms = self.rooms.values().filter_map(|room| match room {
                    Room::Waits(at) | Room::Prepared(_, at) => Some(*at),
                    Room::Finding | Room::Preparing(_) | Room::Claiming(_) => None,
                });
                rooms.min()
            }
        }
    }
}

impl Room {
    fn is_under_way(&self) -> bool {
        matches!(
            self,
            Self::Finding | Self::Preparing(_) | Self::Prepared(..) | Self::Claiming(_)
        )
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
