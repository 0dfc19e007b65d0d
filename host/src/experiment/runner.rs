//! Runs the rounds of a plan, and keeps what they say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::collected::{Collected, PartLog, UNCALIBRATED, check_replies};
use super::conversation::{Conversation, Nothing};
use super::injection::{End, Inconclusive, Injection, conclude};
use super::schedule::{self, Ended, Entry};
use super::trial::{Calibration, Order, Said, Work};
use super::{Arm, Effort, FailedTrial, Fault, PARTS, Part, PartWork, Plan, Samples};
use crate::options::Isolation;
use crate::sys::child;

/// Where the measuring is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Part of the time that is used up: 0 at the beginning; more than 1 where slow jobs take longer than
    /// was planned.
    pub done: f64,
    /// What is being measured.
    pub what: String,
}

/// Runs a plan.
pub struct Runner<'a> {
    plan: &'a Plan,
    /// Anything on it stops the measuring after the current trials are killed.
    stop: &'a Receiver<i32>,
    rng: fastrand::Rng,
    started: Instant,
    /// The places of the inputs with which the guest does its jobs.
    inputs: Vec<usize>,
}

/// Seconds that a first round may take, for each second that a job takes: some jobs in each arm.
const GUESS: f64 = 30.0;

/// Somebody stopped the measuring.
struct Stopped(i32);

impl<'a> Runner<'a> {
    /// A runner that is stopped by anything that arrives on `stop`.
    #[must_use]
    pub fn new(plan: &'a Plan, stop: &'a Receiver<i32>) -> Self {
        Self {
            plan,
            stop,
            rng: fastrand::Rng::with_seed(plan.seed),
            started: Instant::now(),
            inputs: (0..plan.subject.inputs.len()).collect(),
        }
    }

    /// Measures. `seen` is called before and after each round with all that there is by then.
    ///
    /// Where the guest does not do its jobs, each part that needs them is a failure with its error, and
    /// the rest goes on.
    #[must_use]
    pub fn run(mut self, mut seen: impl FnMut(&Progress, &Collected)) -> Collected {
        let mut collected = Collected {
            parts: self
                .plan
                .parts
                .iter()
                .map(|part| PartLog::new(part))
                .collect(),
            injections: Vec::new(),
            identities: Vec::new(),
            reached: Vec::new(),
            sharing: Vec::new(),
            failures: Vec::new(),
            effort: self.plan.effort(1.0, 1.0),
            core_s: 0.0,
            interrupted: None,
        };
        let what = "the first job".to_owned();
        seen(&Progress { done: 0.0, what }, &collected);
        let mut first = self.calibrate();
        if let Err(Nothing::Died { told, .. }) = &first {
            let told = format!("{told}; it is tried once more");
            collected.failures.push(uncalibrated(&told));
            first = self.calibrate();
        }
        match first.map_err(Nothing::failure) {
            Ok(calibration) => self.settle(&calibration, &mut collected),
            Err(Err(by)) => {
                collected.interrupted = Some(by);
                return self.closed(collected);
            }
            Err(Ok(error)) => {
                // Nobody knows how long a job takes. That is not the guest's fault.
                collected.failures.push(uncalibrated(&error));
                self.settle(&Calibration::default(), &mut collected);
            }
        }
        while let Some(place) = self.next(&collected) {
            let part = collected.parts[place].part;
            let round = collected.parts[place].rounds.len();
            let what = format!("{part:?}, round {}", round + 1);
            let done = self.done();
            seen(
                &Progress {
                    done,
                    what: what.clone(),
                },
                &collected,
            );
            let began = Instant::now();
            let result = match &part.work {
                PartWork::Staged { segments, .. } => {
                    let segments = segments(&collected.effort);
                    self.round(place, Turns::Shared { segments }, &mut collected)
                }
                PartWork::Alone { .. } => self.round(place, Turns::Alone, &mut collected),
                PartWork::Faults => {
                    self.faults(place, round, &mut collected, |done, what, collected| {
                        seen(&Progress { done, what }, collected);
                    })
                }
            };
            let log = &mut collected.parts[place];
            log.spent += began.elapsed().as_secs_f64();
            if let Err(Stopped(by)) = result {
                collected.interrupted = Some(by);
                break;
            }
            let (effort, wanted) = (collected.effort, self.plan.narrow());
            let log = &mut collected.parts[place];
            log.narrow = log.is_narrow(&effort, wanted);
            let done = self.done();
            seen(&Progress { done, what }, &collected);
        }
        self.closed(collected)
    }

