//! The calls on files and folders that are open.

use std::ops::Range;

use rustix::fs::{FallocateFlags, FileType, SeekFrom, Stat, Timestamps, fallocate, seek};
use rustix::io::{Errno, retry_on_intr};

use super::imports::{Guest, check, open};
use super::opened::{Descriptor, Folder, MOST_BYTES, Time, What, rights};
use super::table::Table;
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
        file.read(&mut memory[range], at.map(|at| at.saturating_add(moved)))
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
        file.write(&memory[range], at.map(|at| at.saturating_add(moved)))
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

/// Sets the flags that may be changed while a file is open.
pub(super) fn set_flags(descriptor: &mut Descriptor, wanted: i32) -> Result<(), Errno> {
    let wanted = u16::try_from(wanted).map_err(|_| Errno::INVAL)?;
    descriptor.file()?.set_flags(wanted)
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
    descriptor.set_size(u64::try_from(size).map_err(|_| Errno::INVAL)?)
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

/// What is to become of the two times of a file: each is left, set to what is given, or to now.
pub(super) fn times(read: i64, written: i64, flags: i32) -> Result<Timestamps, Errno> {
    let of = |given: i64, set: i32, now: i32| match (flags & set != 0, flags & now != 0) {
        (true, true) => Err(Errno::INVAL),
        (false, false) => Time::Left.spec(),
        (false, true) => Time::Now.spec(),
        (true, false) => {
            let given = given.cast_unsigned();
            let at = Time::At {
                seconds: given / 1_000_000_000,
                nanos: given % 1_000_000_000,
            };
            at.spec()
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
        .and_then(|folder| list(folder, cookie, &mut memory[range]));
    tell_count(memory, state, CALL, filled, told)
}

/// Lists a folder from a place on until the room is full; the last entry may be cut off then. Room that is left means
/// that there is no more.
fn list(folder: &mut Folder, cookie: i64, room: &mut [u8]) -> Result<usize, Errno> {
    let mut filled = 0;
    folder.list(cookie.cast_unsigned(), |entry| {
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
        Ok(filled < room.len())
    })?;
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{UTIME_NOW, UTIME_OMIT, fstat};

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
