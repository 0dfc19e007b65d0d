//! The numbers, experiment by experiment.

use std::collections::BTreeSet;

use super::ladder::Ladder;
use super::{Column, NONE, Page, Paint, Side, comparatives, factor, header, show, tied, width_of};
use crate::experiment::Arm;
use crate::printable;
use crate::report::chart::{LogScale, histogram};
use crate::report::result::{Comparison, PartInfo, Row, Verdict};
use crate::report::words::{REFERENCE, digits, within_noise, without_verdict};

pub(super) fn rows(page: &mut Page, comparison: &Comparison) {
    if comparison.rows.is_empty() {
        return;
    }
    let words = Words::of(page.width());
    let mut has_curves = false;
    let mut experiments: Vec<&str> = Vec::new();
    for row in &comparison.rows {
        if !experiments.contains(&row.experiment.as_str()) {
            experiments.push(&row.experiment);
        }
    }
    for name in experiments {
        let of_it = |row: &&Row| row.experiment == name;
        let rows: Vec<&Row> = comparison.rows.iter().filter(of_it).collect();
        question(page, comparison, name);
        let (phases, rows): (Vec<&Row>, Vec<&Row>) = rows
            .into_iter()
            .partition(|row| row.params.contains_key("phase"));
        let shape = Shape::of(&rows, page.width(), words);
        for pair in pairs(&rows) {
            let of_pair = |row: &&Row| row.compared == pair;
            let rows: Vec<&Row> = rows.iter().copied().filter(of_pair).collect();
            has_curves |= table(page, &shape, pair, &rows);
        }
        beside(page, &rows);
        where_time_goes(page, &phases);
        distribution(page, comparison, &rows);
    }
    page.gap();
    legend(page, comparison, words, has_curves);
}

fn question(page: &mut Page, comparison: &Comparison, name: &str) {
    let of_it = |part: &&PartInfo| part.experiment == name;
    let parts: Vec<&PartInfo> = comparison.parts.iter().filter(of_it).collect();
    let mut questions: Vec<String> = Vec::new();
    for part in &parts {
        let question = printable(&part.question);
        if !questions.contains(&question) {
            questions.push(question);
        }
    }
    let rounds = match parts.as_slice() {
        [] => String::new(),
        parts => format!(" ({})", header::rounds(parts)),
    };
    let name = format!("{}: ", printable(name));
    page.heading(&name, &format!("{}{rounds}", questions.join(" ")));
}

/// The pairs that are compared, in the order in which they come first.
fn pairs(rows: &[&Row]) -> Vec<(Arm, Arm)> {
    let mut pairs = Vec::new();
    for row in rows {
        if !pairs.contains(&row.compared) {
            pairs.push(row.compared);
        }
    }
    pairs
}

/// The columns of an experiment's tables, so that they stand below each other, and how verdicts are
/// written.
struct Shape {
    columns: [Column; 5],
    words: Words,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// `no difference ≥ 7 % seen`
    Long,
    /// `none ≥ 7 % seen`
    Short,
}

impl Words {
    fn of(width: usize) -> Self {
        if width >= 100 {
            Self::Long
        } else {
            Self::Short
        }
    }
}

impl Shape {
    fn of(rows: &[&Row], width: usize, words: Words) -> Self {
        // Wider cells are broken; so that ten columns are left for labels at the least.
        const MOST_VALUE: usize = 12;
        // As wide as `0.0265 [0.0261, 0.0270]`.
        const MOST_RATIO: usize = 23;
        let most_verdict = match words {
            Words::Long => 26,
            // As wide as `within noise × 2.35`.
            Words::Short => 19,
        };
        // As wide as `process ÷ thread`.
        let (mut value, mut ratio, mut judged) = (0, 16, 0);
        for row in rows {
            for arm in [row.compared.0, row.compared.1] {
                value = value
                    .max(width_of(&value_of(row, arm)))
                    .max(arm.name().len());
            }
            ratio = ratio.max(width_of(&ratio_of(row)));
            judged = judged.max(width_of(&verdict(row, words)));
        }
        let value = value.min(MOST_VALUE);
        let (ratio, judged) = (ratio.min(MOST_RATIO), judged.min(most_verdict));
        // And four gaps.
        let label = width.saturating_sub(2 * value + ratio + judged + 4);
        let column = |width, side| Column { width, side };
        Self {
            columns: [
                column(label.min(48), Side::Left),
                column(value, Side::Right),
                column(value, Side::Right),
                column(ratio, Side::Left),
                column(judged, Side::Left),
            ],
            words,
        }
    }
}

