//! The claims that rest on facts: who lives where, who sees what, who died.

use super::claims::ClaimVerdict::{Confirmed, Depends, Refuted};
use super::claims::Judgement;
use super::evidence::{finite, list, payload, sentence, value, why_missing};
use super::prose::Source;
use super::result::{Comparison, ContainmentRow, Row};
use super::rounds::values;
use super::sharing::shares;
use crate::experiment::{Arm, Fate, Fault, Identity};
use crate::options::Isolation;

/// Rounds that a size has to rest on: fewer give no interval of 95 %.
const LEAST_ROUNDS: usize = 6;

fn identity(comparison: &Comparison, isolation: Isolation) -> Option<&Identity> {
    comparison
        .identities
        .iter()
        .find(|identity| identity.isolation == isolation)
}

/// The identities of both isolations, or why they are not both there: thread, process.
fn both(comparison: &Comparison) -> (Option<&Identity>, Option<&Identity>) {
    (
        identity(comparison, Isolation::Thread),
        identity(comparison, Isolation::Process),
    )
}

/// A number of the identities of an isolation, marked.
fn id(comparison: &Comparison, isolation: Isolation, field: &str, value: u32) -> String {
    let mut identities = comparison.identities.iter();
    let place = identities.position(|identity| identity.isolation == isolation);
    let field = format!("identities.{}.{field}", place.unwrap_or_default());
    Source::Result.count(&field, u64::from(value))
}

/// Why it is not known where workers live.
const NOBODY_ASKED: &str = "no worker told where it lives";

/// `type`: what the ids say.
pub(super) fn kind(comparison: &Comparison) -> Judgement {
    let thread_holds = |id: &Identity| id.worker_pid == id.host_pid && id.worker_tid != id.host_tid;
    let process_holds = |id: &Identity| {
        id.worker_pid != id.host_pid && id.worker_pid_by_host == Some(id.worker_pid)
    };
    let thread_says = |ids: &Identity| {
        let told = |field, value| id(comparison, ids.isolation, field, value);
        format!(
            "a thread worker was thread {} of process {}, where the host was thread {} of process {}",
            told("worker_tid", ids.worker_tid),
            told("worker_pid", ids.worker_pid),
            told("host_tid", ids.host_tid),
            told("host_pid", ids.host_pid)
        )
    };
    let process_says = |ids: &Identity| {
        let told = |field, value| id(comparison, ids.isolation, field, value);
        let by_host = ids
            .worker_pid_by_host
            .map_or("none".to_owned(), |pid| told("worker_pid_by_host", pid));
        format!(
            "a process worker was process {} by its own word and {by_host} by the host's, which was process {}",
            told("worker_pid", ids.worker_pid),
            told("host_pid", ids.host_pid)
        )
    };
    let (thread, process) = both(comparison);
    let said: Vec<String> = thread
        .map(thread_says)
        .into_iter()
        .chain(process.map(process_says))
        .collect();
    two_halves(
        thread.map(thread_holds),
        process.map(process_holds),
        NOBODY_ASKED,
        &said,
    )
}

/// A claim of two halves: one about threads, one about processes.
fn two_halves(
    thread: Option<bool>,
    process: Option<bool>,
    reason: &str,
    said: &[String],
) -> Judgement {
    let verdict = match (thread, process) {
        (None, None) => return Judgement::not_measured(reason),
        (Some(false), _) | (_, Some(false)) => Refuted,
        (Some(true), Some(true)) => Confirmed,
        (Some(true), None) | (None, Some(true)) => Depends,
    };
    let missing = match (thread, process) {
        (None, _) => "; nothing is known of a thread worker",
        (_, None) => "; nothing is known of a process worker",
        (Some(_), Some(_)) => "",
    };
    Judgement::new(verdict, sentence(&format!("{}{missing}", said.join("; "))))
}

/// Whether the host sees what a worker writes: `None` where nobody looked.
fn visible(comparison: &Comparison) -> (Option<bool>, Option<bool>) {
    let (thread, process) = both(comparison);
    (
        thread.map(|id| id.write_visible),
        process.map(|id| id.write_visible),
    )
}

/// `what a thread worker wrote was seen by the host`, for the isolations that are known.
fn visible_words(comparison: &Comparison) -> Vec<String> {
    let says = |isolation: &str, seen: Option<bool>| {
        let seen = if seen? { "was seen" } else { "was not seen" };
        Some(format!(
            "what a {isolation} worker wrote to a global variable {seen} by the host"
        ))
    };
    let (thread, process) = visible(comparison);
    says("thread", thread)
        .into_iter()
        .chain(says("process", process))
        .collect()
}

