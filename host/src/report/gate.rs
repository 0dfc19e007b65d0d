//! `--fail-if`: a bound on a number of the result, so that a build fails when it is passed.
//!
//! Written as `ARM.EXPERIMENT.METRIC[PARAMS] OP BOUND`. The bound is one of
//!
//! - `1.10x`: so many times what a baseline, another result, has there;
//! - `50ms`, `64KiB`, `1000/s`, `10MiB/s`, `12`: a value, with the unit of the row;
//! - `1.5x thread.job.p50`: so many times what another arm has in the same result, by rounds.
//!
//! A gate that cannot be checked is an error and never a pass: a row that is missing, a unit that
//! does not fit, too few rounds, a baseline of other work.

mod error;
mod finding;
mod grammar;
mod outlook;
mod work;

use std::collections::BTreeMap;
use std::fmt;

use super::result::{Comparison, Row};
use super::rounds::{by_rounds, values};
use crate::experiment::{Arm, Unit};
use crate::printable;
use crate::stats::{Interval, factor_interval, median_interval};

pub use error::{GateError, ParseGateError};
pub use finding::{Finding, Measure, NotPassed, Passed, Tripped};

/// A bound that a result must not pass.
#[derive(Clone, Debug, PartialEq)]
pub struct Gate {
    text: String,
    place: Place,
    operator: Operator,
    bound: Bound,
}

/// One arm of one row, as it is written: `process.message.round_trip[payload=64]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    arm: Arm,
    experiment: String,
    metric: String,
    params: BTreeMap<String, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
}

#[derive(Clone, Debug, PartialEq)]
enum Bound {
    /// So many times the baseline.
    Baseline(f64),
    /// So many times another arm of the same result.
    Arm(f64, Place),
    /// A value in the base unit, and the units of the rows that it suits.
    Value(f64, &'static [Unit]),
}

impl Gate {
    /// Whether it can only be checked against another result.
    #[must_use]
    pub fn needs_baseline(&self) -> bool {
        matches!(self.bound, Bound::Baseline(_))
    }

    /// Checks a result. It trips where both hold:
    ///
    /// - the median passes the bound, as the operator says;
    /// - the interval leaves no room for chance. For a *value* and for a factor of *another arm*, the
    ///   near end of the interval passes the bound too: the bound is a level that was chosen, and a
    ///   build must not fail on one day and pass on the next because a number lies near it. For a
    ///   factor of a *baseline*, the near end lies beyond 1: the bound is how much is tolerated, and
    ///   the question is whether anything changed at all. To ask for the bound to be excluded there
    ///   too would pass every change that is only a little larger than what is tolerated. A bound
    ///   that asks for a gain (`> 0.90x`) is a level again, since 1 is already beyond it.
    ///
    /// The interval is that of [`factor_interval`] over the rounds of both results for a baseline, and
    /// of [`median_interval`] over the rounds otherwise: of the row's quantile of each round, or of its
    /// quotient with the other arm in the same round. An arm that its row has measured twice, the one
    /// below with its control, counts as the geometric mean of the two, as it does in the table.
    ///
    /// # Errors
    /// [`NotPassed::Tripped`] where it trips, [`NotPassed::Unchecked`] where it cannot be checked.
    pub fn check(
        &self,
        result: &Comparison,
        baseline: Option<&Comparison>,
    ) -> Result<Passed, NotPassed> {
        let row = self.find(&result.rows, "the result", &self.place)?;
        let rounds = self.rounds(result, "the result", row, self.place.arm)?;
        let (interval, measure, bound, trips) = match &self.bound {
            Bound::Baseline(factor) => {
                let baseline = baseline.ok_or_else(|| GateError::NoBaseline {
                    gate: self.text.clone(),
                    example: format!("{} {} {factor}x thread.job.p50", self.place, self.operator),
                })?;
                self.same_work(result, baseline)?;
                let before = self.before(baseline)?;
                let interval = self.sound(row, factor_interval(&before, &rounds))?;
                (
                    interval,
                    Measure::OfBaseline,
                    *factor,
                    self.operator.trips_change(interval, *factor),
                )
            }
            Bound::Arm(factor, place) => {
                let interval = self.paired(result, row, place)?;
                let other = self.find(&result.rows, "the result", place)?;
                let measure = Measure::OfArm(format!("{} of {}", place.arm, other.id()));
                (
                    interval,
                    measure,
                    *factor,
                    self.operator.trips_level(interval, *factor),
                )
            }
            Bound::Value(value, units) => {
                self.fits(row, units)?;
                let interval = self.sound(row, median_interval(&rounds))?;
                (
                    interval,
                    Measure::Value(row.unit),
                    *value,
                    self.operator.trips_level(interval, *value),
                )
            }
        };
        let finding = Finding {
            gate: self.text.clone(),
            row: row.id(),
            arm: self.place.arm,
            measure,
            interval,
            median_passes: self.operator.holds(interval.median, bound),
        };
        if trips {
            return Err(NotPassed::Tripped(Tripped(finding)));
        }
        Ok(Passed(finding))
    }

