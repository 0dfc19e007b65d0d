//! From what was collected to what can be said.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::result::{
    ArmSummary, Comparison, ContainmentRow, Control, GuestInfo, PartInfo, Row, SCHEMA, Settings,
    Verdict,
};
use super::{Trust, claims, crossover, deploy, histogram, warnings};
use crate::experiment::{
    Arm, Collected, Fault, Injection, PartLog, Plan, RowSpec, expected, paired,
};
use crate::machine::Machine;
use crate::options::{Isolation, LinkKind, StartMethod, WaitPolicy};
use crate::runtime::Metering;
use crate::stats::{Call, Margin, detectable, judge, median, median_interval, quantile};

/// The widest margin through which the usual differences can still be seen.
const RELIABLE: f64 = 1.10;

/// What a result says beside what was measured.
#[derive(Clone, Debug)]
pub struct Circumstances {
    /// The machine that was measured on.
    pub machine: Machine,
    /// The command that repeats the comparison.
    pub command: String,
    /// Whom the guest comes from, if the user said.
    pub trust: Option<Trust>,
}

/// Makes the result of what was collected so far; `took` is the time since the beginning.
#[must_use]
pub fn analyse(
    plan: &Plan,
    collected: &Collected,
    circumstances: &Circumstances,
    took: Duration,
) -> Comparison {
    let mut rows = Vec::new();
    let mut series = BTreeMap::new();
    let mut histograms = BTreeMap::new();
    for log in &collected.parts {
        for spec in log.part.rows(&collected.effort) {
            let samples = log.samples(&spec.series);
            if samples.is_empty() {
                continue;
            }
            let name = log.part.series(&spec.series);
            rows.push(row(
                log.part.experiment,
                name.clone(),
                log.part.twin,
                &spec,
                &samples,
            ));
            if spec.metric.starts_with("load") {
                histograms.insert(name.clone(), histogram::histograms(&samples));
            }
            series.insert(name, samples);
        }
    }
    let job = rows
        .iter()
        .find(|row: &&Row| row.experiment == "job" && row.metric == "p50");
    let control = job.and_then(|row| Some((row.control?, row.margin)));
    let job_s = job.and_then(|row| row.value(Arm::Thread));
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_sub(took);
    let mut comparison = Comparison {
        schema: SCHEMA.to_owned(),
        complete: collected.interrupted_by().is_none(),
        command: circumstances.command.clone(),
        unix_time: started.as_secs(),
        took_s: took.as_secs_f64(),
        guest: GuestInfo {
            name: plan.subject.guest.name().to_owned(),
            bytes: plan.subject.guest.wasm().len() as u64,
            sha256: plan.subject.guest.sha256(),
            inputs: plan.subject.inputs.len(),
            job_s: job_s.unwrap_or(collected.effort.job),
        },
        machine: circumstances.machine.clone(),
        settings: settings(plan),
        seed: plan.seed,
        parts: collected.parts.iter().map(part).collect(),
        control: control.map(|(interval, margin)| Control {
            ratio: interval.median,
            low: interval.low,
            high: interval.high,
            reliable: margin.factor() <= RELIABLE,
        }),
        rows,
        series,
        histograms,
        containment: containment(&collected.injections),
        identities: collected.identities.clone(),
        sharing: collected.sharing.clone(),
        crossover: None,
        claims: Vec::new(),
        warnings: Vec::new(),
        failures: collected.failures.clone(),
        advice: super::Advice {
            trust: circumstances.trust,
            sentences: Vec::new(),
            deployment: None,
        },
    };
    comparison.crossover = crossover::crossover(&comparison);
    comparison.warnings = warnings::warnings(&comparison);
    let short = warnings::short_time(plan, collected);
    comparison.warnings.extend(short);
    comparison.claims = claims::claims(&comparison);
    comparison.advice = deploy::advice(&comparison, circumstances.trust);
    comparison
}

impl Comparison {
    /// The same result with the advice for somebody who trusts the guest so far.
    #[must_use]
    pub fn trusting(mut self, trust: Trust) -> Self {
        self.advice = deploy::advice(&self, Some(trust));
        self
    }
}