    /// Notes why each part has no more rounds.
    fn closed(&self, mut collected: Collected) -> Collected {
        let stopped = collected.interrupted.map(|_| Ended::Stopped);
        let effort = collected.effort;
        for log in &mut collected.parts {
            let ended = self.entry(log, &effort).ended();
            log.ended = ended.or(stopped).unwrap_or(Ended::TimeUp);
        }
        collected
    }

    fn entry(&self, log: &PartLog, effort: &Effort) -> Entry {
        Entry {
            weight: log.part.weight,
            core: log.part.core,
            aim: match log.part.rows(effort).len() {
                0 => 0,
                _ => schedule::LEAST,
            },
            guess: GUESS * effort.job,
            most: self.plan.budget.pick(log.part.most),
            rounds: log.rounds.len(),
            spent: log.spent,
            narrow: log.narrow,
            failing: log.failing,
        }
    }

    fn next(&self, collected: &Collected) -> Option<usize> {
        let entries: Vec<Entry> = collected
            .parts
            .iter()
            .map(|log| self.entry(log, &collected.effort))
            .collect();
        let left = self.plan.time.as_secs_f64() - self.started.elapsed().as_secs_f64();
        schedule::next(&entries, left)
    }

    fn done(&self) -> f64 {
        self.started.elapsed().as_secs_f64() / self.plan.time.as_secs_f64()
    }

    /// One round of a part: each arm in a process of its own, in turns.
    fn round(
        &mut self,
        place: usize,
        turns: Turns,
        collected: &mut Collected,
    ) -> Result<(), Stopped> {
        let part = collected.parts[place].part;
        let number = collected.parts[place].rounds.len();
        let mut given = Given::default();
        let done = self.take_turns(part, number, turns, collected.effort, &mut given);
        // What there is counts, also of a round that was stopped.
        let Given { samples, failures } = given;
        collected
            .failures
            .extend(failures.into_iter().map(|(arm, error)| FailedTrial {
                experiment: part.experiment.to_owned(),
                part: part.name.to_owned(),
                round: number,
                arm,
                error,
            }));
        let log = &mut collected.parts[place];
        log.failing = if samples.is_empty() {
            log.failing + 1
        } else {
            0
        };
        log.rounds.push(BTreeMap::new());
        for (arm, mut of_arm) in samples {
            collected.identities.extend(of_arm.identity.take());
            collected.sharing.extend(of_arm.sharing.take());
            collected.reached.append(&mut of_arm.reached);
            log.rounds[number].insert(arm, of_arm);
        }
        check_replies(place, number, collected);
        done
    }

    fn take_turns(
        &mut self,
        part: &'static Part,
        number: usize,
        turns: Turns,
        effort: Effort,
        given: &mut Given,
    ) -> Result<(), Stopped> {
        let place = PARTS.iter().position(|known| std::ptr::eq(*known, part));
        let work = Work::Part(place.unwrap_or(usize::MAX));
        let patience = patience(&effort, self.plan.time);
        let mut arms = part.arms(self.plan.budget).to_vec();
        self.rng.shuffle(&mut arms);
        // Every arm of a round has the same seed, and so the same work and the same replies.
        let order = |arm| self.order(work.clone(), part, arm, number as u64, effort);
        let mut running: Vec<(Arm, Conversation)> = Vec::new();
        for &arm in &arms {
            match self.ready(&order(arm), patience) {
                Ok(trial) => running.push((arm, trial)),
                Err(nothing) => given.fail(arm, nothing)?,
            }
            if turns == Turns::Alone {
                running = self.segment(running, patience, given)?;
                self.measured(std::mem::take(&mut running), patience, given)?;
            }
        }
        if let Turns::Shared { segments } = turns {
            for _ in 0..segments {
                self.rng.shuffle(&mut running);
                running = self.segment(running, patience, given)?;
            }
            self.measured(running, patience, given)?;
        }
        Ok(())
    }

