//! What makes numbers less sure than they look, and what to do about it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::result::{Comparison, Row, Verdict};
use super::rounds::values;
use super::terminal::show;
use crate::experiment::{Arm, Collected, Plan, Reason, Unit};
use crate::stats::{drift, outliers, quantile};
use crate::units::three_digits;

/// Something that a careful reader has to know.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Warning {
    /// The same arm against itself differed by much.
    NoisyControl {
        /// Lower end of the control's interval.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// In some rows the same arm against itself differed by so much that only large differences show.
    NoisyRows {
        /// How many rows.
        rows: usize,
        /// Of so many.
        of: usize,
        /// The row where it is worst.
        row: String,
        /// The factor that a difference has to pass there.
        margin: f64,
    },
    /// Some rounds lie far from the others.
    Outliers {
        /// The row where there are most.
        row: String,
        /// Rounds that are far out.
        rounds: usize,
        /// Of so many.
        of: usize,
    },
    /// The machine became slower or faster while it was measured.
    Drift {
        /// The row where it shows most.
        row: String,
        /// From the first round to the last, as a fraction.
        change: f64,
        /// How likely such a trend is by chance.
        p: f64,
    },
    /// Other processes wanted the CPUs when the measuring began.
    Pressure {
        /// Per cent of the time in which somebody waited.
        per_cent: f64,
    },
    /// The guest gave other replies to the same jobs with the same seed.
    NotReproducible {
        /// The parts, by experiment and name.
        parts: Vec<String>,
    },
    /// Rows had too few rounds for a verdict.
    FewRounds {
        /// How many rows.
        rows: usize,
    },
    /// What was planned for such a comparison was not measured, for want of time or memory.
    LeftOut {
        /// What, and why, in words.
        what: Vec<String>,
    },
    /// The rounds without which there is no result did not look as if they would fit into the time that
    /// was given, when the first jobs had been timed.
    ShortTime {
        /// Seconds that they take, roughly.
        needs_s: f64,
        /// Seconds that were given.
        given_s: f64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = |factor: f64| three_digits(100.0 * factor);
        match self {
            Self::NoisyControl { low, high } => write!(
                f,
                "the same arm against itself differed by {} to {} %",
                percent(low - 1.0),
                percent(high - 1.0)
            ),
            Self::NoisyRows {
                rows,
                of,
                row,
                margin,
            } => {
                let (are, them) = match *rows {
                    1 => ("is", "it"),
                    _ => ("are", "them"),
                };
                write!(
                    f,
                    "{rows} of {of} rows {are} too noisy for a difference of {} % to be seen in {them}; the worst \
                     is {row}, where it takes more than {} %",
                    percent(NOISY - 1.0),
                    percent(margin - 1.0)
                )
            }
            Self::Outliers { row, rounds, of } => {
                write!(
                    f,
                    "{rounds} of {of} rounds of {row} lie far from the others"
                )
            }
            Self::Drift { row, change, p } => write!(
                f,
                "{row} drifted by {} % from the first round to the last ({})",
                percent(*change),
                chance(*p)
            ),
            Self::Pressure { per_cent } => write!(
                f,
                "somebody waited for a CPU in {} % of the time before the measuring",
                three_digits(*per_cent)
            ),
            Self::NotReproducible { parts } => write!(
                f,
                "the guest does not give the same replies to the same jobs ({}), so that those of the arms \
                 could not be compared",
                parts.join(", ")
            ),
            Self::FewRounds { rows: 1 } => f.write_str("1 row has too few rounds for a verdict"),
            Self::FewRounds { rows } => write!(f, "{rows} rows have too few rounds for a verdict"),
            Self::LeftOut { what } => write!(f, "not measured: {}", what.join("; ")),
            Self::ShortTime { needs_s, given_s } => {
                let seconds = |seconds: f64| show(seconds, Unit::Seconds);
                write!(
                    f,
                    "the rounds that a verdict needs take about {} here, and {} were given: many rows will have too few",
                    seconds(*needs_s),
                    seconds(*given_s)
                )
            }
        }
    }
}

/// A chance, never in powers of ten.
fn chance(p: f64) -> String {
    if p < 0.0001 {
        "p < 0.0001".to_owned()
    } else {
        format!("p = {p:.4}")
    }
}

