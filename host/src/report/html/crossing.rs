//! From which length of a call on does the second wall cost next to nothing?

use super::element::{Source, escape, table};
use super::plot::{Anchor, Axis, Ink, Key, Mark, Plot, Scale, Weight, byte_label};
use crate::experiment::Unit;
use crate::report::crossover::{Crossover, CrossoverPoint};
use crate::report::result::Comparison;
use crate::report::words::{NONE, percent, show};
use crate::units::seconds;

/// The shares that the plot shows.
const SHARES: (f64, f64) = (0.001, 1.0);

/// The part of the width that a word takes.
const WORD: f64 = 0.14;

/// The plot of this file.
pub(super) fn plot(comparison: &Comparison) -> Option<Plot> {
    let crossover = comparison.crossover.as_ref()?;
    let costly: Vec<&CrossoverPoint> = crossover
        .points
        .iter()
        .filter(|point| {
            let span = point.overhead_s;
            span.median.is_finite() && span.median > 0.0
        })
        .collect();
    // From where the cheapest way is a whole call, to where the dearest is the share that counts.
    let lows = costly.iter().map(|point| positive_low(point));
    let highs = costly
        .iter()
        .map(|point| 3.0 * point.overhead_s.high / crossover.share);
    let job = [crossover.job_s].into_iter();
    let all = lows.chain(highs).chain(job);
    let x = Axis::over("length of a call (log)", Scale::Log, Unit::Seconds, all)?;
    let share = crossover.share;
    let ticks = [0.001, 0.01, share, 1.0].map(|share| (share, tick(share)));
    let y = Axis::new(
        "cost of the way, of a call (log)",
        Scale::Log,
        SHARES.0,
        SHARES.1,
    )?
    .with_ticks(ticks);
    let mut marks = bands(&costly, &x);
    marks.extend(labels(&costly, &x));
    let (low, high) = x.ends();
    let limit = vec![(low, share), (high, share)];
    marks.push(Mark::Line(Ink::Limit, Weight::Strong, limit));
    let job = crossover.job_s;
    if x.place(job).is_some() {
        let line = vec![(job, SHARES.0), (job, SHARES.1)];
        marks.push(Mark::Line(Ink::Text, Weight::Strong, line));
    }
    Some(Plot {
        name: "plot-crossover".to_owned(),
        title: "What the way to a process costs, by the length of a call".to_owned(),
        description: "The share of a call that the way to another process takes, by the length of \
            the call: one falling band for each payload. Where a band falls below the dashed line, \
            calls are long enough. The upright line is a job of this guest."
            .to_owned(),
        x,
        y,
        marks,
        legend: legend(&costly, share),
        caption: caption(crossover),
    })
}

fn legend(points: &[&CrossoverPoint], share: f64) -> Vec<(Key, String)> {
    let payloads = points.iter().enumerate().map(|(at, point)| {
        let key = Key::Rule(hue(at), Weight::Strong);
        (key, byte_label(point.payload_bytes))
    });
    let limit = Key::Rule(Ink::Limit, Weight::Strong);
    let job = Key::Rule(Ink::Text, Weight::Strong);
    payloads
        .chain([
            (limit, format!("{} of a call", tick(share))),
            (job, "a job of this guest".to_owned()),
        ])
        .collect()
}

/// The names of payloads above the bands; one for all those that lie too close for more.
fn labels(points: &[&CrossoverPoint], x: &Axis) -> Vec<Mark> {
    // The top of each band: a call that is all way.
    let tops = points.iter().filter_map(|point| {
        let length = point.overhead_s.median / SHARES.1;
        Some((x.place(length)?, length, point.payload_bytes))
    });
    let mut tops: Vec<(f64, f64, u64)> = tops.collect();
    tops.sort_by(|one, other| one.0.total_cmp(&other.0));
    let groups = tops.chunk_by(|one, other| other.0 - one.0 < WORD);
    groups
        .filter_map(|group| {
            let (first, last) = (group.first()?, group.last()?);
            let word = if first.2 == last.2 {
                byte_label(first.2)
            } else {
                format!("{} – {}", byte_label(first.2), byte_label(last.2))
            };
            let (at, anchor) = if last.0 > 1.0 - WORD {
                (last.1, Anchor::End)
            } else {
                ((first.1 * last.1).sqrt(), Anchor::Middle)
            };
            Some(Mark::Label(Ink::Text, (at, SHARES.1), anchor, 1, word))
        })
        .collect()
}

fn hue(at: usize) -> Ink {
    Ink::Hue(u8::try_from(at % 6).unwrap_or(0))
}

