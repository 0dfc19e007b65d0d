//! A worker in a process of its own: the child's half.
//!
//! The child takes its artifact and its setup from the link, and then serves the very thread worker
//! that the host would have called in place. Its stdin is the link; stdout and stderr are only ever
//! its last words.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use cofferdam_guest::abi::Level;
use crossbeam_channel::Receiver;

use super::thread::ThreadWorker;
use super::{HOST_STACK, Worker, panic_message};
use crate::job::Job;
use crate::link::pipe::Pipe;
use crate::link::protocol::{FromHost, FromWorker, Setup};
use crate::link::{Link, LinkError};
use crate::mail::{Mail, Received, Wait};
use crate::runtime::{Artifact, Program};
use crate::sys::{child, descriptors};

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
    // Stderr is captured: what is said here, the host shows as the worker's last words.
    let complain = |why: &str| {
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), "{why}");
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
    match serve() {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(error) => complain(&error.to_string()),
    }
}

/// Whether this process was spawned as a worker but goes its own way.
pub(crate) fn astray() -> bool {
    std::env::var_os(MARK).is_some()
}

fn serve() -> Result<(), LinkError> {
    let stream = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let image = File::from(descriptors::receive(&stream)?);
    let mut link = Pipe::new(stream, MAX_SETUP);
    let setup = Setup::decode(&link.receive()?)?;
    link.set_max_body(setup.limits.input.max(Job::MAX_MESSAGE).as_len());
    let stack = setup.settings.stack.saturating_add(HOST_STACK);
    let artifact = Artifact::received(image, setup.settings, setup.fingerprint.clone());
    let program = match Program::load(&artifact, setup.limits) {
        Ok(program) => Arc::new(program),
        Err(error) => return FromWorker::Failed(error.to_string()).send(&mut link, 0),
    };
    let worker = ThreadWorker::new(String::new(), program, setup.instance);
    FromWorker::Ready.send(&mut link, 0)?;
    // A thread of the size that the guest's stack limit asks for; `main` has what `ulimit` gave it.
    let serving = std::thread::Builder::new()
        .name("cofferdam-worker".to_owned())
        .stack_size(stack)
        .spawn(move || serve_jobs(worker, link))?;
    serving
        .join()
        .unwrap_or_else(|_| Err(LinkError::Garbled("the worker panicked".to_owned())))
}

fn serve_jobs(mut worker: ThreadWorker, link: Pipe) -> Result<(), LinkError> {
    let relay = Arc::new(Relay {
        link: Mutex::new(link),
        job: Mutex::new(0),
    });
    loop {
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
        let job = Job::received(number, seed, input, Arc::clone(&relay) as Arc<dyn Mail>);
        match panic::catch_unwind(AssertUnwindSafe(|| worker.run(&job))) {
            Ok(Ok(reply)) => FromWorker::Reply(reply).send(&mut *relay.link(), number)?,
            Ok(Err(death)) => return Err(LinkError::Garbled(death.to_string())),
            Err(payload) => {
                let message = panic_message(&*payload);
                FromWorker::Panicked(message.clone()).send(&mut *relay.link(), number)?;
                return Err(LinkError::Garbled(message));
            }
        }
    }
}

/// A job's mail, sent over the link. The lock is never contended: one thread runs one job.
struct Relay {
    link: Mutex<Pipe>,
    job: Mutex<u64>,
}

impl Relay {
    fn link(&self) -> std::sync::MutexGuard<'_, Pipe> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn send(&self, saying: &FromWorker) -> Result<(), LinkError> {
        let job = *self.job.lock().unwrap_or_else(PoisonError::into_inner);
        saying.send(&mut *self.link(), job)
    }
}

impl Mail for Relay {
    fn post(&self, message: &[u8]) -> bool {
        self.send(&FromWorker::Post(message.to_vec())).is_ok()
    }

    fn recv(&self, wait: Wait, _interrupt: &Receiver<()>) -> Received {
        let answer = self
            .send(&FromWorker::Recv(wait))
            .and_then(|()| self.link().receive())
            .and_then(FromHost::decode);
        match answer {
            Ok(FromHost::Mail(received)) => received,
            // The host is gone or confused; the job's end will find out which.
            Ok(FromHost::Job { .. }) | Err(_) => Received::Closed,
        }
    }

    fn log(&self, level: Level, line: &str) {
        let _ = self.send(&FromWorker::Log(level, line.to_owned()));
    }
}
