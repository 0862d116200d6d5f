//! A day of a queue in virtual time, from event to event.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Duration;

use matcher::config::Mode;
use matcher::pairing::{Limits, Proposal, Queue};
use matcher::ticket::Ticket;
use protocol::id::TicketId;
use protocol::time::Timestamp;

use crate::population::{Group, Population, bot};
use crate::scenario::Scenario;
use crate::trace::{Formed, Outcome, Trace, Wish};

/// As in the matcher: rounds are held at most this often, and are bounded.
const PACE: Duration = Duration::from_millis(10);
const LIMITS: Limits = Limits {
    matches: 256,
    searches: 1_000,
};

/// Names of bots' tickets begin here; those of people are their places in the trace.
const BOTS: u64 = 1 << 48;

/// Runs the scenario with the windows and rules of `mode`.
pub fn run(scenario: &Scenario, mode: &Mode) -> Trace {
    let mut population = Population::new(scenario, mode);
    let mut world = World::new(scenario, mode, population.end());
    let mut coming = population.next();
    while let Some(at) = world.next(coming.as_ref()) {
        if coming.as_ref().is_some_and(|group| group.at == at) {
            if let Some(group) = coming.take() {
                world.groups.push(group);
                world.queue_up(world.groups.len() - 1, at);
            }
            coming = population.next();
        } else if world.agenda.peek().is_some_and(|next| next.0.at == at) {
            if let Some(Reverse(entry)) = world.agenda.pop() {
                world.happens(entry.what, at);
            }
        } else {
            world.round(at);
        }
    }
    world.trace
}

struct World<'a> {
    scenario: &'a Scenario,
    mode: &'a Mode,
    queue: Queue,
    agenda: BinaryHeap<Reverse<Entry>>,
    /// Entries so far: those of one moment happen in the order in which they were made.
    entries: u64,
    groups: Vec<Group>,
    /// The group of each ticket.
    owners: Vec<usize>,
    bots: u64,
    last_round: Timestamp,
    trace: Trace,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    at: Timestamp,
    number: u64,
    what: Event,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    /// A group queues again.
    Again(usize),
    /// The people of a ticket give up, if they still wait.
    GivesUp(usize),
    /// A bot queues.
    Bot,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, mode: &'a Mode, end: Timestamp) -> Self {
        let began = crate::population::BEGINNING;
        let mut world = Self {
            scenario,
            mode,
            queue: Queue::default(),
            agenda: BinaryHeap::new(),
            entries: 0,
            groups: Vec::new(),
            owners: Vec::new(),
            bots: 0,
            last_round: began,
            trace: Trace {
                began,
                ended: end,
                regions: scenario.regions.keys().cloned().collect(),
                tickets: Vec::new(),
                matches: Vec::new(),
            },
        };
        let bots = if mode.bots { scenario.bots } else { 0 };
        for _ in 0..bots {
            world.plan(began, Event::Bot);
        }
        world
    }

    /// When something happens next; never, after the end.
    fn next(&self, coming: Option<&Group>) -> Option<Timestamp> {
        let soonest = self.last_round + PACE;
        let moments = [
            coming.map(|group| group.at),
            self.agenda.peek().map(|entry| entry.0.at),
            self.queue.next_try().map(|at| at.max(soonest)),
        ];
        let next = moments.into_iter().flatten().min();
        next.filter(|at| *at < self.trace.ended)
    }

    fn plan(&mut self, at: Timestamp, what: Event) {
        self.entries += 1;
        let number = self.entries;
        self.agenda.push(Reverse(Entry { at, number, what }));
    }

    fn happens(&mut self, what: Event, now: Timestamp) {
        match what {
            Event::Again(group) => self.queue_up(group, now),
            Event::GivesUp(place) => {
                let wish = &mut self.trace.tickets[place];
                if wish.outcome == Outcome::Waits {
                    wish.outcome = Outcome::GaveUp { at: now };
                    self.queue.remove(TicketId(place as u64));
                }
            }
            Event::Bot => {
                self.bots += 1;
                let ticket = bot(TicketId(BOTS + self.bots), self.scenario, now);
                self.queue.insert(Arc::new(ticket), now);
            }
        }
    }

    fn queue_up(&mut self, group: usize, now: Timestamp) {
        let place = self.trace.tickets.len();
        let id = TicketId(place as u64);
        let (ticket, gives_up) = self.groups[group].ticket(id, self.scenario, self.mode, now);
        self.owners.push(group);
        self.trace.tickets.push(Wish {
            came: now,
            size: ticket.size(),
            rating: ticket.rating(),
            home: self.groups[group].home,
            outcome: Outcome::Waits,
        });
        self.plan(gives_up, Event::GivesUp(place));
        self.queue.insert(Arc::new(ticket), now);
    }

    fn round(&mut self, now: Timestamp) {
        self.last_round = now;
        for proposal in self.queue.pass(self.mode, now, LIMITS) {
            self.begin(&proposal, now);
        }
    }

    fn begin(&mut self, proposal: &Proposal, now: Timestamp) {
        let place = self.trace.matches.len();
        let mut formed = Formed {
            at: now,
            region: None,
            spread: proposal.spread,
            people: 0,
            bots: 0,
            latency_ms: (u32::MAX, 0),
        };
        if let Some(region) = &proposal.region {
            let mut names = self.trace.regions.iter();
            formed.region = names.position(|name| name == region);
        }
        for seated in &proposal.tickets {
            if seated.ticket.is_bot() {
                formed.bots += 1;
                self.plan(now + self.scenario.sessions.match_length, Event::Bot);
                continue;
            }
            let latency_ms = latency(&seated.ticket, proposal);
            let (least, most) = formed.latency_ms;
            formed.latency_ms = (least.min(latency_ms), most.max(latency_ms));
            formed.people += seated.ticket.size();
            let ticket = usize::try_from(seated.ticket.id.0).expect("it is a place");
            self.trace.tickets[ticket].outcome = Outcome::Matched { place, latency_ms };
            let group = self.owners[ticket];
            if let Some(at) = self.groups[group].again(self.scenario, now) {
                self.plan(at, Event::Again(group));
            }
        }
        self.trace.matches.push(formed);
    }
}

fn latency(ticket: &Ticket, proposal: &Proposal) -> u32 {
    let there = proposal.region.as_ref();
    let there = there.and_then(|region| ticket.regions.get(region));
    there.copied().unwrap_or_default()
}
