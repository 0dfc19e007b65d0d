//! All numbers, experiment by experiment.

use std::fmt::Write;

use super::element::{Source, anchor, escape, table};
use crate::experiment::Arm;
use crate::report::result::{Comparison, Row, Verdict};
use crate::report::words::{
    NONE, arms, digits, groups, percent, rounds, show, within_noise, without_verdict,
};

/// What the columns are.
const READING: &str = "<p class=\"meta\">Values are medians over the rounds. Would show: the smallest \
    difference that would have been called. Noise: the margin of <a href=\"#method\">Method</a>, as a \
    factor.</p>\n";

/// A heading and its tables for each experiment.
pub(super) fn rows(comparison: &Comparison) -> String {
    let mut text = String::new();
    if !comparison.rows.is_empty() {
        text.push_str(READING);
    }
    for (experiment, tables) in groups(comparison) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "<h3>{}</h3>", escape(experiment));
        for part in comparison
            .parts
            .iter()
            .filter(|part| part.experiment == experiment)
        {
            let _ = writeln!(
                text,
                "<p class=\"meta\"><b>{}</b>: {}</p>",
                escape(&part.part),
                escape(&part.question)
            );
        }
        for rows in tables {
            text.push_str(&compared(comparison, experiment, &rows));
        }
    }
    if text.is_empty() {
        text.push_str("<p>Nothing was measured.</p>\n");
    }
    text
}

fn compared(comparison: &Comparison, experiment: &str, rows: &[&Row]) -> String {
    let Some(first) = rows.first() else {
        return String::new();
    };
    let (above, below) = first.compared;
    let arms = arms(rows);
    let mut head = vec!["number".to_owned()];
    head.extend(arms.iter().map(|arm| format!(">{arm}")));
    head.extend([
        format!("{above} ÷ {below}"),
        "verdict".to_owned(),
        ">would show".to_owned(),
        ">noise".to_owned(),
        ">rounds".to_owned(),
    ]);
    let rows: Vec<String> = rows
        .iter()
        .map(|row| table_row(comparison, row, &arms))
        .collect();
    let caption = format!("{experiment}: {above} against {below}");
    table("rows", &caption, &head, &rows)
}

