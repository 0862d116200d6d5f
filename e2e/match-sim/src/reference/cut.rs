//! The matches out of one batch that have the least spread.

use super::One;

/// Where matches begin in players sorted by rating: as many matches as there can be, with the least
/// sum of spreads. Whoever is left out lies between them: leaving out one in the middle of a match
/// is never better than leaving out one at its end.
pub(super) fn cut(sorted: &[One], size: usize) -> Vec<usize> {
    let spare = sorted.len() % size;
    let width = spare + 1;
    // Least sum of spreads of the first n players with s of them left out.
    let mut least = vec![i64::MAX; (sorted.len() + 1) * width];
    least[0] = 0;
    for n in 1..=sorted.len() {
        for s in 0..width.min(n + 1) {
            let skipped = if s > 0 {
                least[(n - 1) * width + s - 1]
            } else {
                i64::MAX
            };
            let matched = n.checked_sub(size).map_or(i64::MAX, |from| {
                let spread = i64::from(sorted[n - 1].rating - sorted[from].rating);
                least[from * width + s].saturating_add(spread)
            });
            least[n * width + s] = skipped.min(matched);
        }
    }
    let (mut n, mut s) = (sorted.len(), spare);
    let mut starts = Vec::with_capacity(sorted.len() / size);
    while n > 0 {
        if s > 0 && least[n * width + s] == least[(n - 1) * width + s - 1] {
            (n, s) = (n - 1, s - 1);
        } else {
            n -= size;
            starts.push(n);
        }
    }
    starts.reverse();
    starts
}

#[cfg(test)]
mod tests {
    use protocol::time::Timestamp;

    use super::*;

    fn players(ratings: &[i32]) -> Vec<One> {
        let one = |rating: &i32| One {
            came: Timestamp(0),
            rating: *rating,
        };
        ratings.iter().map(one).collect()
    }

    #[test]
    fn a_cut_leaves_out_whom_nobody_is_near_to() {
        assert_eq!(cut(&players(&[1, 2, 50, 90, 91]), 2), [0, 3]);
        assert_eq!(cut(&players(&[1, 40, 41, 42, 80, 81, 82]), 3), [1, 4]);
        assert_eq!(cut(&players(&[1]), 2), [] as [usize; 0]);
    }

    #[test]
    fn a_cut_has_the_least_spread_of_all_pairings() {
        // Against all ways to pair six, by hand: neighbours.
        let six = players(&[3, 8, 9, 15, 30, 31]);
        let sum: i32 = cut(&six, 2)
            .iter()
            .map(|at| six[at + 1].rating - six[*at].rating)
            .sum();
        assert_eq!(sum, 5 + 6 + 1);
    }
}
