//! The faults that are known, and what must happen: one table, made before anything is run.
//!
//! [`CATALOGUE`] is the table: which fault, how it is made to happen, how its job must end in each isolation,
//! and who must survive. Everything else is made from it: the twelve rows of the report ([`Fault`],
//! [`expected`]), the tests and the long runs (an [`Injector`] makes one fault happen, [`Entry::judge`] compares),
//! and the page `host/FAULTS.md` ([`document`]). What ends its host is injected in a [`sacrifice`].

mod document;
mod entry;
mod expectation;
mod injector;
mod sacrifice;
mod table;

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::Isolation;

pub use document::document;
pub use entry::{Also, Entry, How, Misdeed, Next, Proof};
pub use expectation::{Ending, Expected, Loss, Refusal};
pub use injector::{Injector, Observation, Programs, Setting};
pub use sacrifice::{sacrifice, serve_sacrifice};
pub use table::CATALOGUE;

/// What is done to a worker: the faults of the report, a part of the [`CATALOGUE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its guest traps.
    Trap,
    /// Its guest recurses without end.
    Recursion,
    /// Its guest loops without end.
    Loop,
    /// Its guest waits in the host without end.
    Wait,
    /// Its guest takes all the memory that it can get.
    Grow,
    /// Its guest floods its reply.
    Flood,
    /// Its guest hands the host a range outside its memory.
    Lie,
    /// A host function that its guest calls panics.
    HostPanic,
    /// A host function that its guest calls aborts.
    HostAbort,
    /// A host function that its guest calls touches memory that is not there.
    HostSegfault,
    /// It is killed by SIGKILL in the middle of a job.
    Kill,
    /// It is stopped by SIGSTOP in the middle of a job.
    Stop,
}

impl Fault {
    /// Every fault, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::Trap,
        Self::Recursion,
        Self::Loop,
        Self::Wait,
        Self::Grow,
        Self::Flood,
        Self::Lie,
        Self::HostPanic,
        Self::HostAbort,
        Self::HostSegfault,
        Self::Kill,
        Self::Stop,
    ];

    /// Its name in the result file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Recursion => "recursion",
            Self::Loop => "loop",
            Self::Wait => "wait",
            Self::Grow => "grow",
            Self::Flood => "flood",
            Self::Lie => "lie",
            Self::HostPanic => "host-panic",
            Self::HostAbort => "host-abort",
            Self::HostSegfault => "host-segfault",
            Self::Kill => "kill",
            Self::Stop => "stop",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "guest traps",
            Self::Recursion => "guest recurses without end",
            Self::Loop => "guest loops without end",
            Self::Wait => "guest waits without end",
            Self::Grow => "guest takes all memory",
            Self::Flood => "guest floods its reply",
            Self::Lie => "guest lies about a range",
            Self::HostPanic => "host function panics",
            Self::HostAbort => "host function aborts",
            Self::HostSegfault => "host function segfaults",
            Self::Kill => "worker gets SIGKILL",
            Self::Stop => "worker gets SIGSTOP",
        })
    }
}

/// How far a fault went.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The job that met the fault ended with a typed outcome; its worker lives, and nobody else
    /// noticed.
    Contained,
    /// The worker was lost and replaced; nobody else noticed.
    WorkerLost,
    /// Jobs of others were lost too, but the host lived.
    Spread,
    /// The host stands still, and every job with it.
    HostStopped,
    /// The host died, and every job with it.
    HostDied,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contained => "contained",
            Self::WorkerLost => "worker lost",
            Self::Spread => "spread to other jobs",
            Self::HostStopped => "host stopped",
            Self::HostDied => "host died",
        })
    }
}

/// What must happen, as the [`CATALOGUE`] has it. A thread has no signals of its own: what is sent to it,
/// its process gets.
///
/// # Panics
/// Never: a test of the catalogue wants an entry with one fate for each of these faults.
#[must_use]
pub fn expected(fault: Fault, isolation: Isolation) -> Fate {
    let entry = CATALOGUE.iter().find(|entry| entry.row == Some(fault));
    entry
        .and_then(|entry| entry.expected(isolation).fate())
        .expect("a test wants it there")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_fault_of_the_report_has_one_entry_with_one_fate_in_each_isolation() {
        for fault in Fault::ALL {
            let rows = CATALOGUE
                .iter()
                .filter(|entry| entry.row == Some(fault))
                .count();
            assert_eq!(rows, 1, "{fault}");
            for isolation in [Isolation::Thread, Isolation::Process] {
                let _ = expected(fault, isolation);
            }
        }
    }

    #[test]
    fn no_two_entries_have_the_same_name() {
        let names: BTreeSet<_> = CATALOGUE.iter().map(|entry| entry.id).collect();
        assert_eq!(names.len(), CATALOGUE.len());
    }

    #[test]
    fn every_fault_of_the_lists_is_there() {
        let there: BTreeSet<&str> = CATALOGUE.iter().map(Entry::family).collect();
        let wanted = |letter: char, count: u32| (1..=count).map(move |n| format!("{letter}{n}"));
        for family in wanted('G', 11).chain(wanted('H', 6)).chain(wanted('W', 14)) {
            assert!(there.contains(family.as_str()), "{family}");
        }
    }
}
