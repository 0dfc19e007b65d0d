//! Files beneath a folder that is open, and nothing outside of it (`openat2(2)`).
//!
//! The kernel itself keeps to the folder (`RESOLVE_BENEATH`): neither `..` nor a symbolic link leads out of it, whoever
//! changes what at the same time. What a path names last is not followed where it is made, renamed or removed: its
//! folder is opened first, and the call then gets that one and a name.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;

/// How often a path is looked up again that somebody changed in the meantime. The kernel asks for that only where the
/// path has `..` in it, and something was renamed or mounted anywhere.
const TRIES: usize = 64;

/// Opens a folder by its path on this system, as one that others are opened from.
///
/// # Errors
/// What the system says, and `Unsupported` where it does not know `openat2` (before Linux 5.6).
pub(crate) fn folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
    match open(folder.as_fd(), b".", flags, Mode::empty()) {
        Ok(_) => Ok(folder),
        Err(Errno::NOSYS) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this system cannot keep a guest to a folder: it takes Linux 5.6 or later",
        )),
        Err(error) => Err(error.into()),
    }
}

/// Opens what lies beneath a folder.
///
/// # Errors
/// [`Errno::PERM`] for a path that leads out of it, also for one from the root.
pub(crate) fn open(
    folder: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let mut tries = TRIES;
    loop {
        match openat2(folder, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN) if tries > 1 => tries -= 1,
            Err(Errno::INTR) => {}
            Err(Errno::XDEV) => return Err(Errno::PERM),
            opened => return opened,
        }
    }
}

/// Opens a folder or a file to look at it and not into it; a symbolic link at the end of its path is followed, or is
/// what is opened.
pub(crate) fn look_at(folder: BorrowedFd<'_>, path: &[u8], follow: bool) -> Result<OwnedFd, Errno> {
    let nofollow = if follow {
        OFlags::empty()
    } else {
        OFlags::NOFOLLOW
    };
    open(folder, path, OFlags::PATH | nofollow, Mode::empty())
}

/// The folder that holds what a path names last.
pub(crate) enum Parent<'a> {
    /// The one that the path begins from.
    Same(BorrowedFd<'a>),
    Other(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Same(folder) => *folder,
            Self::Other(folder) => folder.as_fd(),
        }
    }
}

/// A name in a folder.
pub(crate) struct Named<'a> {
    pub(crate) parent: Parent<'a>,
    pub(crate) name: &'a [u8],
    /// Whether the path ended with `/`, so that only a folder may be meant.
    wants_a_folder: bool,
}

impl<'a> Named<'a> {
    /// Opens the folder that holds what a path names last.
    ///
    /// # Errors
    /// Those of [`open`].
    pub(crate) fn find(folder: BorrowedFd<'a>, path: &'a [u8]) -> Result<Self, Errno> {
        let trimmed = without_slashes(path);
        let (parent, name) = match trimmed.iter().rposition(|&byte| byte == b'/') {
            // From the root, or the root itself.
            _ if path.first() == Some(&b'/') => return Err(Errno::PERM),
            None => (Parent::Same(folder), trimmed),
            Some(slash) => {
                let flags = OFlags::PATH | OFlags::DIRECTORY;
                let parent = open(folder, &trimmed[..slash], flags, Mode::empty())?;
                (Parent::Other(parent), &trimmed[slash + 1..])
            }
        };
        match name {
            b"" => Err(Errno::NOENT),
            name => Ok(Self {
                parent,
                name,
                wants_a_folder: trimmed.len() < path.len(),
            }),
        }
    }

    /// Whether this is the folder itself, or the one that it lies in.
    pub(crate) fn is_no_name(&self) -> bool {
        matches!(self.name, b"." | b"..")
    }

    /// What has this name, without following it.
    pub(crate) fn kind(&self) -> Result<FileType, Errno> {
        let there = look_at(self.parent.as_fd(), self.name, false)?;
        Ok(FileType::from_raw_mode(fstat(there)?.st_mode))
    }

