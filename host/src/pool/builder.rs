//! How a pool comes to be: what is asked of it, and the making of its threads.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use super::Pool;
use super::batch::Loads;
use super::berth::Berth;
use super::health::Counters;
use super::idle::Idle;
use super::pace::Pace;
use super::policy::RestartPolicy;
use super::prepared::{Made, Prepared};
use super::shared::{Incident, Listener, NextRound, Shared};
use super::supervisor::{Place, Supervisor};
use super::surroundings::Surroundings;
use crate::folder::{Folder, FolderError, Grants};
use crate::guest::Guest;
use crate::harden::Legibility;
use crate::hosts::{AllowedHost, HostError, Hosts};
use crate::job::{LONGEST, Limits};
use crate::native::{Native, NativeError};
use crate::options::{
    Compile, CompileLimits, Hardening, Isolation, LinkKind, StartMethod, WaitPolicy,
};
use crate::region::Region;
use crate::runtime::{
    Artifact, Cache, Demand, Drill, InstancePolicy, Metering, Origin, Provenance, RuntimeError,
    Settings, World,
};
use crate::units::ByteSize;
use crate::wait::Patience;
use crate::worker::{self, Compiler, Maker, NativeStaff, Recipe, Start, Wishes};

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
    /// There is no such native command.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// A native command where it cannot be.
    #[error(
        "a native command runs in a process of its own and never in a thread, where it would be the host: build it for wasm32-wasip1 and run it as a guest, which either can hold"
    )]
    NativeInThread,
    /// A native command that was to give up what it cannot do without.
    #[error(
        "a native command has the rights of whoever runs it, so its hardening cannot be required: leave that out, or build it for wasm32-wasip1 and run it as a guest"
    )]
    NativeHardened,
    /// What the guest is to be told cannot be told.
    #[error("the arguments and the environment cannot be handed to the guest: {0}")]
    Told(String),
    /// A folder cannot be granted.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// A host cannot be allowed.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The system has no more threads, or no way to spawn.
    #[error("the pool's threads cannot be started: {0}")]
    Threads(std::io::Error),
    /// This very process is a worker of another pool that went astray.
    #[error(
        "this process was spawned as a worker, but its program does not serve: call `cofferdam::serve_if_worker()` first thing in `main`, or name another program with `worker_program`"
    )]
    Astray,
}

/// What jobs are handed to.
#[derive(Clone)]
pub(super) enum Work {
    Guest(Guest),
    Native(Native),
}

/// Collects what a pool is to be.
#[derive(Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct PoolBuilder {
    work: Work,
    isolation: Isolation,
    start: Start,
    link: LinkKind,
    spares: usize,
    instance: InstancePolicy,
    surroundings: Surroundings,
    metering: Option<Metering>,
    wait: WaitPolicy,
    workers: usize,
    queue: Option<usize>,
    limits: Limits,
    retries: u32,
    queue_timeout: Option<Duration>,
    restart: RestartPolicy,
    seed: Option<u64>,
    cache: Cache,
    worker_program: Option<PathBuf>,
    listener: Option<Listener>,
    drill: Option<Drill>,
    region: Option<Region>,
    hardening: Hardening,
    legibility: Legibility,
    compile: Option<Compile>,
}

/// Past this many workers a typing error is likelier than a wish.
const MAX_WORKERS: usize = 4096;

impl PoolBuilder {
    pub(super) fn new(work: Work) -> Self {
        Self {
            work,
            isolation: Isolation::default(),
            start: Start::Usual,
            link: LinkKind::default(),
            spares: 1,
            instance: InstancePolicy::default(),
            surroundings: Surroundings::default(),
            metering: None,
            wait: WaitPolicy::default(),
            workers: 1,
            queue: None,
            limits: Limits::default(),
            retries: 0,
            queue_timeout: None,
            restart: RestartPolicy::default(),
            seed: None,
            cache: Cache::of_user(),
            worker_program: None,
            listener: None,
            drill: None,
            region: None,
            hardening: Hardening::default(),
            legibility: Legibility::Closed,
            compile: None,
        }
    }

    /// The name of the guest, or of the program.
    pub(super) fn name(&self) -> String {
        match &self.work {
            Work::Guest(guest) => guest.name().to_owned(),
            Work::Native(native) => native.program().display().to_string(),
        }
    }

