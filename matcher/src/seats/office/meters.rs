//! What operators see of the box office.

use metrics::{Counter, counter, gauge};

use super::Outcome;
use crate::config::EventName;
use crate::seats::{Counts, Reserved};

/// Handles, made once.
#[derive(Debug)]
pub(super) struct Meters {
    held: Counter,
    full: Counter,
    confirmed: Counter,
    lapsed: Counter,
    away: Counter,
    other: Counter,
    /// Events that were written into a store that had lost them, or had been replaced.
    pub(super) rebuilt: Counter,
    /// Seats that the store had given out and the ledger had sold to somebody else.
    pub(super) taken: Counter,
    /// Seats that were in writing for too long.
    pub(super) doubtful: Counter,
}

impl Meters {
    pub(super) fn new() -> Self {
        let answers =
            |outcome: &'static str| counter!("matcher_seat_answers_total", "outcome" => outcome);
        Self {
            held: answers("held"),
            full: answers("full"),
            confirmed: answers("confirmed"),
            lapsed: answers("lapsed"),
            away: answers("away"),
            other: answers("other"),
            rebuilt: counter!("matcher_seats_rebuilt_total"),
            taken: counter!("matcher_seats_taken_total"),
            doubtful: counter!("matcher_seats_doubtful_total"),
        }
    }

    /// Somebody is answered.
    pub(super) fn answered(&self, outcome: &Outcome) {
        let counter = match outcome {
            Outcome::Reserved(Reserved::Held(..)) => &self.held,
            Outcome::Reserved(Reserved::Full(_)) => &self.full,
            Outcome::Confirmed(_) => &self.confirmed,
            Outcome::Lapsed => &self.lapsed,
            Outcome::Away => &self.away,
            Outcome::Reserved(_) | Outcome::Released(_) | Outcome::Unknown => &self.other,
        };
        counter.increment(1);
    }

    /// How an event stands. Events come from the configuration, so there are few.
    pub(super) fn stands(&self, event: &EventName, counts: &Counts) {
        let event = || event.to_string();
        gauge!("matcher_seats_free", "event" => event()).set(f64::from(counts.free()));
        gauge!("matcher_seats_confirmed", "event" => event()).set(f64::from(counts.confirmed));
    }
}
