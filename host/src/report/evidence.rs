//! What claims and advice rest on: rows that can be relied on, and their numbers in words.

use super::prose::Source;
use super::result::{Comparison, Row, Verdict};
use super::words::{digits, show};
use crate::experiment::Arm;
use crate::stats::Interval;
use crate::units::{ByteSize, three_digits};

/// A row that has both of its arms, a ratio and a verdict, all of them numbers.
#[derive(Clone, Copy)]
pub(super) struct Seen<'c> {
    /// The row.
    pub(super) row: &'c Row,
    /// The value of the arm above, in the row's unit.
    pub(super) above: f64,
    /// The value of the arm below.
    pub(super) below: f64,
    /// Above ÷ below.
    pub(super) ratio: Interval,
    /// What the ratio says.
    pub(super) verdict: Verdict,
}

/// What an arm's rounds show, with its unit and marked, if it is a number.
pub(super) fn value(row: &Row, arm: Arm) -> Option<String> {
    let value = finite(row, arm)?;
    let field = format!("arms.{arm}.value");
    Some(Source::Row(&row.id()).mark(&field, value, &show(value, row.unit)))
}

/// The payload of a row as it is shown, marked.
pub(super) fn payload(row: &Row) -> Option<String> {
    let bytes = row.number("payload")?;
    #[expect(clippy::cast_precision_loss, reason = "a payload far below 2^53 bytes")]
    let value = bytes as f64;
    let shown = ByteSize::from_bytes(bytes).to_string();
    Some(Source::Row(&row.id()).mark("params.payload", value, &shown))
}

/// The row of this id, if everything in it is a number.
pub(super) fn seen<'c>(comparison: &'c Comparison, id: &str) -> Option<Seen<'c>> {
    let row = comparison.rows.iter().find(|row| row.id() == id)?;
    whole(row)
}

/// A row, if everything in it is a number.
pub(super) fn whole(row: &Row) -> Option<Seen<'_>> {
    let ratio = row.ratio?;
    let is_whole = [ratio.median, ratio.low, ratio.high]
        .into_iter()
        .all(|end| end.is_finite() && end > 0.0);
    if !is_whole {
        return None;
    }
    Some(Seen {
        row,
        above: finite(row, row.compared.0)?,
        below: finite(row, row.compared.1)?,
        ratio,
        verdict: row.verdict?,
    })
}

/// What an arm's rounds show, if it is a number.
pub(super) fn finite(row: &Row, arm: Arm) -> Option<f64> {
    row.value(arm).filter(|value| value.is_finite())
}

impl Seen<'_> {
    /// Whether the arm is the better one.
    pub(super) fn is_better(&self, arm: Arm) -> bool {
        self.verdict == Verdict::Better(arm)
    }

    /// The smallest difference that would have been called, as a fraction.
    pub(super) fn detectable(&self) -> Option<f64> {
        self.row.detectable.filter(|found| found.is_finite())
    }

    /// Whether no difference was seen, and one of this fraction would have been.
    pub(super) fn rules_out(&self, difference: f64) -> bool {
        self.verdict == Verdict::NoDifferenceSeen
            && self.detectable().is_some_and(|found| found <= difference)
    }

    /// How far the ratio lies from 1, in either direction, as a fraction.
    pub(super) fn difference(&self) -> f64 {
        self.ratio.median.max(1.0 / self.ratio.median) - 1.0
    }

    /// Both values, the ratio and its interval: `2.25 ms (process) against 77.6 µs (thread), a ratio
    /// of 32.6 [26.0, 35.1]`.
    pub(super) fn figures(&self) -> String {
        let (above, below) = self.row.compared;
        let id = self.row.id();
        let part = |field: &str, value: f64| {
            Source::Row(&id).mark(&format!("ratio.{field}"), value, &digits(value))
        };
        format!(
            "{} ({above}) against {} ({below}), a ratio of {} [{}, {}]",
            self.value(above, self.above),
            self.value(below, self.below),
            part("median", self.ratio.median),
            part("low", self.ratio.low),
            part("high", self.ratio.high),
        )
    }

    fn value(&self, arm: Arm, value: f64) -> String {
        let field = format!("arms.{arm}.value");
        self.mark(&field, value, &show(value, self.row.unit))
    }

    /// A number of the row, marked.
    pub(super) fn mark(&self, field: &str, value: f64, shown: &str) -> String {
        Source::Row(&self.row.id()).mark(field, value, shown)
    }

    /// The verdict, and where none was reached, what could have been seen.
    pub(super) fn outcome(&self) -> String {
        match (self.verdict, self.detectable()) {
            (Verdict::NoDifferenceSeen, Some(least)) => {
                let least = self.mark("detectable", least, &percent(least));
                format!("no difference of {least} or more")
            }
            (verdict, _) => verdict.to_string(),
        }
    }
}

