//! What a job has open beneath the folders that it was granted, and what can be done with it. It is the job's own: at its
//! end all of it is closed.
//!
//! Both previews of WASI stand on this. They differ in how a guest names what is open ([`super::wasi`] by numbers of its
//! own choice, [`super::wasi2`] by handles), and in the words for an error.

mod paths;

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    Mode, OFlags, RawDir, RawDirEntry, SeekFrom, Stat, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT,
    fcntl_setfl, fdatasync, fstat, fsync, ftruncate, futimens, seek,
};
use rustix::io::{Errno, pread, pwrite, read, retry_on_intr, write};

use crate::folder::{FolderAccess, Grant, Grants};
use crate::sys::beneath;

pub(super) use paths::{FOLLOW, How, LONGEST, rights};

/// Files and folders that a job may have open at once, beside the folders that were granted. POSIX promises a program 20
/// (`_POSIX_OPEN_MAX`); a host usually has 1024, which all its workers in threads share. A worker process may have few
/// more than this.
pub(crate) const MOST_OPEN: usize = 128;

/// Bytes that one call moves at the most. Whoever moved fewer than asked for calls again, and can be stopped in
/// between: a thread that waits for a slow disk cannot.
pub(super) const MOST_BYTES: usize = 1 << 20;

/// Something that is open.
pub(super) struct Descriptor {
    /// What may be done with it, whatever it is.
    access: FolderAccess,
    pub(super) what: What,
}

pub(super) enum What {
    Folder(Folder),
    File(File),
}

pub(super) struct Folder {
    at: At,
    /// The same, for who reads it; one that was granted is opened so when that happens for the first time.
    readable: Option<OwnedFd>,
}

enum At {
    Granted(Grants, usize),
    /// By the descriptor that can be read.
    Opened,
}

pub(super) struct File {
    pub(super) handle: OwnedFd,
    /// Whether it was opened to be read, and to be written to.
    pub(super) reads: bool,
    pub(super) writes: bool,
    /// As the guest set them.
    pub(super) flags: u16,
}

/// Flags of files, as preview 1 numbers them.
pub(super) mod flags {
    pub(crate) const APPEND: u16 = 1;
    pub(crate) const DSYNC: u16 = 1 << 1;
    pub(crate) const NONBLOCK: u16 = 1 << 2;
    pub(crate) const RSYNC: u16 = 1 << 3;
    pub(crate) const SYNC: u16 = 1 << 4;
    pub(crate) const ALL: u16 = APPEND | DSYNC | NONBLOCK | RSYNC | SYNC;
}

/// What is to become of a time of a file.
#[derive(Clone, Copy)]
pub(super) enum Time {
    Left,
    Now,
    /// Since 1970.
    At {
        seconds: u64,
        nanos: u64,
    },
}

impl Time {
    /// The same for the system, to which some nanoseconds mean something else.
    ///
    /// # Errors
    /// [`Errno::INVAL`]
    pub(super) fn spec(self) -> Result<Timespec, Errno> {
        let special = |nanos| Timespec {
            tv_sec: 0,
            tv_nsec: nanos,
        };
        match self {
            Self::Left => Ok(special(UTIME_OMIT)),
            Self::Now => Ok(special(UTIME_NOW)),
            Self::At { seconds, nanos } if nanos < 1_000_000_000 => Ok(Timespec {
                tv_sec: i64::try_from(seconds).map_err(|_| Errno::INVAL)?,
                tv_nsec: i64::try_from(nanos).map_err(|_| Errno::INVAL)?,
            }),
            Self::At { .. } => Err(Errno::INVAL),
        }
    }
}

impl Descriptor {
    /// The folders that were granted, in their order.
    pub(super) fn granted(grants: &Grants) -> impl Iterator<Item = Self> {
        let all = grants.as_slice().iter().enumerate();
        all.map(|(place, grant)| Self {
            access: grant.place.access,
            what: What::Folder(Folder {
                at: At::Granted(grants.clone(), place),
                readable: None,
            }),
        })
    }

    /// # Errors
    /// [`Errno::NOTDIR`]
    pub(super) fn folder(&mut self) -> Result<&mut Folder, Errno> {
        match &mut self.what {
            What::Folder(folder) => Ok(folder),
            What::File(_) => Err(Errno::NOTDIR),
        }
    }

