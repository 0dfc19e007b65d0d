//! The result as GitHub-flavoured Markdown, to be pasted into an issue.

use std::fmt::Write;

use super::crossover::CrossoverPoint;
use super::reach;
use super::result::{Comparison, ContainmentRow, Row};
use super::words::{
    NONE, REFERENCE, RULE, arms, between, claim_verdict, deployment, digits, factor, fate_sign,
    faults, groups, injected, one_look, others_lost, percent, rounds, show, sure, trust, utc,
    verdict,
};
use crate::mail::printable;
use crate::options::Isolation;
use crate::units::{ByteSize, seconds};

/// Renders a comparison as Markdown.
#[must_use]
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    headline(&mut text, comparison);
    claims(&mut text, comparison);
    containment(&mut text, comparison);
    escape(&mut text, comparison);
    crossover(&mut text, comparison);
    knees(&mut text, comparison);
    numbers(&mut text, comparison);
    warnings(&mut text, comparison);
    let _ = writeln!(
        text,
        "## To do it again\n\n{}",
        block("sh", &comparison.command)
    );
    text
}

/// Text that stays text: no markup, no mention of anybody, no second line, no second cell.
fn plain(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    let text = printable(text);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let before_a_word = rest.peek().is_some_and(|next| next.is_alphanumeric());
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            // `@name` would notify whoever has that name, and `#1` link to an issue. A character
            // reference does not help against that, a character of no width does.
            '@' | '#' if before_a_word => {
                safe.push(c);
                safe.push('\u{200b}');
            }
            '\\' | '#' | '`' | '*' | '_' | '[' | ']' | '|' | '~' | '!' => {
                safe.push('\\');
                safe.push(c);
            }
            '\t' => safe.push(' '),
            c => safe.push(c),
        }
    }
    // A bare address would become a link.
    safe.replace("://", ":\u{200b}//")
        .replace("www.", "www\u{200b}.")
}

/// The same as code, between as many backticks as it takes; a pipe would still end its cell.
fn code(text: &str) -> String {
    let safe = printable(text).replace('\t', " ").replace('|', "\\|");
    let fence = "`".repeat(longest_run(&safe) + 1);
    let room = if safe.starts_with('`') || safe.ends_with('`') {
        " "
    } else {
        ""
    };
    format!("{fence}{room}{safe}{room}{fence}")
}

/// Lines of code, between fences that they cannot close.
fn block(language: &str, text: &str) -> String {
    let lines: Vec<String> = text.lines().map(printable).collect();
    let text = lines.join("\n");
    let fence = "`".repeat(longest_run(&text).max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}")
}

/// How many backticks follow each other at most.
fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

// Writing to a String cannot fail, here and below.
fn headline(text: &mut String, comparison: &Comparison) {
    let guest = &comparison.guest;
    let _ = writeln!(
        text,
        "# {}: threads and processes compared\n\nA guest of {}; {}. {}. {}.\n",
        code(&guest.name),
        ByteSize::from_bytes(guest.bytes),
        match guest.is_timed() {
            true => format!("a job takes about {}", seconds(guest.job_s)),
            false => "none of its jobs ended well".to_owned(),
        },
        plain(&comparison.machine.summary()),
        utc(comparison.unix_time),
    );
    if let Some(called) = &guest.called {
        let _ = writeln!(text, "Measured as {}.\n", code(called));
    }
    if let Some(rigged) = &comparison.settings.rigged {
        let _ = writeln!(
            text,
            "**RIGGED to prove the statistics: {}. This says nothing about isolations.**\n",
            plain(rigged)
        );
    }
    if !comparison.complete {
        text.push_str("**INTERRUPTED: this rests on the rounds that were done.**\n\n");
    }
    for sentence in &comparison.advice.sentences {
        let _ = writeln!(text, "{}\n", plain(sentence));
    }
    if let Some(choice) = &comparison.advice.deployment {
        let _ = writeln!(
            text,
            "To deploy, where {}: {}.\n\n{}\n",
            trust(comparison.advice.trust),
            deployment(choice),
            block("rust", &choice.snippet)
        );
    }
}

/// The first two lines of a table. Columns whose name begins with `>` are set to the right.
fn head(text: &mut String, columns: &[String]) {
    let names: Vec<&str> = columns
        .iter()
        .map(|name| name.trim_start_matches('>'))
        .collect();
    let rules: Vec<&str> = columns
        .iter()
        .map(|name| if name.starts_with('>') { "---:" } else { "---" })
        .collect();
    let _ = writeln!(text, "| {} |\n| {} |", names.join(" | "), rules.join(" | "));
}

