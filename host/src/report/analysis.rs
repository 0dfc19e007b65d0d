//! From what was collected to what can be said.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::advice;
use super::result::{
    ArmSummary, Comparison, ContainmentRow, Control, GuestInfo, Row, SCHEMA, Settings,
};
use crate::experiment::{Arm, Collected, Containment, EXPERIMENTS, Fault, Metric, Plan, expected};
use crate::machine::Machine;
use crate::options::{Isolation, LinkKind, StartMethod};
use crate::runtime::Metering;
use crate::stats::{Interval, Margin, judge, median, median_interval, quantile};

/// The widest control interval under which the usual differences can still be seen.
const RELIABLE: f64 = 1.10;

/// Makes the result of what was collected so far; `took` is the time since the beginning.
#[must_use]
pub fn analyse(
    plan: &Plan,
    collected: &Collected,
    machine: &Machine,
    command: &str,
    took: Duration,
) -> Comparison {
    let rows: Vec<Row> = EXPERIMENTS
        .iter()
        .flat_map(|experiment| {
            experiment
                .metrics
                .iter()
                .map(|metric| (experiment.name, metric))
        })
        .map(|(name, metric)| row(plan, collected, name, metric))
        .collect();
    let control = rows
        .iter()
        .find(|row| row.metric == "job_p50")
        .and_then(|row| row.control);
    let started = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .saturating_sub(took);
    let mut comparison = Comparison {
        schema: SCHEMA.to_owned(),
        complete: collected.interrupted.is_none(),
        command: command.to_owned(),
        unix_time: started.as_secs(),
        took_s: took.as_secs_f64(),
        guest: GuestInfo {
            name: plan.subject.guest.name().to_owned(),
            bytes: plan.subject.guest.wasm().len() as u64,
            sha256: plan.subject.guest.sha256(),
            inputs: plan.subject.inputs.len(),
            job_s: collected.job,
        },
        machine: machine.clone(),
        settings: Settings {
            budget: plan.budget,
            instance: plan.subject.instance,
            start: StartMethod::default(),
            link: LinkKind::default(),
            thread_metering: Metering::usual(Isolation::Thread),
            process_metering: Metering::usual(Isolation::Process),
            timeout_s: plan
                .subject
                .limits
                .timeout
                .map(|timeout| timeout.as_secs_f64()),
            memory_limit: plan.subject.limits.memory.bytes(),
            cpus: plan.cpus,
            latency_jobs: collected.effort.latency_jobs,
            load_jobs: collected.effort.load_jobs,
        },
        seed: plan.seed,
        rounds: collected
            .rounds
            .iter()
            .filter(|round| !round.is_empty())
            .count(),
        control: control.map(|interval| Control {
            ratio: interval.median,
            low: interval.low,
            high: interval.high,
            reliable: interval.low <= 1.0
                && interval.high >= 1.0
                && Margin::from_control(Some(interval)).factor() <= RELIABLE,
        }),
        rows,
        containment: containment(collected),
        failures: collected.failures.clone(),
        advice: Vec::new(),
    };
    comparison.advice = advice::sentences(&comparison);
    comparison
}

fn row(plan: &Plan, collected: &Collected, experiment: &'static str, metric: &Metric) -> Row {
    let samples = |arm: Arm| -> Vec<Vec<f64>> {
        let of_round = |round: &std::collections::BTreeMap<
            (&'static str, Arm),
            crate::experiment::Samples,
        >| {
            let found = round.get(&(experiment, arm))?.series.get(metric.series)?;
            Some(found.clone())
        };
        collected
            .rounds
            .iter()
            .map(|round| of_round(round).unwrap_or_default())
            .collect()
    };
    let per_round = |rounds: &[Vec<f64>]| -> Vec<Option<f64>> {
        rounds
            .iter()
            .map(|samples| quantile(samples, metric.quantile))
            .collect()
    };
    let arms = Arm::ALL.map(|arm| (arm, samples(arm)));
    let [thread, process, control] = [0, 1, 2].map(|arm| per_round(&arms[arm].1));
    let ratio = median_interval(&ratios(&process, &thread), plan.seed);
    let control = median_interval(&ratios(&control, &thread), plan.seed);
    let margin = Margin::from_control(control);
    Row {
        experiment: experiment.to_owned(),
        metric: metric.name.to_owned(),
        title: metric.title.to_owned(),
        unit: metric.unit,
        better: metric.better,
        quantile: metric.quantile,
        arms: arms
            .into_iter()
            .filter_map(|(arm, samples)| Some((arm, summary(samples, metric.quantile)?)))
            .collect(),
        ratio,
        control,
        margin,
        verdict: ratio.map(|ratio: Interval| judge(ratio, margin, metric.better)),
    }
}

/// The ratios of the rounds that have both.
fn ratios(above: &[Option<f64>], below: &[Option<f64>]) -> Vec<f64> {
    let pairs = above.iter().zip(below);
    pairs
        .filter_map(|(above, below)| Some((*above)? / (*below)?))
        .filter(|ratio| ratio.is_finite())
        .collect()
}

fn summary(samples: Vec<Vec<f64>>, at: f64) -> Option<ArmSummary> {
    let all: Vec<f64> = samples.iter().flatten().copied().collect();
    let rounds: Vec<f64> = samples
        .iter()
        .filter_map(|round| quantile(round, at))
        .collect();
    Some(ArmSummary {
        p50: quantile(&all, 0.5)?,
        p90: quantile(&all, 0.9)?,
        p99: quantile(&all, 0.99)?,
        n: all.len(),
        value: median(&rounds)?,
        samples,
    })
}

fn containment(collected: &Collected) -> Vec<ContainmentRow> {
    let mut rows = Vec::new();
    for fault in Fault::ALL {
        for isolation in [Isolation::Thread, Isolation::Process] {
            let injections: Vec<_> = collected
                .injections
                .iter()
                .filter(|injection| injection.fault == fault && injection.isolation == isolation)
                .collect();
            // The first that is not as expected speaks for all; else the first.
            let worst = injections
                .iter()
                .find(|injection| !injection.as_expected())
                .or(injections.first());
            let Some(worst) = worst else { continue };
            let lost: Vec<f64> = injections
                .iter()
                .map(|injection| f64::from(u32::try_from(injection.lost).unwrap_or(u32::MAX)))
                .collect();
            let recoveries: Vec<f64> = injections
                .iter()
                .filter_map(|injection| injection.recovery)
                .collect();
            #[expect(clippy::cast_precision_loss, reason = "a handful of injections")]
            let mean_lost = lost.iter().sum::<f64>() / lost.len() as f64;
            rows.push(ContainmentRow {
                fault,
                isolation,
                expected: expected(fault, isolation),
                observed: worst.observed,
                injections: injections.len(),
                host_survived: injections
                    .iter()
                    .all(|injection| injection.observed != Containment::HostDied),
                host_ended: worst.host_ended.clone(),
                bystanders: worst.bystanders,
                jobs_lost: mean_lost,
                recovery_s: median(&recoveries),
            });
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_rounds_with_both_arms_have_a_ratio() {
        let above = [Some(2.0), None, Some(9.0), Some(1.0)];
        let below = [Some(1.0), Some(1.0), Some(3.0), None];
        assert_eq!(ratios(&above, &below), [2.0, 3.0]);
    }

    #[test]
    fn a_summary_shows_the_median_of_the_rounds_and_the_quantiles_of_all() {
        let summary = summary(vec![vec![1.0, 3.0], vec![], vec![10.0]], 0.5).unwrap();
        assert_eq!((summary.value, summary.p50, summary.n), (6.0, 3.0, 3));
    }
}
