//! Random sequences of what may be done to a pool and of what may befall it, over scripted workers.
//!
//! Whatever the sequence: each job that was taken is answered once and in time, with an answer that its
//! fate allows; the counts add up; no job is begun more often than its retries allow; and when the pool has
//! ended nothing is begun any more.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crossbeam_channel::Receiver;
use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{MS, builder, with_timeout};
use super::*;
use crate::job::{Death, Outcome, Reply};
use crate::options::WaitPolicy;
use crate::worker::scripted::{Act, Script};
use crate::worker::{KillSwitch, Maker, Worker};

/// So long whatever must happen may take, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The time limit of jobs that block.
const LIMIT: Duration = Duration::from_millis(10);

/// What a job comes to when it is run.
#[derive(Clone, Debug)]
enum Fate {
    Echo,
    Slow(u64),
    Die(usize, Death),
    Miss(usize),
    Panic,
    EchoThenPanic,
    BlockUntilAsked,
    BlockUntilKilled { was_stopped: bool },
    BlockStubbornly,
}

/// One step of a sequence.
#[derive(Clone, Debug)]
enum Step {
    Submit(Fate),
    Many(Vec<Fate>),
    Call(Fate),
    /// The kernel kills the worker of a slot.
    Kill(usize),
    Pause(u64),
    Stop,
}

/// How the pool ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Drain,
    Drop,
}

/// A pool and a sequence.
#[derive(Clone, Debug)]
struct Case {
    workers: usize,
    retries: u32,
    queue: usize,
    lends: bool,
    wait: WaitPolicy,
    /// Starts that fail, from the first one counted here on.
    failing: std::ops::Range<usize>,
    steps: Vec<Step>,
    end: End,
}

impl Fate {
    fn act(&self) -> Act {
        match self.clone() {
            Self::Echo => Act::EchoAfter(Duration::ZERO),
            Self::Slow(millis) => Act::EchoAfter(MS(millis)),
            Self::Die(times, death) => Act::DieTimes(times, death),
            Self::Miss(times) => Act::MissTimes(times),
            Self::Panic => Act::Panic,
            Self::EchoThenPanic => Act::EchoThenPanic,
            Self::BlockUntilAsked => Act::BlockUntilAsked,
            Self::BlockUntilKilled { was_stopped } => Act::BlockUntilKilled { was_stopped },
            Self::BlockStubbornly => Act::BlockStubbornly,
        }
    }

    fn blocks(&self) -> bool {
        matches!(
            self,
            Self::BlockUntilAsked | Self::BlockUntilKilled { .. } | Self::BlockStubbornly
        )
    }

    /// Whether a job of this fate may end so, where nothing befell it from outside.
    fn allows(&self, result: &Result<Reply, Lost>, input: &[u8], retries: u32) -> bool {
        let attempts = 1 + retries as usize;
        match (self, result) {
            (Self::Echo | Self::Slow(_) | Self::EchoThenPanic, Ok(reply)) => is_echo(reply, input),
            (Self::Die(times, death), Err(Lost::Worker(told))) => {
                *times >= attempts && told == death
            }
            (Self::Die(times, _), Ok(reply)) => *times < attempts && is_echo(reply, input),
            // Three misses are forgiven; from the fourth on they count as deaths over the job.
            (Self::Miss(times), Ok(reply)) => *times < 3 + attempts && is_echo(reply, input),
            (Self::Miss(times), Err(Lost::Worker(Death::Signalled(9)))) => *times >= 3 + attempts,
            (Self::Panic, Err(Lost::Worker(Death::Panicked(_)))) => true,
            (Self::BlockUntilAsked, Ok(reply)) => reply.outcome == Outcome::Deadline,
            (Self::BlockUntilKilled { was_stopped: false }, Ok(reply)) => {
                reply.outcome == Outcome::Deadline
            }
            // A worker that was asked twice at its last job hears the second one only now.
            (Self::BlockUntilKilled { .. }, Err(Lost::Worker(Death::Signalled(9)))) => true,
            (
                Self::BlockUntilKilled { was_stopped: true },
                Err(Lost::Worker(Death::Hung { .. })),
            ) => true,
            (Self::BlockStubbornly, Err(Lost::Worker(Death::Hung { .. }))) => true,
            _ => false,
        }
    }
}

