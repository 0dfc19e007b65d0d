//! A worker in a process of its own: the host's half.
//!
//! It is a proxy. The child serves the same thread worker behind a link; here its words are checked
//! and its end is told. Nothing that the child does can harm the host: what it says is bounded and
//! decoded with suspicion, and when it breaks the protocol it is killed.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::fork_server::{ForkFailed, ForkServer};
use super::nursery::Child;
use super::spawn::{self, REAP_PATIENCE, START_PATIENCE};
use super::{Kill, KillSwitch, Recipe, Thrown, Worker};
use crate::harden::Enforcement;
use crate::hosts::Hosts;
use crate::job::{Death, Job, Limits, Reply};
use crate::link::pipe::Pipe;
use crate::link::protocol::{self, Birth, FromWorker, Role};
use crate::link::shm::{self, Geometry};
use crate::link::{Link, LinkError};
use crate::options::{Hardening, LinkKind};
use crate::sys::child::Exit;
use crate::wait::Patience;

/// The host's end of a link whose worker is not there yet.
enum Near {
    Pipe(UnixStream),
    Shm(shm::Memory),
}

impl Near {
    /// Makes a link, and gives what the worker needs for its end of it.
    fn make(recipe: &Recipe) -> io::Result<(Self, Vec<OwnedFd>)> {
        match recipe.link {
            LinkKind::Pipe => {
                let (ours, theirs) = UnixStream::pair()?;
                Ok((Self::Pipe(ours), vec![theirs.into()]))
            }
            LinkKind::Shm => {
                let (memory, ends) = shm::create(Geometry::of(&recipe.limits))?;
                Ok((Self::Shm(memory), ends.into()))
            }
        }
    }

    /// The link to this worker.
    fn link(self, recipe: &Recipe, child: &Child) -> Box<dyn Link> {
        match self {
            Self::Pipe(stream) => Box::new(Pipe::new(stream, max_body(recipe))),
            Self::Shm(memory) => {
                let patience = Patience::new(recipe.wait, recipe.crowd);
                Box::new(memory.end(patience, Arc::clone(child.life())))
            }
        }
    }
}

/// Beside its output a frame carries nothing large.
const FRAME_SLACK: usize = 64 << 10;

fn label(name: &str, child: &Child) -> String {
    format!("{name} pid {}", child.pid())
}

fn max_body(recipe: &Recipe) -> usize {
    recipe.limits.output.as_len().saturating_add(FRAME_SLACK)
}

pub(crate) struct ProcessWorker {
    label: String,
    child: Arc<Child>,
    link: Box<dyn Link>,
    /// What its guest may fetch from. The worker is not asked.
    hosts: Hosts,
    /// What its jobs may use.
    limits: Limits,
    missed_job: bool,
    /// When it came to be; `None` until it has said so.
    birth: Option<Birth>,
    /// What of the hardening holds in it; `None` until that is known.
    enforcement: Option<Enforcement>,
    /// When that was heard.
    ready: Arc<OnceLock<Instant>>,
    /// Why it was ended, if it never said so.
    stillborn: Option<Death>,
}

impl ProcessWorker {
    /// Spawns the worker program, hands it the artifact, and waits until it is ready.
    pub(super) fn exec(name: &str, recipe: &Recipe) -> Result<Self, Death> {
        let (child, stream) = spawn::program(&recipe.worker_program, Role::Worker)?;
        let pipe = Pipe::new(stream, max_body(recipe));
        match introduced(&child, pipe, recipe) {
            Ok(link) => Self::new(name, child, link, recipe, None).settled(Some(recipe.hardening)),
            Err(error) => Err(spawn::stillborn(&child, &error)),
        }
    }

    /// Has a worker forked from a process that was made ready for that. It is not waited for: its first
    /// job lies on the link when it comes to look.
    pub(super) fn fork(
        name: &str,
        recipe: &Recipe,
        server: &ForkServer,
    ) -> Result<Self, ForkFailed> {
        let (near, far) = Near::make(recipe).map_err(|error| ForkFailed::here(&error))?;
        let child = server.fork(&far)?;
        let link = near.link(recipe, &child);
        let enforcement = Some(server.enforcement());
        Ok(Self::new(name, child, link, recipe, enforcement))
    }

