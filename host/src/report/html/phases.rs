//! Where the time of a start or of a job goes.

use std::fmt::Write;

use super::element::{Source, escape, table};
use super::plot::{Anchor, Axis, Ink, Mark, Plot, Scale};
use crate::experiment::{Arm, Param};
use crate::report::result::{Comparison, Row};
use crate::report::words::{NONE, show};

/// The arms whose phases are told, from top to bottom, as far as they were measured.
const ARMS: [Arm; 4] = [Arm::Thread, Arm::Process, Arm::Exec, Arm::Spare];

/// Those of them that have phases here.
fn arms(phases: &[(usize, &Row)]) -> Vec<Arm> {
    let has = |arm: &Arm| phases.iter().any(|(_, row)| row.value(*arm).is_some());
    ARMS.into_iter().filter(has).collect()
}

/// A phase is left out of a second plot if it takes more of each bar than this: the others could not
/// be seen beside it.
const LONGEST: f64 = 0.8;

/// The plots of this file.
pub(super) fn plots(comparison: &Comparison) -> Vec<Plot> {
    let mut plots = Vec::new();
    for (experiment, title) in [
        ("start", "Where the time of a start goes"),
        ("job", "Where the time of a job goes"),
    ] {
        let phases: Vec<(usize, &Row)> = comparison
            .rows
            .iter()
            .filter(|row| row.experiment == experiment && row.metric == "phase")
            .enumerate()
            .collect();
        plots.extend(bars(
            &format!("plot-phases-{experiment}"),
            title,
            &phases,
            true,
        ));
        if let Some(longest) = longest(&phases) {
            let rest: Vec<(usize, &Row)> = phases
                .iter()
                .copied()
                .filter(|phase| phase.0 != longest)
                .collect();
            let name = phases.iter().find(|phase| phase.0 == longest);
            let name = name.map_or(String::new(), |phase| phase_name(phase.1));
            let title = format!("{title}, without {name}");
            plots.extend(bars(
                &format!("plot-phases-{experiment}-rest"),
                &title,
                &rest,
                false,
            ));
        }
    }
    plots
}

/// The phase that leaves next to no room for the others, if there is one.
fn longest(phases: &[(usize, &Row)]) -> Option<usize> {
    let arms = arms(phases);
    let takes_most = |phase: &&(usize, &Row)| {
        arms.iter().all(|&arm| {
            let sum: f64 = phases.iter().map(|(_, row)| length(row, arm)).sum();
            length(phase.1, arm) > LONGEST * sum
        })
    };
    phases.iter().find(takes_most).map(|phase| phase.0)
}

/// Seconds of a phase; nothing for what is no time.
fn length(row: &Row, arm: Arm) -> f64 {
    let value = row.value(arm).unwrap_or(0.0);
    if value.is_finite() {
        value.max(0.0)
    } else {
        0.0
    }
}

fn phase_name(row: &Row) -> String {
    row.params
        .get("phase")
        .map_or_else(|| row.title.clone(), Param::to_string)
}

/// A bar for each arm, with a numbered box for each phase.
fn bars(name: &str, title: &str, phases: &[(usize, &Row)], with_table: bool) -> Option<Plot> {
    let sum = |arm| phases.iter().map(|(_, row)| length(row, arm)).sum::<f64>();
    // The first one on top.
    let arms: Vec<(Arm, f64)> = arms(phases)
        .into_iter()
        .rev()
        .zip((0..4u8).map(|place| f64::from(place) + 0.5))
        .collect();
    let top = arms.last()?.1 + 0.5;
    let longest = arms.iter().map(|(arm, _)| sum(*arm)).fold(0.0, f64::max);
    let unit = phases.first()?.1.unit;
    if longest <= 0.0 {
        return None;
    }
    let x = Axis::over("time", Scale::Linear, unit, [0.0, longest].into_iter())?;
    let ticks = arms.iter().map(|(arm, at)| (*at, arm.to_string()));
    let y = Axis::new("", Scale::Linear, 0.0, top)?.with_ticks(ticks);
    let mut marks = Vec::new();
    for (arm, middle) in arms {
        let mut from = 0.0;
        for (number, row) in phases {
            let to = from + length(row, arm);
            // A gap tells a box from its neighbour without the help of colours.
            let gap = 0.003 * longest;
            if to - from > gap {
                let ink = ink(*number);
                marks.push(Mark::Bar(
                    ink,
                    (from, middle - 0.3),
                    (to - gap, middle + 0.3),
                ));
            }
            if to - from > 0.04 * longest {
                let at = (f64::midpoint(from, to), middle);
                let word = (number + 1).to_string();
                marks.push(Mark::Label(Ink::OnHue, at, Anchor::Middle, 0, word));
            }
            from = to;
        }
    }
    Some(Plot {
        name: name.to_owned(),
        title: title.to_owned(),
        description:
            "One bar for each way to live or to start, made of its phases one after the other. The table \
            names the numbers."
                .to_owned(),
        x,
        y,
        marks,
        legend: Vec::new(),
        caption: if with_table {
            phase_table(title, phases)
        } else {
            escape("The same numbers, at another scale.")
        },
    })
}