fn is_echo(reply: &Reply, input: &[u8]) -> bool {
    reply.outcome == Outcome::Output && reply.output == input
}

/// What was begun, by job.
#[derive(Clone, Default)]
struct Ledger(Arc<Mutex<HashMap<u64, u32>>>);

impl Ledger {
    fn begun(&self) -> HashMap<u64, u32> {
        self.0.lock().unwrap().clone()
    }
}

/// Makes scripted workers that are watched.
struct Watched {
    script: Script,
    ledger: Ledger,
}

impl Maker for Watched {
    fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death> {
        let worker = self.script.make(slot)?;
        let ledger = self.ledger.clone();
        Ok(Box::new(WatchedWorker { worker, ledger }))
    }

    fn lends(&self) -> bool {
        self.script.lends()
    }
}

struct WatchedWorker {
    worker: Box<dyn Worker>,
    ledger: Ledger,
}

impl Worker for WatchedWorker {
    fn run(&mut self, job: &Job) -> Result<Reply, Death> {
        let book = |by: fn(&mut u32)| {
            let mut ledger = self.ledger.0.lock().unwrap();
            by(ledger.entry(job.number()).or_default());
        };
        // Before it runs: one that never comes back has begun as well.
        book(|count| *count += 1);
        let result = self.worker.run(job);
        if self.worker.missed_job() {
            book(|count| *count -= 1);
        }
        result
    }

    fn prepare(&mut self) {
        self.worker.prepare();
    }

    fn kill_switch(&self) -> KillSwitch {
        self.worker.kill_switch()
    }

    fn label(&self) -> &str {
        self.worker.label()
    }

    fn vitals(&self) -> Option<&Receiver<()>> {
        self.worker.vitals()
    }

    fn post_mortem(&self) -> Option<Death> {
        self.worker.post_mortem()
    }

    fn missed_job(&self) -> bool {
        self.worker.missed_job()
    }
}

/// Jobs that were taken and are not answered yet.
enum Claim {
    Ticket(Ticket),
    Batch(Batch),
}

/// A job of a sequence: what it is called, and what it comes to.
struct Planned {
    input: &'static str,
    fate: Fate,
}

/// What a sequence has led to.
struct Play {
    ledger: Ledger,
    /// The jobs in the order of the sequence; numbers of the pool's are given to those that it took.
    planned: Vec<Planned>,
    numbers: HashMap<u64, usize>,
    claims: Vec<Claim>,
    answers: Vec<Completion>,
    kills: u64,
    stopped: bool,
}

impl Case {
    fn fates(&self) -> Vec<Fate> {
        let of = |step: &Step| match step {
            Step::Submit(fate) | Step::Call(fate) => vec![fate.clone()],
            Step::Many(fates) => fates.clone(),
            Step::Kill(_) | Step::Pause(_) | Step::Stop => Vec::new(),
        };
        self.steps.iter().flat_map(of).collect()
    }

    /// Whether nothing comes from outside that a job's fate does not tell.
    fn is_undisturbed(&self) -> bool {
        let disturbs = |step: &Step| matches!(step, Step::Kill(_) | Step::Stop);
        self.failing.is_empty() && self.end == End::Drain && !self.steps.iter().any(disturbs)
    }

