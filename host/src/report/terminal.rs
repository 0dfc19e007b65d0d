//! The result as text for a terminal of 80 columns or more.

use std::fmt::Write;

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, presets};

use super::result::{Comparison, ContainmentRow, Row};
use crate::experiment::{Arm, Containment, Unit};
use crate::stats::{Better, Verdict};
use crate::units::{ByteSize, TimeSpan, seconds, three_digits};

/// Renders a comparison in so many columns.
#[must_use]
pub fn render(comparison: &Comparison, width: u16) -> String {
    let mut text = String::new();
    header(&mut text, comparison);
    numbers(&mut text, comparison, width);
    faults(&mut text, comparison, width);
    failures(&mut text, comparison, width);
    for sentence in &comparison.advice {
        wrap(&mut text, sentence, width);
    }
    text
}

fn header(text: &mut String, comparison: &Comparison) {
    let Comparison {
        guest,
        machine,
        settings,
        ..
    } = comparison;
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "{} ({}, a job takes about {})",
        guest.name,
        ByteSize::from_bytes(guest.bytes),
        seconds(guest.job_s)
    );
    let _ = writeln!(text, "{}", machine.summary());
    let _ = writeln!(
        text,
        "{} rounds in {}, seed {}; {} instances; processes by {} over {};\nguest code is interruptible in threads and unmetered in processes",
        comparison.rounds,
        TimeSpan::new(std::time::Duration::from_secs_f64(comparison.took_s)),
        comparison.seed,
        match settings.instance {
            crate::runtime::InstancePolicy::Fresh => "fresh",
            crate::runtime::InstancePolicy::Reused => "reused",
        },
        settings.start,
        settings.link,
    );
    if !comparison.complete {
        let _ = writeln!(
            text,
            "INTERRUPTED: what follows rests on the rounds that were done"
        );
    }
}

fn table(width: u16, head: &[&str]) -> Table {
    let mut table = Table::new();
    let line = LineStyle::none().fill('─').junction('─');
    table.load_style(presets::NOTHING.header_separator(line).bottom_border(line));
    table.set_width(width).set_header(head.to_vec());
    table.set_content_arrangement(ContentArrangement::Dynamic);
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table
}

fn numbers(text: &mut String, comparison: &Comparison, width: u16) {
    let mut table = table(
        width,
        &["", "thread", "process", "process ÷ thread", "verdict"],
    );
    for column in 1..=2 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for row in &comparison.rows {
        let arm = |arm| {
            row.arms
                .get(&arm)
                .map_or("–".to_owned(), |arm| show(arm.value, row.unit))
        };
        let ratio = row.ratio.map_or("–".to_owned(), |ratio| {
            format!(
                "{} [{}, {}]",
                three_digits(ratio.median),
                three_digits(ratio.low),
                three_digits(ratio.high)
            )
        });
        table.add_row([
            row.title.clone(),
            arm(Arm::Thread),
            arm(Arm::Process),
            ratio,
            verdict(row),
        ]);
    }
    let _ = writeln!(text, "{}", table.trim_fmt());
    let confidence = comparison
        .rows
        .iter()
        .find_map(|row| row.ratio)
        .map_or(0.95, |ratio| ratio.confidence);
    let _ = writeln!(
        text,
        "Medians over rounds; the median of the rounds' ratios and its {:.0} % interval.",
        100.0 * confidence
    );
    if let Some(control) = comparison.control {
        let _ = writeln!(
            text,
            "A/A control (a thread arm against itself): {} [{}, {}].",
            three_digits(control.ratio),
            three_digits(control.low),
            three_digits(control.high),
        );
    }
    text.push('\n');
}

/// A value with its unit.
pub(super) fn show(value: f64, unit: Unit) -> String {
    match unit {
        Unit::Seconds => seconds(value),
        Unit::JobsPerSecond => format!("{} /s", three_digits(value)),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "sizes are positive and far below 2^53"
        )]
        Unit::Bytes => ByteSize::from_bytes(value as u64).to_string(),
    }
}

fn verdict(row: &Row) -> String {
    let better = match (row.unit, row.better) {
        (Unit::Bytes, Better::Lower) => "smaller",
        _ => "faster",
    };
    match row.verdict {
        Some(Verdict::Thread) => format!("thread {better}"),
        Some(Verdict::Process) => format!("process {better}"),
        Some(Verdict::NoDifferenceSeen) => "no difference seen".to_owned(),
        Some(Verdict::TooFewRounds) => "too few rounds".to_owned(),
        None => "not measured".to_owned(),
    }
}

fn faults(text: &mut String, comparison: &Comparison, width: u16) {
    if comparison.containment.is_empty() {
        return;
    }
    let mut table = table(width, &["when", "in a thread", "in a process"]);
    for pair in comparison.containment.chunk_by(|a, b| a.fault == b.fault) {
        let cell = |isolation| {
            let row = pair.iter().find(|row| row.isolation == isolation);
            row.map_or("not measured".to_owned(), fate)
        };
        table.add_row([
            pair[0].fault.to_string(),
            cell(crate::options::Isolation::Thread),
            cell(crate::options::Isolation::Process),
        ]);
    }
    let _ = writeln!(text, "{}\n{SIGNALS}\n", table.trim_fmt());
}

/// What the table must not be taken for.
const SIGNALS: &str = "A thread has no signals of its own: what kills it, kills its process.";

fn fate(row: &ContainmentRow) -> String {
    let lost = match row.observed {
        Containment::HostDied => format!("all {} jobs lost", row.bystanders),
        _ if row.jobs_lost == 0.0 => format!("0 of {} other jobs lost", row.bystanders),
        _ => format!(
            "{} of {} jobs lost",
            (10.0 * row.jobs_lost).round() / 10.0,
            row.bystanders
        ),
    };
    let back = row.recovery_s.map_or(String::new(), |span| {
        format!(", replaced in {}", seconds(span))
    });
    let surprise = if row.observed == row.expected {
        ""
    } else {
        " (NOT AS EXPECTED)"
    };
    format!("{}{surprise}: {lost}{back}", row.observed)
}

fn failures(text: &mut String, comparison: &Comparison, width: u16) {
    const SHOWN: usize = 3;
    for failure in comparison.failures.iter().take(SHOWN) {
        let line = format!(
            "Failed trial: {}, {}, round {}: {}",
            failure.experiment,
            failure.arm,
            failure.round + 1,
            failure.error
        );
        wrap(text, &line, width);
    }
    if let Some(more @ 1..) = comparison.failures.len().checked_sub(SHOWN) {
        let _ = writeln!(
            text,
            "… and {more} more failed trials (see the JSON result)"
        );
    }
}

/// Breaks a sentence between words.
fn wrap(text: &mut String, sentence: &str, width: u16) {
    let mut used = 0;
    for word in sentence.split_whitespace() {
        let length = word.chars().count();
        if used > 0 && used + 1 + length > usize::from(width) {
            text.push('\n');
            used = 0;
        }
        if used > 0 {
            text.push(' ');
            used += 1;
        }
        text.push_str(word);
        used += length;
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_break_between_words_and_fit_the_width() {
        let mut text = String::new();
        wrap(&mut text, "one two three four five", 9);
        assert_eq!(text, "one two\nthree\nfour five\n");
    }
}
