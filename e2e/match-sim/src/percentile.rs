//! Percentiles.

use serde::Serialize;

/// A distribution, by its mean and its percentiles.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Distribution {
    /// How many values there are.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Half are at most this.
    pub p50: f64,
    /// 90 of 100 are at most this.
    pub p90: f64,
    /// 95 of 100 are at most this.
    pub p95: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The greatest.
    pub most: f64,
    /// Every percentile from 0 to 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<f64>,
}

impl Distribution {
    /// Of `values`, without the curve. Of no values everything is 0.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let at = |percent: f64| percentile(&values, percent);
        Self {
            count: values.len(),
            mean: values.iter().sum::<f64>() / values.len().max(1) as f64,
            p50: at(50.0),
            p90: at(90.0),
            p95: at(95.0),
            p99: at(99.0),
            most: at(100.0),
            curve: Vec::new(),
        }
    }

    /// Of `values`, with the curve.
    pub(crate) fn with_curve(mut values: Vec<f64>) -> Self {
        values.sort_unstable_by(f64::total_cmp);
        let curve = (0..=100).map(|percent| percentile(&values, f64::from(percent)));
        let curve = curve.collect();
        Self {
            curve,
            ..Self::of(values)
        }
    }
}

/// Of sorted values, by the nearest rank; 0 of none.
pub(crate) fn percentile(sorted: &[f64], percent: f64) -> f64 {
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    let value = sorted.get(rank.saturating_sub(1));
    value.copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_are_there() {
        let values = Distribution::with_curve((1..=200).rev().map(f64::from).collect());
        assert_eq!((values.p50, values.p99, values.most), (100.0, 198.0, 200.0));
        assert_eq!((values.curve[0], values.curve[1]), (1.0, 2.0));
        assert_eq!(values.mean, 100.5);
        assert_eq!(Distribution::of(Vec::new()).p50, 0.0);
    }
}
