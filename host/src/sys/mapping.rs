//! Memory that others write to while we look at it: a file in memory, mapped by several processes.
//!
//! Bytes that somebody else changes at any moment must never stand behind a Rust slice, whose content
//! the compiler takes to be stable. So nobody gets at them but through this type, which touches them by
//! whole aligned words of eight bytes, each by one atomic operation: no word is ever seen half written,
//! and no two accesses of different sizes overlap, which Rust's memory model does not define. References
//! are to atomics, and last for one call: that is how the standard library wants it.
#![expect(
    unsafe_code,
    reason = "a mapping is a raw pointer; the argument is made here, once"
)]

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU64, Ordering, fence};

use rustix::fs::{SealFlags, fcntl_get_seals, fstat};
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Bytes of a word.
pub(crate) const WORD: usize = size_of::<u64>();

/// What this process may do to a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protection {
    /// A write is a bug of ours, and panics before the kernel would end the process.
    Read,
    /// Both.
    ReadWrite,
}

/// A file in memory that is mapped into this process, shared with whoever else maps it.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<AtomicU64>,
    words: usize,
    protection: Protection,
}

// SAFETY: the mapping belongs to the process, not to a thread, and it is only touched by atomics.
unsafe impl Send for Mapping {}
// SAFETY: as above; every method works on atomics through a shared reference.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the first `words` words of a file.
    ///
    /// # Errors
    /// `InvalidData` if the file is smaller, or may still be made smaller: touching a page that was cut
    /// off would end this process. Otherwise what the kernel says.
    pub(crate) fn new(file: impl AsFd, words: usize, protection: Protection) -> io::Result<Self> {
        let invalid = |why: &str| io::Error::new(io::ErrorKind::InvalidData, why.to_owned());
        let bytes = words
            .checked_mul(WORD)
            .filter(|&bytes| bytes > 0)
            .ok_or_else(|| invalid("a mapping of no bytes, or of more than there are addresses"))?;
        if !fcntl_get_seals(&file)?.contains(SealFlags::SHRINK) {
            return Err(invalid("the file to map may still become smaller"));
        }
        let size = u64::try_from(fstat(&file)?.st_size).unwrap_or(0);
        if size < bytes as u64 {
            return Err(invalid("the file to map is smaller than was said"));
        }
        let may = match protection {
            Protection::Read => ProtFlags::READ,
            Protection::ReadWrite => ProtFlags::READ | ProtFlags::WRITE,
        };
        // SAFETY: a new mapping where the kernel finds room: no memory of ours is replaced.
        let start = unsafe { mmap(ptr::null_mut(), bytes, may, MapFlags::SHARED, &file, 0) }?;
        let base = NonNull::new(start.cast()).ok_or_else(|| invalid("mapped at address 0"))?;
        Ok(Self {
            base,
            words,
            protection,
        })
    }

    /// Copies bytes from `offset` on.
    ///
    /// # Panics
    /// If the range leaves the mapping.
    pub(crate) fn read(&self, offset: usize, into: &mut [u8]) {
        self.check(offset, into.len());
        let (head, place, rest) = split_mut(offset, into);
        if !head.is_empty() {
            let bytes = self.word(place - 1).load(Ordering::Relaxed).to_ne_bytes();
            head.copy_from_slice(&bytes[offset % WORD..][..head.len()]);
        }
        let (whole, tail) = rest.as_chunks_mut::<WORD>();
        let next = place + whole.len();
        for (chunk, word) in whole.iter_mut().zip(self.words(place..next)) {
            *chunk = word.load(Ordering::Relaxed).to_ne_bytes();
        }
        if !tail.is_empty() {
            let bytes = self.word(next).load(Ordering::Relaxed).to_ne_bytes();
            tail.copy_from_slice(&bytes[..tail.len()]);
        }
    }

    /// Copies bytes to `offset` and what follows. The neighbours of a part of a word stay what they
    /// are, whoever writes to them meanwhile.
    ///
    /// # Panics
    /// If the range leaves the mapping, or it is mapped for reading.
    pub(crate) fn write(&self, offset: usize, from: &[u8]) {
        self.must_be_writable();
        self.check(offset, from.len());
        let (head, place, rest) = split(offset, from);
        if !head.is_empty() {
            self.merge(place - 1, offset % WORD, head);
        }
        let (whole, tail) = rest.as_chunks::<WORD>();
        let next = place + whole.len();
        for (chunk, word) in whole.iter().zip(self.words(place..next)) {
            word.store(u64::from_ne_bytes(*chunk), Ordering::Relaxed);
        }
        if !tail.is_empty() {
            self.merge(next, 0, tail);
        }
    }

    /// One word, sequentially consistent.
    pub(crate) fn load(&self, place: usize) -> u64 {
        match self.protection {
            Protection::ReadWrite => self.word(place).load(Ordering::SeqCst),
            // On memory that cannot be written only a relaxed load is defined ("Atomic accesses to
            // read-only memory" in the documentation of `std::sync::atomic`); fences order it.
            Protection::Read => {
                fence(Ordering::SeqCst);
                let value = self.word(place).load(Ordering::Relaxed);
                fence(Ordering::SeqCst);
                value
            }
        }
    }

    /// Sets one word, sequentially consistent.
    pub(crate) fn store(&self, place: usize, value: u64) {
        self.must_be_writable();
        self.word(place).store(value, Ordering::SeqCst);
    }

    /// Adds to one word, wrapping around, and returns what it was before.
    pub(crate) fn add(&self, place: usize, value: u64) -> u64 {
        self.must_be_writable();
        self.word(place).fetch_add(value, Ordering::SeqCst)
    }

    /// Sets one word if it is as expected, and returns what it was before in either case.
    pub(crate) fn compare_exchange(&self, place: usize, expected: u64, new: u64) -> u64 {
        self.must_be_writable();
        let word = self.word(place);
        match word.compare_exchange(expected, new, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(before) | Err(before) => before,
        }
    }

    /// Puts some bytes into a word and leaves its others alone.
    fn merge(&self, place: usize, skip: usize, from: &[u8]) {
        let word = self.word(place);
        let mut before = word.load(Ordering::Relaxed);
        loop {
            let mut bytes = before.to_ne_bytes();
            bytes[skip..skip + from.len()].copy_from_slice(from);
            let after = u64::from_ne_bytes(bytes);
            let swapped =
                word.compare_exchange_weak(before, after, Ordering::Relaxed, Ordering::Relaxed);
            match swapped {
                Ok(_) => return,
                Err(now) => before = now,
            }
        }
    }

    fn word(&self, place: usize) -> &AtomicU64 {
        &self.words(place..place + 1)[0]
    }

    fn words(&self, places: Range<usize>) -> &[AtomicU64] {
        let fits = places.start <= places.end && places.end <= self.words;
        assert!(fits, "a word outside of the mapping");
        // SAFETY: the place lies within the mapping, which is one allocation of `words` words, or at its
        // end.
        let first = unsafe { self.base.add(places.start) };
        let words = NonNull::slice_from_raw_parts(first, places.len());
        // SAFETY: they are aligned, since a mapping begins at a page; they stay mapped as long as `self`
        // lives, and their file cannot shrink; and everybody who writes to them does so atomically, in this
        // process through this type, and elsewhere by instructions that this process cannot tell from that.
        unsafe { words.as_ref() }
    }

    fn check(&self, offset: usize, len: usize) {
        let fits = offset
            .checked_add(len)
            .is_some_and(|end| end <= self.words * WORD);
        assert!(fits, "a range outside of the mapping");
    }

    fn must_be_writable(&self) {
        let is_writable = self.protection == Protection::ReadWrite;
        assert!(is_writable, "a write to what is mapped for reading");
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let start = self.base.as_ptr().cast();
        // SAFETY: it was mapped by `new` with this length, and nobody holds a word of it any more: each
        // is borrowed from `self`. That it fails cannot be helped, and would only waste addresses.
        let _ = unsafe { munmap(start, self.words * WORD) };
    }
}

