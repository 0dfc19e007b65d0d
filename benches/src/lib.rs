//! What the benchmarks of cofferdam have in common: the subjects, the null arms, and the arithmetic.
//!
//! A figure says little alone. Each benchmark therefore runs a *null arm* beside cofferdam's own, in
//! the same run: the least that any program would have to pay for the same work. What is measured,
//! in which order, and whom it flatters is told in `benches/METHODOLOGY.md`.

pub mod arms;
mod by_hand;
pub mod goals;
mod pong;
pub mod proc;
mod rounds;
mod subject;
mod task;

pub use by_hand::{Aside, ByHand, Kept, Run};
pub use pong::{CrossbeamPong, SocketPong};
pub use rounds::{Arm, Round, Rounds, run_rounds};
pub use subject::{
    ARGON2, ECHO, LINKS, SHA256, SUBJECTS, Subject, metering_name, pool_for, prepared_echo,
    reply_in, reply_of,
};
pub use task::{Measure, Task, answer, check};

/// The error of a benchmark: it ends the run with its message.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Serves as a worker process if this process is one; else runs the benchmark.
///
/// Process workers are the bench's own program, spawned anew: this has to be all of its `main`.
pub fn main_of_a_bench(bench: impl FnOnce()) -> std::process::ExitCode {
    if let Some(code) = cofferdam::serve_if_worker() {
        return code;
    }
    bench();
    std::process::ExitCode::SUCCESS
}
