//! The world of one seed.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use engine::Incarnation;
use protocol::id::RoomId;
use protocol::random::Random;
use protocol::time::Timestamp;
use syncd::ownership::claims::{Answer, Ask};

use crate::faults::{self, Level};
use crate::history::{Counts, History, Violation};
use crate::mutation::Mutation;
use crate::node::{self, Context, Host};
use crate::observer::{self, Observer};
use crate::store::{Call, Reply, Store, TTL};
use crate::toy::SEATS;
use crate::wire::{Event, Message, Party, Sent, Wire};

/// Nodes of a world.
const NODES: usize = 3;

/// A tick takes so long.
const TICK: Duration = Duration::from_millis(200);

/// And on a node that has nothing to do.
const IDLE_TICK: Duration = Duration::from_millis(700);

/// After the last fault every room that can go on goes on within this time: a lease, a pause of a
/// lease, and what it takes to restore.
const RECOVERY: Duration = Duration::from_secs(25);

/// Longest life of a world.
const END: Timestamp = Timestamp(400_000_000);

/// A process.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) host: Option<Host>,
    generation: u64,
    /// Which process of the name this is.
    run: u64,
    pub(crate) is_paused: bool,
    /// What came while it stood still.
    pub(crate) inbox: VecDeque<Event>,
    /// When the store last executed a renewal of its lease, whatever it remembers.
    renewed: Timestamp,
    /// When it had last gone without a lease.
    lapsed: Timestamp,
    /// Until when it was disturbed, or will be.
    pub(crate) troubled: Timestamp,
}

/// A room that is to be made.
#[derive(Debug, Clone)]
struct Plan {
    room: RoomId,
    length: u64,
    node: usize,
    tries: u32,
}

/// The world of one seed.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) wire: Wire,
    pub(crate) store: Store,
    pub(crate) nodes: Vec<Node>,
    pub(crate) history: History,
    observers: Vec<Observer>,
    plans: Vec<Plan>,
    lives: u64,
    workers: usize,
    mutation: Option<Mutation>,
    /// How far the replica is behind when all is well.
    pub(crate) lag: Duration,
    /// All faults are over from then on.
    quiet: Timestamp,
    /// When the store last lost anything.
    pub(crate) lost_at: Option<Timestamp>,
    /// Until when everybody was disturbed, or will be.
    pub(crate) troubled: Timestamp,
    /// Journals that were sealed, whatever the store remembers.
    sealed: BTreeSet<Incarnation>,
    is_over: bool,
}

/// What came of a seed.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) violation: Option<Violation>,
    pub(crate) counts: Counts,
}

/// Runs the world of `seed`.
pub(crate) fn run(seed: u64, mutation: Option<Mutation>, is_traced: bool) -> Outcome {
    World::new(seed, mutation, is_traced).run()
}

impl World {
    fn new(seed: u64, mutation: Option<Mutation>, is_traced: bool) -> Self {
        let mut random = Random::new(seed);
        let level = match random.below(3) {
            0 => Level::Nodes,
            _ => Level::Store,
        };
        let waits = level == Level::Store || random.below(2) == 0;
        let mut store = Store::new(waits, mutation);
        store.lag = Duration::from_millis([1, 5, 40, 200][random.below(4) as usize]);
        let lag = store.lag;
        let rooms = 2 + random.below(4) as usize;
        let crosses = random.below(4) == 0;
        let workers = 1 + random.below(2) as usize;
        let faults = faults::plan(&mut random, level, NODES);
        let mut wire = Wire::new(random, store.primary(), NODES, rooms * SEATS);
        wire.is_traced = is_traced;
        wire.crosses = crosses;
        let mut world = Self {
            wire,
            store,
            nodes: Vec::new(),
            history: History::default(),
            observers: Vec::new(),
            plans: Vec::new(),
            lives: 0,
            workers,
            mutation,
            lag,
            quiet: Timestamp(0),
            lost_at: None,
            troubled: Timestamp(0),
            sealed: BTreeSet::new(),
            is_over: false,
        };
        world.people(rooms);
        for (at, fault) in faults {
            world.quiet = world.quiet.max(at + fault.lasts());
            world.wire.push(at, Event::Fault(fault));
        }
        world.wire.push(Timestamp(1_000_000), Event::Watch);
        world
    }

    fn people(&mut self, rooms: usize) {
        for node in 0..NODES {
            self.nodes.push(Node {
                host: None,
                generation: 0,
                run: 0,
                is_paused: false,
                inbox: VecDeque::new(),
                renewed: Timestamp(0),
                lapsed: Timestamp(0),
                troubled: Timestamp(0),
            });
            self.start(node);
        }
        for index in 0..rooms {
            let room = RoomId(index as u64 + 1);
            let random = &mut self.wire.random;
            self.plans.push(Plan {
                room,
                length: 50 + random.below(90),
                node: random.below(NODES as u64) as usize,
                tries: 0,
            });
            let at = self.wire.now + self.wire.millis(300, 9_000);
            self.wire.push(at, Event::Open(index));
            for seat in 0..SEATS {
                let observer = self.observers.len();
                self.observers.push(Observer::new(observer, room, seat));
                let at = at + self.wire.millis(100, 900);
                self.wire.push(at, Event::Look(observer));
            }
        }
    }

