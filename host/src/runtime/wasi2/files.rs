//! `wasi:filesystem`: the folders that were granted, and what lies beneath them. What is done with them is the same for
//! both previews ([`super::opened`]).
//!
//! What is opened beneath a folder may do as much as that one, whether or not `mutate-directory` was asked for, as with
//! other runtimes: the C library never asks for it.

use std::hash::{DefaultHasher, Hash, Hasher};

use rustix::fs::{FileType, Stat, Timestamps};
use rustix::io::Errno;
use wasmtime::Result;
use wasmtime::component::{
    ComponentType, Lift, Linker, LinkerInstance, Lower, Resource, ResourceType, WasmList, WasmStr,
    flags,
};

use super::StoreState;
use super::codes::ErrorCode;
use super::component::Host;
use super::opened::{self, Descriptor, FOLLOW, How, LONGEST, MOST_BYTES, Time, What, rights};
use super::table::{Does, Listing, Table, write_at};
use super::{Complaint, Datetime, Input, Output};
use crate::folder::Grants;

/// A file or a folder: its number is that of the table.
enum Open {}
/// A reading of a folder.
enum Entries {}

/// What comes of a call on files.
type Coded<T> = Result<(std::result::Result<T, ErrorCode>,)>;

#[derive(Clone, Copy, ComponentType, Lift, Lower)]
#[component(enum)]
#[repr(u8)]
enum DescriptorType {
    #[component(name = "unknown")]
    Unknown,
    #[component(name = "block-device")]
    BlockDevice,
    #[component(name = "character-device")]
    CharacterDevice,
    #[component(name = "directory")]
    Directory,
    #[component(name = "fifo")]
    Fifo,
    #[component(name = "symbolic-link")]
    SymbolicLink,
    #[component(name = "regular-file")]
    RegularFile,
    #[component(name = "socket")]
    Socket,
}

impl From<FileType> for DescriptorType {
    fn from(kind: FileType) -> Self {
        match kind {
            FileType::BlockDevice => Self::BlockDevice,
            FileType::CharacterDevice => Self::CharacterDevice,
            FileType::Directory => Self::Directory,
            FileType::Fifo => Self::Fifo,
            FileType::Symlink => Self::SymbolicLink,
            FileType::RegularFile => Self::RegularFile,
            FileType::Socket => Self::Socket,
            FileType::Unknown => Self::Unknown,
        }
    }
}

flags! {
    DescriptorFlags {
        #[component(name = "read")]
        const READ;
        #[component(name = "write")]
        const WRITE;
        #[component(name = "file-integrity-sync")]
        const FILE_INTEGRITY_SYNC;
        #[component(name = "data-integrity-sync")]
        const DATA_INTEGRITY_SYNC;
        #[component(name = "requested-write-sync")]
        const REQUESTED_WRITE_SYNC;
        #[component(name = "mutate-directory")]
        const MUTATE_DIRECTORY;
    }
}

flags! {
    PathFlags {
        #[component(name = "symlink-follow")]
        const SYMLINK_FOLLOW;
    }
}

flags! {
    OpenFlags {
        #[component(name = "create")]
        const CREATE;
        #[component(name = "directory")]
        const DIRECTORY;
        #[component(name = "exclusive")]
        const EXCLUSIVE;
        #[component(name = "truncate")]
        const TRUNCATE;
    }
}

impl PathFlags {
    fn follow(self) -> bool {
        self.contains(Self::SYMLINK_FOLLOW)
    }
}

/// What of a descriptor's flags the system knows too.
const SYNCS: [(DescriptorFlags, u16); 3] = [
    (DescriptorFlags::FILE_INTEGRITY_SYNC, opened::flags::SYNC),
    (DescriptorFlags::DATA_INTEGRITY_SYNC, opened::flags::DSYNC),
    (DescriptorFlags::REQUESTED_WRITE_SYNC, opened::flags::RSYNC),
];