    fn play(&self) -> Result<(), TestCaseError> {
        let name = |(number, fate): (usize, Fate)| Planned {
            // The script wants names that live as long as the program; these are a few bytes each.
            input: Box::leak(format!("job {number}").into_boxed_str()),
            fate,
        };
        let planned: Vec<_> = self.fates().into_iter().enumerate().map(name).collect();
        let acts = planned.iter().map(|job| (job.input, job.fate.act()));
        let mut script = Script::new(acts).mortal();
        if self.lends {
            script = script.lending();
        }
        let script = script.failing_starts(self.failing.clone());
        let ledger = Ledger::default();
        let maker = Watched {
            script: script.clone(),
            ledger: ledger.clone(),
        };
        let restart = RestartPolicy {
            first_pause: MS(1),
            longest_pause: MS(1),
            // A kill of a worker before its first job counts as a start that failed.
            quarantine_after: if self.failing.is_empty() {
                usize::MAX
            } else {
                3
            },
            ..RestartPolicy::default()
        };
        let deaths: Arc<AtomicU64> = Arc::default();
        let told = Arc::clone(&deaths);
        let pool = builder()
            .workers(self.workers)
            .retries(self.retries)
            .queue(self.queue)
            .wait(self.wait)
            .restart(restart)
            .limits(with_timeout(None))
            .on_incident(move |incident| {
                if matches!(incident, Incident::Died { .. }) {
                    told.fetch_add(1, Ordering::SeqCst);
                }
            })
            .open(Box::new(maker))
            .unwrap();
        let mut play = Play {
            ledger,
            planned,
            numbers: HashMap::new(),
            claims: Vec::new(),
            answers: Vec::new(),
            kills: 0,
            stopped: false,
        };
        let mut next = 0;
        for step in &self.steps {
            play.step(step, &pool, &script, &mut next)?;
        }
        let ended = match self.end {
            // What was handed in is done before a drained pool ends, so the answers can come after.
            End::Drain => end_within_patience(move || Some(pool.drain())),
            End::Drop => end_within_patience(move || {
                drop(pool);
                None
            }),
        };
        prop_assert!(ended.is_some(), "the pool does not end");
        play.settle()?;
        let begun = play.ledger.begun();
        // Who was given up comes back now; nothing else may be begun by it.
        for _ in play.planned.iter().filter(|job| job.fate.blocks()) {
            (0..=self.retries).for_each(|_| script.release());
        }
        play.judge(self)?;
        if let Some(Some(health)) = ended {
            self.audit(&play, &health, deaths.load(Ordering::SeqCst))?;
        }
        std::thread::sleep(MS(1));
        prop_assert_eq!(begun, play.ledger.begun(), "a job was begun after the end");
        Ok(())
    }

    /// Checks the counts.
    fn audit(&self, play: &Play, health: &Health, told: u64) -> Result<(), TestCaseError> {
        let sum = play.answers.len() as u64;
        prop_assert_eq!(health.answered, sum, "{:?}", health);
        let again = |answer: &Completion| u64::from(answer.attempts.saturating_sub(1));
        let retried: u64 = play.answers.iter().map(again).sum();
        if self.is_undisturbed() {
            prop_assert_eq!(health.retried, retried, "{:?}", health);
            prop_assert_eq!((health.failed_starts, health.quarantined), (0, 0));
        } else {
            prop_assert!(health.retried >= retried, "{:?}", health);
        }
        // Whoever ended had started, and whoever started has ended or was there until the end.
        let ended = health.died + health.abandoned;
        prop_assert!(health.started >= health.died, "{:?}", health);
        if !play.stopped {
            let workers = self.workers as u64;
            prop_assert!(health.started <= ended + workers, "{:?}", health);
        }
        // Each death is told, but for those that the time limit brought about.
        let silent = play.answers.iter().filter(
            |answer| matches!(&answer.result, Ok(reply) if reply.outcome == Outcome::Deadline),
        );
        prop_assert!(told <= ended, "{told} told, {health:?}");
        if !play.stopped {
            let silent = silent.count() as u64;
            prop_assert!(ended <= told + silent, "{told} told, {health:?}");
        }
        Ok(())
    }
}

/// Ends a pool, on a thread that is left to itself if it does not come back.
fn end_within_patience(
    end: impl FnOnce() -> Option<Health> + Send + 'static,
) -> Option<Option<Health>> {
    let (ended, heard) = crossbeam_channel::bounded(1);
    std::thread::spawn(move || ended.send(end()));
    heard.recv_timeout(PATIENCE).ok()
}

impl Play {
    fn job(&self, index: usize) -> Job {
        let Planned { input, fate } = &self.planned[index];
        let job = Job::new(*input);
        if fate.blocks() {
            job.timeout(LIMIT)
        } else {
            job
        }
    }

