//! One question, one file.
//!
//! An experiment is measured in *trials*: each is one fresh process (`cofferdam __trial`) that
//! measures one arm once, so that nothing of one arm lingers in another, and a crash is a result. A
//! *round* is every arm of every experiment once, in a seeded random order; rounds are the unit of
//! the statistics. [`Plan`] says what will be done, the [`Runner`] does it, and what comes out is
//! judged in [`crate::report`].
//!
//! Arms: `thread`, `process`, and `control`, which is `thread` once more. The ratio of two arms that
//! are the same is the noise of this machine, and no verdict may rest on less.

mod containment;
mod latency;
mod memory;
mod plan;
mod runner;
mod start;
mod throughput;
mod trial;

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::Isolation;
use crate::stats::Better;

pub use containment::{Containment, Fault, expected};
pub use plan::{Budget, Plan, Subject};
pub use runner::{Collected, FailedTrial, Progress, Runner};
pub use trial::serve_trial;

/// One side of a comparison.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// Workers in threads.
    Thread,
    /// Workers in processes.
    Process,
    /// Workers in threads once more: what differs between this and `thread` is noise.
    Control,
}

impl Arm {
    /// Every arm.
    pub const ALL: [Self; 3] = [Self::Thread, Self::Process, Self::Control];

    /// Where the workers of this arm live.
    #[must_use]
    pub fn isolation(self) -> Isolation {
        match self {
            Self::Thread | Self::Control => Isolation::Thread,
            Self::Process => Isolation::Process,
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "thread",
            Self::Process => "process",
            Self::Control => "control",
        })
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Jobs a second.
    #[serde(rename = "jobs/s")]
    JobsPerSecond,
    /// Bytes.
    #[serde(rename = "B")]
    Bytes,
}

/// One number that an experiment gives: a row of the report.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name in the result file.
    pub name: &'static str,
    /// Its title in the table.
    pub title: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// Which way it is better.
    pub better: Better,
    /// The series of samples that it is computed from.
    pub series: &'static str,
    /// Which quantile of a round's samples stands for the round.
    pub quantile: f64,
}

/// One question and how it is measured.
pub struct Experiment {
    /// Its name in the result file.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    /// The rows that it fills.
    pub metrics: &'static [Metric],
    measure: fn(&trial::Bench) -> Result<Samples, String>,
}

/// The experiments, in the order of the report.
pub const EXPERIMENTS: [&Experiment; 4] = [
    &start::START,
    &latency::LATENCY,
    &throughput::THROUGHPUT,
    &memory::MEMORY,
];

/// What one trial measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The samples of each series, in the order in which they were taken.
    pub series: BTreeMap<String, Vec<f64>>,
    /// The digest of all replies, by which arms are checked against each other.
    pub replies: String,
}

impl Samples {
    fn with(series: impl IntoIterator<Item = (&'static str, Vec<f64>)>, replies: String) -> Self {
        let series = series
            .into_iter()
            .map(|(name, values)| (name.to_owned(), values))
            .collect();
        Self { series, replies }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_have_the_same_name() {
        let mut names: Vec<_> = EXPERIMENTS
            .iter()
            .flat_map(|experiment| {
                experiment
                    .metrics
                    .iter()
                    .map(|metric| (experiment.name, metric.name))
            })
            .collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
