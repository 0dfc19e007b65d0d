//! Runs the trials of a plan, in rounds, and keeps what they say.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, after, select};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::containment::{Containment, Fault, Sighting, expected};
use super::trial::{Effort, Order, Said, Work, patience};
use super::{Arm, EXPERIMENTS, Plan, Samples};
use crate::options::Isolation;
use crate::worker::Wishes;

/// Everything that was measured so far.
#[derive(Clone, Debug)]
pub struct Collected {
    /// What each round gave: experiment and arm to samples.
    pub(crate) rounds: Vec<BTreeMap<(&'static str, Arm), Samples>>,
    pub(crate) injections: Vec<Injection>,
    pub(crate) failures: Vec<FailedTrial>,
    /// Seconds that a job takes, roughly.
    pub(crate) job: f64,
    pub(crate) effort: Effort,
    /// What stopped the measuring, if anything did.
    pub(crate) interrupted: Option<i32>,
}

/// A trial that gave no samples. A failure is a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailedTrial {
    /// The round, from 0.
    pub round: usize,
    /// The experiment.
    pub experiment: String,
    /// The arm.
    pub arm: Arm,
    /// What went wrong.
    pub error: String,
}

/// One fault, injected once.
#[derive(Clone, Debug)]
pub(crate) struct Injection {
    pub(crate) fault: Fault,
    pub(crate) isolation: Isolation,
    pub(crate) observed: Containment,
    pub(crate) host_ended: Option<String>,
    pub(crate) bystanders: u64,
    pub(crate) lost: u64,
    pub(crate) recovery: Option<f64>,
}

/// Where the measuring is.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Part of the time that is used up, 0 to 1.
    pub done: f64,
    /// What is being measured.
    pub what: String,
}

/// Runs a plan.
pub struct Runner<'a> {
    plan: &'a Plan,
    /// Anything on it stops the measuring after the current trial is killed.
    stop: &'a Receiver<i32>,
    rng: fastrand::Rng,
    started: Instant,
}

/// Why a trial gave nothing.
enum Nothing {
    Failed(String),
    Stopped(i32),
}

/// What a trial said, and how its process ended.
struct Heard {
    said: Vec<Said>,
    status: Option<ExitStatus>,
    last_words: String,
}

impl Collected {
    /// The signal that stopped the measuring, if one did.
    #[must_use]
    pub fn interrupted_by(&self) -> Option<i32> {
        self.interrupted
    }
}

impl<'a> Runner<'a> {
    /// A runner that is stopped by anything that arrives on `stop`.
    #[must_use]
    pub fn new(plan: &'a Plan, stop: &'a Receiver<i32>) -> Self {
        Self {
            plan,
            stop,
            rng: fastrand::Rng::with_seed(plan.seed),
            started: Instant::now(),
        }
    }

    /// Measures. `seen` is called after each trial with all that there is by then.
    ///
    /// # Errors
    /// If not even the first job of the guest runs: there is nothing to compare.
    pub fn run(mut self, mut seen: impl FnMut(&Progress, &Collected)) -> Result<Collected, String> {
        let mut collected = Collected {
            rounds: Vec::new(),
            injections: Vec::new(),
            failures: Vec::new(),
            job: 0.0,
            effort: self.plan.effort(Duration::from_secs(1)),
            interrupted: None,
        };
        seen(
            &Progress {
                done: 0.0,
                what: "compiling, and a first job".to_owned(),
            },
            &collected,
        );
        collected.job = match self.calibrate(collected.effort) {
            Ok(seconds) => seconds,
            Err(Nothing::Failed(why)) => return Err(why),
            Err(Nothing::Stopped(by)) => {
                return Ok(Collected {
                    interrupted: Some(by),
                    ..collected
                });
            }
        };
        collected.effort = self.plan.effort(Duration::from_secs_f64(collected.job));

        let (least, most) = self.plan.rounds();
        for round in 0..most {
            let begun = Instant::now();
            if let Err(Stopped(by)) = self.round(round, &mut collected, &mut seen) {
                collected.interrupted = Some(by);
                break;
            }
            let over = self.started.elapsed() + begun.elapsed() > self.plan.time();
            if round + 1 >= least && over {
                break;
            }
        }
        Ok(collected)
    }

