//! What a better choice of partners alone could gain: nobody waits for anybody longer.

use protocol::time::Timestamp;

use super::One;
use super::exchange::spread_of;

/// Rounds of exchanges at most, and matches in a row that a match exchanges players with.
const PASSES: usize = 4;
const NEAR: usize = 16;

/// Lets matches exchange single players, of those who had come by when each really began, as long
/// as that lessens spread. So the sum of all waits stays what it was.
pub(super) fn exchange_in_time(made: &mut [(Timestamp, Vec<One>)]) {
    made.sort_by_key(|(at, _)| *at);
    for _ in 0..PASSES {
        let mut changed = false;
        for first in 0..made.len() {
            for second in first + 1..made.len().min(first + NEAR) {
                let (head, tail) = made.split_at_mut(second);
                changed |= exchange(&mut head[first], &mut tail[0]);
            }
        }
        if !changed {
            return;
        }
    }
}

fn exchange(one: &mut (Timestamp, Vec<One>), other: &mut (Timestamp, Vec<One>)) -> bool {
    let mut changed = false;
    for mine in 0..one.1.len() {
        for theirs in 0..other.1.len() {
            if other.1[theirs].came > one.0 || one.1[mine].came > other.0 {
                continue;
            }
            let before = spread_of(&one.1) + spread_of(&other.1);
            std::mem::swap(&mut one.1[mine], &mut other.1[theirs]);
            if spread_of(&one.1) + spread_of(&other.1) < before {
                changed = true;
            } else {
                std::mem::swap(&mut one.1[mine], &mut other.1[theirs]);
            }
        }
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_had_come_is_exchanged() {
        let one = |came, rating| One {
            came: Timestamp(came),
            rating,
        };
        let at = |at, players| (Timestamp(at), players);
        let mut made = vec![
            at(1, vec![one(0, 10), one(1, 90)]),
            at(3, vec![one(1, 12), one(3, 91)]),
        ];
        exchange_in_time(&mut made);
        assert_eq!(
            made[0].1.iter().map(|one| one.rating).collect::<Vec<_>>(),
            [10, 12]
        );
        let mut late = vec![
            at(1, vec![one(0, 10), one(1, 90)]),
            at(3, vec![one(2, 12), one(3, 91)]),
        ];
        let before = late.clone();
        exchange_in_time(&mut late);
        assert_eq!(late, before, "12 came after the first match");
    }
}