/// The same as preview 1 has it.
fn how(paths: PathFlags, open: OpenFlags, given: DescriptorFlags) -> How {
    let asked = [
        (OpenFlags::CREATE, How::CREATE),
        (OpenFlags::DIRECTORY, How::DIRECTORY),
        (OpenFlags::EXCLUSIVE, How::EXCLUSIVE),
        (OpenFlags::TRUNCATE, How::TRUNCATE),
    ];
    let used = [
        (DescriptorFlags::READ, rights::READ),
        (DescriptorFlags::WRITE, rights::WRITES),
    ];
    How {
        lookup: if paths.follow() { FOLLOW } else { 0 },
        open: asked
            .iter()
            .filter(|(flag, _)| open.contains(*flag))
            .fold(0, |bits, (_, bit)| bits | bit),
        rights: used
            .iter()
            .filter(|(flag, _)| given.contains(*flag))
            .fold(0, |bits, (_, bit)| bits | bit)
            .cast_signed(),
        flags: SYNCS
            .iter()
            .filter(|(flag, _)| given.contains(*flag))
            .fold(0, |bits, (_, bit)| bits | i32::from(*bit)),
    }
}

/// What is open, told in the same flags.
fn flags_of(descriptor: &Descriptor) -> DescriptorFlags {
    let mut found = DescriptorFlags::default();
    match &descriptor.what {
        What::Folder(_) => {
            found |= DescriptorFlags::READ;
            if descriptor.may_change().is_ok() {
                found |= DescriptorFlags::MUTATE_DIRECTORY;
            }
        }
        What::File(file) => {
            if file.reads {
                found |= DescriptorFlags::READ;
            }
            if file.writes {
                found |= DescriptorFlags::WRITE;
            }
            for (flag, bit) in SYNCS {
                if file.flags & bit != 0 {
                    found |= flag;
                }
            }
        }
    }
    found
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct DescriptorStat {
    #[component(name = "type")]
    kind: DescriptorType,
    #[component(name = "link-count")]
    link_count: u64,
    size: u64,
    #[component(name = "data-access-timestamp")]
    read: Option<Datetime>,
    #[component(name = "data-modification-timestamp")]
    written: Option<Datetime>,
    #[component(name = "status-change-timestamp")]
    changed: Option<Datetime>,
}

/// A time of a file; there is none where it lies before 1970, which preview 2 cannot say.
fn told(seconds: i64, nanos: u64) -> Option<Datetime> {
    Some(Datetime {
        seconds: u64::try_from(seconds).ok()?,
        nanoseconds: u32::try_from(nanos).ok()?,
    })
}

impl From<Stat> for DescriptorStat {
    fn from(stat: Stat) -> Self {
        Self {
            kind: FileType::from_raw_mode(stat.st_mode).into(),
            #[expect(
                clippy::useless_conversion,
                reason = "it has 32 bits on other processors"
            )]
            link_count: stat.st_nlink.into(),
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            read: told(stat.st_atime, stat.st_atime_nsec),
            written: told(stat.st_mtime, stat.st_mtime_nsec),
            changed: told(stat.st_ctime, stat.st_ctime_nsec),
        }
    }
}

#[derive(Clone, Copy, ComponentType, Lift)]
#[component(variant)]
enum NewTimestamp {
    #[component(name = "no-change")]
    NoChange,
    #[component(name = "now")]
    Now,
    #[component(name = "timestamp")]
    Timestamp(Datetime),
}