    /// A trial that is set up.
    fn ready(&self, order: &Order, patience: Duration) -> Result<Conversation, Nothing> {
        let mut trial = self.begin(order)?;
        match trial.hear(patience, Some(self.stop))? {
            Said::Ready => Ok(trial),
            said => Err(Nothing::Failed(format!("the trial said {said:?} at first"))),
        }
    }

    /// Lets each trial do its next segment, one after the other; gives back those that live.
    fn segment(
        &self,
        running: Vec<(Arm, Conversation)>,
        patience: Duration,
        given: &mut Given,
    ) -> Result<Vec<(Arm, Conversation)>, Stopped> {
        let mut alive = Vec::with_capacity(running.len());
        for (arm, mut trial) in running {
            trial.go();
            match trial.hear(patience, Some(self.stop)) {
                Ok(Said::Done) => alive.push((arm, trial)),
                Ok(said) => given.fail(arm, Nothing::Failed(format!("the trial said {said:?}")))?,
                Err(nothing) => given.fail(arm, nothing)?,
            }
        }
        Ok(alive)
    }

    fn measured(
        &self,
        running: Vec<(Arm, Conversation)>,
        patience: Duration,
        given: &mut Given,
    ) -> Result<(), Stopped> {
        for (arm, mut trial) in running {
            match trial.measured(patience, Some(self.stop)) {
                Ok(samples) => given.samples.push((arm, samples)),
                Err(nothing) => given.fail(arm, nothing)?,
            }
        }
        Ok(())
    }

    /// Each fault once in each isolation.
    fn faults(
        &mut self,
        place: usize,
        round: usize,
        collected: &mut Collected,
        mut seen: impl FnMut(f64, String, &Collected),
    ) -> Result<(), Stopped> {
        let part = collected.parts[place].part;
        collected.parts[place].rounds.push(BTreeMap::new());
        let arms = part.arms(self.plan.budget);
        let mut injections: Vec<(Fault, Arm)> = Fault::ALL
            .into_iter()
            .flat_map(|fault| arms.iter().map(move |&arm| (fault, arm)))
            .collect();
        self.rng.shuffle(&mut injections);
        let mut failed = 0;
        let lost = |fault: Fault, arm, error| FailedTrial {
            experiment: part.experiment.to_owned(),
            part: fault.name().to_owned(),
            round,
            arm,
            error,
        };
        for &(fault, arm) in &injections {
            let order = self.order(
                Work::Inject(fault),
                part,
                arm,
                round as u64,
                collected.effort,
            );
            let mut found = self.inject(&order, fault);
            if let Err(Nothing::Died { told, .. }) = &found {
                let told = format!("{told}; it is tried once more");
                collected.failures.push(lost(fault, arm, told));
                found = self.inject(&order, fault);
            }
            match found {
                Ok(injection) => collected.injections.push(injection),
                Err(nothing) => {
                    failed += 1;
                    let error = nothing.failure().map_err(Stopped)?;
                    collected.failures.push(lost(fault, arm, error));
                }
            }
            seen(self.done(), format!("{fault}, {arm}"), collected);
        }
        let log = &mut collected.parts[place];
        let all = failed == injections.len();
        log.failing = if all { log.failing + 1 } else { 0 };
        Ok(())
    }

    fn inject(&self, order: &Order, fault: Fault) -> Result<Injection, Nothing> {
        let mut host = self.begin(order)?;
        let patience = patience(&order.effort, self.plan.time);
        let mut heard = Vec::new();
        let may_stop = fault == Fault::Stop;
        let began = Instant::now();
        let end = loop {
            // A host that was stopped says nothing; the kernel says it for it.
            let step = if may_stop {
                Duration::from_millis(100)
            } else {
                patience
            };
            match host.hear(step, Some(self.stop)) {
                Ok(Said::Progress(sighting)) => heard.push(sighting),
                Ok(Said::Measured(_)) => break End::Lives,
                Ok(said) => return Err(Nothing::Failed(format!("the trial said {said:?}"))),
                Err(Nothing::Silent(_)) if may_stop && child::is_stopped(host.pid()) => {
                    break End::StandsStill;
                }
                Err(Nothing::Silent(_)) if may_stop && began.elapsed() < patience => {}
                // It ended without an answer: its death may be the result.
                Err(Nothing::Died {
                    signal: Some(signal),
                    ..
                }) => break End::Died(signal),
                // It died in the middle of a word.
                Err(Nothing::Failed(why)) => match host.signal() {
                    Some(signal) => break End::Died(signal),
                    None => return Err(Nothing::Failed(why)),
                },
                Err(nothing) => return Err(nothing),
            }
        };
        let isolation = match order.arm {
            Arm::Process => Isolation::Process,
            _ => Isolation::Thread,
        };
        conclude(fault, isolation, &heard, end).map_err(|why| match why {
            Inconclusive::Otherwise(told) => Nothing::Failed(told),
            Inconclusive::Unfinished => Nothing::Died {
                signal: host.signal(),
                told: host.death(),
            },
            Inconclusive::Foreign(signal) => Nothing::Died {
                signal: Some(signal),
                told: format!(
                    "{}, which the fault does not do: somebody else did",
                    host.death()
                ),
            },
        })
    }

