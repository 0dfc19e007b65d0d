//! What the threads of a pool have in common.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::WorkerInfo;
use super::batch::{Load, Loads};
use super::berth::{Berth, Crew};
use super::flight::{Span, Task};
use super::health::Counters;
use super::idle::Idle;
use super::pace::Pace;
use super::policy::RestartPolicy;
use super::supervisor::Event;
use super::ticket::Lost;
use crate::harden::Enforcement;
use crate::job::{Death, Limits, Reply};
use crate::options::StartMethod;
use crate::wait::Patience;
use crate::worker::Maker;

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
    /// Workers cannot be started in the usual way, and are from now on started in another one. Said once.
    FellBack {
        /// The other way.
        to: StartMethod,
        /// What the usual one came to.
        why: &'a Death,
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
    pub(super) idle: Idle,
    pub(super) berths: Box<[Berth]>,
    pub(super) loads: Loads,
    pub(super) pace: Arc<Pace>,
    /// Of slots that wait for work.
    pub(super) idling: Patience,
    /// Of callers that wait for answers.
    pub(super) waiting: Arc<Patience>,
    pub(super) workers: Vec<Mutex<Option<WorkerInfo>>>,
    /// What of the hardening holds in the worker that was there first; all are made alike.
    pub(super) enforcement: OnceLock<Enforcement>,
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
        worker: Arc<str>,
        span: Span,
        result: Result<Reply, Lost>,
    ) {
        Counters::add(&self.counters.answered);
        task.resolve(worker, span, result);
    }

    /// Answers a task that no worker takes up, since the pool was stopped.
    pub(super) fn cancel(&self, task: Task) {
        self.answer(task, "".into(), Span::nothing(), Err(Lost::Cancelled));
    }

    /// Sends an idle slot to work, if there is one. Called after the work was handed in; whoever leaves
    /// a call to work unanswered passes it on with this.
    pub(super) fn call_idle(&self) {
        if let Some(slot) = self.idle.claim_any() {
            self.berths[slot].call();
        }
    }

    /// Answers the jobs of all batches that no worker has taken up.
    pub(super) fn end_loads(&self, why: &Lost) {
        let mut current: Option<Arc<Load>> = None;
        while let Some(task) = self.loads.take(&mut current) {
            self.answer(task, "".into(), Span::nothing(), Err(why.clone()));
        }
    }

    /// Answers the jobs that no worker has taken from the queue.
    pub(super) fn end_queue(&self, queue: &Receiver<Task>, why: &Lost) {
        for task in queue.try_iter() {
            self.answer(task, "".into(), Span::nothing(), Err(why.clone()));
        }
    }

    /// What became of the pool, if it takes up no jobs any more.
    pub(super) fn ended(&self) -> Option<Lost> {
        if self.killed.load(Ordering::SeqCst) {
            return Some(Lost::Cancelled);
        }
        self.broken.get().cloned().map(Lost::NoWorkers)
    }

    /// Gives a task back that is to be run again; else answers it with the death.
    pub(super) fn retry_or_answer(
        &self,
        task: Task,
        worker: Arc<str>,
        span: Span,
        death: Death,
    ) -> Option<Task> {
        let again = task.attempts <= self.retries && task.job.can_be_repeated();
        if again && !self.killed.load(Ordering::SeqCst) {
            Counters::add(&self.counters.retried);
            return Some(task);
        }
        self.answer(task, worker, span, Err(Lost::Worker(death)));
        None
    }

    pub(super) fn enter(&self, slot: usize, crew: Option<&Crew>) {
        let info = crew.map(|crew| WorkerInfo {
            label: crew.label.as_ref().to_owned(),
            pid: crew.worker.pid(),
            enforcement: crew.worker.enforcement(),
        });
        if let Some(held) = info.as_ref().and_then(|info| info.enforcement) {
            let _ = self.enforcement.set(held);
        }
        *self.workers[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = info;
    }

    pub(super) fn label_of(&self, slot: usize) -> Arc<str> {
        let info = self.workers[slot]
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        info.as_ref()
            .map_or_else(|| "".into(), |info| info.label.as_str().into())
    }
}
