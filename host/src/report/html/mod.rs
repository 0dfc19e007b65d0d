//! The result as one HTML file that needs nothing else: no script, no font, no network.
//!
//! A reader asks what to do, whether what is said is true, and who dies; then how much, and then how
//! sure all that is: in this order it stands here. Nothing is computed but places in plots.
//!
//! Each number that comes from samples says what it is, for whoever recomputes it:
//! `<data value="0.0042" data-row="start.first_reply[cache=warm]" data-field="arms.process.value">`.
//! `value` is the number in full. `data-row` is the id of a row, and `data-field` the way to the number
//! in it (`rounds` is not in the row: it counts the rounds in which both arms have samples; nor are `gap`,
//! how far the two values lie apart, `excess`, how far the ratio lies above 1, and `fewest`, the rounds of
//! the arm with the fewest). Instead of `data-row` there may be `data-containment="trap/thread"`;
//! `data-crossover` with a payload in bytes, or with `all` for what holds for all of them; `data-quotient`
//! with an arm of a row by an arm of a row, round by round; `data-finding` for what one claim or piece of
//! advice computes for itself; and `data-result` for a field of the result that is no measurement. A
//! sentence in which no other numbers stand is a `data-prose`.

mod conditions;
mod crossing;
mod curves;
mod draw;
mod element;
mod latency;
mod phases;
mod plot;
mod rows;
mod style;
mod verdicts;

use std::fmt::Write;

use super::result::{Comparison, Row};
use super::words;
use element::{escape, prose};

/// Nothing is loaded, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src data:";

/// Renders a comparison as an HTML file. The same comparison gives the same bytes.
#[must_use]
pub fn html(comparison: &Comparison) -> String {
    let sections = [
        (
            "claims",
            "What is said, and what was found",
            verdicts::claims(comparison),
        ),
        (
            "faults",
            "When something goes wrong",
            verdicts::containment(comparison),
        ),
        (
            "escape",
            "When a guest gets out of the sandbox",
            verdicts::reached(comparison),
        ),
        ("plots", "Plots", plots(comparison)),
        ("numbers", "All numbers", rows::rows(comparison)),
        ("warnings", "Warnings", conditions::warnings(comparison)),
        (
            "failures",
            "Failed trials",
            conditions::failures(comparison),
        ),
        ("machine", "Machine", conditions::machine(comparison)),
        ("settings", "Settings", conditions::settings(comparison)),
        ("method", "Method", conditions::method(comparison)),
        ("again", "To do it again", again(comparison)),
    ];
    let links: String = sections
        .iter()
        .map(|(id, title, _)| format!("<li><a href=\"#{id}\">{title}</a></li>"))
        .collect();
    let body: String = sections
        .iter()
        .map(|(id, title, html)| {
            format!("<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{title}</h2>\n{html}</section>\n")
        })
        .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{}: threads and processes compared</title>\n<style>\n{}</style>\n</head>\n<body>\n\
         <header>\n{}<nav aria-label=\"Contents\"><ul>{links}</ul></nav>\n</header>\n\
         <main>\n{body}</main>\n</body>\n</html>\n",
        escape(&comparison.guest.name),
        style::sheet(),
        headline(comparison),
    )
}

