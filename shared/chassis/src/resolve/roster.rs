//! What to ask, what to probe and what to offer for one name. No I/O and no clock.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Endpoints;

/// Addresses of one name that are used; of more, those that come first in order.
pub(super) const MAX_ADDRESSES: usize = 64;

/// A name is never asked for more often, whatever its time to live.
pub(super) const FLOOR: Duration = Duration::from_secs(1);

/// How often things are done again.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) refresh: Duration,
    pub(super) recheck: Duration,
}

/// Rank of an address by its SRV record: lower is better. Addresses of a host have 0.
pub(super) type Priority = u16;

/// What DNS said.
#[derive(Debug, Clone, Default)]
pub(super) struct Answer {
    pub(super) addresses: BTreeMap<SocketAddr, Priority>,
    /// The shortest of its records.
    pub(super) ttl: Duration,
    /// Whether a part of the question failed, such as that for AAAA records: what it would have
    /// said is not known, so nobody is dropped.
    pub(super) partial: bool,
}

/// How a probe ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Probe {
    /// Connected.
    Accepted,
    /// There is nobody there.
    Refused,
    /// Nothing came in time; a lost packet looks the same.
    Silent,
}

/// The state of one name.
#[derive(Debug)]
pub(super) struct Roster {
    pace: Pace,
    question: Question,
    known: BTreeMap<SocketAddr, Known>,
    /// Healthy addresses of the answer before, offered while no new one has been probed: an
    /// answer that replaces all addresses leaves no moment without any.
    leaving: BTreeSet<(Priority, SocketAddr)>,
    answered: Option<Instant>,
    failing: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Question {
    /// To be asked then.
    Due(Instant),
    /// On its way.
    Asked,
    /// The addresses are fixed.
    Never,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    priority: Priority,
    health: Health,
    /// When to probe it next; none while a probe is on its way.
    due: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// Not probed yet.
    New,
    Up,
    /// Up, but silent at the last probe.
    Doubtful,
    Down,
}

impl Roster {
    /// A name that is to be asked for at once.
    pub(super) fn new(pace: Pace, now: Instant) -> Self {
        Self {
            pace,
            question: Question::Due(now),
            known: BTreeMap::new(),
            leaving: BTreeSet::new(),
            answered: None,
            failing: false,
        }
    }

    /// A name whose addresses are known for good.
    pub(super) fn fixed(pace: Pace, addresses: Vec<SocketAddr>, now: Instant) -> Self {
        let mut roster = Self::new(pace, now);
        roster.handle_answer(
            Answer {
                addresses: addresses.into_iter().map(|address| (address, 0)).collect(),
                ..Answer::default()
            },
            now,
        );
        roster.question = Question::Never;
        roster.answered = None;
        roster
    }

    /// An answer came.
    pub(super) fn handle_answer(&mut self, answer: Answer, now: Instant) {
        let wait = answer.ttl.min(self.pace.refresh).max(FLOOR);
        self.question = Question::Due(now + wait);
        self.answered = Some(now);
        self.failing = false;

        let mut wanted = answer.addresses;
        if answer.partial {
            for (address, known) in &self.known {
                wanted.entry(*address).or_insert(known.priority);
            }
        }
        let mut ranked: Vec<_> = wanted.into_iter().map(|(a, p)| (p, a)).collect();
        ranked.sort_unstable();
        ranked.truncate(MAX_ADDRESSES);

        let mut before = std::mem::take(&mut self.known);
        for (priority, address) in ranked {
            let fresh = Known {
                priority,
                health: Health::New,
                due: Some(now),
            };
            let known = before.remove(&address).unwrap_or(fresh);
            self.known.insert(address, Known { priority, ..known });
        }
        let healthy = before.into_iter().filter(|(_, known)| known.is_healthy());
        self.leaving
            .extend(healthy.map(|(address, known)| (known.priority, address)));
        self.let_leave();
    }

    /// DNS failed or answered nothing; it is asked again after `wait`.
    pub(super) fn handle_failure(&mut self, wait: Duration, now: Instant) {
        self.question = Question::Due(now + wait.max(FLOOR));
        self.failing = true;
    }

    /// A probe of `address` ended.
    pub(super) fn handle_probe(&mut self, address: SocketAddr, probe: Probe, now: Instant) {
        // It may have left meanwhile.
        let Some(known) = self.known.get_mut(&address) else {
            return;
        };
        known.health = match (probe, known.health) {
            (Probe::Accepted, _) => Health::Up,
            (Probe::Silent, Health::Up) => Health::Doubtful,
            _ => Health::Down,
        };
        let wait = match known.health {
            Health::Doubtful => Duration::ZERO,
            _ => self.pace.recheck,
        };
        known.due = Some(now + wait);
        self.let_leave();
    }

    /// Whether to ask now; if so, the question counts as on its way.
    pub(super) fn poll_question(&mut self, now: Instant) -> bool {
        let due = matches!(self.question, Question::Due(at) if at <= now);
        if due {
            self.question = Question::Asked;
        }
        due
    }

    /// An address to probe now; the probe counts as on its way.
    pub(super) fn poll_probe(&mut self, now: Instant) -> Option<SocketAddr> {
        let mut known = self.known.iter_mut();
        let (address, known) = known.find(|(_, known)| known.due.is_some_and(|at| at <= now))?;
        known.due = None;
        Some(*address)
    }

    /// When the next question is due, if none is on its way.
    pub(super) fn question_due(&self) -> Option<Instant> {
        match self.question {
            Question::Due(at) => Some(at),
            Question::Asked | Question::Never => None,
        }
    }

    /// When the next probe is due.
    pub(super) fn probe_due(&self) -> Option<Instant> {
        self.known.values().filter_map(|known| known.due).min()
    }

    /// What to offer.
    pub(super) fn endpoints(&self) -> Endpoints {
        let mut healthy = self.healthy();
        if healthy.is_empty() {
            healthy.clone_from(&self.leaving);
        }
        let best = healthy.first().map(|(priority, _)| *priority);
        let offered = healthy
            .iter()
            .filter(|(priority, _)| Some(*priority) == best);
        let asked = self.answered.is_some() || self.failing || self.question == Question::Never;
        Endpoints {
            healthy: offered.map(|(_, address)| *address).collect(),
            known: self.known.len(),
            settled: asked && !self.awaits_first_probes(),
        }
    }

    /// How old the answer in use is; none for fixed addresses, and before the first.
    pub(super) fn answer_age(&self, now: Instant) -> Option<Duration> {
        self.answered.map(|at| now.saturating_duration_since(at))
    }

    /// Whether the last question failed, so that an older answer is in use, if there is one.
    pub(super) fn is_stale(&self) -> bool {
        self.failing
    }

    fn healthy(&self) -> BTreeSet<(Priority, SocketAddr)> {
        let known = self.known.iter().filter(|(_, known)| known.is_healthy());
        known
            .map(|(address, known)| (known.priority, *address))
            .collect()
    }

    fn awaits_first_probes(&self) -> bool {
        let mut known = self.known.values();
        known.any(|known| known.health == Health::New)
    }

    /// Drops what left, once it is known whether the new addresses do.
    fn let_leave(&mut self) {
        if !self.awaits_first_probes() || !self.healthy().is_empty() {
            self.leaving.clear();
        }
    }
}

impl Known {
    fn is_healthy(&self) -> bool {
        matches!(self.health, Health::Up | Health::Doubtful)
    }
}
