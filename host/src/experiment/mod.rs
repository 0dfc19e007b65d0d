//! One question, one file.
//!
//! An experiment has one part or more; a *part* is measured in *rounds*. In a round each arm has a
//! fresh process of its own (`cofferdam __trial`), so that nothing of one arm lingers in another, and
//! a crash is a result. The processes of a round live side by side, and take turns: a *segment* of one
//! arm, the same segment of the next, in a seeded random order, so that a machine that is slow for a
//! second is slow for all of them. Rounds are the unit of the statistics.
//!
//! [`Plan`] says what will be done, its schedule which part has the next round, the [`Runner`] does
//! it, and what comes out is judged in [`crate::report`].

mod collected;
mod containment;
mod conversation;
mod effort;
mod escape;
mod faults;
mod identity;
mod injection;
mod latency;
mod left_out;
mod limits;
mod load;
mod memory;
mod message;
mod pairing;
mod plan;
mod runner;
mod scaling;
mod schedule;
mod sharing;
mod start;
mod stream;
mod throughput;
mod trial;
mod vocabulary;
mod waits;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stats::Better;

pub use crate::sys::escape::Act;
pub use collected::{Collected, PartLog};
#[cfg(test)]
pub(crate) use containment::{Aftermath, Kept};
pub use effort::Effort;
pub use escape::{Deed, Reach};
pub use faults::{
    Also, CATALOGUE, Ending, Entry, Expected, Fate, Fault, How, Injector, Loss, Misdeed, Next,
    Observation, Programs, Proof, Refusal, Setting, document, expected, sacrifice, serve_sacrifice,
};
pub(crate) use injection::Injection;
pub use left_out::{LeftOut, Reason};
pub(crate) use memory::pss;
pub use pairing::{Paired, paired};
pub use plan::{Plan, Rigging, Selection, Subject, UnknownExperiment};
pub use runner::{Progress, Runner};
pub use schedule::Ended;
pub use trial::serve_trial;
pub use vocabulary::{Arm, Budget, FailedTrial, Identity, Param, Sharing, Unit};

/// One number that a part gives: a row of the report.
#[derive(Clone, Debug, PartialEq)]
pub struct RowSpec {
    /// Its name within the experiment.
    pub metric: &'static str,
    /// What it is measured at.
    pub params: Vec<(&'static str, Param)>,
    /// Its title in tables.
    pub title: String,
    /// What it counts.
    pub unit: Unit,
    /// Which way it is better.
    pub better: Better,
    /// The series of samples that it is computed from.
    pub series: String,
    /// Which quantile of a round's samples stands for the round.
    pub quantile: f64,
    /// The arms that are compared: the first ÷ the second.
    pub compared: (Arm, Arm),
    /// The arm that the control is once more, if it is not that of the whole part.
    pub twin: Option<Arm>,
}

impl RowSpec {
    /// A row of seconds, process against thread, by the median of each round.
    fn seconds(metric: &'static str, title: impl Into<String>, series: impl Into<String>) -> Self {
        Self {
            metric,
            params: Vec::new(),
            title: title.into(),
            unit: Unit::Seconds,
            better: Better::Lower,
            series: series.into(),
            quantile: 0.5,
            compared: (Arm::Process, Arm::Thread),
            twin: None,
        }
    }

    /// A row of something that there should be much of.
    fn rate(
        metric: &'static str,
        title: impl Into<String>,
        series: impl Into<String>,
        unit: Unit,
    ) -> Self {
        Self {
            unit,
            better: Better::Higher,
            ..Self::seconds(metric, title, series)
        }
    }

    fn at(mut self, param: &'static str, value: impl Into<Param>) -> Self {
        self.params.push((param, value.into()));
        self
    }

    fn quantile(self, quantile: f64) -> Self {
        Self { quantile, ..self }
    }

