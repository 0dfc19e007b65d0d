//! A difference as text.

use serde_json::Value;

use super::{ArmDifference, Change, Difference, RowDifference};
use crate::experiment::{Arm, Unit};
use crate::printable;
use crate::report::claims::ClaimVerdict;
use crate::report::terminal::{
    Colour, Column, NONE, Page, Paint, Side, comparatives, factor, label_lines, show, width_of,
};
use crate::units::{ByteSize, three_digits};

/// Renders a difference in so many columns, 80 at the least: no line is wider.
#[must_use]
pub fn render_difference(difference: &Difference, width: u16) -> String {
    let mut page = Page::new(width, Colour::Plain);
    header(&mut page, difference);
    // What a field is that is `null`: not told by the system, or not set.
    let groups = [
        ("guest", &difference.guest, "unknown"),
        ("machine", &difference.machine, "unknown"),
        ("versions", &difference.versions, "unknown"),
        ("settings", &difference.settings, "none"),
    ];
    page.gap();
    for (name, changes, null) in groups {
        changed(&mut page, name, changes, null);
    }
    rows(&mut page, &difference.rows);
    lone(&mut page, "Only before: ", &difference.only_before);
    lone(&mut page, "Only after: ", &difference.only_after);
    verdicts(&mut page, difference);
    page.finish()
}

fn header(page: &mut Page, difference: &Difference) {
    let sides = [
        ("before: ", &difference.before),
        ("after:  ", &difference.after),
    ];
    for (name, side) in sides {
        let interrupted = if side.complete { "" } else { " (INTERRUPTED)" };
        let text = format!(
            "{}, cofferdam {}, {}{interrupted}",
            printable(&side.guest),
            printable(&side.cofferdam),
            printable(&side.machine),
        );
        page.item(name, Paint::None, &text, 8);
    }
    if !difference.same_guest {
        page.loud(
            "THE GUESTS ARE NOT THE SAME: their digests differ, so the numbers are of two programs.",
        );
    }
}

fn changed(page: &mut Page, name: &str, changes: &[Change], null: &str) {
    if changes.is_empty() {
        return;
    }
    let told: Vec<String> = changes
        .iter()
        .map(|change| {
            let [before, after] = [&change.before, &change.after].map(|found| match found {
                Value::Null => null.to_owned(),
                found => value(&change.name, found),
            });
            format!("{} {before} → {after}", printable(&change.name))
        })
        .collect();
    page.item(&format!("{name}: "), Paint::None, &told.join("; "), 2);
}

/// A field as people read it: the file has seconds and bytes.
fn value(name: &str, value: &Value) -> String {
    const DIGEST: usize = 12;
    match (name, value) {
        (
            "bytes" | "memory" | "memory_available" | "swap" | "swap_used" | "memory_limit"
            | "stack_limit" | "output_limit" | "input_limit",
            Value::Number(number),
        ) => {
            let bytes = number.as_u64().unwrap_or(0);
            ByteSize::from_bytes(bytes).to_string()
        }
        (name, Value::Number(number)) if name.ends_with("_s") => {
            show(number.as_f64().unwrap_or(f64::NAN), Unit::Seconds)
        }
        ("sha256", Value::String(digest)) => {
            let start: String = digest.chars().take(DIGEST).collect();
            printable(&format!("{start}…"))
        }
        (_, Value::String(text)) => printable(text),
        // The layers of the hardening: what matters is whether they hold.
        ("layers", Value::Array(layers)) if layers.is_empty() => "none".to_owned(),
        ("layers", Value::Array(layers)) => {
            let text =
                |layer: &Value, field: &str| printable(layer[field].as_str().unwrap_or("unknown"));
            let told = layers
                .iter()
                .map(|layer| format!("{} {}", text(layer, "layer"), text(layer, "standing")));
            told.collect::<Vec<_>>().join(", ")
        }
        (_, Value::Number(number)) if number.is_f64() => {
            three_digits(number.as_f64().unwrap_or(f64::NAN))
        }
        (_, other) => printable(&other.to_string()),
    }
}

