//! Makes one fault of the catalogue happen, and sees who survives.
//!
//! The host is this process. It runs two pools of the same setting: *bystanders*, whose worker is kept busy with
//! good jobs and whose every reply is checked; and the *victim*, one worker whose job meets the fault. Before it the
//! victim does a good job, so that everybody has started, and after it another one, on what is left.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

use super::entry::{Entry, How, Injection, Next, Proof};
use super::expectation::{Ending, Loss};
use crate::guest::Guest;
use crate::job::{Job, Limits, Outcome, Reply};
use crate::options::{Compile, Hardening, Isolation, LinkKind, StartMethod, WaitPolicy};
use crate::pool::{Completion, Pool, PoolBuilder};
use crate::runtime::{Cache, Drill, InstancePolicy};
use crate::units::ByteSize;

/// How the workers are that meet a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// Where they live.
    pub isolation: Isolation,
    /// How a process worker comes to be.
    pub start: StartMethod,
    /// How a process worker is reached.
    pub link: LinkKind,
    /// How everybody waits.
    pub wait: WaitPolicy,
    /// Whether a job finds the instance of the job before it.
    pub instance: InstancePolicy,
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let instance = match self.instance {
            InstancePolicy::Fresh => "fresh",
            InstancePolicy::Reused => "reused",
        };
        match self.isolation {
            Isolation::Thread => write!(f, "thread {} {instance}", self.wait),
            Isolation::Process => {
                let (start, link, wait) = (self.start, self.link, self.wait);
                write!(f, "process {start} {link} {wait} {instance}")
            }
        }
    }
}

/// The programs of process workers.
#[derive(Clone, Debug)]
pub struct Programs {
    /// A program that calls [`serve_if_worker`](crate::serve_if_worker).
    pub worker: PathBuf,
    /// A native worker that does wrong as it is told ([`Misdeed::told_by`](super::Misdeed::told_by)), over a
    /// socket pair.
    pub rogue: PathBuf,
    /// Where compiled guests are kept.
    pub cache: Cache,
}

/// What came of a fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// How the job ended that met it.
    pub ending: Ending,
    /// What was lost with it, as far as it is seen.
    pub loss: Loss,
    /// Whether the next jobs of the same pool ended as they must.
    pub next_as_meant: bool,
    /// Jobs of bystanders from the fault on that ended well.
    pub bystanders: u64,
    /// Jobs of bystanders that did not.
    pub bystanders_lost: u64,
    /// How late the job's end came, if it was to end by its deadline.
    pub overrun: Duration,
    /// What the job had written.
    pub output: Vec<u8>,
    /// The last message that the job posted.
    pub posted: Option<Vec<u8>>,
    /// Log lines of the job that were heard, and that were dropped.
    pub log_lines: u64,
    /// Log lines of the job that were dropped.
    pub dropped_logs: u64,
    /// Whether a line had control characters.
    pub control_characters: bool,
}

impl Observation {
    /// What is left to tell of a host that did not live.
    pub(super) fn of_a_lost_host(ending: Ending, loss: Loss) -> Self {
        Self {
            ending,
            loss,
            next_as_meant: false,
            bystanders: 0,
            bystanders_lost: 0,
            overrun: Duration::ZERO,
            output: Vec::new(),
            posted: None,
            log_lines: 0,
            dropped_logs: 0,
            control_characters: false,
        }
    }
}

/// Whatever must happen at once has happened by then, on the busiest machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Memory of a job: enough for every guest of the catalogue that is to get any, and quickly filled.
const MEMORY: ByteSize = ByteSize::from_mib(64);

/// Bytes that a job may say.
const OUTPUT: ByteSize = ByteSize::from_mib(1);

/// Makes faults happen in pools of one setting.
///
/// What is injected in threads may end this process: [`Expected::ends_the_host`](super::Expected::ends_the_host)
/// knows, and [`sacrifice`](super::sacrifice) is for those.
pub struct Injector {
    setting: Setting,
    programs: Programs,
    crowd: Crowd,
}

