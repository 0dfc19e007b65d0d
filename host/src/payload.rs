//! A job's bytes on their way in and out, wherever they lie.
//!
//! In a thread worker they are vectors. In a worker process they may lie in memory that it shares with
//! the host, so that a guest's bytes are copied once each way, from guest memory or into it. Such bytes
//! are only ever copied, never borrowed.

use std::borrow::Cow;
use std::sync::Arc;

use crate::sys::shm::{Arena, Window};

/// What a frame brought.
#[derive(Debug)]
pub(crate) enum Body {
    Owned(Vec<u8>),
    /// It lies where the other side wrote it, and stays there until the job that it belongs to ends.
    Lent(Window),
}

impl Body {
    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Owned(bytes) => bytes,
            Self::Lent(window) => window.to_vec(),
        }
    }
}

/// What a guest reads. Clones share the bytes.
#[derive(Clone, Debug)]
pub(crate) struct Input(Arc<Body>);

impl Input {
    pub(crate) fn len(&self) -> usize {
        match &*self.0 {
            Body::Owned(bytes) => bytes.len(),
            Body::Lent(window) => window.len(),
        }
    }

    /// Copies the bytes from `offset` on.
    ///
    /// # Panics
    /// If there are not so many.
    pub(crate) fn copy_to(&self, offset: usize, into: &mut [u8]) {
        match &*self.0 {
            Body::Owned(bytes) => into.copy_from_slice(&bytes[offset..offset + into.len()]),
            Body::Lent(window) => window.copy_to(offset, into),
        }
    }

    /// The bytes, where they are this process's own; what is lent cannot be borrowed, and counts as none.
    pub(crate) fn owned(&self) -> &[u8] {
        match &*self.0 {
            Body::Owned(bytes) => bytes,
            Body::Lent(_) => &[],
        }
    }
}

impl From<Vec<u8>> for Input {
    fn from(bytes: Vec<u8>) -> Self {
        Body::Owned(bytes).into()
    }
}

impl From<Body> for Input {
    fn from(body: Body) -> Self {
        Self(Arc::new(body))
    }
}

/// What a guest writes.
#[derive(Debug)]
pub(crate) enum Output {
    Owned(Vec<u8>),
    /// It lies in a place from which the host will take it; so many bytes are there.
    Placed {
        arena: Arc<Arena>,
        length: usize,
    },
}

/// There is no more room in the place where the output lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl Output {
    /// Written into `arena`, if there is one.
    pub(crate) fn new(arena: Option<Arc<Arena>>) -> Self {
        match arena {
            None => Self::Owned(Vec::new()),
            Some(arena) => Self::Placed { arena, length: 0 },
        }
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Full> {
        match self {
            Self::Owned(output) => output.extend_from_slice(bytes),
            Self::Placed { arena, length } => {
                if bytes.len() > arena.room() - *length {
                    return Err(Full);
                }
                arena.write(*length, bytes);
                *length += bytes.len();
            }
        }
        Ok(())
    }

    pub(crate) fn content(&self) -> Content<'_> {
        match self {
            Self::Owned(output) => Content::Bytes(output),
            Self::Placed { arena, length } => Content::Placed(arena, *length),
        }
    }

    pub(crate) fn into_vec(self) -> Vec<u8> {
        match self {
            Self::Owned(output) => output,
            Self::Placed { arena, length } => arena.to_vec(length),
        }
    }
}

impl Default for Output {
    fn default() -> Self {
        Self::new(None)
    }
}

/// What a frame is to bring.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Content<'a> {
    Bytes(&'a [u8]),
    /// So many bytes from the beginning of an arena.
    Placed(&'a Arena, usize),
}

impl<'a> Content<'a> {
    pub(crate) fn len(self) -> usize {
        match self {
            Self::Bytes(bytes) => bytes.len(),
            Self::Placed(_, length) => length,
        }
    }

    pub(crate) fn bytes(self) -> Cow<'a, [u8]> {
        match self {
            Self::Bytes(bytes) => Cow::Borrowed(bytes),
            Self::Placed(arena, length) => Cow::Owned(arena.to_vec(length)),
        }
    }
}

impl<'a> From<&'a [u8]> for Content<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::Bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::shm::{Mapping, outgoing};

    const PAGE: usize = 1 << 12;

    #[test]
    fn an_input_reads_the_same_wherever_it_lies() {
        let (ours, memory) = outgoing(PAGE).unwrap();
        ours.copy_in(10, b"some bytes");
        let theirs = Arc::new(Mapping::of(memory, PAGE).unwrap());
        let lent = Body::Lent(Window::new(theirs, 10, 10)).into();
        for input in [Input::from(b"some bytes".to_vec()), lent] {
            let mut bytes = [0; 5];
            input.copy_to(5, &mut bytes);
            assert_eq!((&bytes, input.len()), (b"bytes", 10));
        }
    }

    #[test]
    fn an_output_in_an_arena_is_bounded_by_it() {
        let (ours, _memory) = outgoing(PAGE).unwrap();
        let mut output = Output::new(Some(Arc::new(Arena::new(Arc::new(ours), 0, 8))));
        assert_eq!(output.append(b"eight"), Ok(()));
        assert_eq!(output.append(b"less"), Err(Full));
        assert_eq!(output.append(b"les"), Ok(()));
        assert_eq!(output.content().len(), 8);
        assert_eq!(&*output.content().bytes(), b"eightles");
        assert_eq!(output.into_vec(), b"eightles");
    }
}
