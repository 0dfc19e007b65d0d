//! A worker runs one job after another. Where it lives is nobody else's business.
//!
//! [`Worker`] is the seam of the whole program: the pool above it never sees an isolation, and the
//! runtime below it never sees a pool. [`Recipe::make`] holds the one `match` that turns an
//! [`Isolation`] into a worker.

mod chatter;
mod compiler;
mod fork_server;
mod native;
mod nursery;
mod process;
#[cfg(test)]
pub(crate) mod scripted;
mod serve;
mod serve_compiler;
mod serve_forks;
mod spawn;
mod stock;
mod thread;

use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Instant;

use crossbeam_channel::Receiver;

use crate::folder::Grants;
use crate::harden::{Enforcement, Legibility};
use crate::job::{Death, Job, Limits, Reply};
use crate::link::protocol::Birth;
use crate::options::{Hardening, Isolation, LinkKind, StartMethod, WaitPolicy};
use crate::region::Region;
use crate::runtime::{Artifact, Drill, InstancePolicy, Program, RuntimeError, World};

pub(crate) use compiler::Compiler;
use fork_server::{ForkFailed, Nest};
pub(crate) use native::NativeStaff;
use process::ProcessWorker;
pub(crate) use serve::astray;
pub use serve::serve_if_worker;
use stock::Stock;

/// Runs jobs, one at a time.
pub(crate) trait Worker: Send {
    /// Runs one job to its end. `Err` means that the worker itself is gone.
    fn run(&mut self, job: &Job) -> Result<Reply, Death>;
    /// Does ahead what the next job would have to wait for. Called between jobs, by the thread that
    /// runs them, when the reply to the last one is on its way.
    fn prepare(&mut self) {}
    /// How somebody else may end what it does.
    fn kill_switch(&self) -> KillSwitch;
    /// Its name in every message about it.
    fn label(&self) -> &str;
    /// Disconnects when the worker dies; `None` if it cannot die between jobs.
    fn vitals(&self) -> Option<&Receiver<()>> {
        None
    }
    /// How the worker ended, if it has.
    fn post_mortem(&self) -> Option<Death> {
        None
    }
    /// Whether the last job never reached the worker, which was dead before: run elsewhere, it still
    /// runs only once.
    fn missed_job(&self) -> bool {
        false
    }
    /// What its process wrote to stdout and stderr last; empty if nothing, or if it has none.
    fn last_words(&self) -> String {
        String::new()
    }
    /// Its process id, if it has a process of its own.
    fn pid(&self) -> Option<u32> {
        None
    }
    /// When its process came to be, if it has a process of its own.
    fn birth(&self) -> Option<Birth> {
        None
    }
    /// What of the hardening holds in its process, if it has one of its own.
    fn enforcement(&self) -> Option<Enforcement> {
        None
    }
}

/// Ends what a worker does, from another thread. Clones act on the same worker.
#[derive(Clone)]
pub(crate) struct KillSwitch(Arc<dyn Kill>);

/// What a kill switch is wired to.
pub(crate) trait Kill: Send + Sync {
    /// Makes the switch ready for the next job.
    fn rearm(&self);
    /// Ends the job that runs now, as far as the isolation can.
    fn throw(&self) -> Thrown;
    /// Since when the worker has had a job that was handed to it then; `None` if it is still on its way
    /// into the world. Its start is not the job's time.
    fn had_since(&self, handed: Instant) -> Option<Instant> {
        Some(handed)
    }
}

/// What throwing a kill switch did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Thrown {
    /// The worker's process is dead, and the job with it.
    Killed {
        /// It had been stopped from outside, so that not the guest was to blame.
        was_stopped: bool,
    },
    /// The guest was asked to end. If it does not, the thread can only be abandoned.
    Asked,
}

impl KillSwitch {
    pub(crate) fn new(kill: impl Kill + 'static) -> Self {
        Self(Arc::new(kill))
    }

    pub(crate) fn rearm(&self) {
        self.0.rearm();
    }

    pub(crate) fn throw(&self) -> Thrown {
        self.0.throw()
    }

    pub(crate) fn had_since(&self, handed: Instant) -> Option<Instant> {
        self.0.had_since(handed)
    }
}

/// Makes workers, all alike.
pub(crate) trait Maker: Send + Sync {
    /// Makes the worker of a slot, ready for jobs, on the thread that will run them.
    fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death>;
    /// Whether its workers may be lent: driven by any thread, one at a time, at no cost to it. A proxy
    /// may; a worker that runs the guest itself needs a stack of the right size.
    fn lends(&self) -> bool {
        false
    }
    /// How its workers come to be, as far as is known by now; `None` where they have no processes.
    fn start_method(&self) -> Option<StartMethod> {
        None
    }
    /// Why that is not the usual way. Said once, to whoever asks first.
    fn detour(&self) -> Option<Death> {
        None
    }
}

