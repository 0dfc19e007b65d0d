//! One slot: a thread that holds one worker and brings it one task after another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError, never, select};

use super::batch::Load;
use super::berth::{Crew, Heard, Landed, Moored};
use super::flight::{Airborne, Pilot, Span, Task, Why};
use super::health::Counters;
use super::pace::{Seat, hold_back};
use super::policy::{Next, StartRecord};
use super::shared::{Incident, Shared};
use super::supervisor::Event;
use super::ticket::Lost;
use crate::job::{Death, Outcome, Reply};
use crate::worker::Thrown;

/// A slot thread's view of the pool.
pub(super) struct Slot {
    index: usize,
    shared: Arc<Shared>,
    queue: Receiver<Task>,
    /// The batch that the last job came from.
    load: Option<Arc<Load>>,
    turn: Turn,
    /// Its place among those who work; none while it is idle.
    seat: Option<Seat>,
}

/// Where the next task is looked for first: neither may starve the other.
#[derive(Clone, Copy)]
enum Turn {
    Queue,
    Batches,
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
    Task(Crew, Task),
    /// A caller brought the worker back, with an ending that is to be judged.
    Landed(Crew, Box<Landed>),
    /// A caller who had the worker was given up; the task is to be run again, if one is given.
    GivenUp(Option<Task>),
    WorkerGone(Crew, Death),
    Finish,
}

/// What there is to do for a slot.
enum Work {
    Task(Task),
    Nothing,
    /// Nothing, and nothing will come.
    Over,
}

/// Whether the slot's thread goes on.
enum After {
    /// With the same worker.
    Keep,
    /// With a new worker; the task is to be run again, if one is given.
    Replace(Option<Task>),
    /// The same, since this one never said that it was ready. It had so long to.
    Stillborn(Option<Task>, Death, Duration),
    /// Not at all: the supervisor gave this thread up.
    Abandoned,
}

impl Slot {
    pub(super) fn new(index: usize, shared: Arc<Shared>, queue: Receiver<Task>) -> Self {
        Self {
            index,
            shared,
            queue,
            load: None,
            turn: Turn::Queue,
            seat: None,
        }
    }

