//! The job that a slot's worker runs now, seen by whoever drives the worker and by the supervisor.
//!
//! Whoever takes the flight out of its cell owns the job's promise. The driver takes it when the
//! worker returns; the supervisor takes it from a driver that does not. That is the whole of
//! "resolved exactly once".

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::ticket::{Completion, Lost, Promise};
use crate::job::{Job, Reply};
use crate::worker::{KillSwitch, Thrown};

/// A job on its way through the pool.
pub(super) struct Task {
    pub(super) job: Job,
    pub(super) promise: Promise,
    pub(super) submitted: Instant,
    pub(super) attempts: u32,
    /// How often its worker turned out to be dead before the job reached it.
    pub(super) missed: u32,
}

/// From when to when a worker had a task. Read once, since a look at the clock costs as much as handing over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) started: Instant,
    pub(super) ended: Instant,
}

impl Span {
    pub(super) fn since(started: Instant) -> Self {
        Self {
            started,
            ended: Instant::now(),
        }
    }

    /// Of a task that no worker took up.
    pub(super) fn nothing() -> Self {
        let now = Instant::now();
        Self {
            started: now,
            ended: now,
        }
    }
}

/// A task in a worker's hands.
pub(super) struct Airborne {
    pub(super) task: Task,
    pub(super) started: Instant,
    pub(super) timeout: Option<Duration>,
    pub(super) pilot: Pilot,
    switch: KillSwitch,
    pub(super) thrown: Option<(Why, Thrown, Instant)>,
}

/// Whose thread drives the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pilot {
    /// The slot's own.
    Slot,
    /// That of a caller who borrowed the worker.
    Caller,
}

/// Why a kill switch was thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Deadline,
    Cancelled,
}

/// The cell of one slot.
#[derive(Default)]
pub(super) struct Flight(Mutex<Cell>);

#[derive(Default)]
struct Cell {
    /// The launches so far: a driver that was given up must not take the flight of its successor.
    launches: u64,
    airborne: Option<Airborne>,
}

/// One launch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Leg {
    launch: u64,
    /// When it will be overdue.
    pub(super) due: Option<Instant>,
}

/// What the supervisor found when it looked at a flight.
pub(super) enum Sighting {
    /// Nothing is due before this moment (`None`: nothing at all).
    Fine(Option<Instant>),
    /// It was asked to end and did not: here it is, taken from its thread.
    Overdue(Box<Airborne>),
}

/// How long a thread may take from being asked to end until it is given up. A guest that computes
/// hears at its next loop; what takes longer is host code, or one huge `memory.copy`.
pub(super) const GRACE: Duration = Duration::from_millis(250);

/// How long a slot may take to come back after its worker's process was killed. Longer than the
/// kernel takes for anything: what is left is a handler of the host's that blocks.
const BURIAL: Duration = Duration::from_secs(10);

/// How long until a thread that was asked to end is asked again. A guest that looks at its flag
/// while another one is being stopped may go on for one more epoch; the next request reaches it.
const ASK_AGAIN: Duration = Duration::from_millis(10);

impl Task {
    pub(super) fn new(job: Job, promise: Promise, submitted: Instant) -> Self {
        Self {
            job,
            promise,
            submitted,
            attempts: 0,
            missed: 0,
        }
    }

    /// Keeps the promise.
    pub(super) fn resolve(self, worker: Arc<str>, span: Span, result: Result<Reply, Lost>) {
        let (promise, completion) = self.split(worker, span, result);
        promise.keep(completion);
    }

    /// The completion alone, where whoever was promised it is here himself.
    pub(super) fn end(
        self,
        worker: Arc<str>,
        span: Span,
        result: Result<Reply, Lost>,
    ) -> Completion {
        let (promise, completion) = self.split(worker, span, result);
        promise.release();
        completion
    }

    fn split(
        self,
        worker: Arc<str>,
        span: Span,
        result: Result<Reply, Lost>,
    ) -> (Promise, Completion) {
        let completion = Completion {
            job: self.job.number(),
            worker,
            result,
            attempts: self.attempts,
            queued: span.started.saturating_duration_since(self.submitted),
            wall: span.ended.saturating_duration_since(span.started),
        };
        (self.promise, completion)
    }
}

impl Flight {
    fn cell(&self) -> MutexGuard<'_, Cell> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a task into a worker's hands.
    pub(super) fn launch(
        &self,
        task: Task,
        switch: KillSwitch,
        started: Instant,
        timeout: Option<Duration>,
        pilot: Pilot,
    ) -> Leg {
        switch.rearm();
        let mut cell = self.cell();
        cell.launches += 1;
        cell.airborne = Some(Airborne {
            task,
            started,
            timeout,
            pilot,
            switch,
            thrown: None,
        });
        Leg {
            launch: cell.launches,
            due: timeout.map(|timeout| started + timeout),
        }
    }

