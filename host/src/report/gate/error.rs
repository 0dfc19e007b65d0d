//! Why a gate is none, or could not be checked.

use super::grammar::EXAMPLE;
use crate::experiment::{Arm, Unit};
use crate::units::UnitError;

/// Why a text is no gate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseGateError {
    /// There is no `>`, `>=`, `<` or `<=` in it.
    #[error("`{0}` has no >, >=, < or <=: write for example {EXAMPLE}")]
    NoOperator(
        /// What was written.
        String,
    ),
    /// What stands before the operator, or after a factor, names no arm of a row.
    #[error(
        "`{0}` is not ARM.EXPERIMENT.METRIC[PARAM=VALUE,…]: \
         write for example process.message.round_trip[payload=64]"
    )]
    Place(
        /// What was written.
        String,
    ),
    /// It names an arm that nobody here knows.
    #[error("`{0}` is no arm: use one of thread, process, control, unmetered, fuel, mixed")]
    Arm(
        /// What was written.
        String,
    ),
    /// The bound is no factor and no value.
    #[error(
        "`{0}` is no bound: write 1.10x (of the baseline), 1.5x thread.job.p50 \
         (of another arm), 50ms, 64KiB, 1000/s, 10MiB/s or a count"
    )]
    Bound(
        /// What was written.
        String,
    ),
    /// The bound is a value with a unit that is not understood.
    #[error(transparent)]
    Unit(#[from] UnitError),
}

/// Why a gate could not be checked.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum GateError {
    /// The result has no such row, or more than one. The names are of rows.
    #[error("{gate}: {which} has no row {row}{}", nearest(near))]
    NoRow {
        /// The gate as it was written.
        gate: String,
        /// `the result`, `the baseline` or `the plan`.
        which: &'static str,
        /// The row that was asked for.
        row: String,
        /// Rows with names like it, the nearest first.
        near: Vec<String>,
    },
    /// There is such a row, but of an experiment that will not be done.
    #[error(
        "{gate}: {row} is of the experiment `{experiment}`, which is not among those that are measured here: add it to --experiments"
    )]
    NotSelected {
        /// The gate as it was written.
        gate: String,
        /// The row that was asked for.
        row: String,
        /// Its experiment.
        experiment: String,
    },
    /// What was written fits several rows.
    #[error("{gate}: {row} could be {}: write the parameters too", rows.join(", "))]
    Ambiguous {
        /// The gate as it was written.
        gate: String,
        /// What was asked for.
        row: String,
        /// The rows that it fits.
        rows: Vec<String>,
    },
    /// The row has no samples of this arm.
    #[error("{gate}: {which} has no {arm} in {row}{}", arms_there(there))]
    NoArm {
        /// The gate as it was written.
        gate: String,
        /// `the result`, `the baseline` or `the plan`.
        which: &'static str,
        /// The row.
        row: String,
        /// The arm that was asked for.
        arm: Arm,
        /// The arms that have samples.
        there: Vec<Arm>,
    },
    /// The unit of the bound is not that of the row.
    #[error("{gate}: {row} is {} and has no such bound: write for example {works}", counts(*unit))]
    WrongUnit {
        /// The gate as it was written.
        gate: String,
        /// The row.
        row: String,
        /// What it counts.
        unit: Unit,
        /// A bound with a unit that would work.
        works: &'static str,
    },
    /// The two rows of a factor do not count the same.
    #[error("{gate}: {row} is {} and {other} is {}: no factor says how they compare", counts(*unit), counts(*other_unit))]
    UnlikeUnits {
        /// The gate as it was written.
        gate: String,
        /// The row.
        row: String,
        /// What it counts.
        unit: Unit,
        /// The row that it is compared with.
        other: String,
        /// What that counts.
        other_unit: Unit,
    },
    /// The bound is a factor of a baseline, and there is none.
    #[error(
        "{gate}: a factor alone is one of a baseline: name one, or an arm of this result, as in `{example}`"
    )]
    NoBaseline {
        /// The gate as it was written.
        gate: String,
        /// A gate that would do without.
        example: String,
    },
    /// The bound is a factor of a baseline, and that is of other work.
    #[error("{gate}: the baseline is of other work, of which no factor says anything: {}", differs.join(", "))]
    OtherWork {
        /// The gate as it was written.
        gate: String,
        /// What differs, each with both values: `inputs (1 in the baseline, 3 here)`.
        differs: Vec<String>,
    },
    /// Some value is zero or less, so that there is no factor.
    #[error(
        "{gate}: {row} has values of zero or less, of which there is no factor: \
         write a value as the bound"
    )]
    NoFactor {
        /// The gate as it was written.
        gate: String,
        /// The row.
        row: String,
    },
    /// There are too few rounds to be sure of anything.
    #[error("{gate}: {row} has too few rounds for a 95 % interval (it would be one of {:.0} %): \
         measure again with more time (--time-budget)", 100.0 * confidence)]
    TooFewRounds {
        /// The gate as it was written.
        gate: String,
        /// The row.
        row: String,
        /// What the interval of these rounds is worth, from 0 to 1.
        confidence: f64,
    },
}

fn nearest(near: &[String]) -> String {
    match near {
        [] => ": it has no rows at all".to_owned(),
        near => format!("; the nearest are {}", near.join(", ")),
    }
}

fn arms_there(arms: &[Arm]) -> String {
    match arms {
        [] => ": nothing was measured there".to_owned(),
        arms => {
            let names: Vec<&str> = arms.iter().map(|arm| arm.name()).collect();
            format!(", only {}", names.join(", "))
        }
    }
}

/// What a row of this unit holds.
fn counts(unit: Unit) -> &'static str {
    match unit {
        Unit::Seconds => "a time",
        Unit::JobsPerSecond => "a rate of jobs",
        Unit::MessagesPerSecond => "a rate of messages",
        Unit::BytesPerSecond => "a rate of bytes",
        Unit::Bytes => "a size",
        Unit::Count => "a count",
    }
}
