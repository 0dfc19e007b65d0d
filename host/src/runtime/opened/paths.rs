//! What is done by a path, which begins from a folder that is open and stays beneath it (`sys/beneath.rs`).
//!
//! A path that leads out of its folder is answered with `perm`, as other runtimes do; what would change something by a
//! folder that is read-only, with `rofs`. What is neither a file nor a folder is not opened (`notsup`): opening a device
//! may do something, and a pipe has nobody at its other end. Nor is anything of `/proc`.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, RenameFlags, Stat, Timestamps, fstat,
    fstatfs, futimens, linkat, mkdirat, readlinkat_raw, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::{Descriptor, File, Folder, What, flags};
use crate::folder::FolderAccess;
use crate::sys::beneath::{self, Named};

/// The system takes no longer paths (`PATH_MAX`), so none is copied.
pub(in crate::runtime) const LONGEST: usize = 4096;

/// What a path names last is followed if it is a symbolic link.
pub(in crate::runtime) const FOLLOW: i32 = 1;

/// What a descriptor may be used for, a bit each, as preview 1 numbers them.
pub(in crate::runtime) mod rights {
    pub(crate) const DATASYNC: u64 = 1;
    pub(crate) const READ: u64 = 1 << 1;
    pub(crate) const SEEK: u64 = 1 << 2;
    pub(crate) const SET_FLAGS: u64 = 1 << 3;
    pub(crate) const SYNC: u64 = 1 << 4;
    pub(crate) const TELL: u64 = 1 << 5;
    pub(crate) const WRITE: u64 = 1 << 6;
    pub(crate) const ADVISE: u64 = 1 << 7;
    pub(crate) const ALLOCATE: u64 = 1 << 8;
    /// From `path_create_directory` to `path_filestat_set_times`.
    pub(crate) const PATHS: u64 = (1 << 21) - (1 << 9);
    pub(crate) const FILESTAT_GET: u64 = 1 << 21;
    pub(crate) const SET_SIZE: u64 = 1 << 22;
    pub(crate) const SET_TIMES: u64 = 1 << 23;
    /// Making symbolic links, and removing folders and files.
    pub(crate) const REMOVAL: u64 = 1 << 24 | 1 << 25 | 1 << 26;
    pub(crate) const POLL: u64 = 1 << 27;

    /// Those of a file that is open for everything.
    pub(crate) const FILE: u64 = DATASYNC
        | READ
        | SEEK
        | SET_FLAGS
        | SYNC
        | TELL
        | WRITE
        | ADVISE
        | ALLOCATE
        | FILESTAT_GET
        | SET_SIZE
        | SET_TIMES
        | POLL;
    /// Those of a folder.
    pub(crate) const FOLDER: u64 =
        PATHS | REMOVAL | DATASYNC | SYNC | SET_FLAGS | FILESTAT_GET | SET_TIMES;
    /// What of them writes.
    pub(crate) const WRITES: u64 = WRITE | ALLOCATE | SET_SIZE;
}

fn short(path: &[u8]) -> Result<&[u8], Errno> {
    match path.len() {
        0..=LONGEST => Ok(path),
        _ => Err(Errno::NAMETOOLONG),
    }
}

impl Descriptor {
    /// What a path names, to be changed there.
    fn change<'a>(&'a self, path: &'a [u8]) -> Result<Named<'a>, Errno> {
        let path = short(path)?;
        self.may_change()?;
        Named::find(self.base()?, path)
    }

    pub(in crate::runtime) fn make_folder(&self, path: &[u8]) -> Result<(), Errno> {
        let named = self.change(path)?;
        mkdirat(&named.parent, named.name, Mode::from_raw_mode(0o777))
    }

    pub(in crate::runtime) fn remove_folder(&self, path: &[u8]) -> Result<(), Errno> {
        let named = self.change(path)?;
        unlinkat(&named.parent, named.name, AtFlags::REMOVEDIR)
    }

    pub(in crate::runtime) fn remove_file(&self, path: &[u8]) -> Result<(), Errno> {
        let named = self.change(path)?;
        named.as_meant()?;
        unlinkat(&named.parent, named.name, AtFlags::empty())
    }