impl Injector {
    /// Starts the bystanders.
    ///
    /// # Errors
    /// Why they do not work.
    pub fn new(setting: Setting, programs: &Programs) -> Result<Self, String> {
        let echo = Guest::embedded("echo").map_err(|error| error.to_string())?;
        let pool = builder(&setting, programs, echo)
            .build()
            .map_err(|error| error.to_string())?;
        let crowd = Crowd::gather(pool)?;
        Ok(Self {
            setting,
            programs: programs.clone(),
            crowd,
        })
    }

    /// Makes a fault happen once. Says so just before, since it may be the last that this process does.
    ///
    /// # Errors
    /// Why it did not happen.
    pub fn inject(&self, entry: &Entry, just_before: impl FnOnce()) -> Result<Observation, String> {
        let Proof::Injected(How(injection)) = entry.proof else {
            return Err(format!("{} is no single injection", entry.id));
        };
        match injection {
            Injection::Module(bytes) => self.offer(bytes, just_before),
            _ => self.run(entry, injection, just_before),
        }
    }

    /// Gives bytes as a guest.
    fn offer(&self, bytes: &[u8], just_before: impl FnOnce()) -> Result<Observation, String> {
        let before = self.crowd.seen();
        just_before();
        let ending = match Guest::from_bytes("a fault", bytes) {
            Err(error) => Ending::NotAGuest((&error).into()),
            // As a stranger's: compiled where the setting has strangers compiled.
            Ok(guest) => match Pool::builder(guest)
                .isolation(self.setting.isolation)
                .worker_program(&self.programs.worker)
                .cache(Cache::off())
                .build()
            {
                Err(error) => Ending::of_build(&error).ok_or_else(|| error.to_string())?,
                Ok(_) => return Err("it is a guest".to_owned()),
            },
        };
        let after = self.crowd.since(before)?;
        Ok(Observation {
            next_as_meant: true,
            bystanders: after.well,
            bystanders_lost: after.lost,
            ..Observation::of_a_lost_host(ending, Loss::Nothing)
        })
    }

    fn run(
        &self,
        entry: &Entry,
        injection: Injection,
        just_before: impl FnOnce(),
    ) -> Result<Observation, String> {
        let pool = self.victim(injection)?;
        let good = entry.next != Next::Alike;
        if good {
            let count = count_in(&good_job(&pool)?)?;
            if count != 1 {
                return Err(format!(
                    "the first job of an instance says that it is number {count}"
                ));
            }
        }
        let health = pool.health();
        let before = self.crowd.seen();
        let told = Told::default();
        let job = || {
            let input = match injection {
                Injection::Native(misdeed) => misdeed.input(),
                _ => b"!".to_vec(),
            };
            Job::new(input).timeout(entry.deadline.unwrap_or(PATIENCE))
        };
        just_before();
        // The inbox is open, and nothing ever comes.
        let (heard, _outbox) = told.listen(job()).with_inbox();
        let began = Instant::now();
        let ticket = pool.submit(heard).map_err(|error| error.to_string())?;
        let completion = match injection {
            Injection::Signal(signal) => self.signal(&pool, signal, ticket, &told)?,
            _ => ticket
                .wait_for(PATIENCE + PATIENCE)
                .map_err(|_| "the job never ended")?,
        };
        let took = began.elapsed();
        let ending = ending_of(&completion)?;
        let (next_as_meant, same_instance) = match entry.next {
            Next::Alike => {
                let ticket = pool.submit(job()).map_err(|error| error.to_string())?;
                (ending_of(&ticket.wait())? == ending, false)
            }
            next => self.go_on(&pool, next)?,
        };
        let now = pool.health();
        let lost = now.died + now.abandoned - health.died - health.abandoned;
        let loss = match (lost, same_instance) {
            (0, true) => Loss::Nothing,
            (0, false) => Loss::Instance,
            _ => Loss::Worker,
        };
        let after = self.crowd.since(before)?;
        let reply = completion.result.ok();
        let overrun = entry.deadline.map(|deadline| took.saturating_sub(deadline));
        Ok(Observation {
            ending,
            loss,
            next_as_meant,
            bystanders: after.well,
            bystanders_lost: after.lost,
            overrun: overrun.unwrap_or_default(),
            dropped_logs: reply.as_ref().map_or(0, |reply| reply.dropped_logs),
            output: reply.map(|reply| reply.output).unwrap_or_default(),
            posted: told.posted(),
            log_lines: told.0.lines.load(Ordering::SeqCst),
            control_characters: told.0.steered.load(Ordering::SeqCst),
        })
    }

