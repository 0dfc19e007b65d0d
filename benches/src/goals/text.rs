//! The table, and what stands behind it, within 80 columns.

use std::fmt::Write;

use cofferdam::machine::Machine;
use cofferdam::stats::{Interval, Margin, median};
use cofferdam::units::{seconds, three_digits};
use cofferdam::{LinkKind, StartMethod, WaitPolicy};

use super::Goal;
use super::finding::{ArmRow, Bound, Finding, Measured, Part, Unit, Verdict};
use crate::Failure;

/// How the table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For terminals.
    Plain,
    /// For documents.
    Markdown,
}

const WIDTH: usize = 80;

/// What was measured of a goal, or what broke.
type Result<'a> = std::result::Result<&'a Finding, &'a Failure>;

/// The machine and the settings, each on lines of their own.
#[must_use]
pub fn header(machine: &Machine) -> String {
    let told = |what: &str, value: Option<String>| value.map(|value| format!("{what} {value}"));
    let percent = |share: f64| format!("{} %", three_digits(share));
    let state = [
        told("governor", machine.governor.clone()),
        told("THP", machine.transparent_huge_pages.clone()),
        told(
            "halt poll",
            machine
                .guest_halt_poll_ns
                .map(|nanos| format!("{nanos} ns")),
        ),
        told("clock", machine.clocksource.clone()),
        told(
            "swap",
            machine.swap.map(|bytes| {
                if bytes == 0 {
                    "off".to_owned()
                } else {
                    "on".to_owned()
                }
            }),
        ),
        told("load", machine.load.map(three_digits)),
        told("CPU pressure", machine.cpu_pressure.map(percent)),
        told("steal", machine.steal.map(|share| percent(100.0 * share))),
        machine.allocator.clone(),
    ];
    let state: Vec<String> = state.into_iter().flatten().collect();
    let versions = format!(
        "cofferdam {}, wasmtime {}",
        machine.cofferdam, machine.wasmtime
    );
    let settings = format!(
        "unless a goal says otherwise: start {}, link {}, wait {}",
        StartMethod::default(),
        LinkKind::default(),
        WaitPolicy::default()
    );
    let mut text = String::new();
    for line in [machine.summary(), state.join(", "), versions, settings] {
        text.push_str(&wrapped(&line, "", "  "));
    }
    text
}

/// One line for each goal: the part that stands worst.
#[must_use]
pub fn table(goals: &[(Goal, Result<'_>)], style: Style) -> String {
    let mut text = match style {
        Style::Plain => plain(["id", "what", "goal", "result (95 % interval)", "verdict"]),
        Style::Markdown => "| id | what | goal | result (95 % interval) | verdict |\n\
            | --- | --- | --- | --- | --- |\n"
            .to_owned(),
    };
    for (goal, result) in goals {
        let cells = cells(goal, *result);
        let cells = cells.each_ref().map(String::as_str);
        text += &match style {
            Style::Plain => plain(cells),
            Style::Markdown => format!("| {} |\n", cells.join(" | ")),
        };
    }
    text
}

/// A line of cells. What is too long in the last but one stands alone, as a reason does.
fn plain([id, what, goal, result, verdict]: [&str; 5]) -> String {
    let what = cut(what, 30);
    let line = format!("{id:<6} {what:<30} {goal:>10}  {result:<22} {verdict}");
    line.trim_end().to_owned() + "\n"
}

fn cells(goal: &Goal, result: Result<'_>) -> [String; 5] {
    let id = goal.id.to_owned();
    let title = goal.title.to_owned();
    let part = match result {
        Err(_) => {
            return [
                id,
                title,
                String::new(),
                "-".to_owned(),
                verdict(Verdict::Failed),
            ];
        }
        Ok(finding) => finding.worst(),
    };
    let Some(part) = part else {
        return [
            id,
            title,
            String::new(),
            "-".to_owned(),
            verdict(Verdict::NotMeasured),
        ];
    };
    let (bound, shown) = (bound(part), measured(part));
    match &part.measured {
        Measured::Missing(_) => [
            id,
            part.what.clone(),
            bound,
            "not measured: see below".to_owned(),
            String::new(),
        ],
        Measured::Interval(_) | Measured::Single(_) => {
            [id, title, bound, shown, verdict(part.verdict())]
        }
    }
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Met => "met",
        Verdict::NotMeasured => "-",
        Verdict::Open => "open",
        Verdict::Missed => "MISSED",
        Verdict::Failed => "FAILED",
    }
    .to_owned()
}

fn bound(part: &Part) -> String {
    match part.bound {
        Bound::AtMost(most) => format!("<= {}", value(most, part.unit)),
        Bound::AtLeast(least) => format!(">= {}", value(least, part.unit)),
    }
}

fn measured(part: &Part) -> String {
    match &part.measured {
        Measured::Interval(found) => interval(found, part.unit),
        Measured::Single(single) => value(*single, part.unit),
        Measured::Missing(why) => format!("not measured: {why}"),
    }
}

/// `1.52 (1.49 to 1.58)`, `101 µs (98.2 to 104)`.
fn interval(found: &Interval, unit: Unit) -> String {
    let Interval {
        median, low, high, ..
    } = *found;
    format!(
        "{} ({})",
        value(median, unit),
        range(median, low, high, unit)
    )
}

/// In the unit of the median, which is then not said again.
fn range(median: f64, low: f64, high: f64, unit: Unit) -> String {
    let scale = match unit {
        Unit::Ratio => 1.0,
        Unit::Bytes => 1024.0,
        Unit::Seconds => match median.abs() {
            size if size >= 1.0 => 1.0,
            size if size >= 1e-3 => 1e-3,
            size if size >= 1e-6 => 1e-6,
            _ => 1e-9,
        },
    };
    format!(
        "{} to {}",
        three_digits(low / scale),
        three_digits(high / scale)
    )
}

fn value(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Ratio => three_digits(value),
        Unit::Seconds => seconds(value),
        Unit::Bytes => format!("{} KiB", three_digits(value / 1024.0)),
    }
}