fn line(text: &mut String, cells: &[String]) {
    let _ = writeln!(text, "| {} |", cells.join(" | "));
}

fn claims(text: &mut String, comparison: &Comparison) {
    if comparison.claims.is_empty() {
        return;
    }
    text.push_str("## What is said, and what was found\n\n");
    head(text, &["claim", "verdict", "evidence"].map(str::to_owned));
    for claim in &comparison.claims {
        let (sign, word) = claim_verdict(claim.verdict);
        let cells = [
            plain(&claim.claim),
            format!("{sign} {word}"),
            plain(&claim.evidence),
        ];
        line(text, &cells);
    }
    text.push('\n');
}

fn containment(text: &mut String, comparison: &Comparison) {
    if comparison.containment.is_empty() {
        return;
    }
    text.push_str("## When something goes wrong\n\n");
    head(
        text,
        &["when", "in a thread", "in a process"].map(str::to_owned),
    );
    for rows in faults(comparison) {
        let cell = |isolation| {
            let row = rows.iter().find(|row| row.isolation == isolation);
            row.map_or("not measured".to_owned(), |row| fate(row))
        };
        let fault = rows
            .first()
            .map_or(String::new(), |row| row.fault.to_string());
        line(
            text,
            &[fault, cell(Isolation::Thread), cell(Isolation::Process)],
        );
    }
    let _ = writeln!(
        text,
        "\n{} p99: the 99th percentile of the others' latency, before the fault and from it on{}.\n",
        injected(&comparison.containment),
        one_look(&comparison.containment)
    );
}

/// What native code could do in a guest's place.
fn escape(text: &mut String, comparison: &Comparison) {
    let rows = reach::rows(comparison);
    if rows.is_empty() {
        return;
    }
    text.push_str("## When a guest gets out of the sandbox\n\n");
    for isolation in [Isolation::Thread, Isolation::Process] {
        if let Some(reached) = reach::Reached::of(comparison, isolation) {
            let (through, tried) = (reached.through.len(), reached.tried);
            let _ = writeln!(text, "In a {isolation} {through} of {tried} came through.");
        }
    }
    text.push('\n');
    head(
        text,
        &["it", "in a thread", "in a process"].map(str::to_owned),
    );
    for (title, [thread, process]) in rows {
        line(text, &[title.to_owned(), thread, process]);
    }
    text.push('\n');
}

fn fate(row: &ContainmentRow) -> String {
    let mut text = format!("{} {}", fate_sign(row.observed), row.observed);
    if !row.as_expected() {
        text = format!("**NOT AS EXPECTED: {text} (should be {})**", row.expected);
    }
    let counted = || {
        format!(
            "{} of {} jobs of others lost",
            row.bystanders_lost, row.bystanders
        )
    };
    let _ = write!(text, "; {}", others_lost(row, counted));
    let (before, after) = (row.bystander_p99_before_s, row.bystander_p99_after_s);
    if before.or(after).is_some() {
        let of = |value: Option<f64>| value.map_or(NONE.to_owned(), span);
        let _ = write!(text, ", their p99 {} → {}", of(before), of(after));
    }
    if let Some(rise) = row.p99_rise {
        let _ = write!(text, ", × {}", factor(rise));
    }
    if let Some(recovery) = row.recovery_s {
        let shown = row
            .recovery
            .map_or_else(|| span(recovery), |found| between(found, span));
        let _ = write!(text, ", works again after {shown}");
    }
    text
}

fn span(value: f64) -> String {
    show(value, crate::experiment::Unit::Seconds)
}

fn crossover(text: &mut String, comparison: &Comparison) {
    let Some(found) = &comparison.crossover else {
        return;
    };
    if found.points.is_empty() {
        return;
    }
    let _ = writeln!(
        text,
        "## How long a call must be\n\nSo that the way to another process costs less than {} of it.\n",
        percent(found.share)
    );
    let columns = ["payload", "the way costs", "a call must take"];
    head(text, &columns.map(str::to_owned));
    for point in &found.points {
        line(text, &crossover_cells(point));
    }
    text.push('\n');
    if let Some(reach) = &found.reach {
        let _ = writeln!(
            text,
            "A job of this guest takes {}: long enough for payloads of {}.\n",
            span(found.job_s),
            reach.words()
        );
    }
}

fn knees(text: &mut String, comparison: &Comparison) {
    if comparison.knees.is_empty() {
        return;
    }
    text.push_str("## Where one address space stops scaling\n\n");
    for knee in &comparison.knees {
        let _ = writeln!(text, "- {}", plain(&knee.sentence()));
    }
    text.push('\n');
}

