//! Where a slot's worker lies while it has nothing to do, and where it is borrowed and brought back.
//!
//! A slot belongs to one at a time: to its own thread, or to whoever claimed it when it was idle (see
//! [`idle`](super::idle)). Only its owner touches what lies in the berth, so its lock is never waited for.

use std::mem;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, select};

use super::flight::{Airborne, Flight, Pilot, Task};
use super::shared::Shared;
use super::ticket::{Desk, Promise, Ticket};
use crate::job::{Death, Reply};
use crate::wait::Patience;
use crate::worker::{KillSwitch, Worker, panic_message};

/// A worker, and what each of its jobs needs of it, fetched once.
pub(super) struct Crew {
    pub(super) worker: Box<dyn Worker>,
    pub(super) label: Arc<str>,
    pub(super) slot: usize,
    /// Whether it has brought a job to its end.
    pub(super) served: bool,
    switch: KillSwitch,
    /// Where whoever borrows the worker finds his answer if it comes by another way than his own. As long as
    /// none did, the next one has it too.
    desk: Arc<Desk>,
}

/// A flight that is over, and what the worker said at its end.
pub(super) struct Landed {
    pub(super) airborne: Airborne,
    pub(super) result: Result<Reply, Death>,
}

/// What lies in a berth.
#[derive(Default)]
pub(super) enum Moored {
    /// Nothing: the slot's owner has it.
    #[default]
    Nothing,
    /// A worker without work.
    Idle(Crew),
    /// A worker that was borrowed, with an ending that its slot has to judge.
    Landed(Crew, Box<Landed>),
    /// Whoever borrowed the worker was given up, and the worker with him; the task is to be run again, if
    /// one is given.
    GivenUp(Option<Task>),
}

/// One slot, as everybody sees it.
pub(super) struct Berth {
    pub(super) flight: Flight,
    moored: Mutex<Moored>,
    /// Set by whoever claimed the slot and leaves it to its thread.
    called: AtomicBool,
    /// Set by the slot's thread when the worker died while somebody had borrowed it.
    mourning: AtomicBool,
    bell: Sender<()>,
    heard: Receiver<()>,
}

/// What the thread of an idle slot hears.
pub(super) enum Heard {
    /// The slot is its own again.
    Call,
    /// Something changed; it should see what.
    Bell,
    /// Its worker has died.
    Death,
}

impl Crew {
    pub(super) fn new(worker: Box<dyn Worker>, slot: usize) -> Self {
        Self {
            label: worker.label().into(),
            switch: worker.kill_switch(),
            slot,
            served: false,
            worker,
            desk: Arc::default(),
        }
    }

    /// A promise to whoever borrows the worker for a job, and his claim to it.
    pub(super) fn promise(&self, job: u64, patience: &Arc<Patience>) -> (Promise, Ticket) {
        Promise::at_desk(job, &self.desk, patience)
    }

    /// Leaves the desk to the answer that will come there.
    pub(super) fn leave_desk(&mut self) {
        self.desk = Arc::default();
    }

    /// How the worker died between jobs, if it did.
    pub(super) fn post_mortem(&self) -> Option<Death> {
        self.worker.vitals()?;
        self.worker.post_mortem()
    }

    /// How the worker's process died, if it did before it was ready.
    pub(super) fn stillbirth(&self) -> Option<Death> {
        self.worker.pid()?;
        match self.worker.birth() {
            Some(_) => None,
            None => self.post_mortem(),
        }
    }

    /// Lets the worker get ready for the next job; the death that it died of it, if it did.
    pub(super) fn prepare(&mut self) -> Option<Death> {
        panic::catch_unwind(AssertUnwindSafe(|| self.worker.prepare()))
            .err()
            .map(|payload| Death::Panicked(panic_message(&*payload)))
    }

    /// Runs a task to its end. `None` if the supervisor gave up whoever drives the worker: the slot
    /// and the task have other owners then.
    pub(super) fn fly(
        &mut self,
        shared: &Shared,
        mut task: Task,
        started: Instant,
        pilot: Pilot,
    ) -> Option<Landed> {
        task.attempts += 1;
        let job = task.job.signed(&self.label);
        let timeout = job.own_timeout().or(shared.limits.timeout);
        let flight = &shared.berths[self.slot].flight;
        let leg = flight.launch(task, self.switch.clone(), started, timeout, pilot);
        shared.expect(leg.due);
        // Stopped between the last look at `killed` and the launch: the supervisor saw no flight.
        if shared.killed.load(Ordering::SeqCst) {
            flight.cancel(Instant::now());
        }
        let returned = panic::catch_unwind(AssertUnwindSafe(|| self.worker.run(&job)));
        drop(job);
        let airborne = flight.land(leg)?;
        let result =
            returned.unwrap_or_else(|payload| Err(Death::Panicked(panic_message(&*payload))));
        Some(Landed { airborne, result })
    }
}

impl Berth {
    pub(super) fn new() -> Self {
        let (bell, heard) = crossbeam_channel::bounded(1);
        Self {
            flight: Flight::default(),
            moored: Mutex::default(),
            called: AtomicBool::new(false),
            mourning: AtomicBool::new(false),
            bell,
            heard,
        }
    }

    fn moored(&self) -> MutexGuard<'_, Moored> {
        self.moored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn moor(&self, what: Moored) {
        *self.moored() = what;
    }

    pub(super) fn take(&self) -> Moored {
        mem::take(&mut *self.moored())
    }

    /// Gives the slot to its thread. Only whoever has the slot may do so.
    pub(super) fn call(&self) {
        self.called.store(true, Ordering::SeqCst);
        self.ring();
    }

    /// Makes the slot's thread look what there is, if it is idle.
    pub(super) fn ring(&self) {
        // One that is full has been rung, and not been heard yet.
        let _ = self.bell.try_send(());
    }

    /// Says whether the worker is known to have died in the hands of whoever borrowed it. It is said
    /// before the slot's thread tries to claim the slot, and asked after the slot was entered as idle:
    /// one of the two notices the other.
    pub(super) fn mourns(&self) -> bool {
        self.mourning.load(Ordering::SeqCst)
    }

    pub(super) fn mourn(&self, whether: bool) {
        self.mourning.store(whether, Ordering::SeqCst);
    }

    /// Waits until the slot's thread is called or rung for, or its worker dies.
    pub(super) fn listen(&self, patience: &Patience, vitals: Option<&Receiver<()>>) -> Heard {
        let there =
            || (self.called.load(Ordering::Acquire) || !self.heard.is_empty()).then_some(());
        let mut died = false;
        match (patience.look(there), vitals) {
            // A call that is seen before its bell leaves the bell behind; it is heard in vain later.
            (Some(()), _) => drop(self.heard.try_recv()),
            (None, None) => drop(self.heard.recv()),
            (None, Some(vitals)) => select! {
                recv(self.heard) -> _ => {},
                recv(vitals) -> _ => died = true,
            },
        }
        match self.called.swap(false, Ordering::SeqCst) {
            true => Heard::Call,
            false if died => Heard::Death,
            false => Heard::Bell,
        }
    }
}