fn ink(number: usize) -> Ink {
    Ink::Hue(u8::try_from(number % 6).unwrap_or(0))
}

fn phase_table(title: &str, phases: &[(usize, &Row)]) -> String {
    let arms = arms(phases);
    let names = arms.iter().map(|arm| format!(">{arm}"));
    let head: Vec<String> = ["phase".to_owned()].into_iter().chain(names).collect();
    let rows: Vec<String> = phases
        .iter()
        .map(|(number, row)| {
            let id = row.id();
            let mut text = format!(
                "<tr><th scope=\"row\"><span class=\"swatch\" style=\"background:var(--hue-{})\">{}</span>{}</th>",
                number % 6,
                number + 1,
                escape(&phase_name(row)),
            );
            for &arm in &arms {
                let cell = row.value(arm).map_or(NONE.to_owned(), |value| {
                    let field = format!("arms.{arm}.value");
                    Source::Row(&id).number(&field, value, &show(value, row.unit))
                });
                // Writing to a String cannot fail.
                let _ = write!(text, "<td class=\"number\">{cell}</td>");
            }
            text.push_str("</tr>\n");
            text
        })
        .collect();
    format!(
        "Medians over the rounds.{}",
        table("figures", title, &head, &rows)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn a_phase_that_hides_the_others_is_left_out_once() {
        let names: Vec<String> = plots(&sample()).into_iter().map(|plot| plot.name).collect();
        let expected = [
            "plot-phases-start",
            "plot-phases-job",
            "plot-phases-job-rest",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn phases_keep_their_numbers_where_one_is_left_out() {
        let plots = plots(&sample());
        let words = |plot: &Plot| -> Vec<String> {
            let labels = plot.marks.iter().filter_map(|mark| match mark {
                Mark::Label(.., word) => Some(word.clone()),
                _ => None,
            });
            labels.collect()
        };
        // `call` is the fourth.
        assert!(words(&plots[1]).iter().all(|word| word == "4"));
        assert!(!words(&plots[2]).contains(&"4".to_owned()));
        assert!(words(&plots[2]).contains(&"3".to_owned()));
    }

    #[test]
    fn the_phases_of_every_start_are_told() {
        let mut comparison = sample();
        for row in &mut comparison.rows {
            if row.experiment == "start" && row.metric == "phase" {
                let of_process = row.arms[&Arm::Process].clone();
                row.arms.insert(Arm::Exec, of_process);
            }
        }
        let plots = plots(&comparison);
        assert_eq!(
            plots[0]
                .caption
                .matches("data-field=\"arms.exec.value\"")
                .count(),
            5
        );
        assert!(plots[0].caption.contains(">exec</th>"));
        assert!(!plots[1].caption.contains(">exec</th>"));
        let bars = |plot: &Plot| {
            plot.marks
                .iter()
                .filter(|mark| matches!(mark, Mark::Bar(..)))
                .count()
        };
        // Five phases of each of three, of which none is too short to be seen but those of the thread.
        assert!(bars(&plots[0]) > 10, "{}", bars(&plots[0]));
    }

    #[test]
    fn phases_that_took_no_time_give_no_bars() {
        let mut comparison = sample();
        for row in &mut comparison.rows {
            for arm in row.arms.values_mut() {
                arm.value = f64::NAN;
            }
        }
        assert_eq!(plots(&comparison), []);
    }
}
