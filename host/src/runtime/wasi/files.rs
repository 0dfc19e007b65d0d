//! The calls on files and folders that are open.

use std::mem::MaybeUninit;
use std::ops::Range;
use std::os::fd::BorrowedFd;

use rustix::fs::{
    FallocateFlags, FileType, OFlags, RawDir, SeekFrom, Stat, Timespec, Timestamps, UTIME_NOW,
    UTIME_OMIT, fallocate, fcntl_setfl, fdatasync, fstat, fsync, ftruncate, futimens, seek,
};
use rustix::io::{Errno, pread, pwrite, read, retry_on_intr, write};

use super::imports::{Guest, check, open};
use super::table::{Descriptor, Table, What};
use super::{MOST_AT_ONCE, StoreState, answer, buffers, errno, has_files, put};
use crate::guest::wasi::Edition;

/// The kinds of what is open, as WASI numbers them.
pub(super) fn kind_of(kind: FileType) -> u8 {
    match kind {
        FileType::BlockDevice => 1,
        FileType::CharacterDevice => 2,
        FileType::Directory => 3,
        FileType::RegularFile => 4,
        FileType::Socket => 6,
        FileType::Symlink => 7,
        FileType::Fifo | FileType::Unknown => 0,
    }
}

/// What a descriptor may be used for, a bit each, as WASI numbers them.
pub(super) mod rights {
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

/// Bytes that one call moves at the most. Whoever moved fewer than asked for calls again, and can be stopped in
/// between: a thread that waits for a slow disk cannot.
const MOST_BYTES: usize = 1 << 20;

/// Does something with what is open, once there is a job.
pub(super) fn with(
    guest: &mut Guest<'_>,
    call: &str,
    fd: i32,
    act: impl FnOnce(&mut Descriptor) -> Result<(), Errno>,
) -> wasmtime::Result<i32> {
    if !has_files(guest, call)? {
        return Ok(errno::BADF);
    }
    answer(find(guest.data_mut(), fd).and_then(act))
}

pub(super) fn find(state: &mut StoreState, fd: i32) -> Result<&mut Descriptor, Errno> {
    Table::of(state).ok_or(Errno::BADF)?.get(fd)
}

/// Reads into one buffer after the other until nothing more comes.
pub(super) fn read_into(
    memory: &mut [u8],
    state: &mut StoreState,
    fd: i32,
    ranges: Vec<Range<usize>>,
    at: Option<u64>,
) -> Result<usize, Errno> {
    let file = find(state, fd)?.file()?;
    if !file.reads {
        return Err(Errno::BADF);
    }
    each(ranges, |range, moved| {
        let buffer = &mut memory[range];
        retry_on_intr(|| match at {
            None => read(&file.handle, &mut *buffer),
            Some(at) => pread(&file.handle, &mut *buffer, at.saturating_add(moved)),
        })
    })
}

/// Writes one buffer after the other until nothing more is taken.
pub(super) fn write_from(
    memory: &[u8],
    state: &mut StoreState,
    fd: i32,
    ranges: Vec<Range<usize>>,
    at: Option<u64>,
) -> Result<usize, Errno> {
    let file = find(state, fd)?.file()?;
    if !file.writes {
        return Err(Errno::BADF);
    }
    each(ranges, |range, moved| {
        let bytes = &memory[range];
        retry_on_intr(|| match at {
            None => write(&file.handle, bytes),
            Some(at) => pwrite(&file.handle, bytes, at.saturating_add(moved)),
        })
    })
}

/// Moves the bytes of one range after the other. What went well before an error is told, and the error the next time.
fn each(
    ranges: Vec<Range<usize>>,
    mut act: impl FnMut(Range<usize>, u64) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut moved = 0;
    for range in ranges {
        let wanted = range.len().min(MOST_BYTES - moved);
        if wanted == 0 {
            continue;
        }
        match act(range.start..range.start + wanted, moved as u64) {
            Err(error) if moved == 0 => return Err(error),
            Err(_) => break,
            Ok(now) => {
                moved += now;
                if now < wanted {
                    break;
                }
            }
        }
    }
    Ok(moved)
}

/// `fd_pread` and `fd_pwrite`.
#[derive(Clone, Copy)]
pub(super) enum Way {
    In,
    Out,
}

pub(super) fn move_at(
    mut guest: Guest<'_>,
    way: Way,
    fd: i32,
    [list, count]: [u32; 2],
    at: i64,
    into: u32,
) -> wasmtime::Result<i32> {
    let call = match way {
        Way::In => "fd_pread",
        Way::Out => "fd_pwrite",
    };
    if guest.data().job.streams.is_open(fd) {
        return Ok(errno::SPIPE);
    }
    if !has_files(&mut guest, call)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(&mut guest)?;
    let Ok(at) = u64::try_from(at) else {
        return Ok(errno::INVAL);
    };
    if count > MOST_AT_ONCE {
        return Ok(errno::INVAL);
    }
    let ranges = buffers(memory, state, call, list, count)?;
    let moved = match way {
        Way::In => read_into(memory, state, fd, ranges, Some(at)),
        Way::Out => write_from(memory, state, fd, ranges, Some(at)),
    };
    tell_count(memory, state, call, moved, into)
}

/// Tells how many bytes were moved.
pub(super) fn tell_count(
    memory: &mut [u8],
    state: &mut StoreState,
    call: &str,
    moved: Result<usize, Errno>,
    into: u32,
) -> wasmtime::Result<i32> {
    let moved = match moved {
        Ok(moved) => u32::try_from(moved).unwrap_or(u32::MAX),
        Err(error) => return Ok(errno::of(error)),
    };
    put(memory, state, call, into, &moved.to_le_bytes())?;
    Ok(errno::SUCCESS)
}

/// From where a place in a file is counted. The older edition has them in another order.
fn whence(edition: Edition, number: i32, offset: i64) -> Option<SeekFrom> {
    let [start, current, end] = match edition {
        Edition::Unstable => [2, 0, 1],
        Edition::Preview1 => [0, 1, 2],
    };
    match number {
        number if number == start => u64::try_from(offset).ok().map(SeekFrom::Start),
        number if number == current => Some(SeekFrom::Current(offset)),
        number if number == end => Some(SeekFrom::End(offset)),
        _ => None,
    }
}

pub(super) fn fd_seek(
    mut guest: Guest<'_>,
    edition: Edition,
    fd: i32,
    offset: i64,
    from: i32,
    into: u32,
) -> wasmtime::Result<i32> {
    move_to(
        &mut guest,
        "fd_seek",
        fd,
        whence(edition, from, offset),
        into,
    )
}

pub(super) fn fd_tell(mut guest: Guest<'_>, fd: i32, into: u32) -> wasmtime::Result<i32> {
    move_to(&mut guest, "fd_tell", fd, Some(SeekFrom::Current(0)), into)
}

fn move_to(
    guest: &mut Guest<'_>,
    call: &str,
    fd: i32,
    to: Option<SeekFrom>,
    into: u32,
) -> wasmtime::Result<i32> {
    if guest.data().job.streams.is_open(fd) {
        return Ok(errno::SPIPE);
    }
    if !has_files(guest, call)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(guest)?;
    let sought = find(state, fd).and_then(|descriptor| {
        let file = descriptor.file()?;
        seek(&file.handle, to.ok_or(Errno::INVAL)?)
    });
    match sought {
        Ok(place) => put(memory, state, call, into, &place.to_le_bytes()).map(|()| errno::SUCCESS),
        Err(error) => Ok(errno::of(error)),
    }
}

/// What `fd_fdstat_get` says of a descriptor: its kind, its flags, what it may be used for, and what that may be used
/// for which is opened by it.
///
/// A folder that is read-only says the same as any other: its rights are what may be asked, and the answer is `rofs`.
/// Were they fewer, the C library would quietly open for reading what is to be written to.
pub(super) fn status(descriptor: &Descriptor) -> (u8, u16, u64, u64) {
    match &descriptor.what {
        What::Folder(_) => (
            kind_of(FileType::Directory),
            0,
            rights::FOLDER,
            rights::FOLDER | rights::FILE,
        ),
        What::File(file) => {
            let mut base = rights::FILE;
            if !file.reads {
                base &= !rights::READ;
            }
            if !file.writes {
                base &= !rights::WRITES;
            }
            (kind_of(FileType::RegularFile), file.flags, base, 0)
        }
    }
}

/// Flags of descriptors.
pub(super) mod flags {
    pub(crate) const APPEND: u16 = 1;
    pub(crate) const DSYNC: u16 = 1 << 1;
    pub(crate) const NONBLOCK: u16 = 1 << 2;
    pub(crate) const RSYNC: u16 = 1 << 3;
    pub(crate) const SYNC: u16 = 1 << 4;
    pub(crate) const ALL: u16 = APPEND | DSYNC | NONBLOCK | RSYNC | SYNC;
}

/// Sets the flags that may be changed while a file is open.
pub(super) fn set_flags(descriptor: &mut Descriptor, wanted: i32) -> Result<(), Errno> {
    let wanted = u16::try_from(wanted).map_err(|_| Errno::INVAL)?;
    let file = descriptor.file()?;
    if (wanted ^ file.flags) & !(flags::APPEND | flags::NONBLOCK) != 0 {
        return Err(Errno::INVAL);
    }
    // No call here may wait, whatever the guest says.
    let mut given = OFlags::NONBLOCK;
    if wanted & flags::APPEND != 0 {
        given |= OFlags::APPEND;
    }
    fcntl_setfl(&file.handle, given)?;
    file.flags = wanted;
    Ok(())
}

fn nanos(seconds: i64, nanos: u64) -> u64 {
    let seconds = u64::try_from(seconds).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanos)
}

