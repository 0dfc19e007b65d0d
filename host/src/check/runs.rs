//! The runs of a check, and what they find.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::case::Case;
use super::finding::{Call, Finding, Sort};
use super::manifest::CheckError;
use super::places::Place;
use super::random;
use super::seen::{Pending, Seen, hand_in};
use super::suite::Suite;
use crate::job::{Limits, Outcome};
use crate::options::Isolation;
use crate::pool::{Pool, Prepared};
use crate::runtime::{Cache, InstancePolicy};

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
            cache: Cache::of_user(),
            worker_program: None,
        }
    }
}

/// What became of one case.
#[derive(Clone, Debug)]
pub struct Checked {
    /// Its name.
    pub name: String,
    /// What was seen first of all, in the plainest place.
    pub seen: Seen,
    /// How often it ran in each place, at the least.
    pub calls: usize,
    /// How often it ran in all.
    pub jobs: u64,
    /// How long that took.
    pub took: Duration,
    /// What is wrong with it; the first of each sort.
    pub findings: Vec<Finding>,
}

/// What became of the random inputs.
#[derive(Clone, Debug, Default)]
pub struct Fuzzed {
    /// How many there were.
    pub inputs: usize,
    /// Of them, how many ended in a trap.
    pub trapped: usize,
    /// What is wrong.
    pub findings: Vec<Finding>,
}

/// What makes pools differ: place, limits, seed, workers.
type Wanted = (Place, Limits, Option<u64>, usize);

/// Pools of one guest; what they need is prepared once.
pub(super) struct Bench<'a> {
    pub(super) suite: &'a Suite,
    options: &'a Options,
    prepared: Vec<(Wanted, Prepared)>,
}

impl Bench<'_> {
    pub(super) fn pool(
        &mut self,
        place: Place,
        limits: Limits,
        seed: Option<u64>,
        workers: usize,
    ) -> Result<Pool, CheckError> {
        let builder = || {
            let suite = self.suite;
            let mut builder = Pool::builder(suite.guest.clone())
                .isolation(place.isolation)
                .instance(place.instance)
                .limits(limits)
                .workers(workers)
                .seed(seed)
                .args(suite.args.iter().cloned())
                .cache(self.options.cache.clone());
            for (key, value) in &suite.env {
                builder = builder.env(key, value);
            }
            for (key, value) in &suite.config {
                builder = builder.config(key, value);
            }
            for folder in &suite.dirs {
                builder = builder.dir(folder.clone());
            }
            match &self.options.worker_program {
                Some(program) => builder.worker_program(program),
                None => builder,
            }
        };
        let wanted = (place, limits, seed, workers);
        if let Some((_, prepared)) = self.prepared.iter().find(|(what, _)| *what == wanted) {
            return Ok(prepared.start()?);
        }
        let prepared = builder().prepare()?;
        let pool = prepared.start()?;
        self.prepared.push((wanted, prepared));
        Ok(pool)
    }

    /// What comes of a case on a worker that has never run anything.
    fn alone(&mut self, place: Place, case: &Case, seed: Option<u64>) -> Result<Seen, CheckError> {
        let pool = self.pool(place, case.limits, seed, 1)?;
        Ok(run(&pool, case))
    }
}

pub(super) fn run(pool: &Pool, case: &Case) -> Seen {
    match hand_in(pool, &case.input, &case.messages) {
        Ok(pending) => pending.wait(),
        Err(why) => Seen {
            ending: Err(crate::pool::Lost::NoWorkers(why)),
            output: Vec::new(),
            posts: Vec::new(),
        },
    }
}

/// Runs all cases of a suite, and then random inputs. `told` hears when a case has run everywhere, and may show
/// how it goes.
///
/// # Errors
/// [`CheckError`] if the guest cannot be run at all.
pub fn check(
    suite: &Suite,
    options: &Options,
    mut told: impl FnMut(),
) -> Result<(Vec<Checked>, Fuzzed), CheckError> {
    let mut bench = Bench {
        suite,
        options,
        prepared: Vec::new(),
    };
    let places = Place::all(&suite.guest);
    let mut all = Vec::new();
    for case in &suite.cases {
        let checked = bench.case(case, &places)?;
        all.push(checked);
        told();
    }
    bench.among_others(&places, &mut all)?;
    bench.after_each_other(&places, &mut all)?;
    bench.under_wide_limits(&mut all)?;
    let fuzzed = bench.random_inputs()?;
    Ok((all, fuzzed))
}

