//! What a process costs and what it saves, in sentences from the rows and the faults.

use super::crossover::{SHARE, SURE, crossover, way};
use super::evidence::{Seen, list, percent, seen};
use super::prose::Source;
use super::result::{Comparison, ContainmentRow, Verdict};
use super::words::show;
use crate::experiment::{Arm, Fate};
use crate::options::Isolation;
use crate::units::{ByteSize, seconds};

/// What a process takes away from this guest's work.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Burden {
    /// This share of a job's time, or of the jobs that all CPUs do, whichever is more.
    Share(f64),
    /// Nothing: a cost of [`STATED`] would have been seen in each row, and in the worst of them one of
    /// this share; `None` where jobs were even seen to be better off.
    Unseen(Option<f64>),
    /// Nothing that was seen, by rows that say little; but the way itself is cheap.
    Way {
        /// The share of a job that the way to a process takes.
        share: f64,
        /// From this share on, a cost would have been seen in the worst of the rows, if that is known.
        least: Option<f64>,
    },
    /// Nothing that was seen, by rows that say little; and the way is dear, or was not measured.
    Untold(
        /// From this share on, a cost would have been seen in the worst of the rows, if that is known.
        Option<f64>,
    ),
}

/// The cost that has to be ruled out before none is said to have been seen: a tenth.
const STATED: f64 = 0.10;

impl Burden {
    /// Whether it is more than next to nothing; `None` where that cannot be told.
    pub(super) fn is_dear(self) -> Option<bool> {
        match self {
            Self::Share(share) => Some(share > SHARE),
            Self::Unseen(_) | Self::Way { .. } => Some(false),
            Self::Untold(_) => None,
        }
    }
}

/// The price of a process in this guest's work: from the time of a job and the throughput of all CPUs;
/// where these were not measured well, from the length of the way. `None` where neither was.
pub(super) fn burden(comparison: &Comparison) -> Option<Burden> {
    let is_decided = |row: &Seen<'_>| row.verdict != Verdict::TooFewRounds;
    let Some(job) = seen(comparison, "job.p50").filter(is_decided) else {
        return by_the_way(comparison).map(Burden::Share);
    };
    let load = seen(comparison, &throughput(comparison));
    let rows: Vec<Seen<'_>> = [Some(job), load].into_iter().flatten().collect();
    let dearest = rows
        .iter()
        .filter(|row| row.is_better(Arm::Thread))
        .map(Seen::difference)
        .reduce(f64::max);
    if let Some(share) = dearest {
        return Some(Burden::Share(share));
    }
    let least = rows
        .iter()
        .filter(|row| row.verdict == Verdict::NoDifferenceSeen)
        .filter_map(Seen::detectable)
        .reduce(f64::max);
    let is_ruled_out = |row: &Seen<'_>| row.is_better(Arm::Process) || row.rules_out(STATED);
    if rows.iter().all(is_ruled_out) {
        return Some(Burden::Unseen(least));
    }
    Some(match by_the_way(comparison) {
        Some(share) if share <= SHARE => Burden::Way { share, least },
        Some(_) | None => Burden::Untold(least),
    })
}

/// The rows that [`burden`] rests on, as far as they are there.
pub(super) fn burden_rows(comparison: &Comparison) -> Vec<String> {
    let Some(burden) = burden(comparison) else {
        return Vec::new();
    };
    let job = seen(comparison, "job.p50").filter(|row| row.verdict != Verdict::TooFewRounds);
    let load = throughput(comparison);
    let work: &[&str] = match job {
        Some(_) => &["job.p50", &load],
        None => &[],
    };
    // Where the work itself decides, nobody asks for the way.
    let way: &[&str] = match (job, burden) {
        (None, _) | (_, Burden::Way { .. } | Burden::Untold(_)) => &[TRIP],
        (Some(_), Burden::Share(_) | Burden::Unseen(_)) => &[],
    };
    let rows = work.iter().chain(way);
    let known = rows.filter(|id| seen(comparison, id).is_some());
    known.map(|&id| id.to_owned()).collect()
}

/// The share of a job that the way to a process takes, if enough rounds tell.
fn by_the_way(comparison: &Comparison) -> Option<f64> {
    let (_, share) = way(comparison)?;
    let trip = seen(comparison, TRIP)?;
    (trip.verdict != Verdict::TooFewRounds).then_some(share.max(0.0))
}

