//! Folders of the host that a guest may use: named by whoever makes the pool, opened by the host, and by it alone.
//!
//! A guest is granted no folder unless somebody asks for it. What is granted is an open descriptor, not a path: nobody
//! looks the path up a second time, and a worker process gets the descriptor itself.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::mail::printable;
use crate::sys::beneath;

/// What a guest may do in a folder.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum FolderAccess {
    /// Read files and list folders. What would change anything is answered as a file system is that is mounted
    /// read-only (`rofs`). It is the way by this folder that is read-only: if another one is granted that contains it
    /// and may be written to, so may this.
    ReadOnly,
    /// All of that, and make, change, rename and remove. Nothing but the system bounds how much is written.
    #[default]
    ReadWrite,
}

/// A folder of the host that a guest may use, with all that lies beneath it; see
/// [`PoolBuilder::dir`](crate::PoolBuilder::dir).
///
/// As text it is `HOST::GUEST`, or `HOST::GUEST:ro` to be read only. `HOST` alone, or `HOST:ro`, is the same path on both
/// sides.
///
/// ```
/// use cofferdam::{Folder, FolderAccess};
///
/// let folder: Folder = "fixtures::/data:ro".parse()?;
/// assert_eq!(folder, Folder::new("fixtures", "/data", FolderAccess::ReadOnly));
/// # Ok::<(), cofferdam::FolderError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Folder {
    host: PathBuf,
    guest: String,
    access: FolderAccess,
}

/// Why a folder cannot be granted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The text is not understood.
    #[error("--dir {text}: {why}: give HOST::GUEST, or HOST::GUEST:ro to be read only")]
    Syntax {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// There is nothing at the host's path.
    #[error("--dir {path}: it is not there{hint}", path = path.display())]
    NotThere {
        /// The host's path.
        path: PathBuf,
        /// What may have been meant.
        hint: &'static str,
    },
    /// The host's path names something else.
    #[error("--dir {path}: it is no folder: give the one that it lies in", path = path.display())]
    NotAFolder {
        /// The host's path.
        path: PathBuf,
    },
    /// It is there, and the system does not let this process use it.
    #[error("--dir {path}: {error}", path = path.display())]
    Unusable {
        /// The host's path.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
    /// Two folders would have one path in the guest.
    #[error(
        "--dir: `{guest}` is given twice in the guest: give each folder a path of its own, as HOST::GUEST"
    )]
    Twice {
        /// The path in the guest.
        guest: String,
    },
    /// The path in the guest cannot be told.
    #[error(
        "--dir {host}: its path in the guest is empty, has control characters or more than {most} bytes: give another one, as HOST::GUEST",
        host = host.display()
    )]
    Unspeakable {
        /// The host's path.
        host: PathBuf,
        /// The most bytes of a path in the guest.
        most: usize,
    },
    /// More folders than a guest may have.
    #[error(
        "--dir: {asked} folders are more than the {most} that a guest may have: give one that contains them"
    )]
    TooMany {
        /// What was asked for.
        asked: usize,
        /// The most that may be asked for.
        most: usize,
    },
    /// The guest is of a kind that knows no folders.
    #[error("--dir: {guest} is {kind}, which knows no files: folders go with WASI")]
    NoUse {
        /// The guest's name.
        guest: String,
        /// What it is.
        kind: String,
    },
}

impl Folder {
    /// Folders that one guest may have: their descriptors are handed to a worker in one message.
    pub(crate) const MOST: usize = 16;
    /// Bytes of a path in the guest: all of them are handed to a worker in one frame.
    const LONGEST: usize = 512;

    /// A folder of the host, and its path in the guest. Nothing is looked at before a pool is built.
    #[must_use]
    pub fn new(host: impl Into<PathBuf>, guest: impl Into<String>, access: FolderAccess) -> Self {
        let guest: String = guest.into();
        let trimmed = guest.trim_end_matches('/');
        Self {
            host: host.into(),
            guest: match (trimmed, guest.as_str()) {
                ("", "") => String::new(),
                ("", _) => "/".to_owned(),
                (trimmed, _) => trimmed.to_owned(),
            },
            access,
        }
    }