/// The rows without the arms that an earlier row of the same samples has: rows that compare other arms of them have
/// the same numbers.
fn told_once(rows: &[RowDifference]) -> Vec<RowDifference> {
    let metric = |row: &RowDifference| row.id.split('[').next().map(str::to_owned);
    let mut told: Vec<RowDifference> = Vec::new();
    for row in rows {
        let earlier = |arm: &ArmDifference| {
            told.iter()
                .any(|other| metric(other) == metric(row) && other.arms.contains(arm))
        };
        let arms: Vec<ArmDifference> = row
            .arms
            .iter()
            .filter(|arm| !earlier(arm))
            .cloned()
            .collect();
        if !arms.is_empty() {
            told.push(RowDifference {
                arms,
                ..row.clone()
            });
        }
    }
    told
}

/// The rows, those of the control left away: it is the arm below once more.
fn rows(page: &mut Page, rows: &[RowDifference]) {
    let mut lines: Vec<[String; 6]> = told_once(rows).iter().flat_map(lines).collect();
    page.gap();
    if lines.is_empty() {
        page.sentence("No row is in both.");
        return;
    }
    let widest = |column: usize, least: usize, most: usize| {
        let widths = lines.iter().map(|line| width_of(&line[column]));
        widths.fold(least, usize::max).min(most)
    };
    let (arm, before, after) = (widest(1, 0, 9), widest(2, 6, 11), widest(3, 5, 11));
    let (factor, seen) = (widest(4, 14, 20), widest(5, 0, 7));
    let rest = page
        .width()
        .saturating_sub(arm + before + after + factor + seen + 6);
    let column = |width, side| Column { width, side };
    // Sixteen are left at the least.
    let first = rest.min(60);
    spread(&mut lines, first);
    let columns = [
        column(first, Side::Left),
        column(arm, Side::Left),
        column(before, Side::Right),
        column(after, Side::Right),
        column(factor, Side::Left),
        column(seen, Side::Left),
    ];
    let heads = ["", "", "before", "after", "after ÷ before", ""].map(str::to_owned);
    let cells = |line: [String; 6]| line.map(|cell| (cell, Paint::None)).to_vec();
    let all = std::iter::once(heads).chain(lines).map(cells);
    page.table(&columns, all.collect());
    legend(page, rows);
}

/// Titles that are too wide go on in the lines of the further arms, as far as there are any.
fn spread(lines: &mut [[String; 6]], width: usize) {
    let mut waiting: Vec<String> = Vec::new();
    for at in 0..lines.len() {
        let is_last = lines.get(at + 1).is_none_or(|next| !next[0].is_empty());
        let title = &mut lines[at][0];
        if !title.is_empty() {
            waiting = label_lines(title, width);
        }
        let taken = if is_last { waiting.len() } else { 1 };
        let taken = waiting.drain(..taken.min(waiting.len()));
        *title = taken.collect::<Vec<_>>().join("\n");
    }
}

fn shown(row: &RowDifference) -> impl Iterator<Item = &ArmDifference> {
    row.arms.iter().filter(|arm| arm.arm != Arm::Control)
}

fn lines(row: &RowDifference) -> Vec<[String; 6]> {
    let (better, worse) = comparatives(row.unit, row.better);
    shown(row)
        .enumerate()
        .map(|(at, arm)| {
            let title = if at == 0 {
                printable(&row.title)
            } else {
                String::new()
            };
            let is_more = arm.factor.is_some_and(|factor| factor.median > 1.0);
            let is_worse = is_more == (row.better == crate::stats::Better::Lower);
            let seen = match (arm.seen, is_worse) {
                (false, _) => "",
                (true, true) => worse,
                (true, false) => better,
            };
            [
                title,
                arm.arm.to_string(),
                show(arm.before, row.unit),
                show(arm.after, row.unit),
                arm.factor.map_or_else(|| NONE.to_owned(), factor),
                seen.to_owned(),
            ]
        })
        .collect()
}

fn legend(page: &mut Page, rows: &[RowDifference]) {
    let arms = || {
        rows.iter()
            .flat_map(shown)
            .filter(|arm| arm.factor.is_some())
    };
    let (all, seen) = (arms().count(), arms().filter(|arm| arm.seen).count());
    page.sentence(&format!(
        "A difference is seen in {seen} of {all} numbers: there the 95 % interval excludes 1. Where nothing \
         changed, about one in twenty would show one by chance, and more where the machine was not the same \
         on both days: intervals know of the rounds only."
    ));
}

fn lone(page: &mut Page, lead: &str, names: &[String]) {
    if !names.is_empty() {
        page.item(lead, Paint::None, &printable(&names.join("; ")), 2);
    }
}