    /// Makes the host function `log` do wrong, to see who notices.
    pub(crate) fn drill(mut self, drill: Option<Drill>) -> Self {
        self.drill = drill;
        self
    }

    /// Leaves the workers' processes open to being measured by whoever is the same user.
    pub(crate) fn legibility(mut self, legibility: Legibility) -> Self {
        self.legibility = legibility;
        self
    }

    /// Where the workers live. Default: [`Isolation::Process`].
    pub fn isolation(mut self, isolation: Isolation) -> Self {
        self.isolation = isolation;
        self
    }

    /// How process workers come to be, and in no other way: where that cannot be, none starts. Default:
    /// [`StartMethod::Fork`], or where that turns out to be impossible [`StartMethod::Exec`], with an
    /// [`Incident::FellBack`]; see [`Pool::start_method`].
    pub fn start(mut self, start: StartMethod) -> Self {
        self.start = Start::Only(start);
        self
    }

    /// How many workers wait ready with [`StartMethod::Spare`], beside those that work. Default: 1. Each
    /// takes as much memory as a worker that waits for a job, and no CPU.
    pub fn spares(mut self, spares: usize) -> Self {
        self.spares = spares;
        self
    }

    /// How process workers are reached.
    pub fn link(mut self, link: LinkKind) -> Self {
        self.link = link;
        self
    }

    /// How workers and those who wait for them do so. Default: [`WaitPolicy::Auto`].
    pub fn wait(mut self, wait: WaitPolicy) -> Self {
        self.wait = wait;
        self
    }

    /// Whether a job finds what the job before it left behind. Default: a fresh instance for each.
    pub fn instance(mut self, instance: InstancePolicy) -> Self {
        self.instance = instance;
        self
    }

    /// All that the guest finds around it, at once: arguments, environment, settings, folders and hosts, each of which
    /// can be given alone, too. What was given before is forgotten.
    pub fn surroundings(mut self, surroundings: Surroundings) -> Self {
        self.surroundings = surroundings;
        self
    }

    /// What a command is told as its arguments, after its own name. Default: nothing. Guests of interface 1 are
    /// told nothing.
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.surroundings.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a variable to what a command is told as its environment, which has nothing in it otherwise: that of
    /// this process is never handed on.
    pub fn env(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.surroundings.env.push((key.into(), value.into()));
        self
    }

    /// Adds a setting to those that an Extism plugin can ask for by its key. Default: none.
    pub fn config(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.surroundings.config.push((key.into(), value.into()));
        self
    }

    /// Lets a guest that speaks WASI, of either preview, use a folder of this system, and all that lies beneath it; neither
    /// `..` nor a symbolic link leads out of it. Without this it finds no folder. May be called several times.
    ///
    /// The folder is opened when the pool is prepared, by this process, for all workers of the pool. What a job writes is
    /// there at once, for other jobs too, and stays whatever becomes of the job: one that ends by a limit or whose worker
    /// dies leaves what it had written by then. Nothing of it is undone, and a job that is run again writes again.
    /// Where files have a largest size (`ulimit -f`) and a folder may be written to, this process gets a handler for
    /// `SIGXFSZ`, without which a guest could end it.
    pub fn dir(mut self, folder: Folder) -> Self {
        self.surroundings.dirs.push(folder);
        self
    }

    /// Lets an Extism plugin fetch from this host, by `http` and `https`. Without this it may fetch from nowhere: a job
    /// that tries ends as [`Outcome::InterfaceViolation`](crate::Outcome). May be called several times.
    ///
    /// This process fetches, in the thread that drives the worker, and asks nobody else what is allowed: a worker process
    /// has no sockets. A fetch ends with its job at the latest. Whatever a name leads to is reached, private addresses
    /// included; a server may send the request on, ten times at the most, to hosts that are allowed too. An answer has 16
    /// MiB at the most and counts as the guest's memory; what is sent counts as its output. A job that is run again
    /// fetches again.
    pub fn allow_host(mut self, host: AllowedHost) -> Self {
        self.surroundings.hosts.push(host);
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
        let timeout = limits.timeout.map(|timeout| timeout.min(LONGEST));
        self.limits = Limits { timeout, ..limits };
        self
    }

