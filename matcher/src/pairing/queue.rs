//! The queue of one mode as a matcher keeps it: what comes and goes costs O(log n).

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use protocol::id::TicketId;
use protocol::time::Timestamp;

use super::groups::{Group, Groups};
use super::regions::{Names, Regions, bit_of};
use super::{Proposal, retry};
use crate::config::Mode;
use crate::ticket::{Age, Ticket};

/// People whom a bot that comes is offered to, oldest first.
const OFFERED: usize = 256;

/// The order of people: by group, rating, and age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) group: Group,
    pub(super) rating: i32,
    pub(super) age: Age,
}

/// Tickets that wait for one mode, and when each is to be tried next.
#[derive(Debug, Default)]
pub struct Queue {
    /// Those of people.
    pub(super) people: BTreeMap<Key, Entry>,
    /// Their groups and ratings, by age.
    ages: BTreeMap<Age, (Group, i32)>,
    /// Those of bots, by age.
    pub(super) bots: BTreeMap<Age, Arc<Ticket>>,
    /// All of them by name.
    known: HashMap<TicketId, Place>,
    /// When tickets of people are to be tried.
    tries: BTreeSet<(Timestamp, Age)>,
    pub(super) names: Names,
    groups: Groups,
    players: usize,
    /// A bot has come since the last pass.
    offer_bots: bool,
}

/// Bounds of one pass. What it does not come to is done by the next.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Matches that it proposes.
    pub matches: usize,
    /// Searches around an anchor, about: a ticket that is begun with is tried to the end.
    pub searches: usize,
}

/// A ticket of people.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) ticket: Arc<Ticket>,
    pub(super) size: u8,
    pub(super) deviation: u32,
    /// Bits of its regions, with the latencies. None: anywhere.
    pub(super) regions: Vec<(u8, u32)>,
    next_try: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    People(Key),
    Bots(Age),
}

impl Queue {
    /// Puts a ticket in, to be tried at `try_at`; it may be in others' matches at once. One that is
    /// there already stays as it is.
    pub fn insert(&mut self, ticket: Arc<Ticket>, try_at: Timestamp) {
        if self.known.contains_key(&ticket.id) {
            return;
        }
        self.players += ticket.members.len();
        if ticket.is_bot() {
            self.known.insert(ticket.id, Place::Bots(ticket.age()));
            self.bots.insert(ticket.age(), ticket);
            self.offer_bots = true;
            return;
        }
        let key = Key {
            group: self.groups.take(&ticket),
            rating: ticket.rating(),
            age: ticket.age(),
        };
        let measured = ticket.regions.iter();
        let regions = measured
            .filter_map(|(name, latency)| Some((self.names.take(name)?, *latency)))
            .collect();
        self.known.insert(ticket.id, Place::People(key));
        self.ages.insert(key.age, (key.group, key.rating));
        self.tries.insert((try_at, key.age));
        let entry = Entry {
            size: ticket.size(),
            deviation: ticket.deviation(),
            ticket,
            regions,
            next_try: Some(try_at),
        };
        self.people.insert(key, entry);
    }

    /// Takes a ticket out. Gives it, if it was there.
    pub fn remove(&mut self, id: TicketId) -> Option<Arc<Ticket>> {
        let ticket = match self.known.remove(&id)? {
            Place::Bots(age) => self.bots.remove(&age)?,
            Place::People(key) => {
                self.ages.remove(&key.age);
                let entry = self.people.remove(&key)?;
                if let Some(at) = entry.next_try {
                    self.tries.remove(&(at, key.age));
                }
                self.groups.give_back(&entry.ticket);
                for (bit, _) in entry.regions {
                    self.names.give_back(bit);
                }
                entry.ticket
            }
        };
        self.players -= ticket.members.len();
        Some(ticket)
    }

    /// Whether a ticket is there.
    pub fn contains(&self, id: TicketId) -> bool {
        self.known.contains_key(&id)
    }

