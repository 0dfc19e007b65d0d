//! What the numbers come to: crossover, claims, warnings, advice.

use super::{Page, Paint, show, tied};
use crate::experiment::Unit;
use crate::options::Isolation;
use crate::printable;
use crate::report::claims::ClaimVerdict;
use crate::report::crossover::{Crossover, CrossoverPoint};
use crate::report::deploy::{Deployment, Trust};
use crate::report::knee::Knee;
use crate::report::result::Comparison;
use crate::report::words::sure;
use crate::runtime::InstancePolicy;
use crate::stats::Interval;
use crate::units::{ByteSize, three_digits};

pub(super) fn crossover(page: &mut Page, comparison: &Comparison) {
    if let Some(text) = comparison.crossover.as_ref().and_then(sentences) {
        page.heading("crossover: ", &text);
    }
}

pub(super) fn knees(page: &mut Page, comparison: &Comparison) {
    let sentences: Vec<String> = comparison.knees.iter().map(Knee::sentence).collect();
    if !sentences.is_empty() {
        page.heading("knee: ", &sentences.join(" "));
    }
}

fn sentences(crossover: &Crossover) -> Option<String> {
    let is_sound = |point: &&CrossoverPoint| point.call_s.median.is_finite();
    let points: Vec<&CrossoverPoint> = crossover.points.iter().filter(is_sound).collect();
    if points.is_empty() || !crossover.share.is_finite() {
        return None;
    }
    let (dear, free): (Vec<&CrossoverPoint>, Vec<&CrossoverPoint>) =
        points.iter().partition(|point| point.call_s.median > 0.0);
    let size =
        |point: &CrossoverPoint| tied(&ByteSize::from_bytes(point.payload_bytes).to_string());
    let mut text = String::new();
    if !dear.is_empty() {
        let call = |point: &CrossoverPoint| span(point.call_s);
        let told = dear.iter().enumerate().filter(|(at, point)| {
            // Those that decide: the ends, and what this guest can afford.
            let affordable = Some(point.payload_bytes) == crossover.payload_bytes;
            *at == 0 || at + 1 == dear.len() || affordable
        });
        let told = told.map(|(_, point)| {
            let with = tied(&format!("with {}", size(point)));
            format!("{} {with}", call(point))
        });
        let share = three_digits(100.0 * crossover.share);
        let share = share.strip_suffix(".00").unwrap_or(&share);
        text = format!(
            "The way to another process costs less than {share} % of a call that takes at least {} each way.",
            told.collect::<Vec<_>>().join(", ")
        );
    }
    if !free.is_empty() {
        let told = free.into_iter().map(|point| match point.call_s.high {
            high if high > 0.0 && high.is_finite() => {
                let most = tied(&show(high, Unit::Seconds));
                format!("{} (it may ask for calls of up to {most})", size(point))
            }
            _ => size(point),
        });
        let told: Vec<String> = told.collect();
        text += &format!(
            " No cost of the way to another process was seen with {}.",
            told.join(", ")
        );
    }
    if crossover.job_s.is_finite() && crossover.job_s > 0.0 {
        let job = show(crossover.job_s, Unit::Seconds);
        text += &match crossover.payload_bytes {
            Some(bytes) => format!(
                " A job of this guest takes {job}: long enough for up to {} of what was measured.",
                ByteSize::from_bytes(bytes)
            ),
            None => {
                format!(
                    " A job of this guest takes {job}: not surely long enough for any of these."
                )
            }
        };
        if let Some(reach) = &crossover.reach {
            text += &format!(" Interpolated, that is {}.", reach.words());
        }
    }
    Some(text)
}

/// A span of time with its interval, which is not broken within.
fn span(interval: Interval) -> String {
    let of = |value| show(value, Unit::Seconds);
    let ends = format!(
        "[{}, {}]{}",
        of(interval.low),
        of(interval.high),
        sure(interval)
    );
    format!("{} {}", tied(&of(interval.median)), tied(&ends))
}

pub(super) fn claims(page: &mut Page, comparison: &Comparison) {
    if comparison.claims.is_empty() {
        return;
    }
    page.heading(
        "claims: ",
        "What is commonly said, for this guest on this machine.",
    );
    let widest = comparison
        .claims
        .iter()
        .map(|claim| claim.id.chars().count());
    let widest = widest.max().unwrap_or(0).min(16);
    for claim in &comparison.claims {
        let (word, paint) = match claim.verdict {
            ClaimVerdict::Confirmed => ("confirmed", Paint::Good),
            ClaimVerdict::Refuted => ("refuted", Paint::Bad),
            ClaimVerdict::Depends => ("depends", Paint::Doubt),
            ClaimVerdict::NotMeasured => ("not measured", Paint::None),
        };
        let lead = format!("{:<widest$}  {word:<12}  ", printable(&claim.id));
        page.item(&lead, paint, &printable(&claim.evidence), 4);
    }
}

pub(super) fn warnings(page: &mut Page, comparison: &Comparison) {
    if comparison.warnings.is_empty() {
        return;
    }
    page.heading(
        "warnings: ",
        "What makes these numbers less sure than they look.",
    );
    let mut last = "";
    for warning in &comparison.warnings {
        let remedy = match warning.remedy() {
            remedy if remedy == last => "as above",
            remedy => remedy,
        };
        last = warning.remedy();
        let text = format!("{}: {remedy}", printable(&warning.to_string()));
        page.item("- ", Paint::Doubt, &text, 2);
    }
}

