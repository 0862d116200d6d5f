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
//! - After the store's primary has changed, and when we have just begun, nothing is taken for one
//!   lease: leases may be lost that their owners are about to say again. Seals may be lost, too:
//!   so every journal is sealed again before anything more is taken from it.
//! - After the store could not be reached, or our own lease had ended, those who have vanished
//!   meanwhile are left alone for one lease: they may not have reached it either, and renew first.
//! - A claim without an answer may have been done, so it is never given up before the store has
//!   been asked where the room is. That is so, too, if the owner lives again since the store has
//!   another primary: else the room would stay in our journal for good.
//! - A sealed journal is looked at again until it is [old](RETIRE_AFTER): a claimant that stood
//!   still may place a room on itself when its own journal has long been sealed.

mod dead;
#[cfg(test)]
mod silence_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use engine::{Estate, Incarnation, JournalInfo, Placement, Seal};
use protocol::id::RoomId;
use protocol::time::Timestamp;

use dead::{Dead, Look};

/// Rooms of others are left to them for so long for each node that ranks before us.
pub const HELP_AFTER: Duration = Duration::from_millis(500);

/// Nothing is asked by a view that is older: the store may have another primary, without our seals.
pub const VIEW_LASTS: Duration = Duration::from_secs(2);

/// A request that got no answer is made again after this.
pub const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The rooms of a sealed journal are looked up again this often.
pub const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// A journal of which nothing is left is forgotten so long after it was sealed here.
pub const RETIRE_AFTER: Duration = Duration::from_secs(60);

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
    seen_at: Timestamp,
    paused_until: Timestamp,
    heirs: BTreeSet<Incarnation>,
    /// Those who had a lease when we were last seen to have one.
    alive: BTreeSet<Incarnation>,
    /// We had a lease in the last view.
    was_here: bool,
    /// Those who vanished while we saw nothing, until when they are not taken for dead.
    spared: BTreeMap<Incarnation, Timestamp>,
    estates: BTreeMap<Incarnation, Dead>,
    acts: VecDeque<Act>,
}

impl Claims {
    /// The claims of `me`, who takes nothing for `pause` after a change of lineage.
    pub fn new(me: Incarnation, pause: Duration) -> Self {
        Self {
            me,
            pause,
            lineage: None,
            seen_at: Timestamp(0),
            paused_until: Timestamp(0),
            heirs: BTreeSet::new(),
            alive: BTreeSet::new(),
            was_here: false,
            spared: BTreeMap::new(),
            estates: BTreeMap::new(),
            acts: VecDeque::new(),
        }
    }

    /// The store was looked at.
    pub fn handle_view(&mut self, now: Timestamp, view: View) {
        if self.lineage.as_ref() != Some(&view.lineage) {
            // The first view may well be of a primary that has just changed.
            self.paused_until = now + self.pause;
            self.lineage = Some(view.lineage);
            for dead in self.estates.values_mut() {
                dead.distrust(now, &mut self.acts);
            }
        }
        self.spare(now, &view.alive);
        self.heirs = view.heirs;
        self.seen_at = now;
        if now < self.paused_until {
            return;
        }
        let journals: BTreeSet<&Incarnation> = view.journals.iter().map(|info| &info.who).collect();
        self.estates
            .retain(|who, dead| journals.contains(who) || dead.under_way() > 0);
        let spared = &self.spared;
        let is_gone = |who: &Incarnation| !view.alive.contains(who) && !spared.contains_key(who);
        for (who, dead) in &mut self.estates {
            dead.is_dead = is_gone(who);
        }
        for info in &view.journals {
            if info.who != self.me && is_gone(&info.who) {
                let who = info.who.clone();
                let dead = || Dead::new(who.clone(), now);
                self.estates.entry(who.clone()).or_insert_with(dead);
            }
        }
    }

    /// Notes who is to be left alone for a while. A quarter of a lease without a view is enough for
    /// leases to have ended that their owners could not renew: one that is renewed in time has more
    /// than half of itself left.
    fn spare(&mut self, now: Timestamp, alive: &BTreeSet<Incarnation>) {
        let is_here = alive.contains(&self.me);
        let was_away = !self.was_here || now.since(self.seen_at) > self.pause / 4;
        if is_here {
            if was_away {
                let vanished = self.alive.difference(alive).cloned();
                let until = now + self.pause;
                self.spared.extend(vanished.map(|who| (who, until)));
            }
            self.alive.clone_from(alive);
        }
        self.was_here = is_here;
        self.spared
            .retain(|who, until| !alive.contains(who) && now < *until);
    }

    /// The next thing to ask of the store. Each is answered by [`handle_answer`](Self::handle_answer), once.
    pub fn poll_ask(&mut self, now: Timestamp) -> Option<Ask> {
        if now < self.paused_until || now.since(self.seen_at) > VIEW_LASTS {
            return None;
        }
        let look = Look {
            now,
            me: &self.me,
            heirs: &self.heirs,
            busy: self.under_way(),
        };
        let mut estates = self.estates.values_mut();
        estates.find_map(|dead| dead.poll_ask(look))
    }

    /// The store's answer to `ask`.
    pub fn handle_answer(&mut self, now: Timestamp, ask: &Ask, answer: Answer) {
        let look = Look {
            now,
            me: &self.me,
            heirs: &self.heirs,
            busy: 0,
        };
        let who = match ask {
            Ask::Seal(who) | Ask::Estate(who) | Ask::Find(who, _) | Ask::Retire(who) => who,
            Ask::Claim { from, .. } => &from.owner,
        };
        let Some(dead) = self.estates.get_mut(who) else {
            return;
        };
        match ask {
            Ask::Seal(_) => dead.sealed(now, answer),
            Ask::Estate(_) => dead.read(answer, look),
            Ask::Find(_, rooms) => dead.found(rooms, answer, look, &mut self.acts),
            Ask::Claim { room, to, .. } => {
                dead.claimed(now, *room, to.clone(), answer, &mut self.acts);
            }
            Ask::Retire(who) => {
                if dead.retired(now, &answer) {
                    self.estates.remove(who);
                }
            }
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
        if let Some(dead) = self.estates.get_mut(from) {
            dead.prepared(now, room, done);
        }
    }

    /// The next thing to do here.
    pub fn poll_act(&mut self) -> Option<Act> {
        self.acts.pop_front()
    }

    /// Rooms that are being taken, for the log.
    pub fn under_way(&self) -> usize {
        self.estates.values().map(Dead::under_way).sum()
    }

    /// When there is something to ask next without anything having come in.
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let times = self.estates.values().filter_map(Dead::poll_timeout);
        times.min().map(|at| at.max(self.paused_until))
    }
}
