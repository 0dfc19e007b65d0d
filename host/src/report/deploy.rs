//! What follows from the numbers and from the threat. Never a universal winner.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::{list, percent};
use super::price::{Burden, burden, burden_rows, cost, meaning, price_words, saved_names, saving};
use super::prose::{Figure, Prose, Source};
use super::quotient::{Quotient, quotient};
use super::result::{Comparison, LayerInfo};
use super::snippet::snippet;
use super::ways::{self, Way, rests_on};
use crate::experiment::Arm;
use crate::harden::Standing;
use crate::options::{Isolation, LinkKind, StartMethod};
use crate::runtime::InstancePolicy;
use crate::stats::Call;
use crate::units::three_digits;

/// What to deploy, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Advice {
    /// Whom the guest comes from, as the user said; `null` if nothing was said.
    pub trust: Option<Trust>,
    /// What follows, in sentences.
    pub sentences: Vec<String>,
    /// The numbers of each sentence, and what they are. Empty in results that are older than figures.
    #[serde(default)]
    pub figures: Vec<Vec<Figure>>,
    /// The rows that the choices rest on, by [`super::Row::id`].
    #[serde(default)]
    pub rows: Vec<String>,
    /// What to deploy for this guest, on this machine, under this threat; `null` where too little was
    /// measured.
    pub deployment: Option<Deployment>,
}

/// Whom a guest comes from: what it might do on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// From ourselves: it may have bugs.
    Own,
    /// From somebody we know: it may have bugs that nobody here can mend.
    ThirdParty,
    /// From anybody: it may try to break out.
    Hostile,
}

/// A choice of settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Deployment {
    /// Where workers should live.
    pub isolation: Isolation,
    /// How process workers should be started; `null` for threads.
    pub start: Option<StartMethod>,
    /// How process workers should be reached; `null` for threads.
    pub link: Option<LinkKind>,
    /// Whether instances may be reused.
    pub instance: InstancePolicy,
    /// The same as Rust code for the library.
    pub snippet: String,
}

impl Advice {
    /// Advice of these sentences, whose numbers are marked.
    fn new(trust: Option<Trust>, marked: &[String], rows: Vec<String>) -> Self {
        let read = marked.iter().map(|sentence| Prose::read(sentence));
        let (sentences, figures) = read.map(|prose| (prose.text, prose.figures)).unzip();
        Self {
            trust,
            sentences,
            figures,
            rows,
            deployment: None,
        }
    }
}

/// What follows from a comparison for a guest that comes from there: sentences, and what to deploy.
/// Without a stated origin the guest is taken for a third party's.
pub(super) fn advice(comparison: &Comparison, trust: Option<Trust>) -> Advice {
    if comparison.settings.rigged.is_some() {
        let nothing =
            "This comparison was rigged to prove the statistics: nothing follows from it.";
        return Advice::new(trust, &[nothing.to_owned()], Vec::new());
    }
    let whom = trust.unwrap_or(Trust::ThirdParty);
    let choice = choose(comparison, whom);
    let ways = choice
        .filter(|(isolation, _)| *isolation == Isolation::Process)
        .map(|_| (ways::start(comparison, whom), ways::link(comparison)));
    let sentences = [
        cost(comparison),
        saving(comparison),
        meaning(comparison),
        trust.is_none().then(|| every_level(comparison)),
        Some(reason(comparison, whom)),
        ways.as_ref().map(|(start, _)| start.reason.clone()),
        ways.as_ref().map(|(_, link)| link.reason.clone()),
        choice.and_then(|(isolation, instance)| instances(comparison, isolation, instance)),
        time_limit(comparison, whom),
        noise(comparison),
    ];
    let sentences: Vec<String> = sentences.into_iter().flatten().collect();
    let rows = rested_on(comparison, whom, choice, ways.as_ref());
    let deployment = choice.map(|(isolation, instance)| {
        let start = ways.as_ref().map(|(start, _)| start.chosen);
        let link = ways.as_ref().map(|(_, link)| link.chosen);
        Deployment {
            isolation,
            start,
            link,
            instance,
            snippet: snippet(&comparison.settings, isolation, start.zip(link), instance),
        }
    });
    Advice {
        deployment,
        ..Advice::new(trust, &sentences, rows)
    }
}

