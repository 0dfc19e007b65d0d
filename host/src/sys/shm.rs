//! Memory that the host and a worker process share: sealed memfds, and their mappings.
//!
//! The other side may write whatever it likes whenever it likes. So nothing here gives out a reference
//! into the memory but to atomic words; bytes are copied out and in, and may have changed while they
//! were. What they mean is for others to doubt. A mapping that may only be read has a type without the
//! means to write.

use std::io;
use std::ops::Deref;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering, fence};
use std::time::Duration;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fstat, ftruncate, memfd_create};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};

use super::futex::{self, Life, Woken};

/// Makes memory that this process writes and others only read, whatever they try. All zero.
pub(crate) fn outgoing(length: usize) -> io::Result<(OwnMapping, OwnedFd)> {
    let memory = create(length)?;
    let mapping = OwnMapping::of(&memory, length)?;
    // After the one writable mapping was made: there will be no other.
    fcntl_add_seals(&memory, SIZE | SealFlags::FUTURE_WRITE | SealFlags::SEAL)?;
    Ok((mapping, memory))
}

/// Makes memory that another process writes and this one only reads. All zero.
pub(crate) fn incoming(length: usize) -> io::Result<(Mapping, OwnedFd)> {
    let memory = create(length)?;
    fcntl_add_seals(&memory, SIZE | SealFlags::SEAL)?;
    Ok((Mapping::of(&memory, length)?, memory))
}

/// Whoever reads a mapping past the end of its file gets a SIGBUS: nobody may make the file shorter.
const SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

fn create(length: usize) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = memfd_create("cofferdam-link", flags)?;
    ftruncate(&memory, length as u64)?;
    Ok(memory)
}

/// The least that the system backs at a time, on the machines that this runs on; on others it is given more.
const PAGE: usize = 4 << 10;

/// Memory that this process may read.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

#[expect(unsafe_code, reason = "a raw pointer does not say who may have it")]
// SAFETY: the pages belong to the process, not to a thread, and every access is an atomic one or a copy
// of plain bytes, which any thread may make at any time.
unsafe impl Send for Mapping {}

#[expect(unsafe_code, reason = "a raw pointer does not say who may have it")]
// SAFETY: as above; the other process writes at the same time anyway.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `length` bytes of a memfd to be read.
    ///
    /// # Errors
    /// `InvalidData` if it has fewer.
    pub(crate) fn of(memory: impl AsFd, length: usize) -> io::Result<Self> {
        Self::map(memory, length, ProtFlags::READ)
    }

    #[expect(unsafe_code, reason = "mmap gives a raw pointer")]
    fn map(memory: impl AsFd, length: usize, access: ProtFlags) -> io::Result<Self> {
        let there = usize::try_from(fstat(&memory)?.st_size).unwrap_or_default();
        if there < length {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // SAFETY: the kernel chooses a place where nothing is, so no memory of ours changes.
        let base = unsafe { mmap(ptr::null_mut(), length, access, MapFlags::SHARED, memory, 0) }?;
        let base =
            NonNull::new(base.cast()).ok_or_else(|| io::Error::other("a mapping at address 0"))?;
        Ok(Self { base, length })
    }

    /// Where `length` bytes at `offset` are.
    ///
    /// # Panics
    /// If they are not all in the mapping. What the other side says never leads here unchecked.
    #[expect(unsafe_code, reason = "a pointer is moved")]
    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        let end = offset.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.length),
            "{length} bytes at {offset} of {} in shared memory",
            self.length
        );
        // SAFETY: the place is within the mapping, which is one allocation.
        unsafe { self.base.as_ptr().add(offset) }
    }

    /// A word that the other side writes.
    pub(crate) fn word(&self, offset: usize) -> Word<'_> {
        Word(self.atomic(offset))
    }

    #[expect(unsafe_code, reason = "an atomic word is made of a pointer")]
    fn atomic(&self, offset: usize) -> &AtomicU32 {
        let place = self.at(offset, size_of::<u32>()).cast::<u32>();
        assert!(place.is_aligned(), "a word at {offset}");
        // SAFETY: the place is mapped as long as `self` lives, and aligned; everybody who has it in this
        // process accesses it as an atomic. Where the mapping is read-only, `Word` makes nothing but
        // relaxed loads, which are plain ones on every machine.
        unsafe { AtomicU32::from_ptr(place) }
    }

    /// Copies bytes out. If the other side writes at the same time, any mixture of old and new may come.
    #[expect(unsafe_code, reason = "bytes are copied from a raw pointer")]
    pub(crate) fn copy_out(&self, offset: usize, into: &mut [u8]) {
        let from = self.at(offset, into.len());
        // SAFETY: the source is mapped, the destination is ours alone, and they cannot overlap. Somebody
        // else may write the source meanwhile; whatever bytes come of it are bytes.
        unsafe { ptr::copy_nonoverlapping(from, into.as_mut_ptr(), into.len()) };
    }

    /// The same, into a new vector.
    #[expect(unsafe_code, reason = "a vector is filled without being zeroed before")]
    pub(crate) fn to_vec(&self, offset: usize, length: usize) -> Vec<u8> {
        let from = self.at(offset, length);
        let mut bytes = Vec::with_capacity(length);
        // SAFETY: the source is mapped, the vector has the room, and they cannot overlap. As above, any
        // bytes will do.
        unsafe { ptr::copy_nonoverlapping(from, bytes.as_mut_ptr(), length) };
        // SAFETY: so many bytes were written just now.
        unsafe { bytes.set_len(length) };
        bytes
    }
}

