//! A pool of workers: jobs in, tickets out. It never sees an isolation.
//!
//! A job goes from [`Pool::submit`] through a bounded queue to the thread of a [`slot`], which runs
//! it on its worker and resolves the ticket. The [`supervisor`] watches the flights: it throws kill
//! switches at deadlines and gives up threads that do not listen. What to do after a failed start
//! is [`policy`], pure.

mod flight;
mod health;
mod policy;
mod slot;
mod supervisor;
#[cfg(test)]
mod tests;
mod ticket;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::guest::Guest;
use crate::job::{Death, Job, Limits, Reply};
use crate::options::{Isolation, LinkKind, StartMethod};
use crate::runtime::{
    Artifact, Cache, InstancePolicy, Metering, Provenance, RuntimeError, Settings,
};
use crate::units::ByteSize;
use crate::worker::{self, Maker, Recipe, Wishes, Worker};

pub use health::Health;
pub use policy::RestartPolicy;
pub use ticket::{Completion, Lost, Ticket};

use flight::Task;
use health::Counters;
use supervisor::{Event, Place, Supervisor};
use ticket::Promise;

/// Workers for one guest. Dropping it cancels what is not done; see [`Pool::drain`].
pub struct Pool {
    shared: Arc<Shared>,
    /// `None` once the pool takes no more jobs.
    queue: Option<Sender<Task>>,
    supervisor: Option<JoinHandle<()>>,
    /// Hangs up when the pool takes no more jobs, after `queue` has.
    closing: Option<Sender<()>>,
    submitted: AtomicU64,
    seed: Option<u64>,
    prepared: Duration,
    artifact_bytes: usize,
    cached: bool,
    cache_trouble: Option<String>,
}

/// Why a pool could not be built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A pool without workers would never do anything.
    #[error("a pool needs at least one worker")]
    NoWorkers,
    /// More workers than any machine has use for.
    #[error("{asked} workers are more than the {limit} that a pool may have")]
    TooManyWorkers {
        /// What was asked for.
        asked: usize,
        /// The most that may be asked for.
        limit: usize,
    },
    /// The guest cannot be compiled or loaded.
    #[error("{guest} cannot be run: {error}")]
    Guest {
        /// The guest's name.
        guest: String,
        /// What is wrong.
        #[source]
        error: RuntimeError,
    },
    /// The system has no more threads, or no way to spawn.
    #[error("the pool's threads cannot be started: {0}")]
    Threads(std::io::Error),
    /// This very process is a worker of another pool that went astray.
    #[error(
        "this process was spawned as a worker, but its program does not serve: call `cofferdam::serve_if_worker()` first thing in `main`, or name another program with `worker_program`"
    )]
    Astray,
}

/// Why a job was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The input is larger than [`Limits::input`].
    #[error("the input has {size}, and the limit is {limit}")]
    InputTooLarge {
        /// What the input has.
        size: ByteSize,
        /// What it may have.
        limit: ByteSize,
    },
    /// Every worker failed to start.
    #[error("no worker is left: {0}")]
    NoWorkers(String),
}

/// Something that an operator wants to know. Borrowed: the listener takes what it needs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incident<'a> {
    /// A worker died, and was or will be replaced.
    Died {
        /// The worker's label.
        worker: &'a str,
        /// How it ended.
        death: &'a Death,
        /// The job that it ran, if it ran one.
        job: Option<u64>,
        /// What its process wrote last; may be empty.
        last_words: &'a str,
    },
    /// A worker did not start; it is tried again after a pause.
    StartFailed {
        /// The slot, from 0.
        slot: usize,
        /// What happened.
        death: &'a Death,
        /// Until the next try.
        pause: Duration,
    },
    /// A slot was closed: its workers do not start.
    Quarantined {
        /// The slot, from 0.
        slot: usize,
        /// What happened the last time.
        death: &'a Death,
    },
}

type Listener = Arc<dyn Fn(&Incident<'_>) + Send + Sync>;

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its label.
    pub label: String,
    /// Its process, if it has one of its own.
    pub pid: Option<u32>,
}

/// What the slots, the supervisor and the pool have in common.
struct Shared {
    maker: Box<dyn Maker>,
    limits: Limits,
    retries: u32,
    restart: RestartPolicy,
    listener: Option<Listener>,
    counters: Counters,
    open_slots: AtomicUsize,
    killed: AtomicBool,
    /// Hangs up when the pool is stopped: wakes slots from their pauses.
    stopping: Receiver<()>,
    stop: Mutex<Option<Sender<()>>>,
    /// Hangs up when no more jobs are taken: a slot need not start a worker for an empty queue.
    draining: Receiver<()>,
    broken: OnceLock<String>,
    events: Sender<Event>,
    next_round: NextRound,
    workers: Vec<Mutex<Option<WorkerInfo>>>,
}