fn settings(plan: &Plan) -> Settings {
    let limits = &plan.subject.limits;
    Settings {
        budget: plan.budget,
        time_budget_s: plan.time.as_secs_f64(),
        instance: plan.subject.instance,
        start: StartMethod::default(),
        link: LinkKind::default(),
        wait: WaitPolicy::default(),
        thread_metering: Metering::usual(Isolation::Thread),
        process_metering: Metering::usual(Isolation::Process),
        timeout_s: limits.timeout.map(|timeout| timeout.as_secs_f64()),
        memory_limit: limits.memory.bytes(),
        fuel: limits.fuel,
        stack_limit: limits.stack.bytes(),
        output_limit: limits.output.bytes(),
        input_limit: limits.input.bytes(),
        cpus: plan.cpus,
        rigged: plan.rigging.map(|rigging| {
            let per_cent = crate::units::three_digits(100.0 * rigging.delay);
            format!("the process arm is a thread arm, slowed down by {per_cent} %")
        }),
    }
}

fn part(log: &PartLog) -> PartInfo {
    PartInfo {
        experiment: log.part.experiment.to_owned(),
        part: log.part.name.to_owned(),
        question: log.part.question.to_owned(),
        rounds: log.rounds.len(),
        took_s: log.spent,
        ended: log.ended,
        reproducible: log.reproducible,
    }
}

/// A row, from its samples by arm and round. `series` is their name in the result, `twin` the arm that
/// the control is once more.
pub(super) fn row(
    experiment: &str,
    series: String,
    twin: Arm,
    spec: &RowSpec,
    samples: &BTreeMap<Arm, Vec<Vec<f64>>>,
) -> Row {
    let twin = spec.twin.unwrap_or(twin);
    let paired = paired(spec, twin, samples);
    let ratio = median_interval(&paired.ratios);
    let control = median_interval(&paired.control);
    let margin = Margin::from_control(control);
    let arms = samples
        .iter()
        .filter_map(|(&arm, rounds)| Some((arm, summary(rounds, spec.quantile)?)));
    Row {
        experiment: experiment.to_owned(),
        metric: spec.metric.to_owned(),
        params: spec
            .params
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect(),
        title: spec.title.clone(),
        unit: spec.unit,
        better: spec.better,
        series,
        quantile: spec.quantile,
        arms: arms.collect(),
        compared: spec.compared,
        ratio,
        control,
        margin,
        detectable: ratio.map(|ratio| detectable(ratio, margin)),
        verdict: ratio.map(|ratio| match judge(ratio, margin, spec.better) {
            Call::Above => Verdict::Better(spec.compared.0),
            Call::Below => Verdict::Better(spec.compared.1),
            Call::NoDifferenceSeen => Verdict::NoDifferenceSeen,
            Call::TooFewRounds => Verdict::TooFewRounds,
        }),
        twin,
    }
}

fn summary(rounds: &[Vec<f64>], at: f64) -> Option<ArmSummary> {
    let all: Vec<f64> = rounds.iter().flatten().copied().collect();
    let values: Vec<f64> = rounds
        .iter()
        .filter_map(|round| quantile(round, at))
        .collect();
    Some(ArmSummary {
        value: median(&values)?,
        p50: quantile(&all, 0.5)?,
        p90: quantile(&all, 0.9)?,
        p99: quantile(&all, 0.99)?,
        n: all.len(),
    })
}

fn containment(injections: &[Injection]) -> Vec<ContainmentRow> {
    let pairs = Fault::ALL.into_iter().flat_map(|fault| {
        [Isolation::Thread, Isolation::Process].map(|isolation| (fault, isolation))
    });
    pairs
        .filter_map(|(fault, isolation)| {
            let of_pair: Vec<&Injection> = injections
                .iter()
                .filter(|injection| injection.fault == fault && injection.isolation == isolation)
                .collect();
            containment_row(&of_pair)
        })
        .collect()
}

