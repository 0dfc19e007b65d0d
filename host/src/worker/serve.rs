//! A worker in a process of its own: the child's half.
//!
//! The child takes its artifact and its setup from the link, and then serves the very thread worker
//! that the host would have called in place. Its stdin is the link; stdout and stderr are only ever
//! its last words.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cofferdam_guest::abi::Level;
use crossbeam_channel::Receiver;

use super::serve_compiler::serve_compiler;
use super::serve_forks::{Heirloom, serve_forks};
use super::thread::ThreadWorker;
use super::{HOST_STACK, Worker, panic_message};
use crate::fetch::{Fetched, Halt, Wanted};
use crate::folder::Grants;
use crate::harden::{self, Seal};
use crate::hosts::Hosts;
use crate::job::Job;
use crate::link::pipe::Pipe;
use crate::link::protocol::{self, Birth, FromHost, FromWorker, Role, Setup};
use crate::link::shm::{self, Geometry};
use crate::link::{Link, LinkError};
use crate::mail::{Mail, Mailbox, Received, Wait};
use crate::options::{Hardening, LinkKind};
use crate::region::Shared;
use crate::runtime::{Artifact, Program};
use crate::sys::heritage::Estate;
use crate::sys::shm::Arena;
use crate::sys::{child, clock, descriptors, heap};
use crate::wait::Patience;

/// The environment variable that tells a program that it was spawned as a worker. Its value is the
/// host's process id.
pub(crate) const MARK: &str = "COFFERDAM_WORKER";

/// A setup frame is small; jobs are bounded by what the host chose to send.
const MAX_SETUP: usize = 64 << 10;

/// Serves as a worker process, if this process was spawned to be one.
///
/// A program that uses process isolation calls this first thing in `main`: a worker process is the
/// same program, spawned anew. In any other process it returns `None` at once.
///
/// ```
/// fn main() -> std::process::ExitCode {
///     if let Some(code) = cofferdam::serve_if_worker() {
///         return code;
///     }
///     // … the program itself
///     std::process::ExitCode::SUCCESS
/// }
/// ```
#[must_use = "a worker process has to return from main with this code"]
pub fn serve_if_worker() -> Option<ExitCode> {
    let host = std::env::var(MARK).ok()?;
    let began = clock::monotonic();
    // Stderr is captured: what is said here, the host shows as the worker's last words.
    let complain = |why: &str| {
        use std::io::Write;
        let _ = writeln!(io::stderr(), "{why}");
        Some(ExitCode::FAILURE)
    };
    let Ok(host) = host.parse() else {
        return complain(&format!(
            "{MARK} is set by cofferdam for its own worker processes: unset it"
        ));
    };
    if let Err(error) = child::die_with(host) {
        return complain(&error.to_string());
    }
    // As the usual one, but without a trace of the stack, which a second panic would print unasked: it opens files,
    // and a hardened worker dies of that in place of its own end.
    panic::set_hook(Box::new(|panic| {
        use std::io::Write;
        let _ = writeln!(io::stderr(), "{panic}");
    }));
    heap::keep_one();
    let strays = descriptors::close_from(3);
    match serve(began, host, &strays) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => complain(&error.to_string()),
    }
}

/// Whether this process was spawned as a worker but goes its own way.
pub(crate) fn astray() -> bool {
    std::env::var_os(MARK).is_some()
}