pub(super) fn failures(page: &mut Page, comparison: &Comparison) {
    const SHOWN: usize = 3;
    if comparison.failures.is_empty() {
        return;
    }
    page.gap();
    for failure in comparison.failures.iter().take(SHOWN) {
        let line = format!(
            "{}, {}, {}, round {}: {}",
            printable(&failure.experiment),
            printable(&failure.part),
            failure.arm,
            failure.round.saturating_add(1),
            printable(&failure.error)
        );
        page.item("Failed trial: ", Paint::Bad, &line, 2);
    }
    if let Some(more @ 1..) = comparison.failures.len().checked_sub(SHOWN) {
        page.sentence(&format!(
            "… and {more} more failed trials (see the JSON result)"
        ));
    }
}

pub(super) fn advice(page: &mut Page, comparison: &Comparison) {
    let advice = &comparison.advice;
    if advice.sentences.is_empty() && advice.deployment.is_none() {
        return;
    }
    page.heading("advice: ", "What follows, for this guest on this machine.");
    for sentence in &advice.sentences {
        page.item("- ", Paint::None, &printable(sentence), 2);
    }
    let Some(deployment) = &advice.deployment else {
        return;
    };
    page.sentence(&format!("{} {}:", whom(advice.trust), settings(deployment)));
    for line in deployment.snippet.lines() {
        page.exact(&format!("    {}", printable(line)));
    }
}

fn whom(trust: Option<Trust>) -> &'static str {
    match trust {
        Some(Trust::Own) => "For a guest of your own:",
        Some(Trust::ThirdParty) => "For a guest of a third party:",
        Some(Trust::Hostile) => "For a guest from anybody:",
        None => "To deploy:",
    }
}

fn settings(deployment: &Deployment) -> String {
    let mut text = match deployment.isolation {
        Isolation::Thread => "threads".to_owned(),
        Isolation::Process => "processes".to_owned(),
    };
    if let Some(start) = deployment.start {
        text += &format!(" by {start}");
    }
    if let Some(link) = deployment.link {
        text += &format!(" over {link}");
    }
    text += match deployment.instance {
        InstancePolicy::Fresh => ", fresh instances",
        InstancePolicy::Reused => ", reused instances",
    };
    text
}

pub(super) fn command(page: &mut Page, comparison: &Comparison) {
    page.gap();
    page.item(
        "Again: ",
        Paint::Heading,
        &printable(&comparison.command),
        2,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;
    use crate::report::terminal::Colour;

    fn page(write: fn(&mut Page, &Comparison), comparison: &Comparison) -> String {
        let mut page = Page::new(80, Colour::Plain);
        write(&mut page, comparison);
        page.finish()
    }

    #[test]
    fn the_crossover_names_calls_and_what_this_guest_can_afford() {
        let comparison = sample();
        let mut crossover = comparison.crossover.unwrap();
        crossover.points[0].call_s = Interval {
            median: 170e-6,
            low: 160e-6,
            high: 180e-6,
            confidence: 0.75,
        };
        let text = sentences(&crossover).unwrap().replace('\u{a0}', " ");
        assert!(
            text.starts_with(
                "The way to another process costs less than 5 % of a call that takes at least \
                 170 µs [160 µs, 180 µs] (75 % sure) with 0 B, "
            ),
            "{text}"
        );
        assert!(text.contains(" ms] with 16 MiB each way."), "{text}");
        assert!(!text.contains("64 B"), "{text}");
        assert!(
            text.ends_with(
                "A job of this guest takes 12.1 ms: long enough for up to 1 MiB of what was measured. \
                 Interpolated, that is 1.22 MiB [1.19 MiB, 1.23 MiB]."
            ),
            "{text}"
        );
        let none = Crossover {
            payload_bytes: None,
            reach: None,
            ..crossover.clone()
        };
        assert!(
            sentences(&none)
                .unwrap()
                .ends_with("12.1 ms: not surely long enough for any of these.")
        );
        let mut free = crossover.clone();
        for point in &mut free.points {
            (point.call_s.median, point.call_s.high) = (0.0, 0.0);
        }
        free.points[1].call_s.high = 20e-6;
        let text = sentences(&free).unwrap().replace('\u{a0}', " ");
        assert!(
            text.starts_with(
                " No cost of the way to another process was seen with 0 B, 64 B (it may ask for calls \
                 of up to 20.0 µs), 4 KiB, "
            ),
            "{text}"
        );
        let empty = Crossover {
            points: Vec::new(),
            ..crossover
        };
        assert_eq!(sentences(&empty), None);
    }

    #[test]
    fn three_failures_are_shown_and_the_others_counted() {
        let mut comparison = sample();
        let failure = comparison.failures[0].clone();
        comparison.failures = vec![failure; 5];
        let text = page(failures, &comparison);
        assert_eq!(
            text.matches("Failed trial: start, first reply, cold, process, round 6: the")
                .count(),
            3
        );
        assert!(
            text.ends_with("… and 2 more failed trials (see the JSON result)\n"),
            "{text}"
        );
        comparison.failures.truncate(3);
        assert!(!page(failures, &comparison).contains("more failed"));
    }

    #[test]
    fn errors_cannot_steer_the_terminal() {
        let mut comparison = sample();
        comparison.failures[0].error = "a\u{1b}[2Jb\nc".to_owned();
        let text = page(failures, &comparison);
        assert!(text.contains(r"a\u{1b}[2Jb\nc"), "{text}");
    }

    #[test]
    fn a_deployment_is_told_with_its_code() {
        let text = page(advice, &sample());
        assert!(
            text.ends_with(
                "For a guest of a third party: processes by exec over pipe, fresh instances:\n    \
                 let pool = Pool::builder(guest)\n        .isolation(Isolation::Process)\n        \
                 .workers(2)\n        .build()?;\n"
            ),
            "{text}"
        );
    }
}
