//! From samples to sentences.
//!
//! [`Comparison`] is the whole result, as it stands in the file that `--export-json` writes;
//! [`analyse`] fills it from what was collected. Everything that is shown is made from it alone, so
//! that a file can be rendered again anywhere: as text, as a web page, as tables for pasting, beside
//! another result, against a bound. Nothing here measures, and nothing below knows how a number is
//! shown.

mod analysis;
mod chart;
mod claims;
mod crossover;
mod csv;
mod deploy;
mod difference;
mod ending;
mod evidence;
mod facts;
mod file;
mod gate;
mod histogram;
mod html;
mod knee;
mod markdown;
mod output_file;
mod price;
mod prose;
mod quotient;
mod reach;
mod result;
mod rounds;
#[cfg(test)]
mod sample;
mod sharing;
mod snippet;
mod speed;
mod terminal;
mod warnings;
mod ways;
mod words;

pub use analysis::{Circumstances, analyse};
pub use claims::{Claim, ClaimVerdict};
pub use crossover::{Crossover, CrossoverPoint, Reach};
pub use csv::csv;
pub use deploy::{Advice, Deployment, Trust};
pub use difference::{
    ArmDifference, Change, ClaimChange, ContainmentChange, Difference, Origin, RowDifference,
    difference, render_difference,
};
pub use ending::ending;
pub use file::{ReadError, read, to_json};
pub use gate::{Finding, Gate, GateError, Measure, NotPassed, ParseGateError, Passed, Tripped};
pub use html::html;
pub use knee::{Knee, Step};
pub use markdown::markdown;
pub use output_file::OutputFile;
pub use prose::{Figure, Kind as FigureKind};
pub use result::{
    ArmSummary, Comparison, ContainmentRow, Control, Counted, GuestInfo, Injected, PartInfo, Row,
    SCHEMA, Settings, Verdict, json_schema,
};
pub use terminal::{Colour, render};
pub use warnings::{Warning, short_time};
