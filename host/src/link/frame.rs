//! Frames: the pure codec of every link.
//!
//! ```text
//! magic 4 │ version 1 │ kind 1 │ trailer length 2 │ body length 4 │ job 8 │ body … │ trailer …
//! ```
//! All numbers are little-endian. The small fixed fields follow the body instead of preceding it,
//! so that a body of many megabytes is read straight into the buffer that becomes the reply.

use std::fmt;
use std::ops::Deref;

use crate::payload::{Body, Content};

const MAGIC: [u8; 4] = *b"cfdm";

/// Changes with every change of the frames or of what they carry.
pub(crate) const VERSION: u8 = 1;

/// Bytes of a header.
pub(crate) const HEADER: usize = 20;

/// Which frame it is. Numbers are never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// Host → worker: what to run, and how.
    Setup = 1,
    /// Worker → host: ready for jobs.
    Ready = 2,
    /// Worker → host: will not become ready.
    Failed = 3,
    /// Host → worker: a job.
    Job = 4,
    /// Worker → host: the job's end.
    Reply = 5,
    /// Worker → host: the guest posts a message.
    Post = 6,
    /// Worker → host: the guest wants a message.
    Recv = 7,
    /// Host → worker: the answer to that.
    Mail = 8,
    /// Worker → host: the guest logs a line.
    Log = 9,
    /// Worker → host: host code in the worker panicked.
    Panicked = 10,
    /// Worker → host: the guest wants something fetched.
    Fetch = 11,
    /// Host → worker: the answer to that.
    Fetched = 12,
}

impl Kind {
    const ALL: [Kind; 12] = [
        Self::Setup,
        Self::Ready,
        Self::Failed,
        Self::Job,
        Self::Reply,
        Self::Post,
        Self::Recv,
        Self::Mail,
        Self::Log,
        Self::Panicked,
        Self::Fetch,
        Self::Fetched,
    ];
}

/// What precedes a frame's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) kind: Kind,
    pub(crate) job: u64,
    pub(crate) body: u32,
    pub(crate) trailer: u16,
}

/// A frame that was received.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: Kind,
    pub(crate) job: u64,
    pub(crate) body: Body,
    pub(crate) trailer: Trailer,
}

/// The trailer of a frame that was received. Nearly all are short, and need no memory of their own.
#[derive(Clone)]
pub(crate) enum Trailer {
    Short([u8; SHORT], u8),
    Long(Vec<u8>),
}

/// A reply without a reason has 46 bytes, and everything else that carries no text has fewer.
const SHORT: usize = 64;

impl Trailer {
    /// A trailer of so many bytes, which somebody fills in.
    pub(crate) fn filled<E>(
        length: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Self, E> {
        match u8::try_from(length) {
            Ok(short) if length <= SHORT => {
                let mut bytes = [0; SHORT];
                fill(&mut bytes[..length])?;
                Ok(Self::Short(bytes, short))
            }
            _ => {
                let mut bytes = vec![0; length];
                fill(&mut bytes)?;
                Ok(Self::Long(bytes))
            }
        }
    }
}

impl Deref for Trailer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Short(bytes, length) => &bytes[..usize::from(*length)],
            Self::Long(bytes) => bytes,
        }
    }
}

impl fmt::Debug for Trailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&**self).finish()
    }
}

impl From<&[u8]> for Trailer {
    fn from(bytes: &[u8]) -> Self {
        let copied = Self::filled(bytes.len(), |place| {
            place.copy_from_slice(bytes);
            Ok::<_, std::convert::Infallible>(())
        });
        match copied {
            Ok(trailer) => trailer,
            Err(never) => match never {},
        }
    }
}

/// A frame that is to be sent, in the pieces in which it lies in memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parts<'a> {
    pub(crate) kind: Kind,
    pub(crate) job: u64,
    pub(crate) body: Content<'a>,
    pub(crate) trailer: &'a [u8],
}