/// The round trip that stands for the way.
const TRIP: &str = "message.round_trip[payload=64]";

fn throughput(comparison: &Comparison) -> String {
    format!("job.throughput[workers={}]", comparison.settings.cpus)
}

/// A row of the cost: its id, what it is about, and how a process worker that is worse or better in it
/// is described.
struct Aspect {
    id: String,
    about: &'static str,
    words: fn(&Comparison, &Seen<'_>, Arm) -> String,
}

fn aspects(comparison: &Comparison) -> [Aspect; 5] {
    let aspect = |id: &str, about, words| Aspect {
        id: id.to_owned(),
        about,
        words,
    };
    [
        aspect("start.first_echo", "start-up", |_, row, better| {
            format!("starts {} {}", gap(row), pick(better, "later", "sooner"))
        }),
        aspect(
            TRIP,
            "the round trip of a short message",
            |comparison, row, better| {
                let more = pick(better, "longer", "less");
                // As in `meaning`: by rounds. The difference of the medians is another number.
                let gap = way(comparison).map_or_else(
                    || gap(row),
                    |(way, _)| {
                        let size = way.abs();
                        Source::Finding("way").mark("size_s", size, &seconds(size))
                    },
                );
                format!("takes {gap} {more} for a round trip of {}", small())
            },
        ),
        aspect("job.p50", "the time of a job", |_, row, better| {
            let more = pick(better, "longer", "less time");
            format!("takes {} {more} for a job", share(row))
        }),
        aspect(
            &throughput(comparison),
            "jobs a second on all CPUs",
            |_, row, better| {
                let fewer = pick(better, "fewer", "more");
                format!("does {} {fewer} jobs a second on all CPUs", share(row))
            },
        ),
        aspect(
            "memory.pss_per_worker[state=idle]",
            "memory",
            |_, row, better| {
                let more = pick(better, "more", "less");
                format!("takes {} {more} memory when idle (PSS)", gap(row))
            },
        ),
    ]
}

fn pick(better: Arm, worse: &'static str, well: &'static str) -> &'static str {
    if better == Arm::Thread { worse } else { well }
}

/// How far the values of both arms lie apart.
fn gap(row: &Seen<'_>) -> String {
    let gap = (row.above - row.below).abs();
    row.mark("gap", gap, &show(gap, row.row.unit))
}

/// How far the ratio lies from 1.
fn share(row: &Seen<'_>) -> String {
    let share = row.ratio.median - 1.0;
    row.mark("excess", share, &percent(share))
}

/// Seconds that the way takes longer with 64 B.
pub(super) fn way_words(overhead: f64) -> String {
    Source::Finding("way").mark("overhead_s", overhead, &seconds(overhead))
}

/// The share of a job that the way takes.
pub(super) fn way_share(share: f64) -> String {
    Source::Finding("way").mark("share", share, &percent(share))
}

/// The payload that stands for the way.
pub(super) fn small() -> String {
    Source::Row(TRIP).mark("params.payload", 64.0, "64 B")
}

/// What a process costs: the differences that were seen, those that were not, and those that too few
/// rounds tell about. `None` where nothing was measured.
pub(super) fn cost(comparison: &Comparison) -> Option<String> {
    let (mut differs, mut unseen, mut undecided) = (Vec::new(), Vec::new(), Vec::new());
    for Aspect { id, about, words } in aspects(comparison) {
        let Some(row) = seen(comparison, &id) else {
            continue;
        };
        match (row.verdict, row.detectable()) {
            (Verdict::Better(better), _) => differs.push(words(comparison, &row, better)),
            (Verdict::NoDifferenceSeen, Some(least)) => {
                let least = row.mark("detectable", least, &percent(least));
                unseen.push(format!("{about} ({least} would have been)"));
            }
            (Verdict::NoDifferenceSeen, None) => unseen.push(about.to_owned()),
            (Verdict::TooFewRounds, _) => undecided.push(about.to_owned()),
        }
    }
    let parts: Vec<String> = [
        ("a process worker", differs, "against a thread worker, "),
        ("no difference was seen in", unseen, ""),
        ("too few rounds were done to tell about", undecided, ""),
    ]
    .into_iter()
    .filter(|(_, items, _)| !items.is_empty())
    .map(|(head, items, before)| format!("{before}{head} {}", list(&items)))
    .collect();
    (!parts.is_empty()).then(|| format!("What a process costs: {}.", parts.join("; ")))
}

