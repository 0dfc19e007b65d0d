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

use super::flight::{Airborne, Flight, GRACE, Sighting, Task, Why};
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

/// Where a slot's thread is, and its flight.
pub(super) struct Place {
    flight: Arc<Flight>,
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
        let flight = Arc::<Flight>::default();
        let slot = Slot {
            index,
            shared: Arc::clone(shared),
            queue: queue.clone(),
            flight: Arc::clone(&flight),
        };
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
            flight,
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
    }

    /// Looks at every flight, and says when to look again.
    fn round(&mut self, open: &mut usize) -> Instant {
        // From here on every launch with a deadline wakes us, until the next moment is known.
        self.shared.next_round.set(None);
        let now = Instant::now();
        let mut next = now + self.shared.limits.timeout.unwrap_or(IDLE_ROUND);
        for index in 0..self.places.len() {
            match self.places[index].flight.look(now) {
                Sighting::Fine(None) => {}
                Sighting::Fine(Some(due)) => next = next.min(due),
                Sighting::Overdue(airborne) => self.give_up(index, *airborne, open),
            }
        }
        self.shared.next_round.set(Some(next));
        next
    }

    /// Leaves a thread to itself and opens its slot anew.
    fn give_up(&mut self, index: usize, airborne: Airborne, open: &mut usize) {
        let Airborne {
            task,
            started,
            timeout,
            thrown,
            ..
        } = airborne;
        Counters::add(&self.shared.counters.abandoned);
        let label = self.shared.label_of(index);
        let carried = match thrown {
            Some((Why::Cancelled, ..)) => {
                self.shared
                    .answer(task, &label, started, Err(Lost::Cancelled));
                None
            }
            _ => {
                let death = Death::Hung {
                    after: timeout.unwrap_or_default() + GRACE,
                };
                self.shared.tell(&Incident::Died {
                    worker: &label,
                    death: &death,
                    job: Some(task.job.number()),
                    last_words: "",
                });
                self.shared.retry_or_answer(task, &label, started, death)
            }
        };
        // The thread owns its worker, and ends by itself if it ever comes back.
        self.places[index].thread = None;
        match Place::open(&self.shared, &self.queue, index, carried) {
            Ok(place) => self.places[index] = place,
            Err(_) => {
                // The task went with the closure that could not be started, and its promise with it.
                self.places[index].flight = Arc::default();
                Counters::add(&self.shared.counters.quarantined);
                *open -= 1;
            }
        }
    }

    fn kill(&mut self) {
        self.shared.killed.store(true, Ordering::SeqCst);
        let now = Instant::now();
        for place in &self.places {
            place.flight.cancel(now);
        }
        for task in self.queue.try_iter() {
            self.shared.cancel(task);
        }
    }
}