fn headline(comparison: &Comparison) -> String {
    let guest = &comparison.guest;
    let advice = &comparison.advice;
    let mut text = format!(
        "<h1>{}: threads and processes compared</h1>\n\
         <p class=\"meta\">A guest of {}; {}. {}. {}.</p>\n",
        escape(&guest.name),
        conditions::bytes("guest.bytes", guest.bytes),
        match guest.is_timed() {
            true => format!(
                "a job takes about {}",
                conditions::span("guest.job_s", guest.job_s)
            ),
            false => "none of its jobs ended well".to_owned(),
        },
        escape(&comparison.machine.summary()),
        words::utc(comparison.unix_time),
    );
    if let Some(rigged) = &comparison.settings.rigged {
        text.push_str(&alarm(&format!(
            "RIGGED to prove the statistics: {}. This says nothing about isolations.",
            escape(rigged)
        )));
    }
    if !comparison.complete {
        text.push_str(&alarm(
            "INTERRUPTED: this rests on the rounds that were done.",
        ));
    }
    let surprises = comparison
        .containment
        .iter()
        .filter(|row| !row.as_expected());
    match surprises.count() {
        0 => {}
        1 => text.push_str(&alarm(
            "NOT AS EXPECTED: one fault had another outcome than it should.",
        )),
        more => text.push_str(&alarm(&format!(
            "NOT AS EXPECTED: {more} faults had other outcomes than they should."
        ))),
    }
    for (number, sentence) in advice.sentences.iter().enumerate() {
        let figures = advice.figures.get(number).map_or(&[][..], Vec::as_slice);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "<p class=\"advice\">{}</p>", prose(sentence, figures));
    }
    if !advice.rows.is_empty() {
        let rows = verdicts::links(comparison, &advice.rows);
        let _ = writeln!(text, "<p class=\"meta\">The advice rests on {rows}.</p>");
    }
    if let Some(deployment) = &advice.deployment {
        let _ = writeln!(
            text,
            "<p><strong>To deploy</strong>, where {}: {}.</p>\n<pre tabindex=\"0\"><code>{}</code></pre>",
            words::trust(advice.trust),
            escape(&words::deployment(deployment)),
            lines(&deployment.snippet)
        );
    }
    text
}

fn alarm(html: &str) -> String {
    format!("<p class=\"alarm\">▲ {html}</p>\n")
}

/// A text of several lines, whose ends stay.
fn lines(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(escape).collect();
    lines.join("\n")
}

fn plots(comparison: &Comparison) -> String {
    let mut plots = latency::plots(comparison);
    plots.extend(curves::payload(comparison));
    plots.extend(crossing::plot(comparison));
    plots.extend(curves::scaling(comparison));
    plots.extend(curves::memory(comparison));
    plots.extend(phases::plots(comparison));
    let figures: String = plots.iter().filter_map(draw::figure).collect();
    if figures.is_empty() {
        return "<p>Nothing was measured that could be drawn.</p>\n".to_owned();
    }
    format!("<div class=\"plots\">\n{figures}</div>\n")
}