    /// Takes the flight back from a worker that returned; `None` if whoever drove it was given up.
    pub(super) fn land(&self, leg: Leg) -> Option<Airborne> {
        let mut cell = self.cell();
        if cell.launches == leg.launch {
            cell.airborne.take()
        } else {
            None
        }
    }

    /// Throws the kill switch if the deadline has passed, and gives up a thread that did not listen.
    pub(super) fn look(&self, now: Instant) -> Sighting {
        let mut cell = self.cell();
        let Some(airborne) = cell.airborne.as_mut() else {
            return Sighting::Fine(None);
        };
        match airborne.thrown {
            Some((_, Thrown::Killed { .. }, when)) if now < when + BURIAL => {
                Sighting::Fine(Some(when + BURIAL))
            }
            Some((_, thrown, when))
                if matches!(thrown, Thrown::Killed { .. }) || now >= when + GRACE =>
            {
                cell.airborne
                    .take()
                    .map_or(Sighting::Fine(None), |airborne| {
                        Sighting::Overdue(Box::new(airborne))
                    })
            }
            Some((.., when)) => {
                airborne.switch.throw();
                Sighting::Fine(Some((now + ASK_AGAIN).min(when + GRACE)))
            }
            None => match airborne.due(now) {
                Some(due) if now >= due => {
                    airborne.throw(Why::Deadline, now);
                    Sighting::Fine(Some(now + ASK_AGAIN))
                }
                due => Sighting::Fine(due),
            },
        }
    }

    /// Takes the task of a flight that nobody will land.
    pub(super) fn abandon(&self) -> Option<Task> {
        self.cell().airborne.take().map(|airborne| airborne.task)
    }

    /// Ends the flight, whatever its deadline.
    pub(super) fn cancel(&self, now: Instant) {
        if let Some(airborne) = self.cell().airborne.as_mut()
            && airborne.thrown.is_none()
        {
            airborne.throw(Why::Cancelled, now);
        }
    }
}

impl Airborne {
    /// When it will be overdue. A worker that is still starting has not begun: there is nothing to be late
    /// with, and it is looked at again soon. That starts end is the worker's own affair.
    fn due(&self, now: Instant) -> Option<Instant> {
        let timeout = self.timeout?;
        let earliest = self.started + timeout;
        if now < earliest {
            return Some(earliest);
        }
        match self.switch.had_since(self.started) {
            Some(since) => Some(since + timeout),
            None => Some(now + ASK_AGAIN.min(timeout)),
        }
    }

