//! How the latencies of jobs are spread: alone and under load.

use std::fmt::Write;

use super::element::{Source, table};
use super::plot::{Axis, Ink, Key, Mark, Plot, Scale, Weight};
use crate::experiment::{Arm, Param, Unit};
use crate::report::result::{Comparison, Row};
use crate::report::words::show;
use crate::stats::to_f64;

/// No line has more points than this: more cannot be seen.
const POINTS: usize = 300;

/// One sample in so many, the slowest, may lie beyond the edge of the plot of all jobs.
const BEYOND: usize = 200;

/// The arms of the plots, in the order of the legend.
const ARMS: [Arm; 2] = [Arm::Thread, Arm::Process];

/// The plots of this file.
pub(super) fn plots(comparison: &Comparison) -> Vec<Plot> {
    let alone = alone(comparison);
    let loads = loads(comparison);
    let loaded = loads
        .into_iter()
        .filter_map(|load| loaded(comparison, load));
    alone.into_iter().chain(loaded).collect()
}

/// The samples of an arm, sorted, without what is no number.
fn sorted(comparison: &Comparison, row: &Row, arm: Arm) -> Vec<f64> {
    let rounds = comparison
        .series
        .get(&row.series)
        .and_then(|arms| arms.get(&arm));
    let mut samples: Vec<f64> = rounds
        .into_iter()
        .flatten()
        .flatten()
        .copied()
        .filter(|&value| value.is_finite() && value > 0.0)
        .collect();
    samples.sort_unstable_by(f64::total_cmp);
    samples
}

/// Which share of the jobs was done within which time.
fn alone(comparison: &Comparison) -> Option<Plot> {
    let row = comparison
        .rows
        .iter()
        .find(|row| row.experiment == "job" && row.metric == "p50" && row.params.is_empty())?;
    let arms: Vec<(Arm, Vec<f64>)> = ARMS
        .into_iter()
        .map(|arm| (arm, sorted(comparison, row, arm)))
        .filter(|(_, samples)| !samples.is_empty())
        .collect();
    // A single slow job must not press all others into one upright line.
    let shown = arms.iter().flat_map(|(_, samples)| {
        let count = samples.len() - samples.len() / BEYOND;
        samples.iter().take(count).copied()
    });
    let x = Axis::over("latency of a job (log)", Scale::Log, Unit::Seconds, shown)?;
    let shares = [0.0, 25.0, 50.0, 75.0, 90.0, 99.0];
    let y = Axis::new("jobs done within it", Scale::Linear, 0.0, 1.02)?
        .with_ticks(shares.map(|share| (share / 100.0, format!("{share} %"))));
    let mut marks = Vec::new();
    for (arm, samples) in &arms {
        let points = thinned(samples.len(), |i| i).into_iter();
        let steps = points.map(|i| (samples[i], share(i + 1, samples.len())));
        let first = samples.first().map(|&value| (value, 0.0));
        let line = first.into_iter().chain(steps).collect();
        marks.push(Mark::Line(Ink::Arm(*arm), Weight::Strong, line));
    }
    Some(Plot {
        name: "plot-latency".to_owned(),
        title: "Latency of a job, one after the other".to_owned(),
        description: "The share of all jobs that were done within a time, by that time: one rising \
            line for each isolation, from all samples of all rounds. The line further left is faster."
            .to_owned(),
        x,
        y,
        marks,
        legend: arms.iter().map(|(arm, _)| key(*arm, Weight::Strong)).collect(),
        caption: percentiles(row, &arms),
    })
}

fn key(arm: Arm, weight: Weight) -> (Key, String) {
    (Key::Rule(Ink::Arm(arm), weight), arm.to_string())
}

/// The percentiles of all samples, as figures.
fn percentiles(row: &Row, arms: &[(Arm, Vec<f64>)]) -> String {
    let id = row.id();
    let head = ["arm", "p50", "p90", "p99", "samples"].map(str::to_owned);
    let rows: Vec<String> = arms
        .iter()
        .filter_map(|(arm, _)| Some((arm, row.arms.get(arm)?)))
        .map(|(arm, summary)| {
            let cell = |name: &str, value: f64| {
                let field = format!("arms.{arm}.{name}");
                let shown = show(value, row.unit);
                format!(
                    "<td>{}</td>",
                    Source::Row(&id).number(&field, value, &shown)
                )
            };
            #[expect(clippy::cast_precision_loss, reason = "no sample has 2^52 values")]
            let n = Source::Row(&id).number(
                &format!("arms.{arm}.n"),
                summary.n as f64,
                &summary.n.to_string(),
            );
            format!(
                "<tr><th scope=\"row\">{arm}</th>{}{}{}<td>{n}</td></tr>\n",
                cell("p50", summary.p50),
                cell("p90", summary.p90),
                cell("p99", summary.p99),
            )
        })
        .collect();
    let mut caption = String::from(
        "Of all samples of all rounds together. The slowest job in 200 may lie beyond the edge.",
    );
    // Writing to a String cannot fail.
    let _ = write!(
        caption,
        "{}",
        table("figures", "Percentiles of the samples", &head, &rows)
    );
    caption
}

/// The loads that there are rows for, in per cent of a worker's capacity.
fn loads(comparison: &Comparison) -> Vec<u64> {
    let mut loads: Vec<u64> = comparison
        .rows
        .iter()
        .filter(|row| is_load(row))
        .filter_map(|row| row.number("load"))
        .collect();
    loads.sort_unstable();
    loads.dedup();
    loads
}

fn is_load(row: &Row) -> bool {
    row.experiment == "job" && row.metric.starts_with("load_")
}

