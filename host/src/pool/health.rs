//! What happened in a pool so far, counted.

use serde::Serialize;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the pool was built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Health {
    /// Jobs that were answered, however they ended.
    pub answered: u64,
    /// Workers that were started.
    pub started: u64,
    /// Workers that died, those killed at a deadline included.
    pub died: u64,
    /// Starts that failed.
    pub failed_starts: u64,
    /// Jobs that were run again after their worker died.
    pub retried: u64,
    /// Jobs that no worker took up in the time that they might wait.
    pub expired: u64,
    /// Threads that did not come back and were left behind. Each holds its memory and perhaps a CPU.
    pub abandoned: u64,
    /// Slots that were closed because no worker would start.
    pub quarantined: u64,
}

/// The same, while it is counted.
#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) answered: AtomicU64,
    pub(super) started: AtomicU64,
    pub(super) died: AtomicU64,
    pub(super) failed_starts: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) expired: AtomicU64,
    pub(super) abandoned: AtomicU64,
    pub(super) quarantined: AtomicU64,
}

impl Counters {
    pub(super) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn snapshot(&self) -> Health {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Health {
            answered: read(&self.answered),
            started: read(&self.started),
            died: read(&self.died),
            failed_starts: read(&self.failed_starts),
            retried: read(&self.retried),
            expired: read(&self.expired),
            abandoned: read(&self.abandoned),
            quarantined: read(&self.quarantined),
        }
    }
}
