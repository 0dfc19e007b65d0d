//! Everything that was measured so far, part by part and round by round.

use std::collections::BTreeMap;

use super::injection::Injection;
use super::pairing::paired;
use super::schedule::{Ended, LEAST};
use super::{Arm, Effort, FailedTrial, Identity, Part, Reach, Samples, Sharing};
use crate::stats::{Interval, median_interval};

/// What stands for a part in the failure of the first trial, which times a few jobs.
pub(super) const UNCALIBRATED: &str = "calibration";

/// Everything that was measured so far.
#[derive(Clone, Debug)]
pub struct Collected {
    /// The parts that were planned, in the order of the report.
    pub(crate) parts: Vec<PartLog>,
    pub(crate) injections: Vec<Injection>,
    pub(crate) identities: Vec<Identity>,
    pub(crate) sharing: Vec<Sharing>,
    pub(crate) reached: Vec<Reach>,
    pub(crate) failures: Vec<FailedTrial>,
    pub(crate) effort: Effort,
    /// Seconds that the rounds without which there is no result take, roughly; 0 before the first jobs
    /// were timed.
    pub(crate) core_s: f64,
    /// What stopped the measuring, if anything did.
    pub(crate) interrupted: Option<i32>,
}

/// What was done for one part.
#[derive(Clone, Debug)]
pub struct PartLog {
    pub(crate) part: &'static Part,
    /// What each round gave, by arm.
    pub(crate) rounds: Vec<BTreeMap<Arm, Samples>>,
    /// Seconds.
    pub(crate) spent: f64,
    pub(crate) ended: Ended,
    /// Whether the arm that is measured twice gave the same replies both times.
    pub(crate) reproducible: bool,
    /// Rounds, up to the last one, that gave nothing.
    pub(super) failing: usize,
    pub(super) narrow: bool,
}

impl Collected {
    /// The signal that stopped the measuring, if one did.
    #[must_use]
    pub fn interrupted_by(&self) -> Option<i32> {
        self.interrupted
    }

    /// With which inputs the guest fails, and how: the first of them, in words.
    #[must_use]
    pub fn guest_fails(&self) -> Option<&str> {
        let first = self.failures.iter().find(|failure| failure.part == "first");
        first.map(|failure| failure.error.as_str())
    }

    /// Why nobody knows how long the guest's jobs take, where that is not the guest's doing.
    #[must_use]
    pub fn untimed(&self) -> Option<&str> {
        let mut failures = self.failures.iter();
        let last = failures.rfind(|failure| failure.part == UNCALIBRATED);
        let untimed = last.filter(|_| !self.effort.works);
        untimed.map(|failure| failure.error.as_str())
    }

    /// Whether the guest does its jobs at all, with any input.
    #[must_use]
    pub fn guest_works(&self) -> bool {
        self.effort.works
    }

    /// How many rounds all parts had together.
    #[must_use]
    pub fn rounds(&self) -> usize {
        self.parts.iter().map(|log| log.rounds.len()).sum()
    }
}

impl PartLog {
    pub(super) fn new(part: &'static Part) -> Self {
        Self {
            part,
            rounds: Vec::new(),
            spent: 0.0,
            ended: Ended::TimeUp,
            reproducible: true,
            failing: 0,
            narrow: false,
        }
    }

    /// The samples of a series, by arm and round; empty where a trial failed.
    pub(crate) fn samples(&self, series: &str) -> BTreeMap<Arm, Vec<Vec<f64>>> {
        let mut samples = BTreeMap::new();
        for arm in Arm::ALL {
            let of_round = |round: &BTreeMap<Arm, Samples>| {
                let found = round.get(&arm)?.series.get(series)?;
                Some(found.clone())
            };
            let rounds: Vec<Vec<f64>> = self
                .rounds
                .iter()
                .map(|round| of_round(round).unwrap_or_default())
                .collect();
            if rounds.iter().any(|round| !round.is_empty()) {
                samples.insert(arm, rounds);
            }
        }
        samples
    }

    /// Whether every comparison of this part is known so well, to each side, as a fraction. One that is
    /// told by no round because an arm gives nothing is not known at all.
    pub(super) fn is_narrow(&self, effort: &Effort, wanted: f64) -> bool {
        if self.rounds.len() <= LEAST {
            return false;
        }
        let has_control = self.part.arms(effort.budget).contains(&Arm::Control);
        let mut judged = 0;
        for row in self.part.rows(effort) {
            let samples = self.samples(&row.series);
            // Where the time goes is told, not judged; what no arm gives here is no row of the report.
            if row.metric == "phase" || samples.is_empty() {
                continue;
            }
            judged += 1;
            let twin = row.twin.unwrap_or(self.part.twin);
            let paired = paired(&row, twin, &samples);
            let is_known = |ratios: &[f64], sides: [Arm; 2]| match median_interval(ratios) {
                Some(interval) => is_narrow(interval, wanted),
                // Counts that are zero on both sides have no ratio, however many rounds there are.
                None => sides.iter().all(|arm| samples.contains_key(arm)),
            };
            let (above, below) = row.compared;
            if !is_known(&paired.ratios, [above, below])
                || has_control && !is_known(&paired.control, [Arm::Control, twin])
            {
                return false;
            }
        }
        judged > 0
    }
}

