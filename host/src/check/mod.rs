//! Does a guest do what its author says, in every place where it may run?
//!
//! A [`Case`] is an input and what is to come of it; a [`Suite`] is a guest with its cases, read from a
//! manifest ([`Suite::read`]) or put together by hand. [`check`] runs each case
//!
//! - in a thread and in a process, with a fresh instance for each job and with one that is kept, as far as the
//!   guest's kind allows,
//! - for the first time, and again and again, with an eye on the memory of an instance that is kept,
//! - under its own limits, with twice as much, with exactly what it took, with less, and stopped in its middle,
//! - among the others on several workers, and after each of the others on an instance that is kept,
//!
//! and then random inputs in both isolations. Whatever differs from what was said, or from what was seen
//! elsewhere, is a [`Finding`]: it says where, shows both sides, and how to see it again.
//!
//! What cases take can be compared with what they took once ([`Baseline`]), and what they were told can be told
//! again ([`Record`]).

mod baseline;
mod bench;
mod case;
mod finding;
mod fuzz;
mod growth;
mod limits;
mod manifest;
mod places;
mod random;
mod record;
mod runs;
mod seen;
mod series;
mod suite;
mod together;
mod update;

pub use baseline::{Baseline, Bounds};
pub use bench::Options;
pub use case::{Case, Expected, Origin, Rule};
pub use finding::{Call, Finding, Sort};
pub use limits::Squeeze;
pub use manifest::CheckError;
pub use places::Place;
pub use record::{Record, record};
pub use runs::{Checked, Cost, Fuzzed, Report, check};
pub use seen::Seen;
pub use suite::{FOLDER, MANIFEST, Suite};
