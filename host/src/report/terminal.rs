//! The result as text for a terminal of 80 columns or more.

mod faults;
mod findings;
mod header;
mod ladder;
mod page;
mod reach;
mod rows;

use super::result::Comparison;
use super::words::{self, digits};
use crate::experiment::Unit;
use crate::stats::Better;

pub(super) use super::words::{NONE, factor};
pub use page::Colour;
pub(super) use page::{Column, Page, Paint, Side, label_lines, tied, width_of};

/// Renders a comparison in so many columns, 80 at the least: no line is wider. It ends with the
/// command that repeats it.
#[must_use]
pub fn render(comparison: &Comparison, width: u16, colour: Colour) -> String {
    let mut page = Page::new(width, colour);
    header::header(&mut page, comparison);
    rows::rows(&mut page, comparison);
    faults::faults(&mut page, comparison);
    reach::reach(&mut page, comparison);
    findings::crossover(&mut page, comparison);
    findings::knees(&mut page, comparison);
    findings::claims(&mut page, comparison);
    findings::warnings(&mut page, comparison);
    findings::failures(&mut page, comparison);
    findings::advice(&mut page, comparison);
    findings::command(&mut page, comparison);
    page.finish()
}

/// A value with its unit: `1.13 ms`, `24.5 KiB`, `1234 /s`, `3.20 MiB/s`, `12`. `–` for what is no
/// number.
pub(super) fn show(value: f64, unit: Unit) -> String {
    match unit {
        // A column has no room for what is counted; the title says it.
        Unit::JobsPerSecond | Unit::MessagesPerSecond if value.is_finite() => {
            format!("{} /s", digits(value))
        }
        Unit::Count if value.fract() == 0.0 => format!("{value:.0}"),
        _ => words::show(value, unit),
    }
}

/// What the better and the worse of two numbers is called: `faster` and `slower`.
pub(super) fn comparatives(unit: Unit, better: Better) -> (&'static str, &'static str) {
    let (small, large) = match unit {
        Unit::Seconds => ("faster", "slower"),
        Unit::JobsPerSecond | Unit::MessagesPerSecond | Unit::BytesPerSecond => {
            ("slower", "faster")
        }
        Unit::Bytes => ("smaller", "larger"),
        Unit::Count => ("fewer", "more"),
    };
    match better {
        Better::Lower => (small, large),
        Better::Higher => (large, small),
    }
}

#[cfg(test)]
mod tests;