    /// Finds, before anything is measured, what a check against this baseline would find: a row or an
    /// arm that the baseline lacks, values without a factor, a unit that does not fit. A bound that
    /// does not need the baseline may name rows that this one does not have.
    ///
    /// # Errors
    /// The [`GateError`] that [`Gate::check`] would give.
    pub fn suits(&self, baseline: &Comparison) -> Result<(), GateError> {
        let known = |place: &Place| self.find(&baseline.rows, "the baseline", place).ok();
        match &self.bound {
            Bound::Baseline(_) => {
                let before = self.before(baseline)?;
                match known(&self.place) {
                    Some(row) if before.iter().any(|&value| value <= 0.0) => {
                        Err(self.no_factor(row))
                    }
                    Some(_) | None => Ok(()),
                }
            }
            Bound::Arm(_, place) => match (known(&self.place), known(place)) {
                (Some(row), Some(other)) => self.alike(row, other),
                _ => Ok(()),
            },
            Bound::Value(_, units) => match known(&self.place) {
                Some(row) => self.fits(row, units),
                None => Ok(()),
            },
        }
    }

    /// What makes a comparison with this baseline less sure, in words, though it can be checked:
    /// another machine, version or module, a measuring that was stopped.
    #[must_use]
    pub fn doubts(result: &Comparison, baseline: &Comparison) -> Vec<String> {
        work::doubts(result, baseline)
    }

    fn same_work(&self, result: &Comparison, baseline: &Comparison) -> Result<(), GateError> {
        let differs = work::unlike(result, baseline);
        if differs.is_empty() {
            return Ok(());
        }
        Err(GateError::OtherWork {
            gate: self.text.clone(),
            differs,
        })
    }

    /// The rounds of the baseline.
    fn before(&self, baseline: &Comparison) -> Result<Vec<f64>, GateError> {
        let row = self.find(&baseline.rows, "the baseline", &self.place)?;
        self.rounds(baseline, "the baseline", row, self.place.arm)
    }

    /// Whether a value of these units can be a bound of a row.
    fn fits(&self, row: &Row, units: &[Unit]) -> Result<(), GateError> {
        if units.contains(&row.unit) {
            return Ok(());
        }
        Err(GateError::WrongUnit {
            gate: self.text.clone(),
            row: row.id(),
            unit: row.unit,
            works: example(row.unit),
        })
    }

    /// Whether two rows have a factor.
    fn alike(&self, row: &Row, other: &Row) -> Result<(), GateError> {
        if row.unit == other.unit {
            return Ok(());
        }
        Err(GateError::UnlikeUnits {
            gate: self.text.clone(),
            row: row.id(),
            unit: row.unit,
            other: other.id(),
            other_unit: other.unit,
        })
    }

