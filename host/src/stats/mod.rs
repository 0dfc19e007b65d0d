//! Pure functions over numbers. No clock, no file, no guest: numbers in, numbers out.

mod interval;
mod quantile;
mod shift;
mod trend;
mod verdict;

pub use interval::{Interval, median_interval};
pub use quantile::{median, quantile};
pub use shift::factor_interval;
pub use trend::{Drift, drift, outliers};
pub use verdict::{Better, Call, Margin, detectable, judge};

#[expect(clippy::cast_precision_loss, reason = "no sample has 2^52 values")]
pub(crate) fn to_f64(count: usize) -> f64 {
    count as f64
}
