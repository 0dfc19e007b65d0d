//! Inputs that nobody thought of, in both isolations.

use std::time::{Duration, Instant};

use super::bench::{Bench, Wanted};
use super::finding::{Call, Finding, Sort};
use super::manifest::CheckError;
use super::places::Place;
use super::random;
use super::runs::Fuzzed;
use super::seen::{Given, Pending, beginning, hand_in};
use crate::job::{Limits, Outcome};
use crate::options::Isolation;

impl Bench<'_> {
    /// The same random inputs in both isolations.
    pub(super) fn random_inputs(&mut self) -> Result<Fuzzed, CheckError> {
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
        if inputs.is_empty() || self.stopped().is_some() {
            return Ok(fuzzed);
        }
        let threads = self.pool(Wanted::one(Place::fresh(Isolation::Thread), limits, seed))?;
        let processes = self.pool(Wanted::one(Place::fresh(Isolation::Process), limits, seed))?;
        let begun = Instant::now();
        for (number, input) in inputs.iter().enumerate() {
            let [one, other] = [&threads, &processes]
                .map(|pool| hand_in(pool, &Given::input(input)).map(Pending::wait));
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
                        let pool = self.pool(Wanted::one(Place::fresh(isolation), longer, seed))?;
                        Ok::<_, CheckError>(hand_in(&pool, &Given::input(input)).map(Pending::wait))
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
                let what = format!("{what}\ninput: {}", beginning(input));
                let call = Call::Random {
                    number,
                    seed: self.options.seed,
                };
                fuzzed
                    .findings
                    .push(Finding::of_input(self.suite, call, sort, what));
            }
            if begun.elapsed() > 10 * self.options.patience || self.stopped().is_some() {
                break;
            }
        }
        Ok(fuzzed)
    }
}