    /// Refuses a path that ends with `/` where no folder is.
    ///
    /// # Errors
    /// [`Errno::NOTDIR`], or [`Errno::NOENT`].
    pub(crate) fn as_meant(&self) -> Result<(), Errno> {
        match self.wants_a_folder && self.kind()? != FileType::Directory {
            true => Err(Errno::NOTDIR),
            false => Ok(()),
        }
    }

    pub(crate) fn wants_a_folder(&self) -> bool {
        self.wants_a_folder
    }
}

fn without_slashes(path: &[u8]) -> &[u8] {
    let last = path.iter().rposition(|&byte| byte != b'/');
    &path[..last.map_or(0, |last| last + 1)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn room() -> (tempfile::TempDir, OwnedFd) {
        let room = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(room.path().join("granted/deep")).unwrap();
        std::fs::write(room.path().join("secret"), "secret").unwrap();
        std::fs::write(room.path().join("granted/deep/file"), "").unwrap();
        let granted = folder(&room.path().join("granted")).unwrap();
        (room, granted)
    }

    fn tried(granted: &OwnedFd, path: &str) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        open(granted.as_fd(), path.as_bytes(), flags, Mode::empty()).map(drop)
    }

    #[test]
    fn no_path_leads_out_of_the_folder() {
        let (room, granted) = room();
        let inside = |name: &str| room.path().join("granted").join(name);
        symlink("../secret", inside("climbs")).unwrap();
        symlink(room.path().join("secret"), inside("absolute")).unwrap();
        symlink("..", inside("up")).unwrap();
        symlink("deep/file", inside("within")).unwrap();
        for path in [
            "../secret",
            "deep/../../secret",
            "/etc/passwd",
            "climbs",
            "absolute",
            "up/secret",
        ] {
            assert_eq!(tried(&granted, path), Err(Errno::PERM), "{path}");
        }
        for path in ["deep/file", "deep/../deep/file", "within", "."] {
            assert_eq!(tried(&granted, path), Ok(()), "{path}");
        }
    }

    #[test]
    fn the_last_name_of_a_path_is_told_from_its_folder() {
        let (_room, granted) = room();
        let find = |path: &'static str| Named::find(granted.as_fd(), path.as_bytes());
        for (path, name) in [
            ("new", "new"),
            ("deep/new", "new"),
            ("deep//new//", "new"),
            ("..", ".."),
        ] {
            assert_eq!(find(path).unwrap().name, name.as_bytes(), "{path}");
        }
        let refused = |path| find(path).map(drop).unwrap_err();
        assert_eq!(refused(""), Errno::NOENT);
        for path in ["/", "/new", "//", "../new", "deep/../../new"] {
            assert_eq!(refused(path), Errno::PERM, "{path}");
        }
        assert_eq!(refused("none/new"), Errno::NOENT);
        assert_eq!(refused("deep/file/new"), Errno::NOTDIR);
    }

    #[test]
    fn a_path_that_ends_with_a_slash_means_a_folder() {
        let (_room, granted) = room();
        let meant = |path: &'static str| {
            Named::find(granted.as_fd(), path.as_bytes()).and_then(|named| named.as_meant())
        };
        assert_eq!(meant("deep/"), Ok(()));
        assert_eq!(meant("deep/file"), Ok(()));
        assert_eq!(meant("deep/file/"), Err(Errno::NOTDIR));
        assert_eq!(meant("none/"), Err(Errno::NOENT));
        assert_eq!(meant("none"), Ok(()));
    }

    #[test]
    fn magic_links_are_not_followed() {
        let proc = folder(Path::new("/proc/self")).unwrap();
        let flags = OFlags::PATH | OFlags::DIRECTORY;
        for path in [&b"cwd"[..], b"root", b"fd/0"] {
            let tried = open(proc.as_fd(), path, flags, Mode::empty()).unwrap_err();
            assert!(matches!(tried, Errno::LOOP | Errno::PERM), "{tried}");
        }
    }
}