    /// Where paths begin.
    ///
    /// # Errors
    /// [`Errno::NOTDIR`]
    fn base(&self) -> Result<BorrowedFd<'_>, Errno> {
        match &self.what {
            What::Folder(folder) => folder.handle(),
            What::File(_) => Err(Errno::NOTDIR),
        }
    }

    /// # Errors
    /// [`Errno::BADF`], as the system has it for what has no content.
    pub(super) fn file(&mut self) -> Result<&mut File, Errno> {
        match &mut self.what {
            What::File(file) => Ok(file),
            What::Folder(_) => Err(Errno::BADF),
        }
    }

    /// Refuses what would change something where nothing may be changed.
    ///
    /// # Errors
    /// [`Errno::ROFS`]
    pub(super) fn may_change(&self) -> Result<(), Errno> {
        match self.access {
            FolderAccess::ReadOnly => Err(Errno::ROFS),
            FolderAccess::ReadWrite => Ok(()),
        }
    }

    /// Itself, to ask the system about it.
    fn handle(&self) -> Result<BorrowedFd<'_>, Errno> {
        match &self.what {
            What::Folder(folder) => folder.handle(),
            What::File(file) => Ok(file.handle.as_fd()),
        }
    }

    /// What the system says of it.
    pub(super) fn stat(&self) -> Result<Stat, Errno> {
        fstat(self.handle()?)
    }

    /// Has what was written put on the disk, with what is known of it or without.
    pub(super) fn sync(&mut self, with_all: bool) -> Result<(), Errno> {
        let put = |handle: BorrowedFd<'_>| {
            retry_on_intr(|| match with_all {
                true => fsync(handle),
                false => fdatasync(handle),
            })
        };
        match &mut self.what {
            What::Folder(folder) => put(folder.readable()?),
            What::File(file) => put(file.handle.as_fd()),
        }
    }

    pub(super) fn set_size(&mut self, size: u64) -> Result<(), Errno> {
        self.may_change()?;
        let file = self.file()?;
        match file.writes {
            true => retry_on_intr(|| ftruncate(&file.handle, size)),
            false => Err(Errno::BADF),
        }
    }

    pub(super) fn set_times(&mut self, times: &Timestamps) -> Result<(), Errno> {
        self.may_change()?;
        match &mut self.what {
            What::Folder(folder) => futimens(folder.readable()?, times),
            What::File(file) => futimens(&file.handle, times),
        }
    }
}

impl File {
    /// Reads from a place, or from where the file stands.
    ///
    /// # Errors
    /// [`Errno::BADF`] where it was not opened to be read, and what the system says.
    pub(super) fn read(&self, into: &mut [u8], at: Option<u64>) -> Result<usize, Errno> {
        match self.reads {
            true => retry_on_intr(|| match at {
                None => read(&self.handle, &mut *into),
                Some(at) => pread(&self.handle, &mut *into, at),
            }),
            false => Err(Errno::BADF),
        }
    }

    /// Writes to a place, or to where the file stands, as much as the system takes.
    ///
    /// # Errors
    /// [`Errno::BADF`] where it was not opened to be written to, and what the system says.
    pub(super) fn write(&self, bytes: &[u8], at: Option<u64>) -> Result<usize, Errno> {
        match self.writes {
            true => retry_on_intr(|| match at {
                None => write(&self.handle, bytes),
                Some(at) => pwrite(&self.handle, bytes, at),
            }),
            false => Err(Errno::BADF),
        }
    }

    /// Sets the flags that may be changed while it is open.
    ///
    /// # Errors
    /// [`Errno::INVAL`] for others.
    pub(super) fn set_flags(&mut self, wanted: u16) -> Result<(), Errno> {
        if (wanted ^ self.flags) & !(flags::APPEND | flags::NONBLOCK) != 0 {
            return Err(Errno::INVAL);
        }
        // No call here may wait, whatever the guest says.
        let mut given = OFlags::NONBLOCK;
        if wanted & flags::APPEND != 0 {
            given |= OFlags::APPEND;
        }
        fcntl_setfl(&self.handle, given)?;
        self.flags = wanted;
        Ok(())
    }
}

impl Folder {
    fn opened(handle: OwnedFd) -> Self {
        Self {
            at: At::Opened,
            readable: Some(handle),
        }
    }

    /// What was granted, if it is that and was not opened by the guest.
    pub(super) fn grant(&self) -> Option<&Grant> {
        match &self.at {
            At::Granted(grants, place) => grants.as_slice().get(*place),
            At::Opened => None,
        }
    }

    /// Itself, to open others from it.
    fn handle(&self) -> Result<BorrowedFd<'_>, Errno> {
        let opened = || self.readable.as_ref().map(AsFd::as_fd);
        self.grant()
            .map(Grant::handle)
            .or_else(opened)
            .ok_or(Errno::BADF)
    }

    /// The same, to read what is in it.
    fn readable(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        if self.readable.is_none() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let opened = beneath::open(self.handle()?, b".", flags, Mode::empty())?;
            self.readable = Some(opened);
        }
        self.readable.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }

    /// Shows one thing that lies in it after the other, from a place on, which is the system's own number for it, until
    /// nobody wants more or there is no more.
    pub(super) fn list(
        &mut self,
        from: u64,
        mut wants_more: impl FnMut(&RawDirEntry<'_>) -> Result<bool, Errno>,
    ) -> Result<(), Errno> {
        let folder = self.readable()?;
        seek(folder, SeekFrom::Start(from))?;
        let mut room = [MaybeUninit::uninit(); 8 << 10];
        let mut entries = RawDir::new(folder, &mut room);
        while let Some(entry) = entries.next() {
            if !wants_more(&entry?)? {
                break;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_none_that_means_something_else_to_the_system() {
        let at = |seconds, nanos| Time::At { seconds, nanos }.spec();
        let last = at(1, 999_999_999).unwrap();
        assert_eq!((last.tv_sec, last.tv_nsec), (1, 999_999_999));
        for nanos in [UTIME_NOW, UTIME_OMIT, 1_000_000_000] {
            assert_eq!(at(1, nanos.cast_unsigned()).unwrap_err(), Errno::INVAL);
        }
        assert_eq!(at(1 << 63, 0).unwrap_err(), Errno::INVAL);
        assert_eq!(Time::Left.spec().unwrap().tv_nsec, UTIME_OMIT);
        assert_eq!(Time::Now.spec().unwrap().tv_nsec, UTIME_NOW);
    }
}