/// Why there is nothing of an experiment.
pub(super) fn why_missing(comparison: &Comparison, experiment: &str) -> String {
    let failed = comparison
        .failures
        .iter()
        .any(|failure| failure.experiment == experiment);
    let planned = comparison
        .parts
        .iter()
        .any(|part| part.experiment == experiment);
    if failed {
        format!("trials of the experiment `{experiment}` failed")
    } else if planned {
        format!("the experiment `{experiment}` gave too few samples")
    } else if comparison.complete {
        format!("the experiment `{experiment}` was not selected")
    } else {
        format!(
            "the comparison was stopped before the experiment `{experiment}`, or it was not selected"
        )
    }
}

/// A fraction in per cent, as a size: `7.10 %`.
pub(super) fn percent(fraction: f64) -> String {
    let size = 100.0 * fraction.abs();
    if size < 0.005 && size > 0.0 {
        "less than 0.01 %".to_owned()
    } else {
        format!("{} %", three_digits(size))
    }
}

/// `one, two and three`
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [many @ .., last] => format!("{} and {last}", many.join(", ")),
    }
}

/// With a capital at its beginning and a full stop at its end.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| {
        first.to_uppercase().chain(letters).chain(['.']).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    #[test]
    fn small_shares_are_not_nothing() {
        assert_eq!(percent(-0.07), "7.00 %");
        assert_eq!(percent(0.000_01), "less than 0.01 %");
        assert_eq!(percent(0.0), "0.00 %");
    }

    #[test]
    fn a_list_reads_like_a_sentence() {
        let items = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(list(&items), "a, b and c");
        assert_eq!(list(&items[..1]), "a");
        assert_eq!(list(&[]), "");
        assert_eq!(sentence("it was so"), "It was so.");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn a_row_with_something_that_is_no_number_is_not_relied_on() {
        let mut comparison = sample();
        assert!(seen(&comparison, "job.p50").is_some());
        let row = comparison
            .rows
            .iter_mut()
            .find(|row| row.id() == "job.p50")
            .unwrap();
        row.ratio.as_mut().unwrap().high = f64::INFINITY;
        assert!(seen(&comparison, "job.p50").is_none());
        assert!(seen(&comparison, "job.nothing").is_none());
    }

    #[test]
    fn the_reason_for_a_gap_is_told() {
        let mut comparison = sample();
        let why = |comparison: &Comparison, name| why_missing(comparison, name);
        assert_eq!(
            why(&comparison, "start"),
            "trials of the experiment `start` failed"
        );
        assert_eq!(
            why(&comparison, "job"),
            "the experiment `job` gave too few samples"
        );
        assert_eq!(
            why(&comparison, "shell"),
            "the experiment `shell` was not selected"
        );
        comparison.complete = false;
        assert_eq!(
            why(&comparison, "shell"),
            "the comparison was stopped before the experiment `shell`, or it was not selected"
        );
    }
}