/// How the worker processes of a pool are to come to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// As [`StartMethod::default`] says, or by [`StartMethod::Exec`] where that cannot be.
    Usual,
    /// So, and in no other way.
    Only(StartMethod),
}

impl Start {
    /// What is tried first.
    pub(crate) fn method(self) -> StartMethod {
        match self {
            Self::Usual => StartMethod::default(),
            Self::Only(start) => start,
        }
    }
}

/// Everything that the workers of a pool have in common.
pub(crate) struct Recipe {
    isolation: Isolation,
    start: Start,
    /// Why workers cannot come to be in the usual way, once that is known.
    detour: OnceLock<Death>,
    link: LinkKind,
    wait: WaitPolicy,
    /// Threads that want a CPU at once when all workers are busy.
    crowd: usize,
    artifact: Artifact,
    limits: Limits,
    instance: InstancePolicy,
    world: World,
    drill: Option<Drill>,
    region: Option<Region>,
    folders: Grants,
    hardening: Hardening,
    legibility: Legibility,
    worker_program: PathBuf,
    /// Loaded in this process, where the workers are its threads: one for each pool at a time, since it has
    /// places for the instances of one.
    programs: Mutex<Vec<Arc<Program>>>,
    nest: Nest,
    stock: Stock,
    /// Itself, for whoever makes workers beside those that are asked for.
    this: Weak<Self>,
}

/// What a user asks of the workers of a pool.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub(crate) isolation: Isolation,
    pub(crate) start: Start,
    pub(crate) link: LinkKind,
    /// Workers that wait ready, with [`StartMethod::Spare`].
    pub(crate) spares: usize,
    pub(crate) wait: WaitPolicy,
    /// How many there are to be.
    pub(crate) workers: usize,
    pub(crate) limits: Limits,
    pub(crate) instance: InstancePolicy,
    pub(crate) world: World,
    pub(crate) drill: Option<Drill>,
    pub(crate) region: Option<Region>,
    pub(crate) folders: Grants,
    pub(crate) hardening: Hardening,
    pub(crate) legibility: Legibility,
    pub(crate) worker_program: PathBuf,
}

impl Wishes {
    /// The running program itself, even after its file was replaced.
    pub(crate) fn own_program() -> PathBuf {
        "/proc/self/exe".into()
    }
}

impl Recipe {
    pub(crate) fn new(artifact: Artifact, wishes: Wishes) -> Result<Arc<Self>, RuntimeError> {
        let Wishes {
            isolation,
            start,
            link,
            spares,
            wait,
            workers,
            limits,
            instance,
            world,
            drill,
            region,
            folders,
            hardening,
            legibility,
            worker_program,
        } = wishes;
        let recipe = Arc::new_cyclic(|this| Self {
            isolation,
            start,
            detour: OnceLock::new(),
            link,
            wait,
            // One that works, and one that waits for it, at each.
            crowd: workers.saturating_mul(2),
            artifact,
            limits,
            instance,
            world,
            drill,
            region,
            folders,
            hardening,
            legibility,
            worker_program,
            programs: Mutex::default(),
            nest: Nest::default(),
            stock: Stock::new(spares),
            this: Weak::clone(this),
        });
        if isolation == Isolation::Thread {
            recipe.program()?;
        }
        Ok(recipe)
    }

    /// The loaded guest for the threads of one more pool: one that no pool uses any more, or another one.
    fn program(&self) -> Result<Arc<Program>, RuntimeError> {
        let mut programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(free) = programs
            .iter()
            .find(|program| Arc::strong_count(program) == 1)
        {
            return Ok(Arc::clone(free));
        }
        let region = self.region.as_ref().map(Region::shared);
        let program = Program::load(&self.artifact, self.limits, self.world.clone())?;
        let program = program.with_drill(self.drill).with_region(region);
        let program = Arc::new(program.with_folders(&self.folders)?);
        programs.push(Arc::clone(&program));
        Ok(program)
    }
}

/// The workers of one pool.
pub(crate) struct Staff {
    recipe: Arc<Recipe>,
    program: Option<Arc<Program>>,
    /// Whether somebody was told of the recipe's detour.
    told: AtomicBool,
}

