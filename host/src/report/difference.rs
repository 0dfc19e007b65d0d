//! Two results of two machines, two versions or two days: what differs?

mod text;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::claims::ClaimVerdict;
use super::result::{Comparison, ContainmentRow, Row};
use super::rounds::values;
use crate::experiment::{Arm, Fate, Fault, Unit};
use crate::options::Isolation;
use crate::stats::{Better, Interval, factor_interval};

pub use text::render_difference;

/// What differs between two results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The first result.
    pub before: Origin,
    /// The second.
    pub after: Origin,
    /// Whether both measured the same bytes. Where they did not, the numbers are of two guests.
    pub same_guest: bool,
    /// What differs in the guest: its name, its size, its digest, its inputs.
    pub guest: Vec<Change>,
    /// What differs in the machine, its load and pressure at that time included.
    pub machine: Vec<Change>,
    /// What differs in the versions of cofferdam and wasmtime.
    pub versions: Vec<Change>,
    /// What differs in the settings, the seed included.
    pub settings: Vec<Change>,
    /// The rows that both have, in the order of the second.
    pub rows: Vec<RowDifference>,
    /// Rows and arms of rows that only the first has: `job.p50`, `fuel of job.p50`.
    pub only_before: Vec<String>,
    /// The same that only the second has.
    pub only_after: Vec<String>,
    /// Claims whose verdict is another one.
    pub claims: Vec<ClaimChange>,
    /// Faults that ended in another way.
    pub containment: Vec<ContainmentChange>,
}

/// Where one of the two results comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The guest, as it was asked for.
    pub guest: String,
    /// The machine in a line.
    pub machine: String,
    /// The version of cofferdam.
    pub cofferdam: String,
    /// When its measuring began, in seconds since 1970.
    pub unix_time: u64,
    /// Whether every planned experiment was done.
    pub complete: bool,
}

/// A field that is not the same in both.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its name in the result file.
    pub name: String,
    /// What the first has, in the units of the result file.
    pub before: Value,
    /// What the second has.
    pub after: Value,
}

/// A row in both results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RowDifference {
    /// Its name, as [`Row::id`] gives it.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it counts.
    pub unit: Unit,
    /// Which way it is better.
    pub better: Better,
    /// The arms that both have.
    pub arms: Vec<ArmDifference>,
}

/// An arm in both results.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArmDifference {
    /// The arm.
    pub arm: Arm,
    /// The median of the first result's rounds, in the unit of the row.
    pub before: f64,
    /// The same of the second.
    pub after: f64,
    /// After ÷ before, over the rounds of both; `null` where a value is zero or less, or samples are
    /// missing.
    pub factor: Option<Interval>,
    /// Whether a difference is seen: the interval is one of 95 % and excludes 1.
    pub seen: bool,
}

/// A claim that was judged in another way; `null` where a result does not have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimChange {
    /// The claim's name.
    pub id: String,
    /// What the first result says.
    pub before: Option<ClaimVerdict>,
    /// What the second says.
    pub after: Option<ClaimVerdict>,
}

/// A fault that ended in another way; `null` where a result does not have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainmentChange {
    /// What was done.
    pub fault: Fault,
    /// Where the worker lived.
    pub isolation: Isolation,
    /// What came of it in the first result.
    pub before: Option<Fate>,
    /// What came of it in the second.
    pub after: Option<Fate>,
}

/// Compares two results. Rows are matched by their id.
#[must_use]
pub fn difference(before: &Comparison, after: &Comparison) -> Difference {
    let (mut only_before, mut only_after) = (Vec::new(), Vec::new());
    let mut rows = Vec::new();
    for row in &after.rows {
        let id = row.id();
        match before.rows.iter().find(|other| other.id() == id) {
            // Another unit is another number, whatever its name.
            Some(other) if other.unit == row.unit => {
                rows.push(row_difference((before, other), (after, row)));
                only_before.extend(lone_arms(other, row));
                only_after.extend(lone_arms(row, other));
            }
            _ => only_after.push(id),
        }
    }
    for row in &before.rows {
        let is_it = |other: &&Row| other.id() == row.id() && other.unit == row.unit;
        if !after.rows.iter().any(|other| is_it(&other)) {
            only_before.push(row.id());
        }
    }
    let machines = changes(&before.machine, &after.machine);
    let is_version = |change: &Change| ["cofferdam", "wasmtime"].contains(&change.name.as_str());
    let (versions, machine) = machines.into_iter().partition(is_version);
    let mut settings = changes(&before.settings, &after.settings);
    if before.seed != after.seed {
        settings.push(Change {
            name: "seed".to_owned(),
            before: before.seed.into(),
            after: after.seed.into(),
        });
    }
    let mut guest = changes(&before.guest, &after.guest);
    // It is measured, and its row says more about it.
    guest.retain(|change| change.name != "job_s");
    Difference {
        before: origin(before),
        after: origin(after),
        same_guest: before.guest.sha256 == after.guest.sha256,
        guest,
        machine,
        versions,
        settings,
        rows,
        only_before,
        only_after,
        claims: claims(before, after),
        containment: containment(before, after),
    }
}

