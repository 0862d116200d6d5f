//! The store: a primary and a replica that follows it, by the contracts of `engine`.
//!
//! Every call that writes is executed by the replica a little later, in the same order: so the
//! replica has always been what the primary was once. A fail-over makes it the primary.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use bytes::Bytes;
use engine::{Checkpoints, Estate, Incarnation, JournalInfo, Placement, Seal, Seq, Written};
use protocol::id::{Generation, NodeId, RoomId};
use protocol::time::Timestamp;
use syncd::ownership::claims::{Answer, Ask};
use syncd::ownership::journal::Request;

use crate::mutation::Mutation;

/// How long a lease lasts.
pub(crate) const TTL: Duration = Duration::from_secs(5);

/// What is asked of the store.
#[derive(Debug, Clone)]
pub(crate) enum Call {
    /// And whether it takes nothing new.
    Renew(Incarnation, bool),
    /// The leases and the journals that there are.
    Look,
    Lineage,
    /// With what the owner's client knew when it was sent.
    Own(Incarnation, Request, Known),
    Ask(Incarnation, Ask),
    Place(RoomId, Placement),
    Claim(RoomId, Placement, Placement),
    Remove(RoomId, Generation),
    Find(RoomId),
}

/// What the client of a journal's owner knows of the store.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    /// Who answered last.
    pub(crate) server: Option<ServerIndex>,
    /// The last entry that was ever confirmed.
    pub(crate) confirmed: Seq,
}

/// What it answers.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    Renewed(bool),
    Looked(Vec<(Incarnation, bool)>, Vec<JournalInfo>),
    Lineage(String),
    Own(Written),
    Ask(Answer),
    Placed(bool),
    Claimed(bool),
    Removed,
    Found(Option<Placement>),
}

impl Call {
    fn is_write(&self) -> bool {
        match self {
            Self::Look | Self::Lineage | Self::Find(_) => false,
            Self::Ask(_, ask) => !matches!(ask, Ask::Estate(_) | Ask::Find(..)),
            _ => true,
        }
    }

    /// Whether the answer waits for the replica.
    fn is_durable(&self) -> bool {
        match self {
            Self::Ask(_, ask) => matches!(ask, Ask::Seal(_) | Ask::Claim { .. }),
            Self::Claim(..) => true,
            _ => false,
        }
    }
}

/// A journal.
#[derive(Debug, Clone, Default)]
pub(crate) struct Journal {
    pub(crate) last: Seq,
    pub(crate) entries: BTreeMap<Seq, Bytes>,
    pub(crate) checkpoints: BTreeMap<RoomId, Bytes>,
    pub(crate) sealed: Option<Seal>,
    call: u64,
    lineage: u64,
}

/// A lease.
#[derive(Debug, Clone)]
struct Lease {
    generation: Generation,
    ends: Timestamp,
    drains: bool,
}

/// All that a server holds.
#[derive(Debug, Clone, Default)]
pub(crate) struct State {
    pub(crate) lineage: u64,
    leases: BTreeMap<NodeId, Lease>,
    pub(crate) journals: BTreeMap<Incarnation, Journal>,
    /// Journals that were sealed and are forgotten: their owners are refused all the same.
    retired: BTreeSet<Incarnation>,
    pub(crate) placements: BTreeMap<RoomId, Placement>,
}

