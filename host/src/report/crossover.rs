//! From which length of a call on does the second wall cost next to nothing?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::finite;
use super::result::{Comparison, Row};
use super::rounds::by_rounds;
use super::words::{show, sure};
use crate::experiment::{Arm, Unit};
use crate::stats::{Interval, median_interval};

/// What "next to nothing" is: the share of a call's time that the way may cost.
pub(super) const SHARE: f64 = 0.05;

/// How sure an overhead has to be before a payload counts as cheap: five rounds give 0.94.
pub(super) const SURE: f64 = 0.93;

/// Bytes of a small message, which stands for the way itself.
const SMALL: u64 = 64;

/// The costs of the way to another process, and the calls that are long enough for them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Crossover {
    /// What "next to nothing" is: the share of a call's time that the way may cost. 0.05.
    pub share: f64,
    /// One for each payload that was measured, smallest first.
    pub points: Vec<CrossoverPoint>,
    /// Seconds that a job of this guest takes in a thread.
    pub job_s: f64,
    /// The largest payload in bytes with which a job of this length pays no more than the share, by the
    /// upper end of the overhead's interval; `null` if there is none of which that is sure.
    pub payload_bytes: Option<u64>,
    /// The payload at which a job of this length pays the share, interpolated; `null` if even the smallest
    /// payload surely costs more, and in results that are older than this.
    #[serde(default)]
    pub reach: Option<Reach>,
}

/// A payload between those that were measured, with its interval: where the overheads of two payloads pass
/// the share of a job, on a straight line between the logarithms of both (on a plain one where a payload or
/// an overhead is not above 0). The interval is between the places at which the upper and the lower ends of
/// the overheads' intervals pass it; the length of the job is taken as it is. `null` stands for more than the largest
/// payload that was measured, and 0 for less than the smallest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Reach {
    /// Bytes, by the medians of the overheads.
    pub payload_bytes: Option<f64>,
    /// Lower end of its interval.
    pub low_payload_bytes: Option<f64>,
    /// Upper end.
    pub high_payload_bytes: Option<f64>,
    /// How sure the least sure of the overheads is.
    pub confidence: f64,
}

impl Reach {
    /// `1.22 MiB [1.15 MiB, 1.31 MiB]`
    pub(super) fn words(&self) -> String {
        let one = |bytes: Option<f64>| match bytes {
            Some(bytes) => show(bytes, Unit::Bytes),
            None => "more than was measured".to_owned(),
        };
        let confidence = Interval {
            median: 0.0,
            low: 0.0,
            high: 0.0,
            confidence: self.confidence,
        };
        format!(
            "{} [{}, {}]{}",
            one(self.payload_bytes),
            one(self.low_payload_bytes),
            one(self.high_payload_bytes),
            sure(confidence)
        )
    }
}

/// One payload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CrossoverPoint {
    /// Bytes to the guest and the same bytes back.
    pub payload_bytes: u64,
    /// Seconds that a round trip takes longer in a process than in a thread: by rounds.
    pub overhead_s: Interval,
    /// Seconds that a call must take for the overhead to be less than the share: overhead ÷ share;
    /// 0 where there is no overhead.
    pub call_s: Interval,
}

/// From which length of a call on the way to a process costs less than [`SHARE`] of it: for each payload
/// of `message.round_trip`, from its samples. `None` where no payload has a round with both arms.
///
/// The overhead of a round is the median of the process's samples less that of the thread's, which is
/// the mean of both thread arms (the second is the control), or of the first where the control failed.
pub(super) fn crossover(comparison: &Comparison) -> Option<Crossover> {
    let mut points: Vec<CrossoverPoint> = comparison
        .rows
        .iter()
        .filter(|row| row.experiment == "message" && row.metric == "round_trip")
        .filter_map(|row| point(comparison, row))
        .collect();
    points.sort_by_key(|point| point.payload_bytes);
    if points.is_empty() {
        return None;
    }
    let job_s = job_seconds(comparison);
    let payload_bytes = points
        .iter()
        .take_while(|point| {
            job_s > 0.0
                && point.overhead_s.confidence >= SURE
                && point.overhead_s.high <= SHARE * job_s
        })
        .map(|point| point.payload_bytes)
        .last();
    Some(Crossover {
        reach: reach(&points, SHARE * job_s),
        share: SHARE,
        points,
        job_s,
        payload_bytes,
    })
}