/// By how much a control may stray before it says that little can be said: what the tightest goals leave.
const NOISY: f64 = 1.05;

/// A word on the goals whose control strays: there the machine itself makes differences.
#[must_use]
pub fn doubts(goals: &[(Goal, Result<'_>)]) -> Option<String> {
    let strays = |control: &Interval| Margin::from_control(Some(*control)).factor() > NOISY;
    let doubtful = goals.iter().filter(|(_, result)| {
        result.is_ok_and(|finding| finding.controls.iter().any(|(_, control)| strays(control)))
    });
    let ids: Vec<&str> = doubtful.map(|(goal, _)| goal.id).collect();
    (!ids.is_empty()).then(|| {
        let line = format!(
            "Not quiet: in {} an arm against itself differs by more than 5 %. There the machine \
             makes differences of its own, and this run is nothing to cite.",
            ids.join(", ")
        );
        wrapped(&line, "", "")
    })
}

/// What stands behind the table: for each goal its parts, its arms, its controls, its notes.
#[must_use]
pub fn details(goals: &[(Goal, Result<'_>)]) -> String {
    let mut text = String::new();
    for (goal, result) in goals {
        let _ = writeln!(text, "\n{}  {}", goal.id, goal.title);
        match result {
            Err(error) => text += &wrapped(&format!("FAILED: {error}"), "    ", "    "),
            Ok(finding) => behind(finding, &mut text),
        }
    }
    text
}

fn behind(finding: &Finding, text: &mut String) {
    for part in &finding.parts {
        let (what, bound, shown) = (cut(&part.what, 40), bound(part), measured(part));
        let line = match &part.measured {
            Measured::Missing(_) => format!("{what:<40} {bound:>10}  {shown}"),
            Measured::Interval(_) | Measured::Single(_) => {
                let verdict = verdict(part.verdict());
                format!(
                    "{:<34} {bound:>10}  {shown:<22} {verdict}",
                    cut(&part.what, 34)
                )
            }
        };
        *text += &wrapped(&line, "  ", "      ");
    }
    for row in &finding.arms {
        let _ = writeln!(text, "    {:<33} {}", row.column.name, arm(row));
    }
    for (name, control) in &finding.controls {
        let shown = interval(control, Unit::Ratio);
        let _ = writeln!(text, "    {:<33} {shown}", format!("control: {name}"));
    }
    for note in &finding.notes {
        *text += &wrapped(note, "  ", "  ");
    }
}

fn arm(row: &ArmRow) -> String {
    let rounds = &row.column.rounds;
    let middle = median(rounds).map_or_else(|| "-".to_owned(), |middle| value(middle, row.unit));
    format!(
        "p50 {middle}, {} rounds of {}",
        rounds.len(),
        row.column.samples
    )
}

/// Breaks a text at blanks. The spaces within a short line stay as they are.
fn wrapped(text: &str, first: &str, rest: &str) -> String {
    let mut lines = vec![first.to_owned()];
    for word in text.split_inclusive(' ') {
        let line = lines.last_mut().expect("there is a first line");
        if line.chars().count() + word.trim_end().chars().count() > WIDTH && line.trim() != "" {
            lines.push(rest.to_owned() + word);
        } else {
            line.push_str(word);
        }
    }
    lines
        .iter()
        .map(|line| line.trim_end().to_owned() + "\n")
        .collect()
}

/// The beginning of a text, as far as there is room.
fn cut(text: &str, room: usize) -> String {
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let kept: String = text.chars().take(room - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::goals::GOALS;

    fn finding(bound: Bound, unit: Unit, measured: Measured) -> Finding {
        let part = Part {
            what: "a part with a name that is much longer than there is room for it in a line"
                .to_owned(),
            bound,
            unit,
            measured,
        };
        Finding {
            parts: vec![part],
            notes: vec!["A note that goes on and on, ".repeat(6)],
            ..Finding::default()
        }
    }

    fn between(median: f64, low: f64, high: f64) -> Measured {
        Measured::Interval(Interval {
            median,
            low,
            high,
            confidence: 0.95,
        })
    }

    #[test]
    fn no_line_is_wider_than_a_terminal() {
        let findings = [
            finding(
                Bound::AtMost(128.0 * 1024.0),
                Unit::Bytes,
                between(13e5, 12.5e5, 14e5),
            ),
            finding(
                Bound::AtLeast(300.0),
                Unit::Ratio,
                between(1412.0, 1391.0, 1999.0),
            ),
            finding(
                Bound::AtMost(1e-6),
                Unit::Seconds,
                between(101e-6, 98.2e-6, 104e-6),
            ),
            finding(
                Bound::AtMost(1.0),
                Unit::Ratio,
                Measured::Missing("a long reason, ".repeat(9)),
            ),
        ];
        let rows: Vec<(Goal, Result<'_>)> =
            GOALS.into_iter().zip(findings.iter().map(Ok)).collect();
        let text = table(&rows, Style::Plain) + &details(&rows) + &header(&Machine::here());
        for line in text.lines() {
            assert!(line.chars().count() <= WIDTH, "{line}");
        }
    }

    #[test]
    fn a_row_says_what_is_asked_what_is_there_and_whether_that_is_enough() {
        let met = finding(Bound::AtMost(1.3), Unit::Ratio, between(1.21, 1.18, 1.25));
        let [goal, ..] = GOALS;
        let text = table(&[(goal, Ok(&met))], Style::Plain);
        let row = text.lines().nth(1).unwrap();
        assert_eq!(
            row.split_whitespace().collect::<Vec<_>>().join(" "),
            "P1 thread worker to first reply <= 1.30 1.21 (1.18 to 1.25) met"
        );
        let text = table(&[(goal, Ok(&met))], Style::Markdown);
        assert_eq!(
            text.lines().last().unwrap(),
            "| P1 | thread worker to first reply | <= 1.30 | 1.21 (1.18 to 1.25) | met |"
        );
    }

    #[test]
    fn an_interval_has_the_unit_of_its_median() {
        let shown = |median, low, high, unit| {
            let Measured::Interval(found) = between(median, low, high) else {
                unreachable!()
            };
            interval(&found, unit)
        };
        assert_eq!(
            shown(1.5e-3, 0.9e-3, 2.1e-3, Unit::Seconds),
            "1.50 ms (0.90 to 2.10)"
        );
        assert_eq!(
            shown(65536.0, 60000.0, 70000.0, Unit::Bytes),
            "64.0 KiB (58.6 to 68.4)"
        );
    }

    #[test]
    fn a_control_that_strays_is_told() {
        let with = |low, high| Finding {
            controls: vec![(
                "an arm".to_owned(),
                Interval {
                    median: f64::midpoint(low, high),
                    low,
                    high,
                    confidence: 0.95,
                },
            )],
            ..Finding::default()
        };
        let [goal, ..] = GOALS;
        let told = |low, high| doubts(&[(goal, Ok(&with(low, high)))]);
        assert_eq!(told(0.98, 1.02), None);
        for (low, high) in [(1.06, 1.08), (0.9, 0.93), (0.8, 1.2)] {
            assert!(told(low, high).unwrap().contains("in P1 an"));
        }
    }

    #[test]
    fn what_broke_says_so_and_why() {
        let [goal, ..] = GOALS;
        let error: Failure = "no thread could be had".into();
        let rows: [(Goal, Result<'_>); 1] = [(goal, Err(&error))];
        assert!(table(&rows, Style::Plain).contains("FAILED"));
        assert!(details(&rows).contains("FAILED: no thread could be had"));
    }
}