/// The faults that a process held and a thread did not.
fn saved(comparison: &Comparison) -> Vec<(&ContainmentRow, &ContainmentRow)> {
    let find = |of: &ContainmentRow| {
        comparison
            .containment
            .iter()
            .find(|row| row.fault == of.fault && row.isolation == Isolation::Process)
    };
    comparison
        .containment
        .iter()
        .filter(|row| row.isolation == Isolation::Thread && row.observed > Fate::WorkerLost)
        .filter_map(|thread| Some((thread, find(thread)?)))
        .filter(|(_, process)| process.observed <= Fate::WorkerLost)
        .collect()
}

/// The names of the faults that a process held and a thread did not, quoted.
pub(super) fn saved_names(comparison: &Comparison) -> Vec<String> {
    saved(comparison)
        .iter()
        .map(|(thread, _)| quoted(thread))
        .collect()
}

fn quoted(row: &ContainmentRow) -> String {
    format!("\"{}\"", row.fault)
}

/// What a process saves. `None` where no faults were injected into processes.
pub(super) fn saving(comparison: &Comparison) -> Option<String> {
    let process = || {
        let rows = comparison.containment.iter();
        rows.filter(|row| row.isolation == Isolation::Process)
    };
    process().next()?;
    let saved = saved(comparison);
    let escaped: Vec<String> = process()
        .filter(|row| row.observed > Fate::WorkerLost)
        .map(quoted)
        .collect();
    let mut text = if saved.is_empty() {
        "What it saves: no fault was injected that a process held and a thread did not".to_owned()
    } else {
        let names = list(&saved_names(comparison));
        format!(
            "What it saves: faults that reached others from a thread cost at the most the worker in a process: {names}"
        )
    };
    let spans: Vec<(f64, usize)> = saved
        .iter()
        .filter_map(|(_, process)| Some((process.recovery_s?, process.injections)))
        .filter(|(span, _)| span.is_finite())
        .collect();
    if let Some(slowest) = spans.iter().map(|(span, _)| *span).reduce(f64::max) {
        text.push_str("; its pool worked again after ");
        text.push_str(&Source::Finding("saving").mark("slowest_s", slowest, &seconds(slowest)));
        let is_median = spans.iter().any(|(_, injections)| *injections > 1);
        text.push_str(match (is_median, spans.len()) {
            (true, _) => " (the slowest of their medians)",
            (false, 1) => "",
            (false, _) => " at the most",
        });
    }
    if !escaped.is_empty() {
        text.push_str("; a process did not hold ");
        text.push_str(&list(&escaped));
    }
    text.push('.');
    Some(text)
}

/// What the way to a process means for a job of this guest. `None` where it was not measured.
pub(super) fn meaning(comparison: &Comparison) -> Option<String> {
    let found = crossover(comparison)?;
    let (overhead, share) = way(comparison)?;
    let all = Source::Crossover("all");
    let largest = found.points.last()?.payload_bytes;
    let least = found.points.first()?.overhead_s;
    let is_more = least.confidence >= SURE && least.low > SHARE * found.job_s;
    let adds = if overhead > 0.0 {
        format!(
            "the way to a process and back adds {} with {}, {} of it",
            way_words(overhead),
            small(),
            way_share(share)
        )
    } else {
        format!(
            "the way to a process and back adds nothing with {}",
            small()
        )
    };
    let limit = limit_words();
    let reach = match found.payload_bytes {
        Some(most) if most == largest => format!(
            "it stays within {limit} up to {}, the most that was measured",
            reached(most)
        ),
        Some(most) => format!(
            "it stays within {limit} up to a payload of {}",
            reached(most)
        ),
        None if is_more => {
            format!("it is more than {limit} with the smallest payload that was measured")
        }
        None => format!("it cannot be told yet whether it stays within {limit}"),
    };
    Some(format!(
        "For this guest: a job takes {} in a thread; {adds}, and {reach}.",
        all.mark("job_s", found.job_s, &seconds(found.job_s))
    ))
}

