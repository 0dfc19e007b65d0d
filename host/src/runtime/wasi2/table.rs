//! What a component has open beneath folders, and the streams that it made of that.
//!
//! Handles are the instance's: wasmtime checks that a handle is there and of the right kind, and has a number of ours
//! behind it. What the number stands for is the job's, as with preview 1, and is gone at its end: a job must not find
//! what the job before it opened, and a worker that leaks must not fill the host. But the folders that were granted have
//! the same numbers in every job, since libraries ask for them once and keep the handles. No other number is given
//! twice in an instance. So a handle that was kept from an earlier job leads to nothing (`bad-descriptor`, or a stream
//! that is closed) and never to what a later job has open; and that it is dropped closes nothing.

use std::collections::{BTreeMap, VecDeque};

use rustix::fs::{FileType, RawDirEntry};
use rustix::io::Errno;

use super::StoreState;
use super::opened::{Descriptor, MOST_OPEN, flags};
use crate::folder::{Folder, Grants};

/// Streams that a job may have at once: one to read and one to write each file.
const MOST_STREAMS: usize = 2 * MOST_OPEN;

/// What lies in a folder is read so many at a time, each with a name of 255 bytes at the most.
const PIECE: usize = 32;

/// The last number that an instance was given. Those before the first one are the folders that were granted, and as
/// streams the standard ones.
pub(in crate::runtime) struct Numbers(u32);

impl Numbers {
    pub(in crate::runtime) fn new() -> Self {
        Self(u32::try_from(Folder::MOST).unwrap_or(u32::MAX))
    }

    /// # Errors
    /// [`Errno::MFILE`] where there is none left.
    fn next(&mut self) -> Result<u32, Errno> {
        self.0 = self.0.checked_add(1).ok_or(Errno::MFILE)?;
        Ok(self.0)
    }
}

/// What is open, by the numbers behind the handles.
pub(in crate::runtime) struct Table {
    granted: Vec<Descriptor>,
    opened: BTreeMap<u32, Opened>,
    streams: BTreeMap<u32, Stream>,
}

struct Opened {
    descriptor: Descriptor,
    /// The handle to itself, if it was not dropped, and the streams that were made of it.
    holders: usize,
}

struct Stream {
    /// The number of the file or folder.
    of: u32,
    does: Does,
    /// Whether it came to an error, after which it is closed.
    failed: bool,
}

/// What a stream does, and where it is.
pub(super) enum Does {
    Read(u64),
    Write(u64),
    Append,
    List(Listing),
}

/// Where a reading of a folder is.
#[derive(Default)]
pub(super) struct Listing {
    /// The system's number for what comes after what was read.
    next: u64,
    ready: VecDeque<Entry>,
    ended: bool,
}

/// Something that lies in a folder.
pub(super) struct Entry {
    pub(super) kind: FileType,
    /// Or it has a name that is no text.
    pub(super) name: Option<String>,
}

/// Why a stream does not go on.
pub(super) enum Broken {
    Closed,
    Failed(Errno),
}

impl Table {
    fn new(grants: &Grants) -> Self {
        Self {
            granted: Descriptor::granted(grants).collect(),
            opened: BTreeMap::new(),
            streams: BTreeMap::new(),
        }
    }

    /// That of the job, and what it takes new numbers from.
    ///
    /// # Errors
    /// [`Errno::BADF`] where no folder was granted.
    pub(super) fn of(state: &mut StoreState) -> Result<(&mut Self, &mut Numbers), Errno> {
        let grants = state.grants.as_ref().ok_or(Errno::BADF)?;
        let table = state
            .job
            .handles
            .get_or_insert_with(|| Box::new(Self::new(grants)));
        Ok((table, &mut state.numbers))
    }

    pub(super) fn get(&mut self, number: u32) -> Result<&mut Descriptor, Errno> {
        find(&mut self.granted, &mut self.opened, number)
    }

    /// The same, to use it and no more.
    pub(super) fn look(&self, number: u32) -> Result<&Descriptor, Errno> {
        match self.opened.get(&number) {
            Some(opened) => Ok(&opened.descriptor),
            None => {
                let place = usize::try_from(number).map_err(|_| Errno::BADF)?;
                self.granted.get(place).ok_or(Errno::BADF)
            }
        }
    }

    /// Whether a job may open another one.
    ///
    /// # Errors
    /// [`Errno::MFILE`]
    pub(super) fn has_room(&self) -> Result<(), Errno> {
        match self.opened.len() < MOST_OPEN {
            true => Ok(()),
            false => Err(Errno::MFILE),
        }
    }

    /// Enters what was opened.
    pub(super) fn enter(
        &mut self,
        numbers: &mut Numbers,
        descriptor: Descriptor,
    ) -> Result<u32, Errno> {
        self.has_room()?;
        let number = numbers.next()?;
        let opened = Opened {
            descriptor,
            holders: 1,
        };
        self.opened.insert(number, opened);
        Ok(number)
    }

    /// Makes a stream of what is open.
    pub(super) fn stream(
        &mut self,
        numbers: &mut Numbers,
        of: u32,
        does: Does,
    ) -> Result<u32, Errno> {
        let descriptor = self.get(of)?;
        match does {
            Does::Read(_) if descriptor.file()?.reads => {}
            Does::Write(_) | Does::Append if descriptor.file()?.writes => {}
            Does::Read(_) | Does::Write(_) | Does::Append => return Err(Errno::BADF),
            Does::List(_) => drop(descriptor.folder()?),
        }
        if self.streams.len() >= MOST_STREAMS {
            return Err(Errno::MFILE);
        }
        let number = numbers.next()?;
        if let Some(opened) = self.opened.get_mut(&of) {
            opened.holders += 1;
        }
        let stream = Stream {
            of,
            does,
            failed: false,
        };
        self.streams.insert(number, stream);
        Ok(number)
    }

