//! The claims that rest on measured times and rates.

use std::fmt::Write;

use super::claims::ClaimVerdict::{Confirmed, Depends, Refuted};
use super::claims::Judgement;
use super::crossover::{SHARE, job_seconds, way};
use super::evidence::{Seen, list, payload, percent, seen, whole, why_missing};
use super::price;
use super::prose::Source;
use super::quotient::{Quotient, quotient};
use super::result::{Comparison, Verdict};
use crate::experiment::{Arm, Budget};
use crate::units::{seconds, three_digits};

/// Where a difference of this size would have been called and none was, there is none that matters:
/// a tenth.
const NEGLIGIBLE: f64 = 0.10;
/// A difference that was seen matters from this size on.
const NOTABLE: f64 = 0.05;
/// The share of a further CPU that has to arrive as work, for parallelism to be called true.
const USEFUL: f64 = 0.6;
/// Intervals over fewer rounds say too little.
const LEAST_CONFIDENCE: f64 = 0.95;

/// `start-up`: the time to the first reply of @echo, beside that of this guest.
pub(super) fn start_up(comparison: &Comparison) -> Judgement {
    let Some(start) = seen(comparison, "start.first_echo") else {
        return Judgement::not_measured(why_missing(comparison, "start"));
    };
    let own = seen(comparison, "start.first_reply[cache=warm]");
    // What a worker takes longer to start, the guest's first job can drown.
    let drowns = own.is_some_and(|own| own.rules_out(NEGLIGIBLE));
    let verdict = match start.verdict {
        Verdict::Better(_) if drowns => Depends,
        Verdict::Better(Arm::Thread) => Confirmed,
        Verdict::Better(Arm::Process) => Refuted,
        Verdict::NoDifferenceSeen if start.rules_out(NEGLIGIBLE) => Refuted,
        Verdict::Better(_) | Verdict::NoDifferenceSeen | Verdict::TooFewRounds => Depends,
    };
    let extra = start.above - start.below;
    let job = job_seconds(comparison);
    let jobs = extra.abs() / job;
    let of_jobs = if job.is_finite() && jobs.is_finite() {
        format!(
            "; the difference of {} is the time of {} of this guest's jobs",
            start.mark("gap", extra.abs(), &seconds(extra.abs())),
            Source::Finding("start-up").mark(
                "jobs",
                jobs,
                &match jobs {
                    jobs if jobs < 0.005 => "less than 0.01".to_owned(),
                    jobs => three_digits(jobs),
                }
            )
        )
    } else {
        String::new()
    };
    let mut evidence = format!(
        "First reply of @echo: {}: {}{of_jobs}.",
        start.figures(),
        start.outcome()
    );
    if let Some(own) = own {
        // Writing to a String cannot fail.
        let _ = write!(
            evidence,
            " First reply of this guest, already compiled: {}: {}.",
            own.figures(),
            own.outcome()
        );
    }
    let rows = [Some(start), own].into_iter().flatten();
    Judgement::new(verdict, evidence).resting_on(rows.map(|row| row.row.id()))
}