    fn throw(&mut self, why: Why, now: Instant) {
        self.thrown = Some((why, self.switch.throw(), now));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::options::WaitPolicy;
    use crate::wait::Patience;
    use crate::worker::Kill;

    struct Counting(Arc<AtomicUsize>, Thrown);

    impl Kill for Counting {
        fn rearm(&self) {}
        fn throw(&self) -> Thrown {
            self.0.fetch_add(1, Ordering::SeqCst);
            self.1
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn in_the_air(timeout: Option<Duration>, thrown: Thrown) -> (Flight, Arc<AtomicUsize>, Leg) {
        let throws = Arc::new(AtomicUsize::new(0));
        let switch = KillSwitch::new(Counting(Arc::clone(&throws), thrown));
        let flight = Flight::default();
        let leg = launch(&flight, switch, timeout);
        (flight, throws, leg)
    }

    fn launch(flight: &Flight, switch: KillSwitch, timeout: Option<Duration>) -> Leg {
        let patience = Arc::new(Patience::new(WaitPolicy::Park, 1));
        let (promise, _ticket) = Promise::with_ticket(0, &patience);
        let started = Instant::now();
        let task = Task::new(Job::new(""), promise, started);
        flight.launch(task, switch, started, timeout, Pilot::Slot)
    }

    fn started(flight: &Flight) -> Instant {
        flight.cell().airborne.as_ref().unwrap().started
    }

    #[test]
    fn before_the_deadline_nothing_happens_and_the_deadline_is_named() {
        let (flight, throws, _) = in_the_air(Some(SECOND), Thrown::Asked);
        let started = started(&flight);
        let Sighting::Fine(next) = flight.look(started + SECOND / 2) else {
            panic!("overdue")
        };
        assert_eq!(next, Some(started + SECOND));
        assert_eq!(throws.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn at_the_deadline_a_process_is_killed_once() {
        let (flight, throws, _) = in_the_air(Some(SECOND), Thrown::Killed { was_stopped: false });
        let started = started(&flight);
        for _ in 0..3 {
            flight.look(started + SECOND);
        }
        assert_eq!(throws.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_thread_is_asked_again_until_the_grace_is_over() {
        let (flight, throws, _) = in_the_air(Some(SECOND), Thrown::Asked);
        let started = started(&flight);
        let mut now = started + SECOND;
        let mut looks = 0;
        while let Sighting::Fine(next) = flight.look(now) {
            let next = next.unwrap();
            assert!(now < next && next <= started + SECOND + GRACE);
            now = next;
            looks += 1;
        }
        assert_eq!(now, started + SECOND + GRACE);
        assert_eq!(looks, 25);
        assert_eq!(throws.load(Ordering::SeqCst), looks);
    }

    #[test]
    fn a_thread_that_does_not_listen_is_given_up_after_the_grace() {
        let (flight, _, leg) = in_the_air(Some(SECOND), Thrown::Asked);
        let started = started(&flight);
        flight.look(started + SECOND);
        assert!(matches!(
            flight.look(started + SECOND + GRACE),
            Sighting::Overdue(_)
        ));
        assert!(
            flight.land(leg).is_none(),
            "the thread finds its flight gone"
        );
    }

    #[test]
    fn a_killed_process_is_waited_for() {
        let (flight, _, leg) = in_the_air(Some(SECOND), Thrown::Killed { was_stopped: false });
        let started = started(&flight);
        flight.look(started + SECOND);
        assert!(matches!(
            flight.look(started + 5 * SECOND),
            Sighting::Fine(Some(_))
        ));
        assert!(flight.land(leg).is_some());
    }

    #[test]
    fn a_slot_that_does_not_come_back_from_a_killed_process_is_given_up() {
        let (flight, _, _) = in_the_air(Some(SECOND), Thrown::Killed { was_stopped: false });
        let started = started(&flight);
        flight.look(started + SECOND);
        let sighting = flight.look(started + SECOND + BURIAL);
        assert!(matches!(sighting, Sighting::Overdue(_)));
    }

    #[test]
    fn without_a_time_limit_nothing_is_ever_due() {
        let (flight, throws, _) = in_the_air(None, Thrown::Asked);
        let started = started(&flight);
        assert!(matches!(
            flight.look(started + 1000 * SECOND),
            Sighting::Fine(None)
        ));
        assert_eq!(throws.load(Ordering::SeqCst), 0);
    }

    /// Of a worker that is ready when somebody says so.
    struct Starting(Arc<std::sync::OnceLock<Instant>>);

    impl Kill for Starting {
        fn rearm(&self) {}
        fn throw(&self) -> Thrown {
            Thrown::Killed { was_stopped: false }
        }
        fn had_since(&self, handed: Instant) -> Option<Instant> {
            self.0.get().map(|&ready| ready.max(handed))
        }
    }

    #[test]
    fn the_time_in_which_a_worker_starts_is_not_the_jobs() {
        let ready = Arc::default();
        let flight = Flight::default();
        let switch = KillSwitch::new(Starting(Arc::clone(&ready)));
        launch(&flight, switch, Some(SECOND));
        let started = started(&flight);
        let is_over = || flight.cell().airborne.as_ref().unwrap().thrown.is_some();
        let due_at = |now| match flight.look(now) {
            Sighting::Fine(due) => due.unwrap(),
            Sighting::Overdue(_) => panic!("overdue"),
        };
        assert_eq!(due_at(started), started + SECOND);
        assert_eq!(
            due_at(started + 3 * SECOND),
            started + 3 * SECOND + ASK_AGAIN
        );
        ready.set(started + 4 * SECOND).unwrap();
        assert_eq!(due_at(started + 4 * SECOND), started + 5 * SECOND);
        assert!(!is_over());
        due_at(started + 5 * SECOND);
        assert!(is_over());
    }

    #[test]
    fn a_cancelled_flight_is_cancelled_once() {
        let (flight, throws, leg) = in_the_air(None, Thrown::Asked);
        let started = started(&flight);
        flight.cancel(started);
        flight.cancel(started);
        assert_eq!(throws.load(Ordering::SeqCst), 1);
        assert!(matches!(
            flight.land(leg).unwrap().thrown,
            Some((Why::Cancelled, Thrown::Asked, _))
        ));
    }

    #[test]
    fn a_driver_that_was_given_up_does_not_land_the_flight_of_its_successor() {
        let (flight, _, stale) = in_the_air(Some(SECOND), Thrown::Asked);
        let started = started(&flight);
        flight.look(started + SECOND);
        flight.look(started + SECOND + GRACE);
        let switch = KillSwitch::new(Counting(Arc::default(), Thrown::Asked));
        let leg = launch(&flight, switch, None);
        assert!(flight.land(stale).is_none());
        assert!(flight.land(leg).is_some());
    }
}