    fn run(mut self) -> Outcome {
        while !self.is_over
            && self.history.violation.is_none()
            && let Some(event) = self.wire.pop()
        {
            self.handle(event);
        }
        self.history.close();
        self.history.counts.events = self.wire.events;
        Outcome {
            violation: self.history.violation,
            counts: self.history.counts,
        }
    }

    fn start(&mut self, index: usize) {
        let node = &mut self.nodes[index];
        node.run += 1;
        let run = node.run;
        self.rebirth(index);
        let at = self.wire.now + self.wire.millis(1, 200);
        self.wire.push(at, Event::Tick(index, run));
    }

    /// The process goes on as somebody new, without a room.
    fn rebirth(&mut self, index: usize) {
        self.lives += 1;
        let node = &mut self.nodes[index];
        node.generation += 1;
        let host = Host::new(
            index,
            self.lives,
            node.generation,
            self.workers,
            self.mutation,
        );
        node.host = Some(host);
    }

    fn handle(&mut self, event: Event) {
        let node = match &event {
            Event::ToNode(node, _) | Event::Tick(node, _) => Some(*node),
            Event::Answer(sent, _) => match sent.from {
                Party::Node(node) => Some(node),
                Party::Observer(_) => None,
            },
            _ => None,
        };
        match node {
            Some(node) if self.nodes[node].is_paused => self.nodes[node].inbox.push_back(event),
            Some(node) => self.node_event(node, event),
            None => self.world_event(event),
        }
    }

    pub(crate) fn node_event(&mut self, index: usize, event: Event) {
        let node = &mut self.nodes[index];
        let Some(host) = &mut node.host else {
            return;
        };
        let cx = &mut Context {
            wire: &mut self.wire,
            history: &mut self.history,
            mutation: self.mutation,
        };
        match event {
            Event::Tick(_, run) if run == node.run => {
                host.tick(cx);
                let next = if host.is_idle() { IDLE_TICK } else { TICK };
                cx.wire.after(next, Event::Tick(index, run));
            }
            Event::ToNode(_, message) => host.handle(*message, cx),
            Event::Answer(sent, reply) if sent.life == host.life => {
                let reply = reply.filter(|(_, at)| self.store.gave(sent.server, &sent.call, *at));
                cx.wire
                    .trace(|| format!("{} <- {:?}: {:?}", host.me, sent.call, reply));
                host.handle_answer(*sent, reply.map(|(reply, _)| reply), cx);
            }
            _ => return,
        }
        if host.own.is_sealed() {
            cx.wire.trace(|| format!("{} finds itself sealed", host.me));
            self.rebirth(index);
        }
    }

    fn world_event(&mut self, event: Event) {
        match event {
            Event::Execute(sent) => self.execute(sent),
            Event::Answer(sent, reply) => {
                if let Party::Observer(index) = sent.from {
                    let reply = reply.map(|(reply, _)| reply);
                    self.observers[index].found(reply, &mut self.wire, &self.history);
                }
            }
            Event::ToObserver(index, update) => {
                self.observers[index].update(*update, self.mutation, &mut self.history);
            }
            Event::Record(report) => {
                self.history.record(&report);
                let message = Message::Recorded {
                    room: report.room,
                    life: report.life,
                };
                self.wire.tell_node(report.node, message);
            }
            Event::Told(room) => self.history.story(room).is_told = true,
            Event::Look(index) => {
                let observer = &mut self.observers[index];
                observer.look(&mut self.wire, &self.history);
                if !observer.is_done {
                    let rhythm = observer::rhythm(&mut self.wire);
                    self.wire.after(rhythm, Event::Look(index));
                }
            }
            Event::Open(index) => self.open(index),
            Event::Watch => self.watch(),
            Event::Fault(fault) => self.strike(fault),
            Event::Restart(node) => self.start(node),
            Event::Wake(node) => self.wake(node),
            Event::Promote { old_lives } => {
                self.store.fail_over(self.wire.now, old_lives);
                self.moved("fail-over");
            }
            Event::Wiped => {
                self.store.wipe(self.wire.now);
                self.wire.stuck.fill(None);
                self.moved("wipe");
            }
            Event::StopOld => {
                self.store.stop_old(self.wire.now);
                self.wire.stuck.fill(None);
            }
            Event::ToNode(..) | Event::Tick(..) => {}
        }
    }