    /// Two names, both to be changed: a link to what is read-only here could be written to elsewhere.
    fn change_both<'a>(
        &'a self,
        old: &'a [u8],
        to: &'a Self,
        new: &'a [u8],
    ) -> Result<[Named<'a>; 2], Errno> {
        self.may_change()?;
        to.may_change()?;
        let old = Named::find(self.base()?, short(old)?)?;
        let new = Named::find(to.base()?, short(new)?)?;
        Ok([old, new])
    }

    pub(in crate::runtime) fn rename(
        &self,
        old: &[u8],
        to: &Self,
        new: &[u8],
    ) -> Result<(), Errno> {
        let [old, new] = self.change_both(old, to, new)?;
        old.as_meant()?;
        if new.wants_a_folder() && old.kind()? != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        let plain = RenameFlags::empty();
        renameat_with(&old.parent, old.name, &new.parent, new.name, plain)
    }

    /// Gives a file another name.
    pub(in crate::runtime) fn link(
        &self,
        follow: bool,
        old: &[u8],
        to: &Self,
        new: &[u8],
    ) -> Result<(), Errno> {
        let [old, new] = self.change_both(old, to, new)?;
        // As others have it: what is linked is what the path names.
        if follow {
            return Err(Errno::INVAL);
        }
        if old.is_no_name() {
            return Err(Errno::PERM);
        }
        old.as_meant()?;
        new.as_meant()?;
        let plain = AtFlags::empty();
        linkat(&old.parent, old.name, &new.parent, new.name, plain)
    }

    /// Makes a symbolic link. One from the root is refused. The guest could not follow it, but others would.
    pub(in crate::runtime) fn make_link(&self, target: &[u8], path: &[u8]) -> Result<(), Errno> {
        self.may_change()?;
        let target = short(target)?;
        if target.first() == Some(&b'/') {
            return Err(Errno::PERM);
        }
        let named = self.change(path)?;
        named.as_meant()?;
        symlinkat(target, &named.parent, named.name)
    }

    /// Where a symbolic link leads, as it is written there.
    pub(in crate::runtime) fn read_link(&self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        let link = beneath::look_at(self.base()?, short(path)?, false)?;
        if FileType::from_raw_mode(fstat(&link)?.st_mode) != FileType::Symlink {
            return Err(Errno::INVAL);
        }
        let mut room = [MaybeUninit::uninit(); LONGEST];
        let (text, _) = readlinkat_raw(&link, "", &mut room)?;
        Ok(text.to_vec())
    }

    pub(in crate::runtime) fn stat_at(&self, path: &[u8], follow: bool) -> Result<Stat, Errno> {
        fstat(beneath::look_at(self.base()?, short(path)?, follow)?)
    }

    /// Those of a symbolic link itself cannot be set (`loop`): it takes a call that could be given any path.
    pub(in crate::runtime) fn set_times_at(
        &self,
        path: &[u8],
        follow: bool,
        times: &Timestamps,
    ) -> Result<(), Errno> {
        let path = short(path)?;
        self.may_change()?;
        let (handle, _) = open_safely(self, path, follow, OFlags::RDONLY)?;
        futimens(handle, times)
    }

    pub(in crate::runtime) fn open(&self, path: &[u8], how: How) -> Result<Self, Errno> {
        let path = short(path)?;
        let changes = how.writes() || how.asks(How::CREATE) || how.asks(How::TRUNCATE);
        if changes && self.access == FolderAccess::ReadOnly {
            return Err(Errno::ROFS);
        }
        let follow = how.lookup & FOLLOW != 0;
        let (handle, kind) = open_safely(self, path, follow, how.wanted()?)?;
        Ok(Self {
            access: self.access,
            what: match kind {
                FileType::Directory => What::Folder(Folder::opened(handle)),
                _ => What::File(File {
                    handle,
                    reads: how.reads(),
                    writes: how.writes(),
                    flags: how.flags()?,
                }),
            },
        })
    }
}

/// Opens a file or a folder, and nothing else; and nothing of `/proc`.
fn open_safely(
    folder: &Descriptor,
    path: &[u8],
    follow: bool,
    mut wanted: OFlags,
) -> Result<(OwnedFd, FileType), Errno> {
    let base = folder.base()?;
    let kind = |handle: &OwnedFd| {
        let kind = FileType::from_raw_mode(fstat(handle)?.st_mode);
        match kind {
            FileType::RegularFile | FileType::Directory => Ok(kind),
            FileType::Symlink => Err(Errno::LOOP),
            _ => Err(Errno::NOTSUP),
        }
    };
    match beneath::look_at(base, path, follow) {
        Ok(there) => drop(kind(&there)?),
        Err(Errno::NOENT) if wanted.contains(OFlags::CREATE) => {}
        Err(error) => return Err(error),
    }
    // Whoever puts something else there now has nobody wait for it.
    wanted |= OFlags::NONBLOCK | OFlags::NOCTTY;
    if !follow {
        wanted |= OFlags::NOFOLLOW;
    }
    let mode = match wanted.contains(OFlags::CREATE) {
        true => Mode::from_raw_mode(0o666),
        false => Mode::empty(),
    };
    let opened = beneath::open(base, path, wanted, mode)?;
    let kind = kind(&opened)?;
    // By `/proc` a guest that was granted all of `/` could write into the memory of the very process that runs it.
    match fstatfs(&opened)?.f_type == PROC_SUPER_MAGIC {
        true => Err(Errno::NOTSUP),
        false => Ok((opened, kind)),
    }
}

