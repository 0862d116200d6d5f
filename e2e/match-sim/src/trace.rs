//! Which tickets there were, and what became of each.

use matcher::config::Region;
use protocol::time::Timestamp;

/// A run, event by event, as far as figures need it.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// The regions, by place.
    pub regions: Vec<Region>,
    /// Tickets of people, in the order in which they came.
    pub tickets: Vec<Wish>,
    /// In the order in which they began.
    pub matches: Vec<Formed>,
}

/// A ticket of people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// When it came.
    pub came: Timestamp,
    /// Players on it.
    pub size: u8,
    /// The rating that it is matched by.
    pub rating: i32,
    /// Place of its own region.
    pub home: usize,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a ticket: one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It waits, when the run ends.
    Waits,
    /// It is in a match.
    Matched {
        /// Place of the match.
        place: usize,
        /// Round trip to where that is held, in milliseconds.
        latency_ms: u32,
    },
    /// Its people gave up.
    GaveUp {
        /// When.
        at: Timestamp,
    },
}

/// A match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Formed {
    /// When it was formed.
    pub at: Timestamp,
    /// Place of its region; none if it may be anywhere.
    pub region: Option<usize>,
    /// Difference between the highest and the lowest rating among tickets of people.
    pub spread: u32,
    /// Players.
    pub people: u8,
    /// Bots.
    pub bots: u8,
    /// Least and greatest round trip of its tickets, in milliseconds.
    pub latency_ms: (u32, u32),
}

impl Trace {
    /// The wait of each match, the mean of its players', in seconds; rising.
    pub fn waits(&self) -> Vec<f64> {
        let mut sums = vec![0.0; self.matches.len()];
        for wish in &self.tickets {
            if let Outcome::Matched { place, .. } = wish.outcome {
                let wait = self.matches[place].at.since(wish.came).as_secs_f64();
                sums[place] += wait * f64::from(wish.size);
            }
        }
        let means = sums.into_iter().zip(&self.matches);
        let mut waits: Vec<f64> = means
            .map(|(sum, one)| sum / f64::from(one.people))
            .collect();
        waits.sort_unstable_by(f64::total_cmp);
        waits
    }

    /// The match of a ticket, and the latency there, if it has one.
    pub fn match_of(&self, wish: &Wish) -> Option<(&Formed, u32)> {
        match wish.outcome {
            Outcome::Matched { place, latency_ms } => Some((&self.matches[place], latency_ms)),
            Outcome::Waits | Outcome::GaveUp { .. } => None,
        }
    }
}