/// Rows of one pair of arms; whether there are curves above some.
fn table(page: &mut Page, shape: &Shape, (above, below): (Arm, Arm), rows: &[&Row]) -> bool {
    let mut ratio = format!("{above} ÷ {below}");
    if width_of(&ratio) > shape.columns[3].width {
        ratio = format!("÷ {below}");
    }
    let heads = ["", below.name(), above.name(), &ratio, "verdict"];
    let mut lines = vec![heads.map(|head| (head.to_owned(), Paint::Heading)).to_vec()];
    let room = shape.columns[0].width;
    let mut has_curves = false;
    for ladder in Ladder::all(rows) {
        let fits = |(row, _): &(&Row, String)| width_of(&printable(&row.title)) <= room;
        let curves = ladder.curves([below, above]);
        let is_told_once = curves.is_some() || !ladder.rungs.iter().all(fits);
        if ladder.rungs.len() == 1 || !is_told_once {
            for (row, _) in &ladder.rungs {
                lines.push(line(printable(&row.title), row, shape));
            }
            continue;
        }
        match curves {
            Some([first, second]) => {
                let mut head = ladder.common;
                if width_of(&head) > room {
                    page.table(&shape.columns, std::mem::take(&mut lines));
                    page.sentence(&std::mem::take(&mut head));
                }
                let cells = [head, first, second];
                lines.push(cells.map(|cell| (cell, Paint::None)).to_vec());
                has_curves = true;
            }
            None => {
                page.table(&shape.columns, std::mem::take(&mut lines));
                page.sentence(&ladder.common);
            }
        }
        for (row, rest) in &ladder.rungs {
            lines.push(line(format!("  {rest}"), row, shape));
        }
    }
    page.table(&shape.columns, lines);
    has_curves
}

fn line(label: String, row: &Row, shape: &Shape) -> Vec<(String, Paint)> {
    let (above, below) = row.compared;
    let cells = [
        label,
        value_of(row, below),
        value_of(row, above),
        ratio_of(row),
        verdict(row, shape.words),
    ];
    cells.map(|cell| (cell, Paint::None)).to_vec()
}

fn value_of(row: &Row, arm: Arm) -> String {
    row.value(arm)
        .map_or_else(|| NONE.to_owned(), |value| show(value, row.unit))
}

fn ratio_of(row: &Row) -> String {
    row.ratio.map_or_else(|| NONE.to_owned(), factor)
}

fn verdict(row: &Row, words: Words) -> String {
    match row.verdict {
        Some(Verdict::Better(arm)) => {
            let (better, _) = comparatives(row.unit, row.better);
            format!("{arm} {better}")
        }
        Some(Verdict::NoDifferenceSeen) => {
            if let Some(within) = within_noise(row) {
                return tied(&within);
            }
            let none = match words {
                Words::Long => "no difference",
                Words::Short => "none",
            };
            match row.detectable.filter(|least| least.is_finite()) {
                Some(least) => format!("{none} ≥ {} % seen", percent_up(least)),
                None => format!("{none} seen"),
            }
        }
        Some(Verdict::TooFewRounds) => "too few rounds".to_owned(),
        None => without_verdict(row).to_owned(),
    }
}