fn verdicts(page: &mut Page, difference: &Difference) {
    if difference.claims.is_empty() && difference.containment.is_empty() {
        return;
    }
    page.gap();
    for claim in &difference.claims {
        let (before, after) = (word(claim.before), word(claim.after));
        let id = printable(&claim.id);
        page.sentence(&format!("claim {id}: {before} → {after}"));
    }
    for change in &difference.containment {
        let fate = |fate: Option<crate::experiment::Fate>| {
            fate.map_or_else(|| "not measured".to_owned(), |fate| fate.to_string())
        };
        page.sentence(&format!(
            "{} in a {}: {} → {}",
            change.fault,
            change.isolation,
            fate(change.before),
            fate(change.after)
        ));
    }
}

fn word(verdict: Option<ClaimVerdict>) -> &'static str {
    match verdict {
        Some(ClaimVerdict::Confirmed) => "confirmed",
        Some(ClaimVerdict::Refuted) => "refuted",
        Some(ClaimVerdict::Depends) => "depends",
        Some(ClaimVerdict::NotMeasured) => "not measured",
        None => "not judged",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Comparison;
    use crate::report::difference::difference;
    use crate::report::sample::sample;

    fn text(before: &Comparison, after: &Comparison) -> String {
        render_difference(&difference(before, after), 80)
    }

    #[test]
    fn two_guests_are_warned_of_loudly() {
        let mut after = sample();
        after.guest.sha256 = "12345678".repeat(8);
        let told = text(&sample(), &after);
        assert!(told.contains("\nTHE GUESTS ARE NOT THE SAME: "), "{told}");
        assert!(
            told.contains("\nguest: sha256 7d3f0c1a7d3f… → 123456781234…\n"),
            "{told}"
        );
        assert!(!text(&sample(), &sample()).contains("NOT THE SAME"));
    }

    #[test]
    fn changes_are_told_in_units_that_people_read() {
        let mut after = sample();
        after.settings.timeout_s = Some(0.25);
        after.settings.memory_limit = 128 << 20;
        after.machine.wasmtime = "49.0.0".to_owned();
        after.complete = false;
        let told = text(&sample(), &after);
        assert!(
            told.contains("\nsettings: timeout_s none → 250 ms; memory_limit 64 MiB → 128 MiB\n"),
            "{told}"
        );
        assert!(
            told.contains("\nversions: wasmtime 48.0.8 → 49.0.0\n"),
            "{told}"
        );
        assert_eq!(told.matches("INTERRUPTED").count(), 1);
    }

    #[test]
    fn no_line_is_wider_than_the_terminal() {
        let mut after = sample();
        after.rows.remove(0);
        after.rows[3].title = "世界".repeat(50);
        after.rows[4].arms.clear();
        after.guest.name = "\u{1b}[2J\n".repeat(40);
        for width in [80_u16, 100, 140] {
            let told = render_difference(&difference(&sample(), &after), width);
            for line in told.lines() {
                assert!(width_of(line) <= usize::from(width), "{line}");
            }
            assert!(!told.contains('\u{1b}'));
        }
    }

    #[test]
    fn what_is_seen_is_told_with_its_direction() {
        let mut after = sample();
        for sample in after
            .series
            .get_mut("job.latency")
            .unwrap()
            .values_mut()
            .flatten()
            .flatten()
        {
            *sample *= 2.0;
        }
        let told = text(&sample(), &after);
        let line = told
            .lines()
            .find(|line| line.starts_with("latency of a job, p50 "))
            .unwrap();
        assert!(line.ends_with(" slower"), "{line}");
        assert!(line.contains(" 2.0") || line.contains(" 1.99"), "{line}");
        let back = text(&after, &sample());
        let line = back
            .lines()
            .find(|line| line.starts_with("latency of a job, p50 "))
            .unwrap();
        assert!(line.ends_with(" faster"), "{line}");
        // p50, p90 and p99 in three arms that are shown.
        assert!(told.contains("A difference is seen in 9 of "), "{told}");
    }

    #[test]
    fn nothing_in_common_is_told() {
        let mut after = sample();
        after.rows.clear();
        let told = text(&sample(), &after);
        assert!(told.contains("\nNo row is in both.\n"), "{told}");
        assert!(
            told.contains("\nOnly before: start.first_reply[cache=warm]; "),
            "{told}"
        );
    }
}