/// The row of one fault in one isolation.
fn containment_row(injections: &[&Injection]) -> Option<ContainmentRow> {
    // What is not as expected is worse than any fate that is. Of equals, the first speaks for all.
    let worst = injections
        .iter()
        .rev()
        .max_by_key(|injection| (!injection.as_expected(), injection.observed))?;
    let aftermaths = || {
        injections
            .iter()
            .filter_map(|injection| injection.aftermath.as_ref())
    };
    let middle = |values: Vec<f64>| median(&values);
    Some(ContainmentRow {
        fault: worst.fault,
        isolation: worst.isolation,
        expected: expected(worst.fault, worst.isolation),
        observed: worst.observed,
        injections: injections.len(),
        host_survived: injections
            .iter()
            .all(|injection| injection.aftermath.is_some()),
        host_ended: worst.host_ended.clone(),
        victim: worst.victim.clone(),
        workers_lost: aftermaths()
            .map(|after| after.workers_lost)
            .max()
            .unwrap_or(0),
        bystanders: aftermaths().map(|after| after.bystanders).sum(),
        bystanders_lost: aftermaths().map(|after| after.bystanders_lost).sum(),
        bystander_p99_before_s: middle(aftermaths().filter_map(|after| after.p99_before).collect()),
        bystander_p99_after_s: middle(aftermaths().filter_map(|after| after.p99_after).collect()),
        recovery_s: middle(aftermaths().filter_map(|after| after.recovery).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Budget, Fate, Subject};
    use crate::guest::Guest;
    use crate::job::Limits;
    use crate::runtime::{Cache, InstancePolicy};
    use crate::units::ByteSize;

    fn injection(fault: Fault, observed: Fate, victim: &str) -> Injection {
        Injection {
            fault,
            isolation: Isolation::Process,
            observed,
            host_ended: None,
            victim: Some(victim.to_owned()),
            aftermath: None,
        }
    }

    /// What the row of some injections says, and which of them speaks.
    fn told(injections: &[Injection]) -> (Fate, String, usize) {
        let injections: Vec<&Injection> = injections.iter().collect();
        let row = containment_row(&injections).unwrap();
        (row.observed, row.victim.unwrap(), row.injections)
    }

    #[test]
    fn the_worst_of_several_fates_counts() {
        // A worker is lost as expected.
        let kill = |observed, victim| injection(Fault::Kill, observed, victim);
        let lost = [
            kill(Fate::WorkerLost, "first"),
            kill(Fate::Spread, "second"),
            kill(Fate::HostDied, "third"),
            kill(Fate::HostDied, "fourth"),
        ];
        assert_eq!(told(&lost[..1]), (Fate::WorkerLost, "first".to_owned(), 1));
        assert_eq!(told(&lost[..2]), (Fate::Spread, "second".to_owned(), 2));
        assert_eq!(told(&lost), (Fate::HostDied, "third".to_owned(), 4));
        assert!(containment_row(&[]).is_none());
    }

    #[test]
    fn what_was_not_expected_is_worse_than_what_was() {
        let kill = |observed, victim| injection(Fault::Kill, observed, victim);
        let milder = [
            kill(Fate::WorkerLost, "expected"),
            kill(Fate::Contained, "not expected"),
        ];
        assert_eq!(
            told(&milder),
            (Fate::Contained, "not expected".to_owned(), 2)
        );
    }

    #[test]
    fn the_settings_have_every_limit() {
        let limits = Limits {
            memory: ByteSize::from_bytes(1),
            stack: ByteSize::from_bytes(2),
            fuel: Some(3),
            output: ByteSize::from_bytes(4),
            input: ByteSize::from_bytes(5),
            timeout: Some(Duration::from_secs(6)),
        };
        let subject = Subject {
            guest: Guest::embedded("echo").unwrap(),
            inputs: Vec::new(),
            limits,
            instance: InstancePolicy::Fresh,
            cache: Cache::off(),
        };
        let found = settings(&Plan::new(subject, Budget::Quick, 7));
        assert_eq!(
            (found.memory_limit, found.stack_limit, found.fuel),
            (1, 2, Some(3))
        );
        assert_eq!(
            (found.output_limit, found.input_limit, found.timeout_s),
            (4, 5, Some(6.0))
        );
    }

    #[test]
    fn a_summary_shows_the_median_of_the_rounds_and_the_quantiles_of_all() {
        let summary = summary(&[vec![1.0, 3.0], vec![], vec![10.0]], 0.5).unwrap();
        assert_eq!((summary.value, summary.p50, summary.n), (6.0, 3.0, 3));
    }
}