fn serve(began: Duration, host: u32, strays: &io::Result<()>) -> Result<(), LinkError> {
    let stream = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut received = descriptors::receive_all(&stream)?.into_iter();
    let mut next = || {
        let missing = || io::Error::from(io::ErrorKind::InvalidData);
        received.next().ok_or_else(missing)
    };
    let image = File::from(next()?);
    let mut pipe = Pipe::new(stream, MAX_SETUP);
    let setup = Setup::decode(pipe.receive()?)?;
    if setup.role == Role::Compiler {
        let threads = child::threads()?;
        return serve_compiler(image, pipe, &setup, began, strays, threads);
    }
    let memory = match setup.region {
        Some(extent) => Some((next()?, extent)),
        None => None,
    };
    let handles: io::Result<Vec<_>> = setup.folders.iter().map(|_| next()).collect();
    let folders = Grants::received(&setup.folders, handles?);
    let mut way = match setup.role {
        Role::Worker => Way::Jobs(End::of(&setup).link(Some(pipe), received.collect())?),
        Role::ForkServer | Role::Compiler => Way::Forks(pipe, End::of(&setup), Estate::open().ok()),
    };
    let threads = child::threads()?;
    // What another thread has locked stays locked in whatever is forked.
    if setup.role == Role::ForkServer && threads > 1 {
        let why = format!(
            "a program with {threads} threads before `serve_if_worker` cannot be forked: call that first \
             thing in `main`, or start workers by exec"
        );
        return FromWorker::Failed(why).send(way.link(), 0);
    }
    let mut enforcement = harden::enter(&setup, &folders, strays, threads);
    let stack = setup.settings.stack.saturating_add(HOST_STACK);
    let artifact = Artifact::received(image, setup.settings, setup.fingerprint.clone());
    // Its descriptor is not needed any more once it is mapped.
    let mapped = memory.map(|(memory, extent)| Shared::received(memory, extent).map(Arc::new));
    let region = match mapped.transpose() {
        Ok(region) => region,
        Err(error) => return FromWorker::Failed(error.to_string()).send(way.link(), 0),
    };
    let loaded = Program::load(&artifact, setup.limits, setup.world.clone());
    let program = match loaded.and_then(|program| program.with_folders(&folders)) {
        Ok(program) => Arc::new(program.with_drill(setup.drill).with_region(region)),
        Err(error) => return FromWorker::Failed(error.to_string()).send(way.link(), 0),
    };
    drop(artifact);
    let mut worker = ThreadWorker::new(String::new(), program, setup.instance);
    // A thread of the size that the guest's stack limit asks for; `main` has what `ulimit` gave it.
    let serving = std::thread::Builder::new()
        .name("cofferdam-worker".to_owned())
        .stack_size(stack)
        .spawn(move || {
            if let Way::Forks(.., estate) = &mut way {
                // What every new process finds made. Without the second, forks are slower and nothing else.
                worker.prepare();
                let _ = estate.take().map(Estate::bequeath_code).transpose();
            }
            harden::confine(&setup, &mut enforcement);
            if setup.hardening == Hardening::Required && !enforcement.is_as_required() {
                return FromWorker::Failed(harden::too_little(&enforcement)).send(way.link(), 0);
            }
            let loaded = clock::monotonic();
            FromWorker::Ready(Birth { began, loaded }, Some(enforcement)).send(way.link(), 0)?;
            match way {
                Way::Jobs(link) => serve_jobs(worker, link),
                Way::Forks(pipe, end, _) => {
                    let heirloom = Heirloom {
                        worker,
                        end,
                        seal: Seal::of(&enforcement, setup.reach())?,
                    };
                    serve_forks(heirloom, pipe.into_stream(), host)
                }
            }
        })?;
    serving
        .join()
        .unwrap_or_else(|_| Err(LinkError::Garbled("the worker panicked".to_owned())))
}

/// What a process serves, and over what.
enum Way {
    Jobs(Box<dyn Link>),
    /// What its workers' links will be; and what it takes to bequeath the code, until that is done.
    Forks(Pipe, End, Option<Estate>),
}

impl Way {
    fn link(&mut self) -> &mut dyn Link {
        match self {
            Self::Jobs(link) => &mut **link,
            Self::Forks(pipe, ..) => pipe,
        }
    }
}

/// A worker's end of its link, as far as it is known before the link is there.
pub(super) struct End {
    kind: LinkKind,
    max_body: usize,
    geometry: Geometry,
    patience: Patience,
}

impl End {
    fn of(setup: &Setup) -> Self {
        Self {
            kind: setup.link,
            max_body: setup.limits.input.max(Job::MAX_MESSAGE).as_len(),
            geometry: Geometry::of(&setup.limits),
            patience: Patience::new(setup.wait, setup.crowd),
        }
    }

