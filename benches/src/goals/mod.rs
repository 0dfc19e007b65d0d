//! The goals of speed: one file each, and what they have in common.
//!
//! A goal is a ratio of two arms that are measured by turns, or a time. Which arms, who holds the
//! stopwatch and whom that flatters is told in `benches/METHODOLOGY.md`.

mod cpu_bound;
mod dispatch;
mod finding;
mod growth;
mod guest_speed;
mod hardening;
mod memory;
mod placement;
mod record;
mod recovery;
mod round_trip_large;
mod round_trip_parked;
mod round_trip_spinning;
mod runaway;
mod start_process;
mod start_spare;
mod start_thread;
mod text;
mod turns;
mod two_cores;
mod wait_auto;

use crate::Failure;

pub use finding::{ArmRow, Bound, Finding, Measured, Part, Unit, Verdict};
pub use memory::hold;
pub use record::record;
pub use round_trip_parked::placed;
pub use text::{Style, details, doubts, header, table};
pub use turns::{Arm, CONTROL, Column, Times, Turns, repeated};

/// One goal.
#[derive(Clone, Copy)]
pub struct Goal {
    /// As the list of goals has it.
    pub id: &'static str,
    /// What it is about, in a few words.
    pub title: &'static str,
    /// Whether it is measured unless it is asked for by name.
    pub usual: Usual,
    /// Measures it.
    pub measure: fn(&Setting<'_>) -> Result<Finding, Failure>,
}

/// Whether a goal is measured unless it is asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usual {
    /// Always.
    Always,
    /// It takes minutes.
    ByName,
}

/// All goals, in the order of the list.
pub const GOALS: [Goal; 16] = [
    start_thread::GOAL,
    start_process::GOAL,
    start_spare::GOAL,
    round_trip_spinning::GOAL,
    round_trip_parked::GOAL,
    round_trip_large::GOAL,
    cpu_bound::GOAL,
    guest_speed::GOAL,
    memory::GOAL,
    two_cores::GOAL,
    recovery::GOAL,
    dispatch::GOAL,
    runaway::GOAL,
    wait_auto::GOAL,
    hardening::GOAL,
    growth::GOAL,
];

/// How much work is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effort {
    /// The least that gives an interval.
    Quick,
    /// As many rounds as the goal is worth.
    Full,
    /// So many rounds.
    Rounds(usize),
}

/// How a goal is measured.
#[derive(Clone, Copy)]
pub struct Setting<'a> {
    /// How much work.
    pub effort: Effort,
    /// Decides the order of the arms.
    pub seed: u64,
    /// Is told how many rounds of how many are done.
    pub progress: &'a dyn Fn(usize, usize),
}

impl<'a> Setting<'a> {
    /// Turns of this many rounds, unless the user has said otherwise.
    #[must_use]
    pub fn turns(&self, full: usize) -> Turns<'a> {
        let rounds = match self.effort {
            Effort::Quick => 6,
            Effort::Full => full,
            Effort::Rounds(rounds) => rounds,
        };
        Turns {
            rounds,
            seed: self.seed,
            progress: self.progress,
        }
    }
}
