//! Everything that was measured so far, part by part and round by round.

use std::collections::BTreeMap;

use super::injection::Injection;
use super::pairing::paired;
use super::schedule::{Ended, LEAST};
use super::{Arm, Effort, FailedTrial, Identity, Part, Reach, Samples, Sharing};
use crate::stats::median_interval;

/// What stands for a part in the failure of the first trial, which times a few jobs.
pub(super) const UNCALIBRATED: &str = "calibration";

/// Everything that was measured so far.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The parts that were planned, in the order of the report.
    pub(crate) parts: Vec<PartLog>,
    pub(crate) injections: Vec<Injection>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) sharing: Vec<Sharing>,
    pub(crate) reached: Vec<Reach>,
    pub(crate) failures: Vec<FailedTrial>,
    pub(crate) effort: Effort,
    /// Seconds that the rounds without which there is no result take, roughly; 0 before the first jobs
    /// were timed.
    pub(crate) core_s: f64,
    /// What stopped the measuring, if anything did.
    pub(crate) interrupted: Option<i32>,
}

/// What was done for one part.
#[derive(Clone, Debug)]
pub struct PartLog {
    pub(crate) part: &'static Part,
    /// What each round gave, by arm.
    pub(crate) rounds: Vec<BTreeMap<Arm, Samples>>,
    /// Seconds.
    pub(crate) spent: f64,
    pub(crate) ended: Ended,
    /// Whether the arm that is measured twice gave the same replies both times.
    pub(crate) reproducible: bool,
    /// Rounds, up to the last one, that gave nothing.
    pub(super) failing: usize,
    pub(super) narrow: bool,
}

impl Collected {
    /// The signal that stopped the measuring, if one did.
    #[must_use]
    pub fn interrupted_by(&self) -> Option<i32> {
        self.interrupted
    }

    /// With which inputs the guest fails, and how: the first of them, in words.
    #[must_use]
    pub fn guest_fails(&self) -> Option<&str> {
        let first = self.failures.iter().find(|failure| failure.part == "first");
        first.map(|failure| failure.error.as_str())
    }

    /// Why nobody knows how long the guest's jobs take, where that is not the guest's doing.
    #[must_use]
    pub fn untimed(&self) -> Option<&str> {
        let mut failures = self.failures.iter();
        let last = failures.rfind(|failure| failure.part == UNCALIBRATED);
        let untimed = last.filter(|_| !self.effort.works);
        untimed.map(|failure| failure.error.as_str())
    }

    /// Whether the guest does its jobs at all, with any input.
    #[must_use]
    pub fn guest_works(&self) -> bool {
        self.effort.works
    }

    /// How many rounds all parts had together.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.parts.iter().map(|log| log.rounds.len()).sum()
    }
}

impl PartLog {
    pub(super) fn new(part: &'static Part) -> Self {
        Self {
            part,
            rounds: Vec::new(),
            spent: 0.0,
            ended: Ended::TimeUp,
            reproducible: true,
            failing: 0,
            narrow: false,
        }
    }

    /// The samples of a series, by arm and round; empty where a trial failed.
    pub(crate) fn samples(&self, series: &str) -> BTreeMap<Arm, Vec<Vec<f64>>> {
        let mut samples = BTreeMap::new();
        for arm in Arm::ALL {
            let of_round = |round: &BTreeMap<Arm, Samples>| {
                let found = round.get(&arm)?.series.get(series)?;
                Some(found.clone())
            };
            let rounds: Vec<Vec<f64>> = self
                .rounds
                .iter()
                .map(|round| of_round(round).unwrap_or_default())
                .collect();
            if rounds.iter().any(|round| !round.is_empty()) {
                samples.insert(arm, rounds);
            }
        }
        samples
    }

    /// Whether every comparison of this part is known so well, to each side, as a fraction.
    pub(super) fn is_narrow(&self, effort: &Effort, wanted: f64) -> bool {
        let rows = self.part.rows(effort);
        self.rounds.len() > LEAST
            && !rows.is_empty()
            // Where the time goes is told, not judged.
            && rows.iter().filter(|row| row.metric != "phase").all(|row| {
                let twin = row.twin.unwrap_or(self.part.twin);
                let paired = paired(row, twin, &self.samples(&row.series));
                [&paired.ratios, &paired.control].into_iter().all(|ratios| {
                    median_interval(ratios).is_none_or(|interval| {
                        interval.confidence >= 0.95
                            && interval.high / interval.median <= 1.0 + wanted
                            && interval.median / interval.low <= 1.0 + wanted
                    })
                })
            })
    }
}

/// Every arm of a round did the same jobs with the same seed: their replies must be the same bytes. Where
/// not even the control's are those of its twin, the guest itself does not repeat itself, and nothing
/// follows from that for the others.
pub(super) fn check_replies(place: usize, number: usize, collected: &mut Collected) {
    let log = &mut collected.parts[place];
    let round = &mut log.rounds[number];
    let Some(reference) = round
        .get(&log.part.twin)
        .map(|samples| samples.replies.clone())
    else {
        return;
    };
    let differs = |samples: &Samples| {
        let mut series = samples.replies.iter();
        series.any(|(series, digest)| reference.get(series).is_some_and(|known| known != digest))
    };
    if round.get(&Arm::Control).is_some_and(differs) {
        log.reproducible = false;
    }
    if !log.reproducible {
        return;
    }
    let arms = round.iter().filter(|(_, samples)| differs(samples));
    let differing: Vec<Arm> = arms.map(|(arm, _)| *arm).collect();
    for arm in differing {
        round.remove(&arm);
        collected.failures.push(FailedTrial {
            experiment: log.part.experiment.to_owned(),
            part: log.part.name.to_owned(),
            round: number,
            arm,
            error: format!("its replies differ from those of the {} arm", log.part.twin),
        });
    }
}
