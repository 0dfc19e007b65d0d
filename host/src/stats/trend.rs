//! Did the machine change while it was measured?

use super::{median, quantile, to_f64};

/// A trend over the rounds that is unlikely to be chance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drift {
    /// From the first round to the last, as a fraction of the median.
    pub change: f64,
    /// How likely a trend as strong as this is where there is none.
    pub p: f64,
}

/// Trends less likely than this count.
const UNLIKELY: f64 = 0.01;

/// Looks for a trend: the test of Mann ("Nonparametric tests against trend", Econometrica 13 (1945),
/// 245-259) in its normal approximation, and the slope of Sen ("Estimates of the regression
/// coefficient based on Kendall's tau", JASA 63 (1968), 1379-1389). `None` for fewer than eight
/// values, where the approximation does not hold, and where no trend is seen.
#[must_use]
pub fn drift(values: &[f64]) -> Option<Drift> {
    if values.len() < 8 {
        return None;
    }
    let mut slopes = Vec::new();
    let mut score: f64 = 0.0;
    for (i, first) in values.iter().enumerate() {
        for (j, second) in values.iter().enumerate().skip(i + 1) {
            let apart = to_f64(j - i);
            slopes.push((second - first) / apart);
            score += match second.total_cmp(first) {
                std::cmp::Ordering::Less => -1.0,
                std::cmp::Ordering::Equal => 0.0,
                std::cmp::Ordering::Greater => 1.0,
            };
        }
    }
    let n = to_f64(values.len());
    let spread = (n * (n - 1.0) * (2.0 * n + 5.0) / 18.0).sqrt();
    let z = (score.abs() - 1.0).max(0.0) / spread;
    let p = 2.0 * upper_tail(z);
    let change = median(&slopes)? * (n - 1.0) / median(values)?;
    (p < UNLIKELY).then_some(Drift { change, p })
}

/// How many values lie beyond the fences of Tukey ("Exploratory Data Analysis", 1977): three times the
/// distance of the quartiles away from them, "far out".
#[must_use]
pub fn outliers(values: &[f64]) -> usize {
    let (Some(low), Some(high)) = (quantile(values, 0.25), quantile(values, 0.75)) else {
        return 0;
    };
    let fence = 3.0 * (high - low);
    let is_far = |value: &&f64| **value < low - fence || **value > high + fence;
    values.iter().filter(is_far).count()
}

/// `P(Z > z)` of the normal distribution, for z ≥ 0: Abramowitz and Stegun, "Handbook of Mathematical
/// Functions", 26.2.17; off by less than 8e-8.
fn upper_tail(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial = t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_is_that_of_the_tables() {
        for (z, tail) in [(0.0, 0.5), (1.959_964, 0.025), (2.575_829, 0.005)] {
            assert!((upper_tail(z) - tail).abs() < 1e-6, "{z}");
        }
    }

    #[test]
    fn a_machine_that_gets_slower_is_noticed() {
        let values: Vec<f64> = (0..12).map(|round| 1.0 + 0.02 * f64::from(round)).collect();
        let found = drift(&values).unwrap();
        assert!((found.change - 0.22 / 1.11).abs() < 1e-9 && found.p < 1e-4);
    }

    #[test]
    fn chance_is_rarely_taken_for_a_trend() {
        let mut rng = fastrand::Rng::with_seed(3);
        let seen = (0..2000)
            .filter(|_| {
                let values: Vec<f64> = (0..12).map(|_| rng.f64() + 1.0).collect();
                drift(&values).is_some()
            })
            .count();
        assert!(seen <= 40, "{seen} of 2000");
        assert_eq!(drift(&[1.0, 2.0, 3.0]), None);
    }

    #[test]
    fn only_what_is_far_out_is_an_outlier() {
        let mut values: Vec<f64> = (0..20).map(f64::from).collect();
        assert_eq!(outliers(&values), 0);
        values.push(100.0);
        assert_eq!(outliers(&values), 1);
        assert_eq!(outliers(&[]), 0);
    }
}
