//! One fault of the catalogue: what it is, how it is made to happen, and whether what was seen is what must be.

use std::fmt;
use std::time::Duration;

use super::Fault;
use super::expectation::{Ending, Expected, Loss};
use super::injector::{Observation, Setting};
use crate::options::{Isolation, LinkKind, StartMethod};
use crate::runtime::{Drill, InstancePolicy};
use crate::sys::escape::Act;

/// One fault of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name: the family, a dot, and what it is.
    pub id: &'static str,
    /// What happens, in a few words.
    pub title: &'static str,
    /// How it is shown.
    pub proof: Proof,
    /// Tests that show it, too: the file under `host/`, and the function.
    pub tests: &'static [(&'static str, &'static str)],
    /// The row of the report that it is.
    pub row: Option<Fault>,
    /// What must happen in a thread.
    pub thread: Expected,
    /// What must happen in a process.
    pub process: Expected,
    /// How long the job may take, where it is its deadline that ends it.
    pub deadline: Option<Duration>,
    /// What must be true of the job beside its ending.
    pub also: Also,
    /// What comes next in the same pool.
    pub next: Next,
}

/// How a fault is shown.
#[derive(Clone, Copy, Debug)]
pub enum Proof {
    /// An [`Injector`](super::Injector) makes it happen.
    Injected(How),
    /// It is no single injection: the tests show it.
    Tested,
    /// It is not shown, and why.
    Open(&'static str),
}

/// How an injector makes it happen.
#[derive(Clone, Copy, Debug)]
pub struct How(pub(super) Injection);

/// The ways of making a fault happen.
#[derive(Clone, Copy, Debug)]
pub(super) enum Injection {
    /// A guest misbehaves: this text within the frame.
    Guest(&'static str),
    /// These bytes are given as a guest.
    Module(&'static [u8]),
    /// Host code that the guest calls does wrong.
    Drill(Drill),
    /// Host code that the guest calls does what an escaped guest would.
    Act(Act),
    /// The worker's process gets a signal in the middle of a job.
    Signal(i32),
    /// The worker is a native program that does wrong.
    Native(Misdeed),
}

/// What a native worker does to its host over a socket pair, or to itself, instead of replying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Misdeed {
    /// It exits with code 0.
    ExitEarly,
    /// It exits with code 9 in the middle of its reply.
    ExitMidReply,
    /// It sends half of a reply and waits.
    HalfAReply,
    /// It replies well, one byte at a time.
    ByteByByte,
    /// Its reply begins with another magic number.
    WrongMagic,
    /// Its reply has another version.
    WrongVersion,
    /// Its reply has a kind that there is not.
    WrongKind,
    /// It replies to another job.
    WrongJob,
    /// Its reply announces 4 GiB.
    LengthLie,
    /// Its reply has a trailer that is too short.
    ShortTrailer,
    /// It replies well, twice.
    DoubleReply,
    /// It says that it is ready, in the middle of a job.
    ReadyAgain,
    /// It replies when the deadline is over.
    LateReply,
    /// It never says anything, and keeps a CPU busy.
    Livelock,
    /// It replies well, after a GiB of garbage on its stdout and stderr.
    Noise,
    /// It asks its host to fetch from hosts that were not allowed, and replies well if that was refused; else never.
    AsksForTheNetwork,
    /// It asks for something to be fetched, in a frame that is too short to say so.
    ShortRequest,
}

impl Misdeed {
    /// All of them, in the order of the numbers that tell a worker what to do.
    pub const ALL: [Self; 17] = [
        Self::ExitEarly,
        Self::ExitMidReply,
        Self::HalfAReply,
        Self::ByteByByte,
        Self::WrongMagic,
        Self::WrongVersion,
        Self::WrongKind,
        Self::WrongJob,
        Self::LengthLie,
        Self::ShortTrailer,
        Self::DoubleReply,
        Self::ReadyAgain,
        Self::LateReply,
        Self::Livelock,
        Self::Noise,
        Self::AsksForTheNetwork,
        Self::ShortRequest,
    ];

    /// The input of the job that is to meet it.
    pub(super) fn input(self) -> Vec<u8> {
        let place = Self::ALL.iter().position(|known| *known == self);
        let place = place.and_then(|place| u8::try_from(place).ok());
        vec![b'!', place.unwrap_or(u8::MAX)]
    }