/// How a file is to be opened, with the numbers of preview 1's `path_open`.
#[derive(Clone, Copy)]
pub(in crate::runtime) struct How {
    pub(in crate::runtime) lookup: i32,
    pub(in crate::runtime) open: i32,
    pub(in crate::runtime) rights: i64,
    pub(in crate::runtime) flags: i32,
}

impl How {
    pub(in crate::runtime) const CREATE: i32 = 1;
    pub(in crate::runtime) const DIRECTORY: i32 = 1 << 1;
    pub(in crate::runtime) const EXCLUSIVE: i32 = 1 << 2;
    pub(in crate::runtime) const TRUNCATE: i32 = 1 << 3;

    fn asks(self, bit: i32) -> bool {
        self.open & bit != 0
    }

    fn has(self, rights: u64) -> bool {
        self.rights.cast_unsigned() & rights != 0
    }

    fn reads(self) -> bool {
        self.has(rights::READ)
    }

    /// A folder is opened to be listed, whatever its rights say.
    fn writes(self) -> bool {
        self.has(rights::WRITES) && !self.asks(Self::DIRECTORY)
    }

    fn flags(self) -> Result<u16, Errno> {
        match u16::try_from(self.flags) {
            Ok(given) if given & !flags::ALL == 0 => Ok(given),
            _ => Err(Errno::INVAL),
        }
    }

    /// The same for the system.
    fn wanted(self) -> Result<OFlags, Errno> {
        let given = self.flags()?;
        let mut wanted = match (self.reads(), self.writes()) {
            (_, false) => OFlags::RDONLY,
            (false, true) => OFlags::WRONLY,
            (true, true) => OFlags::RDWR,
        };
        let asked = [
            (self.asks(Self::CREATE), OFlags::CREATE),
            (self.asks(Self::DIRECTORY), OFlags::DIRECTORY),
            (self.asks(Self::EXCLUSIVE), OFlags::EXCL),
            (self.asks(Self::TRUNCATE), OFlags::TRUNC),
            (given & flags::APPEND != 0, OFlags::APPEND),
            (given & flags::DSYNC != 0, OFlags::DSYNC),
            (given & (flags::SYNC | flags::RSYNC) != 0, OFlags::SYNC),
        ];
        for (is_asked, flag) in asked {
            wanted.set(flag, is_asked || wanted.contains(flag));
        }
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn how(open: i32, rights: u64, flags: u16) -> How {
        How {
            lookup: FOLLOW,
            open,
            rights: rights.cast_signed(),
            flags: flags.into(),
        }
    }

    #[test]
    fn what_is_asked_for_becomes_what_the_system_is_asked_for() {
        let wanted = |open, rights, flags| how(open, rights, flags).wanted();
        assert_eq!(wanted(0, rights::READ, 0), Ok(OFlags::RDONLY));
        assert_eq!(wanted(0, 0, 0), Ok(OFlags::RDONLY));
        assert_eq!(wanted(0, rights::FILE, 0), Ok(OFlags::RDWR));
        assert_eq!(
            wanted(How::CREATE | How::TRUNCATE, rights::WRITE, flags::APPEND),
            Ok(OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::APPEND)
        );
        assert_eq!(
            wanted(How::DIRECTORY, rights::FOLDER | rights::FILE, 0),
            Ok(OFlags::RDONLY | OFlags::DIRECTORY)
        );
        assert_eq!(
            wanted(How::EXCLUSIVE | How::CREATE, 0, 0),
            Ok(OFlags::EXCL | OFlags::CREATE)
        );
        assert_eq!(wanted(0, 0, flags::RSYNC), Ok(OFlags::SYNC));
        assert_eq!(wanted(0, 0, 1 << 5), Err(Errno::INVAL));
    }
}