fn origin(comparison: &Comparison) -> Origin {
    Origin {
        guest: comparison.guest.name.clone(),
        machine: comparison.machine.summary(),
        cofferdam: comparison.machine.cofferdam.clone(),
        unix_time: comparison.unix_time,
        complete: comparison.complete,
    }
}

/// The fields of two values of one type that are not the same.
fn changes<T: Serialize>(before: &T, after: &T) -> Vec<Change> {
    let (Ok(Value::Object(before)), Ok(Value::Object(after))) =
        (serde_json::to_value(before), serde_json::to_value(after))
    else {
        return Vec::new();
    };
    before
        .into_iter()
        .filter_map(|(name, before)| {
            let after = after.get(&name).cloned().unwrap_or_default();
            let change = Change {
                name,
                before,
                after,
            };
            (change.before != change.after).then_some(change)
        })
        .collect()
}

fn row_difference(before: (&Comparison, &Row), after: (&Comparison, &Row)) -> RowDifference {
    let row = after.1;
    let in_both = |arm: &Arm| before.1.arms.contains_key(arm) && row.arms.contains_key(arm);
    let arms = Arm::ALL.into_iter().filter(in_both);
    RowDifference {
        id: row.id(),
        title: row.title.clone(),
        unit: row.unit,
        better: row.better,
        arms: arms
            .filter_map(|arm| arm_difference(before, after, arm))
            .collect(),
    }
}

fn arm_difference(
    before: (&Comparison, &Row),
    after: (&Comparison, &Row),
    arm: Arm,
) -> Option<ArmDifference> {
    let rounds = |(comparison, row)| values(comparison, row, arm);
    let factor = factor_interval(&rounds(before), &rounds(after));
    let excludes_one = |factor: Interval| factor.low > 1.0 || factor.high < 1.0;
    Some(ArmDifference {
        arm,
        before: before.1.value(arm)?,
        after: after.1.value(arm)?,
        factor,
        seen: factor.is_some_and(|factor| factor.confidence >= 0.95 && excludes_one(factor)),
    })
}

/// The arms of a row that another has not.
fn lone_arms(row: &Row, other: &Row) -> Vec<String> {
    let is_lone = |arm: &&Arm| !other.arms.contains_key(arm);
    let arms = row.arms.keys().filter(is_lone);
    arms.map(|arm| format!("{arm} of {}", row.id())).collect()
}

