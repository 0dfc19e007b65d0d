//! Many jobs at once.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cofferdam::{Completion, Job, Metering, Pool};
use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

use super::{Hash, Once, native_argon2};
use crate::{ByHand, Failure, Subject, reply_in};

/// A batch of jobs through [`Pool::submit_many`], from handing them in to holding all replies.
pub fn batch<'a>(
    pool: &'a Pool,
    job: &'a Job,
    count: usize,
    check: impl Fn(&[u8]) -> Result<(), Failure> + 'a,
) -> impl Once + 'a {
    move || {
        let jobs = vec![job.clone(); count];
        let mut done: Vec<Completion> = Vec::with_capacity(count);
        let start = Instant::now();
        done.extend(pool.submit_many(jobs)?.unordered());
        let took = start.elapsed();
        if done.len() != count {
            return Err(format!("{} replies to {count} jobs", done.len()).into());
        }
        for completion in done {
            check(&reply_in(completion)?.output)?;
        }
        Ok(took)
    }
}

/// The check of empty jobs.
///
/// # Errors
/// If the reply is not empty.
pub fn empty(reply: &[u8]) -> Result<(), Failure> {
    if reply.is_empty() {
        return Ok(());
    }
    Err("an empty job has a reply that is not".into())
}

/// Threads that hand numbers back, behind bare channels: what a pool of no-op jobs is at the least.
///
/// The way there holds a whole batch, as that of a pool does: whoever sends need not wait for a place.
pub struct Threads {
    there: Option<Sender<u64>>,
    back: Receiver<u64>,
    threads: Vec<JoinHandle<()>>,
}

/// Starts as many threads, for batches of this size.
#[must_use]
pub fn bare_threads(count: usize, batch: usize) -> Threads {
    let idle = |_| -> Work { Box::new(|| Ok(())) };
    hired((0..count).map(idle).collect(), batch)
}

/// The same, and for each number the threads run an empty job of a guest by wasmtime's own API, in an
/// instance that each of them keeps, of an engine that is its own.
///
/// # Errors
/// If the guest cannot be compiled or instantiated.
pub fn guest_threads(subject: &Subject, count: usize, batch: usize) -> Result<Threads, Failure> {
    let input: Arc<[u8]> = Arc::default();
    let guest = subject.guest()?;
    let hire = |_| -> Result<Work, Failure> {
        let by_hand = ByHand::new(guest.wasm(), Metering::Interruptible)?;
        let (mut kept, input) = (by_hand.keep()?, Arc::clone(&input));
        Ok(Box::new(move || empty(&kept.run(&input)?.output)))
    };
    let works: Result<Vec<Work>, Failure> = (0..count).map(hire).collect();
    Ok(hired(works?, batch))
}

/// What a thread does for each number.
type Work = Box<dyn FnMut() -> Result<(), Failure> + Send>;

fn hired(works: Vec<Work>, batch: usize) -> Threads {
    let (there, taken) = bounded(batch);
    let (done, back) = unbounded();
    let threads = works.into_iter().map(|mut work| {
        let (taken, done) = (taken.clone(), done.clone());
        std::thread::spawn(move || {
            for number in taken {
                // In place of a number that failed comes one that no batch has: whoever checks sees it.
                let answer = work().map_or(u64::MAX, |()| number);
                if done.send(answer).is_err() {
                    return;
                }
            }
        })
    });
    Threads {
        there: Some(there),
        back,
        threads: threads.collect(),
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.there = None;
        for thread in self.threads.drain(..) {
            // A panic was printed where it happened.
            let _ = thread.join();
        }
    }
}

/// A batch of numbers through bare channels and back.
pub fn crossbeam_batch(threads: &Threads, count: u64) -> impl Once {
    move || {
        let there = threads.there.as_ref().ok_or("the threads have ended")?;
        let mut done = Vec::with_capacity(usize::try_from(count)?);
        let start = Instant::now();
        for number in 0..count {
            there.send(number)?;
        }
        for _ in 0..count {
            done.push(threads.back.recv()?);
        }
        let took = start.elapsed();
        done.sort_unstable();
        if !done.into_iter().eq(0..count) {
            return Err("a number was lost, came twice, or its job failed".into());
        }
        Ok(took)
    }
}

/// Native code in as many threads as are told, each with its share of the jobs: what the machine's cores
/// give at the most. The threads are spawned within the span.
pub fn native_batch(work: Hash, threads: usize, count: usize) -> impl Once {
    let share = count / threads;
    move || {
        let start = Instant::now();
        let done: Result<Vec<Duration>, Failure> = std::thread::scope(|scope| {
            let each = || {
                let mut once = native_argon2(work);
                (0..share)
                    .map(|_| once())
                    .sum::<Result<Duration, Failure>>()
            };
            let running: Vec<_> = (0..threads).map(|_| scope.spawn(each)).collect();
            let ends = running.into_iter().map(|thread| match thread.join() {
                Ok(end) => end,
                Err(_) => Err("the thread panicked".into()),
            });
            ends.collect()
        });
        let took = start.elapsed();
        done?;
        Ok(took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_a_batch_comes_back() {
        let threads = bare_threads(2, 100);
        let mut once = crossbeam_batch(&threads, 100);
        for _ in 0..3 {
            assert!(once().unwrap() > Duration::ZERO);
        }
    }

    #[test]
    fn threads_that_run_a_guest_answer_as_the_others_do() {
        let threads = guest_threads(&crate::ECHO, 2, 100).unwrap();
        assert!(crossbeam_batch(&threads, 100)().unwrap() > Duration::ZERO);
    }
}
