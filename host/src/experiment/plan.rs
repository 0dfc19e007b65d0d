//! What will be measured, decided before anything is.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Budget, Effort, PARTS, Part};
use crate::guest::Guest;
use crate::job::Limits;
use crate::machine::memory_available;
use crate::options::Hardening;
use crate::pool::Surroundings;
use crate::runtime::{Cache, InstancePolicy};

/// The guest and the work that it is compared on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The guest.
    pub guest: Guest,
    /// What it finds around it.
    pub surroundings: Surroundings,
    /// The inputs; jobs take them in turn.
    pub inputs: Vec<Vec<u8>>,
    /// What each job may use.
    pub limits: Limits,
    /// Whether instances are reused.
    pub instance: InstancePolicy,
    /// What worker processes give up.
    pub hardening: Hardening,
    /// Where compiled guests are kept.
    pub cache: Cache,
}

/// Which experiments are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// Those that suit the budget: all, but for `limits`, `scaling`, the loads of `job` and the times and
    /// sizes of `sharing` when it has to be quick.
    #[default]
    Usual,
    /// These, by name.
    These(Vec<String>),
}

/// An experiment was asked for that there is none of.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no experiment `{asked}`; there are {}", Selection::NAMES.join(", "))]
pub struct UnknownExperiment {
    /// What was asked for.
    pub asked: String,
}

impl Selection {
    /// Every name that may be asked for.
    pub const NAMES: [&'static str; 11] = [
        "start",
        "message",
        "job",
        "memory",
        "limits",
        "scaling",
        "sharing",
        "identity",
        "containment",
        "recovery",
        "crossover",
    ];

    /// The experiments of these names.
    ///
    /// # Errors
    /// [`UnknownExperiment`] names the first that there is none of.
    pub fn these(names: impl IntoIterator<Item = String>) -> Result<Self, UnknownExperiment> {
        let names: Vec<String> = names.into_iter().collect();
        match names
            .iter()
            .find(|name| !Self::NAMES.contains(&name.as_str()))
        {
            Some(unknown) => Err(UnknownExperiment {
                asked: unknown.clone(),
            }),
            None => Ok(Self::These(names)),
        }
    }

    fn holds(&self, part: &Part, budget: Budget) -> bool {
        match self {
            Self::Usual => {
                // Of sharing, what takes no time: who sees what whom writes.
                let is_long = match part.experiment {
                    "limits" | "scaling" => true,
                    "sharing" => part.name != "seen",
                    _ => part.name == "load",
                };
                budget != Budget::Quick || !is_long
            }
            Self::These(names) => names.iter().any(|name| match name.as_str() {
                // What is computed from another experiment's rounds.
                "crossover" => part.experiment == "message" && part.name == "trips",
                "recovery" => part.experiment == "containment",
                name => part.experiment == name,
            }),
        }
    }
}

/// What is done to the second arm to prove the statistics, where the truth has to be known. A result
/// with it says nothing about isolations, and says that.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rigging {
    /// The process arm is a thread arm, slowed down by this fraction of each timed span: 0 makes it
    /// the same as the thread arm.
    pub delay: f64,
}

/// A comparison, decided.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) subject: Subject,
    pub(crate) budget: Budget,
    pub(crate) time: Duration,
    pub(crate) seed: u64,
    pub(crate) parts: Vec<&'static Part>,
    pub(crate) rigging: Option<Rigging>,
    /// CPUs that loads are sized by.
    pub(crate) cpus: usize,
    /// Bytes of memory that programs could have.
    pub(crate) free_memory: u64,
}

impl Plan {
    /// The shortest time in which anything can be said.
    pub const SHORTEST: Duration = Duration::from_secs(2);

    /// Plans the comparison of this subject. The seed decides the order of the trials and the random
    /// bytes of the guest.
    #[must_use]
    pub fn new(subject: Subject, budget: Budget, seed: u64) -> Self {
        let time = Duration::from_secs(budget.pick([13, 54, 560]));
        Self {
            subject,
            budget,
            time,
            seed,
            parts: Self::chosen(&Selection::Usual, budget),
            rigging: None,
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            // Where nobody knows, nothing is left out for want of memory.
            free_memory: memory_available().unwrap_or(u64::MAX),
        }
    }

    fn chosen(selection: &Selection, budget: Budget) -> Vec<&'static Part> {
        let holds = |part: &&Part| selection.holds(part, budget);
        PARTS.into_iter().filter(holds).collect()
    }

    /// Only these experiments.
    #[must_use]
    pub fn select(self, selection: &Selection) -> Self {
        let parts = Self::chosen(selection, self.budget);
        Self { parts, ..self }
    }

    /// Another time after which no round is begun. At least [`Plan::SHORTEST`].
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        let time = time.max(Self::SHORTEST);
        Self { time, ..self }
    }

    /// Proves the statistics instead of measuring isolations.
    #[must_use]
    pub fn rigged(self, rigging: Option<Rigging>) -> Self {
        Self { rigging, ..self }
    }

    /// The guest's name.
    #[must_use]
    pub fn guest_name(&self) -> &str {
        self.subject.guest.name()
    }

    /// How wide an interval may be, as a fraction to each side, for its part to be done.
    pub(crate) fn narrow(&self) -> f64 {
        self.budget.pick([0.03, 0.01, 0.005])
    }

    /// What each trial does, given how many seconds a job takes, for its worker and for its caller.
    pub(crate) fn effort(&self, job: f64, trip: f64) -> Effort {
        Effort {
            job,
            trip,
            budget: self.budget,
            time: self.time.as_secs_f64(),
            cpus: self.cpus,
            linear_memory: 0,
            free_memory: self.free_memory,
            instance: self.subject.instance,
            hardening: self.subject.hardening,
            works: true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], budget: Budget) -> Vec<String> {
        let names = names.iter().map(|&name| name.to_owned());
        let selection = Selection::these(names).unwrap();
        let parts = Plan::chosen(&selection, budget).into_iter();
        parts.map(|part| format!("{part:?}")).collect()
    }

    #[test]
    fn every_name_chooses_something() {
        for name in Selection::NAMES {
            assert!(!chosen(&[name], Budget::Quick).is_empty(), "{name}");
        }
        assert_eq!(chosen(&["crossover"], Budget::Default), ["message.trips"]);
    }

    #[test]
    fn a_quick_look_leaves_out_what_takes_long_unless_it_is_named() {
        let usual = Plan::chosen(&Selection::Usual, Budget::Quick);
        assert!(usual.iter().all(|part| part.experiment != "scaling"));
        assert_eq!(chosen(&["scaling"], Budget::Quick), ["scaling.grid"]);
        let usual: Vec<String> = usual.iter().map(|part| format!("{part:?}")).collect();
        assert!(usual.contains(&"sharing.seen".to_owned()));
        assert!(!usual.contains(&"sharing.read".to_owned()));
        let all = ["sharing.read", "sharing.held", "sharing.seen"];
        assert_eq!(chosen(&["sharing"], Budget::Quick), all);
        let all = Plan::chosen(&Selection::Usual, Budget::Default);
        assert_eq!(all.len(), PARTS.len());
    }

    #[test]
    fn an_unknown_name_is_told_with_those_that_there_are() {
        let error = Selection::these(["speed".to_owned()]).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("`speed`") && text.contains("message"),
            "{text}"
        );
    }
}