/// Device 8 │ inode 8 │ type 1 │ – 7 │ links 8 │ size 8 │ read 8 │ written 8 │ changed 8; in the older edition type
/// 1 │ – 3 │ links 4.
pub(super) fn filestat(stat: &Stat, edition: Edition) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64);
    bytes.extend_from_slice(&stat.st_dev.to_le_bytes());
    bytes.extend_from_slice(&stat.st_ino.to_le_bytes());
    bytes.push(kind_of(FileType::from_raw_mode(stat.st_mode)));
    let links = stat.st_nlink;
    match edition {
        Edition::Unstable => {
            bytes.extend_from_slice(&[0; 3]);
            let links = u32::try_from(links).unwrap_or(u32::MAX);
            bytes.extend_from_slice(&links.to_le_bytes());
        }
        Edition::Preview1 => {
            bytes.extend_from_slice(&[0; 7]);
            #[expect(
                clippy::useless_conversion,
                reason = "it has 32 bits on other processors"
            )]
            bytes.extend_from_slice(&u64::from(links).to_le_bytes());
        }
    }
    bytes.extend_from_slice(&stat.st_size.to_le_bytes());
    for time in [
        nanos(stat.st_atime, stat.st_atime_nsec),
        nanos(stat.st_mtime, stat.st_mtime_nsec),
        nanos(stat.st_ctime, stat.st_ctime_nsec),
    ] {
        bytes.extend_from_slice(&time.to_le_bytes());
    }
    bytes
}

