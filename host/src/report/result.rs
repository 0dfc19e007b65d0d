//! The result file, `cofferdam.compare/2`. Seconds and bytes; raw samples kept.

use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema};
use serde::{Deserialize, Serialize};

use super::claims::Claim;
use super::crossover::Crossover;
use super::deploy::Advice;
use super::knee::Knee;
use super::warnings::Warning;
use crate::experiment::{
    Arm, Budget, Ended, FailedTrial, Fate, Fault, Identity, LeftOut, Param, Reach, Sharing, Unit,
};
use crate::harden::{Layer, Standing};
use crate::machine::Machine;
use crate::options::{Hardening, Isolation, LinkKind, StartMethod, WaitPolicy};
use crate::runtime::{InstancePolicy, Metering};
use crate::stats::{Better, Interval, Margin};

/// The name and version of the layout.
pub const SCHEMA: &str = "cofferdam.compare/2";

/// A comparison of the two isolations for one guest on one machine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Comparison {
    /// `cofferdam.compare/2`
    pub schema: String,
    /// Whether every planned experiment was done; `false` after Ctrl-C.
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
    /// Decides the order of the trials and the guest's random bytes.
    pub seed: u64,
    /// What was measured, part by part, in the order of the report.
    pub parts: Vec<PartInfo>,
    /// A thread arm against itself, by the job latency: the noise of this machine.
    pub control: Option<Control>,
    /// The numbers.
    pub rows: Vec<Row>,
    /// The samples that the rows are computed from: by series, arm and round, in the order in which
    /// they were taken. A round is empty where its trial failed. Seconds, bytes or rates, as the unit
    /// of the rows says.
    pub series: BTreeMap<String, BTreeMap<Arm, Vec<Vec<f64>>>>,
    /// Latencies under load by series and arm, over all rounds: HDR histograms of nanoseconds, in the
    /// compressed encoding V2, base64, as <https://hdrhistogram.org> describes it.
    pub histograms: BTreeMap<String, BTreeMap<Arm, String>>,
    /// What faults did to everybody else.
    pub containment: Vec<ContainmentRow>,
    /// Where workers live, and who sees what they write.
    pub identities: Vec<Identity>,
    /// How far code came that got out of the wasm sandbox. Empty in results that are older than that part.
    #[serde(default)]
    pub reach: Vec<Reach>,
    /// What workers see of each other in a region that they share. Empty in results that are older than
    /// regions.
    #[serde(default)]
    pub sharing: Vec<Sharing>,
    /// How long a call must be before the second wall costs next to nothing.
    pub crossover: Option<Crossover>,
    /// Where one address space stops scaling, for each guest of `scaling`. Empty in results that are older
    /// than this.
    #[serde(default)]
    pub knees: Vec<Knee>,
    /// What is commonly said about threads and processes, judged.
    pub claims: Vec<Claim>,
    /// What would have been measured with more time or memory, and why it was not. Empty in results that
    /// are older than this.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// What makes these numbers less sure than they look.
    pub warnings: Vec<Warning>,
    /// Trials that gave no samples.
    pub failures: Vec<FailedTrial>,
    /// What follows.
    pub advice: Advice,
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
    /// How a job enters it, where that was said and not found out, and what it finds around it beside its inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub called: Option<String>,
    /// How many inputs the jobs took in turn.
    pub inputs: usize,
    /// Seconds that one job takes in a thread: as in the row `job.p50`, or, where that was not measured,
    /// as the first jobs showed; 0 where none ended well, so that nobody knows.
    pub job_s: f64,
}

impl GuestInfo {
    /// Whether anything is known of the time that a job takes.
    pub(super) fn is_timed(&self) -> bool {
        self.job_s > 0.0
    }
}

/// How everybody waited before there was a choice.
fn woken() -> WaitPolicy {
    WaitPolicy::Park
}

