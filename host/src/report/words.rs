//! Numbers and outcomes in words: what every form of the report says alike.

use crate::experiment::{Arm, Ended, Fate, Unit};
use crate::options::Isolation;
use crate::report::claims::ClaimVerdict;
use crate::report::deploy::{Deployment, Trust};
use crate::report::prose::{Prose, Source};
use crate::report::result::{Comparison, ContainmentRow, Row, Verdict};
use crate::runtime::{InstancePolicy, Metering};
use crate::stats::Interval;
use crate::units::{ByteSize, seconds, three_digits};

/// What stands where there is no number.
pub(in crate::report) const NONE: &str = "–";

/// What a ratio is to. It is not always the quotient of the two values beside it.
pub(in crate::report) const REFERENCE: &str = "The arm below is measured twice (the second time as \
    the control); the ratio is to the geometric mean of both.";

/// When a row has a verdict: what [`crate::stats::judge`] does.
pub(in crate::report) const RULE: &str = "A verdict needs the whole 95 % interval to lie outside of \
    the margin: how far the control's median strays from 1 and half of the way to the end of its \
    interval, 2 % at the least.";

/// A value with its unit, in three digits; a dash for what is no number.
pub(in crate::report) fn show(value: f64, unit: Unit) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    match unit {
        Unit::Seconds => seconds(value),
        Unit::JobsPerSecond => format!("{} jobs/s", digits(value)),
        Unit::MessagesPerSecond => format!("{} messages/s", digits(value)),
        Unit::BytesPerSecond => format!("{}/s", bytes(value)),
        Unit::Bytes => bytes(value),
        Unit::Count => digits(value),
    }
}

/// A number in three digits, however small it is; a dash for what is no number. From 0.1 on it has two
/// decimal places at the most.
pub(in crate::report) fn digits(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let size = value.abs();
    // What would be rounded up to the next power of ten counts as that.
    if size == 0.0 || size >= 0.099_95 {
        return three_digits(value);
    }
    // Nothing that is measured is smaller than the fifteenth decimal place.
    let leading = (1..=12).find(|&place| size * 10f64.powi(place) >= 0.999_5);
    leading.map_or_else(
        || three_digits(value),
        |place| format!("{value:.*}", usize::try_from(place + 2).unwrap_or(15)),
    )
}

/// A factor with its interval: `28.5 [24.2, 31.1]`, `0.0265 [0.0261, 0.0270]`; a dash where one of its
/// numbers is none.
pub(in crate::report) fn factor(interval: Interval) -> String {
    let Interval {
        median, low, high, ..
    } = interval;
    if ![median, low, high].into_iter().all(f64::is_finite) {
        return NONE.to_owned();
    }
    between(interval, digits)
}

/// A median with the ends of its interval: `4.70 ms [4.61 ms, 4.82 ms]`.
pub(in crate::report) fn between(interval: Interval, show: impl Fn(f64) -> String) -> String {
    format!(
        "{} [{}, {}]",
        show(interval.median),
        show(interval.low),
        show(interval.high)
    )
}

/// How sure an interval is, where that is not the usual 95 %: ` (75 % sure)`.
pub(in crate::report) fn sure(interval: Interval) -> String {
    if interval.confidence < 0.95 {
        format!(" ({:.0} % sure)", 100.0 * interval.confidence)
    } else {
        String::new()
    }
}

/// What stands in the place of a verdict where a row has none: `not compared` where both arms were
/// measured, but nothing can be divided by one of them; else `not measured`.
pub(in crate::report) fn without_verdict(row: &Row) -> &'static str {
    let (above, below) = row.compared;
    if row.value(above).and(row.value(below)).is_some() {
        "not compared"
    } else {
        "not measured"
    }
}

/// `within noise × 2.35`, where the interval of a row without a difference excludes 1 nonetheless: it
/// does not clear the margin.
pub(in crate::report) fn within_noise(row: &Row) -> Option<String> {
    let ratio = row.ratio?;
    let excludes_one = ratio.low > 1.0 || ratio.high < 1.0;
    let unseen = row.verdict == Some(Verdict::NoDifferenceSeen);
    (unseen && excludes_one).then(|| format!("within noise × {}", digits(row.margin.factor())))
}

/// The verdict of a row in the words of the result file, but for what lies within the noise.
pub(in crate::report) fn verdict(row: &Row) -> String {
    let Some(verdict) = row.verdict else {
        return without_verdict(row).to_owned();
    };
    within_noise(row).unwrap_or_else(|| verdict.to_string())
}

/// A fraction in per cent: `3.20 %`.
pub(in crate::report) fn percent(fraction: f64) -> String {
    if fraction.is_finite() {
        format!("{} %", digits(100.0 * fraction))
    } else {
        NONE.to_owned()
    }
}

