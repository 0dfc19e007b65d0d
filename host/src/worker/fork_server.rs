//! A process that is forked into workers: the host's half.
//!
//! The server is the worker program, spawned once for all workers of a recipe. It loads the guest, makes
//! the first instance, and then does nothing but fork. What it forks are children of *this* process
//! (`sys/fork.rs`): they are reaped here, their end is heard of here first, and the death of the server
//! does not touch them. The next worker then needs a new server; [`Nest`] makes it.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use super::nursery::{self, Child};
use super::{Recipe, spawn};
use crate::harden::Enforcement;
use crate::job::Death;
use crate::link::pipe::Pipe;
use crate::link::protocol::Role;
use crate::link::{Link, LinkError};
use crate::sys::descriptors;

/// What the server answers: the process id (4 bytes), and the error number if there is none (4 bytes).
pub(super) const ANSWER: usize = 8;

/// How often a server that went away under a request is replaced before the start counts as failed.
const SERVERS_PER_START: usize = 3;

/// A process that is ready to be forked.
pub(super) struct ForkServer {
    child: Arc<Child>,
    /// One request at a time: an answer belongs to the request before it.
    socket: Mutex<UnixStream>,
    /// What holds in it, and in whatever it forks.
    enforcement: Enforcement,
}

/// Why no worker was forked.
pub(super) enum ForkFailed {
    /// The server is gone, or does not do what it is there for. Another one may do better.
    Server(Death),
    /// Another server would fail alike: this program, or this system, is none that forks workers.
    Never(Death),
    /// Another server would fail alike for now: the system has no more to give.
    Worker(Death),
}

impl ForkFailed {
    /// Why the worker did not start.
    pub(super) fn death(self) -> Death {
        let (Self::Server(death) | Self::Never(death) | Self::Worker(death)) = self;
        death
    }

    /// The host's own system refused something.
    pub(super) fn here(error: &io::Error) -> Self {
        Self::Worker(Death::SpawnFailed(error.to_string()))
    }
}

impl ForkServer {
    fn start(recipe: &Recipe) -> Result<Self, Death> {
        const MAX_BODY: usize = 64 << 10;
        let (child, stream) = spawn::program(&recipe.worker_program, Role::ForkServer)?;
        let mut pipe = Pipe::new(stream, MAX_BODY);
        // It stays impatient: an answer is a matter of microseconds.
        let enforcement = pipe
            .set_patience(Some(spawn::START_PATIENCE))
            .and_then(|()| spawn::tell(&mut pipe, recipe, Role::ForkServer, &[]))
            .and_then(|()| spawn::ready(&mut pipe))
            .and_then(|(_, said)| spawn::acceptable(recipe.hardening, said))
            .map_err(|error| spawn::stillborn(&child, &error))?;
        Ok(Self {
            child,
            socket: Mutex::new(pipe.into_stream()),
            enforcement,
        })
    }

    /// What of the hardening holds in the workers that it forks.
    pub(super) fn enforcement(&self) -> Enforcement {
        self.enforcement
    }

    /// Forks a worker that has these descriptors as the ends of its link.
    pub(super) fn fork(&self, link: &[OwnedFd]) -> Result<Arc<Child>, ForkFailed> {
        let (ear, mouth) = nursery::ear().map_err(|error| ForkFailed::here(&error))?;
        let mut descriptors = vec![mouth.as_fd()];
        descriptors.extend(link.iter().map(AsFd::as_fd));
        let pid = self.ask(&descriptors)?;
        nursery::adopt(pid, self.child.pid(), ear).map_err(|error| self.failed(&error.into()))
    }

    fn ask(&self, descriptors: &[BorrowedFd<'_>]) -> Result<u32, ForkFailed> {
        let mut socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let mut answer = [0; ANSWER];
        descriptors::send(&*socket, descriptors)
            .and_then(|()| socket.read_exact(&mut answer))
            .map_err(|error| self.failed(&error.into()))?;
        let [p0, p1, p2, p3, e0, e1, e2, e3] = answer;
        match u32::from_le_bytes([p0, p1, p2, p3]) {
            0 => {
                let error = io::Error::from_raw_os_error(i32::from_le_bytes([e0, e1, e2, e3]));
                let why = format!("the fork server could not fork: {error}");
                let death = Death::SpawnFailed(why);
                Err(match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::OutOfMemory => {
                        ForkFailed::Worker(death)
                    }
                    _ => ForkFailed::Never(death),
                })
            }
            pid => Ok(pid),
        }
    }

    /// A server that failed once is not asked again.
    fn failed(&self, error: &LinkError) -> ForkFailed {
        let Death::SpawnFailed(why) = spawn::stillborn(&self.child, error) else {
            unreachable!("a stillborn process is one that failed to start")
        };
        ForkFailed::Server(Death::SpawnFailed(format!("the fork server: {why}")))
    }
}

impl Drop for ForkServer {
    fn drop(&mut self) {
        self.child.kill();
    }
}

/// Where workers are forked: the fork server of a recipe, made when it is first needed, and anew when it
/// is gone.
#[derive(Default)]
pub(super) struct Nest(Mutex<Option<Arc<ForkServer>>>);

impl Nest {
    /// Makes a worker by `fork`, on a server that lives.
    pub(super) fn hatch<T>(
        &self,
        recipe: &Recipe,
        fork: impl Fn(&ForkServer) -> Result<T, ForkFailed>,
    ) -> Result<T, ForkFailed> {
        let mut last = None;
        for _ in 0..SERVERS_PER_START {
            let server = self.server(recipe).map_err(ForkFailed::Never)?;
            match fork(&server) {
                Err(ForkFailed::Server(death)) => {
                    last = Some(death);
                    self.leave(&server);
                }
                hatched => return hatched,
            }
        }
        let none = || Death::SpawnFailed("no fork server".to_owned());
        Err(ForkFailed::Server(last.unwrap_or_else(none)))
    }

    /// The process id of the server, if there is one.
    pub(super) fn pid(&self) -> Option<u32> {
        self.place().as_ref().map(|server| server.child.pid())
    }

    /// Who waits for a server that another one starts gets that one.
    pub(super) fn server(&self, recipe: &Recipe) -> Result<Arc<ForkServer>, Death> {
        let mut place = self.place();
        match &*place {
            Some(server) => Ok(Arc::clone(server)),
            None => {
                let server = Arc::new(ForkServer::start(recipe)?);
                *place = Some(Arc::clone(&server));
                Ok(server)
            }
        }
    }

    fn leave(&self, server: &Arc<ForkServer>) {
        let mut place = self.place();
        // Somebody else may have replaced it already.
        if place.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, server)) {
            *place = None;
        }
    }

    fn place(&self) -> std::sync::MutexGuard<'_, Option<Arc<ForkServer>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
