//! The only place that knows wasmtime.
//!
//! A guest becomes an [`Artifact`] once (compiled, or found in the [`Cache`]), which each process
//! that runs it loads into a [`Program`]; each worker calls it through a [`Session`] of its own.
//! One function, [`Settings::config`], builds the engine's configuration on both sides, so that
//! what the host compiled is what the child can load, and the fingerprint proves it.

mod allocation;
mod artifact;
mod cache;
mod call;
mod component;
mod config;
mod drill;
mod entry;
mod extism;
#[cfg(test)]
mod fuzz;
mod heap;
mod imports;
mod interrupt;
mod limiter;
mod opened;
mod program;
mod region;
mod state;
mod tape;
mod traps;
mod wasi;
mod wasi2;
mod world;

pub(crate) use allocation::Demand;
pub(crate) use artifact::{Artifact, Origin, Provenance, compile, sealed};
pub use cache::Cache;
pub use call::InstancePolicy;
pub(crate) use call::{NoRoom, Session};
pub use config::Metering;
pub(crate) use config::{Settings, fingerprint_of};
pub(crate) use drill::{Drill, Weight};
pub(crate) use interrupt::Interrupt;
pub(crate) use opened::MOST_OPEN;
pub(crate) use program::Program;
pub(crate) use state::mix;
pub(crate) use tape::Told;
pub(crate) use world::World;

use crate::units::{ByteSize, TimeSpan};

/// The version of wasmtime in this build.
pub(crate) const ENGINE_VERSION: &str = env!("COFFERDAM_WASMTIME");

/// Why a guest could not be made ready to run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The compiler refuses the module.
    #[error("it is not a valid module: {0}")]
    Invalid(String),
    /// Compiling it took longer than it may.
    #[error(
        "compiling it took longer than {limit}: give it more (--compile-timeout), or compile it inline if you trust it (--compile inline)"
    )]
    CompileTimeout {
        /// What it may take.
        limit: TimeSpan,
    },
    /// Compiling it took more memory than it may.
    #[error(
        "compiling it took more memory than {limit}: give it more (--compile-memory), or compile it inline if you trust it (--compile inline)"
    )]
    CompileMemory {
        /// What it may take.
        limit: ByteSize,
    },
    /// The process that compiled it ended without a result.
    #[error("the compiler did not survive it: {0}")]
    CompilerDied(String),
    /// There is no process to compile it in.
    #[error("the process that compiles it could not be started: {0}")]
    NoCompiler(String),
    /// This machine or these settings do not suit the engine.
    #[error("the engine cannot be set up: {0}")]
    Engine(String),
    /// The compiled code cannot be loaded.
    #[error("the compiled code cannot be loaded: {0}")]
    Load(String),
    /// The system refused memory for the compiled code.
    #[error("the compiled code cannot be kept in memory: {0}")]
    Memory(#[from] std::io::Error),
    /// Two processes disagree about how guests are compiled.
    #[error(
        "compiled with fingerprint {theirs}, but this process has {ours}: is it another build of cofferdam?"
    )]
    Fingerprint {
        /// The fingerprint of this process.
        ours: String,
        /// The fingerprint that came with the artifact.
        theirs: String,
    },
}

/// The whole chain of causes; wasmtime's errors hide the useful part at the end. They quote names of
/// the module, which must not steer a terminal.
fn chain(error: &wasmtime::Error) -> String {
    crate::mail::printable_lines(&format!("{error:#}"))
}