    /// Serves until the queue is closed, the pool is stopped, or the thread was given up.
    pub(super) fn serve(mut self, carried: Option<Task>) {
        let mut farewell = Farewell(Some(self.shared.events.clone()));
        let mut carried = carried;
        let mut record = StartRecord::new(self.shared.restart);
        'worker: while let Some(mut crew) = self.start(&mut record, &mut carried) {
            loop {
                let told = match carried.take() {
                    Some(task) => Told::Task(crew, task),
                    None => self.wait(crew),
                };
                let (back, after) = match told {
                    Told::Task(mut crew, task) => {
                        let after = self.run(&mut crew, task);
                        (crew, after)
                    }
                    Told::Landed(crew, landed) => {
                        let after = self.judge(&crew, *landed);
                        (crew, after)
                    }
                    Told::GivenUp(again) => {
                        carried = again;
                        continue 'worker;
                    }
                    Told::WorkerGone(crew, death) => {
                        self.report_death(&crew, &death, None);
                        // One that dies before its first job might as well not have started.
                        if crew.served {
                            record.started();
                        } else if !self.set_back(&mut record, &death, Duration::ZERO, &mut carried)
                        {
                            break 'worker;
                        }
                        continue 'worker;
                    }
                    Told::Finish => break 'worker,
                };
                crew = back;
                match after {
                    After::Keep => {
                        crew.served = true;
                        record.started();
                        if !self.prepare(&mut crew) {
                            continue 'worker;
                        }
                    }
                    After::Replace(again) => {
                        carried = again;
                        continue 'worker;
                    }
                    // It might as well not have started.
                    After::Stillborn(again, death, took) => {
                        carried = again;
                        if !self.set_back(&mut record, &death, took, &mut carried) {
                            break 'worker;
                        }
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
    fn start(&mut self, record: &mut StartRecord, carried: &mut Option<Task>) -> Option<Crew> {
        self.shared.enter(self.index, None);
        // It may have been called to work that somebody else can do sooner.
        if self.work_waits() {
            self.shared.call_idle();
        }
        loop {
            if self.shared.killed.load(Ordering::SeqCst) {
                return None;
            }
            let began = Instant::now();
            let death = match self.shared.maker.make(self.index) {
                Ok(worker) => {
                    self.tell_detour();
                    Counters::add(&self.shared.counters.started);
                    let crew = Crew::new(worker, self.index);
                    self.shared.enter(self.index, Some(&crew));
                    return Some(crew);
                }
                Err(death) => death,
            };
            if !self.set_back(record, &death, began.elapsed(), carried) {
                return None;
            }
        }
    }

    fn tell_detour(&self) {
        let maker = &self.shared.maker;
        if let (Some(why), Some(to)) = (maker.detour(), maker.start_method()) {
            self.shared.tell(&Incident::FellBack { to, why: &why });
        }
    }

    /// Counts a start that failed after so long, and pauses before the next one; `false` when the slot is
    /// to end.
    fn set_back(
        &self,
        record: &mut StartRecord,
        death: &Death,
        took: Duration,
        carried: &mut Option<Task>,
    ) -> bool {
        if self.shared.killed.load(Ordering::SeqCst) {
            return false;
        }
        Counters::add(&self.shared.counters.failed_starts);
        // It may have been called to work that somebody else can do sooner.
        if self.work_waits() {
            self.shared.call_idle();
        }
        match record.failed(Instant::now(), took) {
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
            if closed && !carries && !self.work_waits() {
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
                let lost = Lost::Worker(death.clone());
                self.shared
                    .answer(task, "".into(), Span::nothing(), Err(lost));
            }
            if self.work_waits() {
                self.shared.call_idle();
            }
            return;
        }
        let why = format!("every worker failed to start, the last one so: {death}");
        let _ = self.shared.broken.set(why.clone());
        let lost = Lost::NoWorkers(why);
        self.shared.end_loads(&lost);
        for task in carried.into_iter().chain(self.queue.iter()) {
            self.shared
                .answer(task, "".into(), Span::nothing(), Err(lost.clone()));
        }
    }

    /// Waits for something to do.
    fn wait(&mut self, mut crew: Crew) -> Told {
        loop {
            // Before the queue is asked: a task must not be given to a worker that is known to be dead.
            if let Some(death) = crew.post_mortem() {
                return Told::WorkerGone(crew, death);
            }
            self.sit_down();
            match self.take() {
                Work::Task(task) => match self.shared.unless_expired(task) {
                    Some(task) => return Told::Task(crew, task),
                    None => continue,
                },
                Work::Over => return Told::Finish,
                Work::Nothing => {}
            }
            self.seat = None;
            match self.idle(crew) {
                Moored::Idle(back) => crew = back,
                Moored::Landed(crew, landed) => return Told::Landed(crew, landed),
                Moored::GivenUp(again) => return Told::GivenUp(again),
                Moored::Nothing => {
                    unreachable!("whoever gives a slot to its thread leaves it something")
                }
            }
        }
    }

    /// Leaves the worker in its berth until there is something to do, and takes what lies there then.
    /// Others may borrow the worker meanwhile.
    fn idle(&self, crew: Crew) -> Moored {
        let berth = &self.shared.berths[self.index];
        let claim = || self.shared.idle.claim(self.index);
        let mut vitals = crew.worker.vitals().cloned();
        berth.mourn(false);
        berth.moor(Moored::Idle(crew));
        self.shared.idle.enter(self.index);
        // Handed in before anybody could see that this slot is idle.
        if self.work_waits() && claim() {
            return berth.take();
        }
        loop {
            match berth.listen(&self.shared.idling, vitals.as_ref()) {
                Heard::Call => return berth.take(),
                Heard::Bell if claim() => return berth.take(),
                Heard::Bell => {}
                Heard::Death => {
                    berth.mourn(true);
                    if claim() {
                        return berth.take();
                    }
                    // Whoever has it notices too, and calls or rings.
                    vitals = None;
                }
            }
        }
    }

    /// Takes its place among those who work; where they have more than enough of them, not before they need help.
    fn sit_down(&mut self) {
        let pace = &self.shared.pace;
        if self.seat.is_some() {
            return;
        }
        let seen = || {
            let wanted_elsewhere =
                !self.queue.is_empty() || self.shared.killed.load(Ordering::SeqCst);
            (!wanted_elsewhere).then(|| self.shared.loads.progress())?
        };
        self.seat = pace.sit().or_else(|| {
            if let Some(progress) = seen() {
                hold_back(progress, |span| {
                    std::thread::sleep(span);
                    seen()
                });
            }
            Some(pace.squeeze_in())
        });
    }

    fn work_waits(&self) -> bool {
        !self.queue.is_empty() || self.shared.loads.wait()
    }

    /// Takes the next task, from the queue and from batches by turns.
    fn take(&mut self) -> Work {
        let mut over = false;
        for _ in 0..2 {
            let turn = self.turn;
            let task = match turn {
                Turn::Queue => {
                    let task = self.queue.try_recv();
                    over = matches!(task, Err(TryRecvError::Disconnected));
                    self.turn = Turn::Batches;
                    task.ok()
                }
                Turn::Batches => {
                    self.turn = Turn::Queue;
                    self.shared.loads.take(&mut self.load)
                }
            };
            if let Some(task) = task {
                return Work::Task(task);
            }
        }
        if over { Work::Over } else { Work::Nothing }
    }

    fn run(&mut self, crew: &mut Crew, task: Task) -> After {
        if self.shared.killed.load(Ordering::SeqCst) {
            self.shared.cancel(task);
            return After::Keep;
        }
        let started = Instant::now();
        match crew.fly(&self.shared, task, started, Pilot::Slot) {
            Some(landed) => self.judge(crew, landed),
            None => After::Abandoned,
        }
    }

    /// Lets the worker get ready for the next job, now that the last one is answered; `false` if it
    /// died of it.
    fn prepare(&self, crew: &mut Crew) -> bool {
        let death = crew.prepare();
        if let Some(death) = &death {
            self.report_death(crew, death, None);
        }
        death.is_none()
    }

    /// Tells what became of a flight.
    fn judge(&mut self, crew: &Crew, landed: Landed) -> After {
        let started = landed.airborne.started;
        // Killed since nobody wants its job any more: however far its start had come, it did not fail.
        let was_called_off = matches!(landed.airborne.thrown, Some((Why::Cancelled, ..)));
        match self.verdict(crew, landed) {
            After::Replace(again) if !was_called_off => match crew.stillbirth() {
                Some(death) => After::Stillborn(again, death, started.elapsed()),
                None => After::Replace(again),
            },
            after => after,
        }
    }

    /// The same, from what the worker says and from what was done to it.
    fn verdict(&mut self, crew: &Crew, landed: Landed) -> After {
        let Landed { airborne, result } = landed;
        let Airborne {
            task,
            started,
            timeout,
            thrown,
            ..
        } = airborne;
        let after = timeout.unwrap_or_default();
        let span = Span::since(started);
        let label = || Arc::clone(&crew.label);
        let answer = |task, result| self.shared.answer(task, label(), span, result);
        let death = match (result, thrown) {
            (_, Some((Why::Cancelled, thrown, _))) => {
                answer(task, Err(Lost::Cancelled));
                return match thrown {
                    Thrown::Killed { .. } => After::Replace(None),
                    Thrown::Asked => After::Keep,
                };
            }
            (Ok(reply), None | Some((Why::Deadline, Thrown::Asked, _))) => {
                self.shared.pace.note(span.ended - span.started);
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
            (Err(death), None) if crew.worker.missed_job() && task.missed < MAX_MISSED => {
                self.report_death(crew, &death, None);
                return After::Replace(Some(Task {
                    attempts: task.attempts - 1,
                    // One that was never ready has not read the job.
                    missed: task.missed + u32::from(crew.stillbirth().is_none()),
                    ..task
                }));
            }
            (Err(death), None | Some((Why::Deadline, Thrown::Asked, _))) => death,
        };
        self.report_death(crew, &death, Some(task.job.number()));
        After::Replace(self.shared.retry_or_answer(task, label(), span, death))
    }

    fn report_death(&self, crew: &Crew, death: &Death, job: Option<u64>) {
        Counters::add(&self.shared.counters.died);
        self.shared.enter(self.index, None);
        let last_words = crew.worker.last_words();
        self.shared.tell(&Incident::Died {
            worker: &crew.label,
            death,
            job,
            last_words: &last_words,
        });
    }
}