    /// Takes over what the first jobs told: inputs with which the guest fails are left out.
    fn settle(&mut self, calibration: &Calibration, collected: &mut Collected) {
        let many = self.inputs.len();
        for (place, error) in &calibration.failing {
            let error = match many {
                1 => error.clone(),
                _ => format!("input {} of {many}: {error}", place + 1),
            };
            collected.failures.push(FailedTrial {
                experiment: "job".to_owned(),
                part: "first".to_owned(),
                round: 0,
                arm: Arm::Thread,
                error,
            });
        }
        let is_failing =
            |place: &usize| calibration.failing.iter().any(|(known, _)| known == place);
        let usable: Vec<usize> = (0..many).filter(|place| !is_failing(place)).collect();
        let usual = Effort::default().job;
        let job = calibration.job.unwrap_or(usual);
        collected.effort = Effort {
            works: calibration.job.is_some(),
            linear_memory: calibration.linear_memory.unwrap_or(0),
            ..self.plan.effort(job, calibration.trip.unwrap_or(job))
        };
        if calibration.job.is_some() {
            self.inputs = usable;
        }
        collected.core_s = core_time(&self.plan.parts, &collected.effort, calibration.around);
    }

    fn calibrate(&self) -> Result<Calibration, Nothing> {
        let effort = self.plan.effort(1.0, 1.0);
        let order = self.order(Work::Calibrate, PARTS[0], Arm::Thread, 0, effort);
        let began = Instant::now();
        let mut trial = self.begin(&order)?;
        match trial.hear(first_patience(self.plan.time), Some(self.stop))? {
            Said::Calibrated(calibration) => Ok(Calibration {
                around: (began.elapsed().as_secs_f64() - calibration.jobs).max(0.0),
                ..calibration
            }),
            said => Err(Nothing::Failed(format!("the first trial said {said:?}"))),
        }
    }

    fn begin(&self, order: &Order) -> Result<Conversation, Nothing> {
        let subject = &self.plan.subject;
        let mut bytes = vec![subject.guest.wasm()];
        bytes.extend(
            self.inputs
                .iter()
                .map(|&place| subject.inputs[place].as_slice()),
        );
        Conversation::begin(order, &bytes)
    }

    fn order(&self, work: Work, part: &Part, arm: Arm, round: u64, effort: Effort) -> Order {
        let subject = &self.plan.subject;
        let rigged = self.plan.rigging.filter(|_| arm == Arm::Process);
        let is_control = arm == Arm::Control;
        let arm = match (arm, rigged) {
            (Arm::Control, _) => part.twin,
            (_, Some(_)) => part.twin,
            (arm, None) => arm,
        };
        Order {
            work,
            arm,
            is_control,
            delay: rigged.map_or(0.0, |rigging| rigging.delay),
            effort,
            seed: self.plan.seed.wrapping_add(round),
            limits: subject.limits,
            cache: subject.cache.clone(),
            parent: std::process::id(),
            entry: subject.guest.entry().clone(),
            surroundings: subject.surroundings.clone(),
            guest_name: subject.guest.name().to_owned(),
            guest_bytes: subject.guest.wasm().len(),
            input_bytes: self
                .inputs
                .iter()
                .map(|&place| subject.inputs[place].len())
                .collect(),
        }
    }
}

/// How the arms of a round share the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turns {
    /// Their processes live side by side, and do so many segments in turns.
    Shared { segments: usize },
    /// One after the other: no process of another arm is there.
    Alone,
}

