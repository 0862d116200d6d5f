//! Virtual time, and the network: what is sent arrives later, or not, or when nobody waits for it
//! any more.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

use engine::{Incarnation, Placement};
use protocol::id::RoomId;
use protocol::random::Random;
use protocol::time::Timestamp;

use crate::faults::Fault;
use crate::store::{Call, Reply, ServerIndex};
use crate::toy::{SEATS, Toy};

/// How long a call to the store is waited for.
const DEADLINE: Duration = Duration::from_millis(500);

/// Who talks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Party {
    Node(usize),
    Observer(usize),
}

/// A call on its way to the store.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) from: Party,
    /// Which life of the sender waits for the answer.
    pub(crate) life: u64,
    pub(crate) server: ServerIndex,
    pub(crate) call: Call,
    deadline: Timestamp,
    /// Nobody waits any more.
    is_late: bool,
}

/// What nodes are told by others than the store.
#[derive(Debug, Clone)]
pub(crate) enum Message {
    /// Make this room, with this epoch; `None`: say whether it was made.
    Create {
        room: RoomId,
        length: u64,
        epoch: Option<u64>,
    },
    Poll(Poll),
    /// Take this room over.
    Give {
        room: Toy,
        from: Placement,
        giver: usize,
    },
    /// Whether it was taken.
    Given {
        room: RoomId,
        from: Placement,
        taken: bool,
    },
    /// A result is recorded.
    Recorded {
        room: RoomId,
        life: u64,
    },
}

/// An observer asks for what it does not have.
#[derive(Debug, Clone)]
pub(crate) struct Poll {
    pub(crate) observer: usize,
    pub(crate) room: RoomId,
    pub(crate) seat: usize,
    pub(crate) connection: u64,
    pub(crate) owner: Incarnation,
    pub(crate) epoch: u64,
    pub(crate) have: u64,
    /// Inputs that are not durable as far as it knows: after the first number, up to the second.
    pub(crate) inputs: (u64, u64),
}

/// What an observer is told.
#[derive(Debug, Clone)]
pub(crate) struct Update {
    pub(crate) connection: u64,
    /// `None`: the room is not here.
    pub(crate) body: Option<Body>,
}

#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) generation: u64,
    pub(crate) epoch: u64,
    pub(crate) first: u64,
    pub(crate) events: Vec<u64>,
    pub(crate) durable: u64,
    pub(crate) is_over: bool,
}

/// A room's end on its way to where results are kept.
#[derive(Debug, Clone)]
pub(crate) struct Report {
    pub(crate) node: usize,
    pub(crate) life: u64,
    pub(crate) room: RoomId,
    pub(crate) hash: u64,
    pub(crate) epoch: u64,
    pub(crate) cursors: [u64; SEATS],
    pub(crate) is_torn: bool,
}

/// What happens at a time.
#[derive(Debug)]
pub(crate) enum Event {
    Execute(Box<Sent>),
    /// The answer, with when the store gave it.
    Answer(Box<Sent>, Option<(Reply, Timestamp)>),
    ToNode(usize, Box<Message>),
    ToObserver(usize, Box<Update>),
    Record(Box<Report>),
    /// The creation of a room is answered.
    Told(RoomId),
    /// A node's clock; of this process.
    Tick(usize, u64),
    /// An observer's clock.
    Look(usize),
    Open(usize),
    Watch,
    Fault(Fault),
    Restart(usize),
    Wake(usize),
    Promote {
        old_lives: bool,
    },
    Wiped,
    StopOld,
}

/// Time and network.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) now: Timestamp,
    pub(crate) random: Random,
    queue: BinaryHeap<Reverse<Queued>>,
    count: u64,
    /// The process of the store that new connections lead to.
    pub(crate) primary: ServerIndex,
    /// Nodes that are still connected to another one.
    pub(crate) stuck: Vec<Option<ServerIndex>>,
    /// Nodes that do not reach the store, until then.
    pub(crate) cut: Vec<Timestamp>,
    /// Nodes that nobody but the store reaches, until then.
    pub(crate) isolated: Vec<Timestamp>,
    /// How many calls in a thousand are lost.
    pub(crate) loss: u64,
    /// Longest way, in microseconds.
    pub(crate) longest: u64,
    /// Calls may reach a later process of the store than the one that they were sent to.
    pub(crate) crosses: bool,
    lanes: Vec<[Timestamp; 2]>,
    pub(crate) is_traced: bool,
    pub(crate) events: u64,
}

#[derive(Debug)]
struct Queued {
    at: Timestamp,
    number: u64,
    event: Event,
}

impl Sent {
    /// Whether nobody waits for it any more.
    pub(crate) fn is_late(&self) -> bool {
        self.is_late
    }

    /// When it was sent.
    pub(crate) fn at(&self) -> Timestamp {
        self.deadline - DEADLINE
    }
}