impl State {
    fn execute(&mut self, now: Timestamp, call: &Call, mutation: Option<Mutation>) -> Reply {
        match call {
            Call::Renew(who, drains) => Reply::Renewed(self.renew(now, who, *drains)),
            Call::Look => {
                let alive = self.leases.iter().filter(|(_, lease)| lease.ends > now);
                let alive = alive.map(|(node, lease)| {
                    let who = Incarnation {
                        node: node.clone(),
                        generation: lease.generation,
                    };
                    (who, lease.drains)
                });
                let journals = self.journals.iter().map(|(who, journal)| JournalInfo {
                    who: who.clone(),
                    sealed: journal.sealed.is_some(),
                });
                Reply::Looked(alive.collect(), journals.collect())
            }
            Call::Lineage => Reply::Lineage(format!("l{}", self.lineage)),
            Call::Own(who, request, known) => Reply::Own(self.own(who, request, *known, mutation)),
            Call::Ask(by, ask) => Reply::Ask(self.ask(by, ask, mutation)),
            Call::Place(room, placement) => Reply::Placed(self.place(*room, placement)),
            Call::Claim(room, from, to) => Reply::Claimed(self.claim(*room, from, to, mutation)),
            Call::Remove(room, generation) => {
                let held = self.placements.get(room);
                if held.is_some_and(|held| held.generation <= *generation) {
                    self.placements.remove(room);
                }
                Reply::Removed
            }
            Call::Find(room) => Reply::Found(self.placements.get(room).cloned()),
        }
    }

    fn renew(&mut self, now: Timestamp, who: &Incarnation, drains: bool) -> bool {
        let held = self.leases.get(&who.node);
        if held.is_some_and(|held| held.generation > who.generation) {
            return false;
        }
        let lease = Lease {
            generation: who.generation,
            ends: now + TTL,
            drains,
        };
        self.leases.insert(who.node.clone(), lease);
        true
    }

    fn own(
        &mut self,
        who: &Incarnation,
        request: &Request,
        known: Known,
        mutation: Option<Mutation>,
    ) -> Written {
        if self.retired.contains(who) {
            return Written::Sealed;
        }
        let lineage = self.lineage;
        if let Request::Open { after } = request {
            let anew = || Journal {
                last: *after,
                ..Journal::default()
            };
            let journal = self.journals.entry(who.clone()).or_insert_with(anew);
            if journal.sealed.is_some() {
                return Written::Sealed;
            }
            if journal.last < *after {
                *journal = anew();
            }
            return Written::Done;
        }
        let Some(journal) = self.journals.get_mut(who) else {
            return Written::Missing;
        };
        match request {
            Request::Open { .. } => Written::Done,
            Request::Append { first, entries } => journal.append(*first, entries, mutation),
            Request::Checkpoint(checkpoints) => {
                // Only who has seen this lineage before can say that all that was confirmed is here.
                let is_known = known
                    .server
                    .is_some_and(|server| server.lineage() == lineage);
                let vouches = is_known && journal.last >= known.confirmed;
                let lineage = vouches.then_some(lineage);
                journal.checkpoint(checkpoints, lineage, mutation)
            }
        }
    }

    fn ask(&mut self, by: &Incarnation, ask: &Ask, mutation: Option<Mutation>) -> Answer {
        match ask {
            Ask::Seal(who) => {
                let lineage = self.lineage;
                let seal = self.journals.get_mut(who).map(|journal| {
                    let seal = journal.seal(by, lineage);
                    if mutation == Some(Mutation::NoSeal) {
                        journal.sealed = None;
                    }
                    seal
                });
                Answer::Sealed(seal)
            }
            Ask::Estate(who) => {
                let journal = self.journals.get(who);
                let is_sealed = journal.is_none_or(|journal| journal.sealed.is_some());
                match is_sealed || mutation == Some(Mutation::NoSeal) {
                    true => Answer::Estate(self.estate(who)),
                    false => Answer::Unknown, // it refuses
                }
            }
            Ask::Find(_, rooms) => {
                let placements = rooms.iter().map(|room| self.placements.get(room).cloned());
                Answer::Found(placements.collect())
            }
            Ask::Claim { room, from, to } => Answer::Claimed(self.claim(*room, from, to, mutation)),
            Ask::Retire(who) => {
                self.journals.remove(who);
                if mutation != Some(Mutation::ForgottenSeal) {
                    self.retired.insert(who.clone());
                }
                Answer::Retired
            }
        }
    }

    pub(crate) fn estate(&self, who: &Incarnation) -> Estate {
        let Some(journal) = self.journals.get(who) else {
            return Estate::default();
        };
        let checkpoints = journal.checkpoints.iter();
        let entries = journal.entries.iter();
        Estate {
            checkpoints: checkpoints
                .map(|(room, bytes)| (*room, bytes.clone()))
                .collect(),
            entries: entries.map(|(seq, bytes)| (*seq, bytes.clone())).collect(),
        }
    }

