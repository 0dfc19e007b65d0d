//! From what was collected to what can be said.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::result::{
    ArmSummary, Comparison, ContainmentRow, Control, Counted, GuestInfo, Injected, LayerInfo,
    PartInfo, Row, SCHEMA, Settings, Verdict,
};
use super::{Trust, claims, crossover, deploy, histogram, knee, warnings};
use crate::experiment::{
    Arm, Collected, Fault, Injection, LeftOut, PartLog, Plan, RowSpec, Subject, expected, paired,
};
use crate::guest::Entry;
use crate::harden::{Enforcement, Layer};
use crate::machine::Machine;
use crate::options::{Isolation, LinkKind, StartMethod, WaitPolicy};
use crate::runtime::Metering;
use crate::stats::{Call, Interval, Margin, detectable, judge, median, median_interval, quantile};

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
    /// What of the hardening held in the first worker process, if there was one.
    pub enforcement: Option<Enforcement>,
}

/// What is not to be seen from the module: a function that was named, and what is around the guest.
fn called(subject: &Subject) -> Option<String> {
    let entry = subject.guest.entry();
    let named = match entry {
        Entry::Function { .. } | Entry::Packed(_) | Entry::Extism { .. } => entry.to_string(),
        Entry::Handle | Entry::Start | Entry::Run | Entry::Worker => String::new(),
    };
    let parts = [named, subject.surroundings.to_string()];
    let parts = parts.iter().filter(|part| !part.is_empty());
    let words = parts.map(String::as_str).collect::<Vec<_>>().join(", ");
    (!words.is_empty()).then_some(words)
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
            called: called(&plan.subject),
            inputs: plan.subject.inputs.len(),
            job_s: job_s.unwrap_or(match collected.effort.works {
                true => collected.effort.job,
                false => 0.0,
            }),
        },
        machine: circumstances.machine.clone(),
        settings: settings(plan, circumstances),
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
        reach: collected.reached.clone(),
        sharing: collected.sharing.clone(),
        crossover: None,
        knees: Vec::new(),
        claims: Vec::new(),
        left_out: left_out(collected),
        warnings: Vec::new(),
        failures: collected.failures.clone(),
        advice: super::Advice {
            trust: circumstances.trust,
            sentences: Vec::new(),
            figures: Vec::new(),
            rows: Vec::new(),
            deployment: None,
        },
    };
    comparison.crossover = crossover::crossover(&comparison);
    comparison.knees = knee::knees(&comparison);
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

fn layers(enforcement: &Enforcement) -> Vec<LayerInfo> {
    let info = |layer| {
        let reason = enforcement.reason(layer);
        LayerInfo {
            layer,
            standing: enforcement.standing(layer),
            reason: (!reason.is_empty()).then_some(reason),
        }
    };
    Layer::ALL.map(info).into()
}

fn settings(plan: &Plan, circumstances: &Circumstances) -> Settings {
    let limits = &plan.subject.limits;
    Settings {
        budget: plan.budget,
        time_budget_s: plan.time.as_secs_f64(),
        instance: plan.subject.instance,
        hardening: plan.subject.hardening,
        layers: circumstances
            .enforcement
            .as_ref()
            .map(layers)
            .unwrap_or_default(),
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

fn left_out(collected: &Collected) -> Vec<LeftOut> {
    let parts = collected.parts.iter();
    let of_part = |log: &PartLog| log.part.left_out(&collected.effort);
    parts.flat_map(of_part).collect()
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
    let kept: Vec<Injected> = injections
        .iter()
        .map(|injection| injected(injection))
        .collect();
    let all = |of: fn(&Counted) -> Option<f64>| -> Vec<f64> {
        let counted = kept.iter().filter_map(|one| one.counted.as_ref());
        counted.filter_map(of).collect()
    };
    let recovery = all(|one| one.recovery_s);
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
        bystander_p99_before_s: median(&all(|one| quantile(&one.before_s, 0.99))),
        bystander_p99_after_s: median(&all(|one| quantile(&one.after_s, 0.99))),
        recovery_s: median(&recovery),
        p99_rise: sure(&all(rise)),
        recovery: sure(&recovery),
        injected: kept,
    })
}

/// What is kept of an injection.
fn injected(injection: &Injection) -> Injected {
    let counted = injection.aftermath.as_ref().map(|after| Counted {
        workers_lost: after.workers_lost,
        bystanders: after.bystanders,
        bystanders_lost: after.bystanders_lost,
        before_s: after.before.seconds.clone(),
        before_of: after.before.of,
        after_s: after.after.seconds.clone(),
        after_of: after.after.of,
        recovery_s: after.recovery,
    });
    Injected {
        observed: injection.observed,
        counted,
    }
}

/// By what factor the 99th percentile rose in one injection.
fn rise(counted: &Counted) -> Option<f64> {
    let rise = quantile(&counted.after_s, 0.99)? / quantile(&counted.before_s, 0.99)?;
    rise.is_finite().then_some(rise)
}

/// The interval of a median, if it is one of 95 %.
fn sure(values: &[f64]) -> Option<Interval> {
    median_interval(values).filter(|interval| interval.confidence >= 0.95)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Aftermath, Budget, Fate, Kept, Subject};
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

    /// An injection that others lived through: a hundred jobs of so many seconds each, before and after.
    fn lived(before: f64, after: f64, recovery: f64) -> Injection {
        let kept = |seconds| Kept {
            seconds: vec![seconds; 100],
            of: 5000,
        };
        Injection {
            aftermath: Some(Aftermath {
                bystanders: 7,
                bystanders_lost: 0,
                workers_lost: 1,
                before: kept(before),
                after: kept(after),
                recovery: Some(recovery),
            }),
            ..injection(Fault::Kill, Fate::WorkerLost, "victim")
        }
    }

    #[test]
    fn what_a_row_says_follows_from_what_it_keeps() {
        let injections = [
            lived(1.0, 3.0, 0.1),
            lived(2.0, 2.0, 0.3),
            lived(4.0, 4.0, 0.2),
        ];
        let injections: Vec<&Injection> = injections.iter().collect();
        let row = containment_row(&injections).unwrap();
        let found = (
            row.bystander_p99_before_s,
            row.bystander_p99_after_s,
            row.recovery_s,
        );
        assert_eq!(found, (Some(2.0), Some(3.0), Some(0.2)));
        assert_eq!((row.bystanders, row.injected.len()), (21, 3));
        let first = row.injected[0].counted.as_ref().unwrap();
        assert_eq!((first.before_s.len(), first.before_of), (100, 5000));
        // Of three nothing is sure.
        assert_eq!((row.p99_rise, row.recovery), (None, None));
    }

    #[test]
    fn six_injections_give_an_interval() {
        let rises = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let injections = rises.map(|rise| lived(1.0, rise, rise / 10.0));
        let injections: Vec<&Injection> = injections.iter().collect();
        let row = containment_row(&injections).unwrap();
        assert_eq!(row.p99_rise, median_interval(&rises));
        assert_eq!(row.recovery.map(|found| found.confidence), Some(0.95));
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
            surroundings: crate::pool::Surroundings::default(),
            inputs: Vec::new(),
            limits,
            instance: InstancePolicy::Fresh,
            hardening: crate::options::Hardening::default(),
            cache: Cache::off(),
        };
        let circumstances = Circumstances {
            machine: Machine::here(),
            command: String::new(),
            trust: None,
            enforcement: Some(Enforcement::default()),
        };
        let found = settings(&Plan::new(subject, Budget::Quick, 7), &circumstances);
        assert_eq!(found.layers.len(), Layer::ALL.len());
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