/// `memory`: a write is seen, or is not; and what one more worker takes.
pub(super) fn memory(comparison: &Comparison) -> Judgement {
    let (thread, process) = visible(comparison);
    let mut said = visible_words(comparison);
    let mut rows = Vec::new();
    for state in ["idle", "held"] {
        let id = format!("memory.pss_per_worker[state={state}]");
        let row = comparison.rows.iter().find(|row| row.id() == id);
        let Some((row, words)) = row.and_then(|row| Some((row, sizes(row)?))) else {
            continue;
        };
        let state = match state {
            "idle" => "one more idle worker",
            _ => "one more worker that holds its instance",
        };
        let few = few_rounds(comparison, row);
        said.push(format!("{state} took {words} (PSS{few})"));
        rows.push(row.id());
    }
    let judgement = two_halves(
        thread,
        process.map(|seen| !seen),
        "nobody looked whether the host sees what a worker writes",
        &said,
    );
    if thread.is_none() && process.is_none() {
        return judgement;
    }
    judgement.resting_on(rows)
}

/// `, 2 rounds only`, where a row rests on too few of them.
fn few_rounds(comparison: &Comparison, row: &Row) -> String {
    let known = [Arm::Thread, Arm::Process]
        .into_iter()
        .filter(|&arm| finite(row, arm).is_some());
    let least = known.map(|arm| values(comparison, row, arm).len()).min();
    match least {
        Some(rounds) if rounds < LEAST_ROUNDS => {
            let plural = if rounds == 1 { "" } else { "s" };
            let rounds = Source::Row(&row.id()).count("fewest", rounds as u64);
            format!(", {rounds} round{plural} only")
        }
        Some(_) | None => String::new(),
    }
}

/// `24 KiB in a thread and 838 KiB in a process`, or what is known of it.
fn sizes(row: &Row) -> Option<String> {
    let one = |arm: Arm| value(row, arm).map(|size| format!("{size} in a {arm}"));
    let known: Vec<String> = [Arm::Thread, Arm::Process]
        .into_iter()
        .filter_map(one)
        .collect();
    (!known.is_empty()).then(|| list(&known))
}

/// `communication`: messages went through; and who shares memory.
pub(super) fn communication(comparison: &Comparison) -> Judgement {
    let messages: Vec<&Row> = comparison
        .rows
        .iter()
        .filter(|row| row.experiment == "message")
        .collect();
    let has = |arm: Arm| messages.iter().any(|row| finite(row, arm).is_some());
    let through: Vec<&&Row> = messages
        .iter()
        .filter(|row| finite(row, Arm::Thread).is_some() && finite(row, Arm::Process).is_some())
        .collect();
    let (thread, process) = visible(comparison);
    let shared = (
        shares(comparison, Isolation::Thread),
        shares(comparison, Isolation::Process),
    );
    let is_known = has(Arm::Thread)
        || has(Arm::Process)
        || [thread, process, shared.0, shared.1]
            .iter()
            .any(Option::is_some);
    if !is_known {
        return Judgement::not_measured(format!(
            "{}, and {NOBODY_ASKED}",
            why_missing(comparison, "message")
        ));
    }
    // A variable of the host's is no memory that guests share: it can speak against the claim only.
    let verdict = match (thread, process, shared) {
        (Some(false), _, _) | (_, Some(true), _) => Refuted,
        (_, _, (Some(false), _) | (_, Some(true))) => Refuted,
        (_, _, (Some(true), Some(false))) if !through.is_empty() => Confirmed,
        _ => Depends,
    };
    let mut said = vec![
        format!("messages: {}", messages_words(comparison, &through)),
        format!("shared memory: {}", shared_words(shared)),
    ];
    said.extend(visible_words(comparison));
    Judgement::new(verdict, sentence(&said.join("; ")))
        .resting_on(through.iter().map(|row| row.id()))
}

fn messages_words(comparison: &Comparison, through: &[&&Row]) -> String {
    let sized = || through.iter().filter(|row| row.number("payload").is_some());
    let least = sized().min_by_key(|row| row.number("payload"));
    let most = sized().max_by_key(|row| row.number("payload"));
    let words = |row: Option<&&&Row>| row.and_then(|row| payload(row));
    match (words(least), words(most)) {
        (Some(least), Some(most)) => {
            format!("as claimed, {least} to {most} went through in both isolations")
        }
        _ if through.is_empty() => format!(
            "none is known to have gone through in both isolations ({})",
            why_missing(comparison, "message")
        ),
        _ => "as claimed, they went through in both isolations".to_owned(),
    }
}