    fn round(
        &mut self,
        round: u64,
        collected: &mut Collected,
        seen: &mut impl FnMut(&Progress, &Collected),
    ) -> Result<(), Stopped> {
        let mut trials: Vec<(Work, &'static str, Arm)> = Vec::new();
        for experiment in EXPERIMENTS {
            for arm in Arm::ALL {
                trials.push((
                    Work::Experiment(experiment.name.to_owned()),
                    experiment.name,
                    arm,
                ));
            }
        }
        if round < self.plan.injections() {
            for fault in Fault::ALL {
                for arm in [Arm::Thread, Arm::Process] {
                    trials.push((Work::Inject(fault), "containment", arm));
                }
            }
        }
        self.rng.shuffle(&mut trials);
        let place = collected.rounds.len();
        collected.rounds.push(BTreeMap::new());
        for (work, name, arm) in trials {
            let what = format!("round {}: {name}, {arm}", round + 1);
            seen(
                &Progress {
                    done: self.done(),
                    what,
                },
                collected,
            );
            // Every arm of a round has the same seed, and so the same work and the same replies.
            let seed = self.plan.seed.wrapping_add(round);
            let (effort, job) = (collected.effort, collected.job);
            let failed = |error| FailedTrial {
                round: place,
                experiment: name.to_owned(),
                arm,
                error,
            };
            match work {
                Work::Inject(fault) => match self.inject(fault, arm, seed, effort, job) {
                    Ok(injection) => collected.injections.push(injection),
                    Err(Nothing::Failed(error)) => collected.failures.push(failed(error)),
                    Err(Nothing::Stopped(by)) => return Err(Stopped(by)),
                },
                work => match self.measure(work, arm, seed, effort, job) {
                    Ok(samples) => drop(collected.rounds[place].insert((name, arm), samples)),
                    Err(Nothing::Failed(error)) => collected.failures.push(failed(error)),
                    Err(Nothing::Stopped(by)) => return Err(Stopped(by)),
                },
            }
        }
        check_replies(place, collected);
        seen(
            &Progress {
                done: self.done(),
                what: format!("round {} is done", round + 1),
            },
            collected,
        );
        Ok(())
    }

    fn done(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() / self.plan.time().as_secs_f64()).min(1.0)
    }

    fn calibrate(&self, effort: Effort) -> Result<f64, Nothing> {
        let order = self.order(Work::Calibrate, Arm::Thread, self.plan.seed, effort);
        // Compiling a large guest for the first time takes its while.
        let heard = self.trial(&order, Duration::from_secs(600))?;
        heard.answer(|said| match said {
            Said::Calibrated(seconds) => Some(*seconds),
            _ => None,
        })
    }

    fn measure(
        &self,
        work: Work,
        arm: Arm,
        seed: u64,
        effort: Effort,
        job: f64,
    ) -> Result<Samples, Nothing> {
        let order = self.order(work, arm, seed, effort);
        let heard = self.trial(&order, patience(Duration::from_secs_f64(job), &effort))?;
        heard.answer(|said| match said {
            Said::Measured(samples) => Some(samples.clone()),
            _ => None,
        })
    }

    fn inject(
        &self,
        fault: Fault,
        arm: Arm,
        seed: u64,
        effort: Effort,
        job: f64,
    ) -> Result<Injection, Nothing> {
        let order = self.order(Work::Inject(fault), arm, seed, effort);
        let heard = self.trial(&order, patience(Duration::from_secs_f64(job), &effort))?;
        heard
            .injection(fault, arm.isolation())
            .map_err(Nothing::Failed)
    }

    fn order(&self, work: Work, arm: Arm, seed: u64, effort: Effort) -> Order {
        let subject = &self.plan.subject;
        Order {
            work,
            arm,
            effort,
            seed,
            limits: subject.limits,
            instance: subject.instance,
            cache: subject.cache.clone(),
            parent: std::process::id(),
            guest_name: subject.guest.name().to_owned(),
            guest_bytes: subject.guest.wasm().len(),
            input_bytes: subject.inputs.iter().map(Vec::len).collect(),
        }
    }

