//! Draws from distributions.

use std::time::Duration;

use protocol::random::Random;

/// Evenly from 0 up to and without 1.
pub(crate) fn even(random: &mut Random) -> f64 {
    // 53 bits: what a double holds.
    (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

/// Exponential.
pub(crate) fn exponential(random: &mut Random, mean: Duration) -> Duration {
    // 1 - even is never 0.
    mean.mul_f64(-(1.0 - even(random)).ln())
}

/// The normal distribution, by Box and Muller (1958).
pub(crate) fn normal(random: &mut Random, mean: f64, deviation: f64) -> f64 {
    let length = (-2.0 * (1.0 - even(random)).ln()).sqrt();
    let angle = std::f64::consts::TAU * even(random);
    mean + deviation * length * angle.cos()
}

/// The place of one of the weights, of which one is more than 0.
pub(crate) fn weighted(random: &mut Random, weights: impl Iterator<Item = f64> + Clone) -> usize {
    let total: f64 = weights.clone().sum();
    let mut rest = even(random) * total;
    let mut last = 0;
    for (place, weight) in weights.enumerate() {
        if weight > 0.0 {
            last = place;
            if rest < weight {
                break;
            }
        }
        rest -= weight;
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_moments_that_were_asked_for() {
        let mut random = Random::new(7);
        let many = 20_000;
        let mut sums = [0.0; 3];
        let mut counts = [0_u32; 3];
        for _ in 0..many {
            let drawn = normal(&mut random, 10.0, 2.0);
            sums[0] += drawn;
            sums[1] += (drawn - 10.0).powi(2);
            sums[2] += exponential(&mut random, Duration::from_secs(3)).as_secs_f64();
            counts[weighted(&mut random, [1.0, 0.0, 3.0].into_iter())] += 1;
        }
        let mean = sums.map(|sum| sum / f64::from(many));
        assert!((mean[0] - 10.0).abs() < 0.1, "{mean:?}");
        assert!((mean[1] - 4.0).abs() < 0.2, "{mean:?}");
        assert!((mean[2] - 3.0).abs() < 0.1, "{mean:?}");
        assert_eq!(counts[1], 0);
        assert!((4_500..5_500).contains(&counts[0]), "{counts:?}");
    }
}
