//! The calls on paths, each of which begins from a folder that is open and stays beneath it (`sys/beneath.rs`).
//!
//! A path that leads out of its folder is answered with `perm`, as other runtimes do; what would change something by a
//! folder that is read-only, with `rofs`. What is neither a file nor a folder is not opened (`notsup`): opening a device
//! may do something, and a pipe has nobody at its other end. Nor is anything of `/proc`.

use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, PROC_SUPER_MAGIC, RenameFlags, fstat, fstatfs, futimens,
    linkat, mkdirat, readlinkat_raw, renameat_with, symlinkat, unlinkat,
};
use rustix::io::Errno;

use super::files::{self, flags, rights};
use super::imports::{Guest, check, open};
use super::table::{Descriptor, File, Folder, Table, What};
use super::{StoreState, answer, errno, has_files, put};
use crate::folder::FolderAccess;
use crate::guest::wasi::Edition;
use crate::sys::beneath::{self, Named};

/// The system takes no longer paths (`PATH_MAX`), so none is copied.
const LONGEST: usize = 4096;

/// What a path names last is followed if it is a symbolic link.
const FOLLOW: i32 = 1;

/// Where a path begins, and where it lies in the guest's memory.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub(super) fd: i32,
    pub(super) path: u32,
    pub(super) length: u32,
}

fn look(state: &mut StoreState, fd: i32) -> Result<&Table, Errno> {
    let is_stream = state.job.streams.is_open(fd);
    let table = Table::of(state).ok_or(Errno::BADF)?;
    match is_stream {
        true => Err(Errno::NOTDIR),
        false => Ok(table),
    }
}

fn path(bytes: &[u8]) -> Result<&[u8], Errno> {
    match bytes.len() {
        0..=LONGEST => Ok(bytes),
        _ => Err(Errno::NAMETOOLONG),
    }
}

/// Does something with a path.
fn at(
    guest: &mut Guest<'_>,
    call: &str,
    from: Spot,
    act: impl FnOnce(&Descriptor, &[u8]) -> Result<(), Errno>,
) -> wasmtime::Result<i32> {
    if !has_files(guest, call)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(guest)?;
    let range = check(memory, state, call, from.path, from.length)?;
    let path = path(&memory[range]);
    answer(look(state, from.fd).and_then(|table| act(table.look(from.fd)?, path?)))
}

/// Does something with two paths.
fn at_both(
    guest: &mut Guest<'_>,
    call: &str,
    [from, to]: [Spot; 2],
    act: impl FnOnce(Named<'_>, Named<'_>) -> Result<(), Errno>,
) -> wasmtime::Result<i32> {
    if !has_files(guest, call)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(guest)?;
    let old = check(memory, state, call, from.path, from.length)?;
    let new = check(memory, state, call, to.path, to.length)?;
    let acted = look(state, from.fd).map(drop).and_then(|()| {
        let table = look(state, to.fd)?;
        let (from, to) = (table.look(from.fd)?, table.look(to.fd)?);
        // A link to what is read-only elsewhere could be written to here.
        from.may_change()?;
        to.may_change()?;
        let old = Named::find(from.base()?, path(&memory[old])?)?;
        let new = Named::find(to.base()?, path(&memory[new])?)?;
        act(old, new)
    });
    answer(acted)
}

pub(super) fn path_create_directory(mut guest: Guest<'_>, from: Spot) -> wasmtime::Result<i32> {
    at(&mut guest, "path_create_directory", from, |folder, path| {
        folder.may_change()?;
        let named = Named::find(folder.base()?, path)?;
        mkdirat(&named.parent, named.name, Mode::from_raw_mode(0o777))
    })
}

pub(super) fn path_remove_directory(mut guest: Guest<'_>, from: Spot) -> wasmtime::Result<i32> {
    at(&mut guest, "path_remove_directory", from, |folder, path| {
        folder.may_change()?;
        let named = Named::find(folder.base()?, path)?;
        unlinkat(&named.parent, named.name, AtFlags::REMOVEDIR)
    })
}

pub(super) fn path_unlink_file(mut guest: Guest<'_>, from: Spot) -> wasmtime::Result<i32> {
    at(&mut guest, "path_unlink_file", from, |folder, path| {
        folder.may_change()?;
        let named = Named::find(folder.base()?, path)?;
        named.as_meant()?;
        unlinkat(&named.parent, named.name, AtFlags::empty())
    })
}

pub(super) fn path_rename(mut guest: Guest<'_>, both: [Spot; 2]) -> wasmtime::Result<i32> {
    at_both(&mut guest, "path_rename", both, |old, new| {
        old.as_meant()?;
        if new.wants_a_folder() && old.kind()? != FileType::Directory {
            return Err(Errno::NOTDIR);
        }
        let plain = RenameFlags::empty();
        renameat_with(&old.parent, old.name, &new.parent, new.name, plain)
    })
}

pub(super) fn path_link(
    mut guest: Guest<'_>,
    lookup: i32,
    both: [Spot; 2],
) -> wasmtime::Result<i32> {
    at_both(&mut guest, "path_link", both, |old, new| {
        // As others have it: what is linked is what the path names.
        if lookup & FOLLOW != 0 {
            return Err(Errno::INVAL);
        }
        if old.is_no_name() {
            return Err(Errno::PERM);
        }
        old.as_meant()?;
        new.as_meant()?;
        let plain = AtFlags::empty();
        linkat(&old.parent, old.name, &new.parent, new.name, plain)
    })
}

