//! A worker runs one job after another. Where it lives is nobody else's business.
//!
//! [`Worker`] is the seam of the whole program: the pool above it never sees an isolation, and the
//! runtime below it never sees a pool. [`Recipe::make`] holds the one `match` that turns an
//! [`Isolation`] into a worker.

mod chatter;
mod nursery;
mod process;
#[cfg(test)]
pub(crate) mod scripted;
mod serve;
mod thread;

use std::any::Any;
use std::path::PathBuf;
use std::sync::Arc;

use crossbeam_channel::Receiver;

use crate::job::{Death, Job, Limits, Reply};
use crate::options::{Isolation, LinkKind, StartMethod};
use crate::runtime::{Artifact, InstancePolicy, Program, RuntimeError};

pub(crate) use serve::astray;
pub use serve::serve_if_worker;

/// Runs jobs, one at a time.
pub(crate) trait Worker: Send {
    /// Runs one job to its end. `Err` means that the worker itself is gone.
    fn run(&mut self, job: &Job) -> Result<Reply, Death>;
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
}

/// Makes workers, all alike.
pub(crate) trait Maker: Send + Sync {
    /// Makes the worker of a slot, ready for jobs.
    fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death>;
}

/// Everything that the workers of a pool have in common.
pub(crate) struct Recipe {
    isolation: Isolation,
    start: StartMethod,
    link: LinkKind,
    artifact: Artifact,
    limits: Limits,
    instance: InstancePolicy,
    worker_program: PathBuf,
    /// Loaded in this process, where the workers are its threads.
    program: Option<Arc<Program>>,
}

/// What a user asks of the workers of a pool.
#[derive(Clone, Debug)]
pub(crate) struct Wishes {
    pub(crate) isolation: Isolation,
    pub(crate) start: StartMethod,
    pub(crate) link: LinkKind,
    pub(crate) limits: Limits,
    pub(crate) instance: InstancePolicy,
    pub(crate) worker_program: PathBuf,
}

impl Wishes {
    /// The running program itself, even after its file was replaced.
    pub(crate) fn own_program() -> PathBuf {
        "/proc/self/exe".into()
    }
}

impl Recipe {
    pub(crate) fn new(artifact: Artifact, wishes: Wishes) -> Result<Self, RuntimeError> {
        let Wishes {
            isolation,
            start,
            link,
            limits,
            instance,
            worker_program,
        } = wishes;
        let program = match isolation {
            Isolation::Thread => Some(Arc::new(Program::load(&artifact, limits)?)),
            Isolation::Process => None,
        };
        Ok(Self {
            isolation,
            start,
            link,
            artifact,
            limits,
            instance,
            worker_program,
            program,
        })
    }
}

impl Maker for Recipe {
    fn make(&self, slot: usize) -> Result<Box<dyn Worker>, Death> {
        let name = format!("{}-{}", self.isolation, slot + 1);
        match (self.isolation, &self.program) {
            (Isolation::Thread, Some(program)) => Ok(Box::new(thread::ThreadWorker::new(
                name,
                Arc::clone(program),
                self.instance,
            ))),
            (Isolation::Thread, None) => unreachable!("Recipe::new loads the program for threads"),
            (Isolation::Process, _) => match (self.start, self.link) {
                (StartMethod::Exec, LinkKind::Pipe) => {
                    Ok(Box::new(process::ProcessWorker::exec(&name, self)?))
                }
            },
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