/// How many of `len` bytes from `offset` on lie before the next word begins, and which word that is.
fn boundary(offset: usize, len: usize) -> (usize, usize) {
    let head = (offset.next_multiple_of(WORD) - offset).min(len);
    (head, offset.div_ceil(WORD))
}

/// The bytes before the next whole word, its place, and the bytes from there on.
fn split(offset: usize, bytes: &[u8]) -> (&[u8], usize, &[u8]) {
    let (head, place) = boundary(offset, bytes.len());
    let (head, rest) = bytes.split_at(head);
    (head, place, rest)
}

/// The same for bytes to be filled.
fn split_mut(offset: usize, bytes: &mut [u8]) -> (&mut [u8], usize, &mut [u8]) {
    let (head, place) = boundary(offset, bytes.len());
    let (head, rest) = bytes.split_at_mut(head);
    (head, place, rest)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rustix::fs::{MemfdFlags, fcntl_add_seals, memfd_create};

    use super::*;

    fn file(bytes: usize, seals: SealFlags) -> File {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(memfd_create("cofferdam-test", flags).unwrap());
        file.set_len(bytes as u64).unwrap();
        fcntl_add_seals(&file, seals).unwrap();
        file
    }

    fn mapping(words: usize) -> Mapping {
        let file = file(words * WORD, SealFlags::SHRINK);
        Mapping::new(&file, words, Protection::ReadWrite).unwrap()
    }

    #[test]
    fn every_range_is_read_as_it_was_written_and_nothing_beside_it_changes() {
        let mapping = mapping(4);
        let all = 4 * WORD;
        for offset in 0..=all {
            for len in 0..=all - offset {
                mapping.write(0, &[0xee; 32]);
                let written: Vec<u8> = (1..).take(len).collect();
                mapping.write(offset, &written);
                let mut expected = [0xee; 32];
                expected[offset..offset + len].copy_from_slice(&written);
                let mut whole = [0; 32];
                mapping.read(0, &mut whole);
                assert_eq!(whole, expected, "{len} bytes at {offset}");
                let mut part = vec![0; len];
                mapping.read(offset, &mut part);
                assert_eq!(part, written, "{len} bytes at {offset}");
            }
        }
    }

    #[test]
    fn two_mappings_of_one_file_show_the_same() {
        let file = file(WORD, SealFlags::SHRINK);
        let writer = Mapping::new(&file, 1, Protection::ReadWrite).unwrap();
        let reader = Mapping::new(&file, 1, Protection::Read).unwrap();
        writer.store(0, 5);
        assert_eq!(writer.add(0, 3), 5);
        assert_eq!(writer.compare_exchange(0, 5, 1), 8);
        assert_eq!(reader.load(0), 8);
        assert_eq!(writer.compare_exchange(0, 8, 1), 8);
        assert_eq!(reader.load(0), 1);
    }

    #[test]
    fn what_leaves_the_mapping_panics_before_it_is_touched() {
        let mapping = mapping(2);
        let panics = |act: &dyn Fn()| catch_unwind(AssertUnwindSafe(act)).is_err();
        assert!(panics(&|| mapping.read(9, &mut [0; 8])));
        assert!(panics(&|| mapping.read(usize::MAX, &mut [0; 8])));
        assert!(panics(&|| mapping.write(16, &[0])));
        assert!(panics(&|| _ = mapping.load(2)));
        mapping.write(16, &[]);
    }

    #[test]
    fn a_mapping_for_reading_refuses_writes_before_the_kernel_does() {
        let file = file(WORD, SealFlags::SHRINK);
        let reader = Mapping::new(&file, 1, Protection::Read).unwrap();
        let panics = |act: &dyn Fn()| catch_unwind(AssertUnwindSafe(act)).is_err();
        assert!(panics(&|| reader.write(0, &[1])));
        assert!(panics(&|| reader.store(0, 1)));
        assert!(panics(&|| _ = reader.add(0, 1)));
        assert!(panics(&|| _ = reader.compare_exchange(0, 0, 1)));
        assert_eq!(reader.load(0), 0);
    }

    #[test]
    fn a_file_that_may_shrink_or_is_too_small_is_not_mapped() {
        let kind = |file: &File, words| {
            let refused = Mapping::new(file, words, Protection::Read).unwrap_err();
            refused.kind()
        };
        let open = file(WORD, SealFlags::empty());
        assert_eq!(kind(&open, 1), io::ErrorKind::InvalidData);
        let sealed = file(WORD, SealFlags::SHRINK);
        assert_eq!(kind(&sealed, 2), io::ErrorKind::InvalidData);
        assert_eq!(kind(&sealed, 0), io::ErrorKind::InvalidData);
        assert_eq!(kind(&sealed, usize::MAX), io::ErrorKind::InvalidData);
    }

    #[test]
    fn parts_of_one_word_are_written_at_the_same_time_and_none_is_lost() {
        let mapping = mapping(1);
        std::thread::scope(|scope| {
            for place in 0..WORD {
                let mapping = &mapping;
                scope.spawn(move || {
                    for value in 1..=200 {
                        mapping.write(place, &[value]);
                        let mut seen = [0];
                        mapping.read(place, &mut seen);
                        assert_eq!(seen, [value]);
                    }
                });
            }
        });
        assert_eq!(mapping.load(0).to_ne_bytes(), [200; WORD]);
    }
}
