//! The faults that are injected, and what must happen: a table made before anything is run.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::Isolation;

/// What is done to a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// Its guest traps.
    Trap,
    /// Its guest recurses without end.
    Recursion,
    /// Its guest loops without end.
    Loop,
    /// Its guest waits in the host without end.
    Wait,
    /// Its guest takes all the memory that it can get.
    Grow,
    /// Its guest floods its reply.
    Flood,
    /// Its guest hands the host a range outside its memory.
    Lie,
    /// A host function that its guest calls panics.
    HostPanic,
    /// A host function that its guest calls aborts.
    HostAbort,
    /// A host function that its guest calls touches memory that is not there.
    HostSegfault,
    /// It is killed by SIGKILL in the middle of a job.
    Kill,
    /// It is stopped by SIGSTOP in the middle of a job.
    Stop,
}

impl Fault {
    /// Every fault, in the order of the report.
    pub const ALL: [Self; 12] = [
        Self::Trap,
        Self::Recursion,
        Self::Loop,
        Self::Wait,
        Self::Grow,
        Self::Flood,
        Self::Lie,
        Self::HostPanic,
        Self::HostAbort,
        Self::HostSegfault,
        Self::Kill,
        Self::Stop,
    ];

    /// Its name in the result file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Recursion => "recursion",
            Self::Loop => "loop",
            Self::Wait => "wait",
            Self::Grow => "grow",
            Self::Flood => "flood",
            Self::Lie => "lie",
            Self::HostPanic => "host-panic",
            Self::HostAbort => "host-abort",
            Self::HostSegfault => "host-segfault",
            Self::Kill => "kill",
            Self::Stop => "stop",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trap => "guest traps",
            Self::Recursion => "guest recurses without end",
            Self::Loop => "guest loops without end",
            Self::Wait => "guest waits without end",
            Self::Grow => "guest takes all memory",
            Self::Flood => "guest floods its reply",
            Self::Lie => "guest lies about a range",
            Self::HostPanic => "host function panics",
            Self::HostAbort => "host function aborts",
            Self::HostSegfault => "host function segfaults",
            Self::Kill => "worker gets SIGKILL",
            Self::Stop => "worker gets SIGSTOP",
        })
    }
}

/// How far a fault went.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// The job that met the fault ended with a typed outcome; its worker lives, and nobody else
    /// noticed.
    Contained,
    /// The worker was lost and replaced; nobody else noticed.
    WorkerLost,
    /// Jobs of others were lost too, but the host lived.
    Spread,
    /// The host stands still, and every job with it.
    HostStopped,
    /// The host died, and every job with it.
    HostDied,
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Contained => "contained",
            Self::WorkerLost => "worker lost",
            Self::Spread => "spread to other jobs",
            Self::HostStopped => "host stopped",
            Self::HostDied => "host died",
        })
    }
}

/// What must happen. The letters are those of the fault catalogue: G1 to G10 for guests, H1 to H4 for
/// host functions, W1 and W2 for workers. A thread has no signals of its own: what is sent to it, its
/// process gets.
#[must_use]
pub fn expected(fault: Fault, isolation: Isolation) -> Fate {
    use Isolation::{Process, Thread};
    match (fault, isolation) {
        // G1, G2, G6, G9, G10: the sandbox holds, whatever is around it.
        (Fault::Trap | Fault::Recursion | Fault::Grow | Fault::Flood | Fault::Lie, _) => {
            Fate::Contained
        }
        // G3, G5: a thread is interrupted, a process is killed at the deadline.
        (Fault::Loop | Fault::Wait, Thread) => Fate::Contained,
        (Fault::Loop | Fault::Wait, Process) => Fate::WorkerLost,
        // H1: the panic is caught, but the worker is not to be trusted any more.
        (Fault::HostPanic, _) => Fate::WorkerLost,
        // H2, H4, W1
        (Fault::HostAbort | Fault::HostSegfault | Fault::Kill, Thread) => Fate::HostDied,
        (Fault::HostAbort | Fault::HostSegfault | Fault::Kill, Process) => Fate::WorkerLost,
        // W2
        (Fault::Stop, Thread) => Fate::HostStopped,
        (Fault::Stop, Process) => Fate::WorkerLost,
    }
}