impl Drop for Mapping {
    #[expect(unsafe_code, reason = "munmap takes a raw pointer")]
    fn drop(&mut self) {
        // SAFETY: it was mapped by `Mapping::map`, whole, and nothing that borrows it is left.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
        debug_assert_eq!(unmapped, Ok(()));
    }
}

/// Memory that this process may write, and the other one only reads.
#[derive(Debug)]
pub(crate) struct OwnMapping(Mapping);

impl Deref for OwnMapping {
    type Target = Mapping;

    fn deref(&self) -> &Mapping {
        &self.0
    }
}

impl OwnMapping {
    /// Maps the first `length` bytes of a memfd to be written.
    ///
    /// # Errors
    /// `InvalidData` if it has fewer; `PermissionDenied` if it is not ours to write.
    pub(crate) fn of(memory: impl AsFd, length: usize) -> io::Result<Self> {
        Mapping::map(memory, length, ProtFlags::READ | ProtFlags::WRITE).map(Self)
    }

    /// Has the system back these bytes with pages, so that writing them cannot fail any more.
    ///
    /// The memory is sparse. Where the system has no page left to give (it promises no more than it has with
    /// `vm.overcommit_memory=2`), whoever wrote to one that is not there yet would get a SIGBUS instead of an
    /// error.
    ///
    /// # Errors
    /// What the system says. One that does not know the question (before Linux 5.14) answers nothing, and
    /// nothing is promised then.
    ///
    /// # Panics
    /// If they are not all in the mapping.
    #[expect(unsafe_code, reason = "advice is given on a raw pointer")]
    pub(crate) fn back(&self, offset: usize, length: usize) -> io::Result<()> {
        let first = offset - offset % PAGE;
        let length = (offset + length).next_multiple_of(PAGE) - first;
        let place = self.0.at(first, length.min(self.0.length - first));
        // SAFETY: the whole range is part of this mapping, whose last page is all its own; populating changes
        // no byte of it.
        match unsafe { madvise(place.cast(), length, Advice::LinuxPopulateWrite) } {
            Ok(()) | Err(Errno::INVAL) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A word that this side writes.
    pub(crate) fn own_word(&self, offset: usize) -> OwnWord<'_> {
        OwnWord(self.0.atomic(offset))
    }

    /// Copies bytes in.
    #[expect(unsafe_code, reason = "bytes are copied to a raw pointer")]
    pub(crate) fn copy_in(&self, offset: usize, from: &[u8]) {
        let into = self.0.at(offset, from.len());
        // SAFETY: the destination is mapped to be written, the source is no part of it, since nothing
        // gives out references to it. Nobody else in this process writes there: each part of the memory
        // has one owner, the link's end or the one to whom it lent an arena.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), into, from.len()) };
    }
}

/// A word that the other side writes: it is read once, and then doubted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word<'a>(&'a AtomicU32);

impl Word<'_> {
    /// What it says now. What the other side wrote before it is seen after this.
    pub(crate) fn load(self) -> u32 {
        let value = self.0.load(Ordering::Relaxed);
        // A fence instead of an acquiring load, which memory that is read-only is not promised to bear.
        fence(Ordering::Acquire);
        value
    }

