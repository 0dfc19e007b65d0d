//! One slot: a thread that holds one worker and brings it one task after another.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crossbeam_channel::{Receiver, RecvTimeoutError, select};

use super::flight::{Airborne, Flight, Task, Why};
use super::health::Counters;
use super::policy::{Next, StartRecord};
use super::supervisor::Event;
use super::ticket::Lost;
use super::{Incident, Shared};
use crate::job::{Death, Outcome, Reply};
use crate::worker::{Thrown, Worker, panic_message};

/// A slot thread's view of the pool.
pub(super) struct Slot {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Receiver<Task>,
    pub(super) flight: Arc<Flight>,
}

/// What a slot thread is told while it waits.
enum Told {
    Task(Task),
    WorkerGone(Death),
    Finish,
}

/// Whether the slot's thread goes on.
enum After {
    /// With the same worker.
    Keep,
    /// With a new worker; the task is to be run again, if one is given.
    Replace(Option<Task>),
    /// Not at all: the supervisor gave this thread up.
    Abandoned,
}

impl Slot {
    /// Serves until the queue is closed, the pool is stopped, or the thread was given up.
    pub(super) fn serve(self, carried: Option<Task>) {
        let mut carried = carried;
        let mut record = StartRecord::new(self.shared.restart);
        'worker: while let Some(mut worker) = self.start(&mut record, &mut carried) {
            loop {
                let told = carried
                    .take()
                    .map_or_else(|| self.wait(&*worker), Told::Task);
                let task = match told {
                    Told::Task(task) => task,
                    Told::WorkerGone(death) => {
                        self.report_death(&*worker, &death, None);
                        continue 'worker;
                    }
                    Told::Finish => break 'worker,
                };
                match self.run(&mut *worker, task) {
                    After::Keep => {}
                    After::Replace(again) => {
                        carried = again;
                        continue 'worker;
                    }
                    // The flight belongs to the supervisor, and so does the slot's place.
                    After::Abandoned => return,
                }
            }
        }
        let _ = self.shared.events.send(Event::SlotEnded);
    }

    /// Starts a worker; `None` when the slot is to end.
    fn start(
        &self,
        record: &mut StartRecord,
        carried: &mut Option<Task>,
    ) -> Option<Box<dyn Worker>> {
        loop {
            if self.shared.killed.load(Ordering::SeqCst) {
                return None;
            }
            let death = match self.shared.maker.make(self.index) {
                Ok(worker) => {
                    record.started();
                    Counters::add(&self.shared.counters.started);
                    self.shared.enter(self.index, Some(&*worker));
                    return Some(worker);
                }
                Err(death) => death,
            };
            Counters::add(&self.shared.counters.failed_starts);
            match record.failed(Instant::now()) {
                Next::TryAgainAfter(pause) => {
                    self.shared.tell(&Incident::StartFailed {
                        slot: self.index,
                        death: &death,
                        pause,
                    });
                    // The pool's end interrupts the pause by hanging up.
                    if self.shared.stopping.recv_timeout(pause) != Err(RecvTimeoutError::Timeout) {
                        return None;
                    }
                }
                Next::Quarantine => {
                    self.close(&death, carried.take());
                    return None;
                }
            }
        }
    }

    /// Closes the slot for good. The last slot to close answers what is left in the queue.
    fn close(&self, death: &Death, carried: Option<Task>) {
        Counters::add(&self.shared.counters.quarantined);
        self.shared.tell(&Incident::Quarantined {
            slot: self.index,
            death,
        });
        let last = self.shared.open_slots.fetch_sub(1, Ordering::SeqCst) == 1;
        if !last {
            if let Some(task) = carried {
                self.shared
                    .answer(task, "", Instant::now(), Err(Lost::Worker(death.clone())));
            }
            return;
        }
        let why = format!("every worker failed to start, the last one so: {death}");
        let _ = self.shared.broken.set(why.clone());
        for task in carried.into_iter().chain(self.queue.iter()) {
            self.shared
                .answer(task, "", Instant::now(), Err(Lost::NoWorkers(why.clone())));
        }
    }

    fn wait(&self, worker: &dyn Worker) -> Told {
        let Some(vitals) = worker.vitals() else {
            return self.queue.recv().map_or(Told::Finish, Told::Task);
        };
        // Before the queue is asked: a task must not be given to a worker that is known to be dead.
        let gone = || worker.post_mortem().map(Told::WorkerGone);
        if let Some(told) = gone() {
            return told;
        }
        select! {
            recv(self.queue) -> task => task.map_or(Told::Finish, Told::Task),
            // The vitals end after the post-mortem is written.
            recv(vitals) -> _ => gone().unwrap_or(Told::Finish),
        }
    }

    fn run(&self, worker: &mut dyn Worker, mut task: Task) -> After {
        if self.shared.killed.load(Ordering::SeqCst) {
            task.refuse(Lost::Cancelled);
            return After::Keep;
        }
        task.attempts += 1;
        let job = task.job.signed(worker.label());
        let timeout = job.own_timeout().or(self.shared.limits.timeout);
        let due = self.flight.launch(task, worker.kill_switch(), timeout);
        self.shared.expect(due);
        // Stopped between the look at `killed` above and the launch: the supervisor saw no flight.
        if self.shared.killed.load(Ordering::SeqCst) {
            self.flight.cancel(Instant::now());
        }
        let returned = panic::catch_unwind(AssertUnwindSafe(|| worker.run(&job)));
        drop(job);
        let Some(airborne) = self.flight.land() else {
            return After::Abandoned;
        };
        let result =
            returned.unwrap_or_else(|payload| Err(Death::Panicked(panic_message(&*payload))));
        self.judge(worker, airborne, result)
    }

    /// Tells what became of a flight, from what the worker says and from what was done to it.
    fn judge(
        &self,
        worker: &dyn Worker,
        airborne: Airborne,
        result: Result<Reply, Death>,
    ) -> After {
        let Airborne {
            task,
            started,
            timeout,
            thrown,
            ..
        } = airborne;
        let after = timeout.unwrap_or_default();
        let answer = |task, result| self.shared.answer(task, worker.label(), started, result);
        let death = match (result, thrown) {
            (_, Some((Why::Cancelled, thrown, _))) => {
                answer(task, Err(Lost::Cancelled));
                return match thrown {
                    Thrown::Killed { .. } => After::Replace(None),
                    Thrown::Asked => After::Keep,
                };
            }
            (Ok(reply), None | Some((Why::Deadline, Thrown::Asked, _))) => {
                answer(task, Ok(reply));
                return After::Keep;
            }
            // The reply was already on its way when the switch was thrown.
            (Ok(reply), Some((Why::Deadline, Thrown::Killed { .. }, _))) => {
                Counters::add(&self.shared.counters.died);
                answer(task, Ok(reply));
                return After::Replace(None);
            }
            (Err(_), Some((Why::Deadline, Thrown::Killed { was_stopped: false }, _))) => {
                Counters::add(&self.shared.counters.died);
                answer(task, Ok(Reply::without_output(Outcome::Deadline)));
                return After::Replace(None);
            }
            (Err(_), Some((Why::Deadline, Thrown::Killed { was_stopped: true }, _))) => {
                Death::Hung { after }
            }
            (Err(death), None | Some((Why::Deadline, Thrown::Asked, _))) => death,
        };
        self.report_death(worker, &death, Some(task.job.number()));
        After::Replace(
            self.shared
                .retry_or_answer(task, worker.label(), started, death),
        )
    }

    fn report_death(&self, worker: &dyn Worker, death: &Death, job: Option<u64>) {
        Counters::add(&self.shared.counters.died);
        self.shared.enter(self.index, None);
        let last_words = worker.last_words();
        self.shared.tell(&Incident::Died {
            worker: worker.label(),
            death,
            job,
            last_words: &last_words,
        });
    }
}
