//! A worker in a process of its own: the host's half.
//!
//! It is a proxy. The child serves the same thread worker behind a link; here its words are checked
//! and its end is told. Nothing that the child does can harm the host: what it says is bounded and
//! decoded with suspicion, and when it breaks the protocol it is killed.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::nursery::{self, Child};
use super::{Kill, KillSwitch, Recipe, Thrown, Worker, serve};
use crate::job::{Death, Job, Reply};
use crate::link::pipe::Pipe;
use crate::link::protocol::{self, FromWorker, Setup};
use crate::link::{Link, LinkError};
use crate::sys::child::Exit;
use crate::sys::descriptors;

/// From spawning to READY. Loading a module takes milliseconds; ten seconds pass only where the
/// machine is in deep trouble.
const START_PATIENCE: Duration = Duration::from_secs(10);

/// From hanging up to being reaped: the kernel is quick, unless memory is to be freed by gigabytes.
const REAP_PATIENCE: Duration = Duration::from_secs(5);

/// Beside its output a frame carries nothing large.
const FRAME_SLACK: usize = 64 << 10;

pub(crate) struct ProcessWorker {
    label: String,
    child: Arc<Child>,
    link: Box<dyn Link>,
    missed_job: bool,
}

impl ProcessWorker {
    /// Spawns the worker program, hands it the artifact, and waits until it is ready.
    pub(super) fn exec(name: &str, recipe: &Recipe) -> Result<Self, Death> {
        let failed = |error: std::io::Error| Death::SpawnFailed(error.to_string());
        let (ours, theirs) = UnixStream::pair().map_err(failed)?;
        let mut command = Command::new(&recipe.worker_program);
        command
            .env_clear()
            .env(serve::MARK, std::process::id().to_string())
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .current_dir("/");
        // A group of its own, so that Ctrl-C in the terminal reaches the host alone, which then
        // decides. Without `pre_exec` the standard library uses `posix_spawn`.
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = nursery::spawn(command).map_err(|error| {
            Death::SpawnFailed(format!("{}: {error}", recipe.worker_program.display()))
        })?;

        let label = format!("{name} pid {}", child.pid());
        let max_body = recipe.limits.output.as_len().saturating_add(FRAME_SLACK);
        let link = Pipe::new(ours.try_clone().map_err(failed)?, max_body);
        let mut worker = Self {
            label,
            child,
            link: Box::new(link),
            missed_job: false,
        };
        match worker.introduce(&ours, recipe) {
            Ok(()) => Ok(worker),
            Err(error) => Err(worker.stillborn(&error)),
        }
    }

    fn introduce(&mut self, stream: &UnixStream, recipe: &Recipe) -> Result<(), LinkError> {
        stream.set_read_timeout(Some(START_PATIENCE))?;
        stream.set_write_timeout(Some(START_PATIENCE))?;
        let image: &File = recipe.artifact.image();
        descriptors::send(stream, image.as_fd())?;
        let setup = Setup {
            fingerprint: recipe.artifact.fingerprint().to_owned(),
            settings: recipe.artifact.settings(),
            limits: recipe.limits,
            instance: recipe.instance,
        };
        setup.send(&mut *self.link)?;
        match FromWorker::decode(self.link.receive()?)? {
            FromWorker::Ready => {}
            FromWorker::Failed(why) => return Err(LinkError::Garbled(why)),
            _ => {
                return Err(LinkError::Garbled(
                    "it spoke before it was ready".to_owned(),
                ));
            }
        }
        stream.set_read_timeout(None)?;
        stream.set_write_timeout(None)?;
        Ok(())
    }

    /// Why a worker never became ready, with its last words.
    fn stillborn(&self, error: &LinkError) -> Death {
        self.child.kill();
        let exit = self.child.wait(REAP_PATIENCE);
        let mut why = match (error, exit) {
            (LinkError::Closed, Some(Exit::Code(code))) => format!("it exited with code {code}"),
            (LinkError::Closed, Some(Exit::Signal(signal))) if signal != KILLED => {
                format!("it was killed by signal {signal}")
            }
            (LinkError::TimedOut, _) => {
                format!("it was not ready within {} s", START_PATIENCE.as_secs())
            }
            (error, _) => error.to_string(),
        };
        let words = self.child.last_words();
        if !words.is_empty() {
            why = format!("{why}; it said: {words}");
        }
        Death::SpawnFailed(why)
    }

    /// Serves the guest's messages until the reply is there.
    fn converse(&mut self, job: &Job) -> Result<Reply, Death> {
        if let Err(error) = protocol::send_job(&mut *self.link, job) {
            // It never had the whole job, so it cannot have begun it.
            self.missed_job = matches!(error, LinkError::Closed);
            return Err(self.buried(error));
        }
        loop {
            let frame = self.link.receive().map_err(|error| self.buried(error))?;
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
                FromWorker::Panicked(message) => {
                    self.child.kill();
                    self.child.wait(REAP_PATIENCE);
                    return Err(Death::Panicked(message));
                }
                FromWorker::Ready | FromWorker::Failed(_) => {
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

const KILLED: i32 = 9;

fn death_of(exit: Exit) -> Death {
    match exit {
        Exit::Code(code) => Death::Exited(code),
        Exit::Signal(signal) => Death::Signalled(signal),
    }
}

impl Worker for ProcessWorker {
    fn run(&mut self, job: &Job) -> Result<Reply, Death> {
        self.converse(job)
    }

    fn kill_switch(&self) -> KillSwitch {
        KillSwitch::new(Shot(Arc::clone(&self.child)))
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn vitals(&self) -> Option<&Receiver<()>> {
        Some(self.child.vitals())
    }

    fn post_mortem(&self) -> Option<Death> {
        self.child.wait(Duration::ZERO).map(death_of)
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
}

impl Drop for ProcessWorker {
    fn drop(&mut self) {
        // A worker keeps nothing that is worth an orderly end; the nursery reaps it.
        self.child.kill();
    }
}

struct Shot(Arc<Child>);

impl Kill for Shot {
    fn rearm(&self) {}

    fn throw(&self) -> Thrown {
        let was_stopped = self.0.is_stopped();
        self.0.kill();
        Thrown::Killed { was_stopped }
    }
}
