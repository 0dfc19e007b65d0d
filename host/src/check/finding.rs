//! What a check finds.

use std::fmt;

use super::case::Case;
use super::limits::Squeeze;
use super::places::Place;
use super::suite::Suite;
use crate::guest::Entry;
use crate::job::Limits;

/// Something that is not as it was said to be, or not the same everywhere.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The case, where one is to blame.
    pub case: Option<String>,
    /// Where it was seen; `None` where that was in both isolations.
    pub place: Option<Place>,
    /// At what call.
    pub call: Call,
    /// What it is.
    pub sort: Sort,
    /// The same in words, with both sides.
    pub what: String,
    /// A command that looks again.
    pub again: String,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sort {
    /// It is not what was expected.
    Missed,
    /// It is something else each time.
    NotDeterministic,
    /// One call changes another on the same instance.
    Leak,
    /// Threads and processes do not agree.
    Isolation,
    /// It changes from one call to the next, for no reason that could be found.
    Change,
    /// It is something else where more or less may be used, and no outcome says so.
    Limits,
    /// Its memory grows from call to call, and does not come to an end.
    Growth,
    /// It takes more than it took once: see [`Baseline`](super::Baseline).
    Regression,
    /// Told what it was told once, it says something else.
    Replay,
    /// The guest breaks the interface, or its worker dies.
    Break,
}

/// Which call it was.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Call {
    /// The n-th of its case on one worker, from 1.
    Nth(usize),
    /// One among all others, on so many workers.
    Among(usize),
    /// The one after that of another case, on the same instance.
    After(String),
    /// The first, under other limits than the case's own.
    Squeezed(Squeeze),
    /// All of them, against what they took once.
    AgainstBaseline,
    /// The first, told what a record says.
    Replayed,
    /// That of a random input.
    Random {
        /// Its place, from 0.
        number: usize,
        /// What it was made from.
        seed: u64,
    },
}

impl Finding {
    pub(super) fn of(
        suite: &Suite,
        case: &Case,
        place: Place,
        call: Call,
        (sort, what): (Sort, String),
    ) -> Self {
        let again = match (&call, typed(suite, case)) {
            // It is the memory that has to be looked at.
            (Call::Nth(_), _) if sort == Sort::Growth => suite.again(&["--filter", &case.name]),
            (Call::Nth(1), Some(input)) => {
                format!(
                    "cofferdam run {} {input} {}",
                    place.options(),
                    suite.guest.name()
                )
            }
            (Call::Nth(count), Some(input)) => format!(
                "cofferdam run {} --workers 1 --repeat {count} {input} {}",
                place.options(),
                suite.guest.name()
            ),
            (Call::Nth(_), None)
            | (Call::Squeezed(_) | Call::AgainstBaseline | Call::Replayed, _) => {
                suite.again(&["--filter", &case.name])
            }
            // It takes the others.
            (Call::Among(_) | Call::After(_) | Call::Random { .. }, _) => suite.again(&[]),
        };
        Self {
            case: Some(case.name.clone()),
            place: Some(place),
            call,
            sort,
            what,
            again,
        }
    }

    /// One of an input that belongs to no case.
    pub(super) fn of_input(suite: &Suite, call: Call, sort: Sort, what: String) -> Self {
        let again = match call {
            Call::Random { number, seed } => {
                let [count, seed] = [(number + 1).to_string(), seed.to_string()];
                suite.again(&["--random", &count, "--seed", &seed])
            }
            Call::Nth(_)
            | Call::Among(_)
            | Call::After(_)
            | Call::Squeezed(_)
            | Call::AgainstBaseline
            | Call::Replayed => suite.again(&[]),
        };
        Self {
            case: None,
            place: None,
            call,
            sort,
            what,
            again,
        }
    }

    /// Where and at what call, in words.
    #[must_use]
    pub fn at(&self) -> String {
        match self.place {
            Some(place) => format!("in a {place}, {}", self.call),
            None => format!("at {}", self.call),
        }
    }
}

/// A case's input as one can type it, where `cofferdam run` does the same without further options.
fn typed(suite: &Suite, case: &Case) -> Option<String> {
    const MOST: usize = 200;
    let around = &suite.surroundings;
    let is_told = !around.args.is_empty()
        || !around.env.is_empty()
        || !around.dirs.is_empty()
        || !around.hosts.is_empty()
        || suite.seed.is_some();
    let is_plain = matches!(
        suite.guest.entry(),
        Entry::Handle | Entry::Start | Entry::Run | Entry::Worker
    ) && !is_told
        && case.limits == Limits::default()
        && case.messages.is_empty();
    let text = std::str::from_utf8(&case.input).ok()?;
    let can_be_typed = |c: char| !c.is_control() && c != '\'';
    let is_short = text.len() <= MOST && text.chars().all(can_be_typed);
    (is_plain && is_short).then(|| format!("--input '{text}'"))
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nth(1) => f.write_str("first call"),
            Self::Nth(count) => write!(f, "call {count}"),
            Self::Among(workers) => write!(f, "among others on {workers} workers"),
            Self::After(name) => write!(f, "after `{}`", crate::mail::printable(name)),
            Self::Squeezed(squeeze) => write!(f, "first call {squeeze}"),
            Self::AgainstBaseline => f.write_str("against the baseline"),
            Self::Replayed => f.write_str("replayed"),
            Self::Random { number, seed } => write!(f, "random input {number} of seed {seed}"),
        }
    }
}
