//! What the threads of a pool have in common.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::WorkerInfo;
use super::flight::Task;
use super::health::Counters;
use super::policy::RestartPolicy;
use super::supervisor::Event;
use super::ticket::Lost;
use crate::job::{Death, Limits, Reply};
use crate::worker::{Maker, Worker};

/// Something that an operator wants to know. Borrowed: the listener takes what it needs.
#[derive(Debug)]
#[non_exhaustive]
pub enum Incident<'a> {
    /// A worker died, and was or will be replaced.
    Died {
        /// The worker's label.
        worker: &'a str,
        /// How it ended.
        death: &'a Death,
        /// The job that it ran, if it ran one.
        job: Option<u64>,
        /// What its process wrote last; may be empty.
        last_words: &'a str,
    },
    /// A worker did not start; it is tried again after a pause.
    StartFailed {
        /// The slot, from 0.
        slot: usize,
        /// What happened.
        death: &'a Death,
        /// Until the next try.
        pause: Duration,
    },
    /// A slot was closed: its workers do not start.
    Quarantined {
        /// The slot, from 0.
        slot: usize,
        /// What happened the last time.
        death: &'a Death,
    },
}

pub(super) type Listener = Arc<dyn Fn(&Incident<'_>) + Send + Sync>;

/// What the slots, the supervisor and the pool have in common.
pub(super) struct Shared {
    pub(super) maker: Box<dyn Maker>,
    pub(super) limits: Limits,
    pub(super) retries: u32,
    pub(super) restart: RestartPolicy,
    pub(super) listener: Option<Listener>,
    pub(super) counters: Counters,
    pub(super) open_slots: AtomicUsize,
    pub(super) killed: AtomicBool,
    /// Hangs up when the pool is stopped: wakes slots from their pauses.
    pub(super) stopping: Receiver<()>,
    pub(super) stop: Mutex<Option<Sender<()>>>,
    /// Hangs up when no more jobs are taken: a slot need not start a worker for an empty queue.
    pub(super) draining: Receiver<()>,
    pub(super) broken: OnceLock<String>,
    pub(super) events: Sender<Event>,
    pub(super) next_round: NextRound,
    pub(super) workers: Vec<Mutex<Option<WorkerInfo>>>,
}

/// The moment of the supervisor's next round, as one atomic number.
pub(super) struct NextRound {
    pub(super) origin: Instant,
    pub(super) nanos: AtomicU64,
}

impl NextRound {
    pub(super) const UNKNOWN: u64 = u64::MAX;

    pub(super) fn set(&self, moment: Option<Instant>) {
        let nanos = moment.map_or(Self::UNKNOWN, |moment| self.nanos(moment));
        self.nanos.store(nanos, Ordering::SeqCst);
    }

    pub(super) fn is_after(&self, moment: Instant) -> bool {
        self.nanos.load(Ordering::SeqCst) > self.nanos(moment)
    }

    fn nanos(&self, moment: Instant) -> u64 {
        let since = moment.saturating_duration_since(self.origin).as_nanos();
        u64::try_from(since).unwrap_or(Self::UNKNOWN - 1)
    }
}

impl Shared {
    /// Wakes the supervisor if a deadline comes before its next round.
    pub(super) fn expect(&self, due: Option<Instant>) {
        if let Some(due) = due
            && self.next_round.is_after(due)
        {
            let _ = self.events.send(Event::Look);
        }
    }

    pub(super) fn tell(&self, incident: &Incident<'_>) {
        if let Some(listener) = &self.listener {
            // A listener that panics harms nobody but itself.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| listener(incident)));
        }
    }

    pub(super) fn answer(
        &self,
        task: Task,
        worker: &str,
        started: Instant,
        result: Result<Reply, Lost>,
    ) {
        Counters::add(&self.counters.answered);
        task.resolve(worker, started, result);
    }

    /// Answers a task that no worker takes up, since the pool was stopped.
    pub(super) fn cancel(&self, task: Task) {
        self.answer(task, "", Instant::now(), Err(Lost::Cancelled));
    }

    /// Gives a task back that is to be run again; else answers it with the death.
    pub(super) fn retry_or_answer(
        &self,
        task: Task,
        worker: &str,
        started: Instant,
        death: Death,
    ) -> Option<Task> {
        let again = task.attempts <= self.retries && task.job.can_be_repeated();
        if again && !self.killed.load(Ordering::SeqCst) {
            Counters::add(&self.counters.retried);
            return Some(task);
        }
        self.answer(task, worker, started, Err(Lost::Worker(death)));
        None
    }

    pub(super) fn enter(&self, slot: usize, worker: Option<&dyn Worker>) {
        let info = worker.map(|worker| WorkerInfo {
            label: worker.label().to_owned(),
            pid: worker.pid(),
        });
        *self.workers[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = info;
    }

    pub(super) fn label_of(&self, slot: usize) -> String {
        let info = self.workers[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        info.as_ref()
            .map(|info| info.label.clone())
            .unwrap_or_default()
    }
}
