//! Runs guest WebAssembly modules in workers.
//!
//! A worker lives either in a *thread* of this process (the wasm sandbox is the only wall) or in a
//! *process* of its own (the sandbox and the operating system are the walls). Everything else is the
//! same:
//!
//! ```standalone_crate
//! use cofferdam::{Guest, Isolation, Job, Limits, Pool};
//!
//! # fn demo() -> Result<(), Box<dyn std::error::Error>> {
//! let guest = Guest::embedded("sha256")?;
//! for isolation in [Isolation::Thread, Isolation::Process] {
//!     let pool = Pool::builder(guest.clone())
//!         .isolation(isolation)
//!         .workers(2)
//!         .limits(Limits { timeout: Some(std::time::Duration::from_secs(5)), ..Limits::default() })
//!         .build()?;
//!     let ticket = pool.submit(Job::new("abc"))?;
//!     let completion = ticket.wait();
//!     let reply = completion.result?;
//!     assert!(reply.output.starts_with(b"ba7816bf8f01cfea"));
//! }
//! # Ok(())
//! # }
//! // A process worker is this very program, spawned anew: it has to serve first thing in `main`.
//! fn main() -> std::process::ExitCode {
//!     if let Some(code) = cofferdam::serve_if_worker() {
//!         return code;
//!     }
//! #   demo().expect("both isolations give the same reply");
//!     // … the program itself
//!     std::process::ExitCode::SUCCESS
//! }
//! ```
//!
//! A guest is a module of interface 1 (`guest/INTERFACE.md`), or one of those that are built in
//! ([`EMBEDDED`]). Three endings are three types: the guest's is an [`Outcome`], the worker's a
//! [`Death`], and our own an error. How the parts hang together is told in `host/ARCHITECTURE.md`.

/// The examples of the README, compiled and run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;

/// Those of the guide to embedding. All other guides are run by `tests/guides`.
#[cfg(doctest)]
#[doc = include_str!("../guides/embed.md")]
struct GuideToEmbedding;

mod exit_code;
mod fetch;
mod folder;
#[cfg(test)]
mod fuzz;
mod guest;
mod hosts;
mod job;
mod mail;
mod native;
mod options;
mod payload;
mod region;
pub mod units;
mod wait;

mod runtime;

mod harden;
mod link;
mod sys;
mod worker;

mod pool;

pub mod check;
pub mod doctor;
pub mod experiment;
pub mod machine;
pub mod report;
pub mod stats;

pub use exit_code::Exit;
pub use folder::{Folder, FolderAccess, FolderError};
pub use guest::{
    Anatomy, EMBEDDED, Embedded, Entry, Extern, Guest, GuestError, GuestSource, LoadError, Memory,
    Packed,
};
pub use harden::{Enforcement, Layer, Standing};
pub use hosts::{AllowedHost, HostError};
pub use job::{Death, Job, Limits, Outbox, Outcome, Phases, PostError, Reply, Sender, TrapKind};
pub use mail::printable;
pub use native::{Native, NativeError};
pub use options::{
    Compile, CompileLimits, Hardening, Isolation, LinkKind, StartMethod, WaitPolicy,
};
pub use pool::{
    Batch, BuildError, Completion, Health, Incident, Lost, Ordered, Pool, PoolBuilder, Prepared,
    RestartPolicy, Stopper, SubmitError, Surroundings, Ticket, Unordered, WorkerInfo,
};
pub use region::{Region, RegionAccess, RegionError};
pub use runtime::{Cache, InstancePolicy, Metering, RuntimeError};
pub use units::{ByteSize, TimeSpan, UnitError};
pub use worker::serve_if_worker;

/// How much a guest's log line matters.
pub use cofferdam_guest::abi::Level;