/// Where the overheads pass so many seconds. The points stand in the order of their payloads.
fn reach(points: &[CrossoverPoint], limit: f64) -> Option<Reach> {
    // Of a job of no length nothing is known.
    if !limit.is_finite() || limit <= 0.0 {
        return None;
    }
    let pass = |end: fn(&Interval) -> f64| {
        let rungs = points.iter();
        #[expect(clippy::cast_precision_loss, reason = "payloads far below 2^53 bytes")]
        let rungs = rungs.map(|point| (point.payload_bytes as f64, end(&point.overhead_s)));
        passing(&rungs.collect::<Vec<_>>(), limit)
    };
    let high = pass(|overhead| overhead.low);
    if high == Some(0.0) {
        return None;
    }
    let sure = points.iter().map(|point| point.overhead_s.confidence);
    Some(Reach {
        payload_bytes: pass(|overhead| overhead.median),
        low_payload_bytes: pass(|overhead| overhead.high),
        high_payload_bytes: high,
        confidence: sure.reduce(f64::min)?,
    })
}

/// The payload at which a curve of payloads and overheads first passes the limit: 0 where it begins above it,
/// `None` where it never does.
fn passing(rungs: &[(f64, f64)], limit: f64) -> Option<f64> {
    let at = rungs.iter().position(|&(_, overhead)| overhead > limit)?;
    let Some(before) = at.checked_sub(1) else {
        return Some(0.0);
    };
    let ((from, low), (to, high)) = (rungs[before], rungs[at]);
    if from > 0.0 && low > 0.0 {
        let share = (limit / low).ln() / (high / low).ln();
        Some(from * (to / from).powf(share))
    } else {
        Some(from + (to - from) * (limit - low) / (high - low))
    }
}

/// Seconds that a job takes in a thread: as measured, or as it seemed before the measuring.
pub(super) fn job_seconds(comparison: &Comparison) -> f64 {
    comparison
        .rows
        .iter()
        .find(|row| row.id() == "job.p50")
        .and_then(|row| finite(row, Arm::Thread))
        .unwrap_or(comparison.guest.job_s)
}

/// Seconds that the way to a process and back takes with 64 bytes, as the median over rounds, and the
/// share of a job of this guest that this is. `None` where it was not measured.
pub(super) fn way(comparison: &Comparison) -> Option<(f64, f64)> {
    let found = crossover(comparison)?;
    let point = found
        .points
        .iter()
        .find(|point| point.payload_bytes == SMALL)?;
    let overhead = point.overhead_s.median;
    let share = overhead / found.job_s;
    (found.job_s.is_finite() && share.is_finite() && found.job_s > 0.0).then_some((overhead, share))
}