impl Wire {
    pub(crate) fn new(
        random: Random,
        primary: ServerIndex,
        nodes: usize,
        observers: usize,
    ) -> Self {
        Self {
            now: Timestamp(0),
            random,
            queue: BinaryHeap::new(),
            count: 0,
            primary,
            stuck: vec![None; nodes],
            cut: vec![Timestamp(0); nodes],
            isolated: vec![Timestamp(0); nodes],
            loss: 0,
            longest: 4_000,
            crosses: false,
            lanes: vec![[Timestamp(0); 2]; observers],
            is_traced: false,
            events: 0,
        }
    }

    /// Lets `event` happen at `at`.
    pub(crate) fn push(&mut self, at: Timestamp, event: Event) {
        self.count += 1;
        let number = self.count;
        self.queue.push(Reverse(Queued { at, number, event }));
    }

    /// Lets `event` happen after `delay`.
    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        self.push(self.now + delay, event);
    }

    /// The next event; time goes on to it.
    pub(crate) fn pop(&mut self) -> Option<Event> {
        let Reverse(next) = self.queue.pop()?;
        self.now = next.at;
        self.events += 1;
        Some(next.event)
    }

    /// A line for who reads along.
    pub(crate) fn trace(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:>11.6} {}", self.now.0 as f64 / 1e6, line());
        }
    }

    /// Whether something of this probability in a thousand happens.
    pub(crate) fn chance(&mut self, per_mille: u64) -> bool {
        self.random.below(1000) < per_mille
    }

    /// Between `from` and `to` milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.random.below(to - from + 1))
    }

    fn way(&mut self) -> Duration {
        Duration::from_micros(500 + self.random.below(self.longest))
    }

    /// Sends a call to the store.
    pub(crate) fn ask(&mut self, from: Party, life: u64, call: Call) {
        let server = match from {
            Party::Node(node) => self.stuck[node].unwrap_or(self.primary),
            Party::Observer(_) => self.primary,
        };
        let deadline = self.now + DEADLINE;
        let mut sent = Box::new(Sent {
            from,
            life,
            server,
            call,
            deadline,
            is_late: false,
        });
        let way = self.way();
        if self.is_lost(from) {
            if self.chance(400) {
                let mut late = sent.clone();
                late.is_late = true;
                let delay = self.millis(1, 6000);
                self.after(delay, Event::Execute(late));
            }
            sent.is_late = true;
            return self.push(deadline, Event::Answer(sent, None));
        }
        self.after(way, Event::Execute(sent));
    }

    /// Sends what the store answered at `at`.
    pub(crate) fn answer(&mut self, sent: Box<Sent>, reply: Option<(Reply, Timestamp)>) {
        if sent.is_late {
            return;
        }
        let (lost, way) = (self.is_lost(sent.from), self.way());
        let deadline = sent.deadline;
        match reply {
            Some((reply, at)) if !lost && at + way < deadline => {
                self.push(at + way, Event::Answer(sent, Some((reply, at))));
            }
            _ => self.push(deadline.max(self.now), Event::Answer(sent, None)),
        }
    }

    fn is_lost(&mut self, party: Party) -> bool {
        let cut = matches!(party, Party::Node(node) if self.now < self.cut[node]);
        cut || self.chance(self.loss)
    }

    /// Sends to a node; whether it may get there.
    pub(crate) fn tell_node(&mut self, node: usize, message: Message) {
        if self.now < self.isolated[node] {
            return;
        }
        let way = self.way();
        self.after(way, Event::ToNode(node, Box::new(message)));
    }

    /// Sends a result, which gets there or not.
    pub(crate) fn report(&mut self, report: Report) {
        let way = self.way();
        if self.now >= self.isolated[report.node] && !self.chance(self.loss) {
            self.after(way, Event::Record(Box::new(report)));
        }
    }

    /// An observer asks a node.
    pub(crate) fn poll(&mut self, node: usize, poll: Poll) {
        if self.now < self.isolated[node] {
            return;
        }
        let at = self.lane(poll.observer, 0);
        self.push(at, Event::ToNode(node, Box::new(Message::Poll(poll))));
    }

    /// A node tells an observer; `false` if the connection is broken.
    pub(crate) fn update(&mut self, node: usize, observer: usize, update: Update) -> bool {
        if self.now < self.isolated[node] {
            return false;
        }
        let at = self.lane(observer, 1);
        self.push(at, Event::ToObserver(observer, Box::new(update)));
        true
    }

    /// What goes one way between an observer and its node stays in order.
    fn lane(&mut self, observer: usize, direction: usize) -> Timestamp {
        let at = (self.now + self.way()).max(self.lanes[observer][direction]);
        self.lanes[observer][direction] = at;
        at
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}
