//! Cases among the others, and after each other.

use std::time::Instant;

use super::bench::{Bench, Wanted, run};
use super::finding::{Call, Finding, Sort};
use super::manifest::CheckError;
use super::places::Place;
use super::runs::Checked;
use super::seen::{Given, Pending, hand_in};
use crate::runtime::InstancePolicy;

impl Bench<'_> {
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
    pub(super) fn among_others(
        &mut self,
        places: &[Place],
        all: &mut [Checked],
    ) -> Result<(), CheckError> {
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
                if self.suite.seed.is_some() || sound.is_empty() || self.stopped().is_some() {
                    continue;
                }
                let limits = self.suite.cases[group[0]].limits;
                let wanted = Wanted {
                    workers,
                    ..Wanted::one(place, limits, None)
                };
                let pool = self.pool(wanted)?;
                let begun = Instant::now();
                for _ in 0..ROUNDS {
                    let mut order = sound.clone();
                    rng.shuffle(&mut order);
                    let pending: Vec<_> = order
                        .iter()
                        .map(|&case| hand_in(&pool, &Given::of(&self.suite.cases[case])))
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
    pub(super) fn after_each_other(
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
                        let late =
                            begun.elapsed() > self.options.patience || self.stopped().is_some();
                        if late
                            || before == after
                            || !all[after].findings.is_empty()
                            || !all[before].findings.is_empty()
                        {
                            continue;
                        }
                        let cases = &self.suite.cases;
                        let pool = self.pool(Wanted::one(place, cases[before].limits, None))?;
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
}
