//! Numbers by a parameter: round trips by payload, throughput and memory by workers.

use super::element::escape;
use super::plot::{Axis, Ink, Key, Mark, Plot, Scale, Weight, byte_label};
use crate::experiment::{Arm, Param, Unit};
use crate::report::result::{Comparison, Row};
use crate::report::rounds::values;

/// What differs between the curves.
struct Curve<'c> {
    name: &'c str,
    title: &'c str,
    description: &'c str,
    experiment: &'c str,
    metric: &'c str,
    /// The parameter that goes from left to right.
    by: &'c str,
    /// Parameters that rows must have beside it, and no others.
    only: &'c [(&'c str, &'c str)],
    y_title: &'c str,
    caption: &'c str,
}

/// What each dot and line is, below each of these plots.
const MARKS: &str = "Large dots: medians over the rounds. Small dots: the rounds.";

/// What talking costs.
pub(super) fn payload(comparison: &Comparison) -> Option<Plot> {
    let curve = Curve {
        name: "plot-payload",
        title: "Round trip by payload",
        description: "Time of a round trip by the bytes that go there and come back, both on \
            logarithmic axes: one rising line for each isolation. The lower line is faster.",
        experiment: "message",
        metric: "round_trip",
        by: "payload",
        only: &[],
        y_title: "round trip (log)",
        caption: "",
    };
    let points = points(comparison, &curve);
    let smallest = points
        .iter()
        .map(|point| point.0)
        .find(|&bytes| bytes > 0)?;
    let largest = points.iter().map(|point| point.0).max()?;
    // Nothing has no logarithm: it stands a little to the left of the smallest payload.
    let nothing = to_f64(smallest) / 8.0;
    let x_of = |bytes: u64| if bytes == 0 { nothing } else { to_f64(bytes) };
    let low = points
        .iter()
        .map(|point| x_of(point.0))
        .fold(f64::MAX, f64::min);
    let ticks = points
        .iter()
        .map(|point| (x_of(point.0), byte_label(point.0)));
    let x = Axis::new(
        "payload (log)",
        Scale::Log,
        low / 1.5,
        to_f64(largest) * 2.5,
    )?
    .with_ticks(ticks);
    drawn(comparison, &curve, &points, x, x_of, Scale::Log)
}

/// What many workers get done.
pub(super) fn scaling(comparison: &Comparison) -> Vec<Plot> {
    let curve = |name, title, experiment, metric, only, caption| Curve {
        name,
        title,
        description: "Jobs a second by the number of workers: one line for each arm. The higher \
            line gets more done.",
        experiment,
        metric,
        by: "workers",
        only,
        y_title: "jobs/s",
        caption,
    };
    let curves = [
        curve(
            "plot-throughput",
            "Throughput by workers",
            "job",
            "throughput",
            &[][..],
            "",
        ),
        curve(
            "plot-scaling-own",
            "Fresh instances: this guest",
            "scaling",
            "jobs",
            &[("guest", "own")],
            "A fresh instance for each job, no pool and no link in the way.",
        ),
        curve(
            "plot-scaling-echo",
            "Fresh instances: @echo",
            "scaling",
            "jobs",
            &[("guest", "echo")],
            "The same for a guest that does next to nothing.",
        ),
    ];
    let plots = curves.iter().filter_map(|curve| {
        let plot = by_workers(comparison, curve)?;
        let guest = curve.only.first().map(|(_, guest)| *guest);
        let knee = comparison
            .knees
            .iter()
            .find(|knee| Some(knee.guest.as_str()) == guest);
        let knee = knee.map(|knee| format!(" {}", escape(&knee.sentence())));
        Some(Plot {
            caption: plot.caption + &knee.unwrap_or_default(),
            ..plot
        })
    });
    plots.collect()
}

/// What workers take.
pub(super) fn memory(comparison: &Comparison) -> Option<Plot> {
    let curve = Curve {
        name: "plot-memory",
        title: "Memory by workers",
        description: "Proportional set size of the host and all its workers by the number of idle \
            workers: one line for each isolation. The steeper line takes more for each worker.",
        experiment: "memory",
        metric: "pss",
        by: "workers",
        only: &[("state", "idle")],
        y_title: "PSS of host and workers",
        caption: "The slope is the memory of one more worker.",
    };
    by_workers(comparison, &curve)
}

fn by_workers(comparison: &Comparison, curve: &Curve<'_>) -> Option<Plot> {
    let points = points(comparison, curve);
    let last = points.iter().map(|point| point.0).max()?;
    let ticks = points
        .iter()
        .map(|point| (to_f64(point.0), point.0.to_string()));
    let x = Axis::new("workers", Scale::Linear, 0.0, to_f64(last) * 1.06)?.with_ticks(ticks);
    drawn(comparison, curve, &points, x, to_f64, Scale::Linear)
}

