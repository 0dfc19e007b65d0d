//! Pools of one guest, for the runs of a check.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::case::Case;
use super::manifest::CheckError;
use super::places::Place;
use super::seen::{Given, Seen, hand_in};
use super::suite::Suite;
use crate::job::Limits;
use crate::pool::{Lost, Pool, PoolBuilder, Prepared};
use crate::runtime::{Cache, Drill};

/// How much is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// How often each case is run in each place, on one worker.
    pub calls: usize,
    /// After so long in one place no further call of a case is begun.
    pub patience: Duration,
    /// How many random inputs are run in both isolations.
    pub random: usize,
    /// What decides the order of cases, and the random inputs.
    pub seed: u64,
    /// Whether the work of each case is counted, for a [`Baseline`](super::Baseline): the guest is compiled once more
    /// for that.
    pub work: bool,
    /// A signal's number that arrives here ends the check with what there is by then.
    pub stop: Option<Receiver<i32>>,
    /// Where compiled guests are kept.
    pub cache: Cache,
    /// The program that process workers run; `None` for this one.
    pub worker_program: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            calls: 1000,
            patience: Duration::from_secs(1),
            random: 50,
            seed: 1,
            work: false,
            stop: None,
            cache: Cache::of_user(),
            worker_program: None,
        }
    }
}

/// What makes pools differ.
#[derive(Clone, Copy, PartialEq)]
pub(super) struct Wanted {
    pub(super) place: Place,
    pub(super) limits: Limits,
    pub(super) seed: Option<u64>,
    pub(super) workers: usize,
}

impl Wanted {
    /// One worker in this place.
    pub(super) fn one(place: Place, limits: Limits, seed: Option<u64>) -> Self {
        Self {
            place,
            limits,
            seed,
            workers: 1,
        }
    }
}

/// Pools of one guest; what they need is prepared once.
pub(super) struct Bench<'a> {
    pub(super) suite: &'a Suite,
    pub(super) options: &'a Options,
    prepared: Vec<(Wanted, Prepared)>,
    stopped: Cell<Option<i32>>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(suite: &'a Suite, options: &'a Options) -> Self {
        Self {
            suite,
            options,
            prepared: Vec::new(),
            stopped: Cell::new(None),
        }
    }

    /// The signal that is to end the check, once it has come.
    pub(super) fn stopped(&self) -> Option<i32> {
        if self.stopped.get().is_none() {
            let came = self
                .options
                .stop
                .as_ref()
                .and_then(|stop| stop.try_recv().ok());
            self.stopped.set(came);
        }
        self.stopped.get()
    }

    /// A pool that is wanted more than once: what it needs is kept.
    pub(super) fn pool(&mut self, wanted: Wanted) -> Result<Pool, CheckError> {
        if let Some((_, prepared)) = self.prepared.iter().find(|(what, _)| *what == wanted) {
            return Ok(prepared.start()?);
        }
        let prepared = self.builder(wanted, Drill::Weigh).prepare()?;
        let pool = prepared.start()?;
        self.prepared.push((wanted, prepared));
        Ok(pool)
    }

    /// A pool that is wanted once. Each that is kept may be a process with the guest loaded.
    pub(super) fn pool_for_once(&self, wanted: Wanted, drill: Drill) -> Result<Pool, CheckError> {
        Ok(self.builder(wanted, drill).build()?)
    }

    fn builder(&self, wanted: Wanted, drill: Drill) -> PoolBuilder {
        let suite = self.suite;
        let builder = Pool::builder(suite.guest.clone())
            .isolation(wanted.place.isolation)
            .instance(wanted.place.instance)
            .limits(wanted.limits)
            .workers(wanted.workers)
            .seed(wanted.seed)
            .surroundings(suite.surroundings.clone())
            .cache(self.options.cache.clone())
            .drill(Some(drill));
        match &self.options.worker_program {
            Some(program) => builder.worker_program(program),
            None => builder,
        }
    }

    /// What comes of a case on a worker that has never run anything.
    pub(super) fn alone(
        &mut self,
        place: Place,
        case: &Case,
        seed: Option<u64>,
    ) -> Result<Seen, CheckError> {
        let pool = self.pool(Wanted::one(place, case.limits, seed))?;
        Ok(run(&pool, case))
    }
}

/// What comes of a case in this pool.
pub(super) fn run(pool: &Pool, case: &Case) -> Seen {
    run_given(pool, &Given::of(case))
}

/// What comes of this in this pool.
pub(super) fn run_given(pool: &Pool, given: &Given<'_>) -> Seen {
    match hand_in(pool, given) {
        Ok(pending) => pending.wait(),
        Err(why) => Seen::ended(Err(Lost::NoWorkers(why))),
    }
}