/// A fraction in whole per cent, rounded up: nothing smaller than what it says was excluded.
fn percent_up(fraction: f64) -> String {
    // What is a whole number of per cent but for its last bits stays one.
    format!("{:.0}", (100.0 * fraction - 1e-9).ceil())
}

/// The arms that are in no column.
fn beside(page: &mut Page, rows: &[&Row]) {
    for arm in Arm::ALL.into_iter().filter(|&arm| arm != Arm::Control) {
        let stands = |row: &&&Row| arm == row.compared.0 || arm == row.compared.1;
        // Rows that rest on the same samples say the same of an arm that they do not compare.
        let number = |row: &Row| (row.series.clone(), row.quantile.to_bits());
        let mut told: BTreeSet<_> = rows.iter().filter(stands).map(|row| number(row)).collect();
        let others = rows
            .iter()
            .filter(|row| !stands(row) && told.insert(number(row)));
        let values: Vec<String> = others
            .filter_map(|row| {
                let value = show(row.value(arm)?, row.unit);
                Some(format!("{}: {value}", printable(&row.title)))
            })
            .collect();
        if !values.is_empty() {
            page.item(
                &format!("Beside these, {arm}: "),
                Paint::None,
                &values.join("; "),
                2,
            );
        }
    }
}

/// The phases of one thing: in both arms that are compared, and in those that start otherwise.
fn where_time_goes(page: &mut Page, phases: &[&Row]) {
    for (above, below) in pairs(phases) {
        let of_pair = |row: &&Row| row.compared == (above, below);
        let rows: Vec<&Row> = phases.iter().copied().filter(of_pair).collect();
        for ladder in Ladder::all(&rows) {
            let what = match (ladder.common.as_str(), ladder.rungs.as_slice()) {
                ("", [(row, _), ..]) => printable(&row.title),
                (common, _) => common.to_owned(),
            };
            let others = [Arm::Exec, Arm::Spare].into_iter().filter(|arm| {
                let mut rows = ladder.rungs.iter();
                rows.any(|(row, _)| row.value(*arm).is_some())
            });
            let arms: Vec<Arm> = [below, above].into_iter().chain(others).collect();
            let told: Vec<String> = ladder
                .rungs
                .iter()
                .filter_map(|(row, _)| {
                    let phase = printable(&row.params.get("phase")?.to_string());
                    let values: Vec<String> = arms.iter().map(|&arm| value_of(row, arm)).collect();
                    Some(tied(&format!("{phase} {}", values.join(" / "))))
                })
                .collect();
            let names: Vec<&str> = arms.iter().map(|arm| arm.name()).collect();
            let lead = format!("Phases {what}, {}: ", names.join(" / "));
            page.item(&lead, Paint::None, &told.join(", "), 2);
        }
    }
}

/// How the latency of a job is spread.
fn distribution(page: &mut Page, comparison: &Comparison, rows: &[&Row]) {
    let is_job = |row: &&&Row| row.id() == "job.p50";
    let Some(row) = rows.iter().find(is_job) else {
        return;
    };
    let Some(arms) = comparison.series.get(&row.series) else {
        return;
    };
    let samples = |arm: Arm| arms.get(&arm).into_iter().flatten().flatten().copied();
    let shown = [row.compared.1, row.compared.0];
    let Some(scale) = LogScale::of(shown.into_iter().flat_map(samples)) else {
        return;
    };
    let label = shown.iter().map(|arm| arm.name().len()).max().unwrap_or(0) + 3;
    let columns = (page.width() - label).min(100);
    for arm in shown {
        let bars = histogram(samples(arm), scale, columns);
        if !bars.is_empty() {
            page.exact(&format!("  {:<1$}{bars}", arm.name(), label - 2));
        }
    }
    let (low, high) = (show(scale.low, row.unit), show(scale.high, row.unit));
    let about = " every job's latency, on a log scale ";
    let free = columns.saturating_sub(width_of(&low) + width_of(about) + width_of(&high) + 2);
    let (before, after) = ("─".repeat(free / 2), "─".repeat(free.div_ceil(2)));
    let label = " ".repeat(label);
    page.exact(&format!("{label}{low} {before}{about}{after} {high}"));
}