/// The settings of the comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Settings {
    /// How much time was given, by name.
    pub budget: Budget,
    /// The same in seconds.
    pub time_budget_s: f64,
    /// Whether instances were reused, where a row does not say otherwise.
    pub instance: InstancePolicy,
    /// What worker processes were to give up before they ran the guest.
    #[serde(default = "unhardened")]
    pub hardening: Hardening,
    /// What of that held, as the first worker said it; empty where that is not known.
    #[serde(default)]
    pub layers: Vec<LayerInfo>,
    /// How process workers were started.
    pub start: StartMethod,
    /// How process workers were reached.
    pub link: LinkKind,
    /// How workers and their callers waited, where a row does not say otherwise.
    #[serde(default = "woken")]
    pub wait: WaitPolicy,
    /// What guest code in threads carries so that it can be stopped.
    pub thread_metering: Metering,
    /// The same in processes: nothing, since a process can be killed.
    pub process_metering: Metering,
    /// Time limit of a job in seconds, if there was one.
    pub timeout_s: Option<f64>,
    /// Memory limit of a job in bytes: linear memory and tables.
    pub memory_limit: u64,
    /// Units of wasm work that a job might do; `null` where they were not counted.
    pub fuel: Option<u64>,
    /// Bytes of stack that guest code might take.
    pub stack_limit: u64,
    /// Bytes that a job might say: its reply and its posted messages together.
    pub output_limit: u64,
    /// Bytes that a job might be given.
    pub input_limit: u64,
    /// CPUs that loads are sized by.
    pub cpus: usize,
    /// What was done to the second arm to prove the statistics; such a result says nothing about
    /// isolations. `null` in every honest comparison.
    pub rigged: Option<String>,
}

/// How one layer of the hardening stood in worker processes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LayerInfo {
    /// Which layer.
    pub layer: Layer,
    /// Whether it held.
    pub standing: Standing,
    /// Why it did not, or not in full; `null` if it did.
    pub reason: Option<String>,
}

/// Results that are older than hardening had none.
fn unhardened() -> Hardening {
    Hardening::Off
}

/// What was done for one part of an experiment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PartInfo {
    /// The experiment that it belongs to.
    pub experiment: String,
    /// Its own name.
    pub part: String,
    /// What it asks.
    pub question: String,
    /// Rounds that were done: every arm once, interleaved.
    pub rounds: usize,
    /// Seconds that they took.
    pub took_s: f64,
    /// Why no more were done.
    pub ended: Ended,
    /// Whether the arm that is measured twice gave the same replies both times. Where it did not, the
    /// replies of the arms were not compared with each other.
    pub reproducible: bool,
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
    /// Whether differences of 10 % can be seen through it.
    pub reliable: bool,
}

/// One number, in two arms or more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Row {
    /// The experiment.
    pub experiment: String,
    /// The number's name within it.
    pub metric: String,
    /// What it was measured at: bytes of payload, workers, …
    pub params: BTreeMap<String, Param>,
    /// Its title.
    pub title: String,
    /// What it counts.
    pub unit: Unit,
    /// Which way it is better.
    pub better: Better,
    /// Where its samples are, in `series` of the comparison.
    pub series: String,
    /// The quantile of a round's samples that stands for the round.
    pub quantile: f64,
    /// The arms that have samples.
    pub arms: BTreeMap<Arm, ArmSummary>,
    /// The arms that are compared: `ratio` is the first ÷ the second.
    pub compared: (Arm, Arm),
    /// The arm that the control is once more.
    pub twin: Arm,
    /// Above ÷ below, by rounds. Where the control is the arm below once more, below is the geometric
    /// mean of both. `null` if no round has both.
    pub ratio: Option<Interval>,
    /// Control ÷ the arm that it is once more, by rounds.
    pub control: Option<Interval>,
    /// The factor that a difference has to pass.
    pub margin: Margin,
    /// The smallest difference that would have been called, as a fraction of the arm below.
    pub detectable: Option<f64>,
    /// What the ratio says.
    pub verdict: Option<Verdict>,
}

impl Row {
    /// Its name and parameters: `message.round_trip[payload=64]`.
    #[must_use]
    pub fn id(&self) -> String {
        let mut id = format!("{}.{}", self.experiment, self.metric);
        if !self.params.is_empty() {
            let params: Vec<String> = self
                .params
                .iter()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            id = format!("{id}[{}]", params.join(","));
        }
        id
    }

    /// The parameter of this name, if it is a number.
    #[must_use]
    pub fn number(&self, param: &str) -> Option<u64> {
        match self.params.get(param) {
            Some(Param::Number(number)) => Some(*number),
            Some(Param::Text(_)) | None => None,
        }
    }

    /// What an arm's rounds show.
    #[must_use]
    pub fn value(&self, arm: Arm) -> Option<f64> {
        self.arms.get(&arm).map(|arm| arm.value)
    }
}

