//! What will be measured, decided before anything is.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::runner::Collected;
use super::trial::Effort;
use crate::guest::Guest;
use crate::job::Limits;
use crate::runtime::{Cache, InstancePolicy};

/// The guest and the work that it is compared on.
#[derive(Clone, Debug)]
pub struct Subject {
    /// The guest.
    pub guest: Guest,
    /// The inputs; jobs take them in turn.
    pub inputs: Vec<Vec<u8>>,
    /// What each job may use.
    pub limits: Limits,
    /// Whether instances are reused.
    pub instance: InstancePolicy,
    /// Where compiled guests are kept.
    pub cache: Cache,
}

/// How much time a comparison may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// At most 15 seconds: a look.
    Quick,
    /// At most a minute.
    Default,
    /// Up to ten minutes: to be cited.
    Rigorous,
}

/// A comparison, decided.
#[derive(Clone, Debug)]
pub struct Plan {
    pub(crate) subject: Subject,
    pub(crate) budget: Budget,
    pub(crate) seed: u64,
    /// CPUs: workers of the throughput on all of them.
    pub(crate) cpus: usize,
}

impl Plan {
    /// Plans the comparison of this subject. The seed decides the order of the trials, the random
    /// bytes of the guest, and the resampling.
    #[must_use]
    pub fn new(subject: Subject, budget: Budget, seed: u64) -> Self {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            subject,
            budget,
            seed,
            cpus,
        }
    }

    /// The guest's name.
    #[must_use]
    pub fn guest_name(&self) -> &str {
        self.subject.guest.name()
    }

    /// The time after which no new round begins.
    pub(crate) fn time(&self) -> Duration {
        Duration::from_secs(match self.budget {
            Budget::Quick => 13,
            Budget::Default => 50,
            Budget::Rigorous => 540,
        })
    }

    /// Rounds at the most, and at the least where the time would allow fewer.
    pub(crate) fn rounds(&self) -> (u64, u64) {
        match self.budget {
            Budget::Quick => (3, 12),
            Budget::Default => (6, 24),
            Budget::Rigorous => (12, 120),
        }
    }

    /// The least time that this takes, if it is more than was promised: a trial needs a few jobs, and
    /// a verdict a few rounds, however slow the jobs are.
    #[must_use]
    pub fn overrun(&self, collected: &Collected) -> Option<Duration> {
        let effort = &collected.effort;
        let alone = effort.latency_jobs + effort.load_jobs + effort.starts + effort.memory_workers;
        let jobs = u32::try_from(3 * (alone + effort.load_jobs_all / effort.cpus)).ok()?;
        let rounds = u32::try_from(self.rounds().0).ok()?;
        let least = Duration::from_secs_f64(collected.job) * jobs * rounds;
        (least > self.time()).then_some(least)
    }

    /// How often each fault is injected.
    pub(crate) fn injections(&self) -> u64 {
        match self.budget {
            Budget::Quick => 1,
            Budget::Default => 3,
            Budget::Rigorous => 10,
        }
    }

    /// How many jobs each trial runs, given how long one takes.
    pub(crate) fn effort(&self, job: Duration) -> Effort {
        // Seconds of one trial's closed loop, and of each of its two loads.
        let span = match self.budget {
            Budget::Quick => 0.08,
            Budget::Default | Budget::Rigorous => 0.3,
        };
        let job = job.as_secs_f64().max(1e-6);
        let fit = |span: f64, least: usize, most: usize| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a float saturates, and is clamped"
            )]
            let jobs = (span / job) as usize;
            jobs.clamp(least, most)
        };
        // A multiple of the CPUs, or the last jobs of a load would run alone.
        let load = fit(span, self.cpus, 4000).div_ceil(self.cpus) * self.cpus;
        Effort {
            latency_jobs: fit(span, 3, 1000),
            echo_jobs: 200,
            load_jobs: load,
            load_jobs_all: load * self.cpus.min(fit(2.0, 1, 64)),
            starts: fit(span, 3, 20),
            echo_starts: 5,
            memory_workers: fit(span, 4, 8),
            cpus: self.cpus,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(budget: Budget) -> Plan {
        let subject = Subject {
            guest: Guest::embedded("trap").unwrap(),
            inputs: vec![vec![]],
            limits: Limits::default(),
            instance: InstancePolicy::Fresh,
            cache: Cache::off(),
        };
        Plan {
            cpus: 2,
            ..Plan::new(subject, budget, 1)
        }
    }

    #[test]
    fn slow_jobs_are_run_a_few_times_and_quick_ones_often() {
        let slow = plan(Budget::Default).effort(Duration::from_secs(10));
        assert_eq!((slow.latency_jobs, slow.load_jobs, slow.starts), (3, 2, 3));
        let quick = plan(Budget::Default).effort(Duration::from_nanos(100));
        assert_eq!(
            (quick.latency_jobs, quick.load_jobs, quick.starts),
            (1000, 4000, 20)
        );
    }

    #[test]
    fn a_load_keeps_every_cpu_busy_to_its_end() {
        for micros in [1, 10, 333, 40_000] {
            let effort = plan(Budget::Quick).effort(Duration::from_micros(micros));
            assert!(effort.load_jobs.is_multiple_of(2) && effort.load_jobs_all.is_multiple_of(2));
        }
    }
}