    fn step(
        &mut self,
        step: &Step,
        pool: &Pool,
        script: &Script,
        next: &mut usize,
    ) -> Result<(), TestCaseError> {
        match step {
            Step::Submit(_) => {
                let index = *next;
                *next += 1;
                let number = pool.submitted.load(Ordering::SeqCst);
                let taken = pool.submit(self.job(index));
                if let Some(ticket) = self.taken(taken)? {
                    self.numbers.insert(number, index);
                    self.claims.push(Claim::Ticket(ticket));
                }
            }
            Step::Call(_) => {
                let index = *next;
                *next += 1;
                let number = pool.submitted.load(Ordering::SeqCst);
                let taken = pool.call(self.job(index));
                if let Some(answer) = self.taken(taken)? {
                    self.numbers.insert(number, index);
                    self.answers.push(answer);
                }
            }
            // No job is none that a stopped pool could refuse.
            Step::Many(fates) if fates.is_empty() && self.stopped => {}
            Step::Many(fates) => {
                let indices = *next..*next + fates.len();
                *next = indices.end;
                let jobs: Vec<_> = indices.clone().map(|index| self.job(index)).collect();
                let taken = pool.submit_many(jobs);
                if let Some(batch) = self.taken(taken)? {
                    self.numbers.extend((batch.first_job()..).zip(indices));
                    self.claims.push(Claim::Batch(batch));
                }
            }
            Step::Kill(slot) => self.kills += u64::from(script.kill(*slot)),
            Step::Pause(millis) => std::thread::sleep(MS(*millis)),
            Step::Stop => {
                pool.stopper().stop();
                self.stopped = true;
            }
        }
        Ok(())
    }

    /// What was taken. A pool refuses jobs only when it is stopped or no worker starts.
    fn taken<T>(&self, taken: Result<T, SubmitError>) -> Result<Option<T>, TestCaseError> {
        match taken {
            Ok(taken) => {
                prop_assert!(!self.stopped, "a stopped pool takes a job");
                Ok(Some(taken))
            }
            Err(SubmitError::Stopped) if self.stopped => Ok(None),
            Err(SubmitError::NoWorkers(_)) => Ok(None),
            Err(error) => Err(TestCaseError::fail(error.to_string())),
        }
    }

    /// Fetches all answers: the pool has ended, so they are there.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for claim in std::mem::take(&mut self.claims) {
            match claim {
                Claim::Ticket(ticket) => {
                    let answer = ticket.wait_for(PATIENCE);
                    prop_assert!(answer.is_ok(), "a ticket does not resolve");
                    self.answers.extend(answer);
                }
                Claim::Batch(batch) => {
                    let (sent, heard) = crossbeam_channel::bounded(1);
                    let total = batch.len();
                    std::thread::spawn(move || sent.send(batch.unordered().collect::<Vec<_>>()));
                    let answers = heard.recv_timeout(PATIENCE);
                    prop_assert!(answers.is_ok(), "a batch does not resolve");
                    let answers = answers.unwrap_or_default();
                    prop_assert_eq!(answers.len(), total);
                    self.answers.extend(answers);
                }
            }
        }
        Ok(())
    }

    /// Checks every answer against the fate of its job.
    fn judge(&self, case: &Case) -> Result<(), TestCaseError> {
        let begun = self.ledger.begun();
        let mut seen = std::collections::HashSet::new();
        for answer in &self.answers {
            prop_assert!(
                seen.insert(answer.job),
                "job {} is answered twice",
                answer.job
            );
            let index = self.numbers.get(&answer.job);
            prop_assert!(index.is_some(), "job {} was never handed in", answer.job);
            let Planned { input, fate } = &self.planned[index.copied().unwrap_or_default()];
            let outside = match &answer.result {
                Err(Lost::Cancelled) => self.stopped || case.end == End::Drop,
                Err(Lost::NoWorkers(_) | Lost::Worker(Death::SpawnFailed(_))) => {
                    !case.failing.is_empty()
                }
                Err(Lost::Worker(Death::Signalled(9))) => self.kills > 0,
                _ => false,
            };
            // A death that is no longer followed by a retry, since the pool is stopped meanwhile.
            let cut_short = match (&answer.result, fate) {
                (Err(Lost::Worker(told)), Fate::Die(_, death)) => {
                    told == death && (self.stopped || case.end == End::Drop)
                }
                (Err(Lost::Worker(Death::Signalled(9))), Fate::Miss(_)) => {
                    self.stopped || case.end == End::Drop
                }
                _ => false,
            };
            prop_assert!(
                outside || cut_short || fate.allows(&answer.result, input.as_bytes(), case.retries),
                "{input}, {fate:?}, {:?}",
                answer
            );
            let begun = begun.get(&answer.job).copied().unwrap_or_default();
            prop_assert!(begun <= 1 + case.retries, "{input} was begun {begun} times");
            prop_assert!(answer.attempts <= 1 + case.retries, "{answer:?}");
            if answer.result.is_ok() {
                prop_assert!(begun >= 1, "{input} has a reply and was never begun");
                // A worker that was dead before may have cost an attempt without anything being begun.
                prop_assert!(begun <= answer.attempts, "{input}: {begun}, {answer:?}");
            }
        }
        prop_assert_eq!(seen.len(), self.numbers.len(), "a job is lost");
        let strangers = begun.keys().filter(|job| !self.numbers.contains_key(job));
        prop_assert_eq!(strangers.count(), 0, "what was refused was begun");
        Ok(())
    }
}

