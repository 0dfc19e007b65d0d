//! What is commonly said, and what faults did: the two tables to look at first.

use std::fmt::Write;

use super::element::{Source, anchor, escape, prose, table};
use crate::experiment::Fate;
use crate::options::Isolation;
use crate::report::claims::{Claim, ClaimVerdict};
use crate::report::prose::Prose;
use crate::report::reach::{self, Reached};
use crate::report::result::{Comparison, ContainmentRow};
use crate::report::words::{
    NONE, claim_verdict, digits, fate_sign, faults, injections, one_look, others_lost,
};
use crate::units::seconds;

/// The claims and what became of them.
pub(super) fn claims(comparison: &Comparison) -> String {
    if comparison.claims.is_empty() {
        return "<p>No claim was put to the test.</p>\n".to_owned();
    }
    let head = ["claim", "verdict", "evidence"].map(str::to_owned);
    let rows: Vec<String> = comparison
        .claims
        .iter()
        .map(|claim| claim_row(comparison, claim))
        .collect();
    let caption = "What is commonly said, for this guest on this machine";
    table("claims stack", caption, &head, &rows)
}

/// Ids of rows, each with a link to its row if that is there.
pub(super) fn links(comparison: &Comparison, rows: &[String]) -> String {
    let ids: Vec<String> = comparison.rows.iter().map(super::Row::id).collect();
    let links: Vec<String> = rows
        .iter()
        .map(|id| {
            let name = escape(id);
            if ids.contains(id) {
                format!("<a href=\"#{}\"><code>{name}</code></a>", anchor(id))
            } else {
                format!("<code>{name}</code>")
            }
        })
        .collect();
    links.join(", ")
}

fn claim_row(comparison: &Comparison, claim: &Claim) -> String {
    let class = match claim.verdict {
        ClaimVerdict::Confirmed => "good",
        ClaimVerdict::Refuted => "bad",
        ClaimVerdict::Depends => "middling",
        ClaimVerdict::NotMeasured => "plain",
    };
    let (sign, word) = claim_verdict(claim.verdict);
    let rests = if claim.rows.is_empty() {
        String::new()
    } else {
        format!("<p>Rests on {}.</p>", links(comparison, &claim.rows))
    };
    format!(
        "<tr id=\"claim-{id}\"><th scope=\"row\">{}<p><code>{id}</code></p></th>\
         <td data-label=\"verdict\"><span class=\"badge {class}\">{sign} {word}</span></td>\
         <td data-label=\"evidence\">{}{rests}</td></tr>\n",
        escape(&claim.claim),
        prose(&claim.evidence, &claim.figures),
        id = escape(&claim.id),
    )
}

/// Fault by isolation: who died.
pub(super) fn containment(comparison: &Comparison) -> String {
    if comparison.containment.is_empty() {
        return "<p>No fault was injected.</p>\n".to_owned();
    }
    let head = ["when", "in a thread", "in a process"].map(str::to_owned);
    let rows: Vec<String> = faults(comparison)
        .iter()
        .map(|rows| {
            let cell = |isolation| {
                let row = rows.iter().find(|row| row.isolation == isolation);
                row.map_or_else(
                    || format!("<td data-label=\"in a {isolation}\">not measured</td>"),
                    |row| fate(row),
                )
            };
            let fault = rows
                .first()
                .map_or(String::new(), |row| row.fault.to_string());
            format!(
                "<tr><th scope=\"row\">{}</th>{}{}</tr>\n",
                escape(&fault),
                cell(Isolation::Thread),
                cell(Isolation::Process)
            )
        })
        .collect();
    let caption = "Who died, and what became of the jobs of others";
    let note = "A thread has no signals of its own: what is sent to it, its process gets. \
        Jobs of others: those that ran beside the fault or after it; p99: the 99th percentile of \
        their latency before the fault and from it on";
    let read = Prose::read(&injections(&comparison.containment));
    format!(
        "{}<p class=\"meta\">{} {note}{}.</p>\n",
        table("faults stack", caption, &head, &rows),
        prose(&read.text, &read.figures),
        one_look(&comparison.containment)
    )
}

/// What native code could do in a guest's place: all of it, behind a summary.
pub(super) fn reached(comparison: &Comparison) -> String {
    let rows = reach::rows(comparison);
    if rows.is_empty() {
        return "<p>It was not tried.</p>\n".to_owned();
    }
    let mut text = String::new();
    for isolation in [Isolation::Thread, Isolation::Process] {
        if let Some(reached) = Reached::of(comparison, isolation) {
            // Writing to a String cannot fail.
            let _ = writeln!(
                text,
                "<p>In a {isolation} {} of {} came through.</p>",
                reached.through.len(),
                reached.tried
            );
        }
    }
    let hardening = reach::hardening(comparison);
    if !hardening.is_empty() {
        let _ = writeln!(
            text,
            "<p class=\"meta\">Processes: {}.</p>",
            escape(&hardening)
        );
    }
    let head = ["it", "in a thread", "in a process"].map(str::to_owned);
    let lines: Vec<String> = rows
        .iter()
        .map(|(title, cells)| {
            let [thread, process] = cells.each_ref().map(|cell| {
                let class = match cell.as_str() {
                    "came through" => "bad",
                    "not tried" => "",
                    _ => "good",
                };
                format!("<td class=\"{class}\">{}</td>", escape(cell))
            });
            format!(
                "<tr><th scope=\"row\">{}</th>{thread}{process}</tr>\n",
                escape(title)
            )
        })
        .collect();
    let caption = "What native code could do in a guest's place";
    let _ = writeln!(
        text,
        "<details><summary>Each of them</summary>\n{}</details>",
        table("faults stack", caption, &head, &lines)
    );
    text
}

