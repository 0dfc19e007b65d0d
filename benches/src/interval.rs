//! A median and how far it can be trusted. Pure.

/// A median with the ends of its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The median of the samples.
    pub median: f64,
    /// The 2.5th percentile of the medians of resamples.
    pub low: f64,
    /// The 97.5th.
    pub high: f64,
}

/// The middle of these numbers; of an even count, the mean of the two in the middle.
///
/// # Panics
/// If there are none.
#[must_use]
pub fn median(samples: &[f64]) -> f64 {
    let mut sorted = samples.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

/// Resamples that are drawn: past some thousands the ends of a 95 % interval no longer move in the
/// digits that are printed (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, section
/// 12.3, asks for a thousand at least).
const RESAMPLES: usize = 5_000;

/// The median with its 95 % percentile bootstrap interval (Efron and Tibshirani, section 13.3).
///
/// The samples have to be independent of each other: rounds are, the jobs of one round are not.
///
/// # Panics
/// If there are no samples.
#[must_use]
pub fn bootstrap_median(samples: &[f64], seed: u64) -> Interval {
    bootstrap(samples, seed, RESAMPLES)
}

fn bootstrap(samples: &[f64], seed: u64, resamples: usize) -> Interval {
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut resample = vec![0.0; samples.len()];
    let mut medians: Vec<f64> = (0..resamples)
        .map(|_| {
            resample.fill_with(|| samples[rng.usize(..samples.len())]);
            median(&resample)
        })
        .collect();
    medians.sort_unstable_by(f64::total_cmp);
    Interval {
        median: median(samples),
        low: medians[resamples * 25 / 1000],
        high: medians[resamples - 1 - resamples * 25 / 1000],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between_the_two_in_the_middle() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    }

    #[test]
    fn samples_that_agree_leave_no_doubt() {
        let interval = bootstrap_median(&[1.5; 20], 1);
        assert_eq!(
            (interval.low, interval.median, interval.high),
            (1.5, 1.5, 1.5)
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let samples: Vec<f64> = (0..40).map(f64::from).collect();
        assert_eq!(bootstrap_median(&samples, 7), bootstrap_median(&samples, 7));
    }

    #[test]
    fn the_interval_covers_the_true_median_about_as_often_as_it_says() {
        // Uniform on 0..1: the true median is a half. 95 % of 200 are 190; four standard deviations
        // of a binomial with p = 0.95 are 12. The seed is fixed, so this holds always or never.
        let mut rng = fastrand::Rng::with_seed(1);
        let covered = (0..200)
            .filter(|&trial| {
                let samples: Vec<f64> = (0..31).map(|_| rng.f64()).collect();
                let interval = bootstrap(&samples, trial, 1000);
                interval.low <= 0.5 && 0.5 <= interval.high
            })
            .count();
        assert!((178..=199).contains(&covered), "{covered} of 200");
    }
}