/// In which isolations workers share a region.
fn shared_words((thread, process): (Option<bool>, Option<bool>)) -> String {
    let known = [("threads", thread), ("processes", process)];
    let of = |wanted: bool| -> Vec<String> {
        let those = known.iter().filter(|(_, shares)| *shares == Some(wanted));
        those.map(|(workers, _)| format!("in {workers}")).collect()
    };
    let (shared, apart) = (of(true), of(false));
    match (shared.is_empty(), apart.is_empty()) {
        (true, true) => "whether workers have any was not tried".to_owned(),
        (false, true) => format!("workers shared a region {}", list(&shared)),
        (true, false) => format!("workers did not share a region {}", list(&apart)),
        (false, false) => format!(
            "workers shared a region {}, and not {}",
            list(&shared),
            list(&apart)
        ),
    }
}

/// The faults that no sandbox holds: one of them in a thread is enough for the second half of the
/// claim.
const FATAL: [Fault; 3] = [Fault::HostAbort, Fault::HostSegfault, Fault::Kill];

/// `crash`: whom the faults reached.
pub(super) fn crash(comparison: &Comparison) -> Judgement {
    let of = |isolation| -> Vec<&ContainmentRow> {
        comparison
            .containment
            .iter()
            .filter(|row| row.isolation == isolation)
            .collect()
    };
    let (thread, process) = (of(Isolation::Thread), of(Isolation::Process));
    if thread.is_empty() && process.is_empty() {
        let failed = comparison
            .failures
            .iter()
            .any(|failure| failure.experiment == "containment");
        return Judgement::not_measured(if failed {
            "the injections of faults failed"
        } else {
            "no faults were injected"
        });
    }
    let escaped: Vec<&ContainmentRow> = process
        .iter()
        .copied()
        .filter(|row| row.observed > Fate::WorkerLost)
        .collect();
    let fell: Vec<&ContainmentRow> = thread
        .iter()
        .copied()
        .filter(|row| FATAL.contains(&row.fault) && row.observed == Fate::HostDied)
        .collect();
    // What killed a host must have been tried in a process, too.
    let is_paired = fell
        .iter()
        .any(|died| process.iter().any(|row| row.fault == died.fault));
    let verdict = match (escaped.is_empty(), is_paired) {
        (false, _) => Refuted,
        (true, true) => Confirmed,
        (true, false) => Depends,
    };
    let said = [
        process_words(&process, &escaped),
        thread_words(&thread, &fell),
    ];
    Judgement::new(verdict, said.join(" "))
}

fn names(rows: &[&ContainmentRow]) -> String {
    let names: Vec<String> = rows
        .iter()
        .map(|row| format!("\"{}\"", row.fault))
        .collect();
    list(&names)
}

/// A count of this claim's, marked.
fn count(field: &str, count: u64) -> String {
    Source::Finding("crash").count(field, count)
}

fn process_words(tried: &[&ContainmentRow], escaped: &[&ContainmentRow]) -> String {
    if tried.is_empty() {
        return "No fault was injected into a process.".to_owned();
    }
    if !escaped.is_empty() {
        return format!(
            "In a process, {} of {} kinds of faults reached others: {}.",
            count("process_escaped", escaped.len() as u64),
            count("process_tried", tried.len() as u64),
            names(escaped)
        );
    }
    let lost: u64 = tried.iter().map(|row| row.bystanders_lost).sum();
    let beside: u64 = tried.iter().map(|row| row.bystanders).sum();
    format!(
        "In a process, {} kinds of faults cost at the most the worker that met them, and {} of {} jobs of others \
         were lost.",
        count("process_tried", tried.len() as u64),
        count("process_lost", lost),
        count("process_beside", beside)
    )
}

fn thread_words(tried: &[&ContainmentRow], fell: &[&ContainmentRow]) -> String {
    if tried.is_empty() {
        return "No fault was injected into a thread.".to_owned();
    }
    let fatal = tried.iter().filter(|row| FATAL.contains(&row.fault));
    match (fell.len(), fatal.count()) {
        (0, 0) => "In a thread, nothing was tried that a sandbox does not hold.".to_owned(),
        (0, fatal) => format!(
            "In a thread, none of {} kinds of faults that a sandbox does not hold took down the host.",
            count("thread_fatal", fatal as u64)
        ),
        (died, _) => format!(
            "In a thread, {} of {} kinds took down the host with every job: {}.",
            count("thread_died", died as u64),
            count("thread_tried", tried.len() as u64),
            names(fell)
        ),
    }
}