/// The moment of the supervisor's next round, as one atomic number.
struct NextRound {
    origin: Instant,
    nanos: AtomicU64,
}

impl NextRound {
    const UNKNOWN: u64 = u64::MAX;

    fn set(&self, moment: Option<Instant>) {
        let nanos = moment.map_or(Self::UNKNOWN, |moment| self.nanos(moment));
        self.nanos.store(nanos, Ordering::SeqCst);
    }

    fn is_after(&self, moment: Instant) -> bool {
        self.nanos.load(Ordering::SeqCst) > self.nanos(moment)
    }

    fn nanos(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(since).unwrap_or(Self::UNKNOWN - 1)
    }
}

impl Shared {
    /// Wakes the supervisor if a deadline comes before its next round.
    fn expect(&self, due: Option<Instant>) {
        if let Some(due) = due
            && self.next_round.is_after(due)
        {
            let _ = self.events.send(Event::Look);
        }
    }

    fn tell(&self, incident: &Incident<'_>) {
        if let Some(listener) = &self.listener {
            listener(incident);
        }
    }

    fn answer(&self, task: Task, worker: &str, started: Instant, result: Result<Reply, Lost>) {
        Counters::add(&self.counters.answered);
        task.resolve(worker, started, result);
    }

    /// Answers a task that no worker takes up, since the pool was stopped.
    fn cancel(&self, task: Task) {
        self.answer(task, "", Instant::now(), Err(Lost::Cancelled));
    }

    /// Gives a task back that is to be run again; else answers it with the death.
    fn retry_or_answer(
        &self,
        task: Task,
        worker: &str,
        started: Instant,
        death: Death,
    ) -> Option<Task> {
        if task.attempts <= self.retries && !self.killed.load(Ordering::SeqCst) {
            Counters::add(&self.counters.retried);
            return Some(task);
        }
        self.answer(task, worker, started, Err(Lost::Worker(death)));
        None
    }