/// Whether an interval is worth its 95 % and reaches no further than this to each side, as a fraction.
fn is_narrow(interval: Interval, wanted: f64) -> bool {
    interval.confidence >= 0.95
        && interval.high / interval.median <= 1.0 + wanted
        && interval.median / interval.low <= 1.0 + wanted
}

/// Every arm of a round did the same jobs with the same seed: their replies must be the same bytes. Where
/// not even the control's are those of its twin, the guest itself does not repeat itself, and nothing
/// follows from that for the others.
pub(super) fn check_replies(place: usize, number: usize, collected: &mut Collected) {
    let log = &mut collected.parts[place];
    let round = &mut log.rounds[number];
    let Some(reference) = round
        .get(&log.part.twin)
        .map(|samples| samples.replies.clone())
    else {
        return;
    };
    let differs = |samples: &Samples| {
        let mut series = samples.replies.iter();
        series.any(|(series, digest)| reference.get(series).is_some_and(|known| known != digest))
    };
    if round.get(&Arm::Control).is_some_and(differs) {
        log.reproducible = false;
    }
    if !log.reproducible {
        return;
    }
    let arms = round.iter().filter(|(_, samples)| differs(samples));
    let differing: Vec<Arm> = arms.map(|(arm, _)| *arm).collect();
    for arm in differing {
        round.remove(&arm);
        collected.failures.push(FailedTrial {
            experiment: log.part.experiment.to_owned(),
            part: log.part.name.to_owned(),
            round: number,
            arm,
            error: format!("its replies differ from those of the {} arm", log.part.twin),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Budget, PartWork, RowSpec};
    use super::*;

    /// One row, a sample a round, as many rounds as a usual comparison has.
    static PART: Part = Part {
        experiment: "job",
        name: "tested",
        question: "?",
        arms: |_| &[Arm::Thread, Arm::Process, Arm::Control],
        twin: Arm::Thread,
        weight: 1.0,
        core: 6,
        most: MOST,
        left_out: |_| Vec::new(),
        rows: |_| vec![RowSpec::seconds("p50", "a job", "latency")],
        work: PartWork::Faults,
    };
    const MOST: [usize; 3] = [12, 40, 100];
    const WANTED: f64 = 0.01;

    type Round = BTreeMap<Arm, Samples>;

    fn log(rounds: impl IntoIterator<Item = Round>) -> PartLog {
        PartLog {
            rounds: rounds.into_iter().collect(),
            ..PartLog::new(&PART)
        }
    }

    /// One sample of each of these arms.
    fn round(values: &[(Arm, f64)]) -> Round {
        let of = |value| {
            let mut samples = Samples::default();
            samples.add("latency", value);
            samples
        };
        values
            .iter()
            .map(|&(arm, value)| (arm, of(value)))
            .collect()
    }

    /// A round in which the arms have these replies.
    fn replying(replies: &[(Arm, &str)]) -> Round {
        let of = |digest: &str| Samples {
            replies: BTreeMap::from([("latency".to_owned(), digest.to_owned())]),
            ..Samples::default()
        };
        replies
            .iter()
            .map(|&(arm, digest)| (arm, of(digest)))
            .collect()
    }

    /// What the replies of one round come to.
    fn checked(replies: &[(Arm, &str)]) -> Collected {
        let mut collected = Collected {
            parts: vec![log([replying(replies)])],
            injections: Vec::new(),
            reached: Vec::new(),
            identities: Vec::new(),
            sharing: Vec::new(),
            failures: Vec::new(),
            effort: Effort::default(),
            core_s: 0.0,
            interrupted: None,
        };
        check_replies(0, 0, &mut collected);
        collected
    }

    fn arms(collected: &Collected) -> Vec<Arm> {
        collected.parts[0].rounds[0].keys().copied().collect()
    }

    fn narrow(log: &PartLog) -> bool {
        log.is_narrow(&Effort::default(), WANTED)
    }

    /// A round without any noise.
    fn still() -> Round {
        round(&[(Arm::Thread, 1.0), (Arm::Process, 2.0), (Arm::Control, 1.0)])
    }

    #[test]
    fn an_arm_with_a_wrong_reply_is_a_failed_trial_without_samples() {
        let replies = [(Arm::Thread, "a"), (Arm::Process, "b"), (Arm::Control, "a")];
        let collected = checked(&replies);
        assert_eq!(arms(&collected), [Arm::Thread, Arm::Control]);
        assert!(collected.parts[0].reproducible);
        let [failure] = collected.failures.as_slice() else {
            panic!("{:?}", collected.failures)
        };
        assert_eq!((failure.arm, failure.round), (Arm::Process, 0));
        assert_eq!(
            failure.error,
            "its replies differ from those of the thread arm"
        );
    }

    #[test]
    fn equal_replies_are_no_failure() {
        let replies = [(Arm::Thread, "a"), (Arm::Process, "a"), (Arm::Control, "a")];
        let collected = checked(&replies);
        assert_eq!(arms(&collected).len(), 3);
        assert!(collected.failures.is_empty());
    }

    #[test]
    fn a_guest_that_does_not_repeat_itself_blames_no_arm() {
        let replies = [(Arm::Thread, "a"), (Arm::Process, "b"), (Arm::Control, "c")];
        let collected = checked(&replies);
        assert!(!collected.parts[0].reproducible);
        assert_eq!(arms(&collected).len(), 3);
        assert!(collected.failures.is_empty());
    }

    #[test]
    fn without_the_arm_that_others_are_checked_against_nothing_is_said() {
        let collected = checked(&[(Arm::Process, "b"), (Arm::Control, "a")]);
        assert_eq!(arms(&collected).len(), 2);
        assert!(collected.parts[0].reproducible && collected.failures.is_empty());
    }

    #[test]
    fn seven_equal_rounds_are_narrow_and_six_are_not() {
        assert!(narrow(&log(vec![still(); 7])));
        assert!(!narrow(&log(vec![still(); 6])));
    }

    #[test]
    fn one_wide_comparison_keeps_a_part_open() {
        let process = |place: u32| 2.0 + 0.1 * f64::from(place);
        let rounds = (0..9).map(|place| {
            round(&[
                (Arm::Thread, 1.0),
                (Arm::Process, process(place)),
                (Arm::Control, 1.0),
            ])
        });
        assert!(!narrow(&log(rounds)));
        // The ratio is 2 in each round, and only the control strays.
        let control = |place: u32| 1.0 + 0.1 * f64::from(place);
        let rounds = (0..9).map(|place| {
            round(&[
                (Arm::Thread, 1.0),
                (Arm::Process, 2.0 * control(place).sqrt()),
                (Arm::Control, control(place)),
            ])
        });
        assert!(!narrow(&log(rounds)));
    }

    #[test]
    fn an_arm_that_always_fails_is_not_narrow() {
        for missing in [Arm::Thread, Arm::Process, Arm::Control] {
            let mut round = still();
            round.remove(&missing);
            assert!(!narrow(&log(vec![round; 20])), "{missing}");
        }
        assert!(!narrow(&log(vec![Round::new(); 20])));
    }

    #[test]
    fn counts_of_nothing_have_no_ratio_and_keep_nobody_waiting() {
        let nothing = round(&[(Arm::Thread, 0.0), (Arm::Process, 3.0), (Arm::Control, 0.0)]);
        assert!(narrow(&log(vec![nothing; 7])));
    }

    /// One value of a normal distribution: twelve evenly distributed ones have a variance of one.
    fn normal(rng: &mut fastrand::Rng) -> f64 {
        (0..12).map(|_| rng.f64()).sum::<f64>() - 6.0
    }

    /// Measures two equal arms with noise of this size, until the rule of the schedule stops it: whether
    /// the interval of the last round holds the truth, and how many rounds there were.
    fn stopped(rng: &mut fastrand::Rng, noise: f64) -> (bool, usize) {
        let mut log = log([]);
        loop {
            let mut value = || (noise * normal(rng)).exp();
            log.rounds.push(round(&[
                (Arm::Thread, value()),
                (Arm::Process, value()),
                (Arm::Control, value()),
            ]));
            let enough = log.rounds.len() >= Budget::Default.pick(MOST);
            if enough || narrow(&log) {
                let row = &PART.rows(&Effort::default())[0];
                let paired = paired(row, PART.twin, &log.samples(&row.series));
                let interval = median_interval(&paired.ratios).unwrap();
                let holds = interval.low <= 1.0 && 1.0 <= interval.high;
                return (holds, log.rounds.len());
            }
        }
    }

    /// The figures of METHODOLOGY.md, "Trials, segments, rounds, arms".
    #[test]
    fn intervals_that_were_chosen_for_being_narrow_hold_the_truth_nearly_as_often_as_they_say() {
        const RUNS: usize = 1500;
        let mut held_of_all = 0;
        let noises = [0.2, 0.4, 0.6, 0.8, 1.0, 1.3, 1.6];
        let mut rounds_of_all = Vec::new();
        for noise in noises {
            let mut rng = fastrand::Rng::with_seed(7);
            let runs = (0..RUNS).map(|_| stopped(&mut rng, noise * WANTED));
            let (held, rounds) = runs.fold((0, 0), |(held, rounds), (holds, many)| {
                (held + usize::from(holds), rounds + many)
            });
            // Three standard errors of so many runs are 1.7 %.
            let found = 100.0 * crate::stats::to_f64(held) / crate::stats::to_f64(RUNS);
            assert!((92.0..=97.0).contains(&found), "{noise}: {found} %");
            held_of_all += held;
            rounds_of_all.push(rounds / RUNS);
        }
        let all = RUNS * noises.len();
        let found = 100.0 * crate::stats::to_f64(held_of_all) / crate::stats::to_f64(all);
        assert!((93.5..=95.5).contains(&found), "{found} %");
        // The rule did stop some at the first chance, and let some go on for nearly as long as they may.
        assert!(
            rounds_of_all[0] == 7 && rounds_of_all[6] > 30,
            "{rounds_of_all:?}"
        );
    }
}
