//! How a job that met a fault may end, and what may be lost with it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Fate;
use crate::guest::GuestError;
use crate::job::{Death, Outcome, TrapKind};
use crate::pool::{BuildError, Lost};
use crate::runtime::RuntimeError;

/// How a job ended, by kind: what of an outcome, of a death or of an error can be known beforehand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// The guest is done.
    Output,
    /// The guest refuses with this code.
    Refused(i32),
    /// The guest trapped.
    Trapped(TrapKind),
    /// Its time is over.
    Deadline,
    /// Its fuel is burnt.
    OutOfFuel,
    /// It ended after it was denied memory.
    MemoryLimit,
    /// It said more than it may.
    OutputLimit,
    /// It broke the interface.
    InterfaceViolation,
    /// It cannot be instantiated.
    InvalidGuest,
    /// The worker exited with this code.
    Exited(i32),
    /// The worker was ended by this signal.
    Signalled(i32),
    /// The worker did not come back.
    Hung,
    /// Host code in the worker panicked.
    Panicked,
    /// The worker broke the protocol.
    Garbled,
    /// The worker did not start.
    SpawnFailed,
    /// There was no job: the bytes are no guest.
    NotAGuest(Refusal),
    /// There was no job: the guest was not compiled, or not loaded.
    NotCompiled,
    /// The host was ended by this signal, and the job with it.
    HostDied(i32),
    /// The host exited with this code, and the job with it.
    HostExited(i32),
    /// The host was stopped, and the job with it.
    HostStopped,
}

/// Why bytes are no guest, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// There are none.
    Empty,
    /// They are something else.
    NotWasm,
    /// They are a component.
    Component,
    /// They are text with a mistake.
    InvalidText,
    /// They are a damaged module.
    Invalid,
    /// The marker of the interface is missing.
    NoMarker,
    /// An export is missing.
    MissingExport,
    /// An export has the wrong type.
    WrongExport,
    /// It imports what nobody offers.
    UnknownImports,
}

impl From<&GuestError> for Refusal {
    fn from(error: &GuestError) -> Self {
        match error {
            GuestError::Empty => Self::Empty,
            GuestError::NotWasm(_) => Self::NotWasm,
            GuestError::Component
            | GuestError::NoComponent
            | GuestError::NoComponentEntry { .. } => Self::Component,
            GuestError::InvalidText(_) => Self::InvalidText,
            GuestError::Invalid(_) => Self::Invalid,
            GuestError::NoMarker { .. } => Self::NoMarker,
            GuestError::MissingExport(_)
            | GuestError::NoSuchFunction { .. }
            | GuestError::NoCall { .. } => Self::MissingExport,
            GuestError::WrongExport { .. } => Self::WrongExport,
            GuestError::UnknownImports { .. } => Self::UnknownImports,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "the file is empty",
            Self::NotWasm => "it is not WebAssembly",
            Self::Component => "it is a component",
            Self::InvalidText => "its text is not valid",
            Self::Invalid => "it is not a valid module",
            Self::NoMarker => "the marker is missing",
            Self::MissingExport => "an export is missing",
            Self::WrongExport => "an export has the wrong type",
            Self::UnknownImports => "an import is not offered",
        })
    }
}

impl From<&Outcome> for Ending {
    fn from(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Output => Self::Output,
            Outcome::Refused { code, .. } => Self::Refused(*code),
            Outcome::Trapped { kind, .. } => Self::Trapped(*kind),
            Outcome::Deadline => Self::Deadline,
            Outcome::OutOfFuel => Self::OutOfFuel,
            Outcome::MemoryLimit => Self::MemoryLimit,
            Outcome::OutputLimit => Self::OutputLimit,
            Outcome::InterfaceViolation(_) => Self::InterfaceViolation,
            Outcome::InvalidGuest(_) => Self::InvalidGuest,
            // Only a command's, and the catalogue has none.
            Outcome::Exited(code) => Self::Refused(*code),
        }
    }
}

impl From<&Death> for Ending {
    fn from(death: &Death) -> Self {
        match death {
            Death::Exited(code) => Self::Exited(*code),
            Death::Signalled(signal) => Self::Signalled(*signal),
            // The kernel's own SIGKILL; who sent it is no question of the catalogue's.
            Death::OutOfMemory => Self::Signalled(libc::SIGKILL),
            Death::Hung { .. } => Self::Hung,
            Death::Panicked(_) => Self::Panicked,
            Death::Garbled(_) => Self::Garbled,
            Death::SpawnFailed(_) => Self::SpawnFailed,
        }
    }
}