    /// The tickets, by name.
    pub fn ids(&self) -> impl Iterator<Item = TicketId> + '_ {
        self.known.keys().copied()
    }

    /// How many tickets there are.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// How many players are on them.
    pub fn players(&self) -> usize {
        self.players
    }

    /// Bots that wait, oldest first, at most so many.
    pub fn bots(&self, most: usize) -> Vec<Arc<Ticket>> {
        self.bots.values().take(most).cloned().collect()
    }

    /// When a pass has something to do, as things stand.
    pub fn next_try(&self) -> Option<Timestamp> {
        if self.offer_bots {
            return Some(Timestamp(0));
        }
        self.tries.first().map(|(at, _)| *at)
    }

    /// All tickets are to be tried anew: what makes a match has changed.
    pub fn try_all(&mut self, now: Timestamp) {
        self.tries.clear();
        for (key, entry) in &mut self.people {
            entry.next_try = Some(now);
            self.tries.insert((now, key.age));
        }
    }

    /// Proposes matches, whose tickets are taken out. No ticket is in two.
    pub fn pass(&mut self, mode: &Mode, now: Timestamp, limits: Limits) -> Vec<Proposal> {
        if std::mem::take(&mut self.offer_bots) {
            self.offer_to_people(mode, now);
        }
        let mut proposals = Vec::new();
        let mut tried = Tried::default();
        for age in self.due(now, limits) {
            if proposals.len() == limits.matches || tried.len() >= limits.searches {
                break;
            }
            let Some(key) = self.key_of(age) else {
                continue; // in a match of this pass
            };
            if self.try_ticket(mode, now, key, limits, &mut tried, &mut proposals) {
                self.schedule(key, retry::next(mode, age.0, now));
            }
        }
        proposals
    }

    /// Tickets whose time has come, oldest first; of very many, those whose time came first.
    fn due(&self, now: Timestamp, limits: Limits) -> Vec<Age> {
        let due = self.tries.iter().take_while(|(at, _)| *at <= now);
        let most = limits.searches.saturating_mul(4);
        let mut due: Vec<Age> = due.take(most).map(|(_, age)| *age).collect();
        due.sort_unstable();
        due
    }

    /// Forms matches until this ticket is in one, or cannot be. Gives whether that is settled and
    /// the ticket still there.
    fn try_ticket(
        &mut self,
        mode: &Mode,
        now: Timestamp,
        key: Key,
        limits: Limits,
        tried: &mut Tried,
        proposals: &mut Vec<Proposal>,
    ) -> bool {
        for anchor in self.anchors(mode, now, key) {
            if proposals.len() == limits.matches {
                return false;
            }
            if !self.people.contains_key(&anchor) || !tried.insert(anchor.age) {
                continue;
            }
            let Some(proposal) = self.match_of(mode, now, anchor) else {
                continue;
            };
            for seated in &proposal.tickets {
                self.remove(seated.ticket.id);
            }
            proposals.push(proposal);
            if !self.people.contains_key(&key) {
                return false;
            }
        }
        true
    }

    fn offer_to_people(&mut self, mode: &Mode, now: Timestamp) {
        if !mode.bots {
            return;
        }
        let old = self.ages.iter();
        let old = old.take_while(|(age, _)| now.since(age.0) >= mode.bots_after);
        let keys: Vec<Key> = old
            .take(OFFERED)
            .map(|(age, place)| key_at(*age, *place))
            .collect();
        for key in keys {
            self.schedule(key, Some(now));
        }
    }

    fn key_of(&self, age: Age) -> Option<Key> {
        self.ages.get(&age).map(|place| key_at(age, *place))
    }

    fn schedule(&mut self, key: Key, at: Option<Timestamp>) {
        let Some(entry) = self.people.get_mut(&key) else {
            return;
        };
        if let Some(before) = entry.next_try {
            self.tries.remove(&(before, key.age));
        }
        entry.next_try = at;
        if let Some(at) = at {
            self.tries.insert((at, key.age));
        }
    }
}

fn key_at(age: Age, (group, rating): (Group, i32)) -> Key {
    Key { group, rating, age }
}

impl Entry {
    /// The regions that it accepts, up to so many milliseconds.
    pub(super) fn near(&self, limit: u32) -> Regions {
        let near = self.regions.iter().filter(|(_, latency)| *latency <= limit);
        near.fold(0, |set, (bit, _)| set | bit_of(*bit))
    }
}

/// Anchors that a pass has tried: without a match then, they have none later in it.
type Tried = HashSet<Age>;