impl Warning {
    /// What to do about it.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NoisyControl { .. } | Self::Pressure { .. } => {
                "close other programs, see `cofferdam doctor`, or give more time with --time-budget"
            }
            Self::NoisyRows { .. } => {
                "where no difference was seen in them, there may be one; close other programs, see `cofferdam doctor`, or give more time with --time-budget"
            }
            Self::Outliers { .. } => {
                "medians bear it; if it keeps coming back, look for what runs at intervals (cron, backups, neighbours)"
            }
            Self::Drift { .. } => {
                "ratios bear it, since arms are interleaved; values do not: let the machine warm up, fix its frequency"
            }
            Self::NotReproducible { .. } => {
                "if its instances are reused, that is what a kept state does; else look for what it keeps outside"
            }
            Self::FewRounds { .. } | Self::LeftOut { .. } => {
                "give more time with --time-budget or --rigorous"
            }
            Self::ShortTime { .. } => {
                "give more time with --time-budget, or choose fewer with --experiments"
            }
        }
    }
}

/// Rounds that a row needs before anything is looked for in them.
const LEAST_ROUNDS: usize = 8;
/// Rounds that have to be far out. One of eight is so in 5 % of all samples of a quiet machine, and
/// with dozens of rows some row would always be warned of; two are in 0.5 % (simulated, normal).
const LEAST_FAR: usize = 2;
/// A smaller trend changes no conclusion.
const LEAST_DRIFT: f64 = 0.05;
/// Trends less likely than this count, over all rows together.
const UNLIKELY: f64 = 0.01;
/// The factor that a difference has to pass in a row: above it, the row is too noisy.
const NOISY: f64 = 1.25;
/// Per cent of the time in which somebody waited for a CPU: more is not an idle machine.
const PRESSURE: f64 = 5.0;

/// By how much the core rounds must exceed the time before that is told: what they take is guessed from
/// a few jobs, and a guess that is off by half is a good one.
const EXCESS: f64 = 1.5;

/// The warning that the time will not do, as soon as the first jobs were timed.
#[must_use]
pub fn short_time(plan: &Plan, collected: &Collected) -> Option<Warning> {
    time_warning(collected.core_s, plan.time.as_secs_f64())
}

fn time_warning(needs_s: f64, given_s: f64) -> Option<Warning> {
    (needs_s > EXCESS * given_s).then_some(Warning::ShortTime { needs_s, given_s })
}