fn claims(before: &Comparison, after: &Comparison) -> Vec<ClaimChange> {
    let verdict = |comparison: &Comparison, id: &str| {
        let claim = comparison.claims.iter().find(|claim| claim.id == id);
        claim.map(|claim| claim.verdict)
    };
    let mut ids: Vec<&str> = Vec::new();
    for claim in before.claims.iter().chain(&after.claims) {
        if !ids.contains(&claim.id.as_str()) {
            ids.push(&claim.id);
        }
    }
    ids.into_iter()
        .map(|id| ClaimChange {
            id: id.to_owned(),
            before: verdict(before, id),
            after: verdict(after, id),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

fn containment(before: &Comparison, after: &Comparison) -> Vec<ContainmentChange> {
    let fate = |comparison: &Comparison, fault, isolation| {
        let is_it = |row: &&ContainmentRow| row.fault == fault && row.isolation == isolation;
        let row = comparison.containment.iter().find(is_it);
        row.map(|row| row.observed)
    };
    let isolations = [Isolation::Thread, Isolation::Process];
    Fault::ALL
        .into_iter()
        .flat_map(|fault| isolations.map(|isolation| (fault, isolation)))
        .map(|(fault, isolation)| ContainmentChange {
            fault,
            isolation,
            before: fate(before, fault, isolation),
            after: fate(after, fault, isolation),
        })
        .filter(|change| change.before != change.after)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    /// The sample with all rounds of an arm of `job.latency` times a factor.
    fn slowed(arm: Arm, factor: f64) -> Comparison {
        let mut comparison = sample();
        let rounds = comparison.series.get_mut("job.latency").unwrap();
        for sample in rounds.get_mut(&arm).unwrap().iter_mut().flatten() {
            *sample *= factor;
        }
        for row in &mut comparison.rows {
            if row.series == "job.latency" {
                row.arms.get_mut(&arm).unwrap().value *= factor;
            }
        }
        comparison
    }

    fn arm_of<'d>(found: &'d Difference, id: &str, arm: Arm) -> &'d ArmDifference {
        let row = found.rows.iter().find(|row| row.id == id).unwrap();
        row.arms.iter().find(|found| found.arm == arm).unwrap()
    }

    #[test]
    fn a_result_does_not_differ_from_itself() {
        let found = difference(&sample(), &sample());
        assert!(found.same_guest);
        assert_eq!(found.rows.len(), sample().rows.len());
        assert!(
            found
                .rows
                .iter()
                .flat_map(|row| &row.arms)
                .all(|arm| !arm.seen)
        );
        for changes in [
            &found.guest,
            &found.machine,
            &found.versions,
            &found.settings,
        ] {
            assert_eq!(*changes, []);
        }
        assert!(found.only_before.is_empty() && found.only_after.is_empty());
        assert!(found.claims.is_empty() && found.containment.is_empty());
    }

    #[test]
    fn a_slower_arm_is_seen_with_its_factor() {
        let found = difference(&sample(), &slowed(Arm::Process, 1.2));
        let process = arm_of(&found, "job.p50", Arm::Process);
        assert!(process.seen);
        let factor = process.factor.unwrap();
        assert!((factor.median - 1.2).abs() < 0.01, "{factor:?}");
        assert!((process.after / process.before - 1.2).abs() < 1e-9);
        assert!(!arm_of(&found, "job.p50", Arm::Thread).seen);
        let back = difference(&slowed(Arm::Process, 1.2), &sample());
        let factor = arm_of(&back, "job.p50", Arm::Process).factor.unwrap();
        assert!(factor.high < 1.0);
    }

    #[test]
    fn few_rounds_show_nothing() {
        let mut after = slowed(Arm::Process, 5.0);
        for rounds in after.series.get_mut("job.latency").unwrap().values_mut() {
            rounds.truncate(1);
        }
        let found = difference(&sample(), &after);
        let process = arm_of(&found, "job.p50", Arm::Process);
        assert!(process.factor.unwrap().low > 4.0);
        assert!(!process.seen);
    }

    #[test]
    fn what_cannot_be_divided_has_values_and_no_factor() {
        let found = difference(&sample(), &sample());
        let none = arm_of(
            &found,
            "memory.descriptors_per_worker[state=idle]",
            Arm::Thread,
        );
        assert_eq!((none.before, none.after, none.factor), (0.0, 0.0, None));
    }

    #[test]
    fn what_only_one_has_is_listed() {
        let mut before = sample();
        let gone = before.rows.remove(0).id();
        before.rows[1].arms.remove(&Arm::Process);
        let lone = format!("process of {}", before.rows[1].id());
        let found = difference(&before, &sample());
        assert_eq!(found.only_after, [gone.clone(), lone.clone()]);
        assert!(found.only_before.is_empty());
        let back = difference(&sample(), &before);
        assert_eq!(back.only_before, [lone, gone]);
        assert!(back.only_after.is_empty());
    }

    #[test]
    fn another_unit_is_another_row() {
        let mut after = sample();
        after.rows[0].unit = Unit::Count;
        let id = after.rows[0].id();
        let found = difference(&sample(), &after);
        assert_eq!(found.only_before, std::slice::from_ref(&id));
        assert_eq!(found.only_after, [id]);
    }

    #[test]
    fn guests_machines_versions_and_settings_are_told_apart() {
        let mut after = sample();
        after.guest.sha256 = "00".repeat(32);
        after.machine.cpus = 8;
        after.machine.wasmtime = "49.0.0".to_owned();
        after.settings.timeout_s = Some(0.25);
        after.seed = 8;
        after.guest.job_s *= 2.0;
        let found = difference(&sample(), &after);
        assert!(!found.same_guest);
        let names = |changes: &[Change]| -> Vec<String> {
            changes.iter().map(|change| change.name.clone()).collect()
        };
        assert_eq!(names(&found.guest), ["sha256"]);
        assert_eq!(names(&found.machine), ["cpus"]);
        assert_eq!(names(&found.versions), ["wasmtime"]);
        assert_eq!(names(&found.settings), ["timeout_s", "seed"]);
        assert_eq!(found.settings[0].before, Value::Null);
        assert_eq!(found.settings[0].after, 0.25);
    }

    #[test]
    fn other_verdicts_and_fates_are_told() {
        let mut after = sample();
        after.claims[3].verdict = ClaimVerdict::Refuted;
        after.claims.remove(9);
        let row = &mut after.containment[1];
        row.observed = Fate::HostDied;
        let expected = ContainmentChange {
            fault: row.fault,
            isolation: row.isolation,
            before: Some(Fate::Contained),
            after: Some(Fate::HostDied),
        };
        let found = difference(&sample(), &after);
        assert_eq!(found.containment, [expected]);
        let told: Vec<_> = found
            .claims
            .iter()
            .map(|change| (change.id.as_str(), change.before, change.after))
            .collect();
        assert_eq!(
            told,
            [
                (
                    "start-up",
                    Some(ClaimVerdict::Confirmed),
                    Some(ClaimVerdict::Refuted)
                ),
                ("sharing", Some(ClaimVerdict::Refuted), None),
            ]
        );
    }

    #[test]
    fn it_goes_through_json_and_back() {
        let mut after = slowed(Arm::Process, 1.2);
        after.machine.cpus = 8;
        let found = difference(&sample(), &after);
        let json = serde_json::to_string(&found).unwrap();
        assert_eq!(serde_json::from_str::<Difference>(&json).unwrap(), found);
    }

    #[test]
    fn empty_results_differ_in_nothing() {
        let mut empty = sample();
        empty.rows.clear();
        empty.series.clear();
        let found = difference(&empty, &empty);
        assert_eq!(found.rows, []);
        let found = difference(&empty, &sample());
        assert_eq!(found.only_after.len(), sample().rows.len());
    }
}