    /// How often a job is run again when its worker dies. Default: never, since a job that was begun
    /// may have had its effect: with retries, a job runs *at least* once.
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long a job may wait for a worker; then it is lost as [`Lost::Expired`](crate::Lost), and no worker
    /// runs it. Default: as long as it takes. It is found out when a worker would take the job up, so as late
    /// as the jobs before it may run ([`Limits::timeout`]). A job that is run again has been taken up, and
    /// does not expire.
    pub fn queue_timeout(mut self, queue_timeout: Option<Duration>) -> Self {
        self.queue_timeout = queue_timeout;
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

    /// Gives the workers memory that all of them share, and with them the host and every other pool that
    /// has the same region. Default: none.
    pub fn region(mut self, region: &Region) -> Self {
        self.region = Some(region.clone());
        self
    }

    /// What process workers give up before they run the guest: files, network, most system calls, and more
    /// ([`Layer`](crate::Layer)). What really holds is told by [`WorkerInfo`](crate::WorkerInfo).
    pub fn hardening(mut self, hardening: Hardening) -> Self {
        self.hardening = hardening;
        self
    }

    /// Where the guest is compiled. Default: in a process of its own where workers are processes; inline where
    /// they are threads, since a program that has only threads need not call
    /// [`serve_if_worker`](crate::serve_if_worker). Guests that are built in are compiled inline.
    ///
    /// Isolated, and with workers in threads, a guest is compiled twice: apart, to see that it can be done
    /// within the limits, and then inline. Code that another process made is never mapped in this one.
    pub fn compile(mut self, compile: Compile) -> Self {
        self.compile = Some(compile);
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
        self.prepare()?.start()
    }

    /// Does all that can be done before there are workers: compiles the guest, or finds it in the cache,
    /// and loads it where the workers are threads. What comes out starts any number of pools.
    ///
    /// # Errors
    /// [`BuildError`] names the setting or the guest that is at fault.
    pub fn prepare(self) -> Result<Prepared, BuildError> {
        if worker::astray() {
            return Err(BuildError::Astray);
        }
        let guest = match &self.work {
            Work::Guest(guest) => guest.clone(),
            Work::Native(native) => {
                let staff = NativeStaff {
                    command: Arc::new(native.resolve()?),
                    limits: self.limits,
                };
                return self.prepare_native(staff);
            }
        };
        let metering = self
            .metering
            .unwrap_or_else(|| Metering::usual(self.isolation));
        let refused = |error| BuildError::Guest {
            guest: guest.name().to_owned(),
            error,
        };
        let world = self.world(&guest)?;
        let folders = self.folders(&guest)?;
        let demand = Demand::of(&guest, self.isolation, self.workers);
        let settings = Settings::new(&self.limits, metering, demand);
        let worker_program = self
            .worker_program
            .clone()
            .unwrap_or_else(Wishes::own_program);
        let compile = self.compile.unwrap_or_else(|| usual(self.isolation));
        let apart = |limits, settings| {
            let compiler = Compiler {
                program: &worker_program,
                limits,
                hardening: self.hardening,
            };
            compiler.compile(&guest, settings)
        };
        let artifact = match compile {
            // What is built in came with this program.
            Compile::Isolated(limits) if !guest.is_built_in() => {
                let apart = |settings| apart(limits, settings);
                let origin = match self.isolation {
                    Isolation::Thread => Origin::Vetted(&apart),
                    Isolation::Process => Origin::Apart(&apart),
                };
                Artifact::prepare(&guest, settings, &self.cache, origin)
            }
            Compile::Inline | Compile::Isolated(_) => {
                Artifact::prepare(&guest, settings, &self.cache, Origin::Own)
            }
        }
        .map_err(refused)?;
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
            spares: self.spares,
            wait: self.wait,
            workers: self.workers,
            limits: self.limits,
            instance: self.instance,
            world,
            drill: self.drill,
            region: self.region.clone(),
            folders,
            hardening: self.hardening,
            legibility: self.legibility,
            worker_program: worker_program.clone(),
        };
        let recipe = Recipe::new(artifact, wishes).map_err(refused)?;
        Ok(Prepared {
            builder: self,
            made: Made::Recipe(recipe),
            took: prepared,
            artifact_bytes,
            cached,
            cache_trouble,
        })
    }

    /// A command has nothing to be compiled.
    fn prepare_native(self, staff: NativeStaff) -> Result<Prepared, BuildError> {
        if self.isolation == Isolation::Thread {
            return Err(BuildError::NativeInThread);
        }
        if self.hardening == Hardening::Required {
            return Err(BuildError::NativeHardened);
        }
        Ok(Prepared {
            builder: self,
            made: Made::Native(staff),
            took: Duration::ZERO,
            artifact_bytes: 0,
            cached: false,
            cache_trouble: None,
        })
    }

