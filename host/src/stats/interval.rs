//! How sure is a median?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{median, to_f64};

/// A median and the range in which the true one lies.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Interval {
    /// The median of the values.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// How often such an interval holds the true median: 0.95, or less where there are too few
    /// values to be that sure.
    pub confidence: f64,
}

/// What intervals aim for.
const CONFIDENCE: f64 = 0.95;

/// The median of some values, with its 95 % confidence interval.
///
/// The interval inverts the sign test and interpolates between order statistics: Hettmansperger and
/// Sheather, "Confidence intervals based on interpolated order statistics", Statistics & Probability
/// Letters 4 (1986), 75-79. It assumes nothing about the shape of the distribution, uses no random
/// numbers, and holds its level from six values on (a test simulates it), where the percentile
/// bootstrap of a median does not: 87 % for seven values.
///
/// Fewer than six values give their whole range, whose confidence is `1 - 2^(1-n)`: the chance that
/// not all of them lie on one side. `None` for no values.
#[must_use]
pub fn median_interval(values: &[f64]) -> Option<Interval> {
    let middle = median(values)?;
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let n = sorted.len();
    // The interval from the depth-th value to the depth-th from above misses with twice P(X < depth).
    let miss = |depth: usize| 2.0 * fewer(n, depth);
    let depth = (1..=n / 2)
        .rev()
        .find(|&depth| 1.0 - miss(depth) >= CONFIDENCE);
    let at = |depth: usize| (sorted[depth - 1], sorted[n - depth]);
    let Some(depth) = depth else {
        let (low, high) = (sorted[0], sorted[n - 1]);
        let confidence = 1.0 - miss(1);
        return Some(Interval {
            median: middle,
            low,
            high,
            confidence: confidence.max(0.0),
        });
    };
    // There is a narrower one too: the middle two values alone are never worth 95 %.
    let (wide, narrow) = (1.0 - miss(depth), 1.0 - miss(depth + 1));
    let share = (wide - CONFIDENCE) / (wide - narrow);
    let (n, depth_f) = (to_f64(n), to_f64(depth));
    // Equation 2.3 there: the share on the scale of the order statistics.
    let weight = (n - depth_f) * share / (depth_f + (n - 2.0 * depth_f) * share);
    let (outer, inner) = (at(depth), at(depth + 1));
    let low = outer.0 + weight * (inner.0 - outer.0);
    let high = outer.1 + weight * (inner.1 - outer.1);
    Some(Interval {
        median: middle,
        low,
        high,
        confidence: CONFIDENCE,
    })
}

/// The chance of fewer than `count` heads in `n` throws of a coin.
fn fewer(n: usize, count: usize) -> f64 {
    // In logarithms, since 2^-n vanishes for n in the thousands.
    let mut ln_term = -to_f64(n) * std::f64::consts::LN_2;
    let mut sum = 0.0;
    for heads in 0..count.min(n + 1) {
        sum += ln_term.exp();
        ln_term += (to_f64(n - heads) / to_f64(heads + 1)).ln();
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coin_has_the_binomial_distribution() {
        // scipy.stats.binom.cdf([1, 4], 12, .5), and far out, where 2^-n underflows
        assert!((fewer(12, 2) - 0.003_173_828_125).abs() < 1e-12);
        assert!((fewer(12, 5) - 0.193_847_656_25).abs() < 1e-12);
        assert!((fewer(3000, 1501) - 0.507_28).abs() < 1e-4);
    }

    #[test]
    fn the_interval_agrees_with_an_independent_one() {
        // The same paper's method in numpy, on twelve values: benches/recompute.
        let values: Vec<f64> = (1..=12).map(f64::from).collect();
        let interval = median_interval(&values).unwrap();
        assert_eq!(interval.median, 6.5);
        assert!((interval.low - 3.263_118_441).abs() < 1e-6, "{interval:?}");
        assert!((interval.high - 9.736_881_559).abs() < 1e-6, "{interval:?}");
    }

    #[test]
    fn few_values_give_their_whole_range() {
        let interval = median_interval(&[3.0, 1.0, 2.0]).unwrap();
        assert_eq!(
            interval,
            Interval {
                median: 2.0,
                low: 1.0,
                high: 3.0,
                confidence: 0.75
            }
        );
        assert_eq!(median_interval(&[5.0]).unwrap().confidence, 0.0);
        assert_eq!(median_interval(&[]), None);
    }

    #[test]
    fn equal_values_have_no_width() {
        let interval = median_interval(&[2.0; 9]).unwrap();
        assert_eq!((interval.low, interval.high), (2.0, 2.0));
    }

    /// Of 2 000 simulations with a known median, in how many per cent the interval holds it.
    fn coverage(n: usize, mut draw: impl FnMut() -> f64) -> f64 {
        let runs = 2000;
        let held = (0..runs)
            .filter(|_| {
                let values: Vec<f64> = (0..n).map(|_| draw()).collect();
                let interval = median_interval(&values).unwrap();
                interval.low <= 0.0 && 0.0 <= interval.high
            })
            .count();
        100.0 * to_f64(held) / to_f64(runs)
    }

    #[test]
    fn the_interval_holds_the_truth_as_often_as_it_says() {
        for n in [6, 7, 8, 9, 12, 20, 50] {
            let mut rng = fastrand::Rng::with_seed(n as u64);
            let mut normal = || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
            let found = coverage(n, &mut normal);
            assert!((93.0..=97.0).contains(&found), "normal, {n}: {found} %");
            // Skewed: an exponential, whose median is ln 2.
            let mut rng = fastrand::Rng::with_seed(n as u64);
            let found = coverage(n, || -rng.f64().max(1e-12).ln() - std::f64::consts::LN_2);
            assert!((93.0..=97.0).contains(&found), "skewed, {n}: {found} %");
            // Noisy neighbours: one value in seven is far off.
            let mut rng = fastrand::Rng::with_seed(n as u64);
            let found = coverage(n, || {
                let scale = if rng.u8(..7) == 0 { 10.0 } else { 1.0 };
                scale * (rng.f64() - 0.5)
            });
            assert!((93.0..=97.0).contains(&found), "outliers, {n}: {found} %");
        }
    }
}