pub(super) fn fd_filestat_set_size(descriptor: &mut Descriptor, size: i64) -> Result<(), Errno> {
    descriptor.may_change()?;
    let size = u64::try_from(size).map_err(|_| Errno::INVAL)?;
    let file = descriptor.file()?;
    match file.writes {
        true => retry_on_intr(|| ftruncate(&file.handle, size)),
        false => Err(Errno::BADF),
    }
}

/// Makes room ahead, and the file longer where that is past its end.
pub(super) fn fd_allocate(descriptor: &mut Descriptor, from: i64, size: i64) -> Result<(), Errno> {
    descriptor.may_change()?;
    let file = descriptor.file()?;
    let number = |number| u64::try_from(number).map_err(|_| Errno::INVAL);
    let (from, size) = (number(from)?, number(size)?);
    retry_on_intr(|| fallocate(&file.handle, FallocateFlags::empty(), from, size))
}

/// Advice need not be taken, so that the call need not be allowed; it has to be one.
pub(super) fn fd_advise(
    descriptor: &mut Descriptor,
    from: i64,
    size: i64,
    advice: i32,
) -> Result<(), Errno> {
    descriptor.file()?;
    match from >= 0 && size >= 0 && (0..=5).contains(&advice) {
        true => Ok(()),
        false => Err(Errno::INVAL),
    }
}

