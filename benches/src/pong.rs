//! The null arms of a round trip: what it costs to hand bytes to another thread and to get them back.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::Failure;

/// Another thread behind bare crossbeam channels of one place.
///
/// The bytes are handed over by reference, and the other thread makes the two copies that a guest
/// cannot do without: into a memory of its own, and out of it into a new reply.
pub struct CrossbeamPong {
    there: Option<Sender<Arc<[u8]>>>,
    back: Receiver<Vec<u8>>,
    thread: Option<JoinHandle<()>>,
}

impl CrossbeamPong {
    /// Starts the other thread.
    #[must_use]
    pub fn new() -> Self {
        let (there, served) = bounded::<Arc<[u8]>>(1);
        let (reply, back) = bounded(1);
        let thread = std::thread::spawn(move || {
            let mut memory = Vec::new();
            for bytes in served {
                memory.clear();
                memory.extend_from_slice(&bytes);
                if reply.send(memory.clone()).is_err() {
                    return;
                }
            }
        });
        Self {
            there: Some(there),
            back,
            thread: Some(thread),
        }
    }

    /// There and back.
    ///
    /// # Errors
    /// If the other thread is gone.
    pub fn ping(&self, bytes: &Arc<[u8]>) -> Result<Vec<u8>, Failure> {
        let there = self.there.as_ref().ok_or("the thread has ended")?;
        there.send(Arc::clone(bytes))?;
        Ok(self.back.recv()?)
    }
}

impl Default for CrossbeamPong {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for CrossbeamPong {
    fn drop(&mut self) {
        self.there = None;
        join(&mut self.thread);
    }
}

/// Another thread behind a socket pair, for messages of one length.
pub struct SocketPong {
    stream: UnixStream,
    reply: Vec<u8>,
    thread: Option<JoinHandle<()>>,
}

impl SocketPong {
    /// Starts the other thread.
    ///
    /// # Errors
    /// If the system has no more descriptors.
    pub fn new(length: usize) -> io::Result<Self> {
        let (stream, mut far) = UnixStream::pair()?;
        let thread = std::thread::spawn(move || {
            let mut memory = vec![0; length];
            // The whole message first, as a worker needs it; then back.
            while far.read_exact(&mut memory).is_ok() && far.write_all(&memory).is_ok() {}
        });
        Ok(Self {
            stream,
            reply: vec![0; length],
            thread: Some(thread),
        })
    }

    /// There and back.
    ///
    /// # Errors
    /// If the other thread is gone.
    ///
    /// # Panics
    /// If `bytes` has not the length that was promised: the other side would wait for ever.
    pub fn ping(&mut self, bytes: &[u8]) -> io::Result<&[u8]> {
        assert_eq!(bytes.len(), self.reply.len());
        self.stream.write_all(bytes)?;
        self.stream.read_exact(&mut self.reply)?;
        Ok(&self.reply)
    }
}

impl Drop for SocketPong {
    fn drop(&mut self) {
        // It reads the end of the stream, and ends.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        join(&mut self.thread);
    }
}

fn join(thread: &mut Option<JoinHandle<()>>) {
    if let Some(thread) = thread.take() {
        // A panic was printed where it happened.
        let _ = thread.join();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_there_comes_back() {
        // Larger than a socket's buffer, so that both sides have to wait for each other.
        let bytes: Arc<[u8]> = (0..=u8::MAX).cycle().take(1 << 20).collect();
        let crossbeam = CrossbeamPong::new();
        let mut socket = SocketPong::new(bytes.len()).unwrap();
        for _ in 0..2 {
            assert_eq!(crossbeam.ping(&bytes).unwrap(), *bytes);
            assert_eq!(socket.ping(&bytes).unwrap(), &*bytes);
        }
    }
}
