//! A pool of workers: jobs in, tickets out. It never sees an isolation.
//!
//! A job goes from [`Pool::submit`] through a bounded queue, or from [`Pool::submit_many`] by way of a
//! [`batch`], to the thread of a [`slot`], which runs it on its worker and resolves the ticket.
//! [`Pool::call`] takes a [`loan`] instead, where there is an [`idle`] worker that may be lent. The
//! [`supervisor`] watches the flights: it throws kill switches at deadlines and gives up threads that do
//! not listen. What to do after a failed start is [`policy`], pure.

mod batch;
mod berth;
mod builder;
mod flight;
mod health;
mod idle;
mod loan;
mod pace;
mod policy;
mod prepared;
mod shared;
mod slot;
mod supervisor;
mod surroundings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_of_batches;
#[cfg(test)]
mod tests_of_calls;
#[cfg(test)]
mod tests_of_sequences;
mod ticket;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use crate::guest::Guest;
use crate::harden::Enforcement;
use crate::job::Job;
use crate::native::Native;
use crate::options::{Isolation, StartMethod};
use crate::units::ByteSize;

pub use batch::{Batch, Ordered, Unordered};
pub use builder::{BuildError, PoolBuilder};
pub use health::Health;
pub use policy::RestartPolicy;
pub use prepared::Prepared;
pub use shared::Incident;
pub use surroundings::Surroundings;
pub use ticket::{Completion, Lost, Ticket};

use batch::Load;
use builder::Work;
use flight::Task;
use loan::Loan;
use shared::Shared;
use supervisor::Event;
use ticket::Promise;

/// Workers for one guest. Dropping it cancels what is not done; see [`Pool::drain`].
pub struct Pool {
    shared: Arc<Shared>,
    /// `None` once the pool takes no more jobs.
    queue: Option<Sender<Task>>,
    /// The queue's other end, for what is handed in while the last thread ends.
    waiting: Receiver<Task>,
    supervisor: Option<JoinHandle<()>>,
    /// Hangs up when the pool takes no more jobs, after `queue` has.
    closing: Option<Sender<()>>,
    submitted: AtomicU64,
    seed: Option<u64>,
    prepared: Duration,
    artifact_bytes: usize,
    cached: bool,
    cache_trouble: Option<String>,
}

/// Why a job was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SubmitError {
    /// The input is larger than [`Limits::input`](crate::Limits::input).
    #[error("the input has {size}, and the limit is {limit}")]
    InputTooLarge {
        /// What the input has.
        size: ByteSize,
        /// What it may have.
        limit: ByteSize,
    },
    /// The pool was stopped.
    #[error("the pool was stopped")]
    Stopped,
    /// Every worker failed to start.
    #[error("no worker is left: {0}")]
    NoWorkers(String),
}

/// A worker that is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerInfo {
    /// Its label.
    pub label: String,
    /// Its process, if it has one of its own.
    pub pid: Option<u32>,
    /// What of the hardening holds in its process, if it has one of its own. As true as the process was
    /// before it ran any guest.
    pub enforcement: Option<Enforcement>,
}

impl Pool {
    /// Begins a pool for this guest: one process worker, default limits.
    pub fn builder(guest: Guest) -> PoolBuilder {
        PoolBuilder::new(Work::Guest(guest))
    }

    /// Begins a pool for an ordinary program of this machine, which runs anew for each job, in a process of its own:
    /// the job's input is its standard input, its standard output is the reply, and lines on its standard error are
    /// log lines. [`Limits::memory`] bounds the private memory of each of its processes, and [`Limits::output`] and
    /// the deadline hold as they do for guests; the rest of the limits, and every setting that is about guests, start
    /// methods or links, means nothing to it. It is **not sandboxed**.
    ///
    /// [`Limits::memory`]: crate::Limits::memory
    /// [`Limits::output`]: crate::Limits::output
    pub fn native(command: Native) -> PoolBuilder {
        PoolBuilder::new(Work::Native(command)).isolation(Isolation::Process)
    }

