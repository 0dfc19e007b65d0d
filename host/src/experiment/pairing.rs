//! From samples to ratios, round by round.

use std::collections::BTreeMap;

use super::{Arm, RowSpec};
use crate::stats::quantile;

/// The ratios of the rounds that have both sides.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Paired {
    /// Above ÷ below. Where the control is the arm below once more, below is the geometric mean of
    /// both: two looks at the same thing are worth more than one.
    pub ratios: Vec<f64>,
    /// Control ÷ the arm that it is once more.
    pub control: Vec<f64>,
}

/// Pairs the rounds of a row. `samples` has the rounds of each arm, all of the same number; `twin` is
/// the arm that the control is once more.
#[must_use]
pub fn paired(row: &RowSpec, twin: Arm, samples: &BTreeMap<Arm, Vec<Vec<f64>>>) -> Paired {
    let values = |arm: Arm| -> Vec<Option<f64>> {
        samples.get(&arm).map_or(Vec::new(), |rounds| {
            rounds
                .iter()
                .map(|round| quantile(round, row.quantile))
                .collect()
        })
    };
    let (above, below) = row.compared;
    let (above, under) = (values(above), values(below));
    let (control, base) = (values(Arm::Control), values(twin));
    let at = |values: &[Option<f64>], round: usize| values.get(round).copied().flatten();
    let quotient = |above: Option<f64>, below: Option<f64>| {
        Some(above? / below?).filter(|ratio| ratio.is_finite() && *ratio > 0.0)
    };
    let ratios = (0..above.len()).filter_map(|round| {
        let alone = at(&under, round);
        let reference = match at(&control, round) {
            Some(control) if twin == below => alone.map(|alone| (alone * control).sqrt()),
            _ => alone,
        };
        quotient(at(&above, round), reference)
    });
    Paired {
        ratios: ratios.collect(),
        control: (0..control.len())
            .filter_map(|round| quotient(at(&control, round), at(&base, round)))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(arms: &[(Arm, &[&[f64]])]) -> BTreeMap<Arm, Vec<Vec<f64>>> {
        arms.iter()
            .map(|(arm, rounds)| (*arm, rounds.iter().map(|round| round.to_vec()).collect()))
            .collect()
    }

    #[test]
    fn both_looks_at_the_arm_below_count() {
        let samples = samples(&[
            (Arm::Process, &[&[6.0], &[3.0], &[1.0], &[]]),
            (Arm::Thread, &[&[2.0], &[1.0], &[], &[5.0]]),
            (Arm::Control, &[&[4.5], &[], &[1.0], &[5.0]]),
        ]);
        let row = RowSpec::seconds("m", "t", "s");
        let found = paired(&row, Arm::Thread, &samples);
        assert_eq!(
            found.ratios,
            [2.0, 3.0],
            "a round without its thread has no ratio"
        );
        assert_eq!(found.control, [2.25, 1.0]);
    }

    #[test]
    fn a_control_of_another_arm_is_only_a_control() {
        let samples = samples(&[
            (Arm::Process, &[&[6.0]]),
            (Arm::Thread, &[&[2.0]]),
            (Arm::Unmetered, &[&[1.0]]),
            (Arm::Control, &[&[1.5]]),
        ]);
        let row = RowSpec::seconds("m", "t", "s");
        let found = paired(&row, Arm::Unmetered, &samples);
        assert_eq!((found.ratios, found.control), (vec![3.0], vec![1.5]));
    }

    #[test]
    fn what_is_divided_by_nothing_is_no_ratio() {
        let samples = samples(&[(Arm::Process, &[&[6.0]]), (Arm::Thread, &[&[0.0]])]);
        let row = RowSpec::seconds("m", "t", "s");
        assert_eq!(paired(&row, Arm::Thread, &samples), Paired::default());
    }
}