    fn new(
        name: &str,
        child: Arc<Child>,
        link: Box<dyn Link>,
        recipe: &Recipe,
        enforcement: Option<Enforcement>,
    ) -> Self {
        Self {
            label: label(name, &child),
            child,
            link,
            hosts: recipe.world.hosts.clone(),
            limits: recipe.limits,
            missed_job: false,
            birth: None,
            enforcement,
            ready: Arc::default(),
            stillborn: None,
        }
    }

    /// Waits until the worker has said that it is ready, and how it is hardened, if that is up to it.
    pub(super) fn settled(mut self, hardening: Option<Hardening>) -> Result<Self, Death> {
        let patient = self.link.set_patience(Some(START_PATIENCE));
        match patient.and_then(|()| self.hear_ready(hardening)) {
            Ok(()) => Ok(self),
            Err(error) => Err(spawn::stillborn(&self.child, &error)),
        }
    }

    /// Hears that the worker is ready, and how it is hardened, if that is up to it. From then on the link
    /// waits as long as it takes.
    fn hear_ready(&mut self, hardening: Option<Hardening>) -> Result<(), LinkError> {
        let (birth, said) = spawn::ready(&mut *self.link)?;
        self.link.set_patience(None)?;
        if let Some(policy) = hardening {
            self.enforcement = Some(spawn::acceptable(policy, said)?);
        }
        self.birth = Some(birth);
        self.ready.get_or_init(Instant::now);
        Ok(())
    }

    /// Hands the first job to a worker that has not said yet that it is ready, and waits until it has.
    fn begin(&mut self, job: &Job) -> Result<(), LinkError> {
        self.link.set_limit(Some(START_PATIENCE))?;
        protocol::send_job(&mut *self.link, job)?;
        self.hear_ready(None)
    }

    /// The same worker under another name.
    pub(super) fn named(mut self, name: &str) -> Self {
        self.label = label(name, &self.child);
        self
    }

    /// Serves the guest's messages until the reply is there.
    fn converse(&mut self, job: &Job) -> Result<Reply, Death> {
        let handed = match self.birth {
            Some(_) => protocol::send_job(&mut *self.link, job),
            None => self.begin(job),
        };
        match handed {
            Ok(()) => {}
            // It runs nothing before it is ready, so it cannot have begun.
            Err(error @ LinkError::TimedOut) => {
                self.missed_job = true;
                let death = spawn::stillborn(&self.child, &error);
                self.stillborn = Some(death.clone());
                return Err(death);
            }
            // It never had the whole job, or was never ready for it.
            Err(error) => {
                self.missed_job = matches!(error, LinkError::Closed);
                return Err(self.buried(error));
            }
        }
        let mut has_spoken = false;
        let mut may_send = self.limits.output.as_len();
        loop {
            let frame = match self.link.receive() {
                Ok(frame) => frame,
                Err(error) => {
                    // Once it has spoken of the job, what was sent last is an answer and not the job.
                    self.missed_job = matches!(error, LinkError::Closed)
                        && !has_spoken
                        && !self.link.may_be_taken();
                    return Err(self.buried(error));
                }
            };
            has_spoken = true;
            if frame.job != job.number() {
                let why = format!("it spoke of job {} during job {}", frame.job, job.number());
                return Err(self.buried(LinkError::Garbled(why)));
            }
            match FromWorker::decode(frame).map_err(|error| self.buried(error))? {
                FromWorker::Reply(reply) => return Ok(reply),
                FromWorker::Post(message) => {
                    job.mail().post(&message);
                }
                FromWorker::Log(level, line) => job.mail().log(level, &line),
                FromWorker::Recv(wait) => {
                    let received = job.mail().recv(wait, self.child.vitals());
                    protocol::send_mail(&mut *self.link, job.number(), &received)
                        .map_err(|error| self.buried(error))?;
                }
                FromWorker::Fetch(mut wanted) => {
                    // A worker that is what it should be has counted so itself.
                    let length = wanted.head.len().saturating_add(wanted.body.len());
                    let Some(rest) = may_send.checked_sub(length) else {
                        let why = "it wanted to send more than its job may say".to_owned();
                        return Err(self.buried(LinkError::Garbled(why)));
                    };
                    may_send = rest;
                    wanted.most = wanted.most.min(self.limits.memory.bytes());
                    let fetched = job.mail().fetch(wanted, &self.hosts, &*self.child);
                    protocol::send_fetched(&mut *self.link, job.number(), &fetched)
                        .map_err(|error| self.buried(error))?;
                }
                FromWorker::Panicked(message) => {
                    self.child.kill();
                    self.child.wait(REAP_PATIENCE);
                    return Err(Death::Panicked(message));
                }
                FromWorker::Ready(..) | FromWorker::Failed(_) => {
                    let why = "it announced itself twice".to_owned();
                    return Err(self.buried(LinkError::Garbled(why)));
                }
            }
        }
    }

