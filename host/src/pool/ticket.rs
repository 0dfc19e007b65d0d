//! The promise that every job gets exactly one answer.
//!
//! A [`Promise`] travels with the job and is consumed when it is kept. One that is dropped unkept,
//! by whatever mishap, keeps itself with [`Lost::Cancelled`]: a ticket always resolves.

use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use super::batch::Load;
use crate::job::{Death, LONGEST, Reply};
use crate::wait::Patience;

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
pub struct Ticket {
    desk: Arc<Desk>,
    patience: Arc<Patience>,
}

/// Keeps the answer until it is fetched.
#[derive(Debug, Default)]
pub(super) struct Desk {
    /// Set when the answer is there: looked at without the lock.
    ready: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    answer: Option<Completion>,
    /// Whom to wake. A condition variable would make a system call for each answer, waited for or not.
    waiter: Option<Thread>,
}

impl Desk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, completion: Completion) {
        let mut inner = self.inner();
        inner.answer = Some(completion);
        let waiter = inner.waiter.take();
        drop(inner);
        self.ready.store(true, Ordering::Release);
        if let Some(waiter) = waiter {
            waiter.unpark();
        }
    }

    /// Takes the answer; else leaves word whom to wake when it comes.
    fn take_or_leave_word(&self) -> Option<Completion> {
        let mut inner = self.inner();
        let answer = inner.answer.take();
        if answer.is_none() {
            inner.waiter = Some(thread::current());
        }
        answer
    }
}

impl Ticket {
    /// Waits for the job's end.
    #[must_use]
    pub fn wait(self) -> Completion {
        let there = || self.desk.ready.load(Ordering::Acquire).then_some(());
        let _ = self.patience.look(there);
        loop {
            if let Some(completion) = self.desk.take_or_leave_word() {
                return completion;
            }
            thread::park();
        }
    }

    /// Waits for the job's end, but not longer than `patience`.
    ///
    /// # Errors
    /// The ticket itself, if the job has not ended by then.
    pub fn wait_for(self, patience: Duration) -> Result<Completion, Self> {
        let until = Instant::now() + patience.min(LONGEST);
        let left = || until.saturating_duration_since(Instant::now());
        let mut looks = 0u32;
        let over = || {
            looks = looks.wrapping_add(1);
            let there = self.desk.ready.load(Ordering::Acquire);
            (there || looks.is_multiple_of(CLOCK_EVERY) && left().is_zero()).then_some(())
        };
        let _ = self.patience.look(over);
        loop {
            if let Some(completion) = self.desk.take_or_leave_word() {
                return Ok(completion);
            }
            let left = left();
            if left.is_zero() {
                return Err(self);
            }
            thread::park_timeout(left);
        }
    }
}

/// After so many looks at an answer whoever waits for a time looks at the clock, which costs as much.
const CLOCK_EVERY: u32 = 16;

/// To be kept exactly once.
pub(super) struct Promise {
    job: u64,
    to: Option<To>,
}

enum To {
    Ticket(Arc<Desk>),
    /// A place in a batch.
    Batch(Arc<Load>, usize),
    Call(Box<dyn FnOnce(Completion) + Send>),
}

impl Promise {
    /// A promise and the claim to it. Whoever waits for it does so with this patience.
    pub(super) fn with_ticket(job: u64, patience: &Arc<Patience>) -> (Self, Ticket) {
        Self::at_desk(job, &Arc::default(), patience)
    }

    /// The same at a desk that is there already. Nothing may ever have been left at it.
    pub(super) fn at_desk(job: u64, desk: &Arc<Desk>, patience: &Arc<Patience>) -> (Self, Ticket) {
        let desk = Arc::clone(desk);
        (
            Self {
                job,
                to: Some(To::Ticket(Arc::clone(&desk))),
            },
            Ticket {
                desk,
                patience: Arc::clone(patience),
            },
        )
    }

    pub(super) fn in_batch(job: u64, load: Arc<Load>, place: usize) -> Self {
        Self {
            job,
            to: Some(To::Batch(load, place)),
        }
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

    /// Releases from the promise: whoever was promised the answer has it.
    pub(super) fn release(mut self) {
        self.to = None;
    }

    fn deliver(&mut self, completion: Completion) {
        match self.to.take() {
            None => {}
            Some(To::Ticket(desk)) => desk.put(completion),
            Some(To::Batch(load, place)) => load.end(place, completion),
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
    use crate::options::WaitPolicy;

    fn promised(job: u64, policy: WaitPolicy) -> (Promise, Ticket) {
        Promise::with_ticket(job, &Arc::new(Patience::new(policy, 1)))
    }

    #[test]
    fn a_promise_that_is_dropped_resolves_its_ticket() {
        let (promise, ticket) = promised(3, WaitPolicy::Auto);
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
    fn waiting_with_patience_gives_the_ticket_back_whatever_the_policy() {
        for policy in [WaitPolicy::Spin, WaitPolicy::Park, WaitPolicy::Auto] {
            let (promise, ticket) = promised(0, policy);
            let ticket = ticket.wait_for(Duration::from_millis(1)).unwrap_err();
            drop(promise);
            assert!(ticket.wait_for(Duration::from_secs(1)).is_ok());
        }
    }

    #[test]
    fn a_ticket_that_was_given_back_can_be_waited_for_elsewhere() {
        let (promise, ticket) = promised(0, WaitPolicy::Park);
        let ticket = ticket.wait_for(Duration::from_millis(1)).unwrap_err();
        thread::scope(|scope| {
            let waiting = scope.spawn(|| ticket.wait());
            drop(promise);
            assert_eq!(waiting.join().unwrap().result, Err(Lost::Cancelled));
        });
    }

    #[test]
    fn whoever_is_released_from_a_promise_answers_nothing() {
        let (promise, ticket) = promised(0, WaitPolicy::Park);
        promise.release();
        assert!(ticket.wait_for(Duration::from_millis(1)).is_err());
    }
}
