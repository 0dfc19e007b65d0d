//! Workers that were made ahead and wait for their first job.
//!
//! Whoever needs a worker takes one that is there: its first job is one wake-up away. A thread of the
//! stock's own makes the next one, a moment later, so that the work for which the worker was taken is
//! well under way before the making of another one wants a CPU.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use super::process::ProcessWorker;
use super::{Recipe, Worker};

/// How long after a worker was taken another one is made. Longer than a wake-up and a short job; far
/// shorter than workers usually live.
const BREATH: Duration = Duration::from_millis(2);

/// So many times as long as one took to make, the maker rests: it has a fifth of one CPU at the most, whatever the
/// size of the stock.
const RESTS: u32 = 4;

/// How long after a worker could not be made the next try is made, if nobody asks before.
const PAUSE: Duration = Duration::from_secs(1);

/// The spare workers of a recipe.
pub(super) struct Stock<W = ProcessWorker> {
    size: usize,
    ready: Mutex<VecDeque<W>>,
    /// Tells the keeper that one was taken; hangs up when the recipe goes. Without a keeper there is no
    /// stock: the system had no thread to give.
    keeper: OnceLock<Option<Sender<()>>>,
}

/// What came of the attempt to make one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// There are enough.
    Full,
    Made,
    Failed,
}

impl Stock {
    /// Takes a worker that is alive, if there is one, and has the stock filled up again.
    pub(super) fn take(&self, recipe: &Weak<Recipe>) -> Option<ProcessWorker> {
        let taken = {
            let mut ready = self.ready();
            // One that died while it waited has had no job, so nothing is lost with it.
            std::iter::from_fn(|| ready.pop_front()).find(|worker| worker.post_mortem().is_none())
        };
        if let Some(keeper) = self.keeper.get_or_init(|| keep(recipe)) {
            // Refused where it has not yet seen the last request, which asks for as many as are missing.
            let _ = keeper.try_send(());
        }
        taken
    }
}

impl<W> Stock<W> {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            ready: Mutex::default(),
            keeper: OnceLock::new(),
        }
    }

    /// Waits until the stock is full, if it was ever asked, but not for ever.
    pub(super) fn settle(&self) {
        let until = Instant::now() + PAUSE;
        while self.keeper.get().is_some()
            && self.ready().len() < self.size
            && Instant::now() < until
        {
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Makes one worker if there are too few.
    fn step(&self, make: impl FnOnce() -> Option<W>) -> Step {
        if self.ready().len() >= self.size {
            return Step::Full;
        }
        match make() {
            Some(worker) => {
                self.ready().push_back(worker);
                Step::Made
            }
            None => Step::Failed,
        }
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, VecDeque<W>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Starts the thread that keeps the stock full for as long as there is a recipe.
fn keep(recipe: &Weak<Recipe>) -> Option<Sender<()>> {
    let (asking, asked) = crossbeam_channel::bounded(1);
    let recipe = Weak::clone(recipe);
    let thread = std::thread::Builder::new().name("cofferdam-stock".to_owned());
    thread
        .spawn(move || while refilled(&recipe, &asked) {})
        .ok()
        .map(|_| asking)
}

/// Waits until workers were taken, and makes others; `false` when there is no recipe any more.
fn refilled(recipe: &Weak<Recipe>, asked: &Receiver<()>) -> bool {
    if asked.recv().is_err() {
        return false;
    }
    let step = || {
        // Not held while this thread rests: a pool that goes is not kept, nor is anything made for it.
        let recipe = recipe.upgrade()?;
        let make = || {
            let made = recipe.forked("spare");
            made.and_then(|worker| worker.settled(None)).ok()
        };
        Some(recipe.stock.step(make))
    };
    // Whoever needs a worker meanwhile tries for himself, and tells why there is none.
    let despair = || {
        !matches!(
            asked.recv_timeout(PAUSE),
            Err(RecvTimeoutError::Disconnected)
        )
    };
    refill(step, std::thread::sleep, despair)
}

/// Makes one after the other until there are enough, and rests before each; `false` when it is no use any more.
fn refill(
    mut step: impl FnMut() -> Option<Step>,
    mut rest: impl FnMut(Duration),
    mut despair: impl FnMut() -> bool,
) -> bool {
    let mut breath = BREATH;
    loop {
        rest(breath);
        let began = Instant::now();
        match step() {
            None => return false,
            Some(Step::Full) => return true,
            Some(Step::Made) => breath = BREATH.max(began.elapsed() * RESTS),
            Some(Step::Failed) => {
                breath = BREATH;
                if !despair() {
                    return false;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    #[test]
    fn before_each_that_is_made_the_jobs_have_the_machine_for_a_while() {
        let stock = Stock::<u32>::new(5);
        let made = Cell::new(0);
        let slow = Duration::from_millis(3);
        let make = || {
            std::thread::sleep(slow);
            made.set(made.get() + 1);
            Some(made.get())
        };
        let rests = RefCell::new(Vec::new());
        let is_full = refill(
            || Some(stock.step(make)),
            |rest| rests.borrow_mut().push((made.get(), rest)),
            || unreachable!("nothing fails"),
        );
        assert!(is_full);
        assert_eq!(made.get(), 5);
        let rests = rests.into_inner();
        let counts: Vec<u32> = rests.iter().map(|(made, _)| *made).collect();
        assert_eq!(counts, [0, 1, 2, 3, 4, 5], "one at a time");
        assert_eq!(rests[0].1, BREATH);
        let long = |(_, rest): &(u32, Duration)| *rest >= RESTS * slow;
        assert!(rests[1..].iter().all(long), "{rests:?}");
    }

    #[test]
    fn what_cannot_be_made_is_tried_again_until_nobody_wants_it() {
        let stock = Stock::<u32>::new(1);
        let tries = Cell::new(0);
        let make = || {
            tries.set(tries.get() + 1);
            None
        };
        let wanted = || tries.get() < 3;
        assert!(!refill(|| Some(stock.step(make)), |_| {}, wanted));
        assert_eq!((tries.get(), stock.ready().len()), (3, 0));
    }

    #[test]
    fn for_a_recipe_that_is_gone_nothing_is_made() {
        assert!(!refill(|| None, |_| {}, || true));
    }
}