fn crossover_cells(point: &CrossoverPoint) -> [String; 3] {
    let cell = |interval| format!("{}{}", between(interval, span), sure(interval));
    [
        ByteSize::from_bytes(point.payload_bytes).to_string(),
        cell(point.overhead_s),
        cell(point.call_s),
    ]
}

fn numbers(text: &mut String, comparison: &Comparison) {
    if comparison.rows.is_empty() {
        return;
    }
    text.push_str("## Numbers\n\n");
    for (experiment, tables) in groups(comparison) {
        let _ = writeln!(text, "### {}\n", plain(experiment));
        for rows in tables {
            table(text, comparison, &rows);
        }
    }
    let _ = writeln!(
        text,
        "Medians over the rounds; the median of the rounds' ratios and its interval, at 95 % where \
         nothing else is said. {REFERENCE} {RULE} Noise: that margin, as a factor.\n"
    );
}

fn table(text: &mut String, comparison: &Comparison, rows: &[&Row]) {
    let Some(first) = rows.first() else { return };
    let (above, below) = first.compared;
    let arms = arms(rows);
    let mut columns = vec!["number".to_owned()];
    columns.extend(arms.iter().map(|arm| format!(">{arm}")));
    columns.extend([
        format!("{above} ÷ {below}"),
        "verdict".to_owned(),
        ">would show".to_owned(),
        ">noise".to_owned(),
        ">rounds".to_owned(),
    ]);
    head(text, &columns);
    for row in rows {
        let mut cells = vec![format!("{} {}", plain(&row.title), code(&row.id()))];
        cells.extend(arms.iter().map(|arm| {
            let value = row.value(*arm);
            value.map_or(NONE.to_owned(), |value| show(value, row.unit))
        }));
        cells.extend([
            row.ratio.map_or(NONE.to_owned(), |ratio| {
                format!("{}{}", factor(ratio), sure(ratio))
            }),
            verdict(row),
            row.detectable.map_or(NONE.to_owned(), percent),
            digits(row.margin.factor()),
            rounds(comparison, row).to_string(),
        ]);
        line(text, &cells);
    }
    text.push('\n');
}