/// `shell`: a command was asked for a word in each isolation.
pub(super) fn shell(comparison: &Comparison) -> Judgement {
    let (thread, process) = both(comparison);
    let ran = |id: Option<&Identity>| id.and_then(|id| id.runs_commands);
    let (thread, process) = (ran(thread), ran(process));
    let says = |isolation: &str, ran: Option<bool>| {
        Some(match ran? {
            true => format!("an ordinary command ran in a {isolation} worker and answered"),
            false => format!("a {isolation} worker did not run an ordinary command"),
        })
    };
    let said: Vec<String> = says("thread", thread)
        .into_iter()
        .chain(says("process", process))
        .collect();
    two_halves(
        thread.map(|ran| !ran),
        process,
        "no worker was asked to run a command",
        &said,
    )
}

#[cfg(test)]
mod tests {
    use super::super::claims::ClaimVerdict::NotMeasured;
    use super::super::sample::sample;
    use super::*;

    #[test]
    fn the_ids_tell_where_workers_live() {
        let judgement = kind(&sample());
        assert_eq!(judgement.verdict, Confirmed);
        assert_eq!(
            judgement.evidence,
            "A thread worker was thread 4107 of process 4100, where the host was thread 4100 of process 4100; \
             a process worker was process 4112 by its own word and 4112 by the host's, which was process 4100."
        );
    }

    #[test]
    fn a_process_worker_that_the_host_knows_by_another_id_refutes() {
        let mut comparison = sample();
        comparison.identities[1].worker_pid_by_host = Some(4113);
        assert_eq!(kind(&comparison).verdict, Refuted);
        comparison.identities[1].worker_pid_by_host = None;
        let judgement = kind(&comparison);
        assert_eq!(judgement.verdict, Refuted);
        assert!(judgement.evidence.contains("and none by the host's"));
    }

    #[test]
    fn a_thread_worker_that_is_the_main_thread_refutes() {
        let mut comparison = sample();
        comparison.identities[0].worker_tid = comparison.identities[0].host_tid;
        assert_eq!(kind(&comparison).verdict, Refuted);
    }

    #[test]
    fn one_isolation_alone_is_half_of_the_claim() {
        let mut comparison = sample();
        comparison.identities.remove(1);
        for judgement in [kind(&comparison), memory(&comparison)] {
            assert_eq!(judgement.verdict, Depends);
            assert!(
                judgement
                    .evidence
                    .ends_with("; nothing is known of a process worker.")
            );
        }
    }

    #[test]
    fn memory_is_told_with_its_price() {
        let mut comparison = sample();
        let sizes = [(Arm::Thread, 24.0 * 1024.0), (Arm::Process, 838.0 * 1024.0)];
        for row in &mut comparison.rows {
            for (arm, size) in sizes {
                row.arms.entry(arm).and_modify(|arm| arm.value = size);
            }
        }
        comparison
            .rows
            .retain(|row| row.id() != "memory.pss_per_worker[state=held]");
        let judgement = memory(&comparison);
        assert_eq!(judgement.verdict, Confirmed);
        assert_eq!(
            judgement.evidence,
            "What a thread worker wrote to a global variable was seen by the host; what a process worker wrote \
             to a global variable was not seen by the host; one more idle worker took 24 KiB in a thread and \
             838 KiB in a process (PSS)."
        );
        assert_eq!(judgement.rows, ["memory.pss_per_worker[state=idle]"]);
    }

    #[test]
    fn a_write_of_a_process_that_the_host_sees_refutes_two_claims() {
        let mut comparison = sample();
        comparison.identities[1].write_visible = true;
        assert_eq!(memory(&comparison).verdict, Refuted);
        assert_eq!(communication(&comparison).verdict, Refuted);
    }

    #[test]
    fn sizes_of_few_rounds_are_told_as_such() {
        let mut comparison = sample();
        let id = "memory.pss_per_worker[state=idle]";
        let told = |comparison: &Comparison| memory(comparison).evidence;
        for (rounds, expected) in [
            (8, "in a process (PSS); "),
            (6, "in a process (PSS); "),
            (5, "in a process (PSS, 5 rounds only); "),
            (2, "in a process (PSS, 2 rounds only); "),
            (1, "in a process (PSS, 1 round only); "),
        ] {
            let arms = comparison.series.get_mut(id).unwrap();
            arms.get_mut(&Arm::Process).unwrap().truncate(rounds);
            let evidence = told(&comparison);
            assert!(evidence.contains(expected), "{evidence}");
        }
    }

