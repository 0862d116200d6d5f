//! What a result changes in the ratings of who played: arithmetic alone.
//!
//! A rating is a mean and how uncertain it is, by Weng and Lin ("A Bayesian approximation method
//! for online ranking", JMLR 12, 2011), their Bradley-Terry model with full pairs. A race of n
//! sides is n(n-1)/2 pairs, but what a ranking says is n-1 comparisons of neighbours, of which the
//! others follow. So a pair weighs 2/n: races of any size move ratings alike. Why, and what came
//! of the alternatives, is in `docs/adr/0014-results-and-ratings.md`.

use std::collections::BTreeMap;

use protocol::id::PlayerId;
use skillratings::MultiTeamOutcome;
use skillratings::weng_lin::{WengLinConfig, WengLinRating, weng_lin_multi_team};

use crate::results::Standing;

/// How good somebody is, as far as is known: with 95 % certainty within two deviations of the
/// mean. Of two who are 250 points apart, and certain, the better one wins about 67 % of duels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rating {
    /// The best guess.
    pub mean: f64,
    /// How far off it may be: a standard deviation, above 0 and at most that of [`Rating::FIRST`].
    pub deviation: f64,
}

impl Rating {
    /// Of who has not been rated.
    pub const FIRST: Self = Self {
        mean: 1_500.0,
        deviation: 500.0,
    };

    /// Of who has not been rated, and came to the match with a rating that the login stated.
    pub fn first(seat: &Standing) -> Self {
        Self {
            mean: f64::from(seat.rating.clamp(0, HIGHEST)),
            ..Self::FIRST
        }
    }

    /// Of every bot of ours, for ever: they all drive alike.
    pub const BOT: Self = Self {
        mean: 1_500.0,
        deviation: 100.0,
    };

    /// What a leaderboard sorts by: three deviations below the mean, which the player is almost
    /// certainly better than. 0 for the first rating, so that it is earned by playing.
    pub fn score(&self) -> i64 {
        self.deviation.mul_add(-3.0, self.mean).round() as i64
    }

    /// The mean as a whole number, as it is matched by and shown.
    pub fn points(&self) -> i32 {
        self.mean.round() as i32
    }

    /// The deviation as a whole number.
    pub fn spread(&self) -> u32 {
        self.deviation.round() as u32
    }
}

/// Skill that one side needs to be ahead of the other to win about 73 % of their duels, were both
/// certain.
const BETA: f64 = Rating::FIRST.deviation / 2.0;

/// The highest that a login may state.
const HIGHEST: i32 = 10_000;

/// How much uncertainty comes back with each match: people learn, and forget.
const DRIFT: f64 = 10.0;

/// The least part of the variance that one match leaves.
const LEAST: f64 = 0.01;

/// Who played together: one seat, or a team.
struct Side {
    /// Lower is better; equal is a tie.
    rank: u64,
    members: Vec<WengLinRating>,
    /// Whom to tell; none for a bot.
    players: Vec<Option<PlayerId>>,
}

/// The ratings that follow from a result, of everyone whom it changes. `known`: ratings before it;
/// of who is missing, where [`Rating::first`] begins. Seats that did not finish share the last rank. Bots count as
/// opponents and are not rated. Fewer than two sides change nothing. Of a player with two seats
/// the first one counts.
pub fn rate(
    standings: &[Standing],
    known: &BTreeMap<PlayerId, Rating>,
) -> BTreeMap<PlayerId, Rating> {
    let sides = sides(standings, known);
    let mut rated = BTreeMap::new();
    if sides.len() < 2 {
        return rated;
    }
    for (index, side) in sides.iter().enumerate() {
        let changes = changes(&sides, index);
        for ((player, before), (gain, left)) in side.players.iter().zip(&side.members).zip(changes)
        {
            let Some(player) = player else { continue };
            let deviation = before.uncertainty * left.max(LEAST).sqrt();
            let after = Rating {
                mean: before.rating + gain,
                deviation: deviation.min(Rating::FIRST.deviation),
            };
            rated.insert(*player, after);
        }
    }
    rated
}

/// Who won: the best side's players, if another side is behind it.
pub fn is_win(standings: &[Standing], player: PlayerId) -> bool {
    let sides = sides(standings, &BTreeMap::new());
    let best = sides.iter().map(|side| side.rank).min();
    let winners = sides.iter().filter(|side| Some(side.rank) == best);
    let is_decided = sides.iter().any(|side| Some(side.rank) != best);
    is_decided
        && winners
            .flat_map(|side| &side.players)
            .any(|who| *who == Some(player))
}

/// What all pairs with the others together do to each member of a side: points gained, and the
/// part of the variance that is left.
fn changes(sides: &[Side], index: usize) -> Vec<(f64, f64)> {
    let config = WengLinConfig {
        beta: BETA,
        uncertainty_tolerance: 0.000_001,
    };
    let weight = 2.0 / sides.len() as f64;
    let side = &sides[index];
    let mut changes = vec![(0.0, 1.0); side.members.len()];
    for (_, other) in sides.iter().enumerate().filter(|(at, _)| *at != index) {
        let ranks = |rank: u64| MultiTeamOutcome::new(rank as usize);
        let pair = [
            (&side.members[..], ranks(side.rank)),
            (&other.members[..], ranks(other.rank)),
        ];
        let after = weng_lin_multi_team(&pair, &config);
        for ((gain, left), (before, after)) in
            changes.iter_mut().zip(side.members.iter().zip(&after[0]))
        {
            *gain += weight * (after.rating - before.rating);
            let part = (after.uncertainty / before.uncertainty).powi(2);
            *left -= weight * (1.0 - part);
        }
    }
    changes
}

/// The sides of a match, in the order of their seats.
fn sides(standings: &[Standing], known: &BTreeMap<PlayerId, Rating>) -> Vec<Side> {
    let last = u64::from(u32::MAX);
    let mut seen = std::collections::BTreeSet::new();
    let mut teams: BTreeMap<u32, usize> = BTreeMap::new();
    // Of each side the sum of ranks and the number of seats.
    let mut sides: Vec<(u64, Side)> = Vec::new();
    for seat in standings {
        if !seen.insert(seat.player) {
            continue;
        }
        let rating = match seat.bot {
            true => Rating::BOT,
            false => known
                .get(&seat.player)
                .copied()
                .unwrap_or(Rating::first(seat)),
        };
        let member = WengLinRating {
            rating: rating.mean,
            uncertainty: rating.deviation.hypot(DRIFT),
        };
        let rank = seat.ticks.map_or(last, |_| u64::from(seat.place));
        let at = match seat.team {
            0 => sides.len(),
            team => *teams.entry(team).or_insert(sides.len()),
        };
        if at == sides.len() {
            let (members, players) = (Vec::new(), Vec::new());
            let rank = 0;
            sides.push((
                rank,
                Side {
                    rank,
                    members,
                    players,
                },
            ));
        }
        let (sum, side) = &mut sides[at];
        *sum += rank;
        side.members.push(member);
        side.players.push((!seat.bot).then_some(seat.player));
    }
    let ranked = sides.into_iter().map(|(sum, side)| Side {
        // The mean of its seats, in thousandths: teams of unequal size compare.
        rank: sum * 1_000 / side.members.len() as u64,
        ..side
    });
    ranked.collect()
}

#[cfg(test)]
mod tests;