    /// The guest has dropped the handle with this number: what nobody holds any more is closed.
    pub(super) fn forget(state: &mut StoreState, number: u32) {
        let Some(table) = &mut state.job.handles else {
            return;
        };
        let held = match table.streams.remove(&number) {
            Some(stream) => stream.of,
            None => number,
        };
        if let Some(opened) = table.opened.get_mut(&held) {
            opened.holders -= 1;
            if opened.holders == 0 {
                table.opened.remove(&held);
            }
        }
    }

    /// Does something with a stream that is not closed; an error closes it.
    fn run<T>(
        &mut self,
        number: u32,
        act: impl FnOnce(&mut Descriptor, &mut Does) -> Result<T, Broken>,
    ) -> Result<T, Broken> {
        let stream = self.streams.get_mut(&number);
        let stream = stream.filter(|stream| !stream.failed);
        let stream = stream.ok_or(Broken::Closed)?;
        let opened = self.opened.get_mut(&stream.of).ok_or(Broken::Closed)?;
        let acted = act(&mut opened.descriptor, &mut stream.does);
        stream.failed = matches!(acted, Err(Broken::Failed(_)));
        acted
    }

    /// Reads up to so many bytes. At the end of a file it is closed, for now: a file may grow.
    pub(super) fn read(&mut self, number: u32, most: usize) -> Result<Vec<u8>, Broken> {
        self.run(number, |descriptor, does| {
            let Does::Read(at) = does else {
                return Err(Broken::Closed);
            };
            let mut bytes = vec![0; most];
            let read = descriptor
                .file()
                .and_then(|file| file.read(&mut bytes, Some(*at)))
                .map_err(Broken::Failed)?;
            if read == 0 && most > 0 {
                return Err(Broken::Closed);
            }
            bytes.truncate(read);
            *at = at.saturating_add(read as u64);
            Ok(bytes)
        })
    }

    /// Whether a stream can be written to.
    pub(super) fn takes(&mut self, number: u32) -> Result<(), Broken> {
        self.run(number, |_, does| match does {
            Does::Write(_) | Does::Append => Ok(()),
            Does::Read(_) | Does::List(_) => Err(Broken::Closed),
        })
    }

    /// Writes all of it, or as much as the system takes before an error.
    pub(super) fn write(&mut self, number: u32, mut bytes: &[u8]) -> Result<(), Broken> {
        self.run(number, |descriptor, does| {
            while !bytes.is_empty() {
                let written = match does {
                    Does::Write(at) => {
                        let written = write_at(descriptor, bytes, *at).map_err(Broken::Failed)?;
                        *at = at.saturating_add(written as u64);
                        written
                    }
                    Does::Append => append(descriptor, bytes).map_err(Broken::Failed)?,
                    Does::Read(_) | Does::List(_) => return Err(Broken::Closed),
                };
                // The system takes nothing, and has no reason: asked again it would go on so.
                if written == 0 {
                    return Err(Broken::Failed(Errno::IO));
                }
                bytes = &bytes[written..];
            }
            Ok(())
        })
    }

    /// The next thing that lies in a folder.
    pub(super) fn next_entry(&mut self, number: u32) -> Result<Option<Entry>, Errno> {
        let stream = self.streams.get_mut(&number).ok_or(Errno::BADF)?;
        let Does::List(listing) = &mut stream.does else {
            return Err(Errno::BADF);
        };
        let descriptor = find(&mut self.granted, &mut self.opened, stream.of)?;
        if listing.ready.is_empty() && !listing.ended {
            listing.read_on(descriptor)?;
        }
        Ok(listing.ready.pop_front())
    }
}

fn find<'a>(
    granted: &'a mut [Descriptor],
    opened: &'a mut BTreeMap<u32, Opened>,
    number: u32,
) -> Result<&'a mut Descriptor, Errno> {
    if let Some(opened) = opened.get_mut(&number) {
        return Ok(&mut opened.descriptor);
    }
    let place = usize::try_from(number).map_err(|_| Errno::BADF)?;
    granted.get_mut(place).ok_or(Errno::BADF)
}

impl Listing {
    fn read_on(&mut self, descriptor: &mut Descriptor) -> Result<(), Errno> {
        let Self { next, ready, ended } = self;
        let mut is_full = false;
        let folder = descriptor.folder()?;
        folder.list(*next, |entry: &RawDirEntry<'_>| {
            *next = entry.next_entry_cookie();
            let name = entry.file_name().to_bytes();
            if !matches!(name, b"." | b"..") {
                ready.push_back(Entry {
                    kind: entry.file_type(),
                    name: String::from_utf8(name.to_vec()).ok(),
                });
            }
            is_full = ready.len() >= PIECE;
            Ok(!is_full)
        })?;
        *ended = !is_full;
        Ok(())
    }
}

/// Writes to a place. To a file that appends, the system would append.
pub(super) fn write_at(descriptor: &mut Descriptor, bytes: &[u8], at: u64) -> Result<usize, Errno> {
    let file = descriptor.file()?;
    if file.flags & flags::APPEND != 0 {
        file.set_flags(file.flags & !flags::APPEND)?;
    }
    file.write(bytes, Some(at))
}

/// Writes to where the end of the file is at that moment, whoever else writes there.
fn append(descriptor: &mut Descriptor, bytes: &[u8]) -> Result<usize, Errno> {
    let file = descriptor.file()?;
    if file.flags & flags::APPEND == 0 {
        file.set_flags(file.flags | flags::APPEND)?;
    }
    file.write(bytes, None)
}