/// The rows of all choices, each once.
fn rested_on(
    comparison: &Comparison,
    trust: Trust,
    choice: Option<(Isolation, InstancePolicy)>,
    ways: Option<&(Way<StartMethod>, Way<LinkKind>)>,
) -> Vec<String> {
    let isolation = match trust {
        Trust::Own => burden_rows(comparison),
        Trust::ThirdParty | Trust::Hostile => Vec::new(),
    };
    let instance = match choice {
        Some((_, InstancePolicy::Reused)) => policies(comparison).map(str::to_owned).into(),
        Some((_, InstancePolicy::Fresh)) | None => Vec::new(),
    };
    let ways = ways.into_iter();
    let ways = ways.flat_map(|(start, link)| start.rows.iter().chain(&link.rows).cloned());
    let mut rows: Vec<String> = Vec::new();
    for row in isolation.into_iter().chain(ways).chain(instance) {
        if !rows.contains(&row) {
            rows.push(row);
        }
    }
    rows
}

/// Where the workers should live, and whether instances may be reused; `None` where it depends on
/// what was not measured.
fn choose(comparison: &Comparison, trust: Trust) -> Option<(Isolation, InstancePolicy)> {
    match trust {
        Trust::Hostile | Trust::ThirdParty => Some((Isolation::Process, InstancePolicy::Fresh)),
        Trust::Own => {
            let isolation = if burden(comparison)?.is_dear()? {
                Isolation::Thread
            } else {
                Isolation::Process
            };
            let instance = if faster_when_reused(comparison, isolation).is_some() {
                InstancePolicy::Reused
            } else {
                InstancePolicy::Fresh
            };
            Some((isolation, instance))
        }
    }
}

/// Whether every layer of the hardening held.
fn is_hardened(comparison: &Comparison) -> bool {
    let layers = &comparison.settings.layers;
    let holds = |layer: &LayerInfo| layer.standing == Standing::Enforced;
    !layers.is_empty() && layers.iter().all(holds)
}

/// Why a guest from there gets what it gets, and what that costs.
fn reason(comparison: &Comparison, trust: Trust) -> String {
    match trust {
        Trust::Hostile => format!(
            "For a hostile guest: processes with fresh instances, always. A process by itself takes neither files \
             nor network away; {}.",
            match is_hardened(comparison) {
                true => "the hardening does, which held here in every layer",
                false => "that needs walls of the system's own",
            }
        ),
        Trust::ThirdParty => format!(
            "For a third party's guest: processes with fresh instances, unless {} is too much for you and the \
             loss of the whole program is not.",
            price_words(comparison)
        ),
        Trust::Own => format!(
            "For a guest of your own: {}.{}",
            own_reason(comparison),
            rests_on(&burden_rows(comparison))
        ),
    }
}

/// The same for a guest of one's own: its price decides.
fn own_reason(comparison: &Comparison) -> String {
    match burden(comparison) {
        None => "too little was measured to weigh the price of a process".to_owned(),
        Some(burden) if burden.is_dear() == Some(true) => format!(
            "threads, since a process costs {}. What is lost: {}",
            price_words(comparison),
            lost(comparison)
        ),
        Some(Burden::Share(share)) => {
            format!("processes, since they cost {} of a job", share_words(share))
        }
        Some(Burden::Unseen(Some(least))) => format!(
            "processes, since no cost to its jobs was seen ({} would have been)",
            least_words(least)
        ),
        Some(Burden::Unseen(None)) => "processes, since no cost to its jobs was seen".to_owned(),
        Some(Burden::Way { share, least }) => {
            let beyond = least.map_or(String::new(), |least| {
                let least = least_words(least);
                format!("; larger differences than {least} would have been seen in its jobs")
            });
            let share = share_words(share);
            format!("processes, since the way to a process is {share} of a job{beyond}")
        }
        Some(Burden::Untold(least)) => {
            let only = least.map_or(String::new(), |least| {
                let least = least_words(least);
                format!(" (only larger differences than {least} would have been seen)")
            });
            format!(
                "what a process costs its jobs cannot be told{only}; give more time (--time-budget)"
            )
        }
    }
}

/// The share of a job that a process costs.
fn share_words(share: f64) -> String {
    Source::Finding("burden").mark("share", share, &percent(share))
}

/// From which share on a cost would have been seen.
fn least_words(least: f64) -> String {
    Source::Finding("burden").mark("least", least, &percent(least))
}

