//! By what factor do two runs differ?

use super::{Interval, median};

/// The factor between two independent sets of positive values, such as the rounds of two runs: the
/// median of all quotients `after ÷ before`, with its confidence interval.
///
/// It is the estimator of Hodges and Lehmann on the logarithmic scale ("Estimates of location based on
/// rank tests", Annals of Mathematical Statistics 34 (1963), 598-611); its interval inverts the test of
/// Mann and Whitney, whose exact distribution is counted (Hollander, Wolfe and Chicken, "Nonparametric
/// Statistical Methods", 3rd edition, section 4.3). Where there are too few values for 95 %, it is the
/// whole range, with the confidence that this has.
///
/// `None` where one side has no values, or a value is not positive.
#[must_use]
pub fn factor_interval(before: &[f64], after: &[f64]) -> Option<Interval> {
    if before.iter().chain(after).any(|&value| value <= 0.0) {
        return None;
    }
    let mut quotients: Vec<f64> = after
        .iter()
        .flat_map(|above| before.iter().map(move |below| above / below))
        .collect();
    quotients.sort_unstable_by(f64::total_cmp);
    let middle = median(&quotients)?;
    let tails = tails(before.len(), after.len());
    // The widest cut whose two tails together are 5 % at the most.
    let cut = tails.iter().take_while(|&&tail| 2.0 * tail <= 0.05).count();
    let confidence = if cut == 0 { 1.0 - 2.0 * tails[0] } else { 0.95 };
    let cut = cut.max(1);
    Some(Interval {
        median: middle,
        low: quotients[cut - 1],
        high: quotients[quotients.len() - cut],
        confidence: confidence.max(0.0),
    })
}

/// `P(U <= u)` for each `u`, where nothing but chance decides the order of `m` and `n` values.
fn tails(m: usize, n: usize) -> Vec<f64> {
    // The chance of u is that of the partitions of u into m parts of at most n: one value after the
    // other, `(1 - x^(n+i)) / (1 - x^i)`. In floating point, scaled to sum 1.
    let most = m * n;
    let mut chances = vec![0.0; most + 1];
    chances[0] = 1.0;
    for i in 1..=m {
        for u in (n + i..=most).rev() {
            chances[u] -= chances[u - n - i];
        }
        for u in i..=most {
            chances[u] += chances[u - i];
        }
        let sum: f64 = chances.iter().sum();
        chances.iter_mut().for_each(|chance| *chance /= sum);
    }
    chances
        .into_iter()
        .scan(0.0, |sum, chance| {
            *sum += chance;
            Some(*sum)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chances_are_those_of_the_tables() {
        // Three and three: 20 orders, of which 1, 1, 2, 3, 3 have U = 0, 1, 2, 3, 4.
        let tails = tails(3, 3);
        let expected = [1.0, 2.0, 4.0, 7.0, 10.0, 13.0, 16.0, 18.0, 19.0, 20.0];
        for (tail, expected) in tails.iter().zip(expected) {
            assert!((tail - expected / 20.0).abs() < 1e-12);
        }
    }

    #[test]
    fn many_values_keep_their_chances() {
        let tails = tails(120, 120);
        assert!((tails.last().unwrap() - 1.0).abs() < 1e-9);
        // Half of the mass lies below the mean.
        assert!((tails[7200] - 0.5).abs() < 1e-3);
    }

    #[test]
    fn twice_as_slow_is_a_factor_of_two() {
        let before: Vec<f64> = (100..112).map(f64::from).collect();
        let after: Vec<f64> = before.iter().map(|value| 2.0 * value).collect();
        let found = factor_interval(&before, &after).unwrap();
        assert!((found.median - 2.0).abs() < 0.01);
        assert!(found.low > 1.9 && found.high < 2.1 && found.confidence == 0.95);
    }

    #[test]
    fn two_runs_of_the_same_rarely_differ() {
        let mut rng = fastrand::Rng::with_seed(7);
        let mut run = || -> Vec<f64> { (0..8).map(|_| 1.0 + rng.f64()).collect() };
        let held = (0..2000)
            .filter(|_| {
                let found = factor_interval(&run(), &run()).unwrap();
                found.low <= 1.0 && 1.0 <= found.high
            })
            .count();
        assert!((1860..=1960).contains(&held), "{held} of 2000");
    }

    #[test]
    fn too_few_values_say_so() {
        let found = factor_interval(&[1.0, 2.0], &[3.0]).unwrap();
        assert!(found.confidence < 0.5);
        assert_eq!(factor_interval(&[], &[1.0]), None);
        assert_eq!(factor_interval(&[0.0], &[1.0]), None);
    }
}