    fn place(&mut self, room: RoomId, placement: &Placement) -> bool {
        if let Some(held) = self.placements.get(&room) {
            let twice = held.generation == placement.generation && held != placement;
            if held.generation > placement.generation || twice {
                return false;
            }
        }
        self.placements.insert(room, placement.clone());
        true
    }

    fn claim(
        &mut self,
        room: RoomId,
        from: &Placement,
        to: &Placement,
        mutation: Option<Mutation>,
    ) -> bool {
        let Some(held) = self.placements.get_mut(&room) else {
            return false;
        };
        if held == from || mutation == Some(Mutation::InexactClaim) {
            *held = to.clone();
        }
        held == to
    }
}

impl Journal {
    /// Why nothing can be written by an owner who knows everything up to `last` to be there.
    fn check(&self, last: Seq) -> Option<Written> {
        if self.sealed.is_some() {
            return Some(Written::Sealed);
        }
        (self.last < last).then_some(Written::Gap(self.last))
    }

    fn append(&mut self, first: Seq, entries: &[Bytes], mutation: Option<Mutation>) -> Written {
        match self.check(Seq(first.0.saturating_sub(1))) {
            Some(Written::Sealed) if mutation == Some(Mutation::AppendToSealed) => {}
            Some(refused) => return refused,
            None => {}
        }
        for (seq, entry) in (first.0..).map(Seq).zip(entries) {
            if seq > self.last {
                self.entries.insert(seq, entry.clone());
                self.last = seq;
            }
        }
        Written::Done
    }

    fn checkpoint(
        &mut self,
        checkpoints: &Checkpoints,
        lineage: Option<u64>,
        mutation: Option<Mutation>,
    ) -> Written {
        if let Some(refused) = self.check(checkpoints.last) {
            return refused;
        }
        if checkpoints.after > self.call && mutation != Some(Mutation::LostCall) {
            return Written::Gap(self.last);
        }
        if checkpoints.call <= self.call && mutation != Some(Mutation::LateCheckpoint) {
            return Written::Done;
        }
        self.call = checkpoints.call;
        self.lineage = lineage.unwrap_or(self.lineage);
        self.checkpoints.extend(checkpoints.rooms.iter().cloned());
        for room in &checkpoints.gone {
            self.checkpoints.remove(room);
        }
        self.entries = self.entries.split_off(&checkpoints.keep_from);
        Written::Done
    }

    fn seal(&mut self, by: &Incarnation, lineage: u64) -> Seal {
        let seal = self.sealed.get_or_insert_with(|| Seal {
            by: by.clone(),
            last: self.last,
            is_suspect: self.lineage != lineage,
        });
        seal.clone()
    }
}

/// A process of the store with the replica that follows it.
#[derive(Debug)]
struct Server {
    state: State,
    replica: State,
    /// What the replica has not executed: when it will, and when the primary did.
    log: VecDeque<(Timestamp, Timestamp, Call)>,
    /// When the replica has everything.
    caught_up: Timestamp,
    /// When its replica became the primary.
    alone: Option<Timestamp>,
    /// When it stopped serving.
    died: Option<Timestamp>,
}

/// Which process of the store a connection leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ServerIndex(usize);

impl ServerIndex {
    /// Each primary has its own.
    fn lineage(self) -> u64 {
        self.0 as u64 + 1
    }
}

/// The store.
#[derive(Debug)]
pub(crate) struct Store {
    servers: Vec<Server>,
    /// Whether seals and claims wait for the replica.
    waits: bool,
    /// How far the replica is behind from now on.
    pub(crate) lag: Duration,
    /// Nobody is served before this.
    pub(crate) up_from: Timestamp,
    mutation: Option<Mutation>,
}

/// Longest time that an answer waits for the replica.
const LONGEST_WAIT: Duration = Duration::from_millis(400);

