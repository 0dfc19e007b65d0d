//! The result file, `cofferdam.compare/1`. Seconds and bytes; raw samples kept.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use crate::experiment::{Arm, Budget, Containment, FailedTrial, Fault, Unit};
use crate::machine::Machine;
use crate::options::{Isolation, LinkKind, StartMethod};
use crate::runtime::{InstancePolicy, Metering};
use crate::stats::{Better, Interval, Margin, Verdict};

/// The name and version of the layout.
pub const SCHEMA: &str = "cofferdam.compare/1";

/// A comparison of the two isolations for one guest on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// `cofferdam.compare/1`
    pub schema: String,
    /// Whether every planned trial was run; `false` after Ctrl-C.
    pub complete: bool,
    /// The command that repeats this.
    pub command: String,
    /// When the measuring began, in seconds since 1970.
    pub unix_time: u64,
    /// How long it took, in seconds.
    pub took_s: f64,
    /// The guest.
    pub guest: GuestInfo,
    /// The machine.
    pub machine: Machine,
    /// What was the same in both isolations, and what was not.
    pub settings: Settings,
    /// Decides the order of the trials, the guest's random bytes, and the resampling.
    pub seed: u64,
    /// Rounds: every arm of every experiment once.
    pub rounds: usize,
    /// A thread arm against itself, by the job latency: the noise of this machine.
    pub control: Option<Control>,
    /// The numbers.
    pub rows: Vec<Row>,
    /// What faults did to everybody else.
    pub containment: Vec<ContainmentRow>,
    /// Trials that gave no samples.
    pub failures: Vec<FailedTrial>,
    /// What follows, in sentences.
    pub advice: Vec<String>,
}

/// Which guest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GuestInfo {
    /// As it was asked for.
    pub name: String,
    /// Bytes of the module.
    pub bytes: u64,
    /// SHA-256 digest of the module.
    pub sha256: String,
    /// How many inputs the jobs took in turn.
    pub inputs: usize,
    /// Seconds that one job takes, roughly.
    pub job_s: f64,
}

/// The settings of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How much time was given.
    pub budget: Budget,
    /// Whether instances were reused.
    pub instance: InstancePolicy,
    /// How process workers were started.
    pub start: StartMethod,
    /// How process workers were reached.
    pub link: LinkKind,
    /// What guest code in threads carries so that it can be stopped.
    pub thread_metering: Metering,
    /// The same in processes: nothing, since a process can be killed.
    pub process_metering: Metering,
    /// Time limit of a job in seconds, if there was one.
    pub timeout_s: Option<f64>,
    /// Memory limit of a job in bytes.
    pub memory_limit: u64,
    /// Workers of the throughput on all CPUs.
    pub cpus: usize,
    /// Jobs of each closed loop.
    pub latency_jobs: usize,
    /// Jobs of each load on one worker.
    pub load_jobs: usize,
}

/// An arm against itself.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Control {
    /// Median of the rounds' ratios control ÷ thread.
    pub ratio: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Whether the interval holds 1 and is narrow enough (± 10 %) to see usual differences.
    pub reliable: bool,
}

/// One number, in both isolations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The experiment.
    pub experiment: String,
    /// The number's name.
    pub metric: String,
    /// Its title.
    pub title: String,
    /// What it counts.
    pub unit: Unit,
    /// Which way it is better.
    pub better: Better,
    /// The quantile of a round's samples that stands for the round.
    pub quantile: f64,
    /// The arms that have samples.
    pub arms: BTreeMap<Arm, ArmSummary>,
    /// Process ÷ thread, by rounds; `null` if no round has both.
    pub ratio: Option<Interval>,
    /// Control ÷ thread, by rounds.
    pub control: Option<Interval>,
    /// The factor that a difference has to pass.
    pub margin: Margin,
    /// What the ratio says.
    pub verdict: Option<Verdict>,
}

/// One arm of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmSummary {
    /// Of all samples of all rounds.
    pub p50: f64,
    /// The same.
    pub p90: f64,
    /// The same.
    pub p99: f64,
    /// How many samples.
    pub n: usize,
    /// The median of the rounds' values: what the table shows.
    pub value: f64,
    /// The samples, round by round; empty where a trial failed.
    pub samples: Vec<Vec<f64>>,
}

/// One fault in one isolation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainmentRow {
    /// What was done to a worker.
    pub fault: Fault,
    /// Where the worker lived.
    pub isolation: Isolation,
    /// What must happen.
    pub expected: Containment,
    /// What happened; the worst, of several injections.
    pub observed: Containment,
    /// Injections.
    pub injections: usize,
    /// Whether the host lived through all of them.
    pub host_survived: bool,
    /// How the host ended, if it did.
    pub host_ended: Option<String>,
    /// Jobs that were under way at each injection.
    pub bystanders: u64,
    /// Of these, jobs that were lost, on average; the killed worker's own job included.
    pub jobs_lost: f64,
    /// From the injection until the worker was replaced, in seconds: the median.
    pub recovery_s: Option<f64>,
}

/// The JSON Schema of [`Comparison`], as it is published in `host/schema`.
#[must_use]
pub fn json_schema() -> Schema {
    schemars::schema_for!(Comparison)
}
