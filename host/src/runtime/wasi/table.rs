//! What a job has open beside its standard streams. It is the job's own: at its end all of it is closed.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::StoreState;
use super::streams::STDERR;
use crate::folder::{FolderAccess, Grant, Grants};
use crate::sys::beneath;

/// Files and folders that a job may have open at once, beside the folders that were granted. POSIX promises a program 20
/// (`_POSIX_OPEN_MAX`); a host usually has 1024, which all its workers in threads share. A worker process may have few
/// more than this.
pub(crate) const MOST_OPEN: usize = 128;

/// The first number after the streams'.
const FIRST: i32 = STDERR + 1;

/// Descriptors by their numbers. The folders that were granted come first.
pub(in crate::runtime) struct Table {
    places: Vec<Option<Descriptor>>,
    granted: usize,
}

/// Something that is open.
pub(super) struct Descriptor {
    /// What may be done with it, whatever it is.
    pub(super) access: FolderAccess,
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

impl Table {
    fn new(grants: &Grants) -> Self {
        let granted = grants.as_slice();
        let places = granted.iter().enumerate().map(|(place, grant)| {
            Some(Descriptor {
                access: grant.place.access,
                what: What::Folder(Folder {
                    at: At::Granted(grants.clone(), place),
                    readable: None,
                }),
            })
        });
        Self {
            places: places.collect(),
            granted: granted.len(),
        }
    }

    /// That of the job, if any folder was granted.
    pub(super) fn of(state: &mut StoreState) -> Option<&mut Self> {
        let grants = state.grants.as_ref()?;
        Some(
            state
                .job
                .files
                .get_or_insert_with(|| Box::new(Self::new(grants))),
        )
    }

    fn place(fd: i32) -> Result<usize, Errno> {
        let place = fd.checked_sub(FIRST).map(usize::try_from);
        place.and_then(Result::ok).ok_or(Errno::BADF)
    }

    pub(super) fn get(&mut self, fd: i32) -> Result<&mut Descriptor, Errno> {
        let there = self.places.get_mut(Self::place(fd)?);
        there.and_then(Option::as_mut).ok_or(Errno::BADF)
    }

    /// The same, to use it and no more.
    pub(super) fn look(&self, fd: i32) -> Result<&Descriptor, Errno> {
        let there = self.places.get(Self::place(fd)?);
        there.and_then(Option::as_ref).ok_or(Errno::BADF)
    }

    /// Whether a job may open another one.
    ///
    /// # Errors
    /// [`Errno::MFILE`]
    pub(super) fn has_room(&self) -> Result<(), Errno> {
        match self.places.iter().flatten().count() < self.granted + MOST_OPEN {
            true => Ok(()),
            false => Err(Errno::MFILE),
        }
    }

    /// Enters what was opened, under the lowest number that is free.
    pub(super) fn enter(&mut self, descriptor: Descriptor) -> Result<i32, Errno> {
        self.has_room()?;
        let free = self.places.iter().position(Option::is_none);
        let place = free.unwrap_or(self.places.len());
        if place == self.places.len() {
            self.places.push(None);
        }
        self.places[place] = Some(descriptor);
        let number = i32::try_from(place).map_err(|_| Errno::MFILE)?;
        Ok(number + FIRST)
    }

    pub(super) fn close(&mut self, fd: i32) -> Result<(), Errno> {
        self.get(fd)?;
        self.places[Self::place(fd)?] = None;
        Ok(())
    }

    /// Moves one to the number of another, which is closed.
    pub(super) fn renumber(&mut self, from: i32, to: i32) -> Result<(), Errno> {
        self.get(from)?;
        self.get(to)?;
        let moved = self.places[Self::place(from)?].take();
        self.places[Self::place(to)?] = moved;
        Ok(())
    }
}

impl Descriptor {
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
    pub(super) fn base(&self) -> Result<BorrowedFd<'_>, Errno> {
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
    pub(super) fn handle(&self) -> Result<BorrowedFd<'_>, Errno> {
        match &self.what {
            What::Folder(folder) => folder.handle(),
            What::File(file) => Ok(file.handle.as_fd()),
        }
    }
}

impl Folder {
    pub(super) fn opened(handle: OwnedFd) -> Self {
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
    pub(super) fn handle(&self) -> Result<BorrowedFd<'_>, Errno> {
        let opened = || self.readable.as_ref().map(AsFd::as_fd);
        self.grant()
            .map(Grant::handle)
            .or_else(opened)
            .ok_or(Errno::BADF)
    }

    /// The same, to read what is in it.
    pub(super) fn readable(&mut self) -> Result<BorrowedFd<'_>, Errno> {
        if self.readable.is_none() {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY;
            let opened = beneath::open(self.handle()?, b".", flags, Mode::empty())?;
            self.readable = Some(opened);
        }
        self.readable.as_ref().map(AsFd::as_fd).ok_or(Errno::BADF)
    }
}