/// What threads give up.
fn lost(comparison: &Comparison) -> String {
    let names = saved_names(comparison);
    if names.is_empty() {
        "the second wall, whose worth was not measured here".to_owned()
    } else {
        format!("{} reach the whole program", list(&names))
    }
}

/// What each origin would get.
fn every_level(comparison: &Comparison) -> String {
    let own = match choose(comparison, Trust::Own) {
        Some((Isolation::Thread, _)) => "threads",
        Some((Isolation::Process, _)) => "processes",
        None => "what more measuring would tell",
    };
    format!(
        "Nothing was said about where the guest comes from (--trust): your own would get {own}, a third party's \
         processes with fresh instances, a hostile one the same, started by exec, at any price; it is taken for a \
         third party's."
    )
}

/// The rows of both instance policies: reused, fresh.
fn policies(comparison: &Comparison) -> [&'static str; 2] {
    match comparison.settings.instance {
        InstancePolicy::Fresh => ["job.p50[instance=reused]", "job.p50"],
        InstancePolicy::Reused => ["job.p50", "job.p50[instance=fresh]"],
    }
}

/// By what factor jobs on reused instances take longer than on fresh ones, if they were seen to take
/// less: by rounds, in the arm of that isolation.
fn faster_when_reused(comparison: &Comparison, isolation: Isolation) -> Option<Quotient> {
    let arm = match isolation {
        Isolation::Thread => Arm::Thread,
        Isolation::Process => Arm::Process,
    };
    let [reused, fresh] = policies(comparison);
    quotient(comparison, (reused, arm), (fresh, arm)).filter(|found| found.call == Call::Above)
}

/// What reused instances bring and what they cost.
fn instances(
    comparison: &Comparison,
    isolation: Isolation,
    instance: InstancePolicy,
) -> Option<String> {
    match instance {
        InstancePolicy::Fresh => None,
        InstancePolicy::Reused => faster_when_reused(comparison, isolation).map(|found| {
            let rows = policies(comparison).map(str::to_owned);
            format!(
                "Reused instances: a job takes {} times as long as on a fresh one, but finds what the job before \
                 it left behind.{}",
                found.factor(),
                rests_on(&rows)
            )
        }),
    }
}

/// Guests of others need a limit.
fn time_limit(comparison: &Comparison, trust: Trust) -> Option<String> {
    let is_needed = trust != Trust::Own && comparison.settings.timeout_s.is_none();
    is_needed.then(|| {
        "Set a time limit (--timeout): none was set here, and a guest that loops keeps its worker for ever."
            .to_owned()
    })
}