    /// Hands in a job. Waits while the queue is full.
    ///
    /// # Errors
    /// [`SubmitError::InputTooLarge`], or [`SubmitError::NoWorkers`] when every slot is closed.
    pub fn submit(&self, job: Job) -> Result<Ticket, SubmitError> {
        let (job, number) = self.admit(job)?;
        let (promise, ticket) = Promise::with_ticket(number, &self.shared.waiting);
        self.enqueue(job, promise);
        Ok(ticket)
    }

    /// Runs one job and waits for its end, in the quickest way there is.
    ///
    /// Where workers are processes, the calling thread drives an idle one itself: nobody else has to be
    /// woken. The job's handlers then run on the calling thread. Where no worker is idle, or others wait
    /// already, and where workers are threads, it is [`Pool::submit`] and [`Ticket::wait`].
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cofferdam::{Guest, Isolation, Job, Pool};
    ///
    /// let pool = Pool::builder(Guest::embedded("echo")?).isolation(Isolation::Thread).build()?;
    /// let completion = pool.call(Job::new("there and back"))?;
    /// assert_eq!(completion.result?.output, b"there and back");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Pool::submit`].
    pub fn call(&self, job: Job) -> Result<Completion, SubmitError> {
        let (job, number) = self.admit(job)?;
        if !self.work_waits()
            && let Some(loan) = Loan::of(&self.shared)
        {
            return Ok(loan.run(job, || self.work_waits()));
        }
        let (promise, ticket) = Promise::with_ticket(number, &self.shared.waiting);
        self.enqueue(job, promise);
        Ok(ticket.wait())
    }

    /// Hands in many jobs at once. Does not wait: the batch keeps what no worker has taken yet.
    ///
    /// Each worker takes the next job when it is done with one, so none waits behind a slow one while
    /// another worker is idle. Jobs that are submitted one by one take turns with those of a batch, and
    /// batches come one after another. Completions are there as jobs end:
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use cofferdam::{Guest, Isolation, Job, Pool};
    ///
    /// let pool = Pool::builder(Guest::embedded("echo")?).isolation(Isolation::Thread).workers(2).build()?;
    /// let batch = pool.submit_many((0..100).map(|n| Job::new(format!("job {n}"))))?;
    /// for (n, completion) in batch.ordered().enumerate() {
    ///     assert_eq!(completion.result?.output, format!("job {n}").into_bytes());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`Pool::submit`]; one input that is too large refuses all of them.
    pub fn submit_many(&self, jobs: impl IntoIterator<Item = Job>) -> Result<Batch, SubmitError> {
        let mut jobs: Vec<Job> = jobs.into_iter().collect();
        for job in &jobs {
            self.check(job)?;
        }
        let count = jobs.len();
        let first = self.submitted.fetch_add(count as u64, Ordering::Relaxed);
        for (job, number) in jobs.iter_mut().zip(first..) {
            job.set_number(number, self.seed);
        }
        let (load, batch) = Load::new(jobs, first, &self.shared.waiting);
        self.shared.loads.add(load);
        // Stopped since it was checked: whoever answers what is left may have done so already.
        if let Some(why) = self.shared.ended() {
            self.shared.end_loads(&why);
        }
        for _ in 0..count.min(self.shared.berths.len()) {
            self.shared.call_idle();
        }
        Ok(batch)
    }

    /// Hands in a job and calls `done` with its completion, in the order in which jobs end. Waits
    /// while the queue is full.
    ///
    /// `done` runs on the worker's thread and should only pass the completion on.
    ///
    /// # Errors
    /// As [`Pool::submit`]; `done` is then not called.
    pub fn submit_with(
        &self,
        job: Job,
        done: impl FnOnce(Completion) + Send + 'static,
    ) -> Result<u64, SubmitError> {
        let (job, number) = self.admit(job)?;
        self.enqueue(job, Promise::with_call(number, done));
        Ok(number)
    }