fn fate(row: &ContainmentRow) -> String {
    let name = format!("{}/{}", row.fault.name(), row.isolation);
    let source = Source::Containment(&name);
    let class = match row.observed {
        Fate::Contained => "good",
        Fate::WorkerLost => "middling",
        Fate::Spread | Fate::HostStopped | Fate::HostDied => "bad",
    };
    let mut text = format!(
        "<span class=\"badge {class}\">{} {}</span>",
        fate_sign(row.observed),
        source.word("observed", &row.observed.to_string()),
    );
    let surprise = if row.as_expected() {
        ""
    } else {
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            " <strong class=\"badge loud\">not as expected: should be {}</strong>",
            source.word("expected", &row.expected.to_string())
        );
        " class=\"surprise\""
    };
    let _ = write!(text, "<p>{}</p>", facts(row, source).join("; "));
    format!(
        "<td data-label=\"in a {}\"{surprise}>{text}</td>",
        row.isolation
    )
}

/// What else there is to say, in parts of a sentence.
fn facts(row: &ContainmentRow, source: Source<'_>) -> Vec<String> {
    let span = |field: &str, value: f64| source.number(field, value, &seconds(value));
    let count = |field: &str, value: u64| source.whole(field, value);
    let mut facts = vec![others_lost(row, || {
        format!(
            "{} of {} jobs of others lost",
            count("bystanders_lost", row.bystanders_lost),
            count("bystanders", row.bystanders)
        )
    })];
    let (before, after) = (row.bystander_p99_before_s, row.bystander_p99_after_s);
    if before.or(after).is_some() {
        let of =
            |field, value: Option<f64>| value.map_or(NONE.to_owned(), |value| span(field, value));
        facts.push(format!(
            "their p99 {} → {}",
            of("bystander_p99_before_s", before),
            of("bystander_p99_after_s", after)
        ));
    }
    if let Some(rise) = row.p99_rise {
        facts.push(format!(
            "it rose by a factor of {}",
            source.interval("p99_rise", rise, digits)
        ));
    }
    if let Some(recovery) = row.recovery_s {
        let shown = row.recovery.map_or_else(
            || span("recovery_s", recovery),
            |found| source.interval("recovery", found, seconds),
        );
        facts.push(format!("works again after {shown}"));
    }
    if let Some(ended) = &row.host_ended {
        facts.push(format!("the host ended: {}", escape(ended)));
    }
    if let Some(victim) = &row.victim {
        facts.push(format!("the job itself: {}", escape(victim)));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::Fault;
    use crate::report::sample::sample;

    #[test]
    fn each_verdict_has_a_sign_and_a_word_and_links_to_its_rows() {
        let text = claims(&sample());
        for badge in ["✓ confirmed", "✕ refuted", "◐ depends", "○ not measured"] {
            assert!(text.contains(badge), "{badge}");
        }
        let link = "<a href=\"#row-message-round_trip-payload-64\">";
        assert!(text.contains(link));
    }

    #[test]
    fn a_claim_may_rest_on_a_row_that_is_missing() {
        let mut comparison = sample();
        comparison.rows.clear();
        let text = claims(&comparison);
        assert!(!text.contains("href"));
        assert!(text.contains("<code>job.unmetered</code>"));
    }

    #[test]
    fn all_faults_stand_in_both_isolations() {
        let text = containment(&sample());
        let of = |part: &str| text.matches(part).count();
        assert_eq!(of("data-field=\"observed\""), 24);
        assert_eq!(of("✕ <span"), 3);
        assert_eq!(of("not as expected"), 0);
    }

    #[test]
    fn nobody_counts_the_jobs_of_a_host_that_did_not_survive() {
        let text = containment(&sample());
        let of = |part: &str| text.matches(part).count();
        assert_eq!(of("<p>every job of others lost"), 4);
        assert_eq!(of("</data> jobs of others lost"), 20);
        assert_eq!(of("data-field=\"bystanders\">240</data>"), 20);
    }

    #[test]
    fn the_table_says_how_often_it_was_tried() {
        let mut comparison = sample();
        let told = "<p class=\"meta\"><span data-prose>Each was injected <data value=\"3\" \
                    data-finding=\"faults\" data-field=\"most\">3</data> times; of several injections the \
                    worst fate counts; times are medians.</span> A thread has no signals of its own";
        assert_eq!(containment(&comparison).matches(told).count(), 1);
        for row in &mut comparison.containment {
            row.injections = 1;
        }
        let told = "<p class=\"meta\"><span data-prose>Each was injected once.</span> A thread has no signals of its own";
        assert_eq!(containment(&comparison).matches(told).count(), 1);
    }

    #[test]
    fn what_was_not_expected_is_loud() {
        let mut comparison = sample();
        let row = comparison
            .containment
            .iter_mut()
            .find(|row| row.fault == Fault::Trap && row.isolation == Isolation::Process)
            .unwrap();
        row.observed = Fate::Spread;
        let text = containment(&comparison);
        assert_eq!(
            text.matches("class=\"badge loud\">not as expected").count(),
            1
        );
        assert_eq!(text.matches("class=\"surprise\"").count(), 1);
    }

    #[test]
    fn an_isolation_without_a_result_is_not_measured() {
        let mut comparison = sample();
        comparison
            .containment
            .retain(|row| row.isolation == Isolation::Process);
        assert_eq!(
            containment(&comparison).matches(">not measured<").count(),
            12
        );
    }
}
