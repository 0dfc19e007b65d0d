//! Connections whose every wait ends when the job does.
//!
//! A client's own timeouts would do for a deadline, but a job may end before that, because its pool is stopped or its
//! worker has died. So each wait, be it for a connection, for room or for bytes, is for two things: the socket, and the
//! word that the job is over.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

/// After so long without an answer the next address of a name is tried: one of two ways to a host may be shut.
const NEXT_ADDRESS: Duration = Duration::from_secs(3);

/// What came of a wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// There is something to be done.
    Ready,
    /// The job is over.
    Over,
    /// Neither, for as long as was asked for.
    TimedOut,
}

/// Waits until a descriptor is as it should be, or the job is over, which goes first.
pub(super) fn wait(
    fd: impl AsFd,
    until: PollFlags,
    halt: &OwnedFd,
    patience: Option<Duration>,
) -> io::Result<Woken> {
    let since = Instant::now();
    loop {
        let mut watched = [PollFd::new(halt, PollFlags::IN), PollFd::new(&fd, until)];
        let left = patience.map(|patience| patience.saturating_sub(since.elapsed()));
        let left = left.map(|left| Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut watched, left.as_ref()) {
            Ok(0) => return Ok(Woken::TimedOut),
            Ok(_) if !watched[0].revents().is_empty() => return Ok(Woken::Over),
            // What went wrong is told by whatever is done next.
            Ok(_) => return Ok(Woken::Ready),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether the job is over.
pub(super) fn is_over(halt: &OwnedFd) -> bool {
    let mut watched = [PollFd::new(halt, PollFlags::IN)];
    let now = Timespec::default();
    matches!(poll(&mut watched, Some(&now)), Ok(1..))
}

/// That the job is over, in the client's words. It must be none of those that a reader takes for the end of what it
/// reads, or tries again for.
pub(super) fn over() -> Error {
    Error::Timeout(Timeout::Global)
}

/// Makes connections.
#[derive(Debug)]
pub(super) struct Dialer {
    halt: Arc<OwnedFd>,
}

impl Dialer {
    pub(super) fn new(halt: Arc<OwnedFd>) -> Self {
        Self { halt }
    }

    fn dial(&self, address: SocketAddr, patience: Option<Duration>) -> Result<TcpStream, Error> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket =
            socket_with(family, SocketType::STREAM, flags, None).map_err(io::Error::from)?;
        match connect(&socket, &address) {
            Ok(()) => {}
            Err(Errno::INPROGRESS) => {
                match wait(&socket, PollFlags::OUT, &self.halt, patience)? {
                    Woken::Ready => {}
                    Woken::Over => return Err(over()),
                    Woken::TimedOut => return Err(io::Error::from(Errno::TIMEDOUT).into()),
                }
                sockopt::socket_error(&socket)
                    .flatten()
                    .map_err(io::Error::from)?;
            }
            Err(error) => return Err(io::Error::from(error).into()),
        }
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

impl Connector for Dialer {
    type Out = Wire;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<Wire>, Error> {
        let mut addresses = details.addrs.iter().peekable();
        let mut failed = Error::HostNotFound;
        while let Some(address) = addresses.next() {
            let patience = addresses.peek().map(|_| NEXT_ADDRESS);
            match self.dial(*address, patience) {
                Ok(stream) => {
                    let config = details.config;
                    let (input, output) = (config.input_buffer_size(), config.output_buffer_size());
                    return Ok(Some(Wire {
                        stream,
                        buffers: LazyBuffers::new(input, output),
                        halt: Arc::clone(&self.halt),
                    }));
                }
                Err(error @ Error::Timeout(_)) => return Err(error),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }
}

/// One connection. Its socket never blocks.
#[derive(Debug)]
pub(super) struct Wire {
    stream: TcpStream,
    buffers: LazyBuffers,
    halt: Arc<OwnedFd>,
}

impl Wire {
    /// Looks before each step, too: who sends without a pause must not keep a job that is over.
    fn await_turn(&self, until: PollFlags) -> Result<(), Error> {
        match wait(&self.stream, until, &self.halt, None)? {
            Woken::Ready | Woken::TimedOut => Ok(()),
            Woken::Over => Err(over()),
        }
    }
}

fn is_in_vain(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, _: NextTimeout) -> Result<(), Error> {
        let mut sent = 0;
        while sent < amount {
            self.await_turn(PollFlags::OUT)?;
            match (&self.stream).write(&self.buffers.output()[sent..amount]) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero).into()),
                Ok(more) => sent += more,
                Err(error) if is_in_vain(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, _: NextTimeout) -> Result<bool, Error> {
        loop {
            self.await_turn(PollFlags::IN)?;
            match (&self.stream).read(self.buffers.input_append_buf()) {
                Ok(length) => {
                    self.buffers.input_appended(length);
                    return Ok(length > 0);
                }
                Err(error) if is_in_vain(&error) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// It is never kept for another request.
    fn is_open(&mut self) -> bool {
        false
    }
}
