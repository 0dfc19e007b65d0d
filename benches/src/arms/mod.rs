//! Arms: the ways of doing work that are timed, cofferdam's own and the null arms beside them.
//!
//! Each is a closure that does the work once and gives back how long it took. The stopwatch is in the
//! closure, and whatever is no part of the work (making the job, checking the reply, tearing down) is
//! outside of its span. The criterion benches and the table of the goals measure the same closures.

mod batch;
mod bytes;
mod call;
mod forks;
mod kill;
mod neighbour;
mod node;
mod runaway;
mod start;
mod until;

use std::time::Duration;

use crate::Failure;

pub use batch::{
    Threads, bare_threads, batch, crossbeam_batch, empty, guest_threads, native_batch,
};
pub use bytes::{MIB, ParkPong, PipePong, SpinPong, memcpy};
pub use call::{Hash, aside, call, called, native_argon2, payload, ping, round_trip};
pub use forks::Forker;
pub use kill::{kill, recovery};
pub use neighbour::IpcChannel;
pub use node::{Node, NodeWorker};
pub use runaway::{late, sleeper};
pub use start::{
    Spares, first_reply, in_a_new_thread, instantiate_and_call, leave, spawn_true,
    thread_spawn_join,
};
pub use until::until;

/// Does the work once, and says how long it took.
pub trait Once: FnMut() -> Result<Duration, Failure> {}

impl<F: FnMut() -> Result<Duration, Failure>> Once for F {}