    /// Runs one trial in a process of its own, and hears it out.
    fn trial(&self, order: &Order, patience: Duration) -> Result<Heard, Nothing> {
        let failed =
            |error: io::Error| Nothing::Failed(format!("the trial cannot be run: {error}"));
        let mut child = Command::new(Wishes::own_program())
            .arg("__trial")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal is for us, and we decide about the trial.
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let lines = lines_of(&mut child).map_err(failed)?;
        let words = last_words_of(&mut child).map_err(failed)?;
        if let Some(stdin) = child.stdin.take() {
            // A trial that dies early is told by its end, not by our broken pipe.
            let _ = self.instruct(stdin, order);
        }
        let deadline = after(patience);
        let mut said = Vec::new();
        loop {
            select! {
                recv(lines) -> line => match line {
                    Ok(line) => said.push(line.map_err(Nothing::Failed)?),
                    Err(_) => break,
                },
                recv(self.stop) -> by => {
                    end(&mut child);
                    return Err(Nothing::Stopped(by.unwrap_or_default()));
                },
                recv(deadline) -> _ => {
                    end(&mut child);
                    let seconds = patience.as_secs();
                    return Err(Nothing::Failed(format!("the trial was stuck, and was killed after {seconds} s")));
                },
            }
        }
        let status = child.wait().map_err(failed)?;
        let last_words = words
            .recv_timeout(Duration::from_secs(1))
            .unwrap_or_default();
        Ok(Heard {
            said,
            status: Some(status),
            last_words,
        })
    }

    fn instruct(&self, mut stdin: ChildStdin, order: &Order) -> io::Result<()> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        stdin.write_all(&line)?;
        stdin.write_all(self.plan.subject.guest.wasm())?;
        for input in &self.plan.subject.inputs {
            stdin.write_all(input)?;
        }
        Ok(())
    }
}

/// Somebody stopped the measuring.
struct Stopped(i32);

impl Heard {
    fn answer<T>(&self, pick: impl Fn(&Said) -> Option<T>) -> Result<T, Nothing> {
        for said in &self.said {
            if let Said::Failed(why) = said {
                return Err(Nothing::Failed(why.clone()));
            }
            if let Some(answer) = pick(said) {
                return Ok(answer);
            }
        }
        Err(Nothing::Failed(self.death()))
    }

    fn death(&self) -> String {
        let status = self
            .status
            .map_or("it vanished".to_owned(), |status| status.to_string());
        match self.last_words.as_str() {
            "" => format!("the trial ended without an answer: {status}"),
            words => format!("the trial ended without an answer: {status}; it said: {words}"),
        }
    }

    /// Reads how far a fault went, also from a host that did not live to tell.
    fn injection(&self, fault: Fault, isolation: Isolation) -> Result<Injection, String> {
        let mut bystanders = None;
        let mut answered = None;
        let mut victim = true;
        let mut recovery = None;
        for said in &self.said {
            match said {
                Said::Failed(why) => return Err(why.clone()),
                Said::Progress(Sighting::Injecting { bystanders: count }) => {
                    bystanders = Some(*count);
                }
                Said::Progress(Sighting::Victim { as_expected }) => victim = *as_expected,
                Said::Progress(Sighting::Answered {
                    well,
                    with_the_worker,
                }) => {
                    answered = Some((*well, *with_the_worker));
                }
                Said::Progress(Sighting::Recovered { seconds }) => recovery = Some(*seconds),
                Said::Measured(_) | Said::Calibrated(_) => {}
            }
        }
        let bystanders = bystanders.ok_or_else(|| self.death())?;
        if !victim {
            return Err("the guest that was to trap did not".to_owned());
        }
        // The job of the killed worker is the victim's own; a trap's victim has its own pool.
        let own = u64::from(fault == Fault::Kill);
        let signal = self.status.and_then(|status| status.signal());
        let (observed, lost) = match (answered, signal) {
            (Some((_, lost)), None) if lost <= own => (Containment::Contained, lost),
            (Some((_, lost)), None) => (Containment::Spread, lost),
            (None, Some(_)) => (Containment::HostDied, bystanders),
            _ => return Err(self.death()),
        };
        let host_ended = signal.map(|signal| format!("signal {signal}"));
        Ok(Injection {
            fault,
            isolation,
            observed,
            host_ended,
            bystanders,
            lost,
            recovery,
        })
    }
}

impl Injection {
    /// Whether it went as the table of expectations says.
    pub(crate) fn as_expected(&self) -> bool {
        self.observed == expected(self.fault, self.isolation)
    }
}

fn end(child: &mut Child) {
    // Its own workers go with it: the kernel kills them when their parent is gone.
    let _ = child.kill();
    let _ = child.wait();
}

