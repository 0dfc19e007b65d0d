//! Before anything is measured: can a plan give what a bound is on?

use std::collections::BTreeMap;

use super::{Bound, Gate, GateError, Place};
use crate::experiment::{Arm, Effort, PARTS, Part, Plan};
use crate::report::Row;
use crate::report::analysis::row;

/// Seconds that a job may take. Which rows there are depends on it: a slow job has no 99th percentile.
/// It is not known before the first jobs ran, so that a bound passes which suits any of these.
const JOBS: [f64; 7] = [1e-7, 1e-5, 1e-3, 1e-2, 1e-1, 1.0, 100.0];

/// The rows that some parts fill, and the arms that each has.
struct Outlook {
    rows: Vec<Row>,
    arms: BTreeMap<String, &'static [Arm]>,
}

impl Outlook {
    fn of(parts: &[&'static Part], effort: &Effort) -> Self {
        let (mut rows, mut arms) = (Vec::new(), BTreeMap::new());
        for part in parts {
            for spec in part.rows(effort) {
                let series = part.series(&spec.series);
                let row = row(part.experiment, series, part.twin, &spec, &BTreeMap::new());
                arms.insert(row.id(), part.arms(effort.budget));
                rows.push(row);
            }
        }
        Self { rows, arms }
    }
}

impl Gate {
    /// Finds, before anything is measured, that a plan cannot give what this bound is on: a row that is
    /// misspelt or of an experiment that was not chosen, an arm that it does not have, a unit that does
    /// not fit. A row that depends on how long a job takes may still be missing in the end.
    ///
    /// # Errors
    /// The [`GateError`] that [`Gate::check`] would give, and [`GateError::NotSelected`].
    pub fn suits_plan(&self, plan: &Plan) -> Result<(), GateError> {
        let efforts = JOBS.map(|job| plan.effort(job, job));
        let tried = |parts: &[&'static Part]| {
            let tried = efforts.map(|effort| self.suits_outlook(&Outlook::of(parts, &effort)));
            // Of several reasons the first one counts: quick jobs have most rows.
            tried
                .into_iter()
                .reduce(|first, next| first.or_else(|error| next.map_err(|_| error)))
                .unwrap_or(Ok(()))
        };
        let found = tried(&plan.parts);
        match found {
            Err(GateError::NoRow { row, .. }) if tried(&PARTS).is_ok() => {
                Err(GateError::NotSelected {
                    gate: self.text.clone(),
                    experiment: self.unplanned(plan),
                    row,
                })
            }
            found => found,
        }
    }

    /// The experiment that this bound names and that is not planned.
    fn unplanned(&self, plan: &Plan) -> String {
        let is_planned = |place: &&Place| {
            let mut parts = plan.parts.iter();
            parts.any(|part| part.experiment == place.experiment)
        };
        let other = match &self.bound {
            Bound::Arm(_, place) => Some(place),
            Bound::Baseline(_) | Bound::Value(..) => None,
        };
        let places = std::iter::once(&self.place).chain(other);
        let unplanned = places.clone().find(|place| !is_planned(place));
        unplanned.unwrap_or(&self.place).experiment.clone()
    }

    fn suits_outlook(&self, outlook: &Outlook) -> Result<(), GateError> {
        let row = self.foreseen(outlook, &self.place)?;
        match &self.bound {
            Bound::Baseline(_) => Ok(()),
            Bound::Arm(_, place) => self.alike(row, self.foreseen(outlook, place)?),
            Bound::Value(_, units) => self.fits(row, units),
        }
    }

    /// The row of a place, if it has the arm too.
    fn foreseen<'o>(&self, outlook: &'o Outlook, place: &Place) -> Result<&'o Row, GateError> {
        let row = self.find(&outlook.rows, "the plan", place)?;
        let arms = outlook.arms.get(&row.id()).copied().unwrap_or_default();
        if arms.contains(&place.arm) {
            return Ok(row);
        }
        Err(GateError::NoArm {
            gate: self.text.clone(),
            which: "the plan",
            row: row.id(),
            arm: place.arm,
            there: arms.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::{Budget, Selection, Subject};
    use crate::guest::Guest;
    use crate::job::Limits;
    use crate::runtime::{Cache, InstancePolicy};

    fn plan(experiments: &[&str], budget: Budget) -> Plan {
        let subject = Subject {
            guest: Guest::embedded("echo").unwrap(),
            surroundings: crate::pool::Surroundings::default(),
            inputs: vec![Vec::new()],
            limits: Limits::default(),
            hardening: crate::options::Hardening::default(),
            instance: InstancePolicy::Fresh,
            cache: Cache::off(),
        };
        let names = experiments.iter().map(|&name| name.to_owned());
        let selection = match experiments {
            [] => Selection::Usual,
            _ => Selection::these(names).unwrap(),
        };
        Plan::new(subject, budget, 1).select(&selection)
    }

    fn told(gate: &str, plan: &Plan) -> String {
        let gate: Gate = gate.parse().unwrap();
        gate.suits_plan(plan).unwrap_err().to_string()
    }

    #[test]
    fn every_row_that_a_job_of_any_length_gives_can_be_bound() {
        let plan = plan(&[], Budget::Default);
        for effort in JOBS.map(|job| plan.effort(job, job)) {
            for row in Outlook::of(&plan.parts, &effort).rows {
                let (above, below) = row.compared;
                let gate = format!("{above}.{} > 1.5x {below}.{}", row.id(), row.id());
                let gate: Gate = gate.parse().unwrap();
                assert_eq!(gate.suits_plan(&plan), Ok(()), "{gate}");
            }
        }
    }

    #[test]
    fn a_misspelt_row_is_told_with_the_nearest() {
        let text = told("process.job.p5 > 50ms", &plan(&[], Budget::Default));
        assert!(text.contains("the plan has no row job.p5"), "{text}");
        assert!(text.contains("job.p50"), "{text}");
        let second = "process.job.p50 > 2x thread.job.p500";
        let text = told(second, &plan(&[], Budget::Default));
        assert!(text.contains("no row job.p500"), "{text}");
    }

    #[test]
    fn a_row_of_an_experiment_that_is_not_chosen_is_told_with_it() {
        let only = plan(&["message"], Budget::Default);
        let text = told("process.job.p50 > 50ms", &only);
        assert!(text.contains("the experiment `job`"), "{text}");
        assert!(text.contains("--experiments"), "{text}");
        let first = "process.message.round_trip[payload=64] > 2x thread.job.p50";
        let text = told(first, &only);
        assert!(text.contains("the experiment `job`"), "{text}");
        // What a quick look leaves out.
        let quick = plan(&[], Budget::Quick);
        let text = told("process.scaling.own[workers=1] > 5 jobs/s", &quick);
        assert!(text.contains("scaling"), "{text}");
    }

    #[test]
    fn an_arm_or_a_unit_that_the_row_does_not_have_is_told() {
        let plan = plan(&[], Budget::Default);
        let text = told("exec.job.p50 > 50ms", &plan);
        assert!(text.contains("the plan has no exec in job.p50"), "{text}");
        let text = told("process.job.p50 > 64KiB", &plan);
        assert!(text.contains("is a time"), "{text}");
        let text = told(
            "process.job.p50 > 2x thread.job.throughput[workers=1]",
            &plan,
        );
        assert!(text.contains("no factor"), "{text}");
    }
}