/// Bytes, which a slope may well have fewer than none of.
pub(in crate::report) fn bytes(value: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "not negative, and saturates"
    )]
    let size = ByteSize::from_bytes(value.abs().round() as u64);
    let sign = if value <= -0.5 { "-" } else { "" };
    format!("{sign}{size}")
}

/// What became of a claim: a sign and a word.
pub(in crate::report) fn claim_verdict(verdict: ClaimVerdict) -> (&'static str, &'static str) {
    match verdict {
        ClaimVerdict::Confirmed => ("✓", "confirmed"),
        ClaimVerdict::Refuted => ("✕", "refuted"),
        ClaimVerdict::Depends => ("◐", "depends"),
        ClaimVerdict::NotMeasured => ("○", "not measured"),
    }
}

/// The sign of a fate.
pub(in crate::report) fn fate_sign(fate: Fate) -> &'static str {
    match fate {
        Fate::Contained => "●",
        Fate::WorkerLost => "◐",
        Fate::Spread => "▲",
        Fate::HostStopped => "■",
        Fate::HostDied => "✕",
    }
}

/// Why a part of an experiment has no more rounds.
pub(in crate::report) fn ended(ended: Ended) -> &'static str {
    match ended {
        Ended::Narrow => "its intervals were narrow enough",
        Ended::Enough => "it had as many rounds as it may have",
        Ended::TimeUp => "the time was up",
        Ended::Stopped => "it was stopped",
        Ended::Failing => "its trials kept failing",
    }
}

/// Whether instances are reused.
pub(in crate::report) fn instance(policy: InstancePolicy) -> &'static str {
    match policy {
        InstancePolicy::Fresh => "fresh",
        InstancePolicy::Reused => "reused",
    }
}

/// What guest code carries.
pub(in crate::report) fn metering(metering: Metering) -> &'static str {
    match metering {
        Metering::Interruptible => "interruptible",
        Metering::Unmetered => "unmetered",
    }
}

/// Whom the guest comes from, as the user said.
pub(in crate::report) fn trust(trust: Option<Trust>) -> &'static str {
    match trust {
        Some(Trust::Own) => "the guest is our own",
        Some(Trust::ThirdParty) => "the guest comes from a third party",
        Some(Trust::Hostile) => "the guest may be hostile",
        None => "nothing was said about whom the guest comes from",
    }
}

/// What to deploy, in a line.
pub(in crate::report) fn deployment(deployment: &Deployment) -> String {
    let mut text = match deployment.isolation {
        Isolation::Thread => "workers in threads".to_owned(),
        Isolation::Process => "workers in processes".to_owned(),
    };
    if let Some(start) = deployment.start {
        text = format!("{text}, started by {start}");
    }
    if let Some(link) = deployment.link {
        text = format!("{text}, reached over {link}");
    }
    format!("{text}, {} instances", instance(deployment.instance))
}

/// Rows by experiment and by the arms that they compare, in the order of their first appearance.
pub(in crate::report) fn groups(comparison: &Comparison) -> Vec<(&str, Vec<Vec<&Row>>)> {
    let mut groups: Vec<(&str, Vec<Vec<&Row>>)> = Vec::new();
    for row in &comparison.rows {
        let at = groups
            .iter()
            .position(|(experiment, _)| *experiment == row.experiment);
        let tables = match at {
            Some(at) => &mut groups[at].1,
            None => {
                groups.push((&row.experiment, Vec::new()));
                let last = groups.len() - 1;
                &mut groups[last].1
            }
        };
        match tables.iter_mut().find(|rows| {
            rows.first()
                .is_some_and(|first| first.compared == row.compared)
        }) {
            Some(rows) => rows.push(row),
            None => tables.push(vec![row]),
        }
    }
    groups
}

/// The arms of some rows that compare the same: below, above, then whatever else has samples. The
/// control is none: it is the arm below once more.
pub(in crate::report) fn arms(rows: &[&Row]) -> Vec<Arm> {
    let Some(first) = rows.first() else {
        return Vec::new();
    };
    let (above, below) = first.compared;
    let others = Arm::ALL.into_iter().filter(|&arm| {
        arm != above
            && arm != below
            && arm != Arm::Control
            && rows.iter().any(|row| row.arms.contains_key(&arm))
    });
    [below, above].into_iter().chain(others).collect()
}

/// Rounds in which both arms that a row compares have samples.
pub(in crate::report) fn rounds(comparison: &Comparison, row: &Row) -> usize {
    let Some(series) = comparison.series.get(&row.series) else {
        return 0;
    };
    let (Some(above), Some(below)) = (series.get(&row.compared.0), series.get(&row.compared.1))
    else {
        return 0;
    };
    above
        .iter()
        .zip(below)
        .filter(|(above, below)| !above.is_empty() && !below.is_empty())
        .count()
}

