//! The claim `sharing`: whether only threads share data without copying.

use super::claims::ClaimVerdict::{Confirmed, Depends, Refuted};
use super::claims::Judgement;
use super::evidence::{finite, list, sentence, value, why_missing};
use super::prose::Source;
use super::result::{Comparison, Row};
use crate::experiment::{Arm, Sharing};
use crate::options::Isolation;

/// The bytes that are made known to every worker. One that takes more than half of them for itself holds
/// a copy.
const DATA: f64 = 16.0 * 1024.0 * 1024.0;

/// Workers to which the data is made known, of the numbers that are measured.
const READERS: u64 = 4;

/// Whether workers of an isolation share a region; `None` where nobody tried. That of processes counts
/// only if they were processes: three of them, with the host.
pub(super) fn shares(comparison: &Comparison, isolation: Isolation) -> Option<bool> {
    let mut tried = comparison
        .sharing
        .iter()
        .filter(|sharing| sharing.isolation == isolation)
        .peekable();
    tried.peek()?;
    Some(tried.all(is_shared))
}

fn is_shared(sharing: &Sharing) -> bool {
    let is_apart = match (sharing.isolation, sharing.writer_pid, sharing.reader_pid) {
        (Isolation::Thread, _, _) => true,
        (Isolation::Process, Some(writer), Some(reader)) => {
            writer != reader && writer != sharing.host_pid && reader != sharing.host_pid
        }
        (Isolation::Process, _, _) => false,
    };
    let is_exact = u64::try_from(sharing.counted) == Ok(sharing.additions);
    is_apart && is_exact && sharing.write_visible && sharing.host_sees_write
}

/// What was seen, isolation by isolation.
pub(super) fn shares_words(comparison: &Comparison) -> Vec<String> {
    let all = comparison.sharing.iter().enumerate();
    all.map(|(place, sharing)| words(place, sharing)).collect()
}

/// What was seen, as it stands in this place of the result.
fn words(place: usize, sharing: &Sharing) -> String {
    let isolation = sharing.isolation;
    let count =
        |field: &str, value: u64| Source::Result.count(&format!("sharing.{place}.{field}"), value);
    let ids = match (sharing.writer_pid, sharing.reader_pid) {
        (Some(writer), Some(reader)) => format!(
            "{} and {}",
            count("writer_pid", writer.into()),
            count("reader_pid", reader.into())
        ),
        _ => format!("of process {}", count("host_pid", sharing.host_pid.into())),
    };
    let additions = count("additions", sharing.additions);
    let counted = u64::try_from(sharing.counted).map_or_else(
        |_| sharing.counted.to_string(),
        |counted| count("counted", counted),
    );
    let seen = |is_seen: bool| if is_seen { "seen" } else { "not seen" };
    format!(
        "of two {isolation} workers ({ids}), what one wrote into a region was {} by the other and {} by the host, \
         and {additions} additions of both came to {counted}",
        seen(sharing.write_visible),
        seen(sharing.host_sees_write),
    )
}

/// `sharing`: who sees what whom writes; what the data costs by region, and what by message.
pub(super) fn sharing(comparison: &Comparison) -> Judgement {
    let (thread, process) = (
        shares(comparison, Isolation::Thread),
        shares(comparison, Isolation::Process),
    );
    if thread.is_none() && process.is_none() {
        return Judgement::not_measured(why_missing(comparison, "sharing"));
    }
    let kept = find(comparison, &held("region")).and_then(|row| finite(row, Arm::Process));
    let is_copied = kept.is_some_and(|kept| kept > DATA / 2.0);
    let verdict = match (thread, process) {
        (_, Some(true)) if is_copied => Depends,
        (_, Some(true)) => Refuted,
        (Some(true), Some(false)) => Confirmed,
        (Some(false) | None, Some(false)) | (_, None) => Depends,
    };
    let mut said = shares_words(comparison);
    said.extend(missing_words(thread, process));
    let costs = [
        cost(
            comparison,
            &format!("one more worker with {} takes", data()),
            held,
        ),
        cost(
            comparison,
            &format!("{} had read it after", readers(comparison)),
            read,
        ),
    ];
    let mut rows = Vec::new();
    for (words, ids) in costs.into_iter().flatten() {
        said.push(words);
        rows.extend(ids);
    }
    Judgement::new(verdict, sentence(&said.join("; "))).resting_on(rows)
}

/// How much is made known.
fn data() -> String {
    Source::Finding("sharing").mark("data", DATA, "16 MiB")
}

/// How many read it: a parameter of the rows that tell.
fn readers(comparison: &Comparison) -> String {
    let ids = ["region", "message"].map(read);
    let known = ids.iter().find(|id| find(comparison, id).is_some());
    known.map_or(READERS.to_string(), |id| {
        Source::Row(id).count("params.workers", READERS)
    })
}

fn missing_words(thread: Option<bool>, process: Option<bool>) -> Option<String> {
    let missing = match (thread, process) {
        (None, _) => "thread",
        (_, None) => "process",
        (Some(_), Some(_)) => return None,
    };
    Some(format!("nothing is known of {missing} workers"))
}

fn held(way: &str) -> String {
    format!("sharing.pss_per_worker[way={way}]")
}

fn read(way: &str) -> String {
    format!("sharing.read[way={way},workers={READERS}]")
}

fn find<'c>(comparison: &'c Comparison, id: &str) -> Option<&'c Row> {
    comparison.rows.iter().find(|row| row.id() == id)
}