    fn admit(&self, mut job: Job) -> Result<(Job, u64), SubmitError> {
        self.check(&job)?;
        let number = self.submitted.fetch_add(1, Ordering::Relaxed);
        job.set_number(number, self.seed);
        Ok((job, number))
    }

    fn check(&self, job: &Job) -> Result<(), SubmitError> {
        let limit = self.shared.limits.input;
        let size = ByteSize::from_bytes(job.input().len() as u64);
        if size > limit {
            return Err(SubmitError::InputTooLarge { size, limit });
        }
        if self.shared.killed.load(Ordering::SeqCst) {
            return Err(SubmitError::Stopped);
        }
        if let Some(why) = self.shared.broken.get() {
            return Err(SubmitError::NoWorkers(why.clone()));
        }
        Ok(())
    }

    fn queue(&self) -> &Sender<Task> {
        self.queue
            .as_ref()
            .expect("only drain and drop take the queue, and they take the pool")
    }

    fn work_waits(&self) -> bool {
        !self.queue().is_empty() || self.shared.loads.wait()
    }

    fn enqueue(&self, job: Job, promise: Promise) {
        let task = Task::new(job, promise, Instant::now());
        // It cannot fail: this pool holds a reader itself.
        drop(self.queue().send(task));
        self.shared.call_idle();
        // Stopped since it was checked: whoever answers what is left may have done so already.
        if let Some(why) = self.shared.ended() {
            self.shared.end_queue(&self.waiting, &why);
        }
    }

    /// Takes no more jobs, finishes those that were taken, and ends the workers.
    pub fn drain(mut self) -> Health {
        self.close();
        self.join();
        self.shared.counters.snapshot()
    }

    /// A handle that stops the pool from another thread.
    #[must_use]
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.shared))
    }

    /// The counts so far.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.counters.snapshot()
    }

    /// The workers that are alive now.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerInfo> {
        let slots = self.shared.workers.iter();
        slots
            .filter_map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner).clone())
            .collect()
    }

    /// What of the hardening holds in this pool's worker processes; `None` in threads, and until the first
    /// worker was started.
    #[must_use]
    pub fn enforcement(&self) -> Option<Enforcement> {
        self.shared.enforcement.get().copied()
    }

    /// How its workers come to be, as far as is known by now: what was asked for, or what took its place
    /// (see [`PoolBuilder::start`]). `None` where they are threads.
    #[must_use]
    pub fn start_method(&self) -> Option<StartMethod> {
        self.shared.maker.start_method()
    }

    /// How long it took to compile the guest, or to find it in the cache.
    #[must_use]
    pub fn prepared_in(&self) -> Duration {
        self.prepared
    }

    /// Bytes of compiled code.
    #[must_use]
    pub fn code_size(&self) -> ByteSize {
        ByteSize::from_bytes(self.artifact_bytes as u64)
    }

    /// Whether the compiled guest was found in the cache.
    #[must_use]
    pub fn was_cached(&self) -> bool {
        self.cached
    }

    /// What kept the cache from serving, if anything did. The guest was compiled instead.
    #[must_use]
    pub fn cache_trouble(&self) -> Option<&str> {
        self.cache_trouble.as_deref()
    }

    fn close(&mut self) {
        self.queue = None;
        self.closing = None;
        for berth in &self.shared.berths {
            berth.ring();
        }
    }

    fn join(&mut self) {
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.close();
        if self.supervisor.is_some() {
            self.stopper().stop();
            self.join();
        }
    }
}

/// Stops a pool: running jobs are killed, waiting ones cancelled. Every ticket resolves.
#[derive(Clone)]
pub struct Stopper(Arc<Shared>);

impl Stopper {
    /// Stops the pool now. Does not wait; [`Pool::drain`] returns soon after.
    pub fn stop(&self) {
        self.0.killed.store(true, Ordering::SeqCst);
        drop(
            self.0
                .stop
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        let _ = self.0.events.send(Event::Kill);
    }
}
