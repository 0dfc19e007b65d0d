//! One case in each place: the first time, and again and again.

use std::time::{Duration, Instant};

use super::bench::{Bench, Wanted, run};
use super::case::Case;
use super::finding::{Call, Finding, Sort};
use super::growth::Growth;
use super::manifest::CheckError;
use super::places::Place;
use super::runs::{Checked, Cost};
use super::seen::Seen;
use crate::job::Outcome;
use crate::options::Isolation;
use crate::runtime::InstancePolicy;

/// What a series of calls in one place came to.
struct Series {
    calls: usize,
    walls: Vec<Duration>,
    /// What is wrong, and at which call.
    wrong: Option<(usize, Sort, String)>,
}

impl Bench<'_> {
    /// Runs a case in each of these places.
    pub(super) fn case(&mut self, case: &Case, places: &[Place]) -> Result<Checked, CheckError> {
        let start = Instant::now();
        let plainest = places[0];
        let first = self.alone(plainest, case, self.suite.seed)?;
        let mut checked = Checked::of(case, first);
        if let Some(what) = case.expected.misses(&checked.seen) {
            let missed = (Sort::Missed, what);
            let finding = Finding::of(self.suite, case, plainest, Call::Nth(1), missed);
            checked.findings.push(finding);
        }
        let mut least = self.options.calls;
        for &place in places {
            // What is never the same twice says nothing about places.
            if checked.has(Sort::NotDeterministic) || self.stopped().is_some() {
                break;
            }
            let series = self.series(case, place, plainest, &checked)?;
            checked.jobs += series.calls as u64;
            least = least.min(series.calls);
            checked.costs.extend(Cost::of(place, series.walls));
            if let Some((call, sort, what)) = series.wrong {
                let call = Call::Nth(call);
                let finding = Finding::of(self.suite, case, place, call, (sort, what));
                checked.findings.push(finding);
            }
        }
        // What was not reached ran nowhere.
        checked.calls = if checked.costs.is_empty() { 0 } else { least };
        checked.took = start.elapsed();
        Ok(checked)
    }

    fn series(
        &mut self,
        case: &Case,
        place: Place,
        plainest: Place,
        checked: &Checked,
    ) -> Result<Series, CheckError> {
        let first = &checked.seen;
        let pool = self.pool(Wanted::one(place, case.limits, self.suite.seed))?;
        let mut growth = Growth::up_to(case.limits.memory);
        let mut series = Series {
            calls: 0,
            walls: Vec::new(),
            wrong: None,
        };
        let begun = Instant::now();
        let one_more = |series: &mut Series, growth: &mut Growth| {
            let seen = run(&pool, case);
            series.calls += 1;
            series.walls.push(seen.wall);
            growth.weigh(series.calls, &seen);
            seen
        };
        while series.calls < self.options.calls.max(1) {
            let seen = one_more(&mut series, &mut growth);
            // A job's number is part of its seed: only the first ones are alike.
            let comparable = self.suite.seed.is_none() || series.calls == 1;
            let what = match comparable && !seen.agrees(first) {
                true => Some(self.why_it_differs(case, place, first, &seen, &growth)?),
                false if series.calls > 1 || place != plainest => {
                    case.expected.misses(&seen).map(|what| (Sort::Missed, what))
                }
                false => None,
            };
            // What is wrong from the very first call on was told.
            let is_news = checked.findings.is_empty() || !seen.agrees(first);
            if let Some((sort, what)) = what.filter(|_| is_news) {
                series.wrong = Some((series.calls, sort, what));
                return Ok(series);
            }
            if begun.elapsed() > self.options.patience || self.stopped().is_some() {
                break;
            }
        }
        if self.stopped().is_none()
            && place.instance == InstancePolicy::Reused
            && !checked.has(Sort::Growth)
        {
            let first_part = series.calls;
            while growth.is_in_doubt(first_part, series.calls) && self.stopped().is_none() {
                let seen = one_more(&mut series, &mut growth);
                if !seen.agrees(first) && self.suite.seed.is_none() {
                    let (sort, what) = self.why_it_differs(case, place, first, &seen, &growth)?;
                    series.wrong = Some((series.calls, sort, what));
                    return Ok(series);
                }
            }
            if let Some(what) = growth.is_endless(first_part, series.calls) {
                series.wrong = Some((series.calls, Sort::Growth, what));
            }
        }
        Ok(series)
    }

    /// Says what of the place makes the difference, as far as that can be found out.
    fn why_it_differs(
        &mut self,
        case: &Case,
        place: Place,
        first: &Seen,
        seen: &Seen,
        growth: &Growth,
    ) -> Result<(Sort, String), CheckError> {
        let plainest = Place::fresh(Isolation::Thread);
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
        let fresh = Place::fresh(place.isolation);
        if place.instance == InstancePolicy::Reused
            && self.alone(fresh, case, self.suite.seed)?.agrees(first)
        {
            if let (Ok(Outcome::MemoryLimit), Some(grown)) = (&seen.ending, growth.to_the_limit()) {
                return Ok((Sort::Growth, format!("{grown}\n{lines}")));
            }
            return Ok((
                Sort::Leak,
                format!(
                    "a call leaves something behind that changes a later one on the same instance\n{lines}"
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
}
