//! The one thread that watches: it kills what is overdue, gives up what does not listen, and
//! replaces it.
//!
//! Jobs do not pass through it. A slot that launches a flight looks at one atomic number, the moment
//! of the supervisor's next round; only a deadline before that moment wakes it. Under a steady time
//! limit it therefore sleeps for whole time limits while any number of jobs go by.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::berth::Moored;
use super::flight::{Airborne, GRACE, Pilot, Sighting, Span, Task, Why};
use super::health::Counters;
use super::shared::{Incident, Shared};
use super::slot::Slot;
use super::ticket::Lost;
use crate::job::Death;

/// What the supervisor is told.
#[derive(Debug)]
pub(super) enum Event {
    /// A flight was launched whose deadline comes before the next round.
    Look,
    /// A slot's thread is done.
    SlotEnded,
    /// Everything is to end now.
    Kill,
}

/// A round without any flight: how long to sleep where no time limit says it.
const IDLE_ROUND: Duration = Duration::from_secs(60);

pub(super) struct Supervisor {
    pub(super) shared: Arc<Shared>,
    pub(super) queue: Receiver<Task>,
    pub(super) events: Receiver<Event>,
    pub(super) places: Vec<Place>,
}

/// Where a slot's thread is.
pub(super) struct Place {
    thread: Option<JoinHandle<()>>,
}

impl Place {
    /// Starts the thread of a slot.
    ///
    /// # Errors
    /// What the system says when it has no thread to give.
    pub(super) fn open(
        shared: &Arc<Shared>,
        queue: &Receiver<Task>,
        index: usize,
        carried: Option<Task>,
    ) -> std::io::Result<Self> {
        let slot = Slot::new(index, Arc::clone(shared), queue.clone());
        let thread = std::thread::Builder::new()
            .name(format!("cofferdam-slot-{}", index + 1))
            .stack_size(
                shared
                    .limits
                    .stack
                    .as_len()
                    .saturating_add(crate::worker::HOST_STACK),
            )
            .spawn(move || slot.serve(carried))?;
        Ok(Self {
            thread: Some(thread),
        })
    }
}

impl Supervisor {
    /// Watches until every slot has ended.
    pub(super) fn watch(mut self) {
        let mut open = self.places.len();
        while open > 0 {
            let next = self.round(&mut open);
            match self
                .events
                .recv_timeout(next.saturating_duration_since(Instant::now()))
            {
                Ok(Event::SlotEnded) => open -= 1,
                Ok(Event::Kill) => self.kill(),
                Ok(Event::Look) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    unreachable!("the supervisor holds a sender itself")
                }
            }
        }
        for place in &mut self.places {
            if let Some(thread) = place.thread.take() {
                // A slot's thread catches the panics of its workers; one of its own has no more to say.
                let _ = thread.join();
            }
        }
        // Nobody is left who would take up a batch; one that is handed in from now on is told so.
        let _ = self
            .shared
            .broken
            .set("the threads of the pool have ended".to_owned());
        if let Some(why) = self.shared.ended() {
            self.shared.end_loads(&why);
            self.answer_the_rest(&why);
        }
    }

    /// Answers whatever lies where no thread will find it any more: in the queue, which does not end while
    /// a thread that was given up still holds a reader of it, and in the cell of a slot whose thread ended
    /// with a flight in the air.
    fn answer_the_rest(&self, why: &Lost) {
        self.shared.end_queue(&self.queue, why);
        let flights = self.shared.berths.iter();
        for task in flights.filter_map(|berth| berth.flight.abandon()) {
            let lost = Err(why.clone());
            self.shared.answer(task, "".into(), Span::nothing(), lost);
        }
    }

    /// Looks at every flight, and says when to look again.
    fn round(&mut self, open: &mut usize) -> Instant {
        // From here on every launch with a deadline wakes us, until the next moment is known.
        self.shared.next_round.set(None);
        let now = Instant::now();
        let mut next = now + self.shared.limits.timeout.unwrap_or(IDLE_ROUND);
        for index in 0..self.places.len() {
            match self.shared.berths[index].flight.look(now) {
                Sighting::Fine(None) => {}
                Sighting::Fine(Some(due)) => next = next.min(due),
                Sighting::Overdue(airborne) => self.give_up(index, *airborne, open),
            }
        }
        self.shared.next_round.set(Some(next));
        next
    }

    /// Leaves a thread to itself, and gives its slot another worker.
    fn give_up(&mut self, index: usize, airborne: Airborne, open: &mut usize) {
        match airborne.pilot {
            Pilot::Slot => {
                Counters::add(&self.shared.counters.abandoned);
                let again = self.end_overdue(index, airborne);
                self.reopen(index, again, open);
            }
            // The caller's thread is his own affair, and the worker ends with his call. The slot's thread
            // is idle, and gets another one.
            Pilot::Caller => {
                Counters::add(&self.shared.counters.died);
                let again = self.end_overdue(index, airborne);
                let berth = &self.shared.berths[index];
                berth.moor(Moored::GivenUp(again));
                berth.call();
            }
        }
    }

    /// Answers an overdue job, or gives it back if it is to be run again.
    fn end_overdue(&self, index: usize, airborne: Airborne) -> Option<Task> {
        let Airborne {
            task,
            started,
            timeout,
            thrown,
            ..
        } = airborne;
        let label = self.shared.label_of(index);
        let span = Span::since(started);
        if let Some((Why::Cancelled, ..)) = thrown {
            self.shared.answer(task, label, span, Err(Lost::Cancelled));
            return None;
        }
        let death = Death::Hung {
            after: timeout.unwrap_or_default() + GRACE,
        };
        self.shared.tell(&Incident::Died {
            worker: &label,
            death: &death,
            job: Some(task.job.number()),
            last_words: "",
        });
        self.shared.retry_or_answer(task, label, span, death)
    }

    /// Opens a slot anew, whose thread owns its worker and ends by itself if it ever comes back.
    fn reopen(&mut self, index: usize, carried: Option<Task>, open: &mut usize) {
        self.places[index].thread = None;
        match Place::open(&self.shared, &self.queue, index, carried) {
            Ok(place) => self.places[index] = place,
            Err(_) => {
                // The task went with the closure that could not be started, and its promise with it.
                Counters::add(&self.shared.counters.quarantined);
                *open -= 1;
            }
        }
    }

    fn kill(&mut self) {
        self.shared.killed.store(true, Ordering::SeqCst);
        let now = Instant::now();
        for berth in &self.shared.berths {
            berth.flight.cancel(now);
        }
        self.shared.end_queue(&self.queue, &Lost::Cancelled);
        self.shared.end_loads(&Lost::Cancelled);
    }
}