    fn enter(&self, slot: usize, worker: Option<&dyn Worker>) {
        let info = worker.map(|worker| WorkerInfo {
            label: worker.label().to_owned(),
            pid: worker.pid(),
        });
        *self.workers[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = info;
    }

    fn label_of(&self, slot: usize) -> String {
        let info = self.workers[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        info.as_ref()
            .map(|info| info.label.clone())
            .unwrap_or_default()
    }
}

/// Collects what a pool is to be.
#[must_use = "a builder does nothing until `build` is called"]
pub struct PoolBuilder {
    guest: Guest,
    isolation: Isolation,
    start: StartMethod,
    link: LinkKind,
    instance: InstancePolicy,
    metering: Option<Metering>,
    workers: usize,
    queue: Option<usize>,
    limits: Limits,
    retries: u32,
    restart: RestartPolicy,
    seed: Option<u64>,
    cache: Cache,
    worker_program: Option<PathBuf>,
    listener: Option<Listener>,
}

/// Past this many workers a typing error is likelier than a wish.
const MAX_WORKERS: usize = 4096;

impl Pool {
    /// Begins a pool for this guest: one process worker, default limits.
    pub fn builder(guest: Guest) -> PoolBuilder {
        PoolBuilder {
            guest,
            isolation: Isolation::default(),
            start: StartMethod::default(),
            link: LinkKind::default(),
            instance: InstancePolicy::default(),
            metering: None,
            workers: 1,
            queue: None,
            limits: Limits::default(),
            retries: 0,
            restart: RestartPolicy::default(),
            seed: None,
            cache: Cache::of_user(),
            worker_program: None,
            listener: None,
        }
    }

    /// Hands in a job. Waits while the queue is full.
    ///
    /// # Errors
    /// [`SubmitError::InputTooLarge`], or [`SubmitError::NoWorkers`] when every slot is closed.
    pub fn submit(&self, job: Job) -> Result<Ticket, SubmitError> {
        let (job, number) = self.admit(job)?;
        let (promise, ticket) = Promise::with_ticket(number);
        self.enqueue(job, promise);
        Ok(ticket)
    }

    /// Hands in a job and calls `done` with its completion, in the order in which jobs end. Waits
    /// while the queue is full.
    ///
    /// `done` runs on the worker's thread and should only pass the completion on.
    ///
    /// # Errors
    /// As [`Pool::submit`]; `done` is then not called.
    pub fn submit_with(
        &self,
        job: Job,
        done: impl FnOnce(Completion) + Send + 'static,
    ) -> Result<u64, SubmitError> {
        let (job, number) = self.admit(job)?;
        self.enqueue(job, Promise::with_call(number, done));
        Ok(number)
    }

    fn admit(&self, job: Job) -> Result<(Job, u64), SubmitError> {
        let limit = self.shared.limits.input;
        let size = ByteSize::from_bytes(job.input().len() as u64);
        if size > limit {
            return Err(SubmitError::InputTooLarge { size, limit });
        }
        if let Some(why) = self.shared.broken.get() {
            return Err(SubmitError::NoWorkers(why.clone()));
        }
        let number = self.submitted.fetch_add(1, Ordering::Relaxed);
        Ok((job.numbered(number, self.seed), number))
    }

    fn enqueue(&self, job: Job, promise: Promise) {
        let task = Task {
            job,
            promise,
            submitted: Instant::now(),
            attempts: 0,
            missed: 0,
        };
        let queue = self
            .queue
            .as_ref()
            .expect("only drain and drop take the queue, and they take the pool");
        // The supervisor holds a reader as long as there are slots. Without one, the task comes
        // back, and its promise says `Cancelled` when it goes.
        drop(queue.send(task));
    }

    /// Takes no more jobs, finishes those that were taken, and ends the workers.
    pub fn drain(mut self) -> Health {
        self.close();
        self.join();
        self.shared.counters.snapshot()
    }

    /// A handle that stops the pool from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }

    /// The counts so far.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.counters.snapshot()
    }

    /// The workers that are alive now.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerInfo> {
        let slots = self.shared.workers.iter();
        slots
            .filter_map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    /// How long it took to compile the guest, or to find it in the cache.
    #[must_use]
    pub fn prepared_in(&self) -> Duration {
        self.prepared
    }

    /// Bytes of compiled code.
    #[must_use]
    pub fn code_size(&self) -> ByteSize {
        ByteSize::from_bytes(self.artifact_bytes as u64)
    }

    /// Whether the compiled guest was found in the cache.
    #[must_use]
    pub fn was_cached(&self) -> bool {
        self.cached
    }

    /// What kept the cache from serving, if anything did. The guest was compiled instead.
    #[must_use]
    pub fn cache_trouble(&self) -> Option<&str> {
        self.cache_trouble.as_deref()
    }

    fn close(&mut self) {
        self.queue = None;
        self.closing = None;
    }

    fn join(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
        if self.supervisor.is_some() {
            self.stopper().stop();
            self.join();
        }
    }
}

/// Stops a pool: running jobs are killed, waiting ones cancelled. Every ticket resolves.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// Stops the pool now. Does not wait; [`Pool::drain`] returns soon after.
    pub fn stop(&self) {
        self.0.killed.store(true, Ordering::SeqCst);
        drop(
            self.0
                .stop
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let _ = self.0.events.send(Event::Kill);
    }
}

impl PoolBuilder {
    /// Where the workers live. Default: [`Isolation::Process`].
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// How process workers come to be.
    pub fn start(mut self, start: StartMethod) -> Self {
        self.start = start;
        self
    }

    /// How process workers are reached.
    pub fn link(mut self, link: LinkKind) -> Self {
        self.link = link;
        self
    }

    /// Whether a job finds what the job before it left behind. Default: a fresh instance for each.
    pub fn instance(mut self, instance: InstancePolicy) -> Self {
        self.instance = instance;
        self
    }

    /// Whether guest code carries checks that can interrupt it. Default: in threads, where nothing
    /// else can stop a runaway; not in processes, which can be killed. An unmetered guest in a
    /// thread that does not end by itself costs the thread.
    pub fn metering(mut self, metering: Metering) -> Self {
        self.metering = Some(metering);
        self
    }

    /// How many workers. Default: 1.
    pub fn workers(mut self, workers: usize) -> Self {
        self.workers = workers;
        self
    }

    /// How many jobs may wait before [`Pool::submit`] does. Default: four for each worker.
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = Some(queue);
        self
    }

    /// What each job may use.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// How often a job is run again when its worker dies. Default: never, since a job that was begun
    /// may have had its effect: with retries, a job runs *at least* once.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// What to do when workers do not start.
    pub fn restart(mut self, restart: RestartPolicy) -> Self {
        self.restart = restart;
        self
    }

