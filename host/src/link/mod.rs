//! How a process worker is reached.
//!
//! [`frame`] is the codec, pure functions over bytes; [`protocol`] says which frames there are and
//! what they carry; a [`Link`] moves them. [`pipe`] is the plain one: frames over a socket pair.
//! [`shm`] is the quick one: frames through memory that both sides share, in a [`ring`], with
//! [`signal`]s.

pub(crate) mod frame;
pub(crate) mod pipe;
pub(crate) mod protocol;
pub(crate) mod ring;
pub(crate) mod shm;
pub(crate) mod signal;

#[cfg(test)]
mod fuzz;

use std::sync::Arc;
use std::time::Duration;

use frame::{Frame, Parts};

use crate::sys::shm::Arena;

/// Moves frames between the host and one worker process.
pub(crate) trait Link: Send {
    /// Sends one frame whole.
    fn send(&mut self, frame: Parts<'_>) -> Result<(), LinkError>;
    /// Waits for the next frame.
    fn receive(&mut self) -> Result<Frame, LinkError>;
    /// How long it waits from now on before it gives up; `None` is for ever.
    fn set_patience(&mut self, patience: Option<Duration>) -> Result<(), LinkError>;
    /// The same for waits that are short as a rule: where there is a way of waiting for those, it stays
    /// in use.
    fn set_limit(&mut self, limit: Option<Duration>) -> Result<(), LinkError> {
        self.set_patience(limit)
    }
    /// Whether the other side may have taken what was sent last. Asked when it is dead; where nobody can
    /// know, it may have.
    fn may_be_taken(&self) -> bool {
        true
    }
    /// A place for the output of the next job, from where it goes without a copy; `None` if this link
    /// has no such place.
    fn arena(&mut self) -> Result<Option<Arc<Arena>>, LinkError> {
        Ok(None)
    }
}

/// Why a frame did not come through.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// The other side is gone: its end of the link is closed.
    #[error("the other side hung up")]
    Closed,
    /// Nothing came in the time that the handshake allows.
    #[error("nothing came in time")]
    TimedOut,
    /// What came is not what the protocol allows.
    #[error("{0}")]
    Garbled(String),
    /// The system refused.
    #[error("the link failed: {0}")]
    System(std::io::Error),
}

impl From<frame::FrameError> for LinkError {
    fn from(error: frame::FrameError) -> Self {
        Self::Garbled(error.to_string())
    }
}

impl From<ring::RingError> for LinkError {
    fn from(error: ring::RingError) -> Self {
        Self::Garbled(error.to_string())
    }
}

impl From<std::io::Error> for LinkError {
    fn from(error: std::io::Error) -> Self {
        use std::io::ErrorKind;
        match error.kind() {
            // A reset is a hang-up with unread data; both mean that the process is gone.
            ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => {
                Self::Closed
            }
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Self::TimedOut,
            _ => Self::System(error),
        }
    }
}
