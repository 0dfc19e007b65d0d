//! A plot as values: axes with their ticks, and marks. Nothing here draws.

use crate::experiment::{Arm, Unit};
use crate::units::ByteSize;

use crate::report::words::{digits, show};

/// What is drawn, in the units of the data.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Plot {
    /// Its name on the page, for links between its parts.
    pub(super) name: String,
    /// Its title.
    pub(super) title: String,
    /// What it shows, in words, for those who do not see it.
    pub(super) description: String,
    /// From left to right.
    pub(super) x: Axis,
    /// From bottom to top.
    pub(super) y: Axis,
    /// Drawn in this order.
    pub(super) marks: Vec<Mark>,
    /// What the marks stand for.
    pub(super) legend: Vec<(Key, String)>,
    /// HTML below it.
    pub(super) caption: String,
}

/// What stands in a legend before a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    /// A line with its dots.
    Line(Ink, Weight),
    /// A line without dots.
    Rule(Ink, Weight),
}

/// A colour, with the dashes and the dots that go with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// That of an arm.
    Arm(Arm),
    /// The n-th of some that have no meaning of their own.
    Hue(u8),
    /// That of text.
    Text,
    /// That of text of less weight.
    Muted,
    /// That of the grid.
    Grid,
    /// That of limits.
    Limit,
    /// That of text on a filled box.
    OnHue,
}

/// How strong a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    /// What the plot is about.
    Strong,
    /// What stands beside it.
    Faint,
}

/// One thing that is drawn. Points are `(x, y)`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Mark {
    /// A line through points.
    Line(Ink, Weight, Vec<(f64, f64)>),
    /// A dot at each point.
    Dots(Ink, Weight, Vec<(f64, f64)>),
    /// A surface between two lines, given as one outline.
    Band(Ink, Vec<(f64, f64)>),
    /// A filled box from one corner to the opposite one.
    Bar(Ink, (f64, f64), (f64, f64)),
    /// A word at a point, so many lines above it.
    Label(Ink, (f64, f64), Anchor, u8, String),
}

/// Which end of a word stands at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    /// Its middle.
    Middle,
    /// Its end.
    End,
}

/// How values become places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// In proportion.
    Linear,
    /// By their logarithm; only positive values have a place.
    Log,
}

/// An axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    /// What it counts.
    pub(super) title: String,
    scale: Scale,
    low: f64,
    high: f64,
    /// The place of each tick between 0 and 1, and its label; without a label it is only a line.
    pub(super) ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis from one value to a higher one, both finite, and positive where it is logarithmic. `None`
    /// where they are not.
    pub(super) fn new(title: &str, scale: Scale, low: f64, high: f64) -> Option<Self> {
        let possible = low.is_finite() && high.is_finite() && low < high;
        let placeable = scale == Scale::Linear || low > 0.0;
        (possible && placeable).then(|| Self {
            title: title.to_owned(),
            scale,
            low,
            high,
            ticks: Vec::new(),
        })
    }

    /// An axis that holds all values, with some room beside them, and ticks in their unit. `None` for no
    /// values that have a place.
    pub(super) fn over(
        title: &str,
        scale: Scale,
        unit: Unit,
        values: impl Iterator<Item = f64>,
    ) -> Option<Self> {
        let placed =
            values.filter(|&value| value.is_finite() && (scale == Scale::Linear || value > 0.0));
        let (mut low, mut high) = placed.fold(
            (f64::INFINITY, f64::NEG_INFINITY),
            |(low, high): (f64, f64), value| (low.min(value), high.max(value)),
        );
        if low > high {
            return None;
        }
        match scale {
            Scale::Log => {
                let room = (high / low).powf(0.04).max(1.02);
                (low, high) = (low / room, high * room);
            }
            Scale::Linear => {
                // Amounts are compared by length, so the axis begins at nothing.
                (low, high) = (low.min(0.0), high.max(0.0));
                let room = (0.06 * (high - low)).max(f64::MIN_POSITIVE);
                high += room;
                if low < 0.0 {
                    low -= room;
                }
            }
        }
        let axis = Self::new(title, scale, low, high)?;
        let ticks = match scale {
            Scale::Log => log_ticks(low, high),
            Scale::Linear => linear_ticks(low, high, unit),
        };
        Some(
            axis.with_ticks(
                ticks
                    .into_iter()
                    .map(|value| (value, tick_label(value, unit))),
            ),
        )
    }

    /// The same axis with ticks at these values, as far as they lie on it.
    pub(super) fn with_ticks(mut self, ticks: impl IntoIterator<Item = (f64, String)>) -> Self {
        let placed = ticks
            .into_iter()
            .filter_map(|(value, label)| Some((self.place(value)?, label)));
        self.ticks = placed.collect();
        self
    }

    /// Where a value stands: 0 at the low end, 1 at the high end. `None` where it has no place on the axis.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = match self.scale {
            Scale::Linear => (value - self.low) / (self.high - self.low),
            Scale::Log => (value / self.low).ln() / (self.high / self.low).ln(),
        };
        // A thousandth: for values that rounding put beside the end.
        (-0.001..=1.001).contains(&place).then_some(place)
    }

    /// Its ends, low and high.
    pub(super) fn ends(&self) -> (f64, f64) {
        (self.low, self.high)
    }
}

