//! The choices that a user makes about workers, as types. No choice is a `bool`.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::ByteSize;

/// Where a worker lives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In a thread of the host: the wasm sandbox is the only wall.
    Thread,
    /// In a process of its own: the sandbox and the operating system are the walls.
    #[default]
    Process,
}

/// How a process worker comes to be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StartMethod {
    /// The host's own program is spawned anew, for each worker.
    Exec,
    /// A process that has the guest loaded, spawned once, is forked for each worker. All of them have one
    /// layout of memory: address space randomisation is theirs together.
    #[default]
    Fork,
    /// As [`StartMethod::Fork`], but ahead: it is taken from a stock of workers that wait ready. They never
    /// wait by [`WaitPolicy::Spin`], which would keep a CPU busy for each, but by [`WaitPolicy::Auto`].
    Spare,
}

/// How a process worker is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum LinkKind {
    /// Frames over a socket pair.
    Pipe,
    /// Frames through memory that both sides share.
    #[default]
    Shm,
}

/// How workers wait for their next job, and whoever handed one in for its reply: the same way in both
/// isolations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WaitPolicy {
    /// Look all the time. The quickest, where every worker has a CPU of its own; it keeps that busy, with
    /// or without work.
    Spin,
    /// Be woken. Costs system calls, and nothing while nothing happens.
    Park,
    /// Look for about as long as being woken would take, as long as that pays; then be woken.
    #[default]
    Auto,
}

/// What a worker process gives up before it runs a guest. Workers in threads have nothing to give up: what
/// they can do, the host can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hardening {
    /// Nothing: an escaped guest could do what the user can.
    Off,
    /// All that this system lets it give up; what that is, is told ([`Enforcement`](crate::Enforcement)).
    #[default]
    BestEffort,
    /// All of it. A worker that cannot does not start.
    Required,
}

/// Where a guest is compiled. Compilers are large, and what they take from a module they take from a
/// stranger: a small one can keep them busy for ever, or fill all memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compile {
    /// In this process, for as long and with as much memory as it takes: for guests that one trusts.
    Inline,
    /// In a process of its own, which has given up as much as a worker has, and is killed at its limits.
    Isolated(CompileLimits),
}

/// What compiling one guest may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CompileLimits {
    /// From the start of the process to the compiled code.
    pub timeout: Duration,
    /// Bytes of private memory.
    pub memory: ByteSize,
}

impl Default for CompileLimits {
    /// A minute and 2 GiB: a module of some ten MiB takes seconds, and some hundred MiB.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            memory: ByteSize::from_mib(2048),
        }
    }
}

impl Isolation {
    /// Everything that there is, in the order in which it is told of.
    pub const ALL: [Self; 2] = [Self::Thread, Self::Process];
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Thread => "thread",
            Self::Process => "process",
        })
    }
}

impl StartMethod {
    /// Everything that there is, in the order in which it is told of.
    pub const ALL: [Self; 3] = [Self::Exec, Self::Fork, Self::Spare];
}

impl fmt::Display for StartMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Exec => "exec",
            Self::Fork => "fork",
            Self::Spare => "spare",
        })
    }
}

impl LinkKind {
    /// Everything that there is, in the order in which it is told of.
    pub const ALL: [Self; 2] = [Self::Pipe, Self::Shm];
}

impl fmt::Display for LinkKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pipe => "pipe",
            Self::Shm => "shm",
        })
    }
}

impl WaitPolicy {
    /// Everything that there is, in the order in which it is told of.
    pub const ALL: [Self; 3] = [Self::Spin, Self::Park, Self::Auto];
}

impl fmt::Display for WaitPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Spin => "spin",
            Self::Park => "park",
            Self::Auto => "auto",
        })
    }
}

impl fmt::Display for Hardening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Off => "off",
            Self::BestEffort => "best-effort",
            Self::Required => "required",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::InstancePolicy;

    /// The names of all variants, as the published schema has them: made from the type itself.
    fn names<T: JsonSchema>() -> Vec<String> {
        let schema = schemars::schema_for!(T).to_value();
        let one_of = schema["oneOf"].as_array().expect("each variant has words");
        let name = |variant: &serde_json::Value| variant["const"].as_str().map(str::to_owned);
        one_of.iter().filter_map(name).collect()
    }

    fn listed<T: Serialize>(all: &[T]) -> Vec<String> {
        let name = |one| serde_json::to_value(one).expect("a word");
        all.iter()
            .filter_map(|one| name(one).as_str().map(str::to_owned))
            .collect()
    }

    #[test]
    fn the_lists_of_all_choices_have_each_of_them_once() {
        assert_eq!(listed(&Isolation::ALL), names::<Isolation>());
        assert_eq!(listed(&StartMethod::ALL), names::<StartMethod>());
        assert_eq!(listed(&LinkKind::ALL), names::<LinkKind>());
        assert_eq!(listed(&WaitPolicy::ALL), names::<WaitPolicy>());
        assert_eq!(listed(&InstancePolicy::ALL), names::<InstancePolicy>());
    }
}