fn table_row(comparison: &Comparison, row: &Row, arms: &[Arm]) -> String {
    let id = row.id();
    let source = Source::Row(&id);
    let mut text = format!(
        "<tr id=\"{}\"><th scope=\"row\">{} <code>{}</code></th>",
        anchor(&id),
        escape(&row.title),
        escape(&id)
    );
    let mut cell = |class: &str, html: &str| {
        // Writing to a String cannot fail.
        let _ = write!(text, "<td{class}>{html}</td>");
    };
    for arm in arms {
        let html = row.value(*arm).map_or(NONE.to_owned(), |value| {
            source.number(&format!("arms.{arm}.value"), value, &show(value, row.unit))
        });
        cell(" class=\"number\"", &html);
    }
    let ratio = row.ratio.map_or(NONE.to_owned(), |ratio| {
        source.interval("ratio", ratio, digits)
    });
    cell("", &ratio);
    let verdict = row
        .verdict
        .map_or(without_verdict(row).to_owned(), |verdict| {
            let (sign, words) = match (verdict, within_noise(row)) {
                (_, Some(within)) => ("≈", within),
                (Verdict::Better(_), None) => ("▶", verdict.to_string()),
                (Verdict::NoDifferenceSeen, None) => ("=", verdict.to_string()),
                (Verdict::TooFewRounds, None) => ("?", verdict.to_string()),
            };
            format!("{sign} {}", source.word("verdict", &words))
        });
    cell("", &verdict);
    let detectable = row.detectable.map_or(NONE.to_owned(), |fraction| {
        source.number("detectable", fraction, &percent(fraction))
    });
    cell(" class=\"number\"", &detectable);
    let margin = row.margin.factor();
    cell(
        " class=\"number\"",
        &source.number("margin", margin, &digits(margin)),
    );
    let rounds = rounds(comparison, row);
    #[expect(clippy::cast_precision_loss, reason = "a few rounds")]
    let rounds = source.number("rounds", rounds as f64, &rounds.to_string());
    cell(" class=\"number\"", &rounds);
    text.push_str("</tr>\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;
    use crate::stats::{Interval, Margin};

    #[test]
    fn each_row_has_a_line_of_its_own() {
        let comparison = sample();
        let text = rows(&comparison);
        for row in &comparison.rows {
            let id = format!("<tr id=\"{}\">", anchor(&row.id()));
            assert_eq!(text.matches(&id).count(), 1, "{id}");
        }
        assert_eq!(text.matches("<tr id=").count(), comparison.rows.len());
    }

    #[test]
    fn what_is_compared_stands_in_the_head() {
        let text = rows(&sample());
        for head in [
            "process ÷ thread",
            "process ÷ unmetered",
            "fuel ÷ unmetered",
        ] {
            assert!(
                text.contains(&format!("<th scope=\"col\">{head}</th>")),
                "{head}"
            );
        }
    }

    #[test]
    fn a_figure_stands_as_it_is_in_the_row() {
        let comparison = sample();
        let row = comparison
            .rows
            .iter()
            .find(|row| row.id() == "job.p99")
            .unwrap();
        let ratio = row.ratio.unwrap();
        let expected = format!(
            "<data value=\"{}\" data-row=\"job.p99\" data-field=\"ratio.low\">{}</data>",
            ratio.low,
            digits(ratio.low)
        );
        assert!(rows(&comparison).contains(&expected));
    }

    #[test]
    fn the_verdict_says_what_lies_within_the_noise() {
        let mut comparison = sample();
        comparison.rows.truncate(1);
        let row = &mut comparison.rows[0];
        let interval = |median, low, high| Interval {
            median,
            low,
            high,
            confidence: 0.95,
        };
        row.ratio = Some(interval(0.026_53, 0.026_1, 0.027));
        row.verdict = Some(Verdict::NoDifferenceSeen);
        let told = |comparison: &Comparison| {
            let text = rows(comparison);
            let cell = text.split("data-field=\"verdict\">").nth(1).unwrap();
            let shown = text.split("data-field=\"ratio.median\">").nth(1).unwrap();
            let until = |text: &str| text.split('<').next().unwrap().to_owned();
            (until(shown), until(cell))
        };
        let noisy = Margin::from_control(Some(interval(2.35, 1.0, 2.35)));
        comparison.rows[0].margin = noisy;
        let expected = ("0.0265".to_owned(), "within noise × 2.35".to_owned());
        assert_eq!(told(&comparison), expected);
        comparison.rows[0].ratio = Some(interval(1.0, 0.9, 1.1));
        let expected = ("1.00".to_owned(), "no difference seen".to_owned());
        assert_eq!(told(&comparison), expected);
    }

    #[test]
    fn what_was_measured_and_cannot_be_divided_is_not_compared() {
        let text = rows(&sample());
        let start = text
            .find("<tr id=\"row-memory-descriptors_per_worker-state-idle\">")
            .unwrap();
        let row = text[start..].split("</tr>").next().unwrap();
        assert!(row.contains("<td>–</td><td>not compared</td>"), "{row}");
    }

    #[test]
    fn rows_without_numbers_are_dashes() {
        let mut comparison = sample();
        comparison.rows.truncate(1);
        comparison.series.clear();
        let row = &mut comparison.rows[0];
        row.arms.clear();
        (row.ratio, row.control, row.detectable, row.verdict) = (None, None, None, None);
        let text = rows(&comparison);
        assert!(text.contains(
            "<td class=\"number\">–</td><td class=\"number\">–</td><td>–</td><td>not measured</td>"
        ));
    }
}
