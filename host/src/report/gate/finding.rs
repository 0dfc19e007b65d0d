//! What a gate saw, and what came of it.

use std::fmt;

use super::GateError;
use crate::experiment::{Arm, Unit};
use crate::report::terminal::show;
use crate::report::words::digits;
use crate::stats::Interval;

/// What a gate saw.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// The gate as it was written.
    pub gate: String,
    /// The row, by [`crate::report::Row::id`].
    pub row: String,
    /// The arm.
    pub arm: Arm,
    /// What the interval is of.
    pub measure: Measure,
    /// The median and its interval: a factor, or a value in the unit of the row.
    pub interval: Interval,
    /// Whether the median passes the bound.
    pub median_passes: bool,
}

/// What the number of a [`Finding`] is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Measure {
    /// How many times the value of the baseline.
    OfBaseline,
    /// How many times the value of another arm: `thread of job.p50`.
    OfArm(String),
    /// The value itself.
    Value(Unit),
}

/// The gate holds, or nothing shows that it does not.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed(
    /// What it saw.
    pub Finding,
);

impl Passed {
    /// Whether the median passes the bound, but the interval does not: with more rounds the gate may
    /// trip. [`Passed`] says so where it is printed.
    #[must_use]
    pub fn doubtful(&self) -> bool {
        self.0.median_passes
    }
}

/// The bound was passed, and not by noise alone.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("tripped: {0}")]
pub struct Tripped(
    /// What it saw.
    pub Finding,
);

/// A gate that did not pass: two different matters, which end a program differently.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum NotPassed {
    /// It was checked, and the bound was passed.
    #[error(transparent)]
    Tripped(Tripped),
    /// It could not be checked.
    #[error(transparent)]
    Unchecked(#[from] GateError),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Interval {
            median, low, high, ..
        } = self.interval;
        write!(f, "{}: {} of {} is ", self.gate, self.arm, self.row)?;
        let show = |value: f64| match self.measure {
            Measure::Value(unit) => show(value, unit),
            Measure::OfBaseline | Measure::OfArm(_) => digits(value),
        };
        match &self.measure {
            Measure::OfBaseline => write!(f, "{} times the baseline", show(median))?,
            Measure::OfArm(other) => write!(f, "{} times {other}", show(median))?,
            Measure::Value(_) => f.write_str(&show(median))?,
        }
        write!(f, " (95 % interval {} to {})", show(low), show(high))
    }
}

impl fmt::Display for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "passed: {}", self.0)?;
        if self.doubtful() {
            f.write_str("; the median passes the bound, but the interval does not")?;
        }
        Ok(())
    }
}
