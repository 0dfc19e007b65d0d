//! What the host told a guest, so that another run can be told the same.
//!
//! A guest sees three things that another run may not see: random bytes, the time, and messages. A worker that was
//! made with [`Drill::Record`](super::Drill::Record) posts each of them when the guest has been told it; one that was
//! made with [`Drill::Replay`](super::Drill::Replay) takes them from the job's inbox in place of anything else. So a
//! record travels as messages do, whatever the isolation, and the link knows nothing of it.

use crate::mail::{Mail, Received, Wait};

/// Something that a guest was told, and that another run may not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// Random bytes.
    Random {
        /// The bytes; of many, a part.
        bytes: Vec<u8>,
    },
    /// A clock that does not go back.
    Clock {
        /// Nanoseconds.
        ns: i64,
    },
    /// The time of day.
    Time {
        /// Nanoseconds since 1970.
        ns: i64,
    },
    /// A message.
    Message {
        /// What it says.
        bytes: Vec<u8>,
    },
    /// That no message came in time.
    NoMessage,
    /// That no message will come any more.
    NoMore,
}

/// How a message that is a recorded answer begins. A guest that posts such a thing deceives its own check alone.
const MARK: &[u8; 8] = b"\0told by";

impl Told {
    /// As it travels.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MARK.to_vec();
        match self {
            Self::Random { bytes: random } => {
                bytes.push(0);
                bytes.extend(random);
            }
            Self::Clock { ns } => {
                bytes.push(1);
                bytes.extend(ns.to_le_bytes());
            }
            Self::Time { ns } => {
                bytes.push(2);
                bytes.extend(ns.to_le_bytes());
            }
            Self::Message { bytes: message } => {
                bytes.push(3);
                bytes.extend(message);
            }
            Self::NoMessage => bytes.push(4),
            Self::NoMore => bytes.push(5),
        }
        bytes
    }

    /// What came; `None` if that is something else.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (tag, rest) = bytes.strip_prefix(MARK)?.split_first()?;
        let ns = || Some(i64::from_le_bytes(rest.try_into().ok()?));
        Some(match tag {
            0 => Self::Random {
                bytes: rest.to_vec(),
            },
            1 => Self::Clock { ns: ns()? },
            2 => Self::Time { ns: ns()? },
            3 => Self::Message {
                bytes: rest.to_vec(),
            },
            4 => Self::NoMessage,
            5 => Self::NoMore,
            _ => return None,
        })
    }

    /// In words, for somebody who wanted something else.
    fn what(&self) -> String {
        match self {
            Self::Random { bytes } => format!("{} random bytes", bytes.len()),
            Self::Clock { .. } => "the clock".to_owned(),
            Self::Time { .. } => "the time of day".to_owned(),
            Self::Message { .. } | Self::NoMessage | Self::NoMore => "a message".to_owned(),
        }
    }
}

/// What a job does with what its guest is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tape {
    /// Nothing.
    Off,
    /// Posts it.
    Records,
    /// Takes it from the inbox.
    Plays,
}

/// The record has something else next, or nothing any more.
#[derive(Debug, thiserror::Error)]
#[error("replayed, the guest asks for {asked}, and the record has {next}")]
pub(super) struct OutOfStep {
    asked: &'static str,
    next: String,
}

/// The most random bytes in one message.
pub(super) const MOST_RANDOM: usize = 64 << 10;

impl Tape {
    /// Notes what the guest was told, where that is wanted.
    pub(super) fn note(self, mail: &dyn Mail, told: impl FnOnce() -> Told) {
        if self == Self::Records {
            mail.post(&told().to_bytes());
        }
    }

    /// The next thing in the record, if `wanted` finds in it what it asks for.
    pub(super) fn next<T>(
        mail: &dyn Mail,
        asked: &'static str,
        wanted: impl FnOnce(Told) -> Result<T, Told>,
    ) -> Result<T, OutOfStep> {
        let out_of_step = |next| OutOfStep { asked, next };
        // Whoever hands in the record closes the way behind it.
        let message = match mail.recv(Wait::Forever, &crossbeam_channel::never()) {
            Received::Message(message) => message,
            Received::TimedOut | Received::Closed | Received::Interrupted => {
                return Err(out_of_step("nothing any more".to_owned()));
            }
        };
        let told = Told::from_bytes(&message)
            .ok_or_else(|| out_of_step("something that is no record".to_owned()))?;
        wanted(told).map_err(|told| out_of_step(told.what()))
    }
}

impl Told {
    /// The same as a guest hears it; `None` for what is no news to it.
    pub(super) fn of(received: &Received) -> Option<Self> {
        match received {
            Received::Message(bytes) => Some(Self::Message {
                bytes: bytes.clone(),
            }),
            Received::TimedOut => Some(Self::NoMessage),
            Received::Closed => Some(Self::NoMore),
            Received::Interrupted => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_told_travels_unchanged() {
        let all = [
            Told::Random {
                bytes: vec![0, 1, 255],
            },
            Told::Clock { ns: -5 },
            Told::Time { ns: i64::MAX },
            Told::Message { bytes: Vec::new() },
            Told::NoMessage,
            Told::NoMore,
        ];
        for told in all {
            assert_eq!(Told::from_bytes(&told.to_bytes()), Some(told));
        }
    }

    #[test]
    fn what_a_guest_posts_is_no_record() {
        for bytes in [
            &b""[..],
            b"hello",
            MARK,
            b"\0told by\x01short",
            b"\0told by\x09",
        ] {
            assert_eq!(Told::from_bytes(bytes), None);
        }
    }
}
