//! A process that is forked into workers: the server's half, and the first steps of what it forks.

use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::panic::{self, AssertUnwindSafe};

use super::serve::{End, serve_jobs};
use super::thread::ThreadWorker;
use crate::harden::Seal;
use crate::link::protocol::{Birth, FromWorker};
use crate::link::{Link, LinkError};
use crate::sys::{child, clock, descriptors, fork};

/// What every new process finds made.
pub(super) struct Heirloom {
    pub(super) worker: ThreadWorker,
    pub(super) end: End,
    pub(super) seal: Seal,
}

/// Forks whenever the host asks, until it hangs up. In each new process this never returns.
pub(super) fn serve_forks(
    heirloom: Heirloom,
    mut socket: UnixStream,
    host: u32,
) -> Result<(), LinkError> {
    let mut heirloom = Some(heirloom);
    loop {
        let received = match descriptors::receive_all(&socket) {
            Ok(descriptors) => descriptors,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let answer = match fork::sibling() {
            Ok(fork::Side::New) => {
                let began = clock::monotonic();
                // The server's way to the host is not the worker's.
                drop(socket);
                let Heirloom { worker, end, seal } =
                    heirloom.take().expect("only a new process takes it");
                let live = || {
                    be_born(host, received, end).and_then(|mut link| {
                        seal.put_on()?;
                        let birth = Birth {
                            began,
                            loaded: began,
                        };
                        FromWorker::Ready(birth, None).send(&mut *link, 0)?;
                        serve_jobs(worker, link)
                    })
                };
                let panicked = |_| Err(LinkError::Garbled("the worker panicked".to_owned()));
                let served = panic::catch_unwind(AssertUnwindSafe(live)).unwrap_or_else(panicked);
                fork::leave(match served {
                    Ok(()) => 0,
                    Err(error) => {
                        let _ = writeln!(io::stderr(), "{error}");
                        1
                    }
                });
            }
            Ok(fork::Side::Forker(pid)) => (pid, 0),
            Err(error) => (0, error.raw_os_error().unwrap_or_default()),
        };
        let mut bytes = [0; super::fork_server::ANSWER];
        bytes[..4].copy_from_slice(&answer.0.to_le_bytes());
        bytes[4..].copy_from_slice(&answer.1.to_le_bytes());
        socket.write_all(&bytes)?;
    }
}

/// Makes this process a worker: it dies with the host, is heard through what came first, and is reached
/// over what came with that.
fn be_born(host: u32, received: Vec<OwnedFd>, end: End) -> Result<Box<dyn Link>, LinkError> {
    child::die_with(host)?;
    let mut received = received.into_iter();
    let mouth = received
        .next()
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
    // Its stdin was the server's socket, which goes: there is nothing to read.
    rustix::stdio::dup2_stdin(&mouth)
        .and_then(|()| rustix::stdio::dup2_stdout(&mouth))
        .and_then(|()| rustix::stdio::dup2_stderr(&mouth))
        .map_err(io::Error::from)?;
    end.link(None, received.collect())
}
