//! Frames over a socket pair: portable, plain, and the baseline for anything faster.

use std::io::{BufReader, IoSlice, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::frame::{Frame, HEADER, Header, Parts, Trailer};
use super::{Link, LinkError};
use crate::payload::Body;

/// A message and its header fit; a large body bypasses the buffer anyway.
const BUFFER: usize = 16 << 10;

/// Before this many bytes really came, no more memory is given to a frame than this.
const FIRST_ALLOCATION: usize = 64 << 10;

/// One end of the socket pair.
pub(crate) struct Pipe {
    stream: BufReader<UnixStream>,
    max_body: usize,
}

impl Pipe {
    /// Frames with bodies of at the most `max_body` bytes are accepted.
    pub(crate) fn new(stream: UnixStream, max_body: usize) -> Self {
        Self {
            stream: BufReader::with_capacity(BUFFER, stream),
            max_body,
        }
    }

    pub(crate) fn stream(&self) -> &UnixStream {
        self.stream.get_ref()
    }

    /// The bare stream, where nothing was sent that is not received yet.
    pub(crate) fn into_stream(self) -> UnixStream {
        self.stream.into_inner()
    }

    pub(crate) fn set_max_body(&mut self, max_body: usize) {
        self.max_body = max_body;
    }
}

impl Link for Pipe {
    fn send(&mut self, frame: Parts<'_>) -> Result<(), LinkError> {
        let too_long = || LinkError::Garbled("a frame is longer than 4 GiB".to_owned());
        let header = frame.header().ok_or_else(too_long)?.encode();
        let body = frame.body.bytes();
        let mut slices = [
            IoSlice::new(&header),
            IoSlice::new(&body),
            IoSlice::new(frame.trailer),
        ];
        let mut rest = &mut slices[..];
        let mut stream = self.stream.get_ref();
        while !rest.is_empty() {
            match stream.write_vectored(rest) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(written) => IoSlice::advance_slices(&mut rest, written),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<Frame, LinkError> {
        let mut bytes = [0; HEADER];
        self.stream.read_exact(&mut bytes)?;
        let Header {
            kind,
            job,
            body,
            trailer,
        } = Header::decode(bytes, self.max_body)?;
        let body = self.read(body as usize)?;
        let trailer = Trailer::filled(usize::from(trailer), |bytes| self.stream.read_exact(bytes))?;
        Ok(Frame {
            kind,
            job,
            body: Body::Owned(body),
            trailer,
        })
    }

    fn set_patience(&mut self, patience: Option<Duration>) -> Result<(), LinkError> {
        let stream = self.stream.get_ref();
        stream.set_read_timeout(patience)?;
        Ok(stream.set_write_timeout(patience)?)
    }
}

impl Pipe {
    fn read(&mut self, length: usize) -> Result<Vec<u8>, LinkError> {
        let mut bytes = Vec::with_capacity(length.min(FIRST_ALLOCATION));
        (&mut self.stream)
            .take(length as u64)
            .read_to_end(&mut bytes)?;
        if bytes.len() == length {
            Ok(bytes)
        } else {
            Err(LinkError::Closed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::frame::Kind;

    fn pair() -> (Pipe, Pipe) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        (Pipe::new(ours, 1 << 20), Pipe::new(theirs, 1 << 20))
    }

    fn parts<'a>(body: &'a [u8], trailer: &'a [u8]) -> Parts<'a> {
        Parts {
            kind: Kind::Reply,
            job: 5,
            body: body.into(),
            trailer,
        }
    }

    #[test]
    fn frames_of_all_sizes_come_through_in_order() {
        let (mut ours, mut theirs) = pair();
        let sizes = [0, 1, 63, BUFFER - HEADER, BUFFER, BUFFER + 1, 300_000];
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for size in sizes {
                    ours.send(parts(&vec![7; size], b"end")).unwrap();
                }
            });
            for size in sizes {
                let frame = theirs.receive().unwrap();
                assert_eq!((frame.kind, frame.job), (Kind::Reply, 5));
                assert_eq!(
                    (frame.body.into_vec(), &frame.trailer[..]),
                    (vec![7; size], &b"end"[..])
                );
            }
            assert!(matches!(theirs.receive(), Err(LinkError::Closed)));
        });
    }

    #[test]
    fn a_frame_that_arrives_byte_by_byte_is_whole() {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        let mut theirs = Pipe::new(theirs, 100);
        let header = parts(b"body", b"tail").header().unwrap().encode();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for byte in header.iter().chain(b"bodytail") {
                    ours.write_all(&[*byte]).unwrap();
                }
            });
            assert_eq!(theirs.receive().unwrap().body.into_vec(), b"body");
        });
    }

    #[test]
    fn a_frame_that_is_torn_anywhere_is_a_hang_up() {
        let mut whole = parts(b"body", b"tail").header().unwrap().encode().to_vec();
        whole.extend_from_slice(b"bodytail");
        for length in 0..whole.len() {
            let (mut ours, theirs) = UnixStream::pair().unwrap();
            ours.write_all(&whole[..length]).unwrap();
            drop(ours);
            let result = Pipe::new(theirs, 100).receive();
            assert!(matches!(result, Err(LinkError::Closed)), "torn at {length}");
        }
    }

    #[test]
    fn a_body_past_the_limit_is_refused_before_it_comes() {
        let (mut ours, theirs) = pair();
        let mut theirs = Pipe {
            max_body: 10,
            ..theirs
        };
        ours.send(parts(&[0; 11], b"")).unwrap();
        assert!(matches!(theirs.receive(), Err(LinkError::Garbled(_))));
    }

    #[test]
    fn patience_has_an_end() {
        let (mut ours, _theirs) = pair();
        ours.set_patience(Some(Duration::from_millis(1))).unwrap();
        assert!(matches!(ours.receive(), Err(LinkError::TimedOut)));
    }
}