    /// What the input of a job tells a native worker to do.
    #[must_use]
    pub fn told_by(input: &[u8]) -> Option<Self> {
        match input {
            [b'!', place, ..] => Self::ALL.get(usize::from(*place)).copied(),
            _ => None,
        }
    }
}

/// What must be true of the job beside its ending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Also {
    /// Nothing in particular.
    Nothing,
    /// What it wrote before it ended is kept.
    KeepsOutput(&'static [u8]),
    /// Some of its log lines were dropped, and counted.
    DropsLogLines,
    /// Its log line was heard.
    LogsALine,
    /// If it came to a good end, host code said that nothing kept it from what it did.
    Could,
}

/// What must come next in the same pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// A good job ends well.
    Good,
    /// Every job of this guest ends like this: the next one does, too.
    Alike,
    /// A good job ends well, but the one before it may still be lost to what was done.
    GoodAfterOne,
    /// There never was a pool.
    Nothing,
}

/// By so much a job may overrun its deadline, on a machine that others use as well.
pub(super) const SLACK: Duration = Duration::from_secs(1);

impl Entry {
    /// The family that it belongs to: `G1`.
    #[must_use]
    pub fn family(&self) -> &str {
        self.id.split('.').next().unwrap_or(self.id)
    }

    /// What must happen there.
    #[must_use]
    pub fn expected(&self, isolation: Isolation) -> &Expected {
        match isolation {
            Isolation::Thread => &self.thread,
            Isolation::Process => &self.process,
        }
    }

    /// Whether an injector makes it happen in this setting, if it has every program that it takes.
    #[must_use]
    pub fn is_injected_in(&self, setting: &Setting) -> bool {
        let Proof::Injected(How(injection)) = self.proof else {
            return false;
        };
        let happens = matches!(self.expected(setting.isolation), Expected::Ends(_));
        // A native worker is spawned: a fork server is a program of the host's own, and forks itself.
        let is_reached = !matches!(injection, Injection::Native(_))
            || (setting.start, setting.link) == (StartMethod::Exec, LinkKind::Pipe);
        happens && is_reached
    }

    /// Compares what was seen with what must be.
    ///
    /// # Errors
    /// Says what differs.
    pub fn judge(&self, setting: &Setting, seen: &Observation) -> Result<(), String> {
        let Expected::Ends(ends) = self.expected(setting.isolation) else {
            return Err(format!("{}: it was not to happen there", self.id));
        };
        let differs = |what: String| Err(format!("{} ({setting}): {what}", self.id));
        let Some((_, loss)) = ends.iter().find(|(ending, _)| *ending == seen.ending) else {
            let expected = self.expected(setting.isolation);
            return differs(format!("{} in place of: {expected}", seen.ending));
        };
        // Whether an instance lives on is seen only where it is used again.
        let indistinct = setting.instance == InstancePolicy::Fresh || self.next == Next::Alike;
        let same = seen.loss == *loss
            || (indistinct && *loss <= Loss::Instance && seen.loss <= Loss::Instance);
        if !same {
            return differs(format!("{}, and not: {loss}", seen.loss));
        }
        if *loss >= Loss::HostStopped {
            return Ok(());
        }
        if !seen.next_as_meant {
            return differs("the next job did not end as it must".to_owned());
        }
        if seen.bystanders_lost > 0 || seen.bystanders == 0 {
            let (well, lost) = (seen.bystanders, seen.bystanders_lost);
            return differs(format!("bystanders: {well} jobs well, {lost} lost"));
        }
        if seen.overrun > SLACK {
            return differs(format!("{:?} past its deadline", seen.overrun));
        }
        if seen.control_characters {
            return differs("a log line had control characters".to_owned());
        }
        let holds = match self.also {
            Also::Nothing => true,
            Also::KeepsOutput(output) => seen.output == output,
            Also::DropsLogLines => seen.dropped_logs > 0,
            Also::LogsALine => seen.log_lines > 0,
            Also::Could => {
                seen.ending != Ending::Output || seen.posted.as_ref().is_some_and(Vec::is_empty)
            }
        };
        if holds {
            Ok(())
        } else {
            differs(format!("not so: {:?}", self.also))
        }
    }

    /// How it is made to happen, in words.
    pub(super) fn means(&self) -> String {
        match self.proof {
            Proof::Injected(How(injection)) => injection.to_string(),
            Proof::Tested if self.tests.is_empty() => "—".to_owned(),
            Proof::Tested => "by the tests".to_owned(),
            Proof::Open(why) => format!("**not shown**: {why}"),
        }
    }
}

impl fmt::Display for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guest(text) => {
                let lines = text.lines().take_while(|line| line.starts_with(";;"));
                let words: Vec<_> = lines.map(|line| line[2..].trim()).collect();
                write!(f, "guest: {}", words.join(" "))
            }
            Self::Module(bytes) => write!(f, "{} bytes given as a guest", bytes.len()),
            Self::Drill(drill) => write!(f, "drill of host code: {drill:?}"),
            Self::Act(act) => write!(f, "drill of host code: {}", act.title()),
            Self::Signal(signal) => write!(f, "signal {signal} in the middle of a job"),
            Self::Native(misdeed) => write!(f, "native worker (exec, pipe): {misdeed:?}"),
        }
    }
}
