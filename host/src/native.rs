//! An ordinary program of this machine, run like a guest: in a pool, with limits, supervised.
//!
//! It is not sandboxed. It has the rights of whoever runs the pool, and reads and writes what they may; only its time,
//! its memory and its output are bounded. So it runs in processes alone: in a thread of the host it would be the host.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// A command line: a program, and what it is told.
///
/// ```
/// use cofferdam::{Job, Native, Pool};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let pool = Pool::native(Native::new("tr").args(["a-z", "A-Z"])).build()?;
/// assert_eq!(pool.call(Job::new("quiet"))?.result?.output, b"QUIET");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Native {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
}

/// Why there is no such program.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// Nothing has this name.
    #[error("no program `{}`: give a path, or a name that is found in one of the folders of PATH", .0.display())]
    NotFound(PathBuf),
    /// Something has, and cannot be executed.
    #[error("`{}` cannot be executed: {error}", path.display())]
    NotExecutable {
        /// What was found.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// The shell of [`Native::shell`].
const SHELL: &str = "/bin/sh";

impl Native {
    /// A program by its path, or by a name that is looked for in the folders of `PATH`. No shell is asked.
    #[must_use]
    pub fn new(program: impl Into<OsString>) -> Self {
        Self {
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
        }
    }

    /// A script for `/bin/sh`: pipes, patterns and variables mean what they mean there, so text of somebody else's
    /// has no place in it.
    #[must_use]
    pub fn shell(script: impl Into<OsString>) -> Self {
        Self::new(SHELL).args([OsString::from("-c"), script.into()])
    }

    /// What it is told as its arguments, each as it stands. Default: nothing.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.args = args.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a variable to its environment, which is `PATH` of this process and nothing else: secrets are often kept in
    /// the rest.
    #[must_use]
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// The program as it was named.
    #[must_use]
    pub fn program(&self) -> &OsStr {
        &self.program
    }

    /// Finds the program.
    ///
    /// # Errors
    /// [`NativeError`]
    pub(crate) fn resolve(&self) -> Result<Resolved, NativeError> {
        let path = std::env::var_os("PATH");
        Ok(Resolved {
            program: find(&self.program, path.as_deref())?,
            args: self.args.clone(),
            env: path
                .into_iter()
                .map(|path| ("PATH".into(), path))
                .chain(self.env.iter().cloned())
                .collect(),
        })
    }
}

/// A command whose program was found.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    pub(crate) env: Vec<(OsString, OsString)>,
}

/// The file that is executed under this name, as `execvp(3)` finds it.
fn find(name: &OsStr, path: Option<&OsStr>) -> Result<PathBuf, NativeError> {
    let named = PathBuf::from(name);
    let not_found = || NativeError::NotFound(named.clone());
    if named.as_os_str().is_empty() {
        return Err(not_found());
    }
    if named.components().count() > 1 || name.as_encoded_bytes().contains(&b'/') {
        return match executable(&named) {
            Ok(()) => Ok(named),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(not_found()),
            Err(error) => Err(NativeError::NotExecutable { path: named, error }),
        };
    }
    let folders = std::env::split_paths(path.unwrap_or_default());
    let mut refused = None;
    for candidate in folders.map(|folder| folder.join(&named)) {
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                refused.get_or_insert(NativeError::NotExecutable {
                    path: candidate,
                    error,
                });
            }
            Err(_) => {}
        }
    }
    Err(refused.unwrap_or_else(not_found))
}

fn executable(path: &Path) -> io::Result<()> {
    match std::fs::metadata(path)?.is_file() {
        true => Ok(access(path, Access::EXEC_OK)?),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_for_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            std::fs::create_dir(place(name)).unwrap();
            std::fs::copy("/bin/true", place(name).join("tool")).unwrap();
        }
        let path = std::env::join_paths(["nowhere".into(), place("b"), place("a")]).unwrap();
        let found = find(OsStr::new("tool"), Some(&path)).unwrap();
        assert_eq!(found, place("b").join("tool"));
        assert!(matches!(
            find(OsStr::new("no-such-tool"), Some(&path)),
            Err(NativeError::NotFound(_))
        ));
        assert!(matches!(
            find(OsStr::new("tool"), None),
            Err(NativeError::NotFound(_))
        ));
    }

    #[test]
    fn what_cannot_be_executed_is_told_from_what_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("text");
        std::fs::write(&file, "text").unwrap();
        for path in [file.as_path(), folder.path()] {
            let error = find(path.as_os_str(), None).unwrap_err();
            assert!(
                matches!(error, NativeError::NotExecutable { .. }),
                "{error}"
            );
        }
        let error = find(OsStr::new("/no/such/program"), None).unwrap_err();
        assert!(matches!(error, NativeError::NotFound(_)), "{error}");
        assert!(matches!(
            find(OsStr::new(""), None),
            Err(NativeError::NotFound(_))
        ));
    }
}