    fn moved(&mut self, what: &str) {
        self.history.may_break = true;
        self.wire.trace(|| what.to_owned());
        self.wire.primary = self.store.primary();
        self.check_lost();
    }

    fn open(&mut self, index: usize) {
        let plan = &mut self.plans[index];
        let story = self.history.story(plan.room);
        if story.is_told || plan.tries == 4 {
            return;
        }
        plan.tries += 1;
        let epoch = (plan.tries == 1).then(|| self.wire.random.next_u64());
        if let Some(epoch) = epoch {
            story.epoch = epoch;
        }
        let message = Message::Create {
            room: plan.room,
            length: plan.length,
            epoch,
        };
        self.wire.tell_node(plan.node, message);
        self.wire.after(Duration::from_secs(1), Event::Open(index));
    }

    fn execute(&mut self, mut sent: Box<Sent>) {
        if self.wire.crosses && !self.store.is_up(sent.server) {
            sent.server = self.store.primary();
        }
        let now = self.wire.now;
        if sent.server == self.store.primary() && self.store.serves(now) {
            self.before(&sent.call);
        }
        let reply = self.store.execute(now, sent.server, &sent.call);
        if reply.is_some() && sent.is_late() {
            self.wire.trace(|| format!("late: {:?}", sent.call));
        }
        if let Call::Ask(_, Ask::Seal(who)) = &sent.call
            && let Some((Reply::Ask(Answer::Sealed(Some(seal))), _)) = &reply
            && sent.server == self.store.primary()
            && self.sealed.insert(who.clone())
        {
            self.history.counts.seals += 1;
            self.wire.trace(|| format!("{who} is sealed: {seal:?}"));
        }
        self.wire.answer(sent, reply);
    }

    /// What is to be seen of the world before a call is executed.
    fn before(&mut self, call: &Call) {
        match call {
            Call::Renew(who, _) => {
                let node = &mut self.nodes[observer::node_of(who)];
                if self.wire.now.since(node.renewed) >= TTL {
                    node.lapsed = self.wire.now;
                }
                node.renewed = self.wire.now;
            }
            Call::Ask(_, Ask::Seal(who)) => {
                let index = observer::node_of(who);
                let node = &mut self.nodes[index];
                if node.host.as_ref().is_none_or(|host| host.me != *who) {
                    return;
                }
                let has_lapsed = self.lost_at.is_some_and(|lost| node.lapsed >= lost);
                let was_cut_off = has_lapsed || self.wire.now.since(node.renewed) >= TTL;
                if let Some(host) = node.host.take() {
                    self.check_left(&host, was_cut_off);
                    self.nodes[index].host = Some(host);
                }
            }
            Call::Claim(room, from, to) => self.check_handed(*room, from, to),
            _ => {}
        }
    }

    /// Whether a journal was sealed, whatever the store remembers.
    pub(crate) fn was_sealed(&self, who: &Incarnation) -> bool {
        self.sealed.contains(who)
    }

    /// What is kept is bounded, at owners and in the store.
    fn check_bounds(&mut self) {
        let journals = self.store.state().journals.values();
        let stored =
            journals.map(|journal| journal.entries.values().map(|entry| entry.len()).sum());
        let owners = self.nodes.iter().filter_map(|node| node.host.as_ref());
        let kept = owners.map(|host| host.own.kept_bytes());
        let most: usize = stored.chain(kept).max().unwrap_or_default();
        if most > 2 * node::KEPT {
            self.history
                .violate("I5", format!("a journal has {most} bytes"));
        }
    }

    /// Looks whether everything goes on that should, and whether there is anything left to see.
    fn watch(&mut self) {
        let now = self.wire.now;
        self.wire.after(Duration::from_secs(1), Event::Watch);
        self.check_bounds();
        if now < self.quiet + RECOVERY {
            return;
        }
        let mut open = Vec::new();
        for (room, story) in &self.history.stories {
            if story.is_told && story.result.is_none() && story.lost.is_none() {
                open.push(*room);
            }
        }
        let hosts = || self.nodes.iter().filter_map(|node| node.host.as_ref());
        for room in &open {
            let runs = hosts().filter(|host| host.rooms.contains_key(room)).count();
            if runs != 1 {
                let what = format!("{room} is at {runs} nodes though all is quiet");
                return self.history.violate("I5", what);
            }
        }
        let mut journals = self.store.state().journals.keys();
        let dead = journals
            .find(|who| !hosts().any(|host| host.me == **who))
            .cloned();
        let is_idle = hosts().all(Host::is_idle);
        self.is_over = open.is_empty() && dead.is_none() && is_idle;
        if now > END && !self.is_over {
            let what = format!("open {open:?}, dead journal {dead:?}, idle {is_idle}");
            self.history.violate("I5", what);
        }
        if self.is_over {
            self.history.counts.leaked += self.store.state().placements.len() as u64;
        }
    }
}