/// Decades, or a finer choice where there are few of them.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the logarithm of a finite number lies within -308 ..= 308"
    )]
    let (first, last) = (low.log10().floor() as i32, high.log10().ceil() as i32);
    let among = |digits: &[f64]| -> Vec<f64> {
        (first..=last)
            .flat_map(|decade| digits.iter().map(move |digit| digit * power_of_ten(decade)))
            .filter(|&tick| (low..=high).contains(&tick))
            .collect()
    };
    for digits in [&[1.0][..], &[1.0, 3.0], &[1.0, 2.0, 5.0]] {
        let ticks = among(digits);
        if ticks.len() >= 4 {
            return ticks;
        }
    }
    steps(low, high)
}

/// A power of ten as it is read from text: exact where a double can hold it.
fn power_of_ten(exponent: i32) -> f64 {
    format!("1e{exponent}").parse().unwrap_or(1.0)
}

fn linear_ticks(low: f64, high: f64, unit: Unit) -> Vec<f64> {
    let scale = match unit {
        Unit::Bytes | Unit::BytesPerSecond => [30, 20, 10]
            .into_iter()
            .map(|bits| f64::from(1u32 << bits))
            .find(|&scale| high >= 2.0 * scale)
            .unwrap_or(1.0),
        _ => 1.0,
    };
    let ticks = steps(low / scale, high / scale).into_iter();
    ticks.map(|tick| tick * scale).collect()
}

/// Multiples of 1, 2 or 5 times a power of ten: three to seven of them.
fn steps(low: f64, high: f64) -> Vec<f64> {
    let rough = (high - low) / 5.0;
    if !rough.is_normal() {
        return Vec::new();
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the logarithm of a finite number lies within -308 ..= 308"
    )]
    let decade = rough.log10().floor() as i32;
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power_of_ten(decade))
        .find(|&step| step >= rough)
        .unwrap_or(rough);
    let first = (low / step).ceil();
    (0..12u8)
        .map(|i| (first + f64::from(i)) * step)
        .take_while(|&tick| tick <= high)
        .collect()
}

/// A round value: `10 ms`, not `10.0 ms`.
fn tick_label(value: f64, unit: Unit) -> String {
    if value == 0.0 {
        return "0".to_owned();
    }
    let text = match unit {
        // The axis says what is counted a second.
        Unit::JobsPerSecond | Unit::MessagesPerSecond => rate(value),
        unit => show(value, unit),
    };
    let (number, rest) = text.split_once(' ').unwrap_or((&text, ""));
    let number = if number.contains('.') {
        number.trim_end_matches('0').trim_end_matches('.')
    } else {
        number
    };
    format!("{number} {rest}").trim_end().to_owned()
}

/// A rate, in thousands or millions where it is high: `812 k`.
fn rate(value: f64) -> String {
    if value >= 1e6 {
        format!("{} M", digits(value / 1e6))
    } else if value >= 1e4 {
        format!("{} k", digits(value / 1e3))
    } else {
        digits(value)
    }
}

/// The label of a number of bytes.
pub(super) fn byte_label(bytes: u64) -> String {
    ByteSize::from_bytes(bytes).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.1.as_str()).collect()
    }

    #[test]
    fn many_decades_have_a_tick_each() {
        let values = [1.1e-6, 14.2e-3].into_iter();
        let axis = Axis::over("", Scale::Log, Unit::Seconds, values).unwrap();
        assert_eq!(labels(&axis), ["1 µs", "10 µs", "100 µs", "1 ms", "10 ms"]);
    }

    #[test]
    fn a_part_of_a_decade_has_round_steps() {
        let values = [0.0114, 0.0131].into_iter();
        let axis = Axis::over("", Scale::Log, Unit::Seconds, values).unwrap();
        assert_eq!(labels(&axis), ["11.5 ms", "12 ms", "12.5 ms", "13 ms"]);
    }

    #[test]
    fn amounts_begin_at_nothing_and_bytes_have_binary_steps() {
        let values = [11e6, 80e6].into_iter();
        let axis = Axis::over("", Scale::Linear, Unit::Bytes, values).unwrap();
        assert_eq!(labels(&axis), ["0", "20 MiB", "40 MiB", "60 MiB", "80 MiB"]);
        assert_eq!(axis.place(0.0), Some(0.0));
    }

    #[test]
    fn nothing_that_has_a_place_gives_no_axis() {
        let of =
            |scale, values: &[f64]| Axis::over("", scale, Unit::Seconds, values.iter().copied());
        assert_eq!(of(Scale::Linear, &[]), None);
        assert_eq!(of(Scale::Log, &[0.0, -1.0, f64::NAN, f64::INFINITY]), None);
    }

    #[test]
    fn one_value_alone_still_has_an_axis() {
        for (scale, value) in [
            (Scale::Log, 0.5),
            (Scale::Linear, 0.5),
            (Scale::Linear, 0.0),
        ] {
            let axis = Axis::over("", scale, Unit::Seconds, [value].into_iter()).unwrap();
            assert!(axis.place(value).is_some());
        }
    }

    #[test]
    fn what_lies_beside_the_axis_has_no_place() {
        let axis = Axis::new("", Scale::Log, 1.0, 100.0).unwrap();
        assert_eq!(axis.place(10.0), Some(0.5));
        for value in [0.5, 200.0, 0.0, -1.0, f64::NAN] {
            assert_eq!(axis.place(value), None);
        }
    }
}