    /// The pool whose job is to meet the fault.
    fn victim(&self, injection: Injection) -> Result<Pool, String> {
        let echo = || Guest::embedded("echo").map_err(|error| error.to_string());
        let framed = |text| framed(text).map_err(|error| error.to_string());
        let caller = || framed(include_str!("guests/calls_the_host.wat"));
        let plain = |guest| builder(&self.setting, &self.programs, guest);
        let builder = match injection {
            Injection::Guest(text) => plain(framed(text)?),
            Injection::Module(_) => return Err("that is no job".to_owned()),
            Injection::Drill(drill) => plain(caller()?).drill(Some(drill)),
            Injection::Act(act) => plain(caller()?)
                .drill(Some(Drill::Escape(act, std::process::id())))
                .hardening(Hardening::Required),
            Injection::Signal(_) => plain(framed(include_str!("guests/lingers.wat"))?),
            // It gives up nothing, and does not say that it does.
            Injection::Native(_) => plain(echo()?)
                .worker_program(&self.programs.rogue)
                .hardening(Hardening::Off),
        };
        builder.build().map_err(|error| error.to_string())
    }

    /// Signals the worker's process when the job has begun, until the job ends.
    fn signal(
        &self,
        pool: &Pool,
        signal: i32,
        mut ticket: crate::pool::Ticket,
        told: &Told,
    ) -> Result<Completion, String> {
        let until = Instant::now() + PATIENCE;
        while told.posted().is_none() {
            if Instant::now() > until {
                return Err("the job did not begin".to_owned());
            }
            std::thread::sleep(Duration::from_micros(100));
        }
        let pid = match self.setting.isolation {
            Isolation::Thread => Some(std::process::id()),
            Isolation::Process => pool.workers().first().and_then(|worker| worker.pid),
        };
        let pid = pid.and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
        let pid = pid.ok_or("the worker has no process")?;
        let target = pidfd_open(pid, PidfdFlags::empty()).map_err(|error| error.to_string())?;
        let signal = Signal::from_named_raw(signal).ok_or("no such signal")?;
        // A first SIGSEGV or SIGBUS is taken by handlers that find no fault of theirs and give the next one free.
        loop {
            let _ = pidfd_send_signal(&target, signal);
            ticket = match ticket.wait_for(Duration::from_millis(5)) {
                Ok(completion) => return Ok(completion),
                Err(_) if Instant::now() > until => return Err("the job never ended".to_owned()),
                Err(ticket) => ticket,
            };
        }
    }

    /// Whether a good job ends well in the same pool, and whether it is the same instance that does it.
    fn go_on(&self, pool: &Pool, next: Next) -> Result<(bool, bool), String> {
        let mut completion = good_completion(pool)?;
        if next == Next::GoodAfterOne && completion.result.is_err() {
            completion = good_completion(pool)?;
        }
        let Ok(reply) = completion.result else {
            return Ok((false, false));
        };
        if reply.outcome != Outcome::Output {
            return Ok((false, false));
        }
        let count = count_in(&reply)?;
        Ok((matches!(count, 1 | 3), count == 3))
    }
}

/// A pool of one worker in a setting.
fn builder(setting: &Setting, programs: &Programs, guest: Guest) -> PoolBuilder {
    Pool::builder(guest)
        .isolation(setting.isolation)
        .start(setting.start)
        .link(setting.link)
        .wait(setting.wait)
        .instance(setting.instance)
        .worker_program(&programs.worker)
        .cache(programs.cache.clone())
        // They are our own.
        .compile(Compile::Inline)
        .limits(Limits {
            memory: MEMORY,
            output: OUTPUT,
            timeout: Some(PATIENCE),
            ..Limits::default()
        })
}

/// A misbehaviour in the frame that all of them share.
fn framed(text: &str) -> Result<Guest, crate::guest::GuestError> {
    let frame = include_str!("guests/frame.wat");
    let whole = frame.replacen(";; MISBEHAVIOUR", text, 1);
    Guest::from_bytes("a guest of the catalogue", whole.as_bytes())
}

