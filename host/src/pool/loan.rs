//! A worker in the hands of a caller, who waits for the one job that it runs.
//!
//! Where a worker may be driven by any thread, the caller is the best one: nobody has to be woken, and the
//! reply needs no way back. The supervisor sees the flight as any other. What is not the plain good end is
//! left to the slot's own thread, which judges and replaces as it does for jobs from the queue.

use std::sync::Arc;
use std::time::Instant;

use crossbeam_channel::TryRecvError;

use super::berth::{Crew, Landed, Moored};
use super::flight::{Airborne, Pilot, Span, Task};
use super::health::Counters;
use super::shared::Shared;
use super::ticket::Completion;
use crate::job::Job;

/// A borrowed worker. Only [`Loan::run`] brings it back.
pub(super) struct Loan<'p> {
    shared: &'p Shared,
    crew: Crew,
}

impl<'p> Loan<'p> {
    /// Borrows an idle worker that is alive, if there is one.
    pub(super) fn of(shared: &'p Shared) -> Option<Self> {
        if !shared.maker.lends() {
            return None;
        }
        loop {
            let slot = shared.idle.claim_any()?;
            let berth = &shared.berths[slot];
            match berth.take() {
                Moored::Idle(crew) if !is_dead(&crew) => return Some(Self { shared, crew }),
                // A corpse, or what is not for us: its own thread knows what to do.
                other => {
                    berth.moor(other);
                    berth.call();
                }
            }
        }
    }

    /// Runs a job and gives the worker back. `work_waits` says whether somebody wants it more.
    pub(super) fn run(self, job: Job, work_waits: impl FnOnce() -> bool) -> Completion {
        let Self { shared, mut crew } = self;
        let berth = &shared.berths[crew.slot];
        let started = Instant::now();
        let (promise, ticket) = crew.promise(job.number(), &shared.waiting);
        let task = Task::new(job, promise, started);
        let Some(landed) = crew.fly(shared, task, started, Pilot::Caller) else {
            // Given up: the slot has another worker by now. This one goes, and the ticket resolves.
            drop(crew);
            return ticket.wait();
        };
        match landed {
            Landed {
                airborne: Airborne {
                    task, thrown: None, ..
                },
                result: Ok(reply),
            } => {
                let ended = Instant::now();
                let label = Arc::clone(&crew.label);
                let slot = crew.slot;
                crew.served = true;
                berth.moor(Moored::Idle(crew));
                shared.idle.enter(slot);
                if berth.mourns() {
                    berth.ring();
                }
                if work_waits() {
                    shared.call_idle();
                }
                Counters::add(&shared.counters.answered);
                task.end(label, Span { started, ended }, Ok(reply))
            }
            landed => {
                crew.leave_desk();
                berth.moor(Moored::Landed(crew, Box::new(landed)));
                berth.call();
                ticket.wait()
            }
        }
    }
}

fn is_dead(crew: &Crew) -> bool {
    let vitals = crew.worker.vitals();
    vitals.is_some_and(|vitals| vitals.try_recv() == Err(TryRecvError::Disconnected))
}
