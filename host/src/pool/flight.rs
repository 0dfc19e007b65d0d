//! The job that a slot runs now, seen by the slot and by the supervisor.
//!
//! Whoever takes the flight out of its cell owns the job's promise. The slot takes it when the
//! worker returns; the supervisor takes it from a thread that does not. That is the whole of
//! "resolved exactly once".

use std::sync::{Mutex, PoisonError};
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

/// A task in a worker's hands.
pub(super) struct Airborne {
    pub(super) task: Task,
    pub(super) started: Instant,
    pub(super) timeout: Option<Duration>,
    switch: KillSwitch,
    pub(super) thrown: Option<(Why, Thrown, Instant)>,
}

/// Why a kill switch was thrown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Why {
    Deadline,
    Cancelled,
}

/// The cell of one slot thread.
#[derive(Default)]
pub(super) struct Flight(Mutex<Option<Airborne>>);

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
    pub(super) fn resolve(self, worker: &str, started: Instant, result: Result<Reply, Lost>) {
        self.promise.keep(Completion {
            job: self.job.number(),
            worker: worker.into(),
            result,
            attempts: self.attempts,
            queued: started.saturating_duration_since(self.submitted),
            wall: started.elapsed(),
        });
    }
}

impl Flight {
    fn cell(&self) -> std::sync::MutexGuard<'_, Option<Airborne>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a task into a worker's hands, and says when it will be overdue.
    pub(super) fn launch(
        &self,
        task: Task,
        switch: KillSwitch,
        timeout: Option<Duration>,
    ) -> Option<Instant> {
        switch.rearm();
        let started = Instant::now();
        *self.cell() = Some(Airborne {
            task,
            started,
            timeout,
            switch,
            thrown: None,
        });
        timeout.map(|timeout| started + timeout)
    }

    /// Takes the flight back from a worker that returned; `None` if the thread was given up.
    pub(super) fn land(&self) -> Option<Airborne> {
        self.cell().take()
    }

    /// Throws the kill switch if the deadline has passed, and gives up a thread that did not listen.
    pub(super) fn look(&self, now: Instant) -> Sighting {
        let mut cell = self.cell();
        let Some(airborne) = cell.as_mut() else {
            return Sighting::Fine(None);
        };
        match airborne.thrown {
            Some((_, Thrown::Killed { .. }, when)) if now < when + BURIAL => {
                Sighting::Fine(Some(when + BURIAL))
            }
            Some((_, thrown, when))
                if matches!(thrown, Thrown::Killed { .. }) || now >= when + GRACE =>
            {
                cell.take().map_or(Sighting::Fine(None), |airborne| {
                    Sighting::Overdue(Box::new(airborne))
                })
            }
            Some((.., when)) => {
                airborne.switch.throw();
                Sighting::Fine(Some((now + ASK_AGAIN).min(when + GRACE)))
            }
            None => match airborne.timeout.map(|timeout| airborne.started + timeout) {
                Some(due) if now >= due => {
                    airborne.throw(Why::Deadline, now);
                    Sighting::Fine(Some(now + ASK_AGAIN))
                }
                due => Sighting::Fine(due),
            },
        }
    }

    /// Ends the flight, whatever its deadline.
    pub(super) fn cancel(&self, now: Instant) {
        if let Some(airborne) = self.cell().as_mut()
            && airborne.thrown.is_none()
        {
            airborne.throw(Why::Cancelled, now);
        }
    }
}

impl Airborne {
    fn throw(&mut self, why: Why, now: Instant) {
        self.thrown = Some((why, self.switch.throw(), now));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
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

    fn in_the_air(
        timeout: Option<Duration>,
        thrown: Thrown,
    ) -> (Flight, Arc<AtomicUsize>, Instant) {
        let throws = Arc::new(AtomicUsize::new(0));
        let switch = KillSwitch::new(Counting(Arc::clone(&throws), thrown));
        let flight = Flight::default();
        let (promise, _ticket) = Promise::with_ticket(0);
        let submitted = Instant::now();
        flight.launch(
            Task {
                job: Job::new(""),
                promise,
                submitted,
                attempts: 1,
                missed: 0,
            },
            switch,
            timeout,
        );
        let started = flight.cell().as_ref().unwrap().started;
        (flight, throws, started)
    }

    #[test]
    fn before_the_deadline_nothing_happens_and_the_deadline_is_named() {
        let (flight, throws, started) = in_the_air(Some(SECOND), Thrown::Asked);
        let Sighting::Fine(next) = flight.look(started + SECOND / 2) else {
            panic!("overdue")
        };
        assert_eq!(next, Some(started + SECOND));
        assert_eq!(throws.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn at_the_deadline_a_process_is_killed_once() {
        let (flight, throws, started) =
            in_the_air(Some(SECOND), Thrown::Killed { was_stopped: false });
        for _ in 0..3 {
            flight.look(started + SECOND);
        }
        assert_eq!(throws.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_thread_is_asked_again_until_the_grace_is_over() {
        let (flight, throws, started) = in_the_air(Some(SECOND), Thrown::Asked);
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
        let (flight, _, started) = in_the_air(Some(SECOND), Thrown::Asked);
        flight.look(started + SECOND);
        assert!(matches!(
            flight.look(started + SECOND + GRACE),
            Sighting::Overdue(_)
        ));
        assert!(flight.land().is_none(), "the thread finds its flight gone");
    }

    #[test]
    fn a_killed_process_is_waited_for() {
        let (flight, _, started) = in_the_air(Some(SECOND), Thrown::Killed { was_stopped: false });
        flight.look(started + SECOND);
        assert!(matches!(
            flight.look(started + 5 * SECOND),
            Sighting::Fine(Some(_))
        ));
        assert!(flight.land().is_some());
    }

    #[test]
    fn a_slot_that_does_not_come_back_from_a_killed_process_is_given_up() {
        let (flight, _, started) = in_the_air(Some(SECOND), Thrown::Killed { was_stopped: false });
        flight.look(started + SECOND);
        let sighting = flight.look(started + SECOND + BURIAL);
        assert!(matches!(sighting, Sighting::Overdue(_)));
    }

    #[test]
    fn without_a_time_limit_nothing_is_ever_due() {
        let (flight, throws, started) = in_the_air(None, Thrown::Asked);
        assert!(matches!(
            flight.look(started + 1000 * SECOND),
            Sighting::Fine(None)
        ));
        assert_eq!(throws.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_cancelled_flight_is_cancelled_once() {
        let (flight, throws, started) = in_the_air(None, Thrown::Asked);
        flight.cancel(started);
        flight.cancel(started);
        assert_eq!(throws.load(Ordering::SeqCst), 1);
        assert!(matches!(
            flight.land().unwrap().thrown,
            Some((Why::Cancelled, Thrown::Asked, _))
        ));
    }
}