/// What something costs by region and by message, as far as it is known, and the rows that say so.
fn cost(
    comparison: &Comparison,
    what: &str,
    id: fn(&str) -> String,
) -> Option<(String, Vec<String>)> {
    let known: Vec<(String, String)> = ["region", "message"]
        .into_iter()
        .filter_map(|way| {
            let row = find(comparison, &id(way))?;
            Some((format!("{} by {way}", values(row)?), row.id()))
        })
        .collect();
    let (words, rows): (Vec<String>, Vec<String>) = known.into_iter().unzip();
    (!rows.is_empty()).then(|| (format!("{what} {}", words.join(", and ")), rows))
}

/// `24 KiB in a thread and 838 KiB in a process`, or what is known of it.
fn values(row: &Row) -> Option<String> {
    let one = |arm: Arm| value(row, arm).map(|value| format!("{value} in a {arm}"));
    let known: Vec<String> = [Arm::Thread, Arm::Process]
        .into_iter()
        .filter_map(one)
        .collect();
    (!known.is_empty()).then(|| list(&known))
}

#[cfg(test)]
mod tests {
    use super::super::claims::ClaimVerdict::NotMeasured;
    use super::super::sample::sample;
    use super::*;

    fn set(comparison: &mut Comparison, id: &str, thread: f64, process: f64) {
        let row = comparison.rows.iter_mut().find(|row| row.id() == id);
        let row = row.unwrap_or_else(|| panic!("the sample has no {id}"));
        for (arm, value) in [(Arm::Thread, thread), (Arm::Process, process)] {
            row.arms.get_mut(&arm).unwrap().value = value;
        }
    }

    #[test]
    fn processes_that_share_a_region_refute_with_figures() {
        let mut comparison = sample();
        set(&mut comparison, &held("region"), 40960.0, 1_048_576.0);
        set(
            &mut comparison,
            &held("message"),
            16_777_216.0,
            33_554_432.0,
        );
        set(&mut comparison, &read("region"), 0.0001, 0.0003);
        set(&mut comparison, &read("message"), 0.012, 0.09);
        let judgement = sharing(&comparison);
        assert_eq!(judgement.verdict, Refuted);
        assert_eq!(
            judgement.evidence,
            "Of two thread workers (of process 4100), what one wrote into a region was seen by the other and seen \
             by the host, and 2000 additions of both came to 2000; of two process workers (4121 and 4122), what one \
             wrote into a region was seen by the other and seen by the host, and 2000 additions of both came to \
             2000; one more worker with 16 MiB takes 40 KiB in a thread and 1 MiB in a process by region, and 16 MiB \
             in a thread and 32 MiB in a process by message; 4 had read it after 100 µs in a thread and 300 µs in a \
             process by region, and 12.0 ms in a thread and 90.0 ms in a process by message."
        );
        let rows = [
            held("region"),
            held("message"),
            read("region"),
            read("message"),
        ];
        assert_eq!(judgement.rows, rows);
    }

    #[test]
    fn facts_without_figures_suffice() {
        let mut comparison = sample();
        comparison.rows.clear();
        let judgement = sharing(&comparison);
        assert_eq!(judgement.verdict, Refuted);
        assert!(judgement.rows.is_empty());
    }

    #[test]
    fn a_process_that_takes_the_data_once_more_has_copied_it() {
        let mut comparison = sample();
        set(&mut comparison, &held("region"), 0.0, 0.49 * DATA);
        assert_eq!(sharing(&comparison).verdict, Refuted);
        set(&mut comparison, &held("region"), 0.0, 0.51 * DATA);
        assert_eq!(sharing(&comparison).verdict, Depends);
    }

    /// The sample, where this is otherwise with the process workers.
    fn but(change: impl FnOnce(&mut Sharing)) -> Comparison {
        let mut comparison = sample();
        let of_processes = comparison
            .sharing
            .iter_mut()
            .find(|sharing| sharing.isolation == Isolation::Process);
        change(of_processes.unwrap());
        comparison
    }

    #[test]
    fn what_a_process_does_not_see_is_not_shared() {
        let changes: [fn(&mut Sharing); 7] = [
            |sharing| sharing.write_visible = false,
            |sharing| sharing.host_sees_write = false,
            |sharing| sharing.counted = 1999,
            |sharing| sharing.counted = -2000,
            |sharing| sharing.reader_pid = sharing.writer_pid,
            |sharing| sharing.reader_pid = Some(sharing.host_pid),
            |sharing| sharing.writer_pid = None,
        ];
        for change in changes {
            assert_eq!(sharing(&but(change)).verdict, Confirmed);
        }
        let judgement = sharing(&but(|sharing| sharing.write_visible = false));
        let told = "(4121 and 4122), what one wrote into a region was not seen by the other and seen by the host";
        assert!(judgement.evidence.contains(told), "{}", judgement.evidence);
    }

    #[test]
    fn one_isolation_alone_is_half_of_the_claim() {
        let only = |isolation| {
            let mut comparison = sample();
            comparison
                .sharing
                .retain(|sharing| sharing.isolation == isolation);
            sharing(&comparison)
        };
        let judgement = only(Isolation::Thread);
        assert_eq!(judgement.verdict, Depends);
        assert!(
            judgement
                .evidence
                .contains("nothing is known of process workers")
        );
        // That processes share is enough to refute that only threads do.
        assert_eq!(only(Isolation::Process).verdict, Refuted);
    }

    #[test]
    fn what_nobody_tried_is_not_judged() {
        let mut comparison = sample();
        comparison.sharing.clear();
        comparison.parts.retain(|part| part.experiment != "sharing");
        let judgement = sharing(&comparison);
        assert_eq!(judgement.verdict, NotMeasured);
        assert_eq!(
            judgement.evidence,
            "The experiment `sharing` was not selected."
        );
    }
}
