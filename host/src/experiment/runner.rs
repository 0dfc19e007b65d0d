//! Runs the rounds of a plan, and keeps what they say.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::collected::{Collected, PartLog, check_replies};
use super::conversation::{Conversation, Nothing};
use super::injection::{End, Injection, conclude};
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
            interrupted: None,
        };
        let what = "the first job".to_owned();
        seen(&Progress { done: 0.0, what }, &collected);
        match self.calibrate().map_err(Nothing::failure) {
            Ok(calibration) => self.settle(&calibration, &mut collected),
            Err(Err(by)) => {
                collected.interrupted = Some(by);
                return self.closed(collected);
            }
            Err(Ok(error)) => {
                let failing = vec![(0, error)];
                let calibration = Calibration {
                    failing,
                    ..Calibration::default()
                };
                self.settle(&calibration, &mut collected);
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
        let patience = patience(&effort);
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
        for &(fault, arm) in &injections {
            let order = self.order(
                Work::Inject(fault),
                part,
                arm,
                round as u64,
                collected.effort,
            );
            match self.inject(&order, fault) {
                Ok(injection) => collected.injections.push(injection),
                Err(nothing) => {
                    failed += 1;
                    collected.failures.push(FailedTrial {
                        experiment: part.experiment.to_owned(),
                        part: fault.name().to_owned(),
                        round,
                        arm,
                        error: nothing.failure().map_err(Stopped)?,
                    });
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
        let patience = patience(&order.effort);
        let mut heard = Vec::new();
        let may_stop = fault == Fault::Stop;
        let began = Instant::now();
        let stands_still = loop {
            // A host that was stopped says nothing; the kernel says it for it.
            let step = if may_stop {
                Duration::from_millis(100)
            } else {
                patience
            };
            match host.hear(step, Some(self.stop)) {
                Ok(Said::Progress(sighting)) => heard.push(sighting),
                Ok(Said::Measured(_)) => break false,
                Ok(said) => return Err(Nothing::Failed(format!("the trial said {said:?}"))),
                Err(Nothing::Silent(_)) if may_stop && child::is_stopped(host.pid()) => break true,
                Err(Nothing::Silent(_)) if may_stop && began.elapsed() < patience => {}
                // It ended without an answer: its death may be the result.
                Err(Nothing::Failed(_)) if host.signal().is_some() => break false,
                Err(nothing) => return Err(nothing),
            }
        };
        let isolation = match order.arm {
            Arm::Process => Isolation::Process,
            _ => Isolation::Thread,
        };
        let end = match (stands_still, host.signal_if_ended()) {
            (true, _) => End::StandsStill,
            (false, Some(signal)) => End::Died(signal),
            (false, None) => End::Lives,
        };
        conclude(fault, isolation, &heard, end)
            .ok_or_else(|| Nothing::Failed(host.death()))?
            .map_err(Nothing::Failed)
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
    }

    fn calibrate(&self) -> Result<Calibration, Nothing> {
        let effort = self.plan.effort(1.0, 1.0);
        let order = self.order(Work::Calibrate, PARTS[0], Arm::Thread, 0, effort);
        // Compiling a large guest for the first time takes its while.
        let mut trial = self.begin(&order)?;
        match trial.hear(Duration::from_secs(600), Some(self.stop))? {
            Said::Calibrated(calibration) => Ok(calibration),
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

/// How long a trial may say nothing before it is taken to be stuck: many times what it was given to do.
fn patience(effort: &Effort) -> Duration {
    Duration::from_secs(60) + Duration::from_secs_f64(200.0 * effort.job)
}