/// What a row says: `thread better`, `no difference seen`, …
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub enum Verdict {
    /// The interval lies outside the noise, on the good side of this arm.
    Better(Arm),
    /// The interval reaches into the noise.
    NoDifferenceSeen,
    /// Too few rounds were done for an interval that means something.
    TooFewRounds,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Better(arm) => write!(f, "{arm} better"),
            Self::NoDifferenceSeen => f.write_str("no difference seen"),
            Self::TooFewRounds => f.write_str("too few rounds"),
        }
    }
}

impl From<Verdict> for String {
    fn from(verdict: Verdict) -> Self {
        verdict.to_string()
    }
}

impl TryFrom<String> for Verdict {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let better = Arm::ALL.into_iter().map(Self::Better);
        better
            .chain([Self::NoDifferenceSeen, Self::TooFewRounds])
            .find(|verdict| verdict.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no verdict"))
    }
}

/// One arm of a row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ArmSummary {
    /// The median of the rounds' values: what the tables show.
    pub value: f64,
    /// Of all samples of all rounds.
    pub p50: f64,
    /// The same.
    pub p90: f64,
    /// The same.
    pub p99: f64,
    /// How many samples.
    pub n: usize,
}

/// One fault in one isolation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ContainmentRow {
    /// What was done.
    pub fault: Fault,
    /// Where the worker lived.
    pub isolation: Isolation,
    /// What must happen.
    pub expected: Fate,
    /// What happened; the worst, of several injections.
    pub observed: Fate,
    /// Injections.
    pub injections: usize,
    /// Whether the host lived through all of them.
    pub host_survived: bool,
    /// How the host ended, if it did.
    pub host_ended: Option<String>,
    /// How the job that met the fault ended, in words; `null` if nobody lived to tell.
    pub victim: Option<String>,
    /// Workers that were lost: dead, or a thread given up; at each injection, at the most.
    pub workers_lost: u64,
    /// Jobs of others that ran beside it or after it, in all injections.
    pub bystanders: u64,
    /// Of these, jobs that did not end well.
    pub bystanders_lost: u64,
    /// The 99th percentile of the bystanders' latency before the fault, in seconds, as the kept latencies
    /// show it: the median over injections.
    pub bystander_p99_before_s: Option<f64>,
    /// The same from the fault on.
    pub bystander_p99_after_s: Option<f64>,
    /// From the fault until the pool that it hit works again, in seconds: the median. For `kill` and
    /// `stop` that is its next good reply; for a guest that always misbehaves, when every worker that
    /// was lost has been replaced by one that is ready.
    pub recovery_s: Option<f64>,
    /// What each injection showed: what everything above is computed from. Empty in results that are older
    /// than that.
    #[serde(default)]
    pub injected: Vec<Injected>,
    /// By what factor the 99th percentile rose, by injections; `null` for fewer than six, of which no
    /// interval of 95 % can be told.
    #[serde(default)]
    pub p99_rise: Option<Interval>,
    /// The interval of `recovery_s`, likewise.
    #[serde(default)]
    pub recovery: Option<Interval>,
}

/// What one injection of a fault showed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Injected {
    /// What happened.
    pub observed: Fate,
    /// What was counted afterwards; `null` where the host did not live to count.
    pub counted: Option<Counted>,
}

/// What the sacrificial host counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Counted {
    /// Workers that were lost: dead, or a thread given up.
    pub workers_lost: u64,
    /// Jobs of others, from the fault on.
    pub bystanders: u64,
    /// Of these, jobs that did not end well.
    pub bystanders_lost: u64,
    /// Seconds of others' jobs before the fault, in the order in which they were seen, one worker after the
    /// other. Of more than 1000 jobs, 1000 are kept: number ⌊i × jobs ÷ 1000⌋ for each i from 0 on.
    pub before_s: Vec<f64>,
    /// Jobs that these were taken from.
    pub before_of: u64,
    /// The same of those that ended from the fault on.
    pub after_s: Vec<f64>,
    /// Jobs that these were taken from.
    pub after_of: u64,
    /// Seconds from the fault until the pool that it hit worked again, if it did.
    pub recovery_s: Option<f64>,
}

impl ContainmentRow {
    /// Whether it went as the table of expectations says.
    #[must_use]
    pub fn as_expected(&self) -> bool {
        self.expected == self.observed
    }
}

/// The JSON Schema of [`Comparison`], as it is published in `host/schema`.
#[must_use]
pub fn json_schema() -> Schema {
    schemars::schema_for!(Comparison)
}