    /// Its path on the host.
    #[must_use]
    pub fn host(&self) -> &Path {
        &self.host
    }

    /// Its path in the guest.
    #[must_use]
    pub fn guest(&self) -> &str {
        &self.guest
    }

    /// What the guest may do in it.
    #[must_use]
    pub fn access(&self) -> FolderAccess {
        self.access
    }

    /// The same, with its host's path taken from this folder on.
    pub(crate) fn relative_to(self, home: &Path) -> Self {
        Self {
            host: home.join(&self.host),
            ..self
        }
    }

    fn open(&self) -> Result<Grant, FolderError> {
        let path = || self.host.clone();
        let speakable = |guest: &str| {
            (1..=Self::LONGEST).contains(&guest.len()) && !guest.chars().any(char::is_control)
        };
        if !speakable(&self.guest) {
            return Err(FolderError::Unspeakable {
                host: path(),
                most: Self::LONGEST,
            });
        }
        let handle = beneath::folder(&self.host).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FolderError::NotThere {
                path: path(),
                hint: match self.host.to_string_lossy().contains(':') {
                    true => {
                        ": between the host's path and the guest's stand two colons, as HOST::GUEST"
                    }
                    false => ": make it first, or give another one",
                },
            },
            io::ErrorKind::NotADirectory => FolderError::NotAFolder { path: path() },
            _ => FolderError::Unusable {
                path: path(),
                error,
            },
        })?;
        Ok(Grant {
            place: Place {
                guest: self.guest.clone(),
                access: self.access,
            },
            handle,
        })
    }
}

impl FromStr for Folder {
    type Err = FolderError;

    fn from_str(text: &str) -> Result<Self, FolderError> {
        let refuse = |why| {
            Err(FolderError::Syntax {
                text: printable(text),
                why,
            })
        };
        let (paths, access) = match text.strip_suffix(":ro") {
            Some(paths) => (paths, FolderAccess::ReadOnly),
            None => (text, FolderAccess::ReadWrite),
        };
        let (host, guest) = paths.split_once("::").unwrap_or((paths, paths));
        match (host, guest) {
            ("", _) => refuse("the host's path is empty"),
            (_, "") => refuse("the guest's path is empty"),
            // Or a `:RO` would be a part of the path, and the folder could be written to.
            (host, guest) if host != guest && guest.contains(':') => {
                refuse("behind the guest's path stands nothing but `:ro`")
            }
            (host, guest) => Ok(Self::new(host, guest, access)),
        }
    }
}

impl fmt::Display for Folder {
    /// As it is given on the command line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let suffix = match self.access {
            FolderAccess::ReadOnly => ":ro",
            FolderAccess::ReadWrite => "",
        };
        write!(f, "{}::{}{suffix}", self.host.display(), self.guest)
    }
}

/// A folder as its worker is told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    pub(crate) guest: String,
    pub(crate) access: FolderAccess,
}

/// A folder that is open.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) place: Place,
    handle: OwnedFd,
}

/// All the folders of a guest, in the order in which they were given. Clones are the same ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants(Arc<[Grant]>);

impl Grants {
    /// Opens the folders.
    ///
    /// # Errors
    /// Which of them cannot be granted, and why.
    pub(crate) fn open(folders: &[Folder]) -> Result<Self, FolderError> {
        if folders.len() > Folder::MOST {
            return Err(FolderError::TooMany {
                asked: folders.len(),
                most: Folder::MOST,
            });
        }
        for (place, folder) in folders.iter().enumerate() {
            if folders[..place].iter().any(|it| it.guest == folder.guest) {
                return Err(FolderError::Twice {
                    guest: printable(&folder.guest),
                });
            }
        }
        let opened: Result<Vec<_>, _> = folders.iter().map(Folder::open).collect();
        Ok(Self(opened?.into()))
    }

    /// Those that came to a worker process.
    pub(crate) fn received(places: &[Place], handles: Vec<OwnedFd>) -> Self {
        let both = places.iter().cloned().zip(handles);
        Self(
            both.map(|(place, handle)| Grant { place, handle })
                .collect(),
        )
    }