    /// The link itself: over the socket of the handshake, if there was one, or over what came for it.
    pub(super) fn link(
        self,
        handshake: Option<Pipe>,
        came: Vec<OwnedFd>,
    ) -> Result<Box<dyn Link>, LinkError> {
        let incomplete = |_| LinkError::Garbled("the ends of the link did not come".to_owned());
        match (self.kind, handshake) {
            (LinkKind::Pipe, Some(mut pipe)) => {
                pipe.set_max_body(self.max_body);
                Ok(Box::new(pipe))
            }
            (LinkKind::Pipe, None) => {
                let [socket] = came.try_into().map_err(incomplete)?;
                Ok(Box::new(Pipe::new(socket.into(), self.max_body)))
            }
            (LinkKind::Shm, _) => {
                let memories = came.try_into().map_err(incomplete)?;
                Ok(Box::new(shm::attach(
                    memories,
                    self.geometry,
                    self.patience,
                )?))
            }
        }
    }
}

/// Runs jobs until the host hangs up.
pub(super) fn serve_jobs(mut worker: ThreadWorker, link: Box<dyn Link>) -> Result<(), LinkError> {
    let relay = Arc::new(Relay {
        link: Mutex::new(link),
        job: Mutex::new(0),
    });
    let mailbox = Mailbox::relayed(Arc::clone(&relay) as Arc<dyn Mail>);
    loop {
        // When the host is told, of being ready or of a reply: it need not wait for this.
        worker.prepare();
        let frame = match relay.link().receive() {
            Ok(frame) => frame,
            // The host is done with this worker.
            Err(LinkError::Closed) => return Ok(()),
            Err(error) => return Err(error),
        };
        let FromHost::Job {
            number,
            seed,
            input,
        } = FromHost::decode(frame)?
        else {
            return Err(LinkError::Garbled("mail between jobs".to_owned()));
        };
        *relay.job.lock().unwrap_or_else(PoisonError::into_inner) = number;
        let job = Job::received(number, seed, input, &mailbox);
        match panic::catch_unwind(AssertUnwindSafe(|| worker.run_in_place(&job))) {
            Ok(Ok((reply, output))) => {
                protocol::send_reply(&mut **relay.link(), number, &reply, &output)?;
            }
            Ok(Err(death)) => return Err(LinkError::Garbled(death.to_string())),
            Err(payload) => {
                let message = panic_message(&*payload);
                FromWorker::Panicked(message.clone()).send(&mut **relay.link(), number)?;
                return Err(LinkError::Garbled(message));
            }
        }
    }
}

/// A job's mail, sent over the link. The lock is never contended: one thread runs one job.
struct Relay {
    link: Mutex<Box<dyn Link>>,
    job: Mutex<u64>,
}

impl Relay {
    fn link(&self) -> std::sync::MutexGuard<'_, Box<dyn Link>> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, saying: &FromWorker) -> Result<(), LinkError> {
        saying.send(&mut **self.link(), self.job())
    }

    fn job(&self) -> u64 {
        *self.job.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mail for Relay {
    fn post(&self, message: &[u8]) -> bool {
        protocol::send_post(&mut **self.link(), self.job(), message).is_ok()
    }

    fn recv(&self, wait: Wait, _interrupt: &Receiver<()>) -> Received {
        let answer = self
            .send(&FromWorker::Recv(wait))
            .and_then(|()| self.link().receive())
            .and_then(FromHost::decode);
        match answer {
            Ok(FromHost::Mail(received)) => received,
            // The host is gone or confused; the job's end will find out which.
            Ok(FromHost::Job { .. } | FromHost::Fetched(_)) | Err(_) => Received::Closed,
        }
    }

    fn fetch(&self, wanted: Wanted, _hosts: &Hosts, _halt: &dyn Halt) -> Fetched {
        let sent = protocol::send_fetch(&mut **self.link(), self.job(), &wanted);
        let answer = sent
            .and_then(|()| self.link().receive())
            .and_then(FromHost::decode);
        match answer {
            Ok(FromHost::Fetched(fetched)) => fetched,
            // The same.
            Ok(FromHost::Job { .. } | FromHost::Mail(_)) | Err(_) => Fetched::Interrupted,
        }
    }

    fn log(&self, level: Level, line: &str) {
        let _ = self.send(&FromWorker::Log(level, line.to_owned()));
    }

    fn arena(&self) -> Option<Arc<Arena>> {
        // A link that fails here will fail when the reply is sent, where somebody hears of it.
        self.link().arena().unwrap_or_default()
    }
}
