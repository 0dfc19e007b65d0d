//! How a guest in a thread is stopped from outside.
//!
//! Nothing ticks. Each store's epoch deadline is the next epoch, and the epoch moves only when
//! somebody is to be stopped: every guest of the engine then makes one check, and the one whose
//! flag is up ends. A deadline costs nothing until it passes, and is met to the accuracy of a timer.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use crossbeam_channel::{Receiver, Sender};
use rustix::event::{EventfdFlags, eventfd};
use wasmtime::Engine;

use crate::fetch::Halt;

/// One worker's flag. Clones share it.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<Inner>);

struct Inner {
    raised: AtomicBool,
    /// Wakes a guest that waits in `recv`.
    bell: Sender<()>,
    heard: Receiver<()>,
    /// Wakes one that waits for a socket as well; made when a guest first does.
    alarm: OnceLock<OwnedFd>,
    engine: Engine,
}

impl Interrupt {
    pub(super) fn new(engine: &Engine) -> Self {
        let (bell, heard) = crossbeam_channel::bounded(1);
        let engine = engine.clone();
        Self(Arc::new(Inner {
            raised: AtomicBool::new(false),
            bell,
            heard,
            alarm: OnceLock::new(),
            engine,
        }))
    }

    /// Asks the guest to end; it does so at its next loop, call or wait.
    pub(crate) fn raise(&self) {
        self.0.raised.store(true, Ordering::SeqCst);
        let _ = self.0.bell.try_send(());
        if let Some(alarm) = self.0.alarm.get() {
            sound(alarm);
        }
        self.0.engine.increment_epoch();
    }

    /// Takes the request back, before the next job.
    pub(crate) fn lower(&self) {
        self.0.raised.store(false, Ordering::SeqCst);
        while self.0.heard.try_recv().is_ok() {}
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.raised.load(Ordering::SeqCst)
    }

    pub(crate) fn bell(&self) -> &Receiver<()> {
        &self.0.heard
    }
}

/// Fails where it was sounded 2⁶⁴ times already.
fn sound(alarm: &OwnedFd) {
    let _ = rustix::io::write(alarm, &1_u64.to_ne_bytes());
}

impl Halt for Interrupt {
    fn halt(&self) -> io::Result<OwnedFd> {
        let alarm = match self.0.alarm.get() {
            Some(alarm) => alarm,
            None => {
                let made = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
                self.0.alarm.get_or_init(|| made)
            }
        };
        // What was sounded for a job before this one. Whoever asks for the end of this one raises the flag first, and asks
        // again if nothing comes of it.
        let _ = rustix::io::read(alarm, &mut [0; 8]);
        if self.is_raised() {
            sound(alarm);
        }
        alarm.try_clone()
    }
}

#[cfg(test)]
mod tests {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    use super::*;

    fn interrupt() -> Interrupt {
        Interrupt::new(&Engine::default())
    }

    fn sounds(alarm: &OwnedFd) -> bool {
        let mut watched = [PollFd::new(alarm, PollFlags::IN)];
        poll(&mut watched, Some(&Timespec::default())).unwrap() == 1
    }

    #[test]
    fn whoever_waits_for_a_socket_hears_that_the_job_is_over() {
        let interrupt = interrupt();
        let alarm = interrupt.halt().unwrap();
        assert!(!sounds(&alarm));
        interrupt.raise();
        assert!(sounds(&alarm));
    }

    #[test]
    fn a_job_that_was_over_before_it_waited_hears_it_too() {
        let interrupt = interrupt();
        interrupt.raise();
        assert!(sounds(&interrupt.halt().unwrap()));
        assert!(sounds(&interrupt.halt().unwrap()));
    }

    #[test]
    fn the_end_of_a_job_is_not_told_to_the_next() {
        let interrupt = interrupt();
        drop(interrupt.halt().unwrap());
        interrupt.raise();
        interrupt.lower();
        assert!(!sounds(&interrupt.halt().unwrap()));
    }
}