    /// The row that a place names: exactly, or as the only one that has its parameters among others.
    fn find<'r>(
        &self,
        all: &'r [Row],
        which: &'static str,
        place: &Place,
    ) -> Result<&'r Row, GateError> {
        let of_metric =
            |row: &&Row| row.experiment == place.experiment && row.metric == place.metric;
        let rows: Vec<&Row> = all.iter().filter(of_metric).collect();
        let has = |row: &&&Row| {
            let mut wanted = place.params.iter();
            wanted.all(|(name, value)| {
                row.params
                    .get(name)
                    .is_some_and(|param| param.to_string() == *value)
            })
        };
        let fitting: Vec<&Row> = rows.iter().filter(has).copied().collect();
        let exact = |row: &&&Row| row.params.len() == place.params.len();
        if let Some(row) = fitting.iter().find(exact) {
            return Ok(row);
        }
        match fitting.as_slice() {
            [row] => Ok(row),
            [] => Err(GateError::NoRow {
                gate: self.text.clone(),
                which,
                row: place.row(),
                near: near(all, &place.row()),
            }),
            several => Err(GateError::Ambiguous {
                gate: self.text.clone(),
                row: place.row(),
                rows: several.iter().map(|row| printable(&row.id())).collect(),
            }),
        }
    }

    fn rounds(
        &self,
        comparison: &Comparison,
        which: &'static str,
        row: &Row,
        arm: Arm,
    ) -> Result<Vec<f64>, GateError> {
        let rounds = values(comparison, row, arm);
        if rounds.is_empty() {
            let has_some = |arm: &Arm| !values(comparison, row, *arm).is_empty();
            return Err(GateError::NoArm {
                gate: self.text.clone(),
                which,
                row: row.id(),
                arm,
                there: Arm::ALL.into_iter().filter(has_some).collect(),
            });
        }
        Ok(rounds)
    }

    /// The quotient with another arm of the same result, by rounds.
    fn paired(&self, result: &Comparison, row: &Row, place: &Place) -> Result<Interval, GateError> {
        let other = self.find(&result.rows, "the result", place)?;
        self.rounds(result, "the result", other, place.arm)?;
        self.alike(row, other)?;
        let above = by_rounds(result, row, self.place.arm);
        let below = by_rounds(result, other, place.arm);
        let again = if place.arm == other.twin {
            by_rounds(result, other, Arm::Control)
        } else {
            Vec::new()
        };
        let mut quotients = Vec::new();
        for (round, pair) in above.iter().zip(&below).enumerate() {
            let (Some(above), Some(below)) = pair else {
                continue;
            };
            let below = match again.get(round) {
                Some(Some(again)) => (below * again).sqrt(),
                Some(None) | None => *below,
            };
            // What is zero or less has no factor; a square root of less than zero is no number.
            if !(*above > 0.0 && below > 0.0) {
                return Err(self.no_factor(row));
            }
            quotients.push(above / below);
        }
        if quotients.is_empty() {
            return Err(self.too_few(row, 0.0));
        }
        self.sound(row, median_interval(&quotients))
    }

    /// An interval that is worth something.
    fn sound(&self, row: &Row, interval: Option<Interval>) -> Result<Interval, GateError> {
        // There are values: so there is none because of one that is not positive.
        let interval = interval.ok_or_else(|| self.no_factor(row))?;
        if interval.confidence < 0.95 {
            return Err(self.too_few(row, interval.confidence));
        }
        Ok(interval)
    }

    fn no_factor(&self, row: &Row) -> GateError {
        GateError::NoFactor {
            gate: self.text.clone(),
            row: row.id(),
        }
    }

    fn too_few(&self, row: &Row, confidence: f64) -> GateError {
        GateError::TooFewRounds {
            gate: self.text.clone(),
            row: row.id(),
            confidence,
        }
    }
}

impl Operator {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
        }
    }

    /// The end of an interval that passes a bound last.
    fn near_end(self, interval: Interval) -> f64 {
        match self {
            Self::Above | Self::AtLeast => interval.low,
            Self::Below | Self::AtMost => interval.high,
        }
    }

    fn trips_level(self, interval: Interval, bound: f64) -> bool {
        self.holds(interval.median, bound) && self.holds(self.near_end(interval), bound)
    }

    fn trips_change(self, interval: Interval, bound: f64) -> bool {
        let near = self.near_end(interval);
        let (tolerates_change, has_changed) = match self {
            Self::Above | Self::AtLeast => (bound >= 1.0, near > 1.0),
            Self::Below | Self::AtMost => (bound <= 1.0, near < 1.0),
        };
        if tolerates_change {
            self.holds(interval.median, bound) && has_changed
        } else {
            self.trips_level(interval, bound)
        }
    }
}

impl Place {
    /// The row's name, as [`Row::id`] would give it.
    fn row(&self) -> String {
        let name = format!("{}.{}", self.experiment, self.metric);
        if self.params.is_empty() {
            return name;
        }
        let params: Vec<String> = self
            .params
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{name}[{}]", params.join(","))
    }
}

/// Rows with names like this one, the nearest first.
fn near(rows: &[Row], name: &str) -> Vec<String> {
    const MOST: usize = 3;
    let ids = rows.iter().map(|row| printable(&row.id()));
    let mut ids: Vec<String> = ids.collect();
    ids.sort_by_key(|id| strsim::damerau_levenshtein(id, name));
    ids.truncate(MOST);
    ids
}

/// A bound that suits a unit.
fn example(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "50ms",
        Unit::JobsPerSecond => "1000 jobs/s",
        Unit::MessagesPerSecond => "1000 messages/s",
        Unit::BytesPerSecond => "10MiB/s",
        Unit::Bytes => "64KiB",
        Unit::Count => "12",
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.arm, self.row())
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        })
    }
}

#[cfg(test)]
mod tests;
