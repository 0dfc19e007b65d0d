//! What comes of a case at its limits.
//!
//! With twice as much as it may use, with exactly what it took, and with less: a guest that is denied something may
//! say so, by refusing, by a trap or by the limit's own outcome. One that goes on and comes to something else in silence
//! gives wrong answers to whoever runs it under a lower limit or on a larger input.

use std::time::{Duration, Instant};

use super::bench::{Bench, Wanted, run, run_given};
use super::case::Case;
use super::finding::{Call, Finding, Sort};
use super::manifest::CheckError;
use super::places::Place;
use super::runs::Checked;
use super::seen::{Given, Seen};
use crate::job::{Limits, Outcome, TrapKind};
use crate::options::Isolation;
use crate::pool::Pool;
use crate::runtime::Drill;
use crate::units::ByteSize;

/// How the limits of a call differ from those of its case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Squeeze {
    /// Twice the memory, stack and output, and no fuel counted.
    Wide,
    /// The memory and the output that it took, to the byte.
    Exact,
    /// A page of memory less than it took.
    LessMemory,
    /// A byte of output less than it said.
    LessOutput,
    /// So much stack.
    Stack(ByteSize),
    /// So much time.
    Time(Duration),
    /// Its own limits, after a call that was stopped at its deadline.
    AfterTime,
}

/// A page of wasm memory.
const PAGE: u64 = 64 << 10;

/// Stacks that are tried: what a thread of a small machine has, and the least.
const STACKS: [ByteSize; 2] = [ByteSize::from_kib(64), ByteSize::from_kib(16)];

/// What is shorter cannot be stopped with any certainty.
const SHORTEST: Duration = Duration::from_millis(4);

/// What a guest comes to with less than it needs.
#[derive(Clone, Copy, PartialEq)]
enum Must {
    /// The very same.
    BeTheSame,
    /// The same, or an ending that says so.
    SaySo,
}

impl Bench<'_> {
    /// A case under wider and under tighter limits than its own, in both isolations.
    pub(super) fn at_its_limits(
        &mut self,
        case: &Case,
        checked: &mut Checked,
    ) -> Result<(), CheckError> {
        if self.options.work {
            checked.work = self.work(case, checked)?;
        }
        // What a limit ended is to end otherwise without it; and one finding is enough.
        if case.depends_on_limits || !checked.findings.is_empty() || is_ended_by_a_limit(checked) {
            return Ok(());
        }
        let begun = Instant::now();
        for (squeeze, limits, must) in squeezes(case.limits, &checked.seen) {
            if begun.elapsed() > self.options.patience || self.stopped().is_some() {
                checked.hurried = true;
                return Ok(());
            }
            if let Some(finding) = self.squeezed(case, checked, squeeze, limits, must)? {
                checked.findings.push(finding);
                return Ok(());
            }
        }
        let quickest = checked.costs.iter().map(|cost| cost.wall).min();
        match quickest {
            Some(wall) if wall >= SHORTEST => self.at_its_deadline(case, checked, wall / 2),
            _ => Ok(()),
        }
    }

    fn squeezed(
        &self,
        case: &Case,
        checked: &mut Checked,
        squeeze: Squeeze,
        limits: Limits,
        must: Must,
    ) -> Result<Option<Finding>, CheckError> {
        let mut both: Vec<Seen> = Vec::new();
        for place in Isolation::ALL.map(Place::fresh) {
            let wanted = Wanted::one(place, limits, self.suite.seed);
            let seen = run(&self.pool_for_once(wanted, Drill::Weigh)?, case);
            checked.jobs += 1;
            let found = |sort, what: String| {
                let call = Call::Squeezed(squeeze);
                Some(Finding::of(self.suite, case, place, call, (sort, what)))
            };
            if seen.is_a_matter_of_time(&checked.seen) {
                continue;
            }
            let is_told = must == Must::SaySo && says_so(&seen);
            if !seen.agrees(&checked.seen) && !is_told {
                let lines = checked.seen.difference(&seen);
                return Ok(found(
                    Sort::Limits,
                    format!(
                        "its limits decide what it comes to, and no outcome says so: under its own (-), {squeeze} (+)\n{lines}"
                    ),
                ));
            }
            // How deep a stack is when it ends depends on the code, which is another in each isolation.
            let is_of_code = matches!(squeeze, Squeeze::Stack(_));
            if let Some(one) = both.first().filter(|one| !one.agrees(&seen) && !is_of_code) {
                let lines = one.difference(&seen);
                return Ok(found(
                    Sort::Isolation,
                    format!("the isolations differ: in a thread (-), in a process (+)\n{lines}"),
                ));
            }
            both.push(seen);
        }
        Ok(None)
    }

    /// A call that is stopped in its middle, and then one that is not.
    fn at_its_deadline(
        &mut self,
        case: &Case,
        checked: &mut Checked,
        timeout: Duration,
    ) -> Result<(), CheckError> {
        let short = Given {
            timeout: Some(timeout),
            ..Given::of(case)
        };
        for place in Place::all(&self.suite.guest) {
            let pool = self.pool(Wanted::one(place, case.limits, self.suite.seed))?;
            let stopped = run_given(&pool, &short);
            let is_told = stopped.agrees(&checked.seen) || says_so(&stopped);
            let (squeeze, sort, seen) = match is_told {
                false => (Squeeze::Time(timeout), Sort::Limits, stopped),
                // A job's number is part of its seed.
                true if self.suite.seed.is_some() => continue,
                true => (Squeeze::AfterTime, Sort::Leak, run(&pool, case)),
            };
            checked.jobs += 2;
            if !seen.agrees(&checked.seen) && !seen.is_a_matter_of_time(&checked.seen) {
                let lines = checked.seen.difference(&seen);
                let what = format!("it comes to something else {squeeze} (+)\n{lines}");
                let call = Call::Squeezed(squeeze);
                let finding = Finding::of(self.suite, case, place, call, (sort, what));
                checked.findings.push(finding);
                return Ok(());
            }
        }
        Ok(())
    }

    /// Fuel that a call takes in a thread, on a fresh instance.
    fn work(&self, case: &Case, checked: &mut Checked) -> Result<Option<u64>, CheckError> {
        /// More than any job takes.
        const FUEL: u64 = 1 << 62;
        let limits = Limits {
            fuel: case.limits.fuel.or(Some(FUEL)),
            ..case.limits
        };
        let wanted = Wanted::one(Place::fresh(Isolation::Thread), limits, self.suite.seed);
        let pool: Pool = self.pool_for_once(wanted, Drill::Weigh)?;
        let seen = run(&pool, case);
        checked.jobs += 1;
        Ok(seen.weight.map(|weight| weight.work))
    }
}