/// `latency`: round trips of every payload.
pub(super) fn latency(comparison: &Comparison) -> Judgement {
    let mut trips: Vec<(u64, Seen<'_>)> = comparison
        .rows
        .iter()
        .filter(|row| row.experiment == "message" && row.metric == "round_trip")
        .filter_map(|row| Some((row.number("payload")?, whole(row)?)))
        .collect();
    trips.sort_by_key(|(payload, _)| *payload);
    let (Some((_, first)), Some((_, last))) = (trips.first(), trips.last()) else {
        return Judgement::not_measured(why_missing(comparison, "message"));
    };
    let slower = trips
        .iter()
        .filter(|(_, trip)| trip.is_better(Arm::Thread))
        .count();
    let is_even = |trip: &Seen<'_>| trip.is_better(Arm::Process) || trip.rules_out(NEGLIGIBLE);
    let verdict = match slower {
        slower if slower == trips.len() => Confirmed,
        0 if trips.iter().all(|(_, trip)| is_even(trip)) => Refuted,
        _ => Depends,
    };
    let figures = if trips.len() == 1 {
        format!("{}: {}", size(first), first.figures())
    } else {
        format!(
            "{}: {}; {}: {}",
            size(first),
            first.figures(),
            size(last),
            last.figures()
        )
    };
    let others: Vec<String> = trips
        .iter()
        .filter(|(_, trip)| !trip.is_better(Arm::Thread))
        .map(|(_, trip)| format!("{} ({})", size(trip), trip.outcome()))
        .collect();
    let except = if others.is_empty() {
        String::new()
    } else {
        format!("; not at {}", list(&others))
    };
    let count = |field, count: usize| Source::Finding("latency").count(field, count as u64);
    let evidence = format!(
        "Threads were seen to be faster at {} of {} payloads{except}. {figures}.",
        count("slower", slower),
        count("payloads", trips.len())
    );
    Judgement::new(verdict, evidence).resting_on(trips.iter().map(|(_, trip)| trip.row.id()))
}

/// The payload of a round trip.
fn size(trip: &Seen<'_>) -> String {
    payload(trip.row).unwrap_or_default()
}

/// The time of a job where neither arm carries the checks that make a thread interruptible.
const UNMETERED: &str = "job.unmetered";

/// `cpu`: the guest's own jobs, one after the other and many at once. All rows but one compare a thread
/// that can be interrupted with a process that needs no checks for that: what they show, the isolation
/// causes only where the one without checks shows it too.
pub(super) fn cpu(comparison: &Comparison) -> Judgement {
    let mut ids = vec![
        "job.p50".to_owned(),
        UNMETERED.to_owned(),
        throughput(1),
        throughput(comparison.settings.cpus),
    ];
    ids.dedup();
    let (known, missing): (Vec<&String>, Vec<&String>) =
        ids.iter().partition(|id| seen(comparison, id).is_some());
    let rows: Vec<Seen<'_>> = known.iter().filter_map(|id| seen(comparison, id)).collect();
    if rows.is_empty() {
        return Judgement::not_measured(why_missing(comparison, "job"));
    }
    let differs =
        |row: &Seen<'_>| matches!(row.verdict, Verdict::Better(_)) && row.difference() >= NOTABLE;
    let unmetered = seen(comparison, UNMETERED);
    let others = || rows.iter().filter(|row| row.row.id() != UNMETERED);
    let is_equal = missing.is_empty() && rows.iter().all(|row| row.rules_out(NEGLIGIBLE));
    let is_isolation = others().any(differs) && unmetered.as_ref().is_some_and(differs);
    let way = way(comparison);
    let verdict = match way {
        Some((_, share)) if is_isolation && share < SHARE => Refuted,
        _ if is_equal => Confirmed,
        _ => Depends,
    };
    let mut said: Vec<String> = rows
        .iter()
        .map(|row| format!("{}: {}: {}", row.row.id(), row.figures(), row.outcome()))
        .collect();
    said.extend(missing_words(comparison, &missing));
    if unmetered.is_some_and(|row| row.rules_out(NEGLIGIBLE)) {
        said.extend(checks_words(comparison));
    }
    if rows.iter().any(differs) {
        said.push(way_words(way));
    }
    Judgement::new(verdict, format!("{}.", said.join("; ")))
        .resting_on(rows.iter().map(|row| row.row.id()))
}

/// What is not known, and why, where the budget says it.
fn missing_words(comparison: &Comparison, missing: &[&String]) -> Vec<String> {
    let is_quick = comparison.settings.budget == Budget::Quick;
    let (skipped, unknown): (Vec<&String>, Vec<&String>) = missing
        .iter()
        .copied()
        .partition(|id| is_quick && id.as_str() == UNMETERED);
    let mut said = Vec::new();
    if !unknown.is_empty() {
        let unknown: Vec<String> = unknown.into_iter().cloned().collect();
        said.push(format!("nothing is known of {}", list(&unknown)));
    }
    if !skipped.is_empty() {
        said.push(format!("{UNMETERED} is not measured with --quick"));
    }
    said
}

/// What the checks cost, where a job takes longer in a thread that has them.
fn checks_words(comparison: &Comparison) -> Option<String> {
    let job = seen(comparison, "job.p50").filter(|row| row.is_better(Arm::Process))?;
    let id = job.row.id();
    let found = quotient(comparison, (&id, Arm::Thread), (&id, Arm::Unmetered))?;
    let cost = found.ratio.median - 1.0;
    (cost > 0.0).then(|| {
        let cost = Source::Quotient(&found.name).mark("excess", cost, &percent(cost));
        format!("the checks that make a thread interruptible cost {cost}")
    })
}

/// The row of so many workers.
fn throughput(workers: usize) -> String {
    format!("job.throughput[workers={workers}]")
}

/// Whether a difference can come from the way instead of the work.
fn way_words(way: Option<(f64, f64)>) -> String {
    match way {
        Some((overhead, share)) if share < SHARE => format!(
            "the way to a process takes {} longer with {}, less than {} of a job",
            price::way_words(overhead),
            price::small(),
            price::limit_words()
        ),
        Some((overhead, share)) => format!(
            "the way to a process takes {} longer with {}, which is {} of a job: such a difference can come \
             from the way, not the work",
            price::way_words(overhead),
            price::small(),
            price::way_share(share)
        ),
        None => "what the way to a process costs is not known, so it cannot be told from the work"
            .to_owned(),
    }
}

/// `parallelism`: how much more all CPUs do than one worker.
pub(super) fn parallelism(comparison: &Comparison) -> Judgement {
    let cpus = comparison.settings.cpus;
    if cpus < 2 {
        return Judgement::not_measured("with one CPU there is nothing to run in parallel");
    }
    let ids = [throughput(1), throughput(cpus)];
    let gains: Vec<(Arm, Quotient)> = [Arm::Thread, Arm::Process]
        .into_iter()
        .filter_map(|arm| Some((arm, gain(comparison, &ids, arm)?)))
        .collect();
    if gains.is_empty() {
        return Judgement::not_measured(why_missing(comparison, "job"));
    }
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 CPUs")]
    let enough = 1.0 + USEFUL * (cpus - 1) as f64;
    let is_few = gains
        .iter()
        .any(|(_, gain)| gain.ratio.confidence < LEAST_CONFIDENCE);
    let is_short = way(comparison).is_some_and(|(_, share)| share > SHARE);
    let verdict = if is_few {
        Depends
    } else if gains.iter().any(|(_, gain)| gain.ratio.high < enough) {
        // Handing out jobs that take less time than their way is work for one CPU, not for all.
        if is_short { Depends } else { Refuted }
    } else if gains.len() == 2 && gains.iter().all(|(_, gain)| gain.ratio.low >= enough) {
        Confirmed
    } else {
        Depends
    };
    let mut said: Vec<String> = gains
        .iter()
        .map(|(arm, gain)| format!("{} times in {}", gain.factor(), plural(*arm)))
        .collect();
    if gains.len() < 2 {
        said.push("nothing is known of the other isolation".to_owned());
    }
    if is_few {
        said.push("too few rounds for a verdict".to_owned());
    }
    if is_short {
        said.push("jobs as short as this guest's keep the one that hands them out busy".to_owned());
    }
    let evidence = format!(
        "With {} workers instead of {}, jobs a second were {}; {} times or more are taken for true parallelism.",
        Source::Result.count("settings.cpus", cpus as u64),
        Source::Row(&ids[0]).count("params.workers", 1),
        said.join(", "),
        Source::Finding("parallelism").mark("enough", enough, &three_digits(enough))
    );
    Judgement::new(verdict, evidence).resting_on(ids)
}

fn plural(arm: Arm) -> &'static str {
    match arm {
        Arm::Thread => "threads",
        Arm::Process => "processes",
        _ => "others",
    }
}