fn legend(page: &mut Page, comparison: &Comparison, words: Words, has_curves: bool) {
    let ratios = || comparison.rows.iter().filter_map(|row| row.ratio);
    let surest = ratios().map(|ratio| ratio.confidence).fold(0.0, f64::max);
    let mut text =
        "Values are medians over rounds, ratios medians of the rounds' ratios".to_owned();
    if surest > 0.0 {
        text += &format!(" with their {:.0} % intervals", 100.0 * surest);
    }
    text += ". ";
    text += REFERENCE;
    if let Some((within, factor)) = comparison.rows.iter().find_map(noise) {
        text += &format!(
            " \"{}\": the interval excludes 1, but not the factor {factor} by which arms that are the same \
             may differ here.",
            tied(&within)
        );
    }
    let is_unseen = |row: &Row| {
        let is_none = row.verdict == Some(Verdict::NoDifferenceSeen);
        is_none && row.detectable.is_some() && within_noise(row).is_none()
    };
    if words == Words::Short && comparison.rows.iter().any(is_unseen) {
        text += " \"none ≥ 7 % seen\": no difference ≥ 7 % seen; there may be a smaller one.";
    }
    if let Some(control) = comparison.control {
        let numbers = [control.ratio, control.low, control.high];
        if numbers.into_iter().all(f64::is_finite) {
            let [ratio, low, high] = numbers.map(digits);
            text += &format!(
                " An arm against itself (A/A control, of a job's p50): {ratio} [{low}, {high}]."
            );
        }
    }
    if has_curves {
        text += " Blocks above rows draw their values, both arms on one log scale.";
    }
    page.sentence(&text);
}

/// What is said of a row within the noise, and the noise.
fn noise(row: &Row) -> Option<(String, String)> {
    Some((within_noise(row)?, digits(row.margin.factor())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    fn row(id: &str) -> Row {
        let rows = sample().rows;
        rows.into_iter().find(|row| row.id() == id).unwrap()
    }

    #[test]
    fn verdicts_say_which_arm_is_what() {
        let said = |id: &str| verdict(&row(id), Words::Short);
        assert_eq!(said("start.first_echo"), "thread faster");
        assert_eq!(said("memory.pss_per_worker[state=idle]"), "thread smaller");
        assert_eq!(said("message.post[payload=64]"), "thread faster");
        assert_eq!(
            said("memory.descriptors_per_worker[state=idle]"),
            "not compared"
        );
        let counted = Row {
            verdict: Some(Verdict::Better(Arm::Thread)),
            ..row("memory.descriptors_per_worker[state=idle]")
        };
        assert_eq!(verdict(&counted, Words::Short), "thread fewer");
    }

    #[test]
    fn no_difference_says_what_could_have_been_seen() {
        let mut row = Row {
            verdict: Some(Verdict::NoDifferenceSeen),
            detectable: Some(0.0621),
            ratio: None,
            ..row("job.p50")
        };
        assert_eq!(verdict(&row, Words::Long), "no difference ≥ 7 % seen");
        assert_eq!(verdict(&row, Words::Short), "none ≥ 7 % seen");
        row.detectable = Some(0.07);
        assert_eq!(verdict(&row, Words::Long), "no difference ≥ 7 % seen");
        row.detectable = Some(f64::INFINITY);
        assert_eq!(verdict(&row, Words::Long), "no difference seen");
    }

    #[test]
    fn what_is_missing_is_told_apart_from_what_is_not_comparable() {
        let mut row = Row {
            verdict: None,
            ..row("job.p50")
        };
        assert_eq!(verdict(&row, Words::Long), "not compared");
        row.arms.remove(&Arm::Process);
        assert_eq!(verdict(&row, Words::Long), "not measured");
        assert_eq!(value_of(&row, Arm::Process), "–");
    }
}
