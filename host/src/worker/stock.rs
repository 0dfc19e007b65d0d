//! Workers that were made ahead and wait for their first job.
//!
//! Whoever needs a worker takes one that is there: its first job is one wake-up away. A thread of the
//! stock's own makes the next one, a moment later, so that the work for which the worker was taken is
//! well under way before the making of another one wants a CPU.

use std::collections::VecDeque;
use std::sync::{Mutex, OnceLock, PoisonError, Weak};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};

use super::process::ProcessWorker;
use super::{Recipe, Worker};

/// How long after a worker was taken another one is made. Longer than a wake-up and a short job; far
/// shorter than workers usually live.
const BREATH: Duration = Duration::from_millis(2);

/// How long after a worker could not be made the next try is made, if nobody asks before.
const PAUSE: Duration = Duration::from_secs(1);

/// The spare workers of a recipe.
pub(super) struct Stock {
    size: usize,
    ready: Mutex<VecDeque<ProcessWorker>>,
    /// Tells the keeper that one was taken; hangs up when the recipe goes. Without a keeper there is no
    /// stock: the system had no thread to give.
    keeper: OnceLock<Option<Sender<()>>>,
}

impl Stock {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            ready: Mutex::default(),
            keeper: OnceLock::new(),
        }
    }

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

    /// Makes workers until the stock is full; `false` if one could not be made.
    fn fill(&self, make: impl Fn() -> Option<ProcessWorker>) -> bool {
        while self.ready().len() < self.size {
            match make() {
                Some(worker) => self.ready().push_back(worker),
                None => return false,
            }
        }
        true
    }

    fn ready(&self) -> std::sync::MutexGuard<'_, VecDeque<ProcessWorker>> {
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
    loop {
        std::thread::sleep(BREATH);
        let Some(recipe) = recipe.upgrade() else {
            return false;
        };
        if recipe.stock.fill(|| {
            recipe
                .forked("spare")
                .and_then(|worker| worker.settled(None))
                .ok()
        }) {
            return true;
        }
        drop(recipe);
        // Whoever needs a worker meanwhile tries for himself, and tells why there is none.
        if let Err(crossbeam_channel::RecvTimeoutError::Disconnected) = asked.recv_timeout(PAUSE) {
            return false;
        }
    }
}