/// What a round gave so far.
#[derive(Default)]
struct Given {
    samples: Vec<(Arm, Samples)>,
    failures: Vec<(Arm, String)>,
}

impl Given {
    fn fail(&mut self, arm: Arm, nothing: Nothing) -> Result<(), Stopped> {
        let error = nothing.failure().map_err(Stopped)?;
        self.failures.push((arm, error));
        Ok(())
    }
}

/// A failure of the trial that times the first jobs, before any part has begun.
fn uncalibrated(told: &str) -> FailedTrial {
    FailedTrial {
        experiment: "job".to_owned(),
        part: UNCALIBRATED.to_owned(),
        round: 0,
        arm: Arm::Thread,
        error: format!("the first trial, which times a few jobs, gave nothing: {told}"),
    }
}

/// How long a trial may say nothing before it is taken to be stuck: many times what it was given to do,
/// but no longer than the whole comparison was to take. A budget that is shorter than what a trial that
/// lives may need does not count.
fn patience(effort: &Effort, budget: Duration) -> Duration {
    let jobs = |many: f64| Duration::from_secs_f64(many * effort.job);
    let usual = Duration::from_secs(60) + jobs(200.0);
    let least = Duration::from_secs(10) + jobs(50.0);
    usual.min(budget.max(least))
}

/// The same for the first trial, of whose jobs nothing is known yet. Compiling a large guest for the
/// first time takes its while.
fn first_patience(budget: Duration) -> Duration {
    (10 * budget).clamp(Duration::from_secs(60), Duration::from_secs(600))
}

/// Seconds that the core rounds of these parts take, roughly, where a trial takes so many seconds
/// beside its jobs. Each trial fills its share of time, or does a few jobs, whatever is longer: in the
/// records of `@argon2` that comes within a fifth of what it took.
fn core_time(parts: &[&Part], effort: &Effort, around: f64) -> f64 {
    /// Jobs that a trial does of the user's guest at the least.
    const FEW: f64 = 4.0;
    let share: f64 = effort.budget.pick([0.05, 0.12, 0.4]);
    #[expect(clippy::cast_precision_loss, reason = "some hundreds of trials")]
    let of_part = |part: &&Part| {
        let (faults, does_jobs) = match part.work {
            PartWork::Faults => (Fault::ALL.len(), false),
            PartWork::Staged { .. } | PartWork::Alone { .. } => {
                (1, matches!(part.experiment, "start" | "job"))
            }
        };
        let jobs = if does_jobs && effort.works {
            FEW * effort.job
        } else {
            0.0
        };
        let trials = part.core * faults * part.arms(effort.budget).len();
        trials as f64 * (around + share.max(jobs))
    };
    parts.iter().map(of_part).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_job(job: f64) -> Effort {
        Effort {
            job,
            ..Effort::default()
        }
    }

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_stuck_trial_is_given_no_more_time_than_the_whole_comparison() {
        let quick = with_job(0.0);
        assert_eq!(patience(&quick, S(560)), S(60));
        assert_eq!(patience(&quick, S(54)), S(54));
        assert_eq!(patience(&quick, S(2)), S(10));
        let slow = with_job(2.0);
        assert_eq!(patience(&slow, S(560)), S(460));
        assert_eq!(patience(&slow, S(54)), S(110));
        assert_eq!(first_patience(S(2)), S(60));
        assert_eq!(first_patience(S(13)), S(130));
        assert_eq!(first_patience(S(560)), S(600));
    }

    #[test]
    fn slow_jobs_and_slow_trials_make_the_core_rounds_longer() {
        let time = |job, around| core_time(&PARTS, &with_job(job), around);
        let quick = time(1e-4, 0.01);
        assert!((15.0..30.0).contains(&quick), "{quick}");
        assert!(time(1e-4, 0.5) > 3.0 * quick);
        assert!(time(5.0, 0.01) > 10.0 * quick);
        let broken = Effort {
            works: false,
            ..with_job(5.0)
        };
        assert_eq!(core_time(&PARTS, &broken, 0.01), quick);
    }

    #[test]
    fn parts_without_a_core_need_no_time() {
        let without: Vec<&Part> = PARTS.into_iter().filter(|part| part.core == 0).collect();
        assert_eq!(core_time(&without, &with_job(1.0), 0.1), 0.0);
        assert!(!without.is_empty());
    }
}