    pub(crate) fn as_slice(&self) -> &[Grant] {
        &self.0
    }

    pub(crate) fn places(&self) -> Vec<Place> {
        self.0.iter().map(|grant| grant.place.clone()).collect()
    }

    /// The most that is granted of any of them; `None` if there is none.
    pub(crate) fn widest(&self) -> Option<FolderAccess> {
        self.0.iter().map(|grant| grant.place.access).max()
    }
}

impl Grant {
    /// The folder itself. It is one that cannot be read from (`O_PATH`); others are opened from it.
    pub(crate) fn handle(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Folder {
        text.parse().unwrap()
    }

    fn refused(text: &str) -> String {
        text.parse::<Folder>().unwrap_err().to_string()
    }

    fn opened(folders: &[Folder]) -> String {
        match Grants::open(folders) {
            Ok(_) => "opened".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn a_folder_has_a_path_on_each_side_and_may_be_read_only() {
        use FolderAccess::{ReadOnly, ReadWrite};
        assert_eq!(parsed("a b::/c"), Folder::new("a b", "/c", ReadWrite));
        assert_eq!(parsed("a::/c:ro"), Folder::new("a", "/c", ReadOnly));
        assert_eq!(parsed("/a/b"), Folder::new("/a/b", "/a/b", ReadWrite));
        assert_eq!(parsed(".:ro"), Folder::new(".", ".", ReadOnly));
        assert_eq!(parsed("a:b::/c"), Folder::new("a:b", "/c", ReadWrite));
        assert_eq!(parsed("a::/c/"), parsed("a::/c"));
        assert_eq!(parsed("a::/").guest(), "/");
        for text in ["a::/c", "a::/c:ro"] {
            assert_eq!(parsed(text).to_string(), text);
        }
    }

    #[test]
    fn what_could_be_taken_for_a_folder_that_may_be_written_to_is_refused() {
        let way_out = "give HOST::GUEST, or HOST::GUEST:ro to be read only";
        for (text, why) in [
            ("", "the host's path is empty"),
            ("::/a", "the host's path is empty"),
            ("a::", "the guest's path is empty"),
            ("a:::ro", "the guest's path is empty"),
            (
                "a::/b:RO",
                "behind the guest's path stands nothing but `:ro`",
            ),
            (
                "a::/b::ro",
                "behind the guest's path stands nothing but `:ro`",
            ),
        ] {
            assert_eq!(refused(text), format!("--dir {text}: {why}: {way_out}"));
        }
    }

    #[test]
    fn what_cannot_be_granted_is_named_with_the_way_out() {
        let room = tempfile::tempdir().unwrap();
        let file = room.path().join("file");
        std::fs::write(&file, "").unwrap();
        let of = |host: &Path, guest: &str| Folder::new(host, guest, FolderAccess::ReadOnly);
        let none = room.path().join("none");
        let docker = room.path().join("data:/data");
        assert_eq!(
            opened(&[of(&none, "/a")]),
            format!(
                "--dir {}: it is not there: make it first, or give another one",
                none.display()
            )
        );
        assert!(opened(&[of(&docker, "/a")]).contains("two colons"));
        assert_eq!(
            opened(&[of(&file, "/a")]),
            format!(
                "--dir {}: it is no folder: give the one that it lies in",
                file.display()
            )
        );
        assert_eq!(
            opened(&[of(room.path(), "/a"), of(room.path(), "/a/")]),
            "--dir: `/a` is given twice in the guest: give each folder a path of its own, as HOST::GUEST"
        );
        assert!(opened(&[of(room.path(), "\n")]).contains("control characters"));
        assert!(opened(&[of(room.path(), &"a".repeat(513))]).contains("512 bytes"));
        let many: Vec<_> = (0..17).map(|n| of(room.path(), &format!("/{n}"))).collect();
        assert!(opened(&many).contains("17 folders are more than the 16"));
        assert_eq!(opened(&many[..16]), "opened");
    }
}