/// Has what was written put on the disk, with what is known of it or without.
pub(super) fn sync(descriptor: &mut Descriptor, with_all: bool) -> Result<(), Errno> {
    let put = |handle: BorrowedFd<'_>| {
        retry_on_intr(|| match with_all {
            true => fsync(handle),
            false => fdatasync(handle),
        })
    };
    match &mut descriptor.what {
        What::Folder(folder) => put(folder.readable()?),
        What::File(_) => put(descriptor.handle()?),
    }
}

/// What is to become of the two times of a file: each is left, set to what is given, or to now.
pub(super) fn times(read: i64, written: i64, flags: i32) -> Result<Timestamps, Errno> {
    let of = |given: i64, set: i32, now: i32| {
        let special = |nanos| Timespec {
            tv_sec: 0,
            tv_nsec: nanos,
        };
        match (flags & set != 0, flags & now != 0) {
            (true, true) => Err(Errno::INVAL),
            (false, false) => Ok(special(UTIME_OMIT)),
            (false, true) => Ok(special(UTIME_NOW)),
            (true, false) => {
                let given = given.cast_unsigned();
                Ok(Timespec {
                    tv_sec: i64::try_from(given / 1_000_000_000).map_err(|_| Errno::INVAL)?,
                    tv_nsec: i64::try_from(given % 1_000_000_000).map_err(|_| Errno::INVAL)?,
                })
            }
        }
    };
    if flags & !0b1111 != 0 {
        return Err(Errno::INVAL);
    }
    Ok(Timestamps {
        last_access: of(read, 1, 1 << 1)?,
        last_modification: of(written, 1 << 2, 1 << 3)?,
    })
}

pub(super) fn fd_filestat_set_times(
    descriptor: &mut Descriptor,
    times: &Timestamps,
) -> Result<(), Errno> {
    descriptor.may_change()?;
    match &mut descriptor.what {
        What::Folder(folder) => futimens(folder.readable()?, times),
        What::File(file) => futimens(&file.handle, times),
    }
}

/// Tag 1, which is 0 for a folder │ – 3 │ length of its path 4
pub(super) fn fd_prestat_get(mut guest: Guest<'_>, fd: i32, into: u32) -> wasmtime::Result<i32> {
    let (memory, state) = open(&mut guest)?;
    let length = match granted(state, fd) {
        Ok(path) => u32::try_from(path.len()).unwrap_or(u32::MAX),
        Err(error) => return Ok(errno::of(error)),
    };
    let mut prestat = [0; 8];
    prestat[4..].copy_from_slice(&length.to_le_bytes());
    put(memory, state, "fd_prestat_get", into, &prestat)?;
    Ok(errno::SUCCESS)
}

pub(super) fn fd_prestat_dir_name(
    mut guest: Guest<'_>,
    fd: i32,
    into: u32,
    room: u32,
) -> wasmtime::Result<i32> {
    let (memory, state) = open(&mut guest)?;
    let path = match granted(state, fd) {
        Ok(path) if path.len() > room as usize => return Ok(errno::of(Errno::NAMETOOLONG)),
        Ok(path) => path,
        Err(error) => return Ok(errno::of(error)),
    };
    put(memory, state, "fd_prestat_dir_name", into, path.as_bytes())?;
    Ok(errno::SUCCESS)
}

/// The path of a folder that was granted.
fn granted(state: &mut StoreState, fd: i32) -> Result<String, Errno> {
    let What::Folder(folder) = &find(state, fd)?.what else {
        return Err(Errno::BADF);
    };
    let grant = folder.grant().ok_or(Errno::BADF)?;
    Ok(grant.place.guest.clone())
}

/// Next one 8 │ inode 8 │ length of its name 4 │ type 1 │ – 3 │ name …
const ENTRY: usize = 24;