/// Rows of the fault table by fault, in the order of their first appearance.
pub(in crate::report) fn faults(comparison: &Comparison) -> Vec<Vec<&ContainmentRow>> {
    let mut faults: Vec<Vec<&ContainmentRow>> = Vec::new();
    for row in &comparison.containment {
        match faults
            .iter_mut()
            .find(|rows| rows.first().is_some_and(|first| first.fault == row.fault))
        {
            Some(rows) => rows.push(row),
            None => faults.push(vec![row]),
        }
    }
    faults
}

/// What became of the jobs of others: as they were counted, unless the host did not live to count them.
pub(in crate::report) fn others_lost(
    row: &ContainmentRow,
    counted: impl FnOnce() -> String,
) -> String {
    if row.host_survived {
        counted()
    } else {
        "every job of others lost".to_owned()
    }
}

/// How often the faults were injected, and what a row says then.
pub(in crate::report) fn injected(rows: &[ContainmentRow]) -> String {
    Prose::read(&injections(rows)).text
}

/// The same, with its numbers marked.
pub(in crate::report) fn injections(rows: &[ContainmentRow]) -> String {
    let injections = rows.iter().map(|row| row.injections);
    let count = |field, count: usize| Source::Finding("faults").count(field, count as u64);
    let times = match (injections.clone().min(), injections.max()) {
        (Some(1), Some(1)) => return "Each was injected once.".to_owned(),
        (Some(least), Some(most)) if least == most => format!("{} times", count("most", most)),
        (Some(least), Some(most)) => {
            format!("{} to {} times", count("least", least), count("most", most))
        }
        _ => return String::new(),
    };
    format!(
        "Each was injected {times}; of several injections the worst fate counts; times are medians."
    )
}

/// What the rise of others' latency lacks, where too few injections give it no interval.
pub(in crate::report) fn one_look(rows: &[ContainmentRow]) -> &'static str {
    if rows.iter().any(|row| row.p99_rise.is_some()) {
        ""
    } else {
        ", and one look without an interval"
    }
}

