//! What is commonly said about threads and processes, put to the test.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::sentence;
use super::prose::{Figure, Prose};
use super::result::Comparison;
use super::{facts, sharing, speed};

/// A claim and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Its name: `start-up`, `crash`, …
    pub id: String,
    /// The claim, as it is commonly made.
    pub claim: String,
    /// What the measurements say about it, for this guest on this machine.
    pub verdict: ClaimVerdict,
    /// On what the verdict rests, in a sentence with its figures.
    pub evidence: String,
    /// The numbers of the evidence, and what they are. Empty in results that are older than figures.
    #[serde(default)]
    pub figures: Vec<Figure>,
    /// The rows that it rests on, by [`super::Row::id`]; empty where it rests on facts.
    pub rows: Vec<String>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimVerdict {
    /// The measurements agree with it.
    Confirmed,
    /// The measurements contradict it.
    Refuted,
    /// It holds for some of what was measured, or too little can be seen here to say.
    Depends,
    /// Nothing was measured that bears on it; the evidence says why.
    NotMeasured,
}

/// What one claim came to.
pub(super) struct Judgement {
    /// What became of it.
    pub(super) verdict: ClaimVerdict,
    /// On what that rests.
    pub(super) evidence: String,
    /// The numbers in it.
    pub(super) figures: Vec<Figure>,
    /// The ids of the rows that it rests on.
    pub(super) rows: Vec<String>,
}

impl Judgement {
    /// A verdict that rests on facts. The numbers of its evidence are marked.
    pub(super) fn new(verdict: ClaimVerdict, evidence: impl AsRef<str>) -> Self {
        let Prose { text, figures } = Prose::read(evidence.as_ref());
        Self {
            verdict,
            evidence: text,
            figures,
            rows: Vec::new(),
        }
    }

    /// Nothing bears on the claim, for this reason.
    pub(super) fn not_measured(reason: impl AsRef<str>) -> Self {
        Self::new(ClaimVerdict::NotMeasured, sentence(reason.as_ref()))
    }

    /// The same verdict, which rests on these rows too.
    pub(super) fn resting_on(mut self, rows: impl IntoIterator<Item = String>) -> Self {
        self.rows.extend(rows);
        self
    }
}

/// A claim before it is judged: its id, its words, and who judges it.
type Entry = (&'static str, &'static str, fn(&Comparison) -> Judgement);

/// The claims, in the order of the report.
const CLAIMS: [Entry; 10] = [
    (
        "type",
        "a process worker is a new process, a thread worker a new thread of the same process",
        facts::kind,
    ),
    (
        "memory",
        "processes have separate memory, threads share it",
        facts::memory,
    ),
    (
        "communication",
        "processes talk by IPC messages, threads by messages or shared memory",
        facts::communication,
    ),
    ("start-up", "processes are slower to start", speed::start_up),
    ("latency", "processes are slower to talk to", speed::latency),
    ("cpu", "both are equally good at CPU-heavy work", speed::cpu),
    (
        "parallelism",
        "both give true parallelism",
        speed::parallelism,
    ),
    (
        "crash",
        "a crash in a process does not reach the others; in a thread it can take down the whole program",
        facts::crash,
    ),
    (
        "shell",
        "only a process can run ordinary commands",
        facts::shell,
    ),
    (
        "sharing",
        "only threads can share data without copying",
        sharing::sharing,
    ),
];

/// All ten claims, judged by this comparison. One that was rigged says nothing about any of them.
pub(super) fn claims(comparison: &Comparison) -> Vec<Claim> {
    let is_rigged = comparison.settings.rigged.is_some();
    CLAIMS
        .into_iter()
        .map(|(id, claim, judge)| {
            let judgement = if is_rigged {
                Judgement::not_measured("the result is rigged to prove the statistics")
            } else {
                judge(comparison)
            };
            Claim {
                id: id.to_owned(),
                claim: claim.to_owned(),
                verdict: judgement.verdict,
                evidence: judgement.evidence,
                figures: judgement.figures,
                rows: judgement.rows,
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;
    use crate::experiment::Arm;

    fn ids(claims: &[Claim]) -> Vec<&str> {
        claims.iter().map(|claim| claim.id.as_str()).collect()
    }

    const ALL: [&str; 10] = [
        "type",
        "memory",
        "communication",
        "start-up",
        "latency",
        "cpu",
        "parallelism",
        "crash",
        "shell",
        "sharing",
    ];

    #[test]
    fn every_claim_rests_on_rows_that_are_there() {
        let comparison = sample();
        let claims = claims(&comparison);
        assert_eq!(ids(&claims), ALL);
        let rows: Vec<String> = comparison.rows.iter().map(super::super::Row::id).collect();
        for row in claims.iter().flat_map(|claim| &claim.rows) {
            assert!(rows.contains(row), "{row}");
        }
    }

    #[test]
    fn of_a_comparison_without_anything_nothing_is_said() {
        let mut comparison = sample();
        comparison.rows.clear();
        comparison.series.clear();
        comparison.identities.clear();
        comparison.sharing.clear();
        comparison.containment.clear();
        comparison.parts.clear();
        comparison.failures.clear();
        let claims = claims(&comparison);
        assert_eq!(ids(&claims), ALL);
        for claim in claims {
            assert_eq!(claim.verdict, ClaimVerdict::NotMeasured, "{}", claim.id);
            assert!(claim.evidence.ends_with('.'), "{}", claim.evidence);
            assert!(claim.rows.is_empty());
        }
    }

    #[test]
    fn a_rigged_comparison_judges_nothing() {
        let mut comparison = sample();
        comparison.settings.rigged = Some("process x 1.05".to_owned());
        let claims = claims(&comparison);
        assert_eq!(ids(&claims), ALL);
        for claim in claims {
            assert_eq!(claim.verdict, ClaimVerdict::NotMeasured, "{}", claim.id);
            assert_eq!(
                claim.evidence,
                "The result is rigged to prove the statistics."
            );
            assert!(claim.rows.is_empty());
        }
    }

    #[test]
    fn each_row_and_each_arm_may_be_missing() {
        let whole = sample();
        for missing in 0..whole.rows.len() {
            let mut comparison = whole.clone();
            comparison.rows.remove(missing);
            assert_eq!(claims(&comparison).len(), 10);
            for arm in Arm::ALL {
                let mut comparison = whole.clone();
                let row = &mut comparison.rows[missing];
                row.arms.remove(&arm);
                row.detectable = None;
                let series = row.series.clone();
                comparison.series.get_mut(&series).unwrap().remove(&arm);
                assert_eq!(claims(&comparison).len(), 10);
            }
        }
    }

    #[test]
    fn numbers_that_are_none_are_never_printed() {
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut comparison = sample();
            comparison.guest.job_s = nonsense;
            for row in &mut comparison.rows {
                row.ratio.iter_mut().for_each(|ratio| ratio.low = nonsense);
                row.detectable = Some(nonsense);
                row.arms.values_mut().for_each(|arm| arm.value = nonsense);
            }
            for rounds in comparison
                .series
                .values_mut()
                .flat_map(|arms| arms.values_mut())
            {
                rounds.iter_mut().for_each(|round| round.fill(nonsense));
            }
            for claim in claims(&comparison) {
                let is_sound = !claim.evidence.contains("NaN") && !claim.evidence.contains("inf");
                assert!(is_sound, "{}", claim.evidence);
            }
        }
    }
}
