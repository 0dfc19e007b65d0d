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

/// What the ratio process ÷ thread says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// The interval lies outside the noise, on the side of the thread.
    #[serde(rename = "thread better")]
    Thread,
    /// The interval lies outside the noise, on the side of the process.
    #[serde(rename = "process better")]
    Process,
    /// The interval reaches into the noise.
    #[serde(rename = "no difference seen")]
    NoDifferenceSeen,
    /// Too few rounds were done for an interval that means something.
    #[serde(rename = "too few rounds")]
    TooFewRounds,
}

/// The factor by which a ratio has to differ from 1 before it counts.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Margin(f64);

impl Margin {
    /// Smaller differences are not called, however quiet the machine: nobody deploys differently
    /// for them, and two runs would contradict each other over them.
    const LEAST: f64 = 1.05;

    /// The margin that follows from the A/A control, an arm against itself: as far as its interval
    /// strays from 1.
    #[must_use]
    pub fn from_control(control: Option<Interval>) -> Self {
        let strayed = control.map_or(1.0, |control| (1.0 / control.low).max(control.high));
        Self(strayed.max(Self::LEAST))
    }

    /// The factor, 1.05 or more.
    #[must_use]
    pub fn factor(self) -> f64 {
        self.0
    }
}

/// Below it nothing is called: five rounds give 0.94.
const LEAST_CONFIDENCE: f64 = 0.93;

/// Judges the ratio process ÷ thread.
#[must_use]
pub fn judge(ratio: Interval, margin: Margin, better: Better) -> Verdict {
    if ratio.confidence < LEAST_CONFIDENCE {
        return Verdict::TooFewRounds;
    }
    let process_is_more = ratio.low > margin.0;
    let process_is_less = ratio.high < 1.0 / margin.0;
    match (process_is_more, process_is_less, better) {
        (true, _, Better::Lower) | (_, true, Better::Higher) => Verdict::Thread,
        (true, _, Better::Higher) | (_, true, Better::Lower) => Verdict::Process,
        (false, false, _) => Verdict::NoDifferenceSeen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interval(low: f64, high: f64) -> Interval {
        Interval {
            median: f64::midpoint(low, high),
            low,
            high,
            confidence: 0.95,
        }
    }

    #[test]
    fn an_interval_outside_the_margin_is_a_difference() {
        let margin = Margin::from_control(Some(interval(0.99, 1.02)));
        assert_eq!(
            judge(interval(1.06, 1.10), margin, Better::Lower),
            Verdict::Thread
        );
        assert_eq!(
            judge(interval(1.06, 1.10), margin, Better::Higher),
            Verdict::Process
        );
        assert_eq!(
            judge(interval(0.80, 0.90), margin, Better::Lower),
            Verdict::Process
        );
        assert_eq!(
            judge(interval(0.80, 0.90), margin, Better::Higher),
            Verdict::Thread
        );
    }

    #[test]
    fn an_interval_that_touches_the_margin_is_none() {
        let margin = Margin::from_control(None);
        assert_eq!(
            judge(interval(1.04, 1.30), margin, Better::Lower),
            Verdict::NoDifferenceSeen
        );
        assert_eq!(
            judge(interval(0.70, 0.96), margin, Better::Lower),
            Verdict::NoDifferenceSeen
        );
    }

    #[test]
    fn a_wide_difference_in_few_rounds_is_no_verdict() {
        let few = Interval {
            confidence: 0.75,
            ..interval(2.0, 3.0)
        };
        assert_eq!(
            judge(few, Margin::from_control(None), Better::Lower),
            Verdict::TooFewRounds
        );
    }

    #[test]
    fn a_noisy_control_widens_the_margin_to_both_sides() {
        let margin = Margin::from_control(Some(interval(0.8, 1.1)));
        assert_eq!(margin.factor(), 1.25);
        assert_eq!(
            judge(interval(1.15, 1.24), margin, Better::Lower),
            Verdict::NoDifferenceSeen
        );
        assert_eq!(
            judge(interval(1.26, 1.40), margin, Better::Lower),
            Verdict::Thread
        );
    }
}