impl Ending {
    /// What a job without a reply says; `None` where the pool was at an end.
    pub(super) fn of_lost(lost: &Lost) -> Option<Self> {
        match lost {
            Lost::Worker(death) => Some(death.into()),
            Lost::Cancelled | Lost::Expired { .. } | Lost::NoWorkers(_) => None,
        }
    }

    /// What a pool that could not be built says; `None` where the guest was not to blame.
    pub(super) fn of_build(error: &BuildError) -> Option<Self> {
        match error {
            BuildError::Guest {
                error: RuntimeError::Invalid(_),
                ..
            } => Some(Self::NotCompiled),
            _ => None,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Output => f.write_str("done"),
            Self::Refused(code) => write!(f, "refused with {code}"),
            Self::Trapped(kind) => write!(f, "trapped ({kind})"),
            Self::Deadline => f.write_str("deadline"),
            Self::OutOfFuel => f.write_str("out of fuel"),
            Self::MemoryLimit => f.write_str("memory limit"),
            Self::OutputLimit => f.write_str("output limit"),
            Self::InterfaceViolation => f.write_str("interface broken"),
            Self::InvalidGuest => f.write_str("not instantiated"),
            Self::Exited(code) => write!(f, "worker exited with {code}"),
            Self::Signalled(signal) => write!(f, "worker died of signal {signal}"),
            Self::Hung => f.write_str("worker hung"),
            Self::Panicked => f.write_str("worker panicked"),
            Self::Garbled => f.write_str("worker broke the protocol"),
            Self::SpawnFailed => f.write_str("worker did not start"),
            Self::NotAGuest(why) => write!(f, "no guest: {why}"),
            Self::NotCompiled => f.write_str("not compiled: it is not valid"),
            Self::HostDied(signal) => write!(f, "host died of signal {signal}"),
            Self::HostExited(code) => write!(f, "host exited with {code}"),
            Self::HostStopped => f.write_str("host stopped"),
        }
    }
}

/// What is lost with the job, each including the ones before it. Whoever is not lost survives: the worker's
/// siblings and bystanders always, as long as the host does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Loss {
    /// Nothing: where instances are reused, the next job has the same one.
    Nothing,
    /// The instance: the worker goes on with a new one.
    Instance,
    /// The worker: the pool goes on with a new one.
    Worker,
    /// Everything stands still with the host.
    HostStopped,
    /// The host, and everything in it.
    Host,
}

impl Loss {
    /// How far that is, in the words of the report.
    #[must_use]
    pub fn fate(self) -> Fate {
        match self {
            Self::Nothing | Self::Instance => Fate::Contained,
            Self::Worker => Fate::WorkerLost,
            Self::HostStopped => Fate::HostStopped,
            Self::Host => Fate::HostDied,
        }
    }
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing lost",
            Self::Instance => "instance lost",
            Self::Worker => "worker replaced",
            Self::HostStopped | Self::Host => "everything lost",
        })
    }
}

/// What must happen in one isolation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The job ends in one of these ways, with this loss each. Mostly there is one; where there are several it
    /// is a matter of time which comes.
    Ends(&'static [(Ending, Loss)]),
    /// It is no single job that tells: this, in words.
    Told(&'static str),
    /// It cannot happen there, and why.
    Absent(&'static str),
}

impl Expected {
    /// How far the fault goes, where every ending goes as far.
    #[must_use]
    pub fn fate(&self) -> Option<Fate> {
        let Self::Ends(ends) = self else { return None };
        let (first, rest) = ends.split_first()?;
        let fate = first.1.fate();
        rest.iter()
            .all(|(_, loss)| loss.fate() == fate)
            .then_some(fate)
    }

    /// Whether the host does not live through it.
    #[must_use]
    pub fn ends_the_host(&self) -> bool {
        match self {
            Self::Ends(ends) => ends.iter().any(|(_, loss)| *loss >= Loss::HostStopped),
            Self::Told(_) | Self::Absent(_) => false,
        }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ends(ends) => {
                for (place, (ending, loss)) in ends.iter().enumerate() {
                    let or = if place == 0 { "" } else { "; or " };
                    write!(f, "{or}{ending}, {loss}")?;
                }
                Ok(())
            }
            Self::Told(words) => f.write_str(words),
            Self::Absent(why) => write!(f, "— ({why})"),
        }
    }
}
