//! Cases where they may use more than they say.
//!
//! A guest that is denied memory may go on, and come to something else: no outcome says so. With twice as much it
//! shows. Tight limits are not tried: what a guest needs of stack, and of tables beside its memory, no job tells.

use super::finding::{Call, Finding, Sort};
use super::manifest::CheckError;
use super::places::Place;
use super::runs::{Bench, Checked, run};
use crate::job::{Limits, Outcome, TrapKind};
use crate::options::Isolation;
use crate::runtime::InstancePolicy;
use crate::units::ByteSize;

impl Bench<'_> {
    /// Each case once more in both isolations, with twice the memory, stack and output, and no fuel counted.
    pub(super) fn under_wide_limits(&mut self, all: &mut [Checked]) -> Result<(), CheckError> {
        for (case, checked) in self.suite.cases.iter().zip(all) {
            // What a limit ended is to end otherwise without it; and one finding is enough.
            if !checked.findings.is_empty() || is_ended_by_a_limit(checked) {
                continue;
            }
            for isolation in Isolation::ALL {
                let place = Place {
                    isolation,
                    instance: InstancePolicy::Fresh,
                };
                let pool = self.pool(place, wide(case.limits), self.suite.seed, 1)?;
                let seen = run(&pool, case);
                checked.jobs += 1;
                if !seen.agrees(&checked.seen) && !seen.is_a_matter_of_time(&checked.seen) {
                    let what = format!(
                        "its limits decide what it comes to, and no outcome says so: under its own (-), with twice as much (+)\n{}",
                        checked.seen.difference(&seen)
                    );
                    let what = (Sort::Limits, what);
                    let finding = Finding::of(self.suite, case, place, Call::UnderWideLimits, what);
                    checked.findings.push(finding);
                    break;
                }
            }
        }
        Ok(())
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
