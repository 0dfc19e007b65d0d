//! Options that several subcommands share.

use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use cofferdam::report::Colour;
use cofferdam::{
    ByteSize, Cache, Compile, CompileLimits, Hardening, InstancePolicy, Isolation, Limits,
    LinkKind, StartMethod, TimeSpan, WaitPolicy,
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
    /// Spawn this program anew for each worker
    Exec,
    /// Fork a process that has the guest loaded
    Fork,
    /// Take one from a stock that was forked ahead
    Spare,
}

impl From<StartArg> for StartMethod {
    fn from(typed: StartArg) -> Self {
        match typed {
            StartArg::Exec => Self::Exec,
            StartArg::Fork => Self::Fork,
            StartArg::Spare => Self::Spare,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum LinkArg {
    /// Frames over a socket pair
    Pipe,
    /// Frames through shared memory
    Shm,
}

impl From<LinkArg> for LinkKind {
    fn from(typed: LinkArg) -> Self {
        match typed {
            LinkArg::Pipe => Self::Pipe,
            LinkArg::Shm => Self::Shm,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum WaitArg {
    /// Look all the time, on a CPU of one's own
    Spin,
    /// Be woken
    Park,
    /// Look for a moment, where that pays; then be woken
    Auto,
}

impl From<WaitArg> for WaitPolicy {
    fn from(typed: WaitArg) -> Self {
        match typed {
            WaitArg::Spin => Self::Spin,
            WaitArg::Park => Self::Park,
            WaitArg::Auto => Self::Auto,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum HardeningArg {
    /// Keep all that the user has: files, network, every system call
    Off,
    /// Give up whatever this system lets one give up
    BestEffort,
    /// The same, and refuse to start where something is missing
    Required,
}

impl From<HardeningArg> for Hardening {
    fn from(typed: HardeningArg) -> Self {
        match typed {
            HardeningArg::Off => Self::Off,
            HardeningArg::BestEffort => Self::BestEffort,
            HardeningArg::Required => Self::Required,
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

/// A size that is read again as the same number of bytes.
fn exact(size: ByteSize) -> String {
    let bytes = size.bytes();
    for (unit, name) in [(1 << 20, "MiB"), (1 << 10, "KiB")] {
        if bytes > 0 && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    format!("{bytes}B")
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
    pub(crate) fuel: Option<u64>,
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

    /// The options that are not the usual ones, as they are typed.
    pub(crate) fn typed(self) -> Vec<String> {
        let usual = Limits::default();
        let timeout = match self.timeout {
            TimeoutArg::After(timeout) => Some(timeout),
            TimeoutArg::Never => None,
        };
        let mut words = Vec::new();
        let mut say = |option: &str, value: String| words.extend([option.to_owned(), value]);
        if timeout != usual.timeout {
            let exact = |timeout: Duration| format!("{}us", timeout.as_micros());
            say("--timeout", timeout.map_or("none".to_owned(), exact));
        }
        for (option, size, usual) in [
            ("--memory", self.memory, usual.memory),
            ("--stack", self.stack, usual.stack),
            ("--max-output", self.max_output, usual.output),
            ("--max-input", self.max_input, usual.input),
        ] {
            if size != usual {
                say(option, exact(size));
            }
        }
        if let Some(fuel) = self.fuel {
            say("--fuel", fuel.to_string());
        }
        words
    }

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
    /// Where guests that are not built in are compiled
    #[arg(long, value_enum, default_value = "isolated")]
    compile: CompileArg,
    /// How long compiling may take, isolated
    #[arg(long, value_name = "TIME", default_value = "60s")]
    compile_timeout: TimeSpan,
    /// How much memory compiling may take, isolated
    #[arg(long, value_name = "SIZE", default_value = "2048MiB")]
    compile_memory: ByteSize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum CompileArg {
    /// In a process of its own, which is killed at its limits
    Isolated,
    /// In this process: for guests that you trust
    Inline,
}

impl CacheArgs {
    /// Where to compile, and within what.
    pub(crate) fn compile(&self) -> Compile {
        match self.compile {
            CompileArg::Inline => Compile::Inline,
            CompileArg::Isolated => Compile::Isolated(CompileLimits {
                timeout: self.compile_timeout.duration(),
                memory: self.compile_memory,
            }),
        }
    }

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

/// The terminal's width, from 80 to 120 columns; 80 where there is none.
pub(crate) fn width() -> u16 {
    let columns = rustix::termios::tcgetwinsize(io::stdout()).map_or(80, |size| size.ws_col);
    columns.clamp(80, 120)
}

/// When to use colour.
#[derive(Debug, clap::Args)]
pub(crate) struct ColourArgs {
    /// When to use colour; `auto` minds the terminal and NO_COLOR
    #[arg(long, value_enum, value_name = "WHEN", default_value = "auto")]
    color: ColourArg,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ColourArg {
    Auto,
    Always,
    Never,
}

impl ColourArgs {
    pub(crate) fn colour(&self) -> Colour {
        // https://no-color.org: when present and not an empty string
        let unwanted = || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let dumb = || std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        match self.color {
            ColourArg::Always => Colour::Ansi,
            ColourArg::Never => Colour::Plain,
            ColourArg::Auto if !io::stdout().is_terminal() || unwanted() || dumb() => Colour::Plain,
            ColourArg::Auto => Colour::Ansi,
        }
    }
}

/// Whoever reads our output may have had enough of it; the exit code still tells.
pub(crate) fn print(text: &[u8]) -> io::Result<()> {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => result,
    }
}