/// Seconds since 1970 as a day and a time, without a library: the algorithm `civil_from_days` of
/// Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub(in crate::report) fn utc(unix_time: u64) -> String {
    let (days, second) = (unix_time / 86_400, unix_time % 86_400);
    let days = days.saturating_add(719_468);
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year}-{month:02}-{day:02} {:02}:{:02} UTC",
        second / 3600,
        second / 60 % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;
    use crate::stats::Margin;

    #[test]
    fn values_carry_their_unit() {
        assert_eq!(show(0.0042, Unit::Seconds), "4.20 ms");
        assert_eq!(show(812e3, Unit::JobsPerSecond), "812000 jobs/s");
        assert_eq!(show(2048.0, Unit::BytesPerSecond), "2 KiB/s");
        assert_eq!(show(3.0, Unit::Count), "3.00");
    }

    #[test]
    fn a_slope_below_zero_keeps_its_sign() {
        assert_eq!(show(-2048.0, Unit::Bytes), "-2 KiB");
        assert_eq!(show(-0.2, Unit::Bytes), "0 B");
    }

    #[test]
    fn what_is_no_number_is_a_dash() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(show(value, Unit::Bytes), "–");
            assert_eq!(digits(value), "–");
            assert_eq!(percent(value), "–");
        }
    }

    #[test]
    fn small_factors_keep_three_digits() {
        assert_eq!(digits(0.002_345), "0.00234");
        assert_eq!(digits(0.026_53), "0.0265");
        assert_eq!(digits(-0.026_53), "-0.0265");
        assert_eq!(digits(0.099_94), "0.0999");
        assert_eq!(digits(0.099_96), "0.10");
        assert_eq!(digits(0.009_996), "0.0100");
        assert_eq!(digits(0.123_4), "0.12");
        assert_eq!(digits(0.0), "0.00");
        assert_eq!(digits(1.234), "1.23");
        assert_eq!(digits(1e-30), "0.00");
    }

    fn interval(low: f64, median: f64, high: f64, confidence: f64) -> Interval {
        Interval {
            median,
            low,
            high,
            confidence,
        }
    }

    #[test]
    fn a_factor_has_three_digits_below_a_tenth_and_two_places_above() {
        let shown = |low, median, high| factor(interval(low, median, high, 0.95));
        assert_eq!(shown(0.026_1, 0.026_53, 0.027), "0.0265 [0.0261, 0.0270]");
        assert_eq!(shown(0.957, 0.966, 0.971), "0.97 [0.96, 0.97]");
        assert_eq!(shown(24.23, 28.5, 131.2), "28.5 [24.2, 131]");
        assert_eq!(shown(1.0, 2.0, f64::INFINITY), "–");
    }

    #[test]
    fn only_an_unusual_confidence_is_told() {
        assert_eq!(sure(interval(1.0, 2.0, 3.0, 0.75)), " (75 % sure)");
        assert_eq!(sure(interval(1.0, 2.0, 3.0, 0.95)), "");
    }

    fn row(id: &str) -> Row {
        let rows = sample().rows;
        rows.into_iter().find(|row| row.id() == id).unwrap()
    }

    #[test]
    fn what_excludes_1_and_does_not_clear_the_margin_lies_within_the_noise() {
        let mut row = row("job.p50");
        row.margin = Margin::from_control(Some(interval(1.0 / 2.35, 2.35, 2.35, 0.95)));
        row.verdict = Some(Verdict::NoDifferenceSeen);
        for (low, high) in [(1.1, 2.0), (0.5, 0.9)] {
            row.ratio = Some(interval(low, 1.0, high, 0.95));
            assert_eq!(verdict(&row), "within noise × 2.35");
        }
        row.ratio = Some(interval(0.9, 1.0, 1.1, 0.95));
        assert_eq!(verdict(&row), "no difference seen");
        row.ratio = Some(interval(2.4, 2.5, 2.6, 0.95));
        row.verdict = Some(Verdict::Better(Arm::Thread));
        assert_eq!(verdict(&row), "thread better");
        row.verdict = Some(Verdict::TooFewRounds);
        assert_eq!(verdict(&row), "too few rounds");
    }

    #[test]
    fn what_cannot_be_divided_was_measured_nonetheless() {
        let mut row = row("memory.descriptors_per_worker[state=idle]");
        assert_eq!(verdict(&row), "not compared");
        row.arms.remove(&Arm::Thread);
        assert_eq!(verdict(&row), "not measured");
    }

    #[test]
    fn of_a_host_that_did_not_survive_nobody_counts_the_jobs() {
        let rows = sample().containment;
        let told = |row: &ContainmentRow| others_lost(row, || row.bystanders_lost.to_string());
        let (lived, died): (Vec<&ContainmentRow>, Vec<&ContainmentRow>) =
            rows.iter().partition(|row| row.host_survived);
        assert_eq!((lived.len(), died.len()), (20, 4));
        assert!(lived.into_iter().all(|row| told(row) == "0"));
        assert!(
            died.into_iter()
                .all(|row| row.bystanders == 0 && told(row) == "every job of others lost")
        );
    }

    #[test]
    fn one_injection_has_no_worst_and_no_median() {
        let mut rows = sample().containment;
        let rest = "; of several injections the worst fate counts; times are medians.";
        assert_eq!(injected(&rows), format!("Each was injected 3 times{rest}"));
        rows[0].injections = 1;
        assert_eq!(
            injected(&rows),
            format!("Each was injected 1 to 3 times{rest}")
        );
        assert_eq!(injected(&rows[..1]), "Each was injected once.");
        assert_eq!(injected(&[]), "");
    }

    #[test]
    fn dates_agree_with_those_of_gnu_date() {
        assert_eq!(utc(0), "1970-01-01 00:00 UTC");
        assert_eq!(utc(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(utc(1_790_000_000), "2026-09-21 14:13 UTC");
    }

    #[test]
    fn each_row_stands_in_one_group() {
        let comparison = sample();
        let groups = groups(&comparison);
        let names: Vec<&str> = groups.iter().map(|group| group.0).collect();
        let order = [
            "start", "message", "job", "memory", "limits", "scaling", "sharing",
        ];
        assert_eq!(names, order);
        let rows = groups.iter().flat_map(|group| &group.1).map(Vec::len);
        assert_eq!(rows.sum::<usize>(), comparison.rows.len());
    }

    #[test]
    fn the_arms_of_a_table_begin_with_those_that_are_compared() {
        let comparison = sample();
        let rows: Vec<&Row> = comparison
            .rows
            .iter()
            .filter(|row| row.experiment == "scaling")
            .collect();
        assert_eq!(arms(&rows), [Arm::Thread, Arm::Process, Arm::Mixed]);
        assert_eq!(arms(&[]), []);
    }

    #[test]
    fn a_round_without_samples_does_not_count() {
        let comparison = sample();
        let count = |id: &str| {
            let row = comparison.rows.iter().find(|row| row.id() == id).unwrap();
            rounds(&comparison, row)
        };
        assert_eq!(count("start.first_reply[cache=warm]"), 8);
        assert_eq!(count("start.first_reply[cache=cold]"), 7);
    }

    #[test]
    fn sizes_keep_their_sign() {
        assert_eq!(bytes(-2048.0), "-2 KiB");
        assert_eq!(bytes(-0.2), "0 B");
    }
}
