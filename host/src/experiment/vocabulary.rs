//! The words in which experiments speak: arms, units, parameters.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::options::{Isolation, LinkKind, StartMethod, WaitPolicy};

/// One side of a comparison.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Arm {
    /// Workers in threads, as they are used: guest code is interruptible.
    Thread,
    /// Workers in processes, as they are used: guest code carries no checks.
    Process,
    /// The arm that others are compared with, once more: what differs from it is noise.
    Control,
    /// Workers in threads without checks in the guest's code: nothing could stop a runaway.
    Unmetered,
    /// Workers in threads whose guest code counts fuel.
    Fuel,
    /// Workers spread over two processes, half of them in each.
    Mixed,
    /// Workers in processes that are spawned anew.
    Exec,
    /// Workers in processes, taken from a stock that was forked ahead.
    Spare,
    /// Workers in processes, reached over a socket pair; both sides wait parked.
    Pipe,
    /// Workers in threads; both sides wait by looking.
    ThreadSpin,
    /// Workers in processes; both sides wait by looking.
    ProcessSpin,
    /// Workers in threads; both sides wait parked.
    ThreadPark,
    /// Workers in processes; both sides wait parked.
    ProcessPark,
}

/// How the workers of an arm live, come to be, and are reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Way {
    pub(super) isolation: Isolation,
    pub(super) start: StartMethod,
    pub(super) link: LinkKind,
    pub(super) wait: WaitPolicy,
}

impl Arm {
    /// Every arm.
    pub const ALL: [Self; 13] = [
        Self::Thread,
        Self::Process,
        Self::Control,
        Self::Unmetered,
        Self::Fuel,
        Self::Mixed,
        Self::Exec,
        Self::Spare,
        Self::Pipe,
        Self::ThreadSpin,
        Self::ProcessSpin,
        Self::ThreadPark,
        Self::ProcessPark,
    ];

    /// Its name in the result file.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Thread => "thread",
            Self::Process => "process",
            Self::Control => "control",
            Self::Unmetered => "unmetered",
            Self::Fuel => "fuel",
            Self::Mixed => "mixed",
            Self::Exec => "exec",
            Self::Spare => "spare",
            Self::Pipe => "pipe",
            Self::ThreadSpin => "thread-spin",
            Self::ProcessSpin => "process-spin",
            Self::ThreadPark => "thread-park",
            Self::ProcessPark => "process-park",
        }
    }

    /// Where its workers live.
    #[must_use]
    pub fn isolation(self) -> Isolation {
        match self {
            Self::Thread
            | Self::Control
            | Self::Unmetered
            | Self::Fuel
            | Self::Mixed
            | Self::ThreadSpin
            | Self::ThreadPark => Isolation::Thread,
            Self::Process
            | Self::Exec
            | Self::Spare
            | Self::Pipe
            | Self::ProcessSpin
            | Self::ProcessPark => Isolation::Process,
        }
    }

    pub(super) fn way(self) -> Way {
        let usual = Way {
            isolation: self.isolation(),
            start: StartMethod::default(),
            link: LinkKind::default(),
            wait: WaitPolicy::default(),
        };
        match self {
            Self::Thread
            | Self::Process
            | Self::Control
            | Self::Unmetered
            | Self::Fuel
            | Self::Mixed => usual,
            Self::Exec => Way {
                start: StartMethod::Exec,
                ..usual
            },
            Self::Spare => Way {
                start: StartMethod::Spare,
                ..usual
            },
            Self::Pipe => Way {
                link: LinkKind::Pipe,
                wait: WaitPolicy::Park,
                ..usual
            },
            Self::ThreadSpin | Self::ProcessSpin => Way {
                wait: WaitPolicy::Spin,
                ..usual
            },
            Self::ThreadPark | Self::ProcessPark => Way {
                wait: WaitPolicy::Park,
                ..usual
            },
        }
    }
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Unit {
    /// Seconds.
    #[serde(rename = "s")]
    Seconds,
    /// Jobs a second.
    #[serde(rename = "jobs/s")]
    JobsPerSecond,
    /// Messages a second.
    #[serde(rename = "messages/s")]
    MessagesPerSecond,
    /// Bytes a second.
    #[serde(rename = "B/s")]
    BytesPerSecond,
    /// Bytes.
    #[serde(rename = "B")]
    Bytes,
    /// Things that are counted, such as file descriptors.
    #[serde(rename = "1")]
    Count,
}

/// What a row was measured at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Param {
    /// Bytes, workers, per cent.
    Number(u64),
    /// A choice, such as `fresh`.
    Text(String),
}

impl fmt::Display for Param {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<u64> for Param {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Param {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// How much time a comparison may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Budget {
    /// At most 15 seconds: a look.
    Quick,
    /// At most a minute.
    Default,
    /// Up to ten minutes: to be cited.
    Rigorous,
}

impl Budget {
    /// What asks for it on the command line.
    pub(super) fn option(self) -> &'static str {
        self.pick(["--quick", "the default budget", "--rigorous"])
    }

    /// One of three: quick, default, rigorous.
    pub(super) fn pick<T>(self, [quick, default, rigorous]: [T; 3]) -> T {
        match self {
            Self::Quick => quick,
            Self::Default => default,
            Self::Rigorous => rigorous,
        }
    }
}

/// A trial that gave no samples. A failure is a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct FailedTrial {
    /// The experiment.
    pub experiment: String,
    /// Its part, or the fault that was injected.
    pub part: String,
    /// The round of this part, from 0.
    pub round: usize,
    /// The arm.
    pub arm: Arm,
    /// What went wrong.
    pub error: String,
}

/// Where a worker of one isolation lives, as both sides see it, and whether what it writes to a global
/// variable of the program is seen by the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Identity {
    /// The isolation.
    pub isolation: Isolation,
    /// The host's process id, as the host sees it.
    pub host_pid: u32,
    /// The id of the host's main thread.
    pub host_tid: u32,
    /// The worker's process id, as the host sees it; `null` if the host says it has none of its own.
    pub worker_pid_by_host: Option<u32>,
    /// The worker's process id, as the worker itself sees it.
    pub worker_pid: u32,
    /// The worker's thread id, as the worker itself sees it.
    pub worker_tid: u32,
    /// Whether the host sees what the worker wrote to a global variable.
    pub write_visible: bool,
    /// Whether an ordinary command of the system (`echo`) ran in a worker of this isolation, and answered; `null` if
    /// there was none to be tried, or in files of before it was tried.
    #[serde(default)]
    pub runs_commands: Option<bool>,
}

/// What two workers of one isolation, and their host, see of each other in a region that both have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sharing {
    /// The isolation.
    pub isolation: Isolation,
    /// The host's process id.
    pub host_pid: u32,
    /// The process id of the worker that wrote, as the host sees it; `null` if it has none of its own.
    pub writer_pid: Option<u32>,
    /// The same of the worker that read.
    pub reader_pid: Option<u32>,
    /// Whether the one read the random bytes that the other wrote.
    pub write_visible: bool,
    /// Whether the host read them, too.
    pub host_sees_write: bool,
    /// How often both workers together added 1 to one word, at the same time.
    pub additions: u64,
    /// What that word was then; it had been 0.
    pub counted: i64,
}
