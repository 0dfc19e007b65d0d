//! The calls on paths: where they lie in the guest's memory. What is done with them is the same for both previews
//! ([`super::opened`]).

use rustix::io::Errno;

use super::files;
use super::imports::{Guest, check, open};
use super::opened::{Descriptor, FOLLOW, How};
use super::table::Table;
use super::{StoreState, answer, errno, has_files, put};
use crate::guest::wasi::Edition;

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
    answer(look(state, from.fd).and_then(|table| act(table.look(from.fd)?, &memory[range])))
}

/// Does something with two paths: the first one's folder and itself, and the second one's.
fn at_both(
    guest: &mut Guest<'_>,
    call: &str,
    [from, to]: [Spot; 2],
    act: impl FnOnce(&Descriptor, &[u8], &Descriptor, &[u8]) -> Result<(), Errno>,
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
        act(from, &memory[old], to, &memory[new])
    });
    answer(acted)
}

pub(super) fn path_create_directory(mut guest: Guest<'_>, from: Spot) -> wasmtime::Result<i32> {
    at(
        &mut guest,
        "path_create_directory",
        from,
        Descriptor::make_folder,
    )
}

pub(super) fn path_remove_directory(mut guest: Guest<'_>, from: Spot) -> wasmtime::Result<i32> {
    at(
        &mut guest,
        "path_remove_directory",
        from,
        Descriptor::remove_folder,
    )
}

pub(super) fn path_unlink_file(mut guest: Guest<'_>, from: Spot) -> wasmtime::Result<i32> {
    at(
        &mut guest,
        "path_unlink_file",
        from,
        Descriptor::remove_file,
    )
}

pub(super) fn path_rename(mut guest: Guest<'_>, both: [Spot; 2]) -> wasmtime::Result<i32> {
    at_both(&mut guest, "path_rename", both, Descriptor::rename)
}

pub(super) fn path_link(
    mut guest: Guest<'_>,
    lookup: i32,
    both: [Spot; 2],
) -> wasmtime::Result<i32> {
    at_both(&mut guest, "path_link", both, |from, old, to, new| {
        from.link(lookup & FOLLOW != 0, old, to, new)
    })
}

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
        table
            .look(from.fd)?
            .make_link(&memory[target], &memory[range])
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
    let read = look(state, from.fd).and_then(|table| {
        let text = table.look(from.fd)?.read_link(&memory[range])?;
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
        table
            .look(from.fd)?
            .stat_at(&memory[range], lookup & FOLLOW != 0)
    });
    match stat {
        Ok(stat) => {
            put(memory, state, CALL, into, &files::filestat(&stat, edition))?;
            Ok(errno::SUCCESS)
        }
        Err(error) => Ok(errno::of(error)),
    }
}

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
            folder.set_times_at(path, lookup & FOLLOW != 0, &times)
        },
    )
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
        table.look(from.fd)?.open(&memory[range], how)
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