fn times(read: NewTimestamp, written: NewTimestamp) -> std::result::Result<Timestamps, Errno> {
    let of = |time| match time {
        NewTimestamp::NoChange => Time::Left.spec(),
        NewTimestamp::Now => Time::Now.spec(),
        NewTimestamp::Timestamp(at) => {
            let (seconds, nanos) = (at.seconds, at.nanoseconds.into());
            Time::At { seconds, nanos }.spec()
        }
    };
    Ok(Timestamps {
        last_access: of(read)?,
        last_modification: of(written)?,
    })
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct DirectoryEntry {
    #[component(name = "type")]
    kind: DescriptorType,
    name: String,
}

/// Advice need not be taken, so that the call need not be allowed to a worker.
#[derive(Clone, Copy, ComponentType, Lift)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from guests")]
enum Advice {
    #[component(name = "normal")]
    Normal,
    #[component(name = "sequential")]
    Sequential,
    #[component(name = "random")]
    Random,
    #[component(name = "will-need")]
    WillNeed,
    #[component(name = "dont-need")]
    DontNeed,
    #[component(name = "no-reuse")]
    NoReuse,
}

#[derive(ComponentType, Lower)]
#[component(record)]
struct MetadataHash {
    lower: u64,
    upper: u64,
}

impl From<Stat> for MetadataHash {
    /// The lower half is the same for as long as the file is: the adapter of preview 1 takes it for an inode's number.
    fn from(stat: Stat) -> Self {
        let mut hasher = DefaultHasher::new();
        (stat.st_dev, stat.st_ino).hash(&mut hasher);
        let lower = hasher.finish();
        (stat.st_size, stat.st_mtime, stat.st_mtime_nsec).hash(&mut hasher);
        Self {
            lower,
            upper: hasher.finish(),
        }
    }
}

/// Does something with what a handle stands for.
fn with<T>(
    store: &mut Host<'_>,
    of: &Resource<Open>,
    act: impl FnOnce(&mut Descriptor) -> std::result::Result<T, Errno>,
) -> Coded<T> {
    let done = Table::of(store.data_mut())
        .and_then(|(table, _)| table.get(of.rep()))
        .and_then(act);
    Ok((done.map_err(ErrorCode::of),))
}

/// Does something with a path.
fn at<T>(
    store: &mut Host<'_>,
    from: &Resource<Open>,
    path: &WasmStr,
    act: impl FnOnce(&mut Descriptor, &[u8]) -> std::result::Result<T, Errno>,
) -> Coded<T> {
    let path = copied(store, path)?;
    with(store, from, |folder| act(folder, &path))
}

/// Does something with two paths.
fn at_both(
    store: &mut Host<'_>,
    (from, old): (&Resource<Open>, &WasmStr),
    (to, new): (&Resource<Open>, &WasmStr),
    act: impl FnOnce(&Descriptor, &[u8], &Descriptor, &[u8]) -> std::result::Result<(), Errno>,
) -> Coded<()> {
    let (old, new) = (copied(store, old)?, copied(store, new)?);
    let acted = Table::of(store.data_mut())
        .and_then(|(table, _)| act(table.look(from.rep())?, &old, table.look(to.rep())?, &new));
    Ok((acted.map_err(ErrorCode::of),))
}

/// The bytes of a path; of one that is too long, as many as show that.
fn copied(store: &Host<'_>, path: &WasmStr) -> Result<Vec<u8>> {
    let path = path.to_str(store)?;
    let bytes = path.as_bytes();
    Ok(bytes[..bytes.len().min(LONGEST + 1)].to_vec())
}

/// Makes a stream of what is open.
fn stream<T: 'static>(store: &mut Host<'_>, of: &Resource<Open>, does: Does) -> Coded<Resource<T>> {
    let made = Table::of(store.data_mut())
        .and_then(|(table, numbers)| table.stream(numbers, of.rep(), does));
    Ok((made.map(Resource::new_own).map_err(ErrorCode::of),))
}

pub(super) fn define(linker: &mut Linker<StoreState>, at: impl Fn(&str) -> String) -> Result<()> {
    let mut types = linker.instance(&at("filesystem/types"))?;
    types.resource(
        "descriptor",
        ResourceType::host::<Open>(),
        |mut store, number| {
            Table::forget(store.data_mut(), number);
            Ok(())
        },
    )?;
    types.resource(
        "directory-entry-stream",
        ResourceType::host::<Entries>(),
        |mut store, number| {
            Table::forget(store.data_mut(), number);
            Ok(())
        },
    )?;
    types.func_wrap(
        "filesystem-error-code",
        |_: Host<'_>, (error,): (Resource<Complaint>,)| Ok((ErrorCode::numbered(error.rep()),)),
    )?;
    streams(&mut types)?;
    opened_ones(&mut types)?;
    metadata(&mut types)?;
    paths(&mut types)?;
    linker.instance(&at("filesystem/preopens"))?.func_wrap(
        "get-directories",
        |store: Host<'_>, (): ()| {
            let granted = store.data().grants.iter().flat_map(Grants::as_slice);
            let told = (0..).zip(granted);
            let told: Vec<(Resource<Open>, String)> = told
                .map(|(place, grant)| (Resource::new_own(place), grant.place.guest.clone()))
                .collect();
            Ok((told,))
        },
    )
}