fn warnings(text: &mut String, comparison: &Comparison) {
    if comparison.warnings.is_empty() && comparison.failures.is_empty() {
        return;
    }
    text.push_str("## Warnings\n\n");
    for warning in &comparison.warnings {
        let _ = writeln!(
            text,
            "- {}: {}",
            plain(&warning.to_string()),
            // Our own words, with code in backticks.
            warning.remedy()
        );
    }
    for failure in &comparison.failures {
        let _ = writeln!(
            text,
            "- failed: {}, {}, {}, round {}: {}",
            plain(&failure.experiment),
            plain(&failure.part),
            failure.arm,
            failure.round.saturating_add(1),
            plain(&failure.error)
        );
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::super::result::Verdict;
    use super::super::sample::sample;
    use super::*;
    use crate::stats::Interval;

    /// The lines of tables with the number of their cells: bars that are not escaped, less one.
    fn cells(text: &str) -> Vec<usize> {
        let tables = text.lines().filter(|line| line.starts_with('|'));
        tables
            .map(|line| line.replace("\\|", "").matches('|').count() - 1)
            .collect()
    }

    #[test]
    fn a_name_cannot_notify_anybody_or_become_markup() {
        assert_eq!(
            plain("@argon2 @ 2 GHz, #1"),
            "@\u{200b}argon2 @ 2 GHz, #\u{200b}1"
        );
        assert_eq!(plain("# a"), "\\# a");
        assert_eq!(plain("<b>|`x`*"), "&lt;b&gt;\\|\\`x\\`\\*");
        assert_eq!(plain("a\nb"), "a\\\\nb");
    }

    #[test]
    fn code_keeps_its_backticks_and_its_cell() {
        assert_eq!(code("a`b|c"), "``a`b\\|c``");
        assert_eq!(block("sh", "```\nx"), "````sh\n```\nx\n````");
    }

    #[test]
    fn a_fault_is_told_in_one_cell() {
        let comparison = sample();
        let row = &comparison.containment[16];
        assert_eq!(fate(row), "✕ host died; every job of others lost");
        assert_eq!(
            fate(&comparison.containment[17]),
            "◐ worker lost; 0 of 240 jobs of others lost, their p99 410 µs → 520 µs, works again \
             after 4.70 ms"
        );
    }

    #[test]
    fn the_fault_table_says_how_often_it_was_tried() {
        let mut comparison = sample();
        let line = "\nEach was injected 3 times; of several injections the worst fate counts; times \
                    are medians. p99: the 99th percentile of the others' latency, before the fault and \
                    from it on, and one look without an interval.\n";
        assert_eq!(markdown(&comparison).matches(line).count(), 1);
        for row in &mut comparison.containment {
            row.injections = 1;
        }
        let text = markdown(&comparison);
        assert!(text.contains("\nEach was injected once. p99: "), "{text}");
    }

    #[test]
    fn the_way_and_the_call_stand_with_their_intervals() {
        let mut comparison = sample();
        let interval = |median, low, high, confidence| Interval {
            median,
            low,
            high,
            confidence,
        };
        let found = comparison.crossover.as_mut().unwrap();
        found.points.truncate(2);
        found.points[0].overhead_s = interval(8.5e-6, 8.0e-6, 9.0e-6, 0.95);
        found.points[0].call_s = interval(170e-6, 160e-6, 180e-6, 0.95);
        found.points[1].overhead_s = interval(-1e-6, -2e-6, 1e-6, 0.75);
        found.points[1].call_s = interval(0.0, 0.0, 20e-6, 0.75);
        let text = markdown(&comparison);
        let table = "\
## How long a call must be

So that the way to another process costs less than 5.00 % of it.

| payload | the way costs | a call must take |
| --- | --- | --- |
| 0 B | 8.50 µs [8.00 µs, 9.00 µs] | 170 µs [160 µs, 180 µs] |
| 64 B | -1.00 µs [-2.00 µs, 1.00 µs] (75 % sure) | 0.00 ns [0.00 ns, 20.0 µs] (75 % sure) |

";
        assert!(text.contains(table), "{text}");
        comparison.crossover.as_mut().unwrap().points.clear();
        assert!(!markdown(&comparison).contains("How long a call must be"));
    }

    #[test]
    fn the_tables_say_what_a_ratio_is_to_and_when_there_is_a_verdict() {
        let text = markdown(&sample());
        assert_eq!(
            text.matches(&format!("{REFERENCE} {RULE} Noise: ")).count(),
            1
        );
    }

    #[test]
    fn a_difference_within_the_noise_is_not_called_none() {
        let mut comparison = sample();
        let is_it = |row: &&mut Row| row.id() == "job.p50";
        let row = comparison.rows.iter_mut().find(is_it).unwrap();
        row.verdict = Some(Verdict::NoDifferenceSeen);
        row.detectable = Some(0.01);
        row.ratio = Some(Interval {
            median: 0.026_53,
            low: 0.026_1,
            high: 0.027,
            confidence: 0.95,
        });
        let text = markdown(&comparison);
        let cells = "| 0.0265 [0.0261, 0.0270] | within noise × 1.02 | 1.00 % | 1.02 | 8 |\n";
        assert_eq!(text.matches(cells).count(), 1, "{text}");
    }

    #[test]
    fn what_was_not_expected_is_loud() {
        let mut comparison = sample();
        comparison.containment[0].observed = crate::experiment::Fate::HostDied;
        let text = markdown(&comparison);
        let loud = "**NOT AS EXPECTED: ✕ host died (should be contained)**";
        assert_eq!(text.matches(loud).count(), 1);
    }

    #[test]
    fn every_line_of_a_table_has_the_cells_of_its_head() {
        let text = markdown(&sample());
        let tables = text.split("\n\n").filter(|part| part.starts_with('|'));
        let mut seen = 0;
        for table in tables {
            let cells = cells(table);
            assert!(cells.iter().all(|&count| count == cells[0]), "{table}");
            seen += 1;
        }
        // Claims, faults, escapes, the crossover, and the rows by experiment and by what they compare.
        assert_eq!(seen, 4 + 11);
    }

    #[test]
    fn a_row_is_a_line() {
        let text = markdown(&sample());
        let line = text
            .lines()
            .find(|line| line.contains("`memory.descriptors_per_worker[state=idle]`"))
            .unwrap();
        assert_eq!(
            line,
            "| file descriptors of one more worker, idle \
             `memory.descriptors_per_worker[state=idle]` | 0.00 | 3.00 | – | not compared | – | 1.02 | 8 |"
        );
    }

    #[test]
    fn nothing_measured_leaves_nothing_but_the_headline_and_the_command() {
        let mut comparison = sample();
        comparison.rows.clear();
        comparison.claims.clear();
        comparison.containment.clear();
        comparison.reach.clear();
        comparison.crossover = None;
        comparison.knees.clear();
        comparison.warnings.clear();
        comparison.failures.clear();
        let text = markdown(&comparison);
        let headings = text.lines().filter(|line| line.starts_with("## "));
        assert_eq!(headings.collect::<Vec<_>>(), ["## To do it again"]);
    }
}
