//! From samples to sentences.
//!
//! [`Comparison`] is the whole result, as it stands in the file that `--export-json` writes;
//! [`analyse`] fills it from what was collected; [`render`] prints it; its advice says what
//! follows. Nothing here measures, and nothing below knows how a number is shown.

mod advice;
mod analysis;
mod file;
mod result;
mod terminal;

pub use analysis::analyse;
pub use file::ResultFile;
pub use result::{
    ArmSummary, Comparison, ContainmentRow, Control, GuestInfo, Row, SCHEMA, Settings, json_schema,
};
pub use terminal::render;