/// What makes the numbers of a comparison less sure than they look. Of the rows that are noisy, of those
/// with outliers and of those that drifted only the worst is named.
pub(super) fn warnings(comparison: &Comparison) -> Vec<Warning> {
    let rows = tested(comparison);
    [
        noisy_control(comparison),
        noisy_rows(comparison),
        worst_outliers(&rows),
        worst_drift(&rows),
        pressure(comparison),
        not_reproducible(comparison),
        few_rounds(comparison),
        left_out(comparison),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The rows that have enough rounds, with the values of these rounds in the thread arm, in the order
/// in which they were measured.
fn tested(comparison: &Comparison) -> Vec<(String, Vec<f64>)> {
    comparison
        .rows
        .iter()
        .map(|row| (row.id(), values(comparison, row, Arm::Thread)))
        .filter(|(_, values)| values.len() >= LEAST_ROUNDS)
        .collect()
}

fn noisy_control(comparison: &Comparison) -> Option<Warning> {
    let control = comparison.control.filter(|control| !control.reliable)?;
    let (low, high) = (control.low, control.high);
    (low.is_finite() && high.is_finite()).then_some(Warning::NoisyControl { low, high })
}

/// How many rows have a margin above [`NOISY`]; of equally noisy ones the first is the worst.
fn noisy_rows(comparison: &Comparison) -> Option<Warning> {
    let rows = comparison.rows.iter();
    let noisy: Vec<(&Row, f64)> = rows
        .map(|row| (row, row.margin.factor()))
        .filter(|(_, margin)| margin.is_finite() && *margin > NOISY)
        .collect();
    let (row, margin) = noisy
        .iter()
        .copied()
        .reduce(|worst, next| if next.1 > worst.1 { next } else { worst })?;
    Some(Warning::NoisyRows {
        rows: noisy.len(),
        of: comparison.rows.len(),
        row: row.id(),
        margin,
    })
}

/// The row with the largest share of rounds that are far out, if it is more than one in ten, and more
/// than one. Where the middle half of the rounds agrees to the last bit, as counts do, the fences have
/// no width and nothing is said.
fn worst_outliers(rows: &[(String, Vec<f64>)]) -> Option<Warning> {
    let found = rows
        .iter()
        .filter(|(_, values)| quantile(values, 0.25) != quantile(values, 0.75))
        .map(|(row, values)| (row, outliers(values), values.len()))
        .filter(|&(_, far, of)| far >= LEAST_FAR && 10 * far > of);
    // Shares are compared as fractions; of equal ones the first row counts.
    let worst = found.reduce(|worst, next| {
        if next.1 * worst.2 > worst.1 * next.2 {
            next
        } else {
            worst
        }
    });
    worst.map(|(row, rounds, of)| Warning::Outliers {
        row: row.clone(),
        rounds,
        of,
    })
}

/// The row with the largest trend. Dozens of rows are tested, and among so many one drifts by chance:
/// a trend has to be less likely than [`UNLIKELY`] divided by the number of rows that were tested
/// (Bonferroni), so that the chance of any false warning stays below it. Rows over the same samples
/// are counted each, which errs on the quiet side.
fn worst_drift(rows: &[(String, Vec<f64>)]) -> Option<Warning> {
    #[expect(clippy::cast_precision_loss, reason = "dozens of rows")]
    let level = UNLIKELY / rows.len() as f64;
    rows.iter()
        .filter_map(|(row, values)| Some((row, drift(values)?)))
        .filter(|(_, drift)| {
            drift.change.is_finite() && drift.change.abs() >= LEAST_DRIFT && drift.p < level
        })
        .reduce(|worst, next| {
            if next.1.change.abs() > worst.1.change.abs() {
                next
            } else {
                worst
            }
        })
        .map(|(row, drift)| Warning::Drift {
            row: row.clone(),
            change: drift.change,
            p: drift.p,
        })
}

fn pressure(comparison: &Comparison) -> Option<Warning> {
    let per_cent = comparison.machine.cpu_pressure?;
    (per_cent.is_finite() && per_cent > PRESSURE).then_some(Warning::Pressure { per_cent })
}

fn not_reproducible(comparison: &Comparison) -> Option<Warning> {
    let parts = comparison.parts.iter().filter(|part| !part.reproducible);
    let parts: Vec<String> = parts
        .map(|part| format!("{}.{}", part.experiment, part.part))
        .collect();
    (!parts.is_empty()).then_some(Warning::NotReproducible { parts })
}

fn few_rounds(comparison: &Comparison) -> Option<Warning> {
    let rows = comparison
        .rows
        .iter()
        .filter(|row| row.verdict == Some(Verdict::TooFewRounds))
        .count();
    (rows > 0).then_some(Warning::FewRounds { rows })
}

/// What more time or a larger machine would have shown. What only another budget has is no warning: it
/// stands in the result.
fn left_out(comparison: &Comparison) -> Option<Warning> {
    let left_out = comparison.left_out.iter();
    let what: Vec<String> = left_out
        .filter(|one| match one.why {
            Reason::Budget { .. } => false,
            Reason::Time { .. } | Reason::Memory { .. } => true,
        })
        .map(ToString::to_string)
        .collect();
    (!what.is_empty()).then_some(Warning::LeftOut { what })
}

#[cfg(test)]
mod tests {
    use super::super::result::Control;
    use super::super::sample::sample;
    use super::*;
    use crate::experiment::{Budget, LeftOut};
    use crate::stats::{Interval, Margin};

    /// The sample without what could be warned of: a quiet machine.
    fn quiet() -> Comparison {
        let mut comparison = sample();
        comparison.rows.retain(|row| row.id() == "start.first_echo");
        put(
            &mut comparison,
            &[1.0, 1.01, 0.99, 1.02, 0.98, 1.01, 1.0, 0.99],
        );
        comparison
    }

    /// Gives each round of the thread arm one sample.
    fn put(comparison: &mut Comparison, values: &[f64]) {
        let rounds = values.iter().map(|&value| vec![value]).collect();
        let arms = comparison.series.get_mut("start.first_echo").unwrap();
        arms.insert(Arm::Thread, rounds);
    }

    #[test]
    fn what_was_left_out_for_want_of_time_is_told_and_what_the_budget_never_has_is_not() {
        let of = |why| LeftOut {
            experiment: "memory".to_owned(),
            part: "idle".to_owned(),
            what: "32 idle workers".to_owned(),
            why,
        };
        let mut comparison = quiet();
        comparison.left_out = vec![of(Reason::Budget {
            from: Budget::Rigorous,
        })];
        assert_eq!(warnings(&comparison), []);
        comparison.left_out.push(of(Reason::Time {
            needs_s: 10.0,
            has_s: 5.4,
        }));
        let [warning] = &warnings(&comparison)[..] else {
            panic!("{:?}", warnings(&comparison))
        };
        assert_eq!(
            warning.to_string(),
            "not measured: memory: 32 idle workers (would take 10.0 s of the 5.40 s that it may have)"
        );
    }

    #[test]
    fn a_quiet_machine_is_not_warned_of() {
        assert_eq!(warnings(&quiet()), []);
    }

    #[test]
    fn a_control_that_is_not_reliable_is_named() {
        let mut comparison = quiet();
        let control = Control {
            ratio: 1.02,
            low: 0.94,
            high: 1.2,
            reliable: false,
        };
        comparison.control = Some(control);
        let expected = Warning::NoisyControl {
            low: 0.94,
            high: 1.2,
        };
        assert_eq!(warnings(&comparison), [expected]);
        comparison.control = Some(Control {
            high: f64::INFINITY,
            ..control
        });
        assert_eq!(warnings(&comparison), []);
    }

    /// The margin of a control that strayed to this factor, without any doubt.
    fn straying(factor: f64) -> Margin {
        Margin::from_control(Some(Interval {
            median: factor,
            low: factor,
            high: factor,
            confidence: 0.95,
        }))
    }

    #[test]
    fn rows_through_which_only_large_differences_show_are_counted_and_the_worst_is_named() {
        let mut comparison = quiet();
        let rows = ["a", "b", "c", "d"].map(|metric| Row {
            metric: metric.to_owned(),
            margin: straying(1.24),
            ..comparison.rows[0].clone()
        });
        comparison.rows = rows.into();
        assert_eq!(noisy_rows(&comparison), None);
        comparison.rows[1].margin = straying(1.26);
        let found = noisy_rows(&comparison).unwrap();
        assert_eq!(
            found.to_string(),
            "1 of 4 rows is too noisy for a difference of 25.0 % to be seen in it; the worst is start.b, where it \
             takes more than 26.0 %"
        );
        comparison.rows[2].margin = straying(2.5);
        comparison.rows[3].margin = straying(1.5);
        let found = warnings(&comparison);
        let [
            Warning::NoisyRows {
                rows,
                of,
                row,
                margin,
            },
        ] = found.as_slice()
        else {
            panic!("{found:?}")
        };
        assert_eq!((*rows, *of, row.as_str()), (3, 4, "start.c"));
        assert!((margin - 2.5).abs() < 1e-12);
        assert_eq!(
            found[0].to_string(),
            "3 of 4 rows are too noisy for a difference of 25.0 % to be seen in them; the worst is start.c, where \
             it takes more than 150 %"
        );
        assert!(found[0].remedy().contains("--time-budget"));
        comparison.rows[2].margin = Margin::from_control(Some(Interval {
            median: 1.0,
            low: 1.0,
            high: f64::INFINITY,
            confidence: 0.95,
        }));
        assert!(matches!(
            noisy_rows(&comparison),
            Some(Warning::NoisyRows { rows: 2, row, .. }) if row == "start.d"
        ));
    }

    #[test]
    fn more_than_one_round_in_ten_far_out_is_told() {
        let mut comparison = quiet();
        let mut values = vec![1.0, 1.01, 0.99, 1.02, 0.98, 1.01, 1.0, 0.99, 1.0, 3.0];
        put(&mut comparison, &values);
        assert_eq!(warnings(&comparison), [], "one of ten");
        put(&mut comparison, &values[2..]);
        assert_eq!(warnings(&comparison), [], "one of eight");
        values.insert(3, 4.0);
        put(&mut comparison, &values);
        let expected = Warning::Outliers {
            row: "start.first_echo".to_owned(),
            rounds: 2,
            of: 11,
        };
        assert_eq!(warnings(&comparison), [expected]);
    }

    #[test]
    fn counts_that_are_nearly_all_the_same_have_no_outliers() {
        let mut comparison = quiet();
        put(&mut comparison, &[4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 4.0, 5.0]);
        assert_eq!(warnings(&comparison), []);
    }

    #[test]
    fn a_machine_that_slows_down_is_told_with_the_change() {
        let mut comparison = quiet();
        let rising: Vec<f64> = (0..12).map(|round| 1.0 + 0.02 * f64::from(round)).collect();
        put(&mut comparison, &rising);
        let found = warnings(&comparison);
        let [Warning::Drift { row, change, p }] = found.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(row, "start.first_echo");
        assert!((change - 0.22 / 1.11).abs() < 1e-9 && *p < 1e-4);
        assert_eq!(
            found[0].to_string(),
            "start.first_echo drifted by 19.8 % from the first round to the last (p < 0.0001)"
        );
    }

    #[test]
    fn a_small_trend_is_no_warning_however_sure() {
        let mut comparison = quiet();
        let rising: Vec<f64> = (0..12)
            .map(|round| 1.0 + 0.004 * f64::from(round))
            .collect();
        put(&mut comparison, &rising);
        assert_eq!(warnings(&comparison), []);
    }

    #[test]
    fn among_many_rows_a_trend_has_to_be_less_likely() {
        // Kendall's score of 22 in 8 rounds: p = 0.0094.
        let values = [1.0, 1.1, 1.2, 1.4, 1.3, 1.6, 1.5, 1.55];
        let one = (String::from("a"), values.to_vec());
        let still = |name: &str| (name.to_owned(), quiet_values());
        assert!(matches!(
            worst_drift(std::slice::from_ref(&one)),
            Some(Warning::Drift { p, .. }) if p < 0.01 && p > 0.005
        ));
        assert_eq!(worst_drift(&[one, still("b")]), None);
    }

    fn quiet_values() -> Vec<f64> {
        vec![1.0, 1.01, 0.99, 1.02, 0.98, 1.01, 1.0, 0.99]
    }

    #[test]
    fn the_worst_of_several_rows_is_named() {
        let drifting = |name: &str, step: f64| {
            let values = (0..12).map(|round| 1.0 + step * f64::from(round));
            (name.to_owned(), values.collect::<Vec<f64>>())
        };
        let rows = [
            drifting("a", 0.01),
            drifting("b", -0.03),
            drifting("c", 0.02),
        ];
        assert!(matches!(
            worst_drift(&rows),
            Some(Warning::Drift { row, change, .. }) if row == "b" && change < 0.0
        ));
        let far = |name: &str, far: usize| {
            let mut values = quiet_values();
            values.extend(quiet_values());
            values.extend(vec![9.0; far]);
            (name.to_owned(), values)
        };
        // Two of eighteen are more than one in ten, two of twenty are not.
        let mut calm = far("a", 2);
        assert!(worst_outliers(std::slice::from_ref(&calm)).is_some());
        calm.1.extend([1.0, 1.0]);
        assert_eq!(worst_outliers(&[calm]), None);
        assert_eq!(
            worst_outliers(&[far("a", 2), far("b", 4), far("c", 3)]),
            Some(Warning::Outliers {
                row: "b".to_owned(),
                rounds: 4,
                of: 20
            })
        );
    }

    #[test]
    fn fewer_than_eight_rounds_are_not_looked_at() {
        let mut comparison = quiet();
        put(&mut comparison, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(warnings(&comparison), []);
        assert_eq!(worst_drift(&[]), None);
    }

    #[test]
    fn pressure_and_rows_with_few_rounds_are_counted() {
        let mut comparison = quiet();
        comparison.machine.cpu_pressure = Some(5.0);
        assert_eq!(warnings(&comparison), []);
        comparison.machine.cpu_pressure = Some(12.5);
        comparison.rows[0].verdict = Some(Verdict::TooFewRounds);
        let found = warnings(&comparison);
        assert_eq!(
            found,
            [
                Warning::Pressure { per_cent: 12.5 },
                Warning::FewRounds { rows: 1 }
            ]
        );
        assert_eq!(
            found[1].to_string(),
            "1 row has too few rounds for a verdict"
        );
    }

    #[test]
    fn time_that_will_not_do_is_told_with_both_figures() {
        assert_eq!(time_warning(7.5, 5.0), None);
        assert_eq!(time_warning(0.0, 5.0), None);
        let found = time_warning(41.2, 5.0).unwrap();
        assert_eq!(
            found.to_string(),
            "the rounds that a verdict needs take about 41.2 s here, and 5.00 s were given: many rows will have too few"
        );
        assert!(found.remedy().contains("--experiments"));
    }

    #[test]
    fn samples_that_are_no_numbers_are_no_warning() {
        let mut comparison = quiet();
        put(&mut comparison, &[f64::NAN; 12]);
        comparison.machine.cpu_pressure = Some(f64::NAN);
        assert_eq!(warnings(&comparison), []);
    }

    #[test]
    fn a_guest_that_does_not_repeat_itself_is_told() {
        let mut comparison = sample();
        comparison.parts[1].reproducible = false;
        let found = not_reproducible(&comparison).unwrap();
        assert!(
            found.to_string().contains(&comparison.parts[1].part),
            "{found}"
        );
        assert_eq!(not_reproducible(&sample()), None);
    }
}