fn again(comparison: &Comparison) -> String {
    format!(
        "<pre class=\"wrap\"><code>{}</code></pre>\n{}",
        escape(&comparison.command),
        conditions::download(comparison)
    )
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    #[test]
    fn the_same_comparison_gives_the_same_bytes() {
        assert_eq!(html(&sample()), html(&sample()));
    }

    #[test]
    fn sections_stand_in_the_order_of_a_readers_questions() {
        let page = html(&sample());
        let headings: Vec<&str> = page
            .split("<h2 id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        let expected = [
            "claims", "faults", "escape", "plots", "numbers", "warnings", "failures", "machine",
            "settings", "method", "again",
        ];
        assert_eq!(headings, expected);
    }

    #[test]
    fn the_page_loads_nothing_and_runs_nothing() {
        let page = html(&sample());
        for word in [
            "<script", "http://", "https://", "@import", "url(", " onload", "<iframe",
        ] {
            assert!(!page.contains(word), "{word}");
        }
        for part in page.split(" href=\"").skip(1) {
            assert!(
                part.starts_with('#') || part.starts_with("data:"),
                "{}",
                &part[..20]
            );
        }
    }

    #[test]
    fn every_link_within_the_page_has_its_target_and_no_target_stands_twice() {
        let page = html(&sample());
        let mut ids: Vec<&str> = page
            .split(" id=\"")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        for link in page.split(" href=\"#").skip(1) {
            let target = link.split('"').next().unwrap();
            assert!(ids.contains(&target), "{target}");
        }
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all);
    }

    #[test]
    fn all_plots_are_drawn() {
        let page = html(&sample());
        assert_eq!(page.matches("role=\"img\"").count(), 12);
        assert_eq!(page.matches("<svg class=\"plot\"").count(), 12);
    }

    #[test]
    fn a_hostile_name_stays_text() {
        let mut comparison = sample();
        comparison.guest.name = "</title><script>alert(1)</script>\u{1b}[2J".to_owned();
        let page = html(&comparison);
        assert!(!page.contains("<script"));
        assert!(!page.contains('\u{1b}'));
        assert!(page.contains("&lt;/title&gt;&lt;script&gt;"));
    }

    /// Whatever is empty in a comparison.
    fn empty() -> Comparison {
        let mut comparison = sample();
        comparison.parts.clear();
        comparison.rows.clear();
        comparison.series.clear();
        comparison.containment.clear();
        comparison.identities.clear();
        comparison.claims.clear();
        comparison.warnings.clear();
        comparison.failures.clear();
        comparison.advice.sentences.clear();
        comparison.advice.deployment = None;
        comparison.control = None;
        comparison.crossover = None;
        comparison
    }

    #[test]
    fn an_empty_comparison_says_what_is_missing() {
        let page = html(&empty());
        for sentence in [
            "No claim was put to the test.",
            "No fault was injected.",
            "Nothing was measured that could be drawn.",
            "Nothing was measured.",
            "No trial failed.",
        ] {
            assert!(page.contains(sentence), "{sentence}");
        }
    }

    #[test]
    fn a_row_alone_is_a_page_too() {
        let full = sample();
        let empty = empty();
        for row in &full.rows {
            let mut comparison = empty.clone();
            comparison.rows.push(row.clone());
            assert!(html(&comparison).contains("<tr id=\"row-"), "{}", row.id());
            let series = full.series[&row.series].clone();
            comparison.series.insert(row.series.clone(), series);
            assert!(html(&comparison).contains("<tr id=\"row-"), "{}", row.id());
        }
    }

    #[test]
    fn no_nonsense_is_printed_where_numbers_are_none() {
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0] {
            let mut comparison = sample();
            for arms in comparison.series.values_mut() {
                arms.values_mut()
                    .flatten()
                    .flatten()
                    .for_each(|sample| *sample = nonsense);
            }
            for row in &mut comparison.rows {
                for arm in row.arms.values_mut() {
                    (arm.value, arm.p50, arm.p99) = (nonsense, nonsense, nonsense);
                }
                for interval in [&mut row.ratio, &mut row.control].into_iter().flatten() {
                    (interval.low, interval.median) = (nonsense, nonsense);
                }
                row.detectable = Some(nonsense);
            }
            let crossover = comparison.crossover.as_mut().unwrap();
            crossover.job_s = nonsense;
            for point in &mut crossover.points {
                (point.overhead_s.low, point.overhead_s.median) = (nonsense, nonsense);
            }
            let page = html(&comparison);
            let shown = page.split("base64,").next().unwrap();
            for word in ["NaN", ">inf", "-inf", " inf"] {
                assert!(!shown.contains(word), "{word} of {nonsense}");
            }
        }
    }

    #[test]
    fn what_must_not_be_overlooked_stands_above_the_advice() {
        let mut comparison = sample();
        assert!(!html(&comparison).contains("class=\"alarm\""));
        comparison.complete = false;
        comparison.settings.rigged = Some("1.05".to_owned());
        comparison.containment[0].observed = crate::experiment::Fate::HostDied;
        let page = html(&comparison);
        let advice = page.find("class=\"advice\"").unwrap();
        for word in ["INTERRUPTED", "RIGGED", "NOT AS EXPECTED: one fault"] {
            assert!(page.find(word).unwrap() < advice, "{word}");
        }
    }
}
