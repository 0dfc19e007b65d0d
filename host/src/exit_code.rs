//! What the exit code of `cofferdam` says. Scripts rely on it: a code never changes its meaning.

use std::process::ExitCode;

/// Every way in which the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exit {
    /// 0: all was done.
    Done,
    /// 1: some job failed; the others were done. Of a comparison: a trial failed, or a fault went
    /// otherwise than it must.
    JobFailed,
    /// 2: the command line was not understood.
    Usage,
    /// 4: no case was selected.
    NoCase,
    /// 100: a check found something.
    Found,
    /// 101: a bound of `--fail-if` was passed.
    Tripped,
    /// 124: the only job did not end within its deadline.
    Deadline,
    /// 125: cofferdam itself failed.
    Internal,
    /// 126: the guest was found but cannot be run.
    CannotRun,
    /// 127: the guest or an input was not found.
    NotFound,
    /// 134: the only job trapped.
    Trapped,
    /// The only job's own exit code: it was a command that exited with another code than 0.
    Command(u8),
    /// 128 + n: the only job's worker died of signal n, or cofferdam was asked to stop by signal n.
    Signal(u8),
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::JobFailed => 1,
            Self::Usage => 2,
            Self::NoCase => 4,
            Self::Found => 100,
            Self::Tripped => 101,
            Self::Deadline => 124,
            Self::Internal => 125,
            Self::CannotRun => 126,
            Self::NotFound => 127,
            Self::Trapped => 134,
            Self::Command(code) => code,
            Self::Signal(signal) => 128u8.saturating_add(signal),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_those_of_the_documentation() {
        let codes = [
            (Exit::Done, 0),
            (Exit::JobFailed, 1),
            (Exit::Usage, 2),
            (Exit::NoCase, 4),
            (Exit::Found, 100),
            (Exit::Tripped, 101),
            (Exit::Deadline, 124),
            (Exit::Internal, 125),
            (Exit::CannotRun, 126),
            (Exit::NotFound, 127),
            (Exit::Trapped, 134),
            (Exit::Command(3), 3),
            (Exit::Signal(9), 137),
        ];
        for (exit, code) in codes {
            assert_eq!(exit.code(), code, "{exit:?}");
        }
    }
}
