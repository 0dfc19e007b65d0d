//! What the rounds of a row show, from its raw samples.

use super::result::{Comparison, Row};
use crate::experiment::Arm;
use crate::stats::quantile;

/// The value of each round in an arm: the row's quantile of the round's samples, in the row's unit.
/// `None` where a round has no samples; empty where the arm has none at all.
pub(super) fn by_rounds(comparison: &Comparison, row: &Row, arm: Arm) -> Vec<Option<f64>> {
    let rounds = comparison
        .series
        .get(&row.series)
        .and_then(|arms| arms.get(&arm));
    let rounds = rounds.map_or(&[][..], Vec::as_slice);
    rounds.iter().map(|round| value(round, row)).collect()
}

/// The same without the rounds that have no samples.
pub(super) fn values(comparison: &Comparison, row: &Row, arm: Arm) -> Vec<f64> {
    by_rounds(comparison, row, arm)
        .into_iter()
        .flatten()
        .collect()
}

/// A file can hold anything, and `quantile` panics on what is no quantile of numbers.
fn value(round: &[f64], row: &Row) -> Option<f64> {
    let is_sound =
        (0.0..=1.0).contains(&row.quantile) && round.iter().all(|sample| sample.is_finite());
    is_sound.then(|| quantile(round, row.quantile)).flatten()
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;
    use crate::stats::median;

    #[test]
    fn the_median_of_the_rounds_is_the_value_of_the_row() {
        let comparison = sample();
        for row in &comparison.rows {
            for (&arm, summary) in &row.arms {
                let found = median(&values(&comparison, row, arm));
                assert_eq!(found, Some(summary.value), "{arm} of {}", row.id());
            }
        }
    }

    #[test]
    fn a_failed_round_keeps_its_place() {
        let comparison = sample();
        let rows = &comparison.rows;
        let cold = "start.first_reply[cache=cold]";
        let row = rows.iter().find(|row| row.id() == cold).unwrap();
        let found = by_rounds(&comparison, row, Arm::Process);
        assert_eq!(found.len(), 8);
        assert_eq!(found.iter().position(Option::is_none), Some(5));
    }

    #[test]
    fn what_is_no_number_is_no_round() {
        let mut comparison = sample();
        let mut row = comparison.rows[0].clone();
        let rounds = comparison.series.get_mut(&row.series).unwrap();
        rounds.get_mut(&Arm::Thread).unwrap()[2][0] = f64::NAN;
        let found = by_rounds(&comparison, &row, Arm::Thread);
        assert_eq!(found.iter().position(Option::is_none), Some(2));
        row.quantile = 2.0;
        assert!(values(&comparison, &row, Arm::Thread).is_empty());
        row.series = "nothing".to_owned();
        assert!(by_rounds(&comparison, &row, Arm::Thread).is_empty());
    }
}
