//! How process workers should be started and reached: from the rows and the threat.
//!
//! What was measured as `process` is the default. Another way is advised where its row is better by the
//! verdict, round by round against the default's; where that is not so, or was not measured, the default
//! stays, and the sentence says why.

use super::evidence::{list, why_missing};
use super::prose::Source;
use super::quotient::{Quotient, Side, quotient, value};
use super::result::{Comparison, Row};
use super::words::show;
use super::{Trust, evidence};
use crate::experiment::{Arm, Unit};
use crate::options::{LinkKind, StartMethod, WaitPolicy};
use crate::stats::Call;

/// What was chosen, why, and from which rows.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Way<T> {
    /// What to deploy.
    pub(super) chosen: T,
    /// Why, in a sentence; its numbers are marked.
    pub(super) reason: String,
    /// The ids of the rows that it rests on.
    pub(super) rows: Vec<String>,
}

impl<T> Way<T> {
    fn new(chosen: T, reason: &str, rows: Vec<String>) -> Self {
        let reason = format!("{reason}.{}", rests_on(&rows));
        Self {
            chosen,
            reason,
            rows,
        }
    }
}

/// ` Rests on start.first_echo and job.p50.`
pub(super) fn rests_on(rows: &[String]) -> String {
    if rows.is_empty() {
        String::new()
    } else {
        format!(" Rests on {}.", list(rows))
    }
}

/// How long until the first reply of @echo: the row of the start method that was the default.
const START: &str = "start.first_echo";

/// Where a start method was measured.
fn started(comparison: &Comparison, method: StartMethod) -> Option<Side<'static>> {
    match method {
        method if method == comparison.settings.start => Some((START, Arm::Process)),
        StartMethod::Exec => Some(("start.first_echo[start=exec]", Arm::Exec)),
        StartMethod::Spare => Some(("start.first_echo[start=spare]", Arm::Spare)),
        StartMethod::Fork => None,
    }
}

/// How process workers should be started, for a guest that comes from there.
pub(super) fn start(comparison: &Comparison, trust: Trust) -> Way<StartMethod> {
    match trust {
        Trust::Hostile => by_exec(comparison),
        Trust::Own | Trust::ThirdParty => by_spare(comparison),
    }
}

/// A hostile guest gets a layout of memory of its own, whatever that costs.
fn by_exec(comparison: &Comparison) -> Way<StartMethod> {
    let usual = comparison.settings.start;
    let why = "Started by exec, so that each worker has a layout of memory of its own: forks of one \
        server share theirs, and what an attacker learns in one is true for all";
    let (price, rows) = if usual == StartMethod::Exec {
        let measured = evidence::seen(comparison, START);
        let price = measured.map(|row| format!("{}: {}", row.figures(), row.outcome()));
        let rows = measured.map(|row| row.row.id());
        (price, rows.into_iter().collect())
    } else {
        let sides = (
            started(comparison, StartMethod::Exec),
            started(comparison, usual),
        );
        match compared(comparison, sides) {
            Some((quotient, above, below)) => (
                figures(
                    comparison,
                    &quotient,
                    (above, "exec"),
                    (below, &usual.to_string()),
                ),
                ids([above, below]),
            ),
            None => (None, Vec::new()),
        }
    };
    let price = match price {
        Some(price) => format!(". Its price, to the first reply of @echo: {price}"),
        None => format!(
            ". Its price is not known: {}",
            why_unknown(comparison, "start", START)
        ),
    };
    Way::new(StartMethod::Exec, &format!("{why}{price}"), rows)
}

/// From the stock, where that is seen sooner.
fn by_spare(comparison: &Comparison) -> Way<StartMethod> {
    let usual = comparison.settings.start;
    if usual == StartMethod::Spare {
        let reason = "Started by spare, as it was measured";
        return Way::new(usual, reason, present(comparison, &[START]));
    }
    let sides = (
        started(comparison, StartMethod::Spare),
        started(comparison, usual),
    );
    let name = usual.to_string();
    let known = compared(comparison, sides).and_then(|(quotient, above, below)| {
        let figures = figures(comparison, &quotient, (above, "spare"), (below, &name))?;
        Some((quotient, figures, ids([above, below])))
    });
    match known {
        None => {
            let why = why_unknown(comparison, "start", START);
            let reason = format!(
                "Started by {name}: {} stays, since it is not known whether spare starts sooner: {why}",
                stayer(usual == StartMethod::default())
            );
            Way::new(usual, &reason, Vec::new())
        }
        Some((quotient, figures, rows)) if quotient.call == Call::Above => {
            let reason = format!(
                "Started by spare, from a stock of workers that are forked ahead and take their memory while \
                 they wait; to the first reply of @echo: {figures}"
            );
            Way::new(StartMethod::Spare, &reason, rows)
        }
        Some((_, figures, rows)) => {
            let reason = format!(
                "Started by {name}: {} stays, since spare was not seen to start sooner; to the first reply of \
                 @echo: {figures}",
                stayer(usual == StartMethod::default())
            );
            Way::new(usual, &reason, rows)
        }
    }
}

