//! Is there a difference? Decided against the difference that the machine shows where there is none.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Interval;

/// Which way a number is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// Times, bytes.
    Lower,
    /// Rates.
    Higher,
}

/// What the ratio above ÷ below says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// The interval lies outside the noise, on the good side for what stands above.
    Above,
    /// The same for what stands below.
    Below,
    /// The interval reaches into the noise.
    NoDifferenceSeen,
    /// Too few rounds were done for an interval that means something.
    TooFewRounds,
}

/// The factor by which a ratio has to differ from 1 before it counts.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Margin(f64);

impl Margin {
    /// Smaller differences are not called, however quiet the machine: the place of a variable on the
    /// stack can make them.
    const LEAST: f64 = 1.02;

    /// How much of the doubt about the control counts, beside how far the control strayed. With all
    /// of it, differences of 5 % are lost; with nothing, one verdict in a hundred is false on a noisy
    /// machine. With half, one in a thousand is: the test below counts them.
    const DOUBT: f64 = 0.5;

    /// The margin that follows from the A/A control, an arm against itself: on the logarithmic scale,
    /// how far its median strays from 1, and half of the way from there to the end of its interval.
    #[must_use]
    pub fn from_control(control: Option<Interval>) -> Self {
        let Some(Interval {
            median, low, high, ..
        }) = control
        else {
            return Self(Self::LEAST);
        };
        let strayed = median.ln().abs();
        let farthest = high.ln().max(-low.ln());
        let factor = (strayed + Self::DOUBT * (farthest - strayed)).exp();
        Self(factor.max(Self::LEAST))
    }

    /// The factor, 1.02 or more.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.0
    }
}

/// Below it nothing is called: five rounds give 0.94, six are enough.
const LEAST_CONFIDENCE: f64 = 0.95;

/// Judges the ratio above ÷ below.
#[must_use]
pub fn judge(ratio: Interval, margin: Margin, better: Better) -> Call {
    if ratio.confidence < LEAST_CONFIDENCE {
        return Call::TooFewRounds;
    }
    let is_more = ratio.low > margin.0;
    let is_less = ratio.high < 1.0 / margin.0;
    match (is_more, is_less, better) {
        (true, _, Better::Lower) | (_, true, Better::Higher) => Call::Below,
        (true, _, Better::Higher) | (_, true, Better::Lower) => Call::Above,
        (false, false, _) => Call::NoDifferenceSeen,
    }
}

/// The smallest difference that would have been called, as a fraction: a true ratio of 1 plus this
/// has an interval of the same relative width, which would lie just outside of the margin.
#[must_use]
pub fn detectable(ratio: Interval, margin: Margin) -> f64 {
    let below = (ratio.median / ratio.low).max(ratio.high / ratio.median);
    margin.0 * below - 1.0
}

#[cfg(test)]
mod tests {
    use super::super::median_interval;
    use super::*;

    fn interval(low: f64, high: f64) -> Interval {
        Interval {
            median: (low * high).sqrt(),
            low,
            high,
            confidence: 0.95,
        }
    }

    #[test]
    fn an_interval_outside_the_margin_is_a_difference() {
        let margin = Margin::from_control(Some(interval(0.99, 1.01)));
        let judged = |low, high, better| judge(interval(low, high), margin, better);
        assert_eq!(judged(1.03, 1.10, Better::Lower), Call::Below);
        assert_eq!(judged(1.03, 1.10, Better::Higher), Call::Above);
        assert_eq!(judged(0.80, 0.90, Better::Lower), Call::Above);
        assert_eq!(judged(0.80, 0.90, Better::Higher), Call::Below);
    }

    #[test]
    fn an_interval_that_touches_the_margin_is_none() {
        let margin = Margin::from_control(None);
        for (low, high) in [(1.01, 1.30), (0.70, 0.99)] {
            let call = judge(interval(low, high), margin, Better::Lower);
            assert_eq!(call, Call::NoDifferenceSeen);
        }
    }

    #[test]
    fn a_wide_difference_in_few_rounds_is_no_verdict() {
        let few = Interval {
            confidence: 0.9375,
            ..interval(2.0, 3.0)
        };
        let call = judge(few, Margin::from_control(None), Better::Lower);
        assert_eq!(call, Call::TooFewRounds);
    }

    #[test]
    fn a_noisy_control_widens_the_margin_to_both_sides() {
        let margin = Margin::from_control(Some(Interval {
            median: 1.0,
            ..interval(0.64, 1.1)
        }));
        assert!((margin.factor() - 1.25).abs() < 1e-12);
        let judged = |low, high| judge(interval(low, high), margin, Better::Lower);
        assert_eq!(judged(1.15, 1.24), Call::NoDifferenceSeen);
        assert_eq!(judged(0.81, 0.9), Call::NoDifferenceSeen);
        assert_eq!(judged(1.26, 1.40), Call::Below);
    }

    #[test]
    fn what_is_detectable_would_just_have_been_called() {
        let margin = Margin::from_control(None);
        let found = detectable(interval(0.97, 1.04), margin);
        let shifted = interval(0.97 * (1.0 + found) / (0.97f64 * 1.04).sqrt(), 9.0);
        assert!(shifted.low >= margin.factor() - 1e-9);
        assert!(found > 0.05 && found < 0.06, "{found}");
    }

    /// How many of 2 000 simulated comparisons are called, where `factor` is the truth.
    fn called(rounds: usize, noise: f64, factor: f64) -> usize {
        let mut rng = fastrand::Rng::with_seed(rounds as u64);
        let mut arm = |factor: f64| -> Vec<f64> {
            let mut normal = || (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0;
            (0..rounds)
                .map(|_| factor * (noise * normal()).exp())
                .collect()
        };
        (0..2000)
            .filter(|_| {
                let (thread, control, process) = (arm(1.0), arm(1.0), arm(factor));
                let pairs = || thread.iter().zip(&control);
                let control: Vec<f64> = pairs().map(|(a, b)| b / a).collect();
                let reference = pairs().map(|(a, b)| (a * b).sqrt());
                let ratio: Vec<f64> = process.iter().zip(reference).map(|(p, r)| p / r).collect();
                let margin = Margin::from_control(median_interval(&control));
                let call = judge(median_interval(&ratio).unwrap(), margin, Better::Lower);
                matches!(call, Call::Above | Call::Below)
            })
            .count()
    }

    #[test]
    fn where_there_is_no_difference_next_to_none_is_called() {
        for rounds in [6, 8, 12, 24] {
            for noise in [0.01, 0.03, 0.1] {
                let found = called(rounds, noise, 1.0);
                // The bound is 5 %; a report has dozens of rows, so one row has to do better.
                assert!(
                    found <= 10,
                    "{found} of 2000, {rounds} rounds, noise {noise}"
                );
            }
        }
    }

    #[test]
    fn a_difference_of_five_per_cent_is_found_where_the_noise_allows() {
        for (rounds, noise) in [(8, 0.01), (20, 0.02)] {
            let found = called(rounds, noise, 1.05);
            assert!(
                found >= 1900,
                "{found} of 2000, {rounds} rounds, noise {noise}"
            );
        }
        assert!(called(6, 0.1, 1.05) < 100, "nobody sees 5 % in such noise");
    }
}