/// The share as a tick or a limit: `5 %`, `0.1 %`.
fn tick(share: f64) -> String {
    if !share.is_finite() {
        return NONE.to_owned();
    }
    let text = percent(share);
    let number = text.trim_end_matches(" %");
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    format!("{number} %")
}

/// The low end of an overhead, where that has a place on a logarithmic axis.
fn positive_low(point: &CrossoverPoint) -> f64 {
    let span = point.overhead_s;
    if span.low > 0.0 {
        span.low
    } else {
        span.median
    }
}

/// A falling band for each payload, with the payload's name where it begins.
fn bands(points: &[&CrossoverPoint], x: &Axis) -> Vec<Mark> {
    let mut marks = Vec::new();
    let (left, right) = x.ends();
    // The lengths between which a cost of so many seconds has one of the shares that are shown.
    let falling = |span: f64| {
        let from = (span / SHARES.1).max(left);
        let to = (span / SHARES.0).min(right);
        (from < to).then(|| [(from, span / from), (to, span / to)])
    };
    for (at, point) in points.iter().enumerate() {
        let (low, high) = (falling(positive_low(point)), falling(point.overhead_s.high));
        if let (Some(low), Some(high)) = (low, high) {
            let outline = low.into_iter().chain(high.into_iter().rev()).collect();
            marks.push(Mark::Band(hue(at), outline));
        }
        if let Some(line) = falling(point.overhead_s.median) {
            marks.push(Mark::Line(hue(at), Weight::Strong, line.to_vec()));
        }
    }
    marks
}

fn caption(crossover: &Crossover) -> String {
    let all = Source::Crossover("all");
    let bands = "Bands, from left to right as in the legend: intervals.";
    let job = all.number("job_s", crossover.job_s, &seconds(crossover.job_s));
    let share = all.number("share", crossover.share, &tick(crossover.share));
    let verdict = match crossover.payload_bytes {
        Some(bytes) => format!(
            "pays less than {share} with payloads up to {}",
            all.number("payload_bytes", bytes as f64, &byte_label(bytes))
        ),
        None => format!("does not surely pay less than {share} with any payload that was measured"),
    };
    let head = [
        "payload",
        "the way to a process costs",
        "calls must be this long",
    ]
    .map(str::to_owned);
    let rows: Vec<String> = crossover.points.iter().map(table_row).collect();
    let reach = crossover.reach.as_ref().map(|reach| {
        let words = escape(&reach.words());
        format!(" Interpolated between the payloads that were measured, that is {words}.")
    });
    let meaning = match crossover.job_s > 0.0 {
        true => format!("A job of this guest, {job} in a thread, {verdict}."),
        false => "How long a job of this guest takes nobody knows: none ended well.".to_owned(),
    };
    format!(
        "{bands} {meaning}{}{}",
        reach.unwrap_or_default(),
        table("figures", "How long a call must be", &head, &rows)
    )
}

fn table_row(point: &CrossoverPoint) -> String {
    let payload = point.payload_bytes.to_string();
    let source = Source::Crossover(&payload);
    let show = |value: f64| show(value, Unit::Seconds);
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td></tr>\n",
        byte_label(point.payload_bytes),
        source.interval("overhead_s", point.overhead_s, show),
        source.interval("call_s", point.call_s, show),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample::sample;

    #[test]
    fn each_payload_has_a_band_and_the_share_a_line() {
        let plot = plot(&sample()).unwrap();
        let count = |is: fn(&Mark) -> bool| plot.marks.iter().filter(|mark| is(mark)).count();
        assert_eq!(count(|mark| matches!(mark, Mark::Band(..))), 6);
        assert_eq!(count(|mark| matches!(mark, Mark::Line(Ink::Limit, ..))), 1);
        assert_eq!(count(|mark| matches!(mark, Mark::Line(Ink::Text, ..))), 1);
    }

    #[test]
    fn a_band_falls_to_the_share_at_the_length_that_the_table_says() {
        let comparison = sample();
        let plot = plot(&comparison).unwrap();
        let point = &comparison.crossover.as_ref().unwrap().points[1];
        let line = plot.marks.iter().find_map(|mark| match mark {
            Mark::Line(Ink::Hue(1), _, points) => Some(points),
            _ => None,
        });
        let (length, share) = line.unwrap()[0];
        // On the whole line, length times share is the overhead.
        assert!((length * share / (point.call_s.median * 0.05) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn a_way_that_costs_nothing_has_no_band() {
        let mut comparison = sample();
        let crossover = comparison.crossover.as_mut().unwrap();
        for point in &mut crossover.points {
            point.overhead_s.median = -1e-6;
        }
        let plot = plot(&comparison).unwrap();
        assert!(!plot.marks.iter().any(|mark| matches!(mark, Mark::Band(..))));
        assert!(plot.caption.contains("-1.00 µs"));
    }
}