    /// How a worker ended whose link failed. After this its process is gone.
    fn buried(&self, error: LinkError) -> Death {
        match error {
            LinkError::Closed => match self.child.wait(REAP_PATIENCE) {
                Some(exit) => death_of(exit),
                None => {
                    self.child.kill();
                    self.child.wait(REAP_PATIENCE);
                    Death::Garbled("it hung up and went on living".to_owned())
                }
            },
            error => {
                self.child.kill();
                self.child.wait(REAP_PATIENCE);
                Death::Garbled(error.to_string())
            }
        }
    }
}

/// Tells a spawned worker what to run. The socket is the link of the handshake, and may remain it.
fn introduced(child: &Child, mut pipe: Pipe, recipe: &Recipe) -> Result<Box<dyn Link>, LinkError> {
    pipe.set_patience(Some(START_PATIENCE))?;
    let (next, ends) = match recipe.link {
        LinkKind::Pipe => (None, Vec::new()),
        LinkKind::Shm => {
            let (near, ends) = Near::make(recipe)?;
            (Some(near), ends)
        }
    };
    spawn::tell(&mut pipe, recipe, Role::Worker, &ends)?;
    drop(ends);
    Ok(match next {
        None => Box::new(pipe),
        Some(near) => near.link(recipe, child),
    })
}

fn death_of(exit: Exit) -> Death {
    match exit {
        Exit::Code(code) => Death::Exited(code),
        Exit::Signal(signal) => Death::Signalled(signal),
        Exit::OutOfMemory => Death::OutOfMemory,
    }
}

impl Worker for ProcessWorker {
    fn run(&mut self, job: &Job) -> Result<Reply, Death> {
        self.converse(job)
    }

    fn kill_switch(&self) -> KillSwitch {
        KillSwitch::new(Shot {
            child: Arc::clone(&self.child),
            ready: Arc::clone(&self.ready),
        })
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn vitals(&self) -> Option<&Receiver<()>> {
        Some(self.child.vitals())
    }

    fn post_mortem(&self) -> Option<Death> {
        let killed_for = || self.stillborn.clone();
        killed_for().or_else(|| self.child.wait(Duration::ZERO).map(death_of))
    }

    fn missed_job(&self) -> bool {
        self.missed_job
    }

    fn last_words(&self) -> String {
        self.child.last_words()
    }

    fn pid(&self) -> Option<u32> {
        Some(self.child.pid())
    }

    fn birth(&self) -> Option<Birth> {
        self.birth
    }

    fn enforcement(&self) -> Option<Enforcement> {
        self.enforcement
    }
}

impl Drop for ProcessWorker {
    fn drop(&mut self) {
        // A worker keeps nothing that is worth an orderly end; the nursery reaps it.
        self.child.kill();
    }
}

struct Shot {
    child: Arc<Child>,
    ready: Arc<OnceLock<Instant>>,
}

impl Kill for Shot {
    fn rearm(&self) {}

    fn throw(&self) -> Thrown {
        let was_stopped = self.child.is_stopped();
        self.child.kill();
        Thrown::Killed { was_stopped }
    }

    fn had_since(&self, handed: Instant) -> Option<Instant> {
        self.ready.get().map(|&ready| ready.max(handed))
    }
}