fn is_ended_by_a_limit(checked: &Checked) -> bool {
    matches!(
        checked.seen.ending,
        Ok(Outcome::Deadline
            | Outcome::OutOfFuel
            | Outcome::MemoryLimit
            | Outcome::OutputLimit
            | Outcome::Trapped {
                kind: TrapKind::StackOverflow,
                ..
            })
    )
}

/// Whether who looks at the ending knows that there is no answer.
fn says_so(seen: &Seen) -> bool {
    matches!(&seen.ending, Ok(outcome) if *outcome != Outcome::Output)
}

/// The limits to try, the widest first, as far as what the case took can be cut at all.
fn squeezes(own: Limits, seen: &Seen) -> Vec<(Squeeze, Limits, Must)> {
    let mut all = vec![(Squeeze::Wide, wide(own), Must::BeTheSame)];
    let said = seen.said();
    if let Some(weight) = seen.weight {
        let exact = Limits {
            memory: ByteSize::from_bytes(weight.charged.max(1)),
            output: ByteSize::from_bytes(said.max(1)),
            ..own
        };
        all.push((Squeeze::Exact, exact, Must::BeTheSame));
        // Where all was there from the beginning, with less it cannot begin.
        if weight.after > weight.before {
            let memory = ByteSize::from_bytes(weight.charged.saturating_sub(PAGE).max(1));
            let less = Limits { memory, ..own };
            all.push((Squeeze::LessMemory, less, Must::SaySo));
        }
    }
    if said > 1 {
        let output = ByteSize::from_bytes(said - 1);
        let less = Limits { output, ..own };
        all.push((Squeeze::LessOutput, less, Must::SaySo));
    }
    for stack in STACKS.into_iter().filter(|&stack| stack < own.stack) {
        let less = Limits { stack, ..own };
        all.push((Squeeze::Stack(stack), less, Must::SaySo));
    }
    all
}

/// Twice as much, as far as that can be set: the bounds are those of the command line.
fn wide(limits: Limits) -> Limits {
    const MOST_STACK: ByteSize = ByteSize::from_mib(1024);
    const MOST_OUTPUT: ByteSize = ByteSize::from_mib(2047);
    let twice = |size: ByteSize| ByteSize::from_bytes(size.bytes().saturating_mul(2));
    Limits {
        memory: twice(limits.memory),
        stack: twice(limits.stack).min(MOST_STACK),
        output: twice(limits.output).min(MOST_OUTPUT),
        fuel: None,
        ..limits
    }
}

impl std::fmt::Display for Squeeze {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wide => f.write_str("under wide limits"),
            Self::Exact => f.write_str("with exactly what it took"),
            Self::LessMemory => f.write_str("with a page of memory less than it took"),
            Self::LessOutput => f.write_str("with a byte of output less than it said"),
            Self::Stack(stack) => write!(f, "with {stack} of stack"),
            Self::Time(time) => {
                write!(f, "with {} of time", crate::units::TimeSpan::new(*time))
            }
            Self::AfterTime => f.write_str("after a call that was stopped at its deadline"),
        }
    }
}
