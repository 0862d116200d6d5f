//! Matches that exchange players until no two of them gain by it.

use protocol::time::Timestamp;

use super::One;

/// Rounds of exchanges at most.
const PASSES: usize = 8;

/// Matches in a row, by when they begin, that a match exchanges players with.
const NEAR: usize = 16;

/// Lets matches that begin one after the other exchange players: of two, those with the lower
/// ratings play together and those with the higher ones, or those who came first and those who came
/// later, whichever costs least. A player's second of waiting costs `price` points of spread.
pub(super) fn exchange_all(made: &mut [Vec<One>], price: f64) {
    for _ in 0..PASSES {
        made.sort_by_key(|players| begins(players));
        let mut changed = false;
        for first in 0..made.len() {
            for second in first + 1..made.len().min(first + NEAR) {
                let (head, tail) = made.split_at_mut(second);
                changed |= exchange(&mut head[first], &mut tail[0], price);
            }
        }
        if !changed {
            return;
        }
    }
}

fn exchange(one: &mut [One], other: &mut [One], price: f64) -> bool {
    let before = cost(one, price) + cost(other, price);
    let mut all: Vec<One> = one.iter().chain(other.iter()).copied().collect();
    let mut changed = false;
    let mut least = before - 1e-6;
    for by_rating in [true, false] {
        all.sort_unstable_by_key(|one| {
            let (rating, came) = (i64::from(one.rating), one.came.0.cast_signed());
            if by_rating {
                (rating, came)
            } else {
                (came, rating)
            }
        });
        let (first, second) = all.split_at(one.len());
        let cost = cost(first, price) + cost(second, price);
        if cost < least {
            one.copy_from_slice(first);
            other.copy_from_slice(second);
            (changed, least) = (true, cost);
        }
    }
    changed
}

fn cost(players: &[One], price: f64) -> f64 {
    f64::from(spread_of(players)) + price * wait_of(players) * players.len() as f64
}

/// When the last of them has come.
fn begins(players: &[One]) -> Timestamp {
    let came = players.iter().map(|one| one.came);
    came.max().unwrap_or_default()
}

/// Seconds, mean of the players.
pub(super) fn wait_of(players: &[One]) -> f64 {
    let begins = begins(players);
    let waits = players
        .iter()
        .map(|one| begins.since(one.came).as_secs_f64());
    waits.sum::<f64>() / players.len() as f64
}

pub(super) fn spread_of(players: &[One]) -> i32 {
    let ratings = players.iter().map(|one| one.rating);
    ratings.clone().max().unwrap_or(0) - ratings.min().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(second: u64, rating: i32) -> One {
        One {
            came: Timestamp(second * 1_000_000),
            rating,
        }
    }

    #[test]
    fn players_are_exchanged_where_it_pays() {
        let crossed = vec![vec![one(0, 10), one(1, 90)], vec![one(2, 12), one(3, 91)]];
        let mut made = crossed.clone();
        exchange_all(&mut made, 0.1);
        assert_eq!(
            made.iter().map(|players| spread_of(players)).sum::<i32>(),
            3
        );
        // Both pairs would wait two seconds longer.
        let mut dear = crossed.clone();
        exchange_all(&mut dear, 1_000.0);
        assert_eq!(dear, crossed);
    }
}