fn point(comparison: &Comparison, row: &Row) -> Option<CrossoverPoint> {
    let payload_bytes = row.number("payload")?;
    let of_medians = Row {
        quantile: 0.5,
        ..row.clone()
    };
    let arm = |arm| by_rounds(comparison, &of_medians, arm);
    let (process, thread, control) = (arm(Arm::Process), arm(Arm::Thread), arm(Arm::Control));
    let overheads: Vec<f64> = process
        .iter()
        .zip(&thread)
        .enumerate()
        .filter_map(|(round, (process, thread))| {
            let thread = (*thread)?;
            let again = control.get(round).copied().flatten().unwrap_or(thread);
            Some((*process)? - f64::midpoint(thread, again))
        })
        .filter(|overhead| overhead.is_finite())
        .collect();
    let overhead_s = median_interval(&overheads)?;
    let call = |overhead: f64| (overhead / SHARE).max(0.0);
    Some(CrossoverPoint {
        payload_bytes,
        overhead_s,
        call_s: Interval {
            median: call(overhead_s.median),
            low: call(overhead_s.low),
            high: call(overhead_s.high),
            confidence: overhead_s.confidence,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;

    /// The sample, whose round trip with 64 bytes took so long in the rounds of its arms.
    fn with_rounds(arms: &[(Arm, &[&[f64]])]) -> Comparison {
        let mut comparison = sample();
        comparison
            .rows
            .retain(|row| row.metric != "round_trip" || row.number("payload") == Some(64));
        let series = "message.round_trip[payload=64]".to_owned();
        let rounds = |rounds: &[&[f64]]| rounds.iter().map(|round| round.to_vec()).collect();
        let arms = arms.iter().map(|(arm, of_arm)| (*arm, rounds(of_arm)));
        comparison.series.insert(series, arms.collect());
        comparison
    }

    #[test]
    fn the_overhead_is_taken_from_the_mean_of_both_thread_arms() {
        let found = crossover(&with_rounds(&[
            (Arm::Process, &[&[7.0, 8.0, 9.0], &[8.0], &[], &[9.0]]),
            (Arm::Thread, &[&[1.0], &[2.0], &[2.0], &[2.0]]),
            (Arm::Control, &[&[3.0], &[], &[2.0], &[4.0]]),
        ]))
        .unwrap();
        // 8 - 2, 8 - 2 (without its control), nothing, 9 - 3
        let [point] = found.points.as_slice() else {
            panic!("{found:?}")
        };
        assert_eq!(point.payload_bytes, 64);
        assert_eq!((point.overhead_s.low, point.overhead_s.high), (6.0, 6.0));
        assert_eq!(point.overhead_s.confidence, 0.75);
        assert!((point.call_s.median - 120.0).abs() < 1e-12);
        assert_eq!(found.payload_bytes, None, "a job of 12 ms is too short");
    }

    #[test]
    fn a_way_that_costs_nothing_suits_every_call() {
        let found = crossover(&with_rounds(&[
            (Arm::Process, &[&[1.0][..]; 5]),
            (Arm::Thread, &[&[2.0][..]; 5]),
        ]))
        .unwrap();
        assert_eq!(found.points[0].overhead_s.median, -1.0);
        assert_eq!(found.points[0].call_s.median, 0.0);
        assert_eq!(found.payload_bytes, Some(64));
    }

    #[test]
    fn what_is_cheap_by_its_median_alone_or_in_few_rounds_is_not_sure() {
        let reach = |rounds: &[f64]| {
            let process: Vec<[f64; 1]> = rounds.iter().map(|overhead| [1.0 + overhead]).collect();
            let process: Vec<&[f64]> = process.iter().map(<[f64; 1]>::as_slice).collect();
            let thread = vec![&[1.0][..]; rounds.len()];
            let mut comparison = with_rounds(&[
                (Arm::Process, process.as_slice()),
                (Arm::Thread, thread.as_slice()),
            ]);
            comparison.rows.retain(|row| row.experiment == "message");
            // A twentieth of it is a quarter of a second.
            comparison.guest.job_s = 5.0;
            crossover(&comparison).unwrap().payload_bytes
        };
        assert_eq!(reach(&[0.125, 0.125, 0.125, 0.125, 0.25]), Some(64));
        assert_eq!(reach(&[0.125, 0.125, 0.125, 0.125, 0.375]), None);
        assert_eq!(reach(&[0.125; 4]), None);
    }

    #[test]
    fn the_payload_is_the_largest_up_to_which_all_are_cheap() {
        let mut comparison = sample();
        let found = crossover(&comparison).unwrap();
        assert_eq!(found.points.len(), 6);
        // 5 % of 12.1 ms are 605 µs: 492 µs of a mebibyte is below it, 9.1 ms of sixteen are not.
        assert_eq!(found.payload_bytes, Some(1 << 20));
        let arms = comparison
            .series
            .get_mut("message.round_trip[payload=4096]")
            .unwrap();
        arms.insert(Arm::Process, vec![vec![1.0]; 8]);
        let found = crossover(&comparison).unwrap();
        assert_eq!(found.payload_bytes, Some(64), "4 KiB is dear now");
    }

    #[test]
    fn a_curve_passes_the_limit_on_a_straight_line_between_logarithms() {
        // Sixteen times the payload, four times the overhead: half of the way up is a quarter of it.
        let rungs = [(64.0, 1e-6), (1024.0, 4e-6)];
        let found = passing(&rungs, 2e-6).unwrap();
        assert!((found - 256.0).abs() < 1e-9, "{found}");
        assert_eq!(passing(&rungs, 0.5e-6), Some(0.0));
        assert_eq!(passing(&rungs, 4e-6), None);
        // From no payload, or no overhead, there is no logarithm.
        assert_eq!(passing(&[(0.0, 1.0), (64.0, 3.0)], 2.0), Some(32.0));
        assert_eq!(passing(&[(64.0, -1.0), (128.0, 1.0)], 0.0), Some(96.0));
        // What comes down again later does not count.
        let rungs = [(64.0, 1.0), (128.0, 4.0), (256.0, 1.0)];
        assert!(passing(&rungs, 2.0).unwrap() < 128.0);
    }

    #[test]
    fn the_reach_lies_between_what_the_ends_of_the_overheads_allow() {
        let point = |payload_bytes, low, median, high| {
            let overhead_s = Interval {
                median,
                low,
                high,
                confidence: 0.95,
            };
            CrossoverPoint {
                payload_bytes,
                overhead_s,
                call_s: overhead_s,
            }
        };
        let points = [point(64, 1.0, 2.0, 4.0), point(1024, 4.0, 8.0, 16.0)];
        let found = reach(&points, 4.0).unwrap();
        assert_eq!(found.high_payload_bytes, None, "1024 B may cost just that");
        assert!((found.payload_bytes.unwrap() - 256.0).abs() < 1e-9);
        assert!((found.low_payload_bytes.unwrap() - 64.0).abs() < 1e-9);
        assert_eq!(found.words(), "256 B [64 B, more than was measured]");
        assert_eq!(reach(&points, 0.5), None);
        let doubtful = reach(&points, 1.5).unwrap();
        assert_eq!(doubtful.payload_bytes, Some(0.0));
    }

    #[test]
    fn the_reach_of_the_sample_is_beside_its_largest_cheap_payload() {
        let found = crossover(&sample()).unwrap();
        let reach = found.reach.unwrap();
        let mebibytes = |bytes: Option<f64>| bytes.unwrap() / f64::from(1 << 20);
        let (low, high) = (
            mebibytes(reach.low_payload_bytes),
            mebibytes(reach.high_payload_bytes),
        );
        let median = mebibytes(reach.payload_bytes);
        assert!(
            1.0 < low && low < median && median < high && high < 2.0,
            "{reach:?}"
        );
    }

    #[test]
    fn the_way_is_that_of_a_small_message() {
        let mut comparison = with_rounds(&[
            (Arm::Process, &[&[0.5], &[0.75], &[1.0]]),
            (Arm::Thread, &[&[0.25], &[0.25], &[0.25]]),
        ]);
        comparison.rows.retain(|row| row.experiment == "message");
        comparison.guest.job_s = 2.0;
        assert_eq!(way(&comparison), Some((0.5, 0.25)));
        comparison.guest.job_s = 0.0;
        assert_eq!(way(&comparison), None);
        comparison.rows.clear();
        assert_eq!(way(&comparison), None);
    }

    #[test]
    fn points_stand_in_the_order_of_their_payloads() {
        let mut comparison = sample();
        comparison.rows.reverse();
        let found = crossover(&comparison).unwrap();
        assert!(found.points.is_sorted_by_key(|point| point.payload_bytes));
    }

    #[test]
    fn without_rows_samples_or_numbers_there_is_none() {
        let mut comparison = sample();
        comparison.series.clear();
        assert_eq!(crossover(&comparison), None);
        let nonsense = with_rounds(&[
            (Arm::Process, &[&[f64::NAN]]),
            (Arm::Thread, &[&[f64::INFINITY]]),
        ]);
        assert_eq!(crossover(&nonsense), None);
        let mut comparison = sample();
        comparison.rows.clear();
        assert_eq!(crossover(&comparison), None);
    }

    #[test]
    fn without_a_job_row_the_guess_counts() {
        let mut comparison = sample();
        comparison.rows.retain(|row| row.experiment == "message");
        comparison.guest.job_s = 0.25;
        assert_eq!(crossover(&comparison).unwrap().job_s, 0.25);
    }
}
