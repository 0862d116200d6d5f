//! What a trace says about waits and matches.
//!
//! Waits, spreads and latencies are counted once for each player: a party of three that waits for
//! a minute is three players who do.

use serde::Serialize;

pub use crate::percentile::Distribution;
use crate::trace::{Outcome, Trace, Wish};

/// Bands of ratings, each of as many players.
const BANDS: usize = 20;

/// What a trace says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// How many of what.
    pub counts: Counts,
    /// Of all matched players.
    pub quality: Quality,
    /// Matches by how many people they have.
    pub fill: Vec<Fill>,
    /// By the players' own region.
    pub regions: Vec<Group>,
    /// By the hour in which they came.
    pub hours: Vec<Group>,
    /// By rating: each band has as many players.
    pub bands: Vec<Group>,
}

/// How many of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Tickets of people that came.
    pub tickets: usize,
    /// Players on them.
    pub players: usize,
    /// Tickets that were matched …
    pub matched: usize,
    /// … whose people gave up …
    pub gave_up: usize,
    /// … that wait at the end. The three are all.
    pub waiting: usize,
    /// Matches.
    pub matches: usize,
    /// Seats that bots took.
    pub bots: usize,
}

/// What matched players got.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Quality {
    /// Seconds until the match.
    pub wait_s: Distribution,
    /// Rating points between the ends of the player's match.
    pub spread: Distribution,
    /// Milliseconds to where it was held.
    pub latency_ms: Distribution,
    /// Milliseconds between the nearest and the farthest of the player's match.
    pub latency_spread_ms: Distribution,
    /// People in the player's match.
    pub people: Distribution,
}

/// Matches with so many people.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Fill {
    /// People in each.
    pub people: u8,
    /// How many matches.
    pub matches: usize,
    /// Seats that bots took in them.
    pub bots: usize,
}

/// Some of the players.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Group {
    /// Which.
    pub name: String,
    /// How many tickets of them came.
    pub tickets: usize,
    /// How many of these were given up.
    pub gave_up: usize,
    /// Share of seats in their matches that bots have.
    pub bots: f64,
    /// Share of them who played in another region than their own.
    pub abroad: f64,
    /// What they got.
    pub quality: Quality,
}

impl Figures {
    /// Of a trace.
    pub fn of(trace: &Trace) -> Self {
        let all: Vec<&Wish> = trace.tickets.iter().collect();
        Self {
            counts: counts(trace),
            quality: quality(trace, &all, Distribution::with_curve),
            fill: fill(trace),
            regions: regions(trace, &all),
            hours: hours(trace, &all),
            bands: bands(trace, all),
        }
    }
}

fn counts(trace: &Trace) -> Counts {
    let mut counts = Counts {
        tickets: trace.tickets.len(),
        matches: trace.matches.len(),
        ..Counts::default()
    };
    for wish in &trace.tickets {
        counts.players += usize::from(wish.size);
        match wish.outcome {
            Outcome::Waits => counts.waiting += 1,
            Outcome::Matched { .. } => counts.matched += 1,
            Outcome::GaveUp { .. } => counts.gave_up += 1,
        }
    }
    counts.bots = trace.matches.iter().map(|one| usize::from(one.bots)).sum();
    counts
}

fn fill(trace: &Trace) -> Vec<Fill> {
    let most = trace.matches.iter().map(|one| one.people).max();
    let of = |people| {
        let those = trace.matches.iter().filter(|one| one.people == people);
        Fill {
            people,
            matches: those.clone().count(),
            bots: those.map(|one| usize::from(one.bots)).sum(),
        }
    };
    (1..=most.unwrap_or(0)).map(of).collect()
}

fn regions(trace: &Trace, all: &[&Wish]) -> Vec<Group> {
    let names = trace.regions.iter().enumerate();
    names
        .map(|(home, name)| {
            let wishes: Vec<&Wish> = of(all, |wish| wish.home == home);
            group(trace, name.to_string(), &wishes)
        })
        .collect()
}

fn hours(trace: &Trace, all: &[&Wish]) -> Vec<Group> {
    let hour = |wish: &Wish| wish.came.since(trace.began).as_secs() / 3600;
    // Wishes are in the order of their coming.
    all.chunk_by(|one, next| hour(one) == hour(next))
        .map(|wishes| group(trace, hour(wishes[0]).to_string(), wishes))
        .collect()
}

fn bands(trace: &Trace, mut all: Vec<&Wish>) -> Vec<Group> {
    all.sort_by_key(|wish| wish.rating);
    let each = all.len().div_ceil(BANDS).max(1);
    all.chunks(each)
        .map(|wishes| {
            let (lowest, highest) = (wishes[0].rating, wishes[wishes.len() - 1].rating);
            group(trace, format!("{lowest} to {highest}"), wishes)
        })
        .collect()
}

fn of<'a>(all: &[&'a Wish], is_it: impl Fn(&Wish) -> bool) -> Vec<&'a Wish> {
    all.iter().copied().filter(|wish| is_it(wish)).collect()
}

fn group(trace: &Trace, name: String, wishes: &[&Wish]) -> Group {
    let is_lost = |wish: &&&Wish| matches!(wish.outcome, Outcome::GaveUp { .. });
    let (mut seats, mut bots, mut matched, mut abroad) = (0.0_f64, 0.0, 0.0_f64, 0.0);
    for wish in wishes {
        if let Some((formed, _)) = trace.match_of(wish) {
            seats += f64::from(formed.people + formed.bots);
            bots += f64::from(formed.bots);
            matched += 1.0;
            abroad += f64::from(u8::from(formed.region.is_some_and(|at| at != wish.home)));
        }
    }
    Group {
        name,
        tickets: wishes.len(),
        gave_up: wishes.iter().filter(is_lost).count(),
        bots: bots / seats.max(1.0),
        abroad: abroad / matched.max(1.0),
        quality: quality(trace, wishes, Distribution::of),
    }
}

fn quality(trace: &Trace, wishes: &[&Wish], of: fn(Vec<f64>) -> Distribution) -> Quality {
    let mut values: [Vec<f64>; 5] = Default::default();
    for wish in wishes {
        let Some((formed, latency)) = trace.match_of(wish) else {
            continue;
        };
        let (least, most) = formed.latency_ms;
        let row = [
            formed.at.since(wish.came).as_secs_f64(),
            f64::from(formed.spread),
            f64::from(latency),
            f64::from(most - least),
            f64::from(formed.people),
        ];
        for _ in 0..wish.size {
            for (values, value) in values.iter_mut().zip(row) {
                values.push(value);
            }
        }
    }
    let [wait_s, spread, latency_ms, latency_spread_ms, people] = values.map(of);
    Quality {
        wait_s,
        spread,
        latency_ms,
        latency_spread_ms,
        people,
    }
}
