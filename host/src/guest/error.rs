//! Why bytes are not a guest.

use cofferdam_guest::abi;

use crate::mail::{printable, printable_lines};

/// Why bytes are not a guest of interface 1. Each names what is wrong and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum GuestError {
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// Not wasm in either of its forms.
    #[error("it is {0}, not WebAssembly: a guest is a .wasm module or a .wat text")]
    NotWasm(&'static str),
    /// A component that was to be entered as a module, by name.
    #[error(
        "it is a WebAssembly component, which is entered by what it exports: leave out --invoke, --packed and --call"
    )]
    Component,
    /// A module that was to be entered as a component.
    #[error("it is a core module, and was to be entered as a component")]
    NoComponent,
    /// A component that exports nothing by which it could be entered.
    #[error(
        "it is a WebAssembly component that exports neither `wasi:cli/run@0.2.x`, as a command does, nor the function \
         `handle` of the world cofferdam:guest/worker (guest/wit/worker.wit): there are {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    NoComponentEntry {
        /// What it exports.
        known: Vec<String>,
    },
    /// The text format has a mistake.
    #[error("its text is not valid:\n{}", printable_lines(.0))]
    InvalidText(String),
    /// The binary is cut off or damaged.
    #[error("it is not a valid module: {}", printable(.0))]
    Invalid(String),
    /// The marker export is missing.
    #[error(
        "it does not export the function `{marker}` that marks a guest of interface 1{hint} (the contract is in guest/INTERFACE.md)",
        marker = abi::MARKER
    )]
    NoMarker {
        /// What it looks like instead; empty or beginning with `: `.
        hint: &'static str,
    },
    /// An export that the interface wants is missing.
    #[error(
        "it does not export {0}, which interface 1 wants (the contract is in guest/INTERFACE.md)"
    )]
    MissingExport(&'static str),
    /// An export has the right name and the wrong type.
    #[error("its export `{name}` is {found}, where {wanted} is wanted")]
    WrongExport {
        /// The export.
        name: String,
        /// What it is.
        found: String,
        /// What it should be.
        wanted: &'static str,
    },
    /// The function that was to be called is not there.
    #[error(
        "it exports no function `{}`: there are {}",
        printable(name),
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    NoSuchFunction {
        /// What was to be called.
        name: String,
        /// What can be called.
        known: Vec<String>,
    },
    /// A plugin whose function nobody named.
    #[error(
        "it is an Extism plugin: say which of its functions is to be called (--call NAME): there are {}",
        if known.is_empty() { "none".to_owned() } else { known.join(", ") }
    )]
    NoCall {
        /// What can be called.
        known: Vec<String>,
    },
    /// Imports that nothing offers.
    #[error("it imports what this host does not offer: {}. Offered: {offered}", wanted.join("; "))]
    UnknownImports {
        /// What it asks for, each with what is nearest to it.
        wanted: Vec<String>,
        /// What it could have.
        offered: String,
    },
}