/// The rows of a curve, by the parameter, smallest first.
fn points<'c>(comparison: &'c Comparison, curve: &Curve<'_>) -> Vec<(u64, &'c Row)> {
    let belongs = |row: &&Row| {
        row.experiment == curve.experiment
            && row.metric == curve.metric
            && row.params.len() == curve.only.len() + 1
            && curve
                .only
                .iter()
                .all(|(name, value)| row.params.get(*name) == Some(&Param::from(*value)))
    };
    let rows = comparison.rows.iter().filter(belongs);
    let mut points: Vec<(u64, &Row)> = rows
        .filter_map(|row| Some((row.number(curve.by)?, row)))
        .collect();
    points.sort_by_key(|point| point.0);
    points
}

fn drawn(
    comparison: &Comparison,
    curve: &Curve<'_>,
    points: &[(u64, &Row)],
    x: Axis,
    x_of: impl Fn(u64) -> f64,
    scale: Scale,
) -> Option<Plot> {
    let unit = points.first().map_or(Unit::Count, |point| point.1.unit);
    let mut all = Vec::new();
    let mut marks = Vec::new();
    let mut legend = Vec::new();
    for arm in Arm::ALL.into_iter().filter(|&arm| arm != Arm::Control) {
        let line: Vec<(f64, f64)> = points
            .iter()
            .filter_map(|(at, row)| Some((x_of(*at), row.value(arm)?)))
            .filter(|point| point.1.is_finite())
            .collect();
        if line.is_empty() {
            continue;
        }
        let rounds: Vec<(f64, f64)> = points
            .iter()
            .flat_map(|(at, row)| {
                let rounds = values(comparison, row, arm).into_iter();
                rounds.map(|value| (x_of(*at), value))
            })
            .collect();
        all.extend(line.iter().chain(&rounds).map(|point| point.1));
        let ink = Ink::Arm(arm);
        marks.push(Mark::Dots(ink, Weight::Faint, rounds));
        marks.push(Mark::Line(ink, Weight::Strong, line.clone()));
        marks.push(Mark::Dots(ink, Weight::Strong, line));
        legend.push((Key::Line(ink, Weight::Strong), arm.to_string()));
    }
    Some(Plot {
        name: curve.name.to_owned(),
        title: curve.title.to_owned(),
        description: curve.description.to_owned(),
        x,
        y: Axis::over(curve.y_title, scale, unit, all.into_iter())?,
        marks,
        legend,
        caption: escape(format!("{MARKS} {}", curve.caption).trim_end()),
    })
}

#[expect(clippy::cast_precision_loss, reason = "a place on an axis")]
fn to_f64(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn tick_labels(plot: &Plot) -> Vec<&str> {
        plot.x.ticks.iter().map(|tick| tick.1.as_str()).collect()
    }

    #[test]
    fn no_payload_stands_beside_the_smallest() {
        let plot = payload(&sample()).unwrap();
        let labels = ["0 B", "64 B", "4 KiB", "64 KiB", "1 MiB", "16 MiB"];
        assert_eq!(tick_labels(&plot), labels);
        assert_eq!(plot.legend.len(), 2);
    }

    #[test]
    fn each_grid_of_workers_has_its_curve() {
        let plots = scaling(&sample());
        let legends: Vec<(&str, Vec<&str>)> = plots
            .iter()
            .map(|plot| {
                let words = plot.legend.iter().map(|entry| entry.1.as_str());
                (plot.name.as_str(), words.collect())
            })
            .collect();
        assert_eq!(
            legends,
            [
                ("plot-throughput", vec!["thread", "process", "unmetered"]),
                ("plot-scaling-own", vec!["thread", "process", "mixed"]),
                ("plot-scaling-echo", vec!["thread", "process", "mixed"]),
            ]
        );
    }

    #[test]
    fn every_round_has_its_dot() {
        let plot = memory(&sample()).unwrap();
        assert_eq!(tick_labels(&plot), ["1", "8", "32"]);
        let Mark::Dots(Ink::Arm(Arm::Thread), Weight::Faint, dots) = &plot.marks[0] else {
            panic!("{:?}", plot.marks[0]);
        };
        assert_eq!(dots.len(), 3 * 8);
    }

    #[test]
    fn without_rows_there_is_no_curve() {
        let mut comparison = sample();
        comparison.rows.clear();
        assert_eq!(payload(&comparison), None);
        assert_eq!(scaling(&comparison), []);
        assert_eq!(memory(&comparison), None);
    }
}