pub(super) fn fd_readdir(
    mut guest: Guest<'_>,
    fd: i32,
    into: u32,
    room: u32,
    cookie: i64,
    told: u32,
) -> wasmtime::Result<i32> {
    const CALL: &str = "fd_readdir";
    if !has_files(&mut guest, CALL)? {
        return Ok(errno::BADF);
    }
    let (memory, state) = open(&mut guest)?;
    let range = check(memory, state, CALL, into, room)?;
    let filled = find(state, fd)
        .and_then(Descriptor::folder)
        .and_then(|folder| list(folder.readable()?, cookie, &mut memory[range]));
    tell_count(memory, state, CALL, filled, told)
}

/// Lists a folder from a place on, which is the system's own number for it, until the room is full; the last entry may
/// be cut off then. Room that is left means that there is no more.
fn list(folder: BorrowedFd<'_>, cookie: i64, room: &mut [u8]) -> Result<usize, Errno> {
    seek(folder, SeekFrom::Start(cookie.cast_unsigned()))?;
    let mut read = [MaybeUninit::uninit(); 8 << 10];
    let mut entries = RawDir::new(folder, &mut read);
    let mut filled = 0;
    while filled < room.len() {
        let Some(entry) = entries.next() else {
            break;
        };
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        let mut head = [0; ENTRY];
        head[..8].copy_from_slice(&entry.next_entry_cookie().to_le_bytes());
        head[8..16].copy_from_slice(&entry.ino().to_le_bytes());
        let length = u32::try_from(name.len()).map_err(|_| Errno::OVERFLOW)?;
        head[16..20].copy_from_slice(&length.to_le_bytes());
        head[20] = kind_of(entry.file_type());
        for part in [&head[..], name] {
            let taken = part.len().min(room.len() - filled);
            room[filled..filled + taken].copy_from_slice(&part[..taken]);
            filled += taken;
        }
    }
    Ok(filled)
}

/// What the system says of it.
pub(super) fn stat_of(state: &mut StoreState, fd: i32) -> Result<Stat, Errno> {
    fstat(find(state, fd)?.handle()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_editions_count_places_from_the_same_ends_by_other_numbers() {
        let of = |edition, number| whence(edition, number, 7);
        for (number, old, new) in [
            (0, SeekFrom::Current(7), SeekFrom::Start(7)),
            (1, SeekFrom::End(7), SeekFrom::Current(7)),
            (2, SeekFrom::Start(7), SeekFrom::End(7)),
        ] {
            assert_eq!(of(Edition::Unstable, number), Some(old));
            assert_eq!(of(Edition::Preview1, number), Some(new));
        }
        assert_eq!(of(Edition::Preview1, 3), None);
        assert_eq!(whence(Edition::Preview1, 0, -1), None);
    }

    #[test]
    fn a_time_is_left_or_set_or_now_and_never_two_of_them() {
        let of = |flags| times(1_500_000_000, 7, flags);
        let both = of(0b0101).unwrap();
        assert_eq!(
            (both.last_access.tv_sec, both.last_access.tv_nsec),
            (1, 500_000_000)
        );
        assert_eq!(
            (
                both.last_modification.tv_sec,
                both.last_modification.tv_nsec
            ),
            (0, 7)
        );
        let now = of(0b1000).unwrap();
        assert_eq!(now.last_access.tv_nsec, UTIME_OMIT);
        assert_eq!(now.last_modification.tv_nsec, UTIME_NOW);
        for flags in [0b0011, 0b1100, 0b10000] {
            assert_eq!(of(flags).unwrap_err(), Errno::INVAL);
        }
    }

    #[test]
    fn the_editions_lay_out_what_is_known_of_a_file_in_their_own_ways() {
        let file = tempfile::tempfile().unwrap();
        std::io::Write::write_all(&mut &file, b"abc").unwrap();
        let stat = fstat(&file).unwrap();
        let new = filestat(&stat, Edition::Preview1);
        let old = filestat(&stat, Edition::Unstable);
        assert_eq!((new.len(), old.len()), (64, 56));
        assert_eq!((new[16], old[16]), (4, 4));
        assert_eq!((new[32], old[24]), (3, 3));
        assert_eq!(new[32..], old[24..]);
    }
}