impl Bench<'_> {
    /// One case in each place: the first time, and again and again.
    fn case(&mut self, case: &Case, places: &[Place]) -> Result<Checked, CheckError> {
        let start = Instant::now();
        let plainest = places[0];
        let first = self.alone(plainest, case, self.suite.seed)?;
        let mut findings = Vec::new();
        if let Some(what) = case.expected.misses(&first) {
            let missed = (Sort::Missed, what);
            findings.push(Finding::of(
                self.suite,
                case,
                plainest,
                Call::Nth(1),
                missed,
            ));
        }
        let mut jobs = 1;
        let mut least = self.options.calls;
        for &place in places {
            // What is never the same twice says nothing about places.
            if findings
                .iter()
                .any(|finding: &Finding| finding.sort == Sort::NotDeterministic)
            {
                break;
            }
            let pool = self.pool(place, case.limits, self.suite.seed, 1)?;
            let begun = Instant::now();
            let mut calls = 0;
            while calls < self.options.calls.max(1) {
                let seen = run(&pool, case);
                calls += 1;
                jobs += 1;
                // A job's number is part of its seed: only the first ones are alike.
                let comparable = self.suite.seed.is_none() || calls == 1;
                let what = match comparable && !seen.agrees(&first) {
                    true => Some(self.why_it_differs(case, place, &first, &seen)?),
                    false if calls > 1 || place != plainest => {
                        case.expected.misses(&seen).map(|what| (Sort::Missed, what))
                    }
                    false => None,
                };
                // What is wrong from the very first call on was told.
                if let Some(what) = what.filter(|_| findings.is_empty() || !seen.agrees(&first)) {
                    findings.push(Finding::of(self.suite, case, place, Call::Nth(calls), what));
                    break;
                }
                if begun.elapsed() > self.options.patience {
                    break;
                }
            }
            least = least.min(calls);
        }
        Ok(Checked {
            name: case.name.clone(),
            seen: first,
            calls: least,
            jobs,
            took: start.elapsed(),
            findings,
        })
    }

    /// Says what of the place makes the difference, as far as that can be found out.
    fn why_it_differs(
        &mut self,
        case: &Case,
        place: Place,
        first: &Seen,
        seen: &Seen,
    ) -> Result<(Sort, String), CheckError> {
        let plainest = Place {
            isolation: Isolation::Thread,
            instance: InstancePolicy::Fresh,
        };
        let lines = first.difference(seen);
        let again = self.alone(plainest, case, self.suite.seed)?;
        let once_more = self.alone(plainest, case, self.suite.seed)?;
        if !again.agrees(first) || !once_more.agrees(first) {
            const SEED: Option<u64> = Some(1);
            let seeded = [(); 3].map(|()| self.alone(plainest, case, SEED));
            let [one, two, three] = seeded;
            let one = one?;
            let why = match one.agrees(&two?) && one.agrees(&three?) {
                true => {
                    ", and not under a seed, so its random bytes or its clock decide (`seed = 1` in the manifest makes them \
                     reproducible)"
                }
                false => ", under a seed as well",
            };
            return Ok((
                Sort::NotDeterministic,
                format!(
                    "it is not deterministic: the same call comes to something else each time{why}\n{lines}"
                ),
            ));
        }
        let fresh = Place {
            instance: InstancePolicy::Fresh,
            ..place
        };
        if place.instance == InstancePolicy::Reused
            && self.alone(fresh, case, self.suite.seed)?.agrees(first)
        {
            return Ok((
                Sort::Leak,
                format!(
                    "a call leaves something behind that changes a later one on the same instance
{lines}"
                ),
            ));
        }
        Ok(match place.isolation == plainest.isolation {
            true => (
                Sort::Change,
                format!("a later call comes to something else than the first\n{lines}"),
            ),
            false => (
                Sort::Isolation,
                format!("the isolations differ: in a thread (-), in a process (+)\n{lines}"),
            ),
        })
    }

    /// Cases by limits: those of a group can share a pool.
    fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups: Vec<Vec<usize>> = Vec::new();
        let cases = &self.suite.cases;
        for place in 0..cases.len() {
            match groups
                .iter_mut()
                .find(|group| cases[group[0]].limits == cases[place].limits)
            {
                Some(group) => group.push(place),
                None => groups.push(vec![place]),
            }
        }
        groups
    }

    /// All cases of a group at once, by turns, on as many workers as there are CPUs.
    fn among_others(&mut self, places: &[Place], all: &mut [Checked]) -> Result<(), CheckError> {
        const ROUNDS: usize = 5;
        let mut rng = fastrand::Rng::with_seed(self.options.seed);
        let workers = crate::wait::cpus().max(2);
        for group in self.groups() {
            for &place in places {
                // Its findings stand for all that would be found here.
                let sound: Vec<usize> = group
                    .iter()
                    .copied()
                    .filter(|&case| all[case].findings.is_empty())
                    .collect();
                if self.suite.seed.is_some() || sound.is_empty() {
                    continue;
                }
                let pool = self.pool(place, self.suite.cases[group[0]].limits, None, workers)?;
                let begun = Instant::now();
                for _ in 0..ROUNDS {
                    let mut order = sound.clone();
                    rng.shuffle(&mut order);
                    let pending: Vec<_> = order
                        .iter()
                        .map(|&case| {
                            let case = &self.suite.cases[case];
                            hand_in(&pool, &case.input, &case.messages)
                        })
                        .collect();
                    for (case, pending) in order.into_iter().zip(pending) {
                        let checked = &mut all[case];
                        checked.jobs += 1;
                        let Ok(seen) = pending.map(Pending::wait) else {
                            continue;
                        };
                        if !seen.agrees(&checked.seen)
                            && !seen.is_a_matter_of_time(&checked.seen)
                            && checked.findings.is_empty()
                        {
                            let what = format!(
                                "it comes to something else while others run beside it or before it\n{}",
                                checked.seen.difference(&seen)
                            );
                            let case = &self.suite.cases[case];
                            let what = (Sort::Change, what);
                            let call = Call::Among(workers);
                            let finding = Finding::of(self.suite, case, place, call, what);
                            checked.findings.push(finding);
                        }
                    }
                    if begun.elapsed() > self.options.patience {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// Each case after each other one, on one instance that is kept.
    fn after_each_other(
        &mut self,
        places: &[Place],
        all: &mut [Checked],
    ) -> Result<(), CheckError> {
        let is_kept = |place: &&Place| place.instance == InstancePolicy::Reused;
        for group in self.groups() {
            for &place in places.iter().filter(is_kept) {
                if self.suite.seed.is_some() {
                    continue;
                }
                let begun = Instant::now();
                for &before in &group {
                    for &after in &group {
                        let late = begun.elapsed() > self.options.patience;
                        if late
                            || before == after
                            || !all[after].findings.is_empty()
                            || !all[before].findings.is_empty()
                        {
                            continue;
                        }
                        let cases = &self.suite.cases;
                        let pool = self.pool(place, cases[before].limits, None, 1)?;
                        let _ = run(&pool, &cases[before]);
                        let seen = run(&pool, &cases[after]);
                        let checked = &mut all[after];
                        checked.jobs += 2;
                        if !seen.agrees(&checked.seen) {
                            let what = format!(
                                "case `{}` leaves something behind that changes this one\n{}",
                                cases[before].name,
                                checked.seen.difference(&seen)
                            );
                            let what = (Sort::Leak, what);
                            let call = Call::After(cases[before].name.clone());
                            let finding = Finding::of(self.suite, &cases[after], place, call, what);
                            checked.findings.push(finding);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// The same random inputs in both isolations.
    fn random_inputs(&mut self) -> Result<Fuzzed, CheckError> {
        const LONGEST: Duration = Duration::from_millis(500);
        let mut fuzzed = Fuzzed::default();
        let usual = self
            .suite
            .cases
            .first()
            .map_or_else(Limits::default, |case| case.limits);
        let limits = Limits {
            timeout: Some(usual.timeout.unwrap_or(LONGEST).min(LONGEST)),
            ..usual
        };
        // Whatever a guest draws, both draw the same.
        let seed = Some(self.suite.seed.unwrap_or(self.options.seed));
        let inputs = random::inputs(
            &self.suite.cases,
            self.options.random,
            self.options.seed,
            limits.input.as_len(),
        );
        if inputs.is_empty() {
            return Ok(fuzzed);
        }
        let of = |isolation| Place {
            isolation,
            instance: InstancePolicy::Fresh,
        };
        let threads = self.pool(of(Isolation::Thread), limits, seed, 1)?;
        let processes = self.pool(of(Isolation::Process), limits, seed, 1)?;
        let begun = Instant::now();
        for (number, input) in inputs.iter().enumerate() {
            let [one, other] =
                [&threads, &processes].map(|pool| hand_in(pool, input, &[]).map(Pending::wait));
            let (Ok(one), Ok(other)) = (one, other) else {
                continue;
            };
            fuzzed.inputs += 1;
            fuzzed.trapped += usize::from(matches!(one.ending, Ok(Outcome::Trapped { .. })));
            // A deadline that only one of them met may be the machine's doing: with time enough it shows.
            let (one, other) = match one.is_a_matter_of_time(&other) {
                true => {
                    let longer = Limits {
                        timeout: Some(10 * LONGEST),
                        ..limits
                    };
                    let mut again = |isolation| {
                        let pool = self.pool(of(isolation), longer, seed, 1)?;
                        Ok::<_, CheckError>(hand_in(&pool, input, &[]).map(Pending::wait))
                    };
                    match (again(Isolation::Thread)?, again(Isolation::Process)?) {
                        (Ok(one), Ok(other)) => (one, other),
                        _ => continue,
                    }
                }
                false => (one, other),
            };
            let what = match (&one.ending, &other.ending) {
                _ if !one.agrees(&other) => Some((
                    Sort::Isolation,
                    format!(
                        "the isolations differ: in a thread (-), in a process (+)\n{}",
                        one.difference(&other)
                    ),
                )),
                (Err(lost), _) | (_, Err(lost)) => Some((Sort::Break, lost.to_string())),
                (Ok(outcome @ Outcome::InterfaceViolation(_)), _) => {
                    Some((Sort::Break, outcome.to_string()))
                }
                _ => None,
            };
            if let Some((sort, what)) = what
                && fuzzed.findings.is_empty()
            {
                let what = format!("{what}\ninput: {}", super::seen::beginning(input));
                let call = Call::Random {
                    number,
                    seed: self.options.seed,
                };
                fuzzed.findings.push(Finding::of_input(call, sort, what));
            }
            if begun.elapsed() > 10 * self.options.patience {
                break;
            }
        }
        Ok(fuzzed)
    }
}