/// Percentiles on the scale on which each further nine has the same room, as HdrHistogram plots them.
fn loaded(comparison: &Comparison, load: u64) -> Option<Plot> {
    let timings = [
        ("corrected", Weight::Strong),
        ("uncorrected", Weight::Faint),
    ];
    let mut lines = Vec::new();
    for (timing, weight) in timings {
        let row = comparison.rows.iter().find(|row| {
            is_load(row)
                && row.number("load") == Some(load)
                && row.params.get("timing") == Some(&Param::from(timing))
        });
        let Some(row) = row else { continue };
        for arm in ARMS {
            let samples = sorted(comparison, row, arm);
            if samples.len() > 1 {
                lines.push((arm, timing, weight, samples));
            }
        }
    }
    let all = lines.iter().flat_map(|line| line.3.iter().copied());
    let y = Axis::over("latency (log)", Scale::Log, Unit::Seconds, all)?;
    let longest = lines.iter().map(|line| line.3.len()).max()?;
    let ticks = ["0", "50", "90", "99", "99.9", "99.99"]
        .into_iter()
        .zip([0.0, 0.5, 0.9, 0.99, 0.999, 0.9999])
        .map(|(label, share)| (nines(share), format!("{label} %")));
    let x = Axis::new(
        "percentile",
        Scale::Linear,
        0.0,
        nines(share(longest - 1, longest)),
    )?
    .with_ticks(ticks);
    let marks = lines.iter().map(|(arm, _, weight, samples)| {
        let last = samples.len() - 1;
        // Evenly in nines, so that the tail keeps its points.
        let at = |i: usize| {
            let left = to_f64(samples.len()).powf(-share(i, POINTS - 1));
            let index = ((1.0 - left) * to_f64(samples.len())).round();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "0 <= index <= the number of samples"
            )]
            let index = index as usize;
            index.min(last)
        };
        let points = thinned(POINTS, at).into_iter();
        let line = points.map(|i| (nines(share(i, samples.len())), samples[i]));
        Mark::Line(Ink::Arm(*arm), *weight, line.collect())
    });
    let marks = marks.collect();
    let legend = lines.iter().map(|(arm, timing, weight, _)| {
        (
            Key::Rule(Ink::Arm(*arm), *weight),
            format!("{arm}, {timing}"),
        )
    });
    Some(Plot {
        name: format!("plot-load-{load}"),
        title: format!("Latency at {load} % load"),
        description: "Latency by percentile, where jobs arrive by a schedule: one line for each \
            isolation, and for each way to count, from all samples of all rounds. The lower line is faster."
            .to_owned(),
        x,
        y,
        marks,
        legend: legend.collect(),
        caption: "Corrected: from when a job should have been sent. Uncorrected: from when it was \
            sent, which hides the wait for a late one (coordinated omission)."
            .to_owned(),
    })
}

/// Places out of so many, each once, at most [`POINTS`] of them, with the first and the last.
fn thinned(count: usize, at: impl Fn(usize) -> usize) -> Vec<usize> {
    let Some(last) = count.checked_sub(1) else {
        return Vec::new();
    };
    let step = count.div_ceil(POINTS).max(1);
    let mut places: Vec<usize> = (0..count).step_by(step).chain([last]).map(at).collect();
    places.dedup();
    places
}

/// How many nines a share has: 0.9 has one, 0.99 two.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

fn share(part: usize, of: usize) -> f64 {
    to_f64(part) / to_f64(of)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn there_is_a_plot_for_jobs_alone_and_for_each_load() {
        let names: Vec<String> = plots(&sample()).into_iter().map(|plot| plot.name).collect();
        assert_eq!(names, ["plot-latency", "plot-load-50", "plot-load-80"]);
    }

    #[test]
    fn a_distribution_rises_to_all_jobs() {
        let plot = alone(&sample()).unwrap();
        for mark in &plot.marks {
            let Mark::Line(_, _, points) = mark else {
                panic!("{mark:?}");
            };
            assert_eq!(points.first().map(|point| point.1), Some(0.0));
            assert_eq!(points.last().map(|point| point.1), Some(1.0));
            assert!(points.len() <= POINTS + 2);
            assert!(points.is_sorted_by(|a, b| a.0 <= b.0 && a.1 <= b.1));
        }
    }

    #[test]
    fn a_single_slow_job_does_not_press_the_others_together() {
        let mut comparison = sample();
        let edge = |comparison: &Comparison| alone(comparison).unwrap().x.ends().1;
        let before = edge(&comparison);
        let arms = comparison.series.get_mut("job.latency").unwrap();
        arms.get_mut(&Arm::Thread).unwrap()[3].push(3.0);
        assert!(edge(&comparison) < 1.05 * before);
    }

    #[test]
    fn the_slowest_job_stands_at_the_end_of_the_percentiles() {
        let comparison = sample();
        let plot = loaded(&comparison, 80).unwrap();
        let Mark::Line(Ink::Arm(Arm::Thread), Weight::Strong, points) = &plot.marks[0] else {
            panic!("{:?}", plot.marks[0]);
        };
        let series = &comparison.series["job.load[load=80,timing=corrected]"][&Arm::Thread];
        let slowest = series.iter().flatten().copied().fold(0.0, f64::max);
        assert_eq!(points.last().map(|point| point.1), Some(slowest));
    }

    #[test]
    fn an_arm_without_samples_is_left_out() {
        let mut comparison = sample();
        let arms = comparison.series.get_mut("job.latency").unwrap();
        arms.remove(&Arm::Process);
        assert_eq!(alone(&comparison).unwrap().legend.len(), 1);
        comparison.series.clear();
        assert_eq!(plots(&comparison), []);
    }
}
