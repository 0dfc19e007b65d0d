//! From nothing to the first reply, and the least that anybody would pay for that.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use cofferdam::{Job, Pool, Prepared};

use super::kill::refilled;
use super::{Once, until};
use crate::proc::children;
use crate::{ByHand, Failure, Subject, reply_in};

/// A thread that does nothing, spawned and joined.
pub fn thread_spawn_join() -> impl Once {
    || {
        let start = Instant::now();
        let joined = std::thread::spawn(|| ()).join();
        let took = start.elapsed();
        joined.map_err(|_| "the thread panicked")?;
        Ok(took)
    }
}

/// A program that does nothing, spawned (by `posix_spawn`) and waited for. It is a dynamic C program.
pub fn spawn_true() -> impl Once {
    || {
        let mut command = Command::new("/bin/true");
        command.stdin(Stdio::null());
        let start = Instant::now();
        let status = command.status()?;
        let took = start.elapsed();
        if !status.success() {
            return Err(format!("/bin/true: {status}").into());
        }
        Ok(took)
    }
}

/// Wasmtime's own API: a store, an instance, the call; on the calling thread.
pub fn instantiate_and_call<'a>(by_hand: &'a ByHand, subject: &'a Subject) -> impl Once + 'a {
    let input: Arc<[u8]> = subject.input().into();
    move || {
        let start = Instant::now();
        let run = by_hand.run(&input)?;
        let took = start.elapsed();
        subject.check("wasmtime", &run.output)?;
        Ok(took)
    }
}

/// The same in a thread that is spawned for it, and joined.
pub fn in_a_new_thread<'a>(by_hand: &'a ByHand, subject: &'a Subject) -> impl Once + 'a {
    let input: Arc<[u8]> = subject.input().into();
    move || {
        let start = Instant::now();
        let run = std::thread::scope(|scope| scope.spawn(|| by_hand.run(&input)).join());
        let took = start.elapsed();
        let run = run.map_err(|_| "the thread panicked")??;
        subject.check("wasmtime", &run.output)?;
        Ok(took)
    }
}

/// A pool of a guest that is prepared, from its start to the first reply. It is torn down outside of the
/// span, and its workers' processes are gone when the next arm has its turn.
pub fn first_reply<'a>(prepared: &'a Prepared, subject: &'a Subject) -> impl Once + 'a {
    let input = subject.input();
    move || {
        let job = Job::new(input.clone());
        let start = Instant::now();
        let pool = prepared.start()?;
        let completion = pool.call(job)?;
        let took = start.elapsed();
        subject.check("cofferdam", &reply_in(completion)?.output)?;
        leave(pool)?;
        Ok(took)
    }
}

/// Drops a pool, and waits until its workers' processes are gone.
///
/// # Errors
/// If one of them stays.
pub fn leave(pool: Pool) -> Result<(), Failure> {
    let pids: Vec<u32> = pool
        .workers()
        .iter()
        .filter_map(|worker| worker.pid)
        .collect();
    drop(pool);
    until("a worker is still there", || {
        let is_there = |pid: &u32| Path::new(&format!("/proc/{pid}")).exists();
        Ok((!pids.iter().any(is_there)).then_some(()))
    })
}

/// A prepared guest whose stock of spare workers is full whenever the stopwatch starts.
pub struct Spares<'a> {
    prepared: &'a Prepared,
    subject: &'a Subject,
    /// The children that were there when all was quiet; the spare is among them.
    there: BTreeSet<u32>,
}

impl<'a> Spares<'a> {
    /// Starts one pool, which has the stock filled. No other thread may make workers meanwhile.
    ///
    /// # Errors
    /// If the pool does not work.
    pub fn new(prepared: &'a Prepared, subject: &'a Subject) -> Result<Self, Failure> {
        let mut spares = Self {
            prepared,
            subject,
            there: BTreeSet::new(),
        };
        // The first worker is forked; taking it has the stock filled.
        spares.first_reply()?;
        Ok(spares)
    }

    /// From the start of a pool to its first reply, by a worker that waited ready.
    ///
    /// # Errors
    /// If something does not work, or if the stock is always empty.
    pub fn first_reply(&mut self) -> Result<Duration, Failure> {
        for _ in 0..TRIES {
            // A worker that was made when it was asked for is another arm, and not counted.
            if let (took, Waited::Ready) = self.start()? {
                return Ok(took);
            }
        }
        Err("the stock of spare workers is always empty".into())
    }

    fn start(&mut self) -> Result<(Duration, Waited), Failure> {
        let job = Job::new(self.subject.input());
        let start = Instant::now();
        let pool = self.prepared.start()?;
        let completion = pool.call(job)?;
        let took = start.elapsed();
        self.subject
            .check("cofferdam", &reply_in(completion)?.output)?;
        let workers = pool.workers();
        let worker = workers.first().and_then(|worker| worker.pid);
        let worker = worker.ok_or("the worker has no process of its own")?;
        let waited = if self.there.contains(&worker) {
            Waited::Ready
        } else {
            Waited::Made
        };
        leave(pool)?;
        self.settle(worker)?;
        Ok((took, waited))
    }

    /// Waits until another spare has taken the place of the one that was used.
    fn settle(&mut self, used: u32) -> Result<(), Failure> {
        let there = std::mem::take(&mut self.there);
        refilled(&there, used)?;
        self.there = children()?.iter().map(|child| child.pid).collect();
        Ok(())
    }
}

/// Starts until one takes a worker from the stock: it is filled after the first, and then stays full.
pub(super) const TRIES: usize = 20;

/// Whether a worker was there before it was needed.
enum Waited {
    Ready,
    Made,
}