    #[test]
    fn messages_are_as_claimed_and_processes_share_memory_too() {
        let judgement = communication(&sample());
        assert_eq!(judgement.verdict, Refuted);
        assert_eq!(
            judgement.evidence,
            "Messages: as claimed, 0 B to 16 MiB went through in both isolations; shared memory: workers shared a \
             region in threads and in processes; what a thread worker wrote to a global variable was seen by the \
             host; what a process worker wrote to a global variable was not seen by the host."
        );
        assert!(
            judgement
                .rows
                .contains(&"message.post[payload=64]".to_owned())
        );
    }

    #[test]
    fn regions_that_only_threads_share_confirm_what_is_said_of_messages() {
        let mut comparison = sample();
        comparison.sharing[1].write_visible = false;
        let judgement = communication(&comparison);
        assert_eq!(judgement.verdict, Confirmed);
        let told = "; shared memory: workers shared a region in threads, and not in processes; ";
        assert!(judgement.evidence.contains(told), "{}", judgement.evidence);
        comparison.sharing[0].write_visible = false;
        assert_eq!(communication(&comparison).verdict, Refuted);
    }

    #[test]
    fn messages_alone_are_a_part() {
        let mut comparison = sample();
        comparison.identities.clear();
        comparison.sharing.clear();
        let judgement = communication(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert_eq!(
            judgement.evidence,
            "Messages: as claimed, 0 B to 16 MiB went through in both isolations; shared memory: whether workers \
             have any was not tried."
        );
        for row in &mut comparison.rows {
            row.arms.remove(&Arm::Process);
        }
        let judgement = communication(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(judgement.rows.is_empty());
    }

    #[test]
    fn who_died_is_told() {
        let judgement = crash(&sample());
        assert_eq!(judgement.verdict, Confirmed);
        assert_eq!(
            judgement.evidence,
            "In a process, 12 kinds of faults cost at the most the worker that met them, and 0 of 2880 jobs of \
             others were lost. In a thread, 3 of 12 kinds took down the host with every job: \"host function aborts\", \
             \"host function segfaults\" and \"worker gets SIGKILL\"."
        );
    }

    #[test]
    fn a_fault_that_leaves_its_process_refutes() {
        let mut comparison = sample();
        let row = comparison
            .containment
            .iter_mut()
            .find(|row| row.fault == Fault::Grow && row.isolation == Isolation::Process);
        row.unwrap().observed = Fate::Spread;
        let judgement = crash(&comparison);
        assert_eq!(judgement.verdict, Refuted);
        assert!(judgement.evidence.starts_with(
            "In a process, 1 of 12 kinds of faults reached others: \"guest takes all memory\"."
        ));
    }

    #[test]
    fn without_a_pair_of_faults_the_claim_depends() {
        let mut comparison = sample();
        comparison
            .containment
            .retain(|row| row.isolation == Isolation::Process);
        let judgement = crash(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(
            judgement
                .evidence
                .ends_with("No fault was injected into a thread.")
        );
        let mut comparison = sample();
        comparison
            .containment
            .retain(|row| !FATAL.contains(&row.fault) || row.isolation == Isolation::Thread);
        assert_eq!(crash(&comparison).verdict, Depends);
        comparison
            .containment
            .retain(|row| row.fault == Fault::Trap);
        let judgement = crash(&comparison);
        assert_eq!(judgement.verdict, Depends);
        assert!(
            judgement
                .evidence
                .ends_with("nothing was tried that a sandbox does not hold.")
        );
    }

    #[test]
    fn commands_are_judged_by_whether_they_ran() {
        let mut comparison = sample();
        let judgement = shell(&comparison);
        assert_eq!(judgement.verdict, Confirmed);
        assert_eq!(
            judgement.evidence,
            "A thread worker did not run an ordinary command; an ordinary command ran in a process worker and \
             answered."
        );
        comparison.identities[0].runs_commands = Some(true);
        assert_eq!(shell(&comparison).verdict, Refuted);
        comparison.identities[0].runs_commands = None;
        assert_eq!(shell(&comparison).verdict, Depends);
        comparison.identities.clear();
        assert_eq!(shell(&comparison).verdict, NotMeasured);
    }
}