    /// The folders that the guest is granted, opened.
    pub(crate) fn folders(&self, guest: &Guest) -> Result<Grants, FolderError> {
        match self.surroundings.dirs.is_empty() || guest.entry().knows_folders() {
            true => Grants::open(&self.surroundings.dirs),
            false => Err(FolderError::NoUse {
                guest: guest.name().to_owned(),
                kind: guest.entry().to_string(),
            }),
        }
    }

    /// The hosts that the guest may fetch from.
    fn hosts(&self, guest: &Guest) -> Result<Hosts, HostError> {
        match self.surroundings.hosts.is_empty() || guest.entry().fetches() {
            true => Ok(Hosts::from(&*self.surroundings.hosts)),
            false => Err(HostError::NoUse {
                guest: guest.name().to_owned(),
                kind: guest.entry().to_string(),
            }),
        }
    }

    /// What the guest will find around it.
    pub(crate) fn world(&self, guest: &Guest) -> Result<World, BuildError> {
        let told = self.surroundings.args.iter().chain(
            self.surroundings
                .env
                .iter()
                .flat_map(|(key, value)| [key, value]),
        );
        if told.clone().any(|text| text.contains('\0')) {
            return Err(BuildError::Told("one of them has a zero byte".to_owned()));
        }
        if let Some((key, _)) = self
            .surroundings
            .env
            .iter()
            .find(|(key, _)| key.is_empty() || key.contains('='))
        {
            let why = format!("`{}` is no name of a variable", crate::mail::printable(key));
            return Err(BuildError::Told(why));
        }
        let mut world = World::of(guest);
        world.args.extend(self.surroundings.args.iter().cloned());
        world.env.clone_from(&self.surroundings.env);
        world.config.clone_from(&self.surroundings.config);
        world.hosts = self.hosts(guest)?;
        if world.told() > World::MOST {
            return Err(BuildError::Told(format!(
                "they have {}, and the most is {}",
                ByteSize::from_bytes(world.told() as u64),
                ByteSize::from_bytes(World::MOST as u64)
            )));
        }
        Ok(world)
    }

    /// Starts the threads of a pool whose workers come from `maker`.
    pub(super) fn open(self, maker: Box<dyn Maker>) -> Result<Pool, BuildError> {
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
        let (idling, waiting) = patience(self.wait, self.workers, &*maker);
        let pace = Pace::new(self.wait, maker.lends(), crate::wait::cpus());
        let shared = Arc::new(Shared {
            maker,
            limits: self.limits,
            retries: self.retries,
            queue_timeout: self.queue_timeout,
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
            idle: Idle::new(self.workers),
            berths: (0..self.workers).map(|_| Berth::new()).collect(),
            loads: Loads::default(),
            pace: Arc::new(pace),
            idling,
            waiting: Arc::new(waiting),
            workers: (0..self.workers).map(|_| Mutex::default()).collect(),
            enforcement: OnceLock::new(),
        });
        let places: Result<Vec<_>, _> = (0..self.workers)
            .map(|index| Place::open(&shared, &tasks, index, None))
            .collect();
        let waiting = tasks.clone();
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
            waiting,
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

/// Where a guest is compiled unless somebody says so: where its workers will be.
fn usual(isolation: Isolation) -> Compile {
    match isolation {
        Isolation::Thread => Compile::Inline,
        Isolation::Process => Compile::Isolated(CompileLimits::default()),
    }
}

/// How slots wait for work, and callers for answers.
fn patience(policy: WaitPolicy, workers: usize, maker: &dyn Maker) -> (Patience, Patience) {
    if !maker.lends() {
        // Every worker, and whoever hands in.
        let crowd = workers + 1;
        return (Patience::new(policy, crowd), Patience::new(policy, crowd));
    }
    // A worker that can be lent works somewhere else, and needs a CPU there. Who is in a hurry borrows it:
    // that its own thread looks all the time as well would only take a CPU from the two that talk.
    let crowd = 2 * workers + 1;
    let idling = match policy {
        WaitPolicy::Spin => WaitPolicy::Auto,
        policy => policy,
    };
    (Patience::new(idling, crowd), Patience::new(policy, crowd))
}