    fn comparing(self, above: Arm, below: Arm) -> Self {
        Self {
            compared: (above, below),
            ..self
        }
    }
}

/// A part of an experiment: what is measured together.
pub struct Part {
    /// The experiment that it belongs to, as `--experiments` names it.
    pub experiment: &'static str,
    /// Its own name.
    pub name: &'static str,
    /// What it asks.
    pub question: &'static str,
    /// The arms, each once a round.
    arms: fn(Budget) -> &'static [Arm],
    /// The arm that [`Arm::Control`] is once more.
    pub twin: Arm,
    /// How much of the time it deserves, against the others.
    weight: f64,
    /// Rounds without which there is no result: it has the first of them however little time there is.
    core: usize,
    /// Rounds that are enough, whatever the time: quick, default, rigorous.
    most: [usize; 3],
    rows: fn(&Effort) -> Vec<RowSpec>,
    /// What it would measure with more time or memory, in words, and why it does not.
    left_out: fn(&Effort) -> Vec<(String, Reason)>,
    work: PartWork,
}

/// How a part's rounds are done.
enum PartWork {
    /// Segments, taken in turns.
    Staged {
        segments: fn(&Effort) -> usize,
        prepare: Prepare,
    },
    /// One segment, while no other arm's process is there.
    Alone { prepare: Prepare },
    /// Each fault once in each isolation.
    Faults,
}

type Prepare = for<'b> fn(&'b trial::Bench) -> Result<Box<dyn Stage + 'b>, String>;

/// What a trial does for a part, segment by segment.
trait Stage {
    /// Does one segment. The segments of other arms lie between two.
    fn segment(&mut self, place: usize) -> Result<(), String>;
    /// Ends, with everything that was measured.
    fn finish(self: Box<Self>) -> Result<Samples, String>;
}

impl Part {
    /// The name of a series of this part in the result file.
    #[must_use]
    pub fn series(&self, name: &str) -> String {
        format!("{}.{name}", self.experiment)
    }

    /// The arms, each once a round.
    #[must_use]
    pub fn arms(&self, budget: Budget) -> &'static [Arm] {
        (self.arms)(budget)
    }

    /// The rows that it fills.
    #[must_use]
    pub fn rows(&self, effort: &Effort) -> Vec<RowSpec> {
        (self.rows)(effort)
    }

    /// What it would measure with more time or memory, and why it does not.
    #[must_use]
    pub fn left_out(&self, effort: &Effort) -> Vec<LeftOut> {
        let named = |(what, why)| LeftOut {
            experiment: self.experiment.to_owned(),
            part: self.name.to_owned(),
            what,
            why,
        };
        (self.left_out)(effort).into_iter().map(named).collect()
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.experiment, self.name)
    }
}

/// The parts, in the order of the report. `crossover` has none: it is computed from `message`.
pub const PARTS: [&Part; 17] = [
    &start::START,
    &message::TRIPS,
    &waits::WAITS,
    &stream::STREAMS,
    &latency::LATENCY,
    &throughput::THROUGHPUT,
    &load::LOAD,
    &memory::IDLE,
    &memory::HELD_WORKERS,
    &limits::LIMITS,
    &scaling::SCALING,
    &sharing::READS,
    &sharing::HELD,
    &sharing::SEEN,
    &identity::IDENTITY,
    &containment::CONTAINMENT,
    &escape::ESCAPE,
];

/// What one trial measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// The samples of each series, in the order in which they were taken.
    pub series: BTreeMap<String, Vec<f64>>,
    /// The digests of all replies, series by series, by which arms are checked against each other; none
    /// where each reply is checked against what it must be, or where it is chance which instance gives
    /// it.
    pub replies: BTreeMap<String, String>,
    /// Who the worker is, where that was asked.
    pub identity: Option<Identity>,
    /// What workers see of each other in a region, where that was tried.
    pub sharing: Option<Sharing>,
    /// How far code came that got out of the sandbox, where that was tried.
    pub reached: Vec<Reach>,
}

impl Samples {
    fn add(&mut self, series: &str, value: f64) {
        match self.series.get_mut(series) {
            Some(values) => values.push(value),
            None => drop(self.series.insert(series.to_owned(), vec![value])),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_rows_have_the_same_name() {
        let mut names = Vec::new();
        let effort = Effort::default();
        for part in PARTS {
            for row in part.rows(&effort) {
                names.push(format!(
                    "{}.{}{:?}",
                    part.experiment, row.metric, row.params
                ));
                let arms = part.arms(effort.budget);
                assert!(arms.contains(&row.compared.0), "{part:?}");
                assert!(arms.contains(&row.compared.1), "{part:?}");
            }
        }
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