/// What is wrong with a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame begins with {0:02x?} instead of the magic number")]
    Magic([u8; 4]),
    #[error("a frame has version {0}, and this side speaks {VERSION}")]
    Version(u8),
    #[error("a frame has the unknown kind {0}")]
    Kind(u8),
    #[error("a frame announces {announced} bytes, and {limit} are allowed")]
    TooLong { announced: u32, limit: usize },
}

impl Header {
    /// The header as it travels.
    pub(crate) fn encode(self) -> [u8; HEADER] {
        let mut bytes = [0; HEADER];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4] = VERSION;
        bytes[5] = self.kind as u8;
        bytes[6..8].copy_from_slice(&self.trailer.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.body.to_le_bytes());
        bytes[12..20].copy_from_slice(&self.job.to_le_bytes());
        bytes
    }

    /// Reads a header and checks it, the length of the body included, before anybody allocates for it.
    pub(crate) fn decode(bytes: [u8; HEADER], max_body: usize) -> Result<Self, FrameError> {
        let [
            m0,
            m1,
            m2,
            m3,
            version,
            kind,
            t0,
            t1,
            b0,
            b1,
            b2,
            b3,
            job @ ..,
        ] = bytes;
        if [m0, m1, m2, m3] != MAGIC {
            return Err(FrameError::Magic([m0, m1, m2, m3]));
        }
        if version != VERSION {
            return Err(FrameError::Version(version));
        }
        let kind = Kind::ALL
            .into_iter()
            .find(|known| *known as u8 == kind)
            .ok_or(FrameError::Kind(kind))?;
        let body = u32::from_le_bytes([b0, b1, b2, b3]);
        if body as usize > max_body {
            return Err(FrameError::TooLong {
                announced: body,
                limit: max_body,
            });
        }
        let trailer = u16::from_le_bytes([t0, t1]);
        Ok(Self {
            kind,
            job: u64::from_le_bytes(job),
            body,
            trailer,
        })
    }
}

impl Parts<'_> {
    /// The header for these parts; `None` if the body is longer than a frame can say.
    pub(crate) fn header(&self) -> Option<Header> {
        Some(Header {
            kind: self.kind,
            job: self.job,
            body: u32::try_from(self.body.len()).ok()?,
            trailer: u16::try_from(self.trailer.len()).ok()?,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HEADER_OF_A_JOB: Header = Header {
        kind: Kind::Job,
        job: 7,
        body: 100,
        trailer: 3,
    };

    #[test]
    fn each_damage_has_its_own_name() {
        let damage = |position: usize, value: u8| {
            let mut bytes = HEADER_OF_A_JOB.encode();
            bytes[position] = value;
            Header::decode(bytes, 1000)
        };
        assert_eq!(damage(0, b'X'), Err(FrameError::Magic(*b"Xfdm")));
        assert_eq!(damage(4, 9), Err(FrameError::Version(9)));
        assert_eq!(damage(5, 0), Err(FrameError::Kind(0)));
        assert_eq!(damage(5, 200), Err(FrameError::Kind(200)));
        assert_eq!(
            damage(11, 0xff),
            Err(FrameError::TooLong {
                announced: 0xff00_0064,
                limit: 1000
            })
        );
    }

    #[test]
    fn the_limit_itself_is_allowed() {
        assert_eq!(
            Header::decode(HEADER_OF_A_JOB.encode(), 100),
            Ok(HEADER_OF_A_JOB)
        );
        assert!(Header::decode(HEADER_OF_A_JOB.encode(), 99).is_err());
    }

    proptest! {
        #[test]
        fn every_header_survives_the_way(kind in 0..Kind::ALL.len(), job: u64, body: u32, trailer: u16) {
            let header = Header { kind: Kind::ALL[kind], job, body, trailer };
            prop_assert_eq!(Header::decode(header.encode(), usize::MAX), Ok(header));
        }

        #[test]
        fn no_bytes_make_the_decoder_panic_or_pass_the_limit(bytes: [u8; HEADER], limit in 0usize..1 << 20) {
            if let Ok(header) = Header::decode(bytes, limit) {
                prop_assert!(header.body as usize <= limit);
            }
        }
    }
}
