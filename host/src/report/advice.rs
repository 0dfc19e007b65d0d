//! What follows from the numbers, in two or three sentences. Never a universal winner.

use super::result::{Comparison, ContainmentRow, Row};
use super::terminal::show;
use crate::experiment::{Arm, Containment, Fault};
use crate::options::Isolation;
use crate::stats::Verdict;
use crate::units::{seconds, three_digits};

/// The sentences for this comparison.
pub(super) fn sentences(comparison: &Comparison) -> Vec<String> {
    let mut sentences = Vec::new();
    sentences.extend(cost(comparison));
    sentences.extend(saving(comparison));
    sentences.extend(choice(comparison));
    sentences.extend(noise(comparison));
    sentences
}

fn row<'c>(comparison: &'c Comparison, metric: &str) -> Option<&'c Row> {
    comparison.rows.iter().find(|row| row.metric == metric)
}

fn value(row: &Row, arm: Arm) -> Option<f64> {
    row.arms.get(&arm).map(|arm| arm.value)
}

/// What a process costs: the differences that were seen, and what none was seen in.
fn cost(comparison: &Comparison) -> Option<String> {
    let percent = |row: &Row| {
        let ratio = row.ratio.map_or(1.0, |ratio| ratio.median);
        three_digits(100.0 * (ratio - 1.0).abs())
    };
    let start = row(comparison, "first_echo")?;
    let extra = seconds((value(start, Arm::Process)? - value(start, Arm::Thread)?).abs());
    let (job, load) = (
        row(comparison, "job_p50")?,
        row(comparison, "jobs_all_cpus")?,
    );
    let sides = [
        (
            start,
            "start-up",
            format!("starts {extra} later"),
            format!("starts {extra} sooner"),
        ),
        (
            job,
            "the time of a job",
            format!("takes {} % longer for a job", percent(job)),
            format!("takes {} % less time for a job", percent(job)),
        ),
        (
            load,
            "jobs a second on all CPUs",
            format!("does {} % fewer jobs a second on all CPUs", percent(load)),
            format!("does {} % more jobs a second on all CPUs", percent(load)),
        ),
    ];
    if sides
        .iter()
        .any(|(row, ..)| row.verdict == Some(Verdict::TooFewRounds))
    {
        return None;
    }
    let mut seen = Vec::new();
    let mut unseen = Vec::new();
    for (row, what, dearer, cheaper) in sides {
        match row.verdict? {
            Verdict::Thread => seen.push(dearer),
            Verdict::Process => seen.push(cheaper),
            Verdict::NoDifferenceSeen | Verdict::TooFewRounds => unseen.push(what.to_owned()),
        }
    }
    let seen = match seen.as_slice() {
        [] => "Between thread and process workers".to_owned(),
        seen => format!("Against a thread worker, a process worker {}", list(seen)),
    };
    Some(match unseen.as_slice() {
        [] => format!("{seen}."),
        unseen if seen.starts_with("Between") => {
            format!("{seen} no difference was seen in {}.", list(unseen))
        }
        unseen => format!("{seen}; no difference was seen in {}.", list(unseen)),
    })
}

/// One, two and three.
fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [many @ .., last] => format!("{} and {last}", many.join(", ")),
    }
}

fn fault(comparison: &Comparison, fault: Fault, isolation: Isolation) -> Option<&ContainmentRow> {
    comparison
        .containment
        .iter()
        .find(|row| row.fault == fault && row.isolation == isolation)
}

/// What a process saves.
fn saving(comparison: &Comparison) -> Option<String> {
    let thread = fault(comparison, Fault::Kill, Isolation::Thread)?;
    let process = fault(comparison, Fault::Kill, Isolation::Process)?;
    let thread = match thread.observed {
        Containment::HostDied => {
            format!(
                "a kill that reached a thread worker took down the host with all {} jobs",
                thread.bystanders
            )
        }
        Containment::Spread | Containment::Contained => {
            "a thread worker that was killed left the host alive".to_owned()
        }
    };
    let back = process.recovery_s.map_or(String::new(), |span| {
        format!(", and was replaced within {}", seconds(span))
    });
    let process = match process.observed {
        Containment::Contained => format!("a process worker lost its own job at the most{back}"),
        Containment::Spread => "a process worker took other jobs with it".to_owned(),
        Containment::HostDied => "a process worker took down the host too".to_owned(),
    };
    Some(format!("What it saves: {thread}; {process}."))
}

/// What to deploy. Each cost is named only if its own row shows it.
fn choice(comparison: &Comparison) -> Option<String> {
    let work = [
        ("job_p50", "the time of a job"),
        ("jobs_one_worker", "jobs a second on one worker"),
        ("jobs_all_cpus", "jobs a second on all CPUs"),
    ];
    let mut dearer = Vec::new();
    for (metric, what) in work {
        let row = row(comparison, metric)?;
        match row.verdict? {
            Verdict::TooFewRounds => {
                return Some("Too few rounds for advice: give it more time.".to_owned());
            }
            Verdict::Thread => {
                let show = |arm| Some(show(value(row, arm)?, row.unit));
                let (process, thread) = (show(Arm::Process)?, show(Arm::Thread)?);
                dearer.push(format!("{what} ({process} against {thread})"));
            }
            Verdict::Process | Verdict::NoDifferenceSeen => {}
        }
    }
    if !dearer.is_empty() {
        return Some(format!(
            "The way to another process shows in {}: take threads where you trust the guest, processes where \
             a crash or an escape must not reach the others.",
            list(&dearer)
        ));
    }
    let costs = |metric| row(comparison, metric).filter(|row| row.verdict == Some(Verdict::Thread));
    let later = costs("first_echo").map(|_| "a later start".to_owned());
    let larger = costs("pss_per_worker").and_then(|row| {
        let more = value(row, Arm::Process)? - value(row, Arm::Thread)?;
        Some(format!(
            "{} more memory for each worker",
            show(more, row.unit)
        ))
    });
    let starts = later.is_some();
    let price: Vec<String> = later.into_iter().chain(larger).collect();
    Some(match price.as_slice() {
        [] => "For this guest no cost of the second wall could be seen here: take processes."
            .to_owned(),
        price => format!(
            "For this guest the second wall costs {}, but no time for each job that could be seen here: take \
             processes{}.",
            list(price),
            if starts {
                ", unless you start workers all the time"
            } else {
                ""
            }
        ),
    })
}

/// What to do about a machine that is too noisy.
fn noise(comparison: &Comparison) -> Option<String> {
    let control = comparison.control?;
    (!control.reliable).then(|| {
        format!(
            "This machine was noisy: the same arm against itself differed by {} to {} %. Close other programs, \
             or use --rigorous, before you rely on small differences.",
            three_digits(100.0 * (control.low - 1.0)),
            three_digits(100.0 * (control.high - 1.0)),
        )
    })
}