    /// Waits while it says what was seen.
    pub(crate) fn wait(self, seen: u32, patience: Duration) -> Woken {
        futex::wait(self.0, seen, patience)
    }

    /// Waits while it says what was seen and this life lasts.
    pub(crate) fn wait_beside(self, life: &Life, seen: u32, patience: Duration) -> Woken {
        life.wait_beside(self.0, seen, patience)
    }
}

/// A word that this side writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnWord<'a>(&'a AtomicU32);

impl OwnWord<'_> {
    /// Says something. Whoever reads it sees all that was written before.
    pub(crate) fn store(self, value: u32) {
        self.0.store(value, Ordering::Release);
    }

    /// Wakes whoever waits for it.
    pub(crate) fn wake(self) {
        futex::wake(self.0);
    }
}

/// Bytes that the other side wrote and lent.
#[derive(Debug)]
pub(crate) struct Window {
    mapping: Arc<Mapping>,
    offset: usize,
    length: usize,
}

impl Window {
    pub(crate) fn new(mapping: Arc<Mapping>, offset: usize, length: usize) -> Self {
        Self {
            mapping,
            offset,
            length,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Copies the bytes from `offset` on.
    ///
    /// # Panics
    /// If there are not so many.
    pub(crate) fn copy_to(&self, offset: usize, into: &mut [u8]) {
        assert!(offset <= self.length && into.len() <= self.length - offset);
        self.mapping.copy_out(self.offset + offset, into);
    }

    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.mapping.to_vec(self.offset, self.length)
    }
}

/// A place for bytes on their way to the other side, so that they need not lie anywhere before. Whoever
/// writes there has to be one at a time.
#[derive(Debug)]
pub(crate) struct Arena {
    mapping: Arc<OwnMapping>,
    offset: usize,
    room: usize,
}

impl Arena {
    pub(crate) fn new(mapping: Arc<OwnMapping>, offset: usize, room: usize) -> Self {
        Self {
            mapping,
            offset,
            room,
        }
    }

    /// Bytes that fit.
    pub(crate) fn room(&self) -> usize {
        self.room
    }

    /// Writes at `offset`.
    ///
    /// # Panics
    /// If it does not fit.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) {
        assert!(offset <= self.room && bytes.len() <= self.room - offset);
        self.mapping.copy_in(self.offset + offset, bytes);
    }

    /// Copies the first bytes of what was written.
    pub(crate) fn read(&self, into: &mut [u8]) {
        assert!(into.len() <= self.room);
        self.mapping.copy_out(self.offset, into);
    }

