//! An arm of a row against an arm of another row, by rounds: for comparisons that no row makes.

use super::prose::Source;
use super::result::{Comparison, Row};
use super::rounds::by_rounds;
use super::words::{digits, percent};
use crate::experiment::Arm;
use crate::stats::{Call, Interval, Margin, detectable, judge, median_interval};

/// An arm of the row of this id.
pub(super) type Side<'s> = (&'s str, Arm);

/// One arm by another.
#[derive(Clone, Debug)]
pub(super) struct Quotient {
    /// `job.p90#process ÷ job.p50#process`
    pub(super) name: String,
    /// The quotient of each round that has both, and the interval of their median.
    pub(super) ratio: Interval,
    /// The wider of both rows' margins.
    pub(super) margin: Margin,
    /// What the ratio says: `Above` where the first side is better.
    pub(super) call: Call,
}

/// The first side by the second, from the raw samples of the rounds that have both. `None` where there
/// is no such round, or a side is not known.
pub(super) fn quotient(
    comparison: &Comparison,
    above: Side<'_>,
    below: Side<'_>,
) -> Option<Quotient> {
    let (up, down) = (row(comparison, above.0)?, row(comparison, below.0)?);
    let ratios: Vec<f64> = by_rounds(comparison, up, above.1)
        .iter()
        .zip(&by_rounds(comparison, down, below.1))
        .filter_map(|(above, below)| Some((*above)? / (*below)?))
        .filter(|ratio| ratio.is_finite())
        .collect();
    let ratio = median_interval(&ratios)?;
    let margin = if up.margin > down.margin {
        up.margin
    } else {
        down.margin
    };
    Some(Quotient {
        name: format!("{}#{} ÷ {}#{}", above.0, above.1, below.0, below.1),
        ratio,
        margin,
        call: judge(ratio, margin, up.better),
    })
}

fn row<'c>(comparison: &'c Comparison, id: &str) -> Option<&'c Row> {
    comparison.rows.iter().find(|row| row.id() == id)
}

impl Quotient {
    /// The ratio with its interval, marked: `0.40 [0.35, 0.45]`.
    pub(super) fn factor(&self) -> String {
        let source = Source::Quotient(&self.name);
        let part = |field: &str, value: f64| source.mark(field, value, &digits(value));
        format!(
            "{} [{}, {}]",
            part("median", self.ratio.median),
            part("low", self.ratio.low),
            part("high", self.ratio.high)
        )
    }

    /// What the ratio says, where the sides are called so: `spare better`; and where it says nothing, what
    /// could have been seen.
    pub(super) fn outcome(&self, above: &str, below: &str) -> String {
        match self.call {
            Call::Above => format!("{above} better"),
            Call::Below => format!("{below} better"),
            Call::TooFewRounds => "too few rounds".to_owned(),
            Call::NoDifferenceSeen => {
                let least = detectable(self.ratio, self.margin);
                let least = Source::Quotient(&self.name).mark("detectable", least, &percent(least));
                format!("no difference of {least} or more")
            }
        }
    }
}

/// What an arm's rounds show, with its unit and marked; `None` where that is no number.
pub(super) fn value(comparison: &Comparison, (id, arm): Side<'_>) -> Option<String> {
    super::evidence::value(row(comparison, id)?, arm)
}

#[cfg(test)]
mod tests {
    use super::super::prose::plain;
    use super::super::sample::sample;
    use super::*;

    const REUSED: Side<'_> = ("job.p50[instance=reused]", Arm::Process);
    const FRESH: Side<'_> = ("job.p50", Arm::Process);

    /// The sample, where both sides took so long in each round.
    fn with(above: f64, below: f64) -> Comparison {
        let mut comparison = sample();
        for ((id, arm), seconds) in [(REUSED, above), (FRESH, below)] {
            let series = row(&comparison, id).unwrap().series.clone();
            let arms = comparison.series.get_mut(&series).unwrap();
            arms.insert(arm, vec![vec![seconds]; 8]);
        }
        comparison
    }

    #[test]
    fn the_better_side_is_called_where_it_clears_the_margin() {
        let told = |above, below| {
            let quotient = quotient(&with(above, below), REUSED, FRESH).unwrap();
            plain(&quotient.outcome("reused", "fresh"))
        };
        assert_eq!(told(0.5, 1.0), "reused better");
        assert_eq!(told(1.0, 0.5), "fresh better");
        assert!(told(1.0, 1.0).starts_with("no difference of "));
    }

    #[test]
    fn its_name_says_what_is_divided_by_what() {
        let quotient = quotient(&with(0.5, 1.0), REUSED, FRESH).unwrap();
        let name = "job.p50[instance=reused]#process ÷ job.p50#process";
        assert_eq!(quotient.name, name);
        assert_eq!(plain(&quotient.factor()), "0.50 [0.50, 0.50]");
    }

    #[test]
    fn few_rounds_decide_nothing() {
        let mut comparison = with(0.5, 1.0);
        for arms in comparison.series.values_mut() {
            arms.values_mut().for_each(|rounds| rounds.truncate(3));
        }
        let quotient = quotient(&comparison, REUSED, FRESH).unwrap();
        assert_eq!(quotient.outcome("reused", "fresh"), "too few rounds");
    }

    #[test]
    fn a_side_that_was_not_measured_gives_nothing() {
        let comparison = sample();
        assert!(quotient(&comparison, ("job.none", Arm::Process), FRESH).is_none());
        assert!(quotient(&comparison, ("job.p50", Arm::Pipe), FRESH).is_none());
        assert!(value(&comparison, ("job.p50", Arm::Pipe)).is_none());
    }
}