/// A short message over a socket pair, both sides parked.
const PIPE: Side<'_> = (
    "message.short_trip[link=pipe,payload=64,wait=park]",
    Arm::Pipe,
);
/// The same through shared memory.
const PARKED: Side<'_> = ("message.short_trip[payload=64,wait=park]", Arm::ProcessPark);
/// The same as workers are used: they may look before they are parked.
const USED: Side<'_> = ("message.round_trip[payload=64]", Arm::Process);

/// How process workers should be reached.
pub(super) fn link(comparison: &Comparison) -> Way<LinkKind> {
    let usual = comparison.settings.link;
    if usual == LinkKind::Pipe {
        let reason = "Reached over pipe, as it was measured";
        return Way::new(usual, reason, present(comparison, &[USED.0]));
    }
    let stays = stayer(usual == LinkKind::default());
    let known = quotient(comparison, PIPE, PARKED).and_then(|quotient| {
        let figures = figures(comparison, &quotient, (PIPE, "pipe"), (PARKED, "shm"))?;
        Some((quotient, figures))
    });
    let Some((quotient, figures)) = known else {
        let why = why_unknown(comparison, "message", USED.0);
        let reason = format!(
            "Reached over shm: {stays} stays, since it is not known whether pipe is quicker: {why}"
        );
        return Way::new(usual, &reason, Vec::new());
    };
    let rows = ids([PIPE, PARKED]);
    if quotient.call != Call::Above {
        let reason = format!(
            "Reached over shm: {stays} stays, since pipe was not seen to be quicker; 64 B there and back, both \
             sides parked: {figures}"
        );
        return Way::new(usual, &reason, rows);
    }
    // Who looks before being parked hears sooner, and only shared memory can be looked at.
    let looks = comparison.settings.wait != WaitPolicy::Park;
    let used = looks.then(|| quicker_as_used(comparison)).flatten();
    match used {
        Some(used) => {
            let reason = format!(
                "Reached over shm: {stays} stays, since 64 B there and back take {used} as workers wait here \
                 ({}); only with both sides parked is pipe quicker: {figures}",
                comparison.settings.wait
            );
            Way::new(usual, &reason, ids([PIPE, PARKED, USED]))
        }
        None => {
            let reason = format!(
                "Reached over pipe, which is quicker; 64 B there and back, both sides parked: {figures}"
            );
            Way::new(LinkKind::Pipe, &reason, rows)
        }
    }
}

/// What a short message takes through shared memory as it is used, if that is less than over a pipe.
fn quicker_as_used(comparison: &Comparison) -> Option<String> {
    let of = |(id, arm): Side<'_>| {
        let row = find(comparison, id)?;
        evidence::finite(row, arm)
    };
    let (used, pipe) = (of(USED)?, of(PIPE)?);
    let field = format!("arms.{}.value", USED.1);
    let shown = show(used, Unit::Seconds);
    (used < pipe).then(|| Source::Row(USED.0).mark(&field, used, &shown))
}

fn find<'c>(comparison: &'c Comparison, id: &str) -> Option<&'c Row> {
    comparison.rows.iter().find(|row| row.id() == id)
}

/// The rows that are there.
fn present(comparison: &Comparison, ids: &[&str]) -> Vec<String> {
    let known = ids.iter().filter(|id| find(comparison, id).is_some());
    known.map(|&id| id.to_owned()).collect()
}

fn ids<const N: usize>(sides: [Side<'_>; N]) -> Vec<String> {
    sides.map(|(id, _)| id.to_owned()).into()
}

fn stayer(is_default: bool) -> &'static str {
    if is_default {
        "the default"
    } else {
        "what was measured"
    }
}

