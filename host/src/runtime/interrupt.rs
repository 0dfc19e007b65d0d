//! How a guest in a thread is stopped from outside.
//!
//! Nothing ticks. Each store's epoch deadline is the next epoch, and the epoch moves only when
//! somebody is to be stopped: every guest of the engine then makes one check, and the one whose
//! flag is up ends. A deadline costs nothing until it passes, and is met to the accuracy of a timer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam_channel::{Receiver, Sender};
use wasmtime::Engine;

/// One worker's flag. Clones share it.
#[derive(Clone)]
pub(crate) struct Interrupt(Arc<Inner>);

struct Inner {
    raised: AtomicBool,
    /// Wakes a guest that waits in `recv`.
    bell: Sender<()>,
    heard: Receiver<()>,
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
            engine,
        }))
    }

    /// Asks the guest to end; it does so at its next loop, call or wait.
    pub(crate) fn raise(&self) {
        self.0.raised.store(true, Ordering::SeqCst);
        let _ = self.0.bell.try_send(());
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
