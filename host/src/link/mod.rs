//! How a process worker is reached.
//!
//! [`frame`] is the codec, pure functions over bytes; [`protocol`] says which frames there are and
//! what they carry; a [`Link`] moves them. [`pipe`] is the plain one: frames over a socket pair.

pub(crate) mod frame;
pub(crate) mod pipe;
pub(crate) mod protocol;

use frame::{Frame, Parts};

/// Moves frames between the host and one worker process.
pub(crate) trait Link: Send {
    /// Sends one frame whole.
    fn send(&mut self, frame: Parts<'_>) -> Result<(), LinkError>;
    /// Waits for the next frame.
    fn receive(&mut self) -> Result<Frame, LinkError>;
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