/// What makes streams of files, and what reads folders.
fn streams(types: &mut LinkerInstance<'_, StoreState>) -> Result<()> {
    types.func_wrap(
        "[method]descriptor.read-via-stream",
        |mut store: Host<'_>, (of, from): (Resource<Open>, u64)| {
            stream::<Input>(&mut store, &of, Does::Read(from))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write-via-stream",
        |mut store: Host<'_>, (of, from): (Resource<Open>, u64)| {
            stream::<Output>(&mut store, &of, Does::Write(from))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.append-via-stream",
        |mut store: Host<'_>, (of,): (Resource<Open>,)| {
            stream::<Output>(&mut store, &of, Does::Append)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read-directory",
        |mut store: Host<'_>, (of,): (Resource<Open>,)| {
            stream::<Entries>(&mut store, &of, Does::List(Listing::default()))
        },
    )?;
    types.func_wrap(
        "[method]directory-entry-stream.read-directory-entry",
        |mut store: Host<'_>, (of,): (Resource<Entries>,)| -> Coded<Option<DirectoryEntry>> {
            let next =
                Table::of(store.data_mut()).and_then(|(table, _)| table.next_entry(of.rep()));
            let told = next.and_then(|entry| {
                entry
                    .map(|entry| {
                        Ok(DirectoryEntry {
                            kind: entry.kind.into(),
                            // It cannot be told; the next ones can.
                            name: entry.name.ok_or(Errno::ILSEQ)?,
                        })
                    })
                    .transpose()
            });
            Ok((told.map_err(ErrorCode::of),))
        },
    )
}

/// What is done with what is open.
fn opened_ones(types: &mut LinkerInstance<'_, StoreState>) -> Result<()> {
    types.func_wrap(
        "[method]descriptor.advise",
        |mut store: Host<'_>, (of, _, _, _): (Resource<Open>, u64, u64, Advice)| {
            with(&mut store, &of, |it| it.file().map(drop))
        },
    )?;
    for (name, with_all) in [("sync-data", false), ("sync", true)] {
        types.func_wrap(
            &format!("[method]descriptor.{name}"),
            move |mut store: Host<'_>, (of,): (Resource<Open>,)| {
                with(&mut store, &of, |it| it.sync(with_all))
            },
        )?;
    }
    types.func_wrap(
        "[method]descriptor.get-flags",
        |mut store: Host<'_>, (of,): (Resource<Open>,)| {
            with(&mut store, &of, |it| Ok(flags_of(it)))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.get-type",
        |mut store: Host<'_>, (of,): (Resource<Open>,)| {
            with(&mut store, &of, |it| {
                Ok(match it.what {
                    What::Folder(_) => DescriptorType::Directory,
                    What::File(_) => DescriptorType::RegularFile,
                })
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-size",
        |mut store: Host<'_>, (of, size): (Resource<Open>, u64)| {
            with(&mut store, &of, |it| it.set_size(size))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.read",
        |mut store: Host<'_>, (of, length, from): (Resource<Open>, u64, u64)| {
            with(&mut store, &of, |it| read(it, length, from))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.write",
        |mut store: Host<'_>, (of, bytes, to): (Resource<Open>, WasmList<u8>, u64)| {
            let bytes = bytes.as_le_slice(&store);
            let bytes = bytes[..bytes.len().min(MOST_BYTES)].to_vec();
            with(&mut store, &of, |it| {
                write_at(it, &bytes, to).map(|written| written as u64)
            })
        },
    )
}

/// Bytes from a place on, and whether there are none any more.
fn read(
    descriptor: &mut Descriptor,
    length: u64,
    from: u64,
) -> std::result::Result<(Vec<u8>, bool), Errno> {
    let most = usize::try_from(length).map_or(MOST_BYTES, |length| length.min(MOST_BYTES));
    let mut bytes = vec![0; most];
    let read = descriptor.file()?.read(&mut bytes, Some(from))?;
    bytes.truncate(read);
    let ends = match (most, read) {
        // Nothing was asked for, so that it says nothing that nothing came.
        (0, _) => from >= u64::try_from(descriptor.stat()?.st_size).unwrap_or_default(),
        (_, read) => read == 0,
    };
    Ok((bytes, ends))
}

