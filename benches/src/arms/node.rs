//! Node's own workers beside ours: threads of `worker_threads`, processes of `child_process.fork`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::Failure;

/// A Node that waits for orders, and holds the stopwatch itself: its clock has our clock's source.
pub struct Node {
    process: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

/// Which of Node's workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeWorker {
    /// `worker_threads`.
    Thread,
    /// `child_process.fork`, with the serialization that can carry bytes.
    Fork,
}

impl NodeWorker {
    fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Fork => "fork",
        }
    }
}

/// What Node is told to do. It stands beside this file, where Node finds it for its workers, too.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/arms/node.mjs");

impl Node {
    /// Starts it; or says why it cannot be had.
    ///
    /// # Errors
    /// If there is no `node` on the path, or the script is not where this was built.
    pub fn new() -> Result<Self, String> {
        if !Path::new(SCRIPT).exists() {
            return Err(format!("{SCRIPT} is not there"));
        }
        let mut process = Command::new("node")
            .arg(SCRIPT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("node: {error}"))?;
        let orders = process.stdin.take();
        let answers = process.stdout.take().ok_or("node has no output")?;
        Ok(Self {
            process,
            orders,
            answers: BufReader::new(answers),
        })
    }

    /// New workers, each until its first reply, and then ended.
    ///
    /// # Errors
    /// If Node fails.
    pub fn start(&mut self, worker: NodeWorker, count: usize) -> Result<Vec<Duration>, Failure> {
        self.order(&format!("start {} {count}", worker.name()), count)
    }

    /// Messages to a worker that is there, and back, one after the other.
    ///
    /// # Errors
    /// If Node fails.
    pub fn echo(
        &mut self,
        worker: NodeWorker,
        bytes: usize,
        count: usize,
    ) -> Result<Vec<Duration>, Failure> {
        self.order(&format!("echo {} {bytes} {count}", worker.name()), count)
    }

    fn order(&mut self, order: &str, count: usize) -> Result<Vec<Duration>, Failure> {
        let mut answer = String::new();
        let orders = self.orders.as_mut().ok_or("node has ended")?;
        writeln!(orders, "{order}")?;
        self.answers.read_line(&mut answer)?;
        let times: Result<Vec<Duration>, _> = answer
            .split_whitespace()
            .map(|nanos| nanos.parse().map(Duration::from_nanos))
            .collect();
        match times {
            Ok(times) if times.len() == count => Ok(times),
            _ => Err(format!("node answers {answer:?} to {order:?}").into()),
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It ends with its input, and takes its workers along.
        self.orders = None;
        let _ = self.process.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_answers_with_as_many_times_as_it_was_told() {
        // Where there is no Node, nothing of it is measured either.
        let Ok(mut node) = Node::new() else { return };
        for worker in [NodeWorker::Thread, NodeWorker::Fork] {
            assert_eq!(node.start(worker, 1).unwrap().len(), 1);
            assert_eq!(node.echo(worker, 64, 3).unwrap().len(), 3);
        }
    }
}
