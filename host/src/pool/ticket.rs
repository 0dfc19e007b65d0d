//! The promise that every job gets exactly one answer.
//!
//! A [`Promise`] travels with the job and is consumed when it is kept. One that is dropped unkept,
//! by whatever mishap, keeps itself with [`Lost::Cancelled`]: a ticket always resolves.

use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::job::{Death, LONGEST, Reply};

/// How a job's stay in the pool ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The job's place in the order of submission, from 0.
    pub job: u64,
    /// The label of the worker that ran it last; empty if none did.
    pub worker: Arc<str>,
    /// The reply, or why there is none.
    pub result: Result<Reply, Lost>,
    /// How often a worker took the job up.
    pub attempts: u32,
    /// From submission until a worker took it up for the last time.
    pub queued: Duration,
    /// From then until its end.
    pub wall: Duration,
}

/// Why a job has no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Lost {
    /// Its worker died, and no retry was left.
    #[error("{0}")]
    Worker(Death),
    /// The pool was told to stop before the job was done.
    #[error("cancelled: the pool was stopped")]
    Cancelled,
    /// No worker could be started any more.
    #[error("no worker is left: {0}")]
    NoWorkers(String),
}

/// Claims the answer to one job. Dropping it does not cancel the job.
#[derive(Debug)]
pub struct Ticket(Arc<Desk>);

/// Keeps the answer until it is fetched.
#[derive(Debug, Default)]
struct Desk {
    answer: Mutex<Option<Completion>>,
    ready: Condvar,
}

impl Ticket {
    /// Waits for the job's end.
    #[must_use]
    pub fn wait(self) -> Completion {
        let mut answer = self.0.answer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match answer.take() {
                Some(completion) => return completion,
                None => {
                    answer = self
                        .0
                        .ready
                        .wait(answer)
                        .unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }

    /// Waits for the job's end, but not longer than `patience`.
    ///
    /// # Errors
    /// The ticket itself, if the job has not ended by then.
    pub fn wait_for(self, patience: Duration) -> Result<Completion, Self> {
        let until = Instant::now() + patience.min(LONGEST);
        let mut answer = self.0.answer.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(completion) = answer.take() {
                return Ok(completion);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(answer);
                return Err(self);
            }
            let waited = self.0.ready.wait_timeout(answer, left);
            answer = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// To be kept exactly once.
pub(super) struct Promise {
    job: u64,
    to: Option<To>,
}

enum To {
    Ticket(Arc<Desk>),
    Call(Box<dyn FnOnce(Completion) + Send>),
}

impl Promise {
    pub(super) fn with_ticket(job: u64) -> (Self, Ticket) {
        let desk = Arc::new(Desk::default());
        (
            Self {
                job,
                to: Some(To::Ticket(Arc::clone(&desk))),
            },
            Ticket(desk),
        )
    }

    pub(super) fn with_call(job: u64, call: impl FnOnce(Completion) + Send + 'static) -> Self {
        Self {
            job,
            to: Some(To::Call(Box::new(call))),
        }
    }

    pub(super) fn keep(mut self, completion: Completion) {
        self.deliver(completion);
    }

    fn deliver(&mut self, completion: Completion) {
        match self.to.take() {
            None => {}
            Some(To::Ticket(desk)) => {
                *desk.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(completion);
                desk.ready.notify_one();
            }
            // It is told; what it makes of that is its own affair, and must not end our thread.
            Some(To::Call(call)) => {
                drop(panic::catch_unwind(AssertUnwindSafe(|| call(completion))));
            }
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if self.to.is_some() {
            self.deliver(Completion {
                job: self.job,
                worker: "".into(),
                result: Err(Lost::Cancelled),
                attempts: 0,
                queued: Duration::ZERO,
                wall: Duration::ZERO,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_that_is_dropped_resolves_its_ticket() {
        let (promise, ticket) = Promise::with_ticket(3);
        drop(promise);
        let completion = ticket.wait();
        assert_eq!(
            (completion.job, completion.result),
            (3, Err(Lost::Cancelled))
        );
    }

    #[test]
    fn a_kept_promise_is_not_answered_a_second_time_when_it_goes() {
        let (sender, receiver) = crossbeam_channel::unbounded();
        let call = move |completion| sender.send(completion).unwrap();
        Promise::with_call(1, call).keep(Completion {
            job: 1,
            worker: "w".into(),
            result: Err(Lost::NoWorkers("x".into())),
            attempts: 1,
            queued: Duration::ZERO,
            wall: Duration::ZERO,
        });
        assert_eq!(receiver.iter().count(), 1);
    }

    #[test]
    fn waiting_with_patience_gives_the_ticket_back() {
        let (promise, ticket) = Promise::with_ticket(0);
        let ticket = ticket.wait_for(Duration::from_millis(1)).unwrap_err();
        drop(promise);
        assert!(ticket.wait_for(Duration::from_secs(1)).is_ok());
    }
}