/// What is known of a file.
fn metadata(types: &mut LinkerInstance<'_, StoreState>) -> Result<()> {
    types.func_wrap(
        "[method]descriptor.stat",
        |mut store: Host<'_>, (of,): (Resource<Open>,)| {
            with(&mut store, &of, |it| it.stat().map(DescriptorStat::from))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.stat-at",
        |mut store: Host<'_>, (from, paths, path): (Resource<Open>, PathFlags, WasmStr)| {
            at(&mut store, &from, &path, |folder, path| {
                let stat = folder.stat_at(path, paths.follow())?;
                Ok(DescriptorStat::from(stat))
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times",
        |mut store: Host<'_>, (of, read, written): (Resource<Open>, NewTimestamp, NewTimestamp)| {
            with(&mut store, &of, |it| it.set_times(&times(read, written)?))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.set-times-at",
        |mut store: Host<'_>,
         (from, paths, path, read, written): (
            Resource<Open>,
            PathFlags,
            WasmStr,
            NewTimestamp,
            NewTimestamp,
        )| {
            at(&mut store, &from, &path, |folder, path| {
                folder.set_times_at(path, paths.follow(), &times(read, written)?)
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.is-same-object",
        |mut store: Host<'_>, (of, other): (Resource<Open>, Resource<Open>)| {
            let both = Table::of(store.data_mut()).and_then(|(table, _)| {
                let stats = (
                    table.look(of.rep())?.stat()?,
                    table.look(other.rep())?.stat()?,
                );
                Ok(stats)
            });
            Ok((both.is_ok_and(|(one, other)| {
                (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino)
            }),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.metadata-hash",
        |mut store: Host<'_>, (of,): (Resource<Open>,)| {
            with(&mut store, &of, |it| it.stat().map(MetadataHash::from))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.metadata-hash-at",
        |mut store: Host<'_>, (from, paths, path): (Resource<Open>, PathFlags, WasmStr)| {
            at(&mut store, &from, &path, |folder, path| {
                let stat = folder.stat_at(path, paths.follow())?;
                Ok(MetadataHash::from(stat))
            })
        },
    )
}

/// What is done by a path.
fn paths(types: &mut LinkerInstance<'_, StoreState>) -> Result<()> {
    type Act = fn(&Descriptor, &[u8]) -> std::result::Result<(), Errno>;
    let acts: [(&str, Act); 3] = [
        ("create-directory-at", Descriptor::make_folder),
        ("remove-directory-at", Descriptor::remove_folder),
        ("unlink-file-at", Descriptor::remove_file),
    ];
    for (name, act) in acts {
        types.func_wrap(
            &format!("[method]descriptor.{name}"),
            move |mut store: Host<'_>, (from, path): (Resource<Open>, WasmStr)| {
                at(&mut store, &from, &path, |folder, path| act(folder, path))
            },
        )?;
    }
    types.func_wrap(
        "[method]descriptor.open-at",
        |mut store: Host<'_>,
         (from, paths, path, open, given): (
            Resource<Open>,
            PathFlags,
            WasmStr,
            OpenFlags,
            DescriptorFlags,
        )|
         -> Coded<Resource<Open>> {
            let path = copied(&store, &path)?;
            let entered = Table::of(store.data_mut()).and_then(|(table, numbers)| {
                table.has_room()?;
                let folder = table.look(from.rep())?;
                if given.contains(DescriptorFlags::MUTATE_DIRECTORY) {
                    folder.may_change()?;
                }
                let opened = folder.open(&path, how(paths, open, given))?;
                table.enter(numbers, opened)
            });
            Ok((entered.map(Resource::new_own).map_err(ErrorCode::of),))
        },
    )?;
    types.func_wrap(
        "[method]descriptor.readlink-at",
        |mut store: Host<'_>, (from, path): (Resource<Open>, WasmStr)| {
            at(&mut store, &from, &path, |folder, path| {
                let text = folder.read_link(path)?;
                match text.first() {
                    Some(b'/') => Err(Errno::PERM),
                    _ => String::from_utf8(text).map_err(|_| Errno::ILSEQ),
                }
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.symlink-at",
        |mut store: Host<'_>, (from, target, path): (Resource<Open>, WasmStr, WasmStr)| {
            let target = copied(&store, &target)?;
            at(&mut store, &from, &path, |folder, path| {
                folder.make_link(&target, path)
            })
        },
    )?;
    types.func_wrap(
        "[method]descriptor.rename-at",
        |mut store: Host<'_>,
         (from, old, to, new): (Resource<Open>, WasmStr, Resource<Open>, WasmStr)| {
            at_both(&mut store, (&from, &old), (&to, &new), Descriptor::rename)
        },
    )?;
    types.func_wrap(
        "[method]descriptor.link-at",
        |mut store: Host<'_>,
         (from, paths, old, to, new): (
            Resource<Open>,
            PathFlags,
            WasmStr,
            Resource<Open>,
            WasmStr,
        )| {
            at_both(
                &mut store,
                (&from, &old),
                (&to, &new),
                |from, old, to, new| from.link(paths.follow(), old, to, new),
            )
        },
    )
}