    /// The first `length` bytes of what was written.
    pub(crate) fn to_vec(&self, length: usize) -> Vec<u8> {
        assert!(length <= self.room);
        self.mapping.to_vec(self.offset, length)
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    const PAGES: usize = 3 << 12;

    /// Both ends of memory that one side writes, in one process.
    fn ours_and_theirs() -> (OwnMapping, Mapping) {
        let (ours, memory) = outgoing(PAGES).unwrap();
        (ours, Mapping::of(memory, PAGES).unwrap())
    }

    #[test]
    fn what_one_side_writes_the_other_one_reads() {
        let (ours, theirs) = ours_and_theirs();
        ours.copy_in(5000, b"bytes");
        ours.own_word(128).store(0xabcd);
        let mut bytes = [0; 5];
        theirs.copy_out(5000, &mut bytes);
        assert_eq!(&bytes, b"bytes");
        assert_eq!(theirs.to_vec(4999, 7), b"\0bytes\0");
        assert_eq!(theirs.word(128).load(), 0xabcd);
    }

    #[test]
    fn a_word_wakes_whoever_waits_for_it_through_another_mapping() {
        let (ours, theirs) = ours_and_theirs();
        let life = Life::default();
        let long = Duration::from_secs(600);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while theirs.word(0).load() == 0 {
                    theirs.word(0).wait(0, long);
                }
            });
            scope.spawn(|| {
                while theirs.word(0).load() == 0 {
                    theirs.word(0).wait_beside(&life, 0, long);
                }
            });
            ours.own_word(0).store(1);
            ours.own_word(0).wake();
        });
    }

    #[test]
    fn what_the_host_writes_a_worker_cannot_write_even_with_the_descriptor() {
        let (_ours, memory) = outgoing(PAGES).unwrap();
        let refused = OwnMapping::of(&memory, PAGES).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        assert_eq!(rustix::io::write(&memory, b"x"), Err(Errno::PERM));
    }

    #[test]
    fn what_is_backed_is_there_and_as_it_was() {
        let (ours, memory) = outgoing(PAGES).unwrap();
        let blocks = || fstat(&memory).unwrap().st_blocks;
        assert_eq!(blocks(), 0);
        ours.back(5000, 1).unwrap();
        assert_eq!(blocks(), 8, "one page");
        ours.copy_in(5000, b"x");
        ours.back(0, PAGES).unwrap();
        assert_eq!(usize::try_from(blocks()).unwrap(), PAGES / 512);
        assert_eq!(ours.to_vec(4999, 3), b"\0x\0");
    }

    #[test]
    fn what_cannot_be_backed_is_an_error_where_a_write_would_be_a_signal() {
        let memory = create(PAGES).unwrap();
        let ours = OwnMapping::of(&memory, PAGES).unwrap();
        // No seal forbids it here. There is no page behind the end of a file, as there is none where the
        // system has none to give.
        ftruncate(&memory, 4096).unwrap();
        ours.back(0, 4096).unwrap();
        assert!(ours.back(4096, 1).is_err());
    }

    #[test]
    fn nobody_can_change_the_size_or_the_seals() {
        for memory in [outgoing(PAGES).unwrap().1, incoming(PAGES).unwrap().1] {
            for length in [0, PAGES as u64 - 1, PAGES as u64 + 1] {
                assert_eq!(ftruncate(&memory, length), Err(Errno::PERM));
            }
            let more = fcntl_add_seals(&memory, SealFlags::WRITE);
            assert_eq!(more, Err(Errno::PERM));
        }
    }

    #[test]
    fn a_memfd_that_is_too_short_is_refused() {
        let memory = incoming(PAGES).unwrap().1;
        let refused = Mapping::of(&memory, PAGES + 1).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        assert!(OwnMapping::of(&memory, PAGES).is_ok());
    }

    #[test]
    #[should_panic(expected = "in shared memory")]
    fn nothing_past_the_end_is_read() {
        ours_and_theirs().1.copy_out(PAGES - 1, &mut [0; 2]);
    }

    #[test]
    fn an_arena_and_a_window_are_the_same_bytes() {
        let (ours, theirs) = ours_and_theirs();
        let arena = Arena::new(Arc::new(ours), 4096, 100);
        arena.write(0, b"one ");
        arena.write(4, b"two");
        let window = Window::new(Arc::new(theirs), 4096, 7);
        assert_eq!((window.to_vec(), window.len()), (b"one two".to_vec(), 7));
        let mut word = [0; 3];
        window.copy_to(4, &mut word);
        assert_eq!(&word, b"two");
        assert_eq!(arena.to_vec(3), b"one");
    }
}