impl Staff {
    /// Several pools may make their workers by one recipe.
    pub(crate) fn of(recipe: &Arc<Recipe>) -> Result<Self, RuntimeError> {
        let program = match recipe.isolation {
            Isolation::Thread => Some(recipe.program()?),
            Isolation::Process => None,
        };
        Ok(Self {
            recipe: Arc::clone(recipe),
            program,
            told: AtomicBool::new(false),
        })
    }
}

impl Maker for Staff {
    fn lends(&self) -> bool {
        match self.recipe.isolation {
            Isolation::Thread => false,
            Isolation::Process => true,
        }
    }

    fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death> {
        self.recipe.make_with(self.program.as_ref(), slot)
    }

    fn start_method(&self) -> Option<StartMethod> {
        match self.recipe.isolation {
            Isolation::Thread => None,
            Isolation::Process => Some(self.recipe.start_method()),
        }
    }

    fn detour(&self) -> Option<Death> {
        let why = self.recipe.detour.get()?;
        let was_told = self.told.swap(true, Ordering::Relaxed);
        (!was_told).then(|| why.clone())
    }
}

impl Recipe {
    /// Makes a worker that belongs to no pool.
    pub(crate) fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death> {
        let programs = self.programs.lock().unwrap_or_else(PoisonError::into_inner);
        let program = programs.first().cloned();
        drop(programs);
        self.make_with(program.as_ref(), slot)
    }

    /// Makes a worker: the one place that knows where they live.
    fn make_with(
        &self,
        program: Option<&Arc<Program>>,
        slot: usize,
    ) -> Result<Box<dyn Worker>, Death> {
        let name = format!("{}-{}", self.isolation, slot + 1);
        match (self.isolation, program) {
            (Isolation::Thread, Some(program)) => {
                let program = Arc::clone(program);
                let worker = thread::ThreadWorker::new(name, program, self.instance);
                Ok(Box::new(worker.prepared()?))
            }
            (Isolation::Thread, None) => unreachable!("Recipe::new loads the program for threads"),
            (Isolation::Process, _) => match self.start_method() {
                StartMethod::Exec => Ok(Box::new(ProcessWorker::exec(&name, self)?)),
                StartMethod::Fork => Ok(Box::new(self.forked_if_possible(&name)?)),
                StartMethod::Spare => match self.stock.take(&self.this) {
                    Some(spare) => Ok(Box::new(spare.named(&name))),
                    None => Ok(Box::new(self.forked(&name)?)),
                },
            },
        }
    }

    /// Waits until there is nothing more to be made ahead, but not for ever.
    pub(crate) fn settle(&self) {
        match self.start_method() {
            StartMethod::Exec => {}
            // One that cannot be started is told of when it is needed.
            StartMethod::Fork => drop(self.nest.server(self)),
            StartMethod::Spare => {
                drop(self.nest.server(self));
                self.stock.settle();
            }
        }
    }

    /// The process that workers are forked from, if there is one.
    pub(crate) fn server_pid(&self) -> Option<u32> {
        self.nest.pid()
    }

    /// How worker processes come to be, as far as is known by now.
    fn start_method(&self) -> StartMethod {
        match self.detour.get() {
            Some(_) => StartMethod::Exec,
            None => self.start.method(),
        }
    }

    fn forked(&self, name: &str) -> Result<ProcessWorker, Death> {
        self.hatch(name).map_err(ForkFailed::death)
    }

    fn hatch(&self, name: &str) -> Result<ProcessWorker, ForkFailed> {
        self.nest
            .hatch(self, |server| ProcessWorker::fork(name, self, server))
    }

    /// Forks a worker. Where that turns out to be impossible, and nobody insisted on it, this worker and
    /// all that follow are spawned.
    fn forked_if_possible(&self, name: &str) -> Result<ProcessWorker, Death> {
        let failed = match self.hatch(name) {
            Ok(worker) => return Ok(worker),
            Err(failed) => failed,
        };
        match (self.start, failed) {
            (Start::Only(_), failed) | (Start::Usual, failed @ ForkFailed::Worker(_)) => {
                Err(failed.death())
            }
            (Start::Usual, ForkFailed::Server(why) | ForkFailed::Never(why)) => {
                // A program that cannot be spawned either says nothing against forking it.
                let Ok(worker) = ProcessWorker::exec(name, self) else {
                    return Err(why);
                };
                self.detour.get_or_init(|| why);
                Ok(worker)
            }
        }
    }
}

/// What a panic said, as far as it is text.
pub(crate) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Bytes of stack that host code needs beside the guest's: wasmtime's own entry and exit, and the
/// host functions. Measured at about 40 KiB in a debug build; a page costs nothing until touched.
pub(crate) const HOST_STACK: usize = 1 << 20;
