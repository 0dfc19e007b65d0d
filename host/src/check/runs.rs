//! The runs of a check, in their order, and what they come to.

use std::time::Duration;

use super::bench::{Bench, Options};
use super::case::Case;
use super::finding::{Finding, Sort};
use super::manifest::CheckError;
use super::places::Place;
use super::seen::Seen;
use super::suite::Suite;

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
    /// What a call costs in each place.
    pub costs: Vec<Cost>,
    /// Fuel that a call takes in a thread on a fresh instance, about one for each instruction of the guest; `None`
    /// where it was not counted ([`Options::work`]).
    pub work: Option<u64>,
    /// Whether there was no time for each of the limits.
    pub hurried: bool,
    /// What is wrong with it; the first of each sort.
    pub findings: Vec<Finding>,
}

/// What a call costs in one place.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Where.
    pub place: Place,
    /// How many calls there were.
    pub calls: usize,
    /// The median, from the moment when a worker takes the job up to its reply.
    pub wall: Duration,
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

impl Checked {
    /// A case that was seen once.
    pub(super) fn of(case: &Case, seen: Seen) -> Self {
        Self {
            name: case.name.clone(),
            seen,
            calls: 0,
            jobs: 1,
            took: Duration::ZERO,
            costs: Vec::new(),
            work: None,
            hurried: false,
            findings: Vec::new(),
        }
    }

    /// Whether something of this sort was found.
    pub(super) fn has(&self, sort: Sort) -> bool {
        self.findings.iter().any(|finding| finding.sort == sort)
    }
}

impl Cost {
    /// `None` where there was no call.
    pub(super) fn of(place: Place, mut walls: Vec<Duration>) -> Option<Self> {
        let calls = walls.len();
        let middle = walls.len().checked_sub(1)? / 2;
        let (_, &mut wall, _) = walls.select_nth_unstable(middle);
        Some(Self { place, calls, wall })
    }
}

/// What a check came to.
#[derive(Clone, Debug)]
pub struct Report {
    /// The cases, in their order; those that were not reached are not there.
    pub cases: Vec<Checked>,
    /// The random inputs.
    pub random: Fuzzed,
    /// The signal that ended it before its end ([`Options::stop`]).
    pub interrupted_by: Option<i32>,
}

impl Report {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_well(&self) -> bool {
        self.random.findings.is_empty() && self.cases.iter().all(|case| case.findings.is_empty())
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
) -> Result<Report, CheckError> {
    let mut bench = Bench::new(suite, options);
    let places = Place::all(&suite.guest);
    let mut cases = Vec::new();
    for case in &suite.cases {
        if bench.stopped().is_some() {
            break;
        }
        let mut checked = bench.case(case, &places)?;
        bench.at_its_limits(case, &mut checked)?;
        cases.push(checked);
        told();
    }
    let mut random = Fuzzed::default();
    if bench.stopped().is_none() {
        bench.among_others(&places, &mut cases)?;
        bench.after_each_other(&places, &mut cases)?;
        random = bench.random_inputs()?;
    }
    Ok(Report {
        cases,
        random,
        interrupted_by: bench.stopped(),
    })
}