type Sides<'s> = (Option<Side<'s>>, Option<Side<'s>>);

fn compared<'s>(
    comparison: &Comparison,
    (above, below): Sides<'s>,
) -> Option<(Quotient, Side<'s>, Side<'s>)> {
    let (above, below) = (above?, below?);
    Some((quotient(comparison, above, below)?, above, below))
}

/// `2.12 ms (exec) against 313 µs (fork), a ratio of 6.78 [6.01, 7.10]: fork better`
fn figures(
    comparison: &Comparison,
    quotient: &Quotient,
    (above, above_name): (Side<'_>, &str),
    (below, below_name): (Side<'_>, &str),
) -> Option<String> {
    Some(format!(
        "{} ({above_name}) against {} ({below_name}), a ratio of {}: {}",
        value(comparison, above)?,
        value(comparison, below)?,
        quotient.factor(),
        quotient.outcome(above_name, below_name)
    ))
}

/// Why a row beside this one is missing.
fn why_unknown(comparison: &Comparison, experiment: &str, beside: &str) -> String {
    if find(comparison, beside).is_some() {
        "this result has no row of that".to_owned()
    } else {
        why_missing(comparison, experiment)
    }
}

#[cfg(test)]
mod tests {
    use super::super::analysis::row;
    use super::super::prose::plain;
    use super::super::sample::sample;
    use super::*;
    use crate::experiment::RowSpec;
    use crate::stats::Better;

    /// A comparison with the usual start and link, whose rows of these arms take so many seconds in each
    /// of so many rounds.
    fn measured(rounds: usize, arms: &[(Side<'static>, f64)]) -> Comparison {
        let mut comparison = sample();
        comparison.settings.start = StartMethod::Fork;
        comparison.settings.link = LinkKind::Shm;
        let ids: Vec<&str> = arms.iter().map(|((id, _), _)| *id).collect();
        comparison
            .rows
            .retain(|row| !ids.contains(&row.id().as_str()));
        for &((id, arm), seconds) in arms {
            let (name, params) = id.split_once('[').unwrap_or((id, "]"));
            let (experiment, metric) = name.split_once('.').unwrap();
            let params = params.trim_end_matches(']').split(',');
            let param = |param: &'static str| {
                let (name, value) = param.split_once('=')?;
                Some((name, value.into()))
            };
            let spec = RowSpec {
                metric,
                params: params.filter_map(param).collect(),
                title: id.to_owned(),
                unit: Unit::Seconds,
                better: Better::Lower,
                series: String::new(),
                quantile: 0.5,
                compared: (arm, Arm::Thread),
                twin: None,
            };
            let samples = |seconds| vec![vec![seconds]; rounds];
            let series = [(arm, samples(seconds)), (Arm::Thread, samples(1e-6))].into();
            let row = row(experiment, id.to_owned(), Arm::Thread, &spec, &series);
            assert_eq!(row.id(), id);
            comparison.rows.push(row);
            comparison.series.insert(id.to_owned(), series);
        }
        comparison
    }

    const FORK: Side<'static> = (START, Arm::Process);
    const EXEC: Side<'static> = ("start.first_echo[start=exec]", Arm::Exec);
    const SPARE: Side<'static> = ("start.first_echo[start=spare]", Arm::Spare);

    #[test]
    fn a_hostile_guest_is_started_by_exec_and_told_its_price() {
        let comparison = measured(8, &[(FORK, 0.3e-3), (EXEC, 2.1e-3), (SPARE, 0.1e-3)]);
        let way = start(&comparison, Trust::Hostile);
        assert_eq!(way.chosen, StartMethod::Exec);
        assert_eq!(
            plain(&way.reason),
            "Started by exec, so that each worker has a layout of memory of its own: forks of one server share \
             theirs, and what an attacker learns in one is true for all. Its price, to the first reply of @echo: \
             2.10 ms (exec) against 300 µs (fork), a ratio of 7.00 [7.00, 7.00]: fork better. Rests on \
             start.first_echo[start=exec] and start.first_echo."
        );
        assert_eq!(way.rows, [EXEC.0, FORK.0]);
    }

    #[test]
    fn a_price_that_was_not_measured_is_said_to_be_unknown() {
        let comparison = measured(8, &[(FORK, 0.3e-3)]);
        let way = start(&comparison, Trust::Hostile);
        assert_eq!(way.chosen, StartMethod::Exec);
        assert!(
            way.reason
                .ends_with(". Its price is not known: this result has no row of that."),
            "{}",
            way.reason
        );
        assert!(way.rows.is_empty());
    }

    #[test]
    fn where_exec_was_the_default_its_price_is_that_against_a_thread() {
        let mut comparison = measured(8, &[(FORK, 2.1e-3)]);
        comparison.settings.start = StartMethod::Exec;
        let reason = plain(&start(&comparison, Trust::Hostile).reason);
        assert!(
            reason.contains("2.10 ms (process) against 1.00 µs (thread), a ratio of 2100 ["),
            "{reason}"
        );
    }

    #[test]
    fn workers_come_from_the_stock_where_that_is_seen_sooner() {
        let comparison = measured(8, &[(FORK, 0.3e-3), (SPARE, 0.1e-3)]);
        for trust in [Trust::Own, Trust::ThirdParty] {
            let way = start(&comparison, trust);
            assert_eq!(way.chosen, StartMethod::Spare);
            assert_eq!(way.rows, [SPARE.0, FORK.0]);
            let reason = plain(&way.reason);
            assert!(
                reason.contains(
                    "100 µs (spare) against 300 µs (fork), a ratio of 0.33 [0.33, 0.33]: spare better. Rests on"
                ),
                "{reason}"
            );
        }
    }

    #[test]
    fn fork_stays_where_nothing_better_was_seen_and_says_why() {
        let told = |rounds, spare: Option<f64>| {
            let mut arms = vec![(FORK, 0.3e-3)];
            arms.extend(spare.map(|seconds| (SPARE, seconds)));
            let way = start(&measured(rounds, &arms), Trust::ThirdParty);
            assert_eq!(way.chosen, StartMethod::Fork);
            plain(&way.reason)
        };
        assert!(told(8, Some(0.3e-3)).contains("no difference of 2.00 % or more"));
        assert!(told(8, Some(0.9e-3)).contains("fork better"));
        assert!(told(3, Some(0.1e-3)).contains("too few rounds"));
        assert_eq!(
            told(8, None),
            "Started by fork: the default stays, since it is not known whether spare starts sooner: this result \
             has no row of that."
        );
    }

    #[test]
    fn a_pipe_is_advised_where_it_is_quicker_than_shared_memory() {
        let comparison = measured(8, &[(PIPE, 10e-6), (PARKED, 30e-6), (USED, 20e-6)]);
        let way = link(&comparison);
        assert_eq!(way.chosen, LinkKind::Pipe);
        assert_eq!(way.rows, [PIPE.0, PARKED.0]);
        assert!(plain(&way.reason).contains("10.0 µs (pipe) against 30.0 µs (shm)"));
    }

    #[test]
    fn shared_memory_stays_where_it_is_quicker_as_it_is_used() {
        let mut comparison = measured(8, &[(PIPE, 10e-6), (PARKED, 30e-6), (USED, 5e-6)]);
        let way = link(&comparison);
        assert_eq!(way.chosen, LinkKind::Shm);
        assert_eq!(way.rows, [PIPE.0, PARKED.0, USED.0]);
        assert!(plain(&way.reason).contains("take 5.00 µs as workers wait here (auto); only"));
        comparison.settings.wait = WaitPolicy::Park;
        assert_eq!(link(&comparison).chosen, LinkKind::Pipe);
    }

    #[test]
    fn shared_memory_stays_where_the_pipe_is_undecided_or_unknown() {
        let undecided = link(&measured(8, &[(PIPE, 30e-6), (PARKED, 30e-6)]));
        assert_eq!(undecided.chosen, LinkKind::Shm);
        assert!(plain(&undecided.reason).contains("no difference of 2.00 % or more"));
        let unknown = link(&measured(8, &[]));
        assert_eq!(unknown.chosen, LinkKind::Shm);
        assert_eq!(
            unknown.reason,
            "Reached over shm: the default stays, since it is not known whether pipe is quicker: this result has \
             no row of that."
        );
    }

    #[test]
    fn of_nothing_measured_the_reason_is_told() {
        let mut comparison = measured(8, &[]);
        comparison.rows.clear();
        comparison.parts.clear();
        comparison.failures.clear();
        let reason = start(&comparison, Trust::Own).reason;
        assert!(
            reason.ends_with("the experiment `start` was not selected."),
            "{reason}"
        );
    }
}
