//! One slot: a thread that holds one worker and brings it one task after another.

use std::panic::{self, AssertUnwindSafe};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, never, select};

use super::flight::{Airborne, Flight, Task, Why};
use super::health::Counters;
use super::policy::{Next, StartRecord};
use super::shared::{Incident, Shared};
use super::supervisor::Event;
use super::ticket::Lost;
use crate::job::{Death, Outcome, Reply};
use crate::worker::{Thrown, Worker, panic_message};

/// A slot thread's view of the pool.
pub(super) struct Slot {
    pub(super) index: usize,
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Receiver<Task>,
    pub(super) flight: Arc<Flight>,
}

/// How often a task is handed on because its worker turned out to be dead before the job reached it.
/// More than once means that something ends workers as fast as they come; an input that no worker
/// survives reading must not be tried for ever.
const MAX_MISSED: u32 = 3;

/// How often a slot in its pause looks whether others have emptied the queue of a closed pool.
const GLANCE: Duration = Duration::from_millis(10);

/// Tells the supervisor that a slot's thread ends, however it ends: it would wait for ever.
struct Farewell(Option<Sender<Event>>);

impl Drop for Farewell {
    fn drop(&mut self) {
        if let Some(events) = &self.0 {
            let _ = events.send(Event::SlotEnded);
        }
    }
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
        let mut farewell = Farewell(Some(self.shared.events.clone()));
        let mut carried = carried;
        let mut record = StartRecord::new(self.shared.restart);
        'worker: while let Some(mut worker) = self.start(&mut record, &mut carried) {
            let mut served = false;
            loop {
                let told = carried
                    .take()
                    .map_or_else(|| self.wait(&*worker), Told::Task);
                let task = match told {
                    Told::Task(task) => task,
                    Told::WorkerGone(death) => {
                        self.report_death(&*worker, &death, None);
                        // One that dies before its first job might as well not have started.
                        if !served && !self.set_back(&mut record, &death, &mut carried) {
                            break 'worker;
                        }
                        continue 'worker;
                    }
                    Told::Finish => break 'worker,
                };
                match self.run(&mut *worker, task) {
                    After::Keep => {
                        served = true;
                        record.started();
                    }
                    After::Replace(again) => {
                        carried = again;
                        continue 'worker;
                    }
                    // The flight belongs to the supervisor, and so does the slot's place.
                    After::Abandoned => {
                        farewell.0 = None;
                        return;
                    }
                }
            }
        }
        if let Some(task) = carried {
            self.shared.cancel(task);
        }
    }

    /// Starts a worker; `None` when the slot is to end.
    fn start(
        &self,
        record: &mut StartRecord,
        carried: &mut Option<Task>,
    ) -> Option<Box<dyn Worker>> {
        self.shared.enter(self.index, None);
        loop {
            if self.shared.killed.load(Ordering::SeqCst) {
                return None;
            }
            let death = match self.shared.maker.make(self.index) {
                Ok(worker) => {
                    Counters::add(&self.shared.counters.started);
                    self.shared.enter(self.index, Some(&*worker));
                    return Some(worker);
                }
                Err(death) => death,
            };
            if !self.set_back(record, &death, carried) {
                return None;
            }
        }
    }

    /// Counts a failed start, and pauses before the next one; `false` when the slot is to end.
    fn set_back(
        &self,
        record: &mut StartRecord,
        death: &Death,
        carried: &mut Option<Task>,
    ) -> bool {
        Counters::add(&self.shared.counters.failed_starts);
        match record.failed(Instant::now()) {
            Next::TryAgainAfter(pause) => {
                self.shared.tell(&Incident::StartFailed {
                    slot: self.index,
                    death,
                    pause,
                });
                self.pause(pause, carried.is_some())
            }
            Next::Quarantine => {
                self.close(death, carried.take());
                false
            }
        }
    }

    /// Waits before the next start. `false` when there is nothing left to start for: the pool is
    /// stopped, or closed and its queue empty.
    fn pause(&self, pause: Duration, carries: bool) -> bool {
        let until = Instant::now() + pause;
        let nothing = never();
        let mut closed = false;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let (closing, step) = match closed {
                false => (&self.shared.draining, left),
                true => (&nothing, left.min(GLANCE)),
            };
            select! {
                recv(self.shared.stopping) -> _ => return false,
                recv(closing) -> _ => closed = true,
                default(step) => if step == left { return true },
            }
            if closed && !carries && self.queue.is_empty() {
                return false;
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
            self.shared.cancel(task);
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
            (Err(death), None) if worker.missed_job() && task.missed < MAX_MISSED => {
                self.report_death(worker, &death, None);
                return After::Replace(Some(Task {
                    attempts: task.attempts - 1,
                    missed: task.missed + 1,
                    ..task
                }));
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