fn deaths() -> impl Strategy<Value = Death> {
    prop_oneof![
        Just(Death::Exited(3)),
        Just(Death::Signalled(11)),
        Just(Death::OutOfMemory),
        Just(Death::Panicked("the script says so".to_owned())),
        Just(Death::Garbled("the script says so".to_owned())),
        Just(Death::Hung { after: LIMIT }),
    ]
}

fn fates() -> impl Strategy<Value = Fate> {
    prop_oneof![
        8 => Just(Fate::Echo),
        3 => (1u64..4).prop_map(Fate::Slow),
        4 => (1usize..5, deaths()).prop_map(|(times, death)| Fate::Die(times, death)),
        2 => (1usize..8).prop_map(Fate::Miss),
        2 => Just(Fate::Panic),
        2 => Just(Fate::EchoThenPanic),
        1 => Just(Fate::BlockUntilAsked),
        1 => any::<bool>().prop_map(|was_stopped| Fate::BlockUntilKilled { was_stopped }),
    ]
}

/// One that is given up costs a quarter of a second, so it is rare.
fn stubborn_fates() -> impl Strategy<Value = Fate> {
    prop_oneof![30 => fates(), 1 => Just(Fate::BlockStubbornly)]
}

fn quiet_steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => stubborn_fates().prop_map(Step::Submit),
        2 => vec(fates(), 0..8).prop_map(Step::Many),
        4 => fates().prop_map(Step::Call),
        1 => (0u64..3).prop_map(Step::Pause),
    ]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => quiet_steps(),
        2 => (0usize..3).prop_map(Step::Kill),
        1 => Just(Step::Stop),
    ]
}

fn failing_starts() -> impl Strategy<Value = std::ops::Range<usize>> {
    prop_oneof![
        3 => Just(0..0),
        1 => (0usize..6, 1usize..12).prop_map(|(first, count)| first..first + count),
    ]
}

prop_compose! {
    fn pools()(
        workers in 1usize..=3,
        retries in 0u32..3,
        queue in 1usize..40,
        lends in any::<bool>(),
        wait in prop_oneof![Just(WaitPolicy::Auto), Just(WaitPolicy::Park)],
    ) -> Case {
        Case { workers, retries, queue, lends, wait, failing: 0..0, steps: Vec::new(), end: End::Drain }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_answer_is_the_one_that_its_job_was_fated_to(
        pool in pools(),
        steps in vec(quiet_steps(), 0..25),
    ) {
        Case { steps, ..pool }.play()?;
    }

    #[test]
    fn whatever_befalls_a_pool_each_job_is_answered_once(
        pool in pools(),
        failing in failing_starts(),
        steps in vec(steps(), 0..25),
        end in prop_oneof![Just(End::Drain), Just(End::Drop)],
    ) {
        Case { failing, steps, end, ..pool }.play()?;
    }
}
