//! An error on its way to the user, with the exit code that it means.

use std::fmt;
use std::io;

use cofferdam::{BuildError, Exit, FolderError, LoadError, NativeError, RuntimeError};

/// Why the program could not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(exit: Exit, error: impl Into<anyhow::Error>) -> Self {
        Self {
            exit,
            error: error.into(),
        }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, anyhow::Error::msg(message.into()))
    }

    /// An input that is named on the command line and cannot be read.
    pub(crate) fn input(flag: &str, path: &std::path::Path, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Internal,
        };
        Self::new(exit, anyhow::anyhow!("{flag} {}: {error}", path.display()))
    }

    /// Whether the reader of our output is gone.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        let kind = self.error.downcast_ref::<io::Error>().map(io::Error::kind);
        kind == Some(io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::new(Exit::Internal, error)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::new(Exit::Internal, error)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Self {
        let exit = match &error {
            LoadError::NotFound(_) | LoadError::NoSuchEmbedded { .. } => Exit::NotFound,
            LoadError::Unreadable { .. }
            | LoadError::TooLarge { .. }
            | LoadError::NotAGuest { .. } => Exit::CannotRun,
        };
        Self::new(exit, error)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        let exit = match &error {
            BuildError::Guest {
                error: RuntimeError::NoCompiler(_),
                ..
            } => Exit::Internal,
            BuildError::Guest { .. } => Exit::CannotRun,
            BuildError::Native(NativeError::NotFound(_)) => Exit::NotFound,
            BuildError::Native(_) => Exit::CannotRun,
            BuildError::Folder(FolderError::NotThere { .. }) => Exit::NotFound,
            BuildError::Folder(FolderError::Unusable { .. }) => Exit::Internal,
            BuildError::NoWorkers
            | BuildError::TooManyWorkers { .. }
            | BuildError::Told(_)
            | BuildError::Folder(_)
            | BuildError::Host(_) => Exit::Usage,
            _ => Exit::Internal,
        };
        // Its message holds the cause already; anyhow would print it a second time.
        Self::new(exit, anyhow::Error::msg(error.to_string()))
    }
}