    /// Makes `random` and `clock` reproducible: the same seed, job number and input give the same
    /// reply, whatever the isolation. The random bytes are then no secret.
    pub fn seed(mut self, seed: Option<u64>) -> Self {
        self.seed = seed;
        self
    }

    /// Where compiled guests are kept. Default: [`Cache::of_user`].
    pub fn cache(mut self, cache: Cache) -> Self {
        self.cache = cache;
        self
    }

    /// The program that process workers run; it has to call [`crate::serve_if_worker`]. Default:
    /// the program of this process.
    pub fn worker_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.worker_program = Some(program.into());
        self
    }

    /// Is told of deaths and failed starts, from the thread where they are noticed.
    pub fn on_incident(mut self, listener: impl Fn(&Incident<'_>) + Send + Sync + 'static) -> Self {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Compiles the guest, or finds it in the cache, and starts the workers; it does not wait for
    /// them.
    ///
    /// # Errors
    /// [`BuildError`] names the setting or the guest that is at fault.
    pub fn build(self) -> Result<Pool, BuildError> {
        if worker::astray() {
            return Err(BuildError::Astray);
        }
        let metering = self
            .metering
            .unwrap_or_else(|| Metering::usual(self.isolation));
        let refused = |error| BuildError::Guest {
            guest: self.guest.name().to_owned(),
            error,
        };
        let settings = Settings::new(&self.limits, metering);
        let artifact = Artifact::prepare(&self.guest, settings, &self.cache).map_err(refused)?;
        let prepared = artifact.took();
        let artifact_bytes = artifact.bytes();
        let (cached, cache_trouble) = match artifact.provenance() {
            Provenance::Cached => (true, None),
            Provenance::Compiled { cache_trouble } => {
                (false, cache_trouble.as_ref().map(ToString::to_string))
            }
        };
        let wishes = Wishes {
            isolation: self.isolation,
            start: self.start,
            link: self.link,
            limits: self.limits,
            instance: self.instance,
            worker_program: self
                .worker_program
                .clone()
                .unwrap_or_else(Wishes::own_program),
        };
        let recipe = Recipe::new(artifact, wishes).map_err(refused)?;
        let mut pool = self.open(Box::new(recipe))?;
        pool.prepared = prepared;
        pool.artifact_bytes = artifact_bytes;
        pool.cached = cached;
        pool.cache_trouble = cache_trouble;
        Ok(pool)
    }

    /// Starts the threads of a pool whose workers come from `maker`.
    fn open(self, maker: Box<dyn Maker>) -> Result<Pool, BuildError> {
        if self.workers == 0 {
            return Err(BuildError::NoWorkers);
        }
        if self.workers > MAX_WORKERS {
            return Err(BuildError::TooManyWorkers {
                asked: self.workers,
                limit: MAX_WORKERS,
            });
        }
        let (queue, tasks) =
            crossbeam_channel::bounded(self.queue.unwrap_or(4 * self.workers).max(1));
        let (events, heard) = crossbeam_channel::unbounded();
        let (stop, stopping) = crossbeam_channel::bounded(0);
        let (closing, draining) = crossbeam_channel::bounded(0);
        let shared = Arc::new(Shared {
            maker,
            limits: self.limits,
            retries: self.retries,
            restart: self.restart,
            listener: self.listener,
            counters: Counters::default(),
            open_slots: AtomicUsize::new(self.workers),
            killed: AtomicBool::new(false),
            stopping,
            stop: Mutex::new(Some(stop)),
            draining,
            broken: OnceLock::new(),
            events,
            next_round: NextRound {
                origin: Instant::now(),
                nanos: AtomicU64::new(NextRound::UNKNOWN),
            },
            workers: (0..self.workers).map(|_| Mutex::default()).collect(),
        });
        let places: Result<Vec<_>, _> = (0..self.workers)
            .map(|index| Place::open(&shared, &tasks, index, None))
            .collect();
        let supervisor = Supervisor {
            shared: Arc::clone(&shared),
            queue: tasks,
            events: heard,
            places: places.map_err(BuildError::Threads)?,
        };
        let supervisor = std::thread::Builder::new()
            .name("cofferdam-supervisor".to_owned())
            .spawn(move || supervisor.watch())
            .map_err(BuildError::Threads)?;
        Ok(Pool {
            shared,
            queue: Some(queue),
            closing: Some(closing),
            supervisor: Some(supervisor),
            submitted: AtomicU64::new(0),
            seed: self.seed,
            prepared: Duration::ZERO,
            artifact_bytes: 0,
            cached: false,
            cache_trouble: None,
        })
    }
}