/// A symbolic link from the root is refused. The guest could not follow it, but others would.
pub(super) fn path_symlink(
    mut guest: Guest<'_>,
    [target, length]: [u32; 2],
    from: Spot,
) -> wasmtime::Result<i32> {
    const CALL: &str = "path_symlink";
    if !has_files(&mut guest, CALL)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(&mut guest)?;
    let target = check(memory, state, CALL, target, length)?;
    let range = check(memory, state, CALL, from.path, from.length)?;
    let made = look(state, from.fd).and_then(|table| {
        let folder = table.look(from.fd)?;
        folder.may_change()?;
        let target = path(&memory[target])?;
        if target.first() == Some(&b'/') {
            return Err(Errno::PERM);
        }
        let named = Named::find(folder.base()?, path(&memory[range])?)?;
        named.as_meant()?;
        symlinkat(target, &named.parent, named.name)
    });
    answer(made)
}

pub(super) fn path_readlink(
    mut guest: Guest<'_>,
    from: Spot,
    [into, room]: [u32; 2],
    told: u32,
) -> wasmtime::Result<i32> {
    const CALL: &str = "path_readlink";
    if !has_files(&mut guest, CALL)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(&mut guest)?;
    let range = check(memory, state, CALL, from.path, from.length)?;
    let buffer = check(memory, state, CALL, into, room)?;
    let mut text = [MaybeUninit::uninit(); LONGEST];
    let read = look(state, from.fd).and_then(|table| {
        let base = table.look(from.fd)?.base()?;
        let link = beneath::look_at(base, path(&memory[range])?, false)?;
        if FileType::from_raw_mode(fstat(&link)?.st_mode) != FileType::Symlink {
            return Err(Errno::INVAL);
        }
        let (text, _) = readlinkat_raw(&link, "", &mut text)?;
        let taken = text.len().min(buffer.len());
        memory[buffer.start..buffer.start + taken].copy_from_slice(&text[..taken]);
        Ok(taken)
    });
    files::tell_count(memory, state, CALL, read, told)
}

pub(super) fn path_filestat_get(
    mut guest: Guest<'_>,
    edition: Edition,
    lookup: i32,
    from: Spot,
    into: u32,
) -> wasmtime::Result<i32> {
    const CALL: &str = "path_filestat_get";
    if !has_files(&mut guest, CALL)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(&mut guest)?;
    let range = check(memory, state, CALL, from.path, from.length)?;
    let stat = look(state, from.fd).and_then(|table| {
        let base = table.look(from.fd)?.base()?;
        fstat(beneath::look_at(
            base,
            path(&memory[range])?,
            lookup & FOLLOW != 0,
        )?)
    });
    match stat {
        Ok(stat) => {
            put(memory, state, CALL, into, &files::filestat(&stat, edition))?;
            Ok(errno::SUCCESS)
        }
        Err(error) => Ok(errno::of(error)),
    }
}

/// Those of a symbolic link itself cannot be set (`loop`): it takes a call that could be given any path.
pub(super) fn path_filestat_set_times(
    mut guest: Guest<'_>,
    lookup: i32,
    from: Spot,
    [read, written]: [i64; 2],
    which: i32,
) -> wasmtime::Result<i32> {
    at(
        &mut guest,
        "path_filestat_set_times",
        from,
        |folder, path| {
            folder.may_change()?;
            let times = files::times(read, written, which)?;
            let plain = OFlags::RDONLY;
            let (handle, _) = open_safely(folder, path, lookup & FOLLOW != 0, plain)?;
            futimens(handle, &times)
        },
    )
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

/// How a file is to be opened, as `path_open` has it.
#[derive(Clone, Copy)]
pub(super) struct How {
    pub(super) lookup: i32,
    pub(super) open: i32,
    pub(super) rights: i64,
    pub(super) flags: i32,
}

impl How {
    const CREATE: i32 = 1;
    const DIRECTORY: i32 = 1 << 1;
    const EXCLUSIVE: i32 = 1 << 2;
    const TRUNCATE: i32 = 1 << 3;

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

    fn open(self, folder: &Descriptor, path: &[u8]) -> Result<Descriptor, Errno> {
        let changes = self.writes() || self.asks(Self::CREATE) || self.asks(Self::TRUNCATE);
        if changes && folder.access == FolderAccess::ReadOnly {
            return Err(Errno::ROFS);
        }
        let follow = self.lookup & FOLLOW != 0;
        let (handle, kind) = open_safely(folder, path, follow, self.wanted()?)?;
        Ok(Descriptor {
            access: folder.access,
            what: match kind {
                FileType::Directory => What::Folder(Folder::opened(handle)),
                _ => What::File(File {
                    handle,
                    reads: self.reads(),
                    writes: self.writes(),
                    flags: self.flags()?,
                }),
            },
        })
    }
}

pub(super) fn path_open(
    mut guest: Guest<'_>,
    from: Spot,
    how: How,
    into: u32,
) -> wasmtime::Result<i32> {
    const CALL: &str = "path_open";
    if !has_files(&mut guest, CALL)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(&mut guest)?;
    let range = check(memory, state, CALL, from.path, from.length)?;
    // Before anything is opened that the guest would not hear of.
    check(memory, state, CALL, into, 4)?;
    let opened = look(state, from.fd).and_then(|table| {
        table.has_room()?;
        how.open(table.look(from.fd)?, path(&memory[range])?)
    });
    let entered = opened.and_then(|descriptor| {
        Table::of(state)
            .ok_or(Errno::BADF)
            .and_then(|table| table.enter(descriptor))
    });
    match entered {
        Ok(fd) => {
            put(memory, state, CALL, into, &fd.to_le_bytes())?;
            Ok(errno::SUCCESS)
        }
        Err(error) => Ok(errno::of(error)),
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
