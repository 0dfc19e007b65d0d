//! What faults did to everybody else.

use super::{Column, Page, Paint, Side, show, tied};
use crate::experiment::{Fate, Fault, Unit};
use crate::options::Isolation;
use crate::report::result::{Comparison, ContainmentRow};
use crate::report::words::{injected, one_look, others_lost};
use crate::units::three_digits;

/// What the table must not be taken for.
const SIGNALS: &str =
    "A thread has no signals of its own: what kills or stops it, kills or stops its process.";

/// A rise of the bystanders' latency by less than this is not told: it is one look without an interval.
const BUMP: f64 = 2.0;

pub(super) fn faults(page: &mut Page, comparison: &Comparison) {
    let rows = &comparison.containment;
    if rows.is_empty() {
        return;
    }
    page.heading(
        "faults: ",
        "What does a fault in one worker do to everybody else?",
    );
    let first = Fault::ALL.iter().map(|fault| fault.to_string().len());
    let first = first.max().unwrap_or(0);
    let rest = page.width().saturating_sub(first + 2).min(88);
    let column = |width| Column {
        width,
        side: Side::Left,
    };
    let columns = [column(first), column(rest.div_ceil(2)), column(rest / 2)];
    let heads = ["", "in a thread", "in a process"];
    let mut lines = vec![heads.map(|head| (head.to_owned(), Paint::Heading)).to_vec()];
    for fault in Fault::ALL {
        let of = |isolation| {
            let is_it = |row: &&ContainmentRow| row.fault == fault && row.isolation == isolation;
            rows.iter().find(is_it)
        };
        let (thread, process) = (of(Isolation::Thread), of(Isolation::Process));
        if thread.or(process).is_some() {
            lines.push(vec![
                (fault.to_string(), Paint::None),
                cell(thread),
                cell(process),
            ]);
        }
    }
    page.table(&columns, lines);
    page.sentence(&format!(
        "{} Lost: jobs of others. p99 × n: theirs rose by that factor; told from {BUMP} on{}. Time: until \
         its pool works again. {SIGNALS}",
        injected(rows),
        one_look(rows)
    ));
}

fn cell(row: Option<&ContainmentRow>) -> (String, Paint) {
    let Some(row) = row else {
        return ("not measured".to_owned(), Paint::None);
    };
    let mut said = vec![tied(&row.observed.to_string())];
    if row.bystanders_lost > 0 || !row.host_survived {
        let counted = || tied(&format!("{}/{} lost", row.bystanders_lost, row.bystanders));
        said.push(others_lost(row, counted));
    }
    if let Some(factor) = bump(row).filter(|factor| *factor >= BUMP) {
        let ends = row.p99_rise.map_or(String::new(), |rise| {
            format!(" [{}, {}]", three_digits(rise.low), three_digits(rise.high))
        });
        said.push(tied(&format!("p99 × {}{ends}", three_digits(factor))));
    }
    if let Some(recovery) = row.recovery_s.filter(|span| span.is_finite()) {
        let span = |value| show(value, Unit::Seconds);
        let ends = row.recovery.map_or(String::new(), |recovery| {
            format!(" [{}, {}]", span(recovery.low), span(recovery.high))
        });
        said.push(tied(&format!("{}{ends}", span(recovery))));
    }
    let said = said.join("; ");
    if !row.as_expected() {
        let text = format!("NOT AS EXPECTED ({}): {said}", row.expected);
        return (text, Paint::Bad);
    }
    let paint = match row.observed {
        Fate::Contained => Paint::Good,
        Fate::WorkerLost => Paint::Doubt,
        Fate::Spread | Fate::HostStopped | Fate::HostDied => Paint::Bad,
    };
    (said, paint)
}