/// By what factor the second row of an arm exceeds the first, round by round.
fn gain(comparison: &Comparison, ids: &[String; 2], arm: Arm) -> Option<Quotient> {
    quotient(comparison, (&ids[1], arm), (&ids[0], arm))
}

#[cfg(test)]
mod tests {
    use super::super::claims::ClaimVerdict::NotMeasured;
    use super::super::result::Row;
    use super::super::sample::sample;
    use super::*;
    use crate::stats::Interval;

    fn row<'c>(comparison: &'c mut Comparison, id: &str) -> &'c mut Row {
        comparison
            .rows
            .iter_mut()
            .find(|row| row.id() == id)
            .unwrap()
    }

    /// Writes a row's numbers by hand.
    fn set(comparison: &mut Comparison, id: &str, values: [f64; 2], verdict: Verdict, least: f64) {
        let row = row(comparison, id);
        let (above, below) = row.compared;
        row.arms.get_mut(&above).unwrap().value = values[0];
        row.arms.get_mut(&below).unwrap().value = values[1];
        let median = values[0] / values[1];
        row.ratio = Some(Interval {
            median,
            low: 0.9 * median,
            high: 1.1 * median,
            confidence: 0.95,
        });
        row.verdict = Some(verdict);
        row.detectable = Some(least);
    }

    #[test]
    fn a_later_start_confirms_with_its_figures() {
        let mut comparison = sample();
        let thread = Verdict::Better(Arm::Thread);
        set(
            &mut comparison,
            "start.first_echo",
            [0.0022, 0.0002],
            thread,
            0.1,
        );
        set(&mut comparison, OWN, [0.003, 0.001], thread, 0.1);
        row(&mut comparison, "job.p50")
            .arms
            .get_mut(&Arm::Thread)
            .unwrap()
            .value = 0.02;
        let judgement = start_up(&comparison);
        assert_eq!(judgement.verdict, Confirmed);
        assert_eq!(
            judgement.evidence,
            "First reply of @echo: 2.20 ms (process) against 200 µs (thread), a ratio of 11.0 [9.90, 12.1]: \
             thread better; the difference of 2.00 ms is the time of 0.10 of this guest's jobs. First reply of \
             this guest, already compiled: 3.00 ms (process) against 1.00 ms (thread), a ratio of 3.00 [2.70, \
             3.30]: thread better."
        );
        assert_eq!(judgement.rows, ["start.first_echo", OWN]);
        comparison.rows.retain(|row| row.id() != OWN);
        let judgement = start_up(&comparison);
        assert_eq!(judgement.verdict, Confirmed);
        assert!(judgement.evidence.ends_with("0.10 of this guest's jobs."));
        assert_eq!(judgement.rows, ["start.first_echo"]);
    }

    const OWN: &str = "start.first_reply[cache=warm]";

    #[test]
    fn a_start_that_this_guest_drowns_depends() {
        let same = Verdict::NoDifferenceSeen;
        let thread = Verdict::Better(Arm::Thread);
        let process = Verdict::Better(Arm::Process);
        let cases = [
            (thread, same, 0.10, Depends),
            (process, same, 0.10, Depends),
            (thread, same, 0.11, Confirmed),
            (process, same, 0.11, Refuted),
            (thread, Verdict::TooFewRounds, 0.01, Confirmed),
            (thread, thread, 0.01, Confirmed),
            (same, same, 0.01, Refuted),
        ];
        for (echo, own, least, expected) in cases {
            let mut comparison = sample();
            set(&mut comparison, "start.first_echo", [2.0, 1.0], echo, 0.05);
            set(&mut comparison, OWN, [1.0, 1.0], own, least);
            let found = start_up(&comparison).verdict;
            assert_eq!(found, expected, "{echo}, {own}, {least}");
        }
    }

    #[test]
    fn no_difference_refutes_only_where_one_would_have_been_seen() {
        let cases = [
            (Verdict::Better(Arm::Process), 0.5, Refuted),
            (Verdict::NoDifferenceSeen, 0.10, Refuted),
            (Verdict::NoDifferenceSeen, 0.11, Depends),
            (Verdict::TooFewRounds, 0.01, Depends),
        ];
        for (verdict, least, expected) in cases {
            let mut comparison = sample();
            set(
                &mut comparison,
                "start.first_echo",
                [1.0, 1.0],
                verdict,
                least,
            );
            assert_eq!(start_up(&comparison).verdict, expected, "{verdict} {least}");
        }
    }

    #[test]
    fn without_rounds_enough_the_reason_is_told() {
        let mut comparison = sample();
        set(
            &mut comparison,
            "start.first_echo",
            [2.0, 1.0],
            Verdict::TooFewRounds,
            0.1,
        );
        assert!(start_up(&comparison).evidence.contains(": too few rounds;"));
    }

    const PAYLOADS: [u64; 6] = [0, 64, 4096, 65536, 1 << 20, 1 << 24];

    /// The sample, whose round trips say this.
    fn trips(verdicts: [Verdict; 6], least: f64) -> Comparison {
        let mut comparison = sample();
        for (payload, verdict) in PAYLOADS.into_iter().zip(verdicts) {
            let id = format!("message.round_trip[payload={payload}]");
            set(&mut comparison, &id, [0.0002, 0.0001], verdict, least);
        }
        comparison
    }

    #[test]
    fn slower_round_trips_of_every_payload_confirm() {
        let judgement = latency(&trips([Verdict::Better(Arm::Thread); 6], 0.1));
        assert_eq!(judgement.verdict, Confirmed);
        assert_eq!(
            judgement.evidence,
            "Threads were seen to be faster at 6 of 6 payloads. 0 B: 200 µs (process) against 100 µs (thread), \
             a ratio of 2.00 [1.80, 2.20]; 16 MiB: 200 µs (process) against 100 µs (thread), a ratio of 2.00 \
             [1.80, 2.20]."
        );
        assert_eq!(judgement.rows.len(), 6);
    }

    #[test]
    fn mixed_payloads_are_named() {
        let mut verdicts = [Verdict::Better(Arm::Thread); 6];
        verdicts[4] = Verdict::NoDifferenceSeen;
        verdicts[5] = Verdict::Better(Arm::Process);
        let judgement = latency(&trips(verdicts, 0.07));
        assert_eq!(judgement.verdict, Depends);
        assert!(judgement.evidence.starts_with(
            "Threads were seen to be faster at 4 of 6 payloads; not at 1 MiB (no difference of 7.00 % or more) \
             and 16 MiB (process better)."
        ));
    }

    #[test]
    fn round_trips_without_a_difference_refute_if_one_would_have_been_seen() {
        assert_eq!(
            latency(&trips([Verdict::NoDifferenceSeen; 6], 0.1)).verdict,
            Refuted
        );
        assert_eq!(
            latency(&trips([Verdict::NoDifferenceSeen; 6], 0.2)).verdict,
            Depends
        );
        assert_eq!(
            latency(&trips([Verdict::TooFewRounds; 6], 0.1)).verdict,
            Depends
        );
        assert_eq!(
            latency(&trips([Verdict::Better(Arm::Process); 6], 0.2)).verdict,
            Refuted
        );
    }

    const WORK: [&str; 4] = [
        "job.p50",
        "job.unmetered",
        "job.throughput[workers=1]",
        "job.throughput[workers=2]",
    ];

    /// The sample, where nothing differs in the work.
    fn equal(least: f64) -> Comparison {
        let mut comparison = sample();
        for id in WORK {
            set(
                &mut comparison,
                id,
                [1.0, 1.0],
                Verdict::NoDifferenceSeen,
                least,
            );
        }
        comparison
    }

    #[test]
    fn equal_work_confirms_where_a_tenth_would_have_been_seen() {
        let judgement = cpu(&equal(0.1));
        assert_eq!(judgement.verdict, Confirmed);
        assert_eq!(judgement.rows, WORK);
        let judgement = cpu(&equal(0.12));
        assert_eq!(judgement.verdict, Depends);
        assert!(judgement.evidence.starts_with(
            "job.p50: 1.00 s (process) against 1.00 s (thread), a ratio of 1.00 [0.90, 1.10]: no difference of \
             12.0 % or more; job.unmetered: 1.00 s (process) against 1.00 s (unmetered)"
        ));
    }

    #[test]
    fn equal_work_of_which_a_part_is_missing_depends() {
        let mut comparison = equal(0.05);
        comparison.rows.retain(|row| row.id() != "job.unmetered");
        let judgement = cpu(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(
            judgement
                .evidence
                .ends_with("; nothing is known of job.unmetered.")
        );
    }

    #[test]
    fn a_difference_with_and_without_checks_refutes_for_long_jobs_only() {
        let mut comparison = equal(0.05);
        let thread = Verdict::Better(Arm::Thread);
        set(&mut comparison, "job.p50", [1.06, 1.0], thread, 0.05);
        let unmetered = Verdict::Better(Arm::Unmetered);
        set(&mut comparison, UNMETERED, [1.06, 1.0], unmetered, 0.05);
        // The way takes microseconds, the job a second.
        let judgement = cpu(&comparison);
        assert_eq!(judgement.verdict, Refuted);
        assert!(
            judgement.evidence.ends_with("less than 5 % of a job."),
            "{}",
            judgement.evidence
        );
        set(&mut comparison, "job.p50", [1.06e-5, 1.0e-5], thread, 0.05);
        let judgement = cpu(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(
            judgement
                .evidence
                .ends_with("can come from the way, not the work.")
        );
        comparison.rows.retain(|row| row.experiment == "job");
        let judgement = cpu(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(
            judgement
                .evidence
                .ends_with("so it cannot be told from the work.")
        );
    }

    #[test]
    fn a_difference_that_only_the_checks_make_depends_and_says_what_they_cost() {
        let mut comparison = equal(0.05);
        let process = Verdict::Better(Arm::Process);
        set(&mut comparison, "job.p50", [1.0, 1.25], process, 0.05);
        let arms = comparison.series.get_mut("job.latency").unwrap();
        arms.insert(Arm::Thread, vec![vec![1.25]; 8]);
        arms.insert(Arm::Unmetered, vec![vec![1.0]; 8]);
        let judgement = cpu(&comparison);
        assert_eq!(judgement.verdict, Depends);
        let checks = "; the checks that make a thread interruptible cost 25.0 %; ";
        assert!(
            judgement.evidence.contains(checks),
            "{}",
            judgement.evidence
        );
        // Where the row without checks is too coarse, they may not be the reason.
        row(&mut comparison, UNMETERED).detectable = Some(0.11);
        let judgement = cpu(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(!judgement.evidence.contains("the checks"));
        // A thread that is faster with them than a process without is no matter of checks.
        row(&mut comparison, UNMETERED).detectable = Some(0.10);
        let thread = Verdict::Better(Arm::Thread);
        set(&mut comparison, "job.p50", [1.25, 1.0], thread, 0.05);
        let judgement = cpu(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(!judgement.evidence.contains("the checks"));
    }

    #[test]
    fn what_quick_leaves_out_is_told_as_such() {
        let mut comparison = equal(0.05);
        comparison.settings.budget = Budget::Quick;
        comparison.rows.retain(|row| row.id() != UNMETERED);
        let thread = Verdict::Better(Arm::Thread);
        set(&mut comparison, "job.p50", [1.5, 1.0], thread, 0.05);
        let judgement = cpu(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(
            judgement
                .evidence
                .contains("; job.unmetered is not measured with --quick; the way to a process"),
            "{}",
            judgement.evidence
        );
        comparison.rows.retain(|row| row.id() != throughput(1));
        let judgement = cpu(&comparison);
        assert!(judgement.evidence.contains(
            "; nothing is known of job.throughput[workers=1]; job.unmetered is not measured with --quick; "
        ));
    }

    #[test]
    fn a_small_difference_neither_confirms_nor_refutes() {
        let mut comparison = equal(0.05);
        let process = Verdict::Better(Arm::Process);
        set(&mut comparison, "job.unmetered", [0.97, 1.0], process, 0.02);
        assert_eq!(cpu(&comparison).verdict, Depends);
    }

    /// The sample, whose rounds did so many jobs a second with two workers; with one, 100.
    fn scaled(thread: &[f64], process: &[f64]) -> Comparison {
        let mut comparison = sample();
        let rounds = |values: &[f64]| values.iter().map(|&value| vec![value]).collect();
        let one = vec![vec![100.0]; thread.len()];
        for (workers, thread, process) in
            [(1, one.clone(), one), (2, rounds(thread), rounds(process))]
        {
            let series = row(&mut comparison, &throughput(workers)).series.clone();
            let arms = comparison.series.get_mut(&series).unwrap();
            arms.insert(Arm::Thread, thread);
            arms.insert(Arm::Process, process);
        }
        comparison
    }

    #[test]
    fn parallelism_is_true_from_six_tenths_of_a_further_cpu_on() {
        let judgement = parallelism(&scaled(&[160.0; 8], &[190.0; 8]));
        assert_eq!(judgement.verdict, Confirmed);
        assert_eq!(
            judgement.evidence,
            "With 2 workers instead of 1, jobs a second were 1.60 [1.60, 1.60] times in threads, 1.90 [1.90, 1.90] \
             times in processes; 1.60 times or more are taken for true parallelism."
        );
        assert_eq!(judgement.rows, WORK[2..]);
        let below = parallelism(&scaled(&[159.0; 8], &[190.0; 8]));
        assert_eq!(below.verdict, Refuted);
        let wide = [150.0, 150.0, 150.0, 150.0, 190.0, 190.0, 190.0, 190.0];
        assert_eq!(parallelism(&scaled(&wide, &[190.0; 8])).verdict, Depends);
        let low = [150.0, 150.0, 150.0, 150.0, 150.0, 190.0, 190.0, 190.0];
        assert_eq!(parallelism(&scaled(&low, &[190.0; 8])).verdict, Depends);
    }

    #[test]
    fn few_rounds_and_one_isolation_alone_prove_no_parallelism() {
        let judgement = parallelism(&scaled(&[190.0; 5], &[190.0; 5]));
        assert_eq!(judgement.verdict, Depends);
        assert!(judgement.evidence.contains("too few rounds for a verdict"));
        let mut comparison = scaled(&[190.0; 8], &[190.0; 8]);
        for arms in comparison.series.values_mut() {
            arms.remove(&Arm::Process);
        }
        let judgement = parallelism(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(
            judgement
                .evidence
                .contains("nothing is known of the other isolation")
        );
    }

    #[test]
    fn one_cpu_shows_no_parallelism() {
        let mut comparison = sample();
        comparison.settings.cpus = 1;
        let judgement = parallelism(&comparison);
        assert_eq!(judgement.verdict, NotMeasured);
        let why = "With one CPU there is nothing to run in parallel.";
        assert_eq!(judgement.evidence, why);
    }
}