fn good_completion(pool: &Pool) -> Result<Completion, String> {
    let job = Job::new("good").timeout(PATIENCE);
    let ticket = pool.submit(job).map_err(|error| error.to_string())?;
    ticket
        .wait_for(PATIENCE + PATIENCE)
        .map_err(|_| "a good job never ended".to_owned())
}

fn good_job(pool: &Pool) -> Result<Reply, String> {
    let reply = good_completion(pool)?
        .result
        .map_err(|lost| lost.to_string())?;
    match &reply.outcome {
        Outcome::Output => Ok(reply),
        outcome => Err(outcome.to_string()),
    }
}

/// Which job of its instance a good one was.
fn count_in(reply: &Reply) -> Result<u32, String> {
    let bytes = reply.output.as_slice().try_into();
    bytes
        .map(u32::from_le_bytes)
        .map_err(|_| "a good job's reply has not four bytes".to_owned())
}

fn ending_of(completion: &Completion) -> Result<Ending, String> {
    match &completion.result {
        Ok(reply) => Ok((&reply.outcome).into()),
        Err(lost) => Ending::of_lost(lost).ok_or_else(|| lost.to_string()),
    }
}

/// What the job said to its host.
#[derive(Clone, Default)]
struct Told(Arc<Sayings>);

#[derive(Default)]
struct Sayings {
    posted: Mutex<Option<Vec<u8>>>,
    lines: AtomicU64,
    steered: AtomicBool,
}

impl Told {
    fn listen(&self, job: Job) -> Job {
        let (posts, logs) = (Arc::clone(&self.0), Arc::clone(&self.0));
        job.on_post(move |_, message| {
            *posts.posted.lock().unwrap_or_else(PoisonError::into_inner) = Some(message.to_vec());
        })
        .on_log(move |_, _, line| {
            logs.lines.fetch_add(1, Ordering::SeqCst);
            if line.contains(char::is_control) {
                logs.steered.store(true, Ordering::SeqCst);
            }
        })
    }

    fn posted(&self) -> Option<Vec<u8>> {
        let posted = self.0.posted.lock();
        posted.unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The bystanders, and the thread that keeps them busy.
struct Crowd {
    counts: Arc<Counts>,
    caller: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Counts {
    well: AtomicU64,
    lost: AtomicU64,
    over: AtomicBool,
}

/// What bystanders saw up to some moment, or between two.
#[derive(Clone, Copy)]
struct Seen {
    well: u64,
    lost: u64,
}

/// Between two jobs of bystanders: the victim is to have the machine.
const PAUSE: Duration = Duration::from_millis(1);

impl Crowd {
    fn gather(pool: Pool) -> Result<Self, String> {
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        let caller = std::thread::Builder::new()
            .name("cofferdam-bystander".to_owned())
            .spawn(move || shared.keep_busy(&pool))
            .map_err(|error| error.to_string())?;
        let crowd = Self {
            counts,
            caller: Some(caller),
        };
        crowd.since(crowd.seen())?;
        Ok(crowd)
    }

    fn seen(&self) -> Seen {
        Seen {
            well: self.counts.well.load(Ordering::SeqCst),
            lost: self.counts.lost.load(Ordering::SeqCst),
        }
    }

    /// What they saw since then, when two more have ended: the first of them may have begun before.
    fn since(&self, before: Seen) -> Result<Seen, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let now = self.seen();
            let (well, lost) = (now.well - before.well, now.lost - before.lost);
            if well + lost >= 2 {
                return Ok(Seen { well, lost });
            }
            if Instant::now() > until {
                return Err("the bystanders stand still".to_owned());
            }
            std::thread::sleep(Duration::from_micros(100));
        }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.counts.over.store(true, Ordering::SeqCst);
        if let Some(caller) = self.caller.take() {
            let _ = caller.join();
        }
    }
}

impl Counts {
    fn keep_busy(&self, pool: &Pool) {
        let mut rng = fastrand::Rng::new();
        while !self.over.load(Ordering::SeqCst) {
            let mut payload = vec![0; rng.usize(0..4096)];
            rng.fill(&mut payload);
            let well = pool
                .call(Job::new(payload.clone()))
                .ok()
                .and_then(|completion| completion.result.ok())
                .is_some_and(|reply| reply.outcome == Outcome::Output && reply.output == payload);
            let counter = if well { &self.well } else { &self.lost };
            counter.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(PAUSE);
        }
    }
}
