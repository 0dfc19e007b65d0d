//! Pure functions over numbers. No clock, no file, no guest: numbers in, numbers out.

mod bootstrap;
mod quantile;
mod verdict;

pub use bootstrap::{Interval, median_interval};
pub use quantile::{median, quantile};
pub use verdict::{Better, Margin, Verdict, judge};
