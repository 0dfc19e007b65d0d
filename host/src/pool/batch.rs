//! Many jobs handed in at once.
//!
//! The jobs lie side by side, and whichever worker has nothing to do takes the next one with a single
//! atomic addition. That is self-scheduling in chunks of one: no worker ever holds a job that it does not
//! run, so the last ones end together, and a worker that dies or hangs holds up nothing but its own job.
//! Larger chunks (Polychronopoulos, Kuck: Guided self-scheduling, IEEE Transactions on Computers 36, 1987)
//! pay where taking is dear beside running; here it is a few nanoseconds.

use std::collections::VecDeque;
use std::iter::FusedIterator;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TryRecvError};

use super::flight::Task;
use super::pace::Progress;
use super::ticket::{Completion, Promise};
use crate::job::Job;
use crate::wait::Patience;

/// Claims the answers to many jobs, from [`Pool::submit_many`](super::Pool::submit_many).
///
/// Dropping it, or one of its iterators, cancels nothing: the jobs run, and their completions are dropped.
#[must_use = "the jobs run, but nobody sees how they end"]
pub struct Batch {
    first: u64,
    total: usize,
    left: usize,
    ends: Receiver<(usize, Completion)>,
    patience: Arc<Patience>,
}

/// The jobs of a batch, as workers see them.
pub(super) struct Load {
    jobs: Box<[Mutex<Option<Job>>]>,
    next: AtomicUsize,
    submitted: Instant,
    ended: Sender<(usize, Completion)>,
}

/// The batches of a pool that have jobs left.
#[derive(Default)]
pub(super) struct Loads {
    /// How many there are: looked at without the lock.
    count: AtomicUsize,
    open: Mutex<VecDeque<Arc<Load>>>,
}

impl Load {
    /// A load and the claim to its answers. The jobs are numbered already, from `first` on.
    pub(super) fn new(jobs: Vec<Job>, first: u64, patience: &Arc<Patience>) -> (Arc<Self>, Batch) {
        let (ended, ends) = crossbeam_channel::unbounded();
        let batch = Batch {
            first,
            total: jobs.len(),
            left: jobs.len(),
            ends,
            patience: Arc::clone(patience),
        };
        let load = Arc::new(Self {
            jobs: jobs.into_iter().map(|job| Mutex::new(Some(job))).collect(),
            next: AtomicUsize::new(0),
            submitted: Instant::now(),
            ended,
        });
        (load, batch)
    }

    /// The next job that nobody has; `None` when all have been taken.
    fn take(self: &Arc<Self>) -> Option<Task> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        let job = self.jobs.get(place)?;
        let job = job.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let promise = Promise::in_batch(job.number(), Arc::clone(self), place);
        Some(Task::new(job, promise, self.submitted))
    }

    pub(super) fn end(&self, place: usize, completion: Completion) {
        // Nobody listens if the batch was dropped.
        let _ = self.ended.send((place, completion));
    }
}

impl Loads {
    fn open(&self) -> MutexGuard<'_, VecDeque<Arc<Load>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, load: Arc<Load>) {
        let mut open = self.open();
        open.push_back(load);
        self.count.store(open.len(), Ordering::SeqCst);
    }

    /// Whether there may be jobs that nobody has taken.
    pub(super) fn wait(&self) -> bool {
        self.count.load(Ordering::SeqCst) > 0
    }

    /// A job of the oldest batch that has one. `current` is the batch that the taker had one of before.
    pub(super) fn take(&self, current: &mut Option<Arc<Load>>) -> Option<Task> {
        if !self.wait() {
            *current = None;
            return None;
        }
        loop {
            if let Some(load) = current {
                match load.take() {
                    Some(task) => return Some(task),
                    None => self.remove(load),
                }
            }
            *current = self.open().front().cloned();
            current.as_ref()?;
        }
    }

    /// Which batch is the oldest that has jobs left, and how many of it have been taken.
    pub(super) fn progress(&self) -> Option<Progress> {
        let open = self.open();
        let load = open.front()?;
        let taken = load.next.load(Ordering::Relaxed);
        (taken < load.jobs.len()).then(|| (Arc::as_ptr(load).addr(), taken))
    }

    fn remove(&self, spent: &Arc<Load>) {
        let mut open = self.open();
        open.retain(|load| !Arc::ptr_eq(load, spent));
        self.count.store(open.len(), Ordering::SeqCst);
    }
}

impl Batch {
    /// How many jobs there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.total
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// The number of its first job; the others follow without a gap.
    #[must_use]
    pub fn first_job(&self) -> u64 {
        self.first
    }

    /// Completions in the order of the jobs. Those that come early are kept until it is their turn.
    pub fn ordered(self) -> Ordered {
        Ordered {
            early: (0..self.total).map(|_| None).collect(),
            rest: self.unordered(),
        }
    }

    /// Completions in the order in which jobs end.
    pub fn unordered(self) -> Unordered {
        Unordered(self)
    }
}

/// The completions of a [`Batch`], as jobs end.
#[must_use = "iterators do nothing until they are asked"]
pub struct Unordered(Batch);

/// The completions of a [`Batch`], in the order of its jobs.
#[must_use = "iterators do nothing until they are asked"]
pub struct Ordered {
    rest: Unordered,
    early: VecDeque<Option<Completion>>,
}

impl Unordered {
    fn next_end(&mut self) -> Option<(usize, Completion)> {
        let Batch {
            left,
            ends,
            patience,
            ..
        } = &mut self.0;
        *left = left.checked_sub(1)?;
        // It cannot hang up before the last has come, since every job's promise holds the sender; if it did,
        // looking for ever would not show it.
        let there = || match ends.try_recv() {
            Ok(end) => Some(Some(end)),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(None),
        };
        patience.look(there).unwrap_or_else(|| ends.recv().ok())
    }
}

impl Iterator for Unordered {
    type Item = Completion;

    fn next(&mut self) -> Option<Completion> {
        self.next_end().map(|(_, completion)| completion)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.0.left, Some(self.0.left))
    }
}

impl Iterator for Ordered {
    type Item = Completion;

    fn next(&mut self) -> Option<Completion> {
        loop {
            // The first of `early` is the one whose turn it is.
            if let Some(completion) = self.early.front_mut()?.take() {
                self.early.pop_front();
                return Some(completion);
            }
            let turn = self.rest.0.total - self.early.len();
            let (place, completion) = self.rest.next_end()?;
            self.early[place - turn] = Some(completion);
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.early.len(), Some(self.early.len()))
    }
}

impl ExactSizeIterator for Unordered {}
impl ExactSizeIterator for Ordered {}
impl FusedIterator for Unordered {}
impl FusedIterator for Ordered {}
