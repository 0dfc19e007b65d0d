//! What cofferdam's neighbours in Rust have in common: the order that they get, and the child that echoes.

#[path = "../../../src/pong.rs"]
mod pong;
#[path = "../../../src/task.rs"]
mod task;

use std::process::{Command, Stdio};

pub use pong::{CrossbeamPong, SocketPong};
pub use task::{Measure, Task, answer, check};

/// The error of an arm: it ends the arm with its message.
pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// This very program, to be spawned as the other side of `arm`.
///
/// Its standard input is a pipe: when that ends, whoever spawned it is gone.
///
/// # Errors
/// If the program has no file any more.
pub fn other_side(arm: &str, task: &Task) -> Result<Command, Failure> {
    let mut command = Command::new(std::env::current_exe()?);
    command
        .arg(arm)
        .args(["--measure", "echo", "--bytes"])
        .arg(task.bytes.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    Ok(command)
}
