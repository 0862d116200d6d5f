//! How good matches could have been with hindsight: an offline reference on the same trace.
//!
//! It takes the very tickets that were matched, in the regions where they were played, and makes
//! matches of the same size anew, knowing the whole day:
//! - A match begins when the last of its players has come: whoever fits best is waited for, because
//!   it is known that they will come. No algorithm that decides as time goes by can do that.
//! - Parties count as their players one by one, which only makes it easier.
//! - It begins with the better of two days: the matches as they were; and the best of batches, in
//!   which time is cut into pieces and each piece, sorted by rating, into neighbours (`cut`). Then
//!   matches exchange players until no two of them gain by it (`exchange`).
//! - Spread and wait have a price in each other, which is searched so that the median wait is the one
//!   that was really had.
//!
//! Wait is that of a match: the mean of its players', of which the median over all matches is
//! compared. A median over players would say nothing of a duel, where whoever comes second never
//! waits, so that half of all players wait for nothing however long the others do.
//!
//! It is a matching that really exists, so the true optimum is at least as good; that one is a
//! matching in a hypergraph, for which nobody knows a way that ends.

mod cut;
mod exchange;
mod in_time;

use protocol::time::Timestamp;
use serde::Serialize;

use crate::percentile::percentile;
use crate::trace::{Outcome, Trace};
use cut::cut;
use exchange::{exchange_all, spread_of, wait_of};
use in_time::exchange_in_time;

/// What hindsight could have made of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Reference {
    /// Waits of matches in seconds, median.
    pub wait_p50_s: f64,
    /// … and of 95 in 100.
    pub wait_p95_s: f64,
    /// Mean spread of a match.
    pub spread: f64,
}

/// Halvings of each search.
const HALVINGS: u32 = 9;

/// Shortest and longest batch that is tried, in seconds.
const BATCHES: (f64, f64) = (0.1, 600.0);

/// Points of spread that a player's second may cost.
const PRICES: (f64, f64) = (1e-3, 1e3);

/// Matches of one region.
type Lane = Vec<Vec<One>>;

/// A player.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct One {
    came: Timestamp,
    rating: i32,
}

/// The least spread that is found with matches of `size` at a median wait of at most `wait_p50_s`;
/// `None` if nothing was matched.
pub fn at_wait(trace: &Trace, size: usize, wait_p50_s: f64) -> Option<Reference> {
    let real = real(trace, size);
    let players: Vec<Vec<One>> = real.iter().map(|lane| players(lane)).collect();
    let batches = search(BATCHES, |batch_s| {
        let lanes: Vec<Lane> = players
            .iter()
            .map(|one| batches(one, size, batch_s))
            .collect();
        let found = figures(&lanes)?;
        Some((found.wait_p50_s <= wait_p50_s, lanes))
    });
    let starts = [Some(real), batches];
    let found = starts.into_iter().flatten().filter_map(|start| {
        // A lower price is a longer wait.
        search(PRICES, |inverse| {
            let mut lanes = start.clone();
            for lane in &mut lanes {
                exchange_all(lane, 1.0 / inverse);
            }
            let found = figures(&lanes)?;
            Some((found.wait_p50_s <= wait_p50_s, found))
        })
    });
    found.min_by(|one, other| one.spread.total_cmp(&other.spread))
}

/// The mean spread if every match had begun when it did and chosen best among those who had come,
/// knowing which of them would be needed later; `None` if nothing was matched. What is between this
/// and [`at_wait`] comes of waiting for those who are known to come.
pub fn in_time(trace: &Trace, size: usize) -> Option<f64> {
    let mut spread = 0.0;
    let mut lanes = vec![Vec::new(); trace.regions.len() + 1];
    for (formed, players) in trace.matches.iter().zip(each(trace, size)) {
        lanes[formed.region.unwrap_or(trace.regions.len())].push((formed.at, players));
    }
    for lane in &mut lanes {
        exchange_in_time(lane);
        spread += lane
            .iter()
            .map(|(_, one)| f64::from(spread_of(one)))
            .sum::<f64>();
    }
    let matches = trace.matches.len();
    (matches > 0).then(|| spread / matches as f64)
}

/// The greatest value, within bounds and by factors, for which something holds; gives what it came
/// to.
fn search<T>(
    (mut low, mut high): (f64, f64),
    attempt: impl Fn(f64) -> Option<(bool, T)>,
) -> Option<T> {
    let (holds, least) = attempt(low)?;
    let mut best = holds.then_some(least)?;
    for _ in 0..HALVINGS {
        let middle = (low * high).sqrt();
        match attempt(middle)? {
            (true, found) => (low, best) = (middle, found),
            (false, _) => high = middle,
        }
    }
    Some(best)
}

/// The matches as they were, by region.
fn real(trace: &Trace, size: usize) -> Vec<Lane> {
    let mut lanes = vec![Vec::new(); trace.regions.len() + 1];
    for (formed, players) in trace.matches.iter().zip(each(trace, size)) {
        lanes[formed.region.unwrap_or(trace.regions.len())].push(players);
    }
    lanes
}

/// The players of each match.
fn each(trace: &Trace, size: usize) -> Vec<Vec<One>> {
    let mut matches: Vec<Vec<One>> = vec![Vec::with_capacity(size); trace.matches.len()];
    for wish in &trace.tickets {
        if let Outcome::Matched { place, .. } = wish.outcome {
            let one = One {
                came: wish.came,
                rating: wish.rating,
            };
            matches[place].extend(std::iter::repeat_n(one, usize::from(wish.size)));
        }
    }
    matches
}

/// The players of matches, as they came.
fn players(lane: &[Vec<One>]) -> Vec<One> {
    let mut players: Vec<One> = lane.iter().flatten().copied().collect();
    players.sort_by_key(|one| (one.came, one.rating));
    players
}

/// Matches by batches. Whom a batch leaves out is in the next.
fn batches(players: &[One], size: usize, batch_s: f64) -> Lane {
    let length = (batch_s * 1e6) as u64;
    let mut made = Vec::new();
    let mut pool: Vec<One> = Vec::new();
    for batch in players.chunk_by(|one, next| one.came.0 / length == next.came.0 / length) {
        pool.extend(batch);
        pool.sort_by_key(|one| (one.rating, one.came));
        let mut left = Vec::new();
        let mut next = 0;
        for start in cut(&pool, size) {
            left.extend_from_slice(&pool[next..start]);
            made.push(pool[start..start + size].to_vec());
            next = start + size;
        }
        left.extend_from_slice(&pool[next..]);
        pool = left;
    }
    made
}

fn figures(lanes: &[Lane]) -> Option<Reference> {
    let matches = || lanes.iter().flatten();
    let mut waits: Vec<f64> = matches().map(|players| wait_of(players)).collect();
    if waits.is_empty() {
        return None;
    }
    waits.sort_unstable_by(f64::total_cmp);
    let spread: f64 = matches().map(|players| f64::from(spread_of(players))).sum();
    Some(Reference {
        wait_p50_s: percentile(&waits, 50.0),
        wait_p95_s: percentile(&waits, 95.0),
        spread: spread / waits.len() as f64,
    })
}
