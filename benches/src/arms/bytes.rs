//! Null arms of handing over: how two threads can do without channels, and copying.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{JoinHandle, Thread};
use std::time::{Duration, Instant};

use super::Once;
use crate::Failure;

/// A large message: more than the caches near a core hold.
pub const MIB: usize = 1 << 20;

/// Whose turn it is, in a word that two threads share.
#[derive(Default)]
struct Turn(AtomicU32);

impl Turn {
    const HERE: u32 = 0;
    const THERE: u32 = 1;
    const OVER: u32 = 2;
}

/// Another thread that parks until it is its turn: one futex each way, and no bytes.
pub struct ParkPong {
    turn: Arc<Turn>,
    thread: Option<JoinHandle<()>>,
}

impl ParkPong {
    /// Starts the other thread.
    #[must_use]
    pub fn new() -> Self {
        let turn = Arc::<Turn>::default();
        let (there, back) = (Arc::clone(&turn), std::thread::current());
        let thread = std::thread::spawn(move || serve_parked(&there, &back));
        Self {
            turn,
            thread: Some(thread),
        }
    }

    /// There and back. To be called by the thread that made this.
    ///
    /// # Errors
    /// If the other thread is gone.
    pub fn ping(&self) -> Result<(), Failure> {
        let there = self.thread.as_ref().ok_or("the thread has ended")?;
        self.turn.0.store(Turn::THERE, Ordering::Release);
        there.thread().unpark();
        while self.turn.0.load(Ordering::Acquire) != Turn::HERE {
            std::thread::park();
        }
        Ok(())
    }
}

fn serve_parked(turn: &Turn, back: &Thread) {
    loop {
        match turn.0.load(Ordering::Acquire) {
            Turn::HERE => std::thread::park(),
            Turn::THERE => {
                turn.0.store(Turn::HERE, Ordering::Release);
                back.unpark();
            }
            _ => return,
        }
    }
}

impl Default for ParkPong {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for ParkPong {
    fn drop(&mut self) {
        end(&self.turn, &mut self.thread);
    }
}

/// Another thread that looks all the time whether it is its turn: one cache line each way, and no bytes.
/// It keeps a CPU busy as long as it is there.
pub struct SpinPong {
    turn: Arc<Turn>,
    thread: Option<JoinHandle<()>>,
}

impl SpinPong {
    /// Starts the other thread.
    #[must_use]
    pub fn new() -> Self {
        let turn = Arc::<Turn>::default();
        let there = Arc::clone(&turn);
        let thread = std::thread::spawn(move || {
            loop {
                match there.0.load(Ordering::Acquire) {
                    Turn::HERE => std::hint::spin_loop(),
                    Turn::THERE => there.0.store(Turn::HERE, Ordering::Release),
                    _ => return,
                }
            }
        });
        Self {
            turn,
            thread: Some(thread),
        }
    }

    /// There and back.
    pub fn ping(&self) {
        self.turn.0.store(Turn::THERE, Ordering::Release);
        while self.turn.0.load(Ordering::Acquire) != Turn::HERE {
            std::hint::spin_loop();
        }
    }
}

impl Default for SpinPong {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SpinPong {
    fn drop(&mut self) {
        end(&self.turn, &mut self.thread);
    }
}

fn end(turn: &Turn, thread: &mut Option<JoinHandle<()>>) {
    turn.0.store(Turn::OVER, Ordering::Release);
    if let Some(thread) = thread.take() {
        thread.thread().unpark();
        // A panic was printed where it happened.
        let _ = thread.join();
    }
}

/// Another thread behind two pipes, for messages of one length.
pub struct PipePong {
    /// Hung up before the thread is joined.
    there: Option<PipeWriter>,
    back: PipeReader,
    reply: Vec<u8>,
    thread: Option<JoinHandle<()>>,
}

impl PipePong {
    /// Starts the other thread.
    ///
    /// # Errors
    /// If the system has no more descriptors.
    pub fn new(length: usize) -> io::Result<Self> {
        let (mut taken, there) = io::pipe()?;
        let (back, mut given) = io::pipe()?;
        let thread = std::thread::spawn(move || {
            let mut memory = vec![0; length];
            while taken.read_exact(&mut memory).is_ok() && given.write_all(&memory).is_ok() {}
        });
        Ok(Self {
            there: Some(there),
            back,
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
        if let Some(there) = &mut self.there {
            there.write_all(bytes)?;
        }
        self.back.read_exact(&mut self.reply)?;
        Ok(&self.reply)
    }
}

impl Drop for PipePong {
    fn drop(&mut self) {
        self.there = None;
        if let Some(thread) = self.thread.take() {
            // A panic was printed where it happened.
            let _ = thread.join();
        }
    }
}

/// So many copies of one message, from each place to the next, all of them mapped before.
pub fn memcpy(bytes: Vec<u8>, copies: usize) -> impl Once {
    let mut places = vec![bytes; copies + 1];
    let mut fill = 0u8;
    move || {
        // Bytes that the last place does not have yet: the copies must really be made.
        fill = fill.wrapping_add(1);
        places[0].fill(fill);
        let start = Instant::now();
        for place in 0..copies {
            let (from, to) = places.split_at_mut(place + 1);
            std::hint::black_box(&mut to[0]).copy_from_slice(&from[place]);
        }
        let took: Duration = start.elapsed();
        match places.last().and_then(|last| last.last()) {
            Some(&last) if last == fill => Ok(took),
            _ => Err("the last copy has other bytes".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_through_pipes_comes_back() {
        // Larger than a pipe's buffer, so that both sides have to wait for each other.
        let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(MIB).collect();
        let mut pong = PipePong::new(bytes.len()).unwrap();
        for _ in 0..2 {
            assert_eq!(pong.ping(&bytes).unwrap(), &*bytes);
        }
    }

    #[test]
    fn turns_are_taken_and_given_back() {
        let (parked, spinning) = (ParkPong::new(), SpinPong::new());
        for _ in 0..100 {
            parked.ping().unwrap();
            spinning.ping();
            assert_eq!(parked.turn.0.load(Ordering::SeqCst), Turn::HERE);
            assert_eq!(spinning.turn.0.load(Ordering::SeqCst), Turn::HERE);
        }
    }

    #[test]
    fn copies_reach_the_last_place() {
        let mut copies = memcpy(vec![0; 4096], 4);
        for _ in 0..2 {
            assert!(copies().unwrap() > Duration::ZERO);
        }
    }
}
