//! Options that several subcommands share.

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cofferdam::{
    ByteSize, Cache, InstancePolicy, Isolation, Limits, LinkKind, StartMethod, TimeSpan,
};

/// Says something on stderr, without minding whether anybody listens.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "cofferdam: {message}");
}

/// Both would read from it, and one would find it empty.
pub(crate) const STDIN_TWICE: &str =
    "standard input is the guest, and cannot be its input too: give one of them as a file";

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum IsolationArg {
    /// The wasm sandbox is the only wall
    Thread,
    /// Sandbox and operating system
    Process,
}

impl From<IsolationArg> for Isolation {
    fn from(typed: IsolationArg) -> Self {
        match typed {
            IsolationArg::Thread => Self::Thread,
            IsolationArg::Process => Self::Process,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StartArg {
    /// Spawn this program anew
    Exec,
}

impl From<StartArg> for StartMethod {
    fn from(typed: StartArg) -> Self {
        match typed {
            StartArg::Exec => Self::Exec,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LinkArg {
    /// Frames over a socket pair
    Pipe,
}

impl From<LinkArg> for LinkKind {
    fn from(typed: LinkArg) -> Self {
        match typed {
            LinkArg::Pipe => Self::Pipe,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum InstanceArg {
    /// A new instance for each job
    Fresh,
    /// One instance for many jobs
    Reused,
}

impl From<InstanceArg> for InstancePolicy {
    fn from(typed: InstanceArg) -> Self {
        match typed {
            InstanceArg::Fresh => Self::Fresh,
            InstanceArg::Reused => Self::Reused,
        }
    }
}

/// A time limit, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) enum TimeoutArg {
    After(Duration),
    Never,
}

impl std::str::FromStr for TimeoutArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Self::Never);
        }
        let span: TimeSpan = text
            .parse()
            .map_err(|error| format!("{error}, or `none`"))?;
        if span.duration().is_zero() {
            return Err(
                "a time limit of zero leaves no time for anything: give more, or `none`".to_owned(),
            );
        }
        Ok(Self::After(span.duration()))
    }
}

#[derive(Clone, Copy, Debug, Args)]
#[command(next_help_heading = "Limits of a job")]
pub(crate) struct LimitArgs {
    /// Time from taking up a job to its reply: 100ms, 2s, 1min, none
    #[arg(long, value_name = "TIME", default_value = "30s")]
    timeout: TimeoutArg,
    /// Linear memory and tables, summed over the instance
    #[arg(long, value_name = "SIZE", default_value = "256MiB")]
    memory: ByteSize,
    /// Stack of guest code
    #[arg(long, value_name = "SIZE", default_value = "512KiB")]
    stack: ByteSize,
    /// Units of wasm work, about one an instruction [default: not counted]
    #[arg(long, value_name = "N")]
    fuel: Option<u64>,
    /// Reply and posted messages together
    #[arg(long, value_name = "SIZE", default_value = "16MiB")]
    max_output: ByteSize,
    /// The input of one job
    #[arg(long, value_name = "SIZE", default_value = "64MiB")]
    max_input: ByteSize,
}

impl LimitArgs {
    /// The least stack with which a guest can be called at all.
    const LEAST_STACK: ByteSize = ByteSize::from_kib(16);
    /// Threads of this size fit any address space many times.
    const MOST_STACK: ByteSize = ByteSize::from_mib(1024);
    /// What a frame's length can say, with room for its other fields.
    const MOST_BYTES: ByteSize = ByteSize::from_mib(2047);

    pub(crate) fn limits(self) -> Result<Limits, super::Failure> {
        let within = |flag: &str, size: ByteSize, least: ByteSize, most: ByteSize| {
            if (least..=most).contains(&size) {
                return Ok(size);
            }
            Err(super::Failure::usage(format!(
                "{flag} {size}: give a size from {least} to {most}"
            )))
        };
        let none = ByteSize::from_bytes(0);
        Ok(Limits {
            memory: self.memory,
            stack: within("--stack", self.stack, Self::LEAST_STACK, Self::MOST_STACK)?,
            fuel: self.fuel,
            output: within("--max-output", self.max_output, none, Self::MOST_BYTES)?,
            input: within("--max-input", self.max_input, none, Self::MOST_BYTES)?,
            timeout: match self.timeout {
                TimeoutArg::After(timeout) => Some(timeout),
                TimeoutArg::Never => None,
            },
        })
    }
}

#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Compiled code")]
pub(crate) struct CacheArgs {
    /// Where compiled guests are kept [default: ~/.cache/cofferdam]
    #[arg(
        long,
        value_name = "DIR",
        env = "COFFERDAM_CACHE_DIR",
        hide_env_values = true
    )]
    cache_dir: Option<PathBuf>,
    /// Compile the guest anew, and keep nothing
    #[arg(long, conflicts_with = "cache_dir")]
    no_cache: bool,
}

impl CacheArgs {
    pub(crate) fn cache(&self) -> Cache {
        match (&self.cache_dir, self.no_cache) {
            (_, true) => Cache::off(),
            (Some(folder), false) => Cache::at(folder),
            (None, false) => Cache::of_user(),
        }
    }
}

/// The number of CPUs that this process may use.
pub(crate) fn cpus() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