/// What to do about a machine that is too noisy.
fn noise(comparison: &Comparison) -> Option<String> {
    let control = comparison.control.filter(|control| !control.reliable)?;
    let is_known = control.low.is_finite() && control.high.is_finite();
    is_known.then(|| {
        let off = |field: &str, end: f64| {
            let shown = three_digits(100.0 * (end - 1.0));
            Source::Finding("control").mark(field, end - 1.0, &shown)
        };
        format!(
            "This machine was noisy: the same arm against itself differed by {} to {} %. Close other programs, \
             or use --rigorous, before you rely on small differences.",
            off("low", control.low),
            off("high", control.high),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::super::result::{Control, Verdict};
    use super::super::sample::sample;
    use super::*;

    /// The sample, where a process costs this share of a job.
    fn costing(share: f64) -> Comparison {
        let mut comparison = sample();
        comparison.settings.timeout_s = Some(1.0);
        let row = comparison
            .rows
            .iter_mut()
            .find(|row| row.id() == "job.p50")
            .unwrap();
        row.verdict = Some(Verdict::Better(Arm::Thread));
        row.ratio.as_mut().unwrap().median = 1.0 + share;
        comparison
    }

    fn chosen(comparison: &Comparison, trust: Option<Trust>) -> Isolation {
        advice(comparison, trust).deployment.unwrap().isolation
    }

    /// The sentence that begins so.
    fn sentence(advice: &Advice, head: &str) -> String {
        let mut sentences = advice.sentences.iter();
        let found = sentences.find(|sentence| sentence.starts_with(head));
        found
            .unwrap_or_else(|| panic!("{:?}", advice.sentences))
            .clone()
    }

    #[test]
    fn the_own_guest_gets_threads_from_five_per_cent_on_and_is_told_the_loss() {
        assert_eq!(chosen(&costing(0.04), Some(Trust::Own)), Isolation::Process);
        let dear = advice(&costing(0.25), Some(Trust::Own));
        assert_eq!(
            sentence(&dear, "For a guest of your own"),
            "For a guest of your own: threads, since a process costs 25.0 % of a job. What is lost: \"host function \
             aborts\", \"host function segfaults\", \"worker gets SIGKILL\" and \"worker gets SIGSTOP\" reach the \
             whole program. Rests on job.p50 and job.throughput[workers=2]."
        );
        let deployment = dear.deployment.unwrap();
        assert_eq!(deployment.isolation, Isolation::Thread);
        assert_eq!((deployment.start, deployment.link), (None, None));
        let cheap = advice(&costing(0.04), Some(Trust::Own));
        assert_eq!(
            sentence(&cheap, "For a guest of your own"),
            "For a guest of your own: processes, since they cost 4.00 % of a job. Rests on job.p50 and \
             job.throughput[workers=2]."
        );
    }

    /// The sample, where no difference was seen in the work: one of this share would have been in the
    /// worst row. A job takes 12 ms, and the way to a process 9 µs.
    fn unseen(least: f64) -> Comparison {
        let mut comparison = sample();
        comparison.settings.timeout_s = Some(1.0);
        for (id, least) in [("job.p50", 0.02), ("job.throughput[workers=2]", least)] {
            let mut rows = comparison.rows.iter_mut();
            let row = rows.find(|row| row.id() == id).unwrap();
            row.verdict = Some(Verdict::NoDifferenceSeen);
            row.detectable = Some(least);
        }
        comparison
    }

    fn own(comparison: &Comparison) -> String {
        let advice = advice(comparison, Some(Trust::Own));
        sentence(&advice, "For a guest of your own")
    }

    #[test]
    fn no_cost_is_said_to_be_seen_only_where_a_tenth_would_have_been() {
        assert_eq!(
            own(&unseen(0.10)),
            "For a guest of your own: processes, since no cost to its jobs was seen (10.0 % would have been). Rests on \
             job.p50 and job.throughput[workers=2]."
        );
        assert_eq!(
            own(&unseen(0.40)),
            "For a guest of your own: processes, since the way to a process is 0.07 % of a job; larger \
             differences than 40.0 % would have been seen in its jobs. Rests on job.p50, job.throughput[workers=2] \
             and message.round_trip[payload=64]."
        );
        assert_eq!(chosen(&unseen(0.40), Some(Trust::Own)), Isolation::Process);
    }

    #[test]
    fn what_cannot_be_told_is_not_deployed() {
        let mut comparison = unseen(0.40);
        comparison.rows.retain(|row| row.experiment == "job");
        assert_eq!(
            own(&comparison),
            "For a guest of your own: what a process costs its jobs cannot be told (only larger differences than \
             40.0 % would have been seen); give more time (--time-budget). Rests on job.p50 and \
             job.throughput[workers=2]."
        );
        assert_eq!(advice(&comparison, Some(Trust::Own)).deployment, None);
        let third = advice(&comparison, None);
        assert!(
            sentence(&third, "Nothing was said")
                .contains("your own would get what more measuring would tell,")
        );
        assert_eq!(
            sentence(&third, "For a third party"),
            "For a third party's guest: processes with fresh instances, unless the price, which cannot be told \
             yet, is too much for you and the loss of the whole program is not."
        );
        for row in &mut comparison.rows {
            row.detectable = None;
        }
        assert_eq!(
            own(&comparison),
            "For a guest of your own: what a process costs its jobs cannot be told; give more time \
             (--time-budget). Rests on job.p50 and job.throughput[workers=2]."
        );
    }

    #[test]
    fn guests_of_others_get_fresh_processes_at_any_price() {
        for trust in [Trust::ThirdParty, Trust::Hostile] {
            let deployment = advice(&costing(0.25), Some(trust)).deployment.unwrap();
            assert_eq!(deployment.isolation, Isolation::Process);
            assert_eq!(deployment.instance, InstancePolicy::Fresh);
            assert_eq!(deployment.start, Some(StartMethod::Exec));
        }
        let third = advice(&costing(0.25), Some(Trust::ThirdParty));
        assert_eq!(
            sentence(&third, "For a third party"),
            "For a third party's guest: processes with fresh instances, unless 25.0 % of a job is too much for you \
             and the loss of the whole program is not."
        );
    }

    #[test]
    fn the_start_follows_from_the_threat_and_the_code_from_the_start() {
        let mut comparison = costing(0.01);
        comparison.settings.start = StartMethod::Fork;
        comparison.settings.link = LinkKind::Shm;
        for (trust, start, code) in [
            (
                Trust::Own,
                StartMethod::Fork,
                "    .start(StartMethod::Fork)\n",
            ),
            (
                Trust::ThirdParty,
                StartMethod::Fork,
                "    .start(StartMethod::Fork)\n",
            ),
            (
                Trust::Hostile,
                StartMethod::Exec,
                "    .start(StartMethod::Exec)\n",
            ),
        ] {
            let deployment = advice(&comparison, Some(trust)).deployment.unwrap();
            assert_eq!(deployment.start, Some(start));
            assert_eq!(deployment.link, Some(LinkKind::Shm));
            assert!(deployment.snippet.contains(code), "{}", deployment.snippet);
            assert!(deployment.snippet.contains("    .link(LinkKind::Shm)\n"));
        }
    }

    #[test]
    fn each_choice_names_its_rows_and_threads_have_no_way() {
        let dear = advice(&costing(0.25), Some(Trust::Own));
        assert_eq!(dear.rows, ["job.p50", "job.throughput[workers=2]"]);
        assert!(
            !dear
                .sentences
                .iter()
                .any(|sentence| sentence.starts_with("Started by"))
        );
        let hostile = advice(&costing(0.25), Some(Trust::Hostile));
        assert_eq!(
            hostile.rows,
            ["start.first_echo", "message.round_trip[payload=64]"]
        );
        sentence(&hostile, "Started by exec, so that");
        sentence(&hostile, "Reached over pipe, as it was measured.");
    }

    #[test]
    fn every_number_of_the_advice_says_what_it_is() {
        let advice = advice(&costing(0.25), None);
        assert_eq!(advice.figures.len(), advice.sentences.len());
        for (sentence, figures) in advice.sentences.iter().zip(&advice.figures) {
            let mut rest = String::new();
            let mut at = 0;
            for figure in figures {
                rest.push_str(&sentence[at..figure.at]);
                at = figure.at + figure.bytes;
            }
            rest.push_str(&sentence[at..]);
            let rest = rest.split(" Rests on ").next().unwrap();
            assert!(
                !rest.contains(|c: char| c.is_ascii_digit()),
                "{sentence}: {rest}"
            );
        }
    }

    #[test]
    fn without_a_stated_origin_every_level_is_told_and_a_third_party_is_served() {
        let unsaid = advice(&costing(0.25), None);
        assert_eq!(unsaid.trust, None);
        assert_eq!(
            sentence(&unsaid, "Nothing was said"),
            "Nothing was said about where the guest comes from (--trust): your own would get threads, a third \
             party's processes with fresh instances, a hostile one the same, started by exec, at any price; it is \
             taken for a third party's."
        );
        assert_eq!(chosen(&costing(0.25), None), Isolation::Process);
    }

    /// Sets the rounds of both policies in the process arm: seconds of a job.
    fn set_policies(comparison: &mut Comparison, usual: f64, other: &str, seconds: f64) {
        for (id, seconds) in [("job.p50", usual), (other, seconds)] {
            let row = comparison
                .rows
                .iter_mut()
                .find(|row| row.metric == "p50" && row.id() == id);
            let series = row.unwrap().series.clone();
            let arms = comparison.series.get_mut(&series).unwrap();
            arms.insert(Arm::Process, vec![vec![seconds]; 8]);
        }
    }

    fn policy(comparison: &Comparison, trust: Trust) -> InstancePolicy {
        advice(comparison, Some(trust)).deployment.unwrap().instance
    }

    #[test]
    fn instances_are_reused_only_where_that_is_seen_faster_and_only_for_own_guests() {
        let mut comparison = costing(0.01);
        set_policies(&mut comparison, 1.0, "job.p50[instance=reused]", 0.5);
        assert_eq!(policy(&comparison, Trust::Own), InstancePolicy::Reused);
        assert_eq!(
            policy(&comparison, Trust::ThirdParty),
            InstancePolicy::Fresh
        );
        assert_eq!(
            sentence(&advice(&comparison, Some(Trust::Own)), "Reused instances"),
            "Reused instances: a job takes 0.50 [0.50, 0.50] times as long as on a fresh one, but finds what the \
             job before it left behind. Rests on job.p50[instance=reused] and job.p50."
        );
        set_policies(&mut comparison, 1.0, "job.p50[instance=reused]", 0.99);
        assert_eq!(policy(&comparison, Trust::Own), InstancePolicy::Fresh);
    }

    #[test]
    fn where_reuse_was_the_setting_the_fresh_row_is_the_other_one() {
        let mut comparison = costing(0.01);
        comparison.settings.instance = InstancePolicy::Reused;
        for row in &mut comparison.rows {
            if row.id() == "job.p50[instance=reused]" {
                row.params.insert("instance".to_owned(), "fresh".into());
            }
        }
        set_policies(&mut comparison, 0.5, "job.p50[instance=fresh]", 1.0);
        assert_eq!(policy(&comparison, Trust::Own), InstancePolicy::Reused);
        set_policies(&mut comparison, 1.0, "job.p50[instance=fresh]", 0.5);
        assert_eq!(policy(&comparison, Trust::Own), InstancePolicy::Fresh);
    }

    #[test]
    fn with_nothing_measured_only_the_threat_decides() {
        let mut comparison = sample();
        comparison.rows.clear();
        comparison.series.clear();
        comparison.containment.clear();
        let own = advice(&comparison, Some(Trust::Own));
        assert_eq!(own.deployment, None);
        assert_eq!(
            own.sentences,
            ["For a guest of your own: too little was measured to weigh the price of a process."]
        );
        assert_eq!(
            chosen(&comparison, Some(Trust::Hostile)),
            Isolation::Process
        );
        assert_eq!(
            sentence(&advice(&comparison, None), "For a third party"),
            "For a third party's guest: processes with fresh instances, unless the price, which was not measured, \
             is too much for you and the loss of the whole program is not."
        );
    }

    #[test]
    fn from_a_rigged_comparison_nothing_follows() {
        let mut comparison = sample();
        comparison.settings.rigged = Some("process x 1.05".to_owned());
        let advice = advice(&comparison, Some(Trust::Hostile));
        assert_eq!(advice.deployment, None);
        assert_eq!(advice.sentences.len(), 1);
    }

    #[test]
    fn guests_of_others_are_told_to_have_a_time_limit() {
        let mut comparison = costing(0.01);
        let told = |comparison: &Comparison, trust| {
            let advice = advice(comparison, Some(trust));
            advice
                .sentences
                .iter()
                .any(|sentence| sentence.contains("--timeout"))
        };
        assert!(!told(&comparison, Trust::Hostile));
        comparison.settings.timeout_s = None;
        assert!(told(&comparison, Trust::Hostile) && told(&comparison, Trust::ThirdParty));
        assert!(!told(&comparison, Trust::Own));
    }

    #[test]
    fn a_noisy_machine_is_told_at_the_end() {
        let mut comparison = costing(0.01);
        comparison.control = Some(Control {
            ratio: 1.0,
            low: 0.94,
            high: 1.25,
            reliable: false,
        });
        assert_eq!(
            advice(&comparison, Some(Trust::Own))
                .sentences
                .last()
                .unwrap(),
            "This machine was noisy: the same arm against itself differed by -6.00 to 25.0 %. Close other \
             programs, or use --rigorous, before you rely on small differences."
        );
    }

    #[test]
    fn numbers_that_are_none_are_never_printed() {
        for nonsense in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            let mut comparison = sample();
            comparison.guest.job_s = nonsense;
            for row in &mut comparison.rows {
                row.ratio.iter_mut().for_each(|ratio| ratio.high = nonsense);
                row.detectable = Some(nonsense);
                row.arms.values_mut().for_each(|arm| arm.value = nonsense);
            }
            comparison
                .containment
                .iter_mut()
                .for_each(|row| row.recovery_s = Some(nonsense));
            for trust in [
                None,
                Some(Trust::Own),
                Some(Trust::ThirdParty),
                Some(Trust::Hostile),
            ] {
                let text = advice(&comparison, trust).sentences.join(" ");
                let is_sound =
                    !text.contains("NaN") && !text.contains("inf ") && !text.contains("-inf");
                assert!(is_sound, "{text}");
            }
        }
    }
}