/// What "next to nothing" is: `5 %`.
pub(super) fn limit_words() -> String {
    let limit = format!("{:.0} %", 100.0 * SHARE);
    Source::Crossover("all").mark("share", SHARE, &limit)
}

/// The largest payload with which a job pays no more than that.
fn reached(most: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a payload far below 2^53 bytes")]
    let value = most as f64;
    let shown = ByteSize::from_bytes(most).to_string();
    Source::Crossover("all").mark("payload_bytes", value, &shown)
}

/// The price in a few words: `12.0 % of a job`, or what else was seen.
pub(super) fn price_words(comparison: &Comparison) -> String {
    match burden(comparison) {
        Some(Burden::Share(share)) if share > 0.0 => format!(
            "{} of a job",
            Source::Finding("burden").mark("share", share, &percent(share))
        ),
        None => "the price, which was not measured,".to_owned(),
        Some(Burden::Untold(_)) => "the price, which cannot be told yet,".to_owned(),
        Some(Burden::Share(_) | Burden::Unseen(_) | Burden::Way { .. }) => {
            let dearer = |id: &str| seen(comparison, id).filter(|row| row.is_better(Arm::Thread));
            let later =
                dearer("start.first_echo").map(|row| format!("{} at each start", gap(&row)));
            let larger = dearer("memory.pss_per_worker[state=idle]")
                .map(|row| format!("{} for each worker", gap(&row)));
            let known: Vec<String> = later.into_iter().chain(larger).collect();
            if known.is_empty() {
                "a price that was not seen here".to_owned()
            } else {
                list(&known)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::prose::plain;
    use super::super::sample::sample;
    use super::*;
    use crate::experiment::Fault;
    use crate::stats::Interval;

    fn cost(comparison: &Comparison) -> Option<String> {
        super::cost(comparison).map(|marked| plain(&marked))
    }

    fn saving(comparison: &Comparison) -> Option<String> {
        super::saving(comparison).map(|marked| plain(&marked))
    }

    fn meaning(comparison: &Comparison) -> Option<String> {
        super::meaning(comparison).map(|marked| plain(&marked))
    }

    /// Writes a row's numbers by hand: process, thread.
    fn set(comparison: &mut Comparison, id: &str, values: [f64; 2], verdict: Verdict) {
        let row = comparison
            .rows
            .iter_mut()
            .find(|row| row.id() == id)
            .unwrap();
        row.arms.get_mut(&Arm::Process).unwrap().value = values[0];
        row.arms.get_mut(&Arm::Thread).unwrap().value = values[1];
        let median = values[0] / values[1];
        row.ratio = Some(Interval {
            median,
            low: median,
            high: median,
            confidence: 0.95,
        });
        row.verdict = Some(verdict);
        row.detectable = Some(0.07);
    }

    const THREAD: Verdict = Verdict::Better(Arm::Thread);
    const SAME: Verdict = Verdict::NoDifferenceSeen;

    /// Lets the way to a process and back take so many seconds in each of eight rounds.
    fn way_of(comparison: &mut Comparison, overhead: f64) {
        let arms = [
            (Arm::Process, 1e-5 + overhead),
            (Arm::Thread, 1e-5),
            (Arm::Control, 1e-5),
        ];
        let rounds = arms.map(|(arm, seconds)| (arm, vec![vec![seconds]; 8]));
        comparison.series.insert(TRIP.to_owned(), rounds.into());
    }

    fn priced() -> Comparison {
        let mut comparison = sample();
        let kib = 1024.0;
        set(
            &mut comparison,
            "start.first_echo",
            [0.0022, 0.0002],
            THREAD,
        );
        // The medians differ by 21 µs, the rounds by 20.
        set(&mut comparison, TRIP, [3.1e-5, 1e-5], THREAD);
        way_of(&mut comparison, 2e-5);
        set(&mut comparison, "job.p50", [0.02, 0.02], SAME);
        set(
            &mut comparison,
            "job.throughput[workers=2]",
            [50.0, 50.0],
            Verdict::TooFewRounds,
        );
        set(
            &mut comparison,
            "memory.pss_per_worker[state=idle]",
            [838.0 * kib, 24.0 * kib],
            THREAD,
        );
        comparison
    }

    #[test]
    fn the_cost_tells_seen_unseen_and_undecided_apart() {
        assert_eq!(
            cost(&priced()).unwrap(),
            "What a process costs: against a thread worker, a process worker starts 2.00 ms later, takes \
             20.0 µs longer for a round trip of 64 B and takes 814 KiB more memory when idle (PSS); no \
             difference was seen in the time of a job (7.00 % would have been); too few rounds were done to \
             tell about jobs a second on all CPUs."
        );
    }

    #[test]
    fn cost_and_meaning_agree_about_the_round_trip() {
        let comparison = priced();
        let told = meaning(&comparison).unwrap();
        assert!(
            told.starts_with(
                "For this guest: a job takes 20.0 ms in a thread; the way to a process and back adds 20.0 µs with \
                 64 B, 0.10 % of it, and"
            ),
            "{told}"
        );
        assert!(cost(&comparison).unwrap().contains("takes 20.0 µs longer"));
    }

    #[test]
    fn a_process_that_is_better_is_told_as_such() {
        let mut comparison = priced();
        let process = Verdict::Better(Arm::Process);
        set(&mut comparison, "job.p50", [0.09, 0.1], process);
        set(
            &mut comparison,
            "job.throughput[workers=2]",
            [110.0, 100.0],
            process,
        );
        comparison.rows.retain(|row| row.experiment == "job");
        assert_eq!(
            cost(&comparison).unwrap(),
            "What a process costs: against a thread worker, a process worker takes 10.0 % less time for a job \
             and does 10.0 % more jobs a second on all CPUs."
        );
        assert_eq!(burden(&comparison), Some(Burden::Unseen(None)));
    }

    /// The sample, where no row of the work shows a difference, a job takes 20 ms and the way so long;
    /// from these shares on a cost would have been seen.
    fn unseen(job: f64, load: f64, overhead: f64) -> Comparison {
        let mut comparison = sample();
        let load_id = throughput(&comparison);
        for (id, least) in [("job.p50", job), (load_id.as_str(), load)] {
            set(&mut comparison, id, [0.02, 0.02], SAME);
            let mut rows = comparison.rows.iter_mut();
            rows.find(|row| row.id() == id).unwrap().detectable = Some(least);
        }
        way_of(&mut comparison, overhead);
        comparison
    }

    #[test]
    fn no_cost_was_seen_only_where_each_row_would_have_shown_a_tenth() {
        let of = |job, load, overhead| burden(&unseen(job, load, overhead)).unwrap();
        assert_eq!(of(0.10, 0.03, 1.0), Burden::Unseen(Some(0.10)));
        assert_eq!(of(0.03, 0.10, 1.0), Burden::Unseen(Some(0.10)));
        for (job, load) in [(0.03, 0.40), (0.40, 0.03)] {
            let found = of(job, load, 30e-6);
            let Burden::Way { share, least } = found else {
                panic!("{found:?}")
            };
            assert!((share - 0.0015).abs() < 1e-12 && least == Some(0.40));
            assert_eq!(found.is_dear(), Some(false));
            let found = of(job, load, 0.0011);
            assert_eq!(found, Burden::Untold(Some(0.40)));
            assert_eq!(found.is_dear(), None);
        }
        assert!(matches!(of(0.40, 0.40, 0.0009), Burden::Way { .. }));
    }

    #[test]
    fn a_row_with_too_few_rounds_or_without_a_limit_rules_nothing_out() {
        let mut comparison = unseen(0.03, 0.03, 0.0011);
        let load = throughput(&comparison);
        set(&mut comparison, &load, [0.02, 0.02], Verdict::TooFewRounds);
        assert_eq!(burden(&comparison), Some(Burden::Untold(Some(0.03))));
        for least in [None, Some(f64::NAN)] {
            let mut comparison = unseen(0.03, 0.03, 0.0011);
            for row in &mut comparison.rows {
                row.detectable = least;
            }
            assert_eq!(burden(&comparison), Some(Burden::Untold(None)));
            assert_eq!(
                price_words(&comparison),
                "the price, which cannot be told yet,"
            );
        }
    }

    #[test]
    fn a_way_that_was_not_measured_tells_nothing() {
        let mut comparison = unseen(0.40, 0.40, 30e-6);
        comparison.rows.retain(|row| row.experiment == "job");
        assert_eq!(burden(&comparison), Some(Burden::Untold(Some(0.40))));
        let mut comparison = unseen(0.40, 0.40, 30e-6);
        set(&mut comparison, TRIP, [4e-5, 1e-5], Verdict::TooFewRounds);
        assert_eq!(burden(&comparison), Some(Burden::Untold(Some(0.40))));
    }

    #[test]
    fn the_saving_names_the_faults_and_the_time_to_recover() {
        assert_eq!(
            saving(&sample()).unwrap(),
            "What it saves: faults that reached others from a thread cost at the most the worker in a process: \
             \"host function aborts\", \"host function segfaults\", \"worker gets SIGKILL\" and \"worker gets \
             SIGSTOP\"; its pool worked again after 4.70 ms (the slowest of their medians)."
        );
    }

    #[test]
    fn of_one_injection_there_is_no_median() {
        let mut comparison = sample();
        for row in &mut comparison.containment {
            row.injections = 1;
        }
        let told = saving(&comparison).unwrap();
        assert!(
            told.ends_with("; its pool worked again after 4.70 ms at the most."),
            "{told}"
        );
        comparison
            .containment
            .retain(|row| row.fault == Fault::Kill);
        assert_eq!(
            saving(&comparison).unwrap(),
            "What it saves: faults that reached others from a thread cost at the most the worker in a process: \
             \"worker gets SIGKILL\"; its pool worked again after 4.70 ms."
        );
    }

    #[test]
    fn a_fault_that_a_process_does_not_hold_is_told() {
        let mut comparison = sample();
        comparison
            .containment
            .retain(|row| row.fault == Fault::Kill);
        comparison.containment[1].observed = Fate::HostDied;
        assert_eq!(
            saving(&comparison).unwrap(),
            "What it saves: no fault was injected that a process held and a thread did not; a process did not \
             hold \"worker gets SIGKILL\"."
        );
        comparison.containment.pop();
        assert_eq!(saving(&comparison), None);
    }

    #[test]
    fn what_the_way_means_is_told_with_its_reach() {
        let mut comparison = sample();
        comparison
            .rows
            .retain(|row| row.number("payload").is_some_and(|payload| payload <= 4096));
        comparison.guest.job_s = 0.01;
        let text = meaning(&comparison).unwrap();
        assert!(text.starts_with(
            "For this guest: a job takes 10.0 ms in a thread; the way to a process and back adds 8."
        ));
        assert!(
            text.ends_with(" it stays within 5 % up to 4 KiB, the most that was measured."),
            "{text}"
        );
        comparison.guest.job_s = 1e-6;
        let text = meaning(&comparison).unwrap();
        assert!(
            text.ends_with(" it is more than 5 % with the smallest payload that was measured.")
        );
        // Four rounds of eight lie below the limit, and four above.
        way_of(&mut comparison, 1e-6);
        comparison.rows.retain(|row| row.id() == TRIP);
        comparison.guest.job_s = 21e-6;
        let rounds = comparison.series.get_mut(TRIP).unwrap();
        rounds.get_mut(&Arm::Process).unwrap()[..4].fill(vec![1.2e-5]);
        let text = meaning(&comparison).unwrap();
        assert!(
            text.ends_with(" it cannot be told yet whether it stays within 5 %."),
            "{text}"
        );
        comparison.rows.clear();
        assert_eq!(meaning(&comparison), None);
    }

    #[test]
    fn the_burden_is_the_larger_of_time_and_throughput() {
        let mut comparison = priced();
        set(&mut comparison, "job.p50", [0.0206, 0.02], THREAD);
        assert_eq!(burden(&comparison).unwrap().is_dear(), Some(false));
        set(
            &mut comparison,
            "job.throughput[workers=2]",
            [40.0, 50.0],
            THREAD,
        );
        let found = burden(&comparison).unwrap();
        assert_eq!(found, Burden::Share(0.25));
        assert_eq!(found.is_dear(), Some(true));
    }

    #[test]
    fn without_a_job_row_the_way_tells_the_burden() {
        let mut comparison = sample();
        comparison.rows.retain(|row| row.experiment == "message");
        comparison.guest.job_s = 1e-4;
        assert!(matches!(
            burden(&comparison),
            Some(Burden::Share(share)) if share > 0.07 && share < 0.1
        ));
        comparison.rows.clear();
        assert_eq!(burden(&comparison), None);
    }
}