/// What a replica needs to copy what a new primary holds.
const RESYNC: Duration = Duration::from_millis(300);

impl Store {
    pub(crate) fn new(waits: bool, mutation: Option<Mutation>) -> Self {
        let waits = waits && mutation != Some(Mutation::NotDurable);
        let mut store = Self {
            servers: Vec::new(),
            waits,
            lag: Duration::from_millis(2),
            up_from: Timestamp(0),
            mutation,
        };
        store.begin(State::default(), Timestamp(0));
        store
    }

    /// A primary, and a replica that has yet to copy what it holds.
    fn begin(&mut self, mut state: State, caught_up: Timestamp) {
        state.lineage = ServerIndex(self.servers.len()).lineage();
        self.servers.push(Server {
            replica: state.clone(),
            state,
            log: VecDeque::new(),
            caught_up,
            alone: None,
            died: None,
        });
    }

    /// The process that is the primary.
    pub(crate) fn primary(&self) -> ServerIndex {
        ServerIndex(self.servers.len() - 1)
    }

    /// What the primary holds.
    pub(crate) fn state(&self) -> &State {
        &self.servers[self.primary().0].state
    }

    /// The answer and when it can be given; `None` if there is none.
    pub(crate) fn execute(
        &mut self,
        now: Timestamp,
        server: ServerIndex,
        call: &Call,
    ) -> Option<(Reply, Timestamp)> {
        if now < self.up_from {
            return None;
        }
        let server = &mut self.servers[server.0];
        if server.died.is_some() {
            return None;
        }
        let reply = server.state.execute(now, call, self.mutation);
        if call.is_write() {
            server.caught_up = server.caught_up.max(now + self.lag);
            server.log.push_back((server.caught_up, now, call.clone()));
            server.replicate(now, self.mutation);
        }
        if !self.waits || !call.is_durable() {
            return Some((reply, now));
        }
        let at = server.caught_up.max(now);
        (server.alone.is_none() && at <= now + LONGEST_WAIT).then_some((reply, at))
    }

    /// Whether `server` is there.
    pub(crate) fn is_up(&self, server: ServerIndex) -> bool {
        self.servers[server.0].died.is_none()
    }

    /// Whether `server` could answer `call` at `at`: it lived, and its replica followed it.
    pub(crate) fn gave(&self, server: ServerIndex, call: &Call, at: Timestamp) -> bool {
        let server = &self.servers[server.0];
        let is_alone = server.alone.is_some_and(|alone| alone < at);
        let waited = self.waits && call.is_durable();
        server.died.is_none_or(|died| at <= died) && !(is_alone && waited)
    }

    /// Whether anybody is served.
    pub(crate) fn serves(&self, now: Timestamp) -> bool {
        now >= self.up_from
    }

    /// The replica takes the primary's place. The old one dies, or serves on those that are still
    /// connected to it.
    pub(crate) fn fail_over(&mut self, now: Timestamp, old_lives: bool) {
        let server = self.servers.last_mut().expect("there is a primary");
        server.replicate(now, self.mutation);
        server.died = (!old_lives).then_some(now);
        server.alone = Some(now);
        let state = server.replica.clone();
        self.begin(state, now + RESYNC);
    }

    /// The primary comes back without anything.
    pub(crate) fn wipe(&mut self, now: Timestamp) {
        self.stop_old(now);
        self.servers.last_mut().expect("there is a primary").died = Some(now);
        self.begin(State::default(), now + RESYNC);
    }

    /// Ends old primaries.
    pub(crate) fn stop_old(&mut self, now: Timestamp) {
        let (_, old) = self.servers.split_last_mut().expect("there is a primary");
        for server in old {
            server.died.get_or_insert(now);
        }
    }
}

impl Server {
    fn replicate(&mut self, now: Timestamp, mutation: Option<Mutation>) {
        while let Some((_, at, call)) = self.log.pop_front_if(|(arrives, ..)| *arrives <= now) {
            self.replica.execute(at, &call, mutation);
        }
    }
}