/// How many times longer the others' slowest jobs took: by injections where there are enough of them.
fn bump(row: &ContainmentRow) -> Option<f64> {
    if let Some(rise) = row.p99_rise {
        return Some(rise.median);
    }
    let factor = row.bystander_p99_after_s? / row.bystander_p99_before_s?;
    factor.is_finite().then_some(factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;
    use crate::report::terminal::Colour;

    fn found(fault: Fault, isolation: Isolation) -> ContainmentRow {
        let rows = sample().containment;
        let is_it = |row: &ContainmentRow| row.fault == fault && row.isolation == isolation;
        rows.into_iter().find(is_it).unwrap()
    }

    /// A cell as it is printed.
    fn told(row: Option<&ContainmentRow>) -> (String, Paint) {
        let (text, paint) = cell(row);
        (text.replace('\u{a0}', " "), paint)
    }

    #[test]
    fn a_fate_is_told_with_what_it_cost_the_others() {
        let mut died = found(Fault::Kill, Isolation::Thread);
        assert_eq!(
            told(Some(&died)),
            ("host died; every job of others lost".to_owned(), Paint::Bad)
        );
        // Of several injections, one left a host that counted.
        died.bystanders = 240;
        died.bystanders_lost = 3;
        assert_eq!(told(Some(&died)).0, "host died; every job of others lost");
        died.host_survived = true;
        assert_eq!(told(Some(&died)).0, "host died; 3/240 lost");
        let mut lost = found(Fault::Kill, Isolation::Process);
        assert_eq!(
            told(Some(&lost)),
            ("worker lost; 4.70 ms".to_owned(), Paint::Doubt)
        );
        lost.bystander_p99_after_s = Some(0.001_23);
        assert_eq!(told(Some(&lost)).0, "worker lost; p99 × 3.00; 4.70 ms");
        lost.bystander_p99_before_s = Some(0.0);
        lost.recovery_s = None;
        assert_eq!(told(Some(&lost)).0, "worker lost");
        assert_eq!(told(None).0, "not measured");
    }

    #[test]
    fn a_rise_to_less_than_twice_the_latency_is_not_told() {
        let mut row = found(Fault::Trap, Isolation::Process);
        row.bystander_p99_before_s = Some(0.5);
        row.bystander_p99_after_s = Some(0.999);
        assert_eq!(told(Some(&row)).0, "contained; 310 µs");
        row.bystander_p99_after_s = Some(1.0);
        assert_eq!(told(Some(&row)).0, "contained; p99 × 2.00; 310 µs");
    }

    fn section(comparison: &Comparison, width: u16) -> String {
        let mut page = Page::new(width, Colour::Plain);
        faults(&mut page, comparison);
        page.finish()
    }

    #[test]
    fn a_unit_stays_in_the_line_of_its_number() {
        let mut comparison = sample();
        for row in &mut comparison.containment {
            (row.expected, row.observed) = (Fate::Contained, Fate::Contained);
            row.host_survived = true;
            // At 80 columns, there is room for this but for its last unit.
            row.bystander_p99_after_s = Some(0.001_23);
            row.bystander_p99_before_s = Some(0.000_41);
            row.recovery_s = Some(0.000_31);
        }
        for width in [80, 83, 86, 120] {
            let text = section(&comparison, width);
            for whole in ["contained;", "p99 × 3.00;", "310 µs"] {
                assert_eq!(text.matches(whole).count(), 24, "{width}: {whole}: {text}");
            }
        }
    }

    fn legend(comparison: &Comparison) -> String {
        let text = section(comparison, 80);
        let start = text.find("Each was").unwrap();
        text[start..]
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn the_legend_says_what_counts_of_several_injections() {
        let mut comparison = sample();
        let rest = "Lost: jobs of others. p99 × n: theirs rose by that factor; told from 2 on, and one \
                    look without an interval. Time: until its pool works again. A thread has no signals \
                    of its own: what kills or stops it, kills or stops its process.";
        assert_eq!(
            legend(&comparison),
            format!(
                "Each was injected 3 times; of several injections the worst fate counts; times are \
                 medians. {rest}"
            )
        );
        for row in &mut comparison.containment {
            row.injections = 1;
        }
        assert_eq!(
            legend(&comparison),
            format!("Each was injected once. {rest}")
        );
    }

    #[test]
    fn what_was_not_expected_is_loud() {
        let row = ContainmentRow {
            observed: Fate::HostDied,
            ..found(Fault::Trap, Isolation::Process)
        };
        let (text, paint) = told(Some(&row));
        assert_eq!(text, "NOT AS EXPECTED (contained): host died; 310 µs");
        assert_eq!(paint, Paint::Bad);
    }
}