/// The lines of the trial's output, from a thread, so that we can wait for other things too.
fn lines_of(child: &mut Child) -> io::Result<Receiver<Result<Said, String>>> {
    let (sender, lines) = crossbeam_channel::unbounded();
    if let Some(stdout) = child.stdout.take() {
        std::thread::Builder::new()
            .name("cofferdam-trial".to_owned())
            .spawn(move || {
                for line in BufReader::new(stdout).lines() {
                    let said = line.map_err(|error| error.to_string()).and_then(|line| {
                        serde_json::from_str(&line)
                            .map_err(|error| format!("a trial said nonsense: {error}"))
                    });
                    if sender.send(said).is_err() {
                        return;
                    }
                }
            })?;
    }
    Ok(lines)
}

/// The beginning of what the trial wrote to stderr: a panic, if anything.
fn last_words_of(child: &mut Child) -> io::Result<Receiver<String>> {
    let (sender, words) = crossbeam_channel::bounded(1);
    if let Some(mut stderr) = child.stderr.take() {
        std::thread::Builder::new()
            .name("cofferdam-trial-stderr".to_owned())
            .spawn(move || {
                let mut kept = Vec::new();
                let _ = (&mut stderr).take(4096).read_to_end(&mut kept);
                let _ = io::copy(&mut stderr, &mut io::sink());
                let _ = sender.send(crate::mail::printable(
                    String::from_utf8_lossy(&kept).trim(),
                ));
            })?;
    }
    Ok(words)
}

/// Every arm of a round did the same jobs with the same seed: their replies must be the same bytes.
fn check_replies(place: usize, collected: &mut Collected) {
    let mut differing = Vec::new();
    for experiment in EXPERIMENTS {
        let replies = |arm| {
            collected.rounds[place]
                .get(&(experiment.name, arm))
                .map(|samples| &samples.replies)
        };
        let reference = replies(Arm::Thread);
        for arm in [Arm::Process, Arm::Control] {
            if reference.is_some() && replies(arm).is_some() && replies(arm) != reference {
                differing.push((experiment.name, arm));
            }
        }
    }
    for (name, arm) in differing {
        collected.rounds[place].remove(&(name, arm));
        collected.failures.push(FailedTrial {
            round: place,
            experiment: name.to_owned(),
            arm,
            error: "its replies differ from those of the thread arm".to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(said: Vec<Sighting>, status: i32) -> Heard {
        let said = said.into_iter().map(Said::Progress).collect();
        Heard {
            said,
            status: Some(ExitStatus::from_raw(status)),
            last_words: String::new(),
        }
    }

    const INJECTING: Sighting = Sighting::Injecting { bystanders: 8 };
    const SIGKILL: i32 = 9;

    #[test]
    fn a_host_that_died_took_everybody_with_it() {
        let injection = heard(vec![INJECTING], SIGKILL)
            .injection(Fault::Kill, Isolation::Thread)
            .unwrap();
        assert_eq!(
            (injection.observed, injection.lost),
            (Containment::HostDied, 8)
        );
        assert!(injection.as_expected());
    }

    #[test]
    fn the_killed_workers_own_job_is_not_a_bystander() {
        let answered = |lost| Sighting::Answered {
            well: 8 - lost,
            with_the_worker: lost,
        };
        let injection = |lost| {
            heard(vec![INJECTING, answered(lost)], 0).injection(Fault::Kill, Isolation::Process)
        };
        assert_eq!(injection(1).unwrap().observed, Containment::Contained);
        let spread = injection(2).unwrap();
        assert_eq!(spread.observed, Containment::Spread);
        assert!(!spread.as_expected(), "an unexpected spread must not pass");
    }

    #[test]
    fn a_trap_has_no_excuse_for_any_bystander() {
        let answered = Sighting::Answered {
            well: 7,
            with_the_worker: 1,
        };
        let injection = heard(vec![INJECTING, answered], 0)
            .injection(Fault::Trap, Isolation::Thread)
            .unwrap();
        assert_eq!(injection.observed, Containment::Spread);
    }

    #[test]
    fn a_host_that_died_before_the_fault_is_a_failed_trial() {
        assert!(
            heard(vec![], SIGKILL)
                .injection(Fault::Kill, Isolation::Thread)
                .is_err()
        );
    }

    #[test]
    fn a_guest_that_was_to_trap_and_did_not_is_a_failed_trial() {
        let said = vec![INJECTING, Sighting::Victim { as_expected: false }];
        assert!(
            heard(said, 0)
                .injection(Fault::Trap, Isolation::Thread)
                .is_err()
        );
    }
}
