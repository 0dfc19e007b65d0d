//! Memory that the host makes once, and that any number of workers see without copying it.
//!
//! It lies in a file in memory whose size is sealed. The host maps it; workers in threads use the host's
//! mapping, worker processes are sent the descriptor and map it themselves. Guests reach it through the
//! calls `region_…` of the interface alone, which check each range and copy between it and the guest's
//! own memory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags, fallocate, fcntl_add_seals, memfd_create};
use serde::{Deserialize, Serialize};

use crate::sys::mapping::{Mapping, Protection, WORD};
use crate::units::ByteSize;

// The word that `region_load` gives is little endian in `region_read`, as everything in wasm is.
const _: () = assert!(
    cfg!(target_endian = "little"),
    "shared regions are little endian, and this machine is not"
);

/// What guests may do to a [`Region`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RegionAccess {
    /// Guests read. The host alone writes, also while they read; a worker process cannot map the
    /// region for writing, whatever runs in it.
    ReadOnly,
    /// Guests read and write, and see what the others wrote. Each of them can spoil it for all: what a
    /// guest reads there is as true as the least trusted guest that has the region.
    ReadWrite,
}

/// A block of memory that the host and any number of workers share.
///
/// It is given to a pool by [`crate::PoolBuilder::region`]; one region may be given to several pools.
/// A clone is the same region. It begins as zeros, and it is there until the last pool and the last
/// clone are gone: a worker that dies leaves it as it is, even in the middle of a write.
///
/// Reads and writes of a range are not one step: another one's write may be seen in part. Aligned words
/// of eight bytes are never seen half written, and [`Region::load`], [`Region::store`], [`Region::add`]
/// and [`Region::compare_exchange`] are sequentially consistent with each other and with those of guests:
/// who loads what was stored after a write also reads that write.
///
/// ```
/// use cofferdam::{ByteSize, Region, RegionAccess};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let region = Region::new(ByteSize::from_mib(16), RegionAccess::ReadOnly)?;
/// region.write(8, b"for everybody")?;
/// region.store(0, 13)?;
/// # let mut bytes = [0; 13];
/// # region.read(8, &mut bytes)?;
/// # assert_eq!((&bytes, region.load(0)?), (b"for everybody", 13));
/// // Pool::builder(guest).region(&region) …
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Region {
    memory: Arc<OwnedFd>,
    shared: Arc<Shared>,
}

/// What a worker has of a region.
#[derive(Debug)]
pub(crate) struct Shared {
    mapping: Mapping,
    len: usize,
    access: RegionAccess,
}

/// What a worker process is told of the region whose descriptor it got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Extent {
    bytes: u64,
    access: RegionAccess,
}

/// Why an access to a region was refused. Nothing was read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegionError {
    /// There is no region: the guest asked for one, and its pool has none.
    #[error("the host gave it no region")]
    NoRegion,
    /// The range leaves the region.
    #[error("it was given {bytes} bytes at {offset}, but the region has {size} bytes")]
    OutOfRange {
        /// Where the range begins.
        offset: u64,
        /// What it has.
        bytes: u64,
        /// What the region has.
        size: u64,
    },
    /// An atomic access does not lie at a multiple of eight.
    #[error("it was given the offset {offset}, which is no multiple of {WORD}")]
    Misaligned {
        /// Where it would lie.
        offset: u64,
    },
    /// A guest writes to a region that guests may only read.
    #[error("the region may only be read")]
    ReadOnly,
}

impl Region {
    /// A region of this size, all zeros. Its memory is taken at once, so that nobody runs out of it in
    /// the middle of an access.
    ///
    /// # Errors
    /// `InvalidInput` for a size of zero, or for more than there are addresses; `OutOfMemory` for more than
    /// the machine has; otherwise what the system says.
    pub fn new(size: ByteSize, access: RegionAccess) -> io::Result<Self> {
        let len = usize::try_from(size.bytes()).ok().filter(|&len| len > 0);
        let words = len.map(|len| len.div_ceil(WORD));
        let (Some(len), Some(words)) = (len, words) else {
            let why = format!("a region cannot have {size}");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        };
        let bytes = words.saturating_mul(WORD) as u64;
        if bytes > machine_memory() {
            // The kernel would try, and kill somebody before it gives up.
            let why = format!("a region of {size} is more than this machine has memory");
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, why));
        }
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let memory = memfd_create("cofferdam-region", flags)?;
        fallocate(&memory, FallocateFlags::empty(), 0, bytes)?;
        fcntl_add_seals(&memory, SealFlags::SHRINK | SealFlags::GROW)?;
        let mapping = Mapping::new(&memory, words, Protection::ReadWrite)?;
        // Only now, since it forbids every writable mapping from here on, and the host's own is there.
        let writes = match access {
            RegionAccess::ReadOnly => SealFlags::FUTURE_WRITE,
            RegionAccess::ReadWrite => SealFlags::empty(),
        };
        fcntl_add_seals(&memory, writes | SealFlags::SEAL)?;
        Ok(Self {
            memory: Arc::new(memory),
            shared: Arc::new(Shared {
                mapping,
                len,
                access,
            }),
        })
    }

    /// A region that guests may read, with the content of a file as it is now.
    ///
    /// # Errors
    /// `InvalidInput` for a file that is empty; `UnexpectedEof` for one that becomes smaller meanwhile;
    /// otherwise what the system says.
    pub fn of_file(file: &File) -> io::Result<Self> {
        use std::os::unix::fs::FileExt;
        let size = file.metadata()?.len();
        let region = Self::new(ByteSize::from_bytes(size), RegionAccess::ReadOnly)?;
        let mut piece = vec![0; 64 << 10];
        let mut at = 0;
        while at < size {
            let take = usize::try_from(size - at).map_or(piece.len(), |rest| rest.min(piece.len()));
            file.read_exact_at(&mut piece[..take], at)?;
            region.write(at, &piece[..take]).map_err(io::Error::other)?;
            at += take as u64;
        }
        Ok(region)
    }

    /// Bytes that it has; never none.
    #[must_use]
    pub fn size(&self) -> ByteSize {
        ByteSize::from_bytes(self.shared.size())
    }

    /// What guests may do to it.
    #[must_use]
    pub fn access(&self) -> RegionAccess {
        self.shared.access
    }

    /// Copies bytes from `offset` on.
    ///
    /// # Errors
    /// [`RegionError::OutOfRange`]
    pub fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), RegionError> {
        self.shared.read(offset, into)
    }

    /// Copies bytes to `offset` and what follows. The host may do so whatever guests may do.
    ///
    /// # Errors
    /// [`RegionError::OutOfRange`]
    pub fn write(&self, offset: u64, from: &[u8]) -> Result<(), RegionError> {
        self.shared.write(offset, from)
    }

    /// The eight bytes at `offset`, little endian.
    ///
    /// # Errors
    /// [`RegionError::OutOfRange`], [`RegionError::Misaligned`]
    pub fn load(&self, offset: u64) -> Result<i64, RegionError> {
        self.shared.load(offset)
    }

    /// Sets the eight bytes at `offset`.
    ///
    /// # Errors
    /// [`RegionError::OutOfRange`], [`RegionError::Misaligned`]
    pub fn store(&self, offset: u64, value: i64) -> Result<(), RegionError> {
        self.shared.store(offset, value)
    }

    /// Adds to the eight bytes at `offset`, wrapping around, and returns what they were before.
    ///
    /// # Errors
    /// [`RegionError::OutOfRange`], [`RegionError::Misaligned`]
    pub fn add(&self, offset: u64, value: i64) -> Result<i64, RegionError> {
        self.shared.add(offset, value)
    }

    /// Sets the eight bytes at `offset` to `new` if they are `expected`, and returns what they were
    /// before in either case.
    ///
    /// # Errors
    /// [`RegionError::OutOfRange`], [`RegionError::Misaligned`]
    pub fn compare_exchange(
        &self,
        offset: u64,
        expected: i64,
        new: i64,
    ) -> Result<i64, RegionError> {
        self.shared.compare_exchange(offset, expected, new)
    }

    /// What workers in threads of this process use.
    pub(crate) fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// What a worker process is told.
    pub(crate) fn extent(&self) -> Extent {
        Extent {
            bytes: self.shared.size(),
            access: self.shared.access,
        }
    }

    /// What a worker process maps.
    pub(crate) fn memory(&self) -> BorrowedFd<'_> {
        self.memory.as_fd()
    }
}

/// Bytes of memory that the machine has in all.
fn machine_memory() -> u64 {
    let info = rustix::system::sysinfo();
    info.totalram.saturating_mul(info.mem_unit.into())
}

impl Shared {
    /// Maps a region that another process made and sent.
    ///
    /// # Errors
    /// `InvalidData` if the memory is not what was said of it.
    pub(crate) fn received(memory: impl AsFd, extent: Extent) -> io::Result<Self> {
        let len = usize::try_from(extent.bytes).map_err(io::Error::other)?;
        let protection = match extent.access {
            RegionAccess::ReadOnly => Protection::Read,
            RegionAccess::ReadWrite => Protection::ReadWrite,
        };
        Ok(Self {
            mapping: Mapping::new(memory, len.div_ceil(WORD), protection)?,
            len,
            access: extent.access,
        })
    }

    /// The same, if guests may write to it.
    pub(crate) fn for_writing(&self) -> Result<&Self, RegionError> {
        match self.access {
            RegionAccess::ReadWrite => Ok(self),
            RegionAccess::ReadOnly => Err(RegionError::ReadOnly),
        }
    }

    pub(crate) fn size(&self) -> u64 {
        self.len as u64
    }

    pub(crate) fn read(&self, offset: u64, into: &mut [u8]) -> Result<(), RegionError> {
        let start = self.range(offset, into.len())?;
        self.mapping.read(start, into);
        Ok(())
    }

    pub(crate) fn write(&self, offset: u64, from: &[u8]) -> Result<(), RegionError> {
        let start = self.range(offset, from.len())?;
        self.mapping.write(start, from);
        Ok(())
    }

    pub(crate) fn load(&self, offset: u64) -> Result<i64, RegionError> {
        let place = self.place(offset)?;
        Ok(self.mapping.load(place).cast_signed())
    }

    pub(crate) fn store(&self, offset: u64, value: i64) -> Result<(), RegionError> {
        let place = self.place(offset)?;
        self.mapping.store(place, value.cast_unsigned());
        Ok(())
    }

    pub(crate) fn add(&self, offset: u64, value: i64) -> Result<i64, RegionError> {
        let place = self.place(offset)?;
        let before = self.mapping.add(place, value.cast_unsigned());
        Ok(before.cast_signed())
    }

    pub(crate) fn compare_exchange(
        &self,
        offset: u64,
        expected: i64,
        new: i64,
    ) -> Result<i64, RegionError> {
        let place = self.place(offset)?;
        let (expected, new) = (expected.cast_unsigned(), new.cast_unsigned());
        let before = self.mapping.compare_exchange(place, expected, new);
        Ok(before.cast_signed())
    }

    /// Where a range begins, if it lies in the region. An empty one may begin at its end.
    fn range(&self, offset: u64, len: usize) -> Result<usize, RegionError> {
        let start = usize::try_from(offset).ok();
        start
            .filter(|start| start.checked_add(len).is_some_and(|end| end <= self.len))
            .ok_or(RegionError::OutOfRange {
                offset,
                bytes: len as u64,
                size: self.size(),
            })
    }

    /// The word of an atomic access.
    fn place(&self, offset: u64) -> Result<usize, RegionError> {
        let start = self.range(offset, WORD)?;
        if start.is_multiple_of(WORD) {
            Ok(start / WORD)
        } else {
            Err(RegionError::Misaligned { offset })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn region(bytes: u64, access: RegionAccess) -> Region {
        Region::new(ByteSize::from_bytes(bytes), access).unwrap()
    }

    fn is_out_of_range<T>(result: &Result<T, RegionError>) -> bool {
        matches!(result, Err(RegionError::OutOfRange { .. }))
    }

    #[test]
    fn a_region_begins_as_zeros_and_keeps_what_is_written() {
        let region = region(13, RegionAccess::ReadWrite);
        assert_eq!(region.size(), ByteSize::from_bytes(13));
        let mut bytes = [1; 13];
        region.read(0, &mut bytes).unwrap();
        assert_eq!(bytes, [0; 13]);
        region.clone().write(3, b"ten bytes!").unwrap();
        region.read(0, &mut bytes).unwrap();
        assert_eq!(&bytes, b"\0\0\0ten bytes!");
    }

    #[test]
    fn a_range_may_end_with_the_region_and_not_later() {
        let region = region(13, RegionAccess::ReadWrite);
        region.read(12, &mut [0]).unwrap();
        region.read(13, &mut []).unwrap();
        // The word in which it ends is mapped whole, and still no part of it.
        assert!(is_out_of_range(&region.read(12, &mut [0; 2])));
        assert!(is_out_of_range(&region.read(14, &mut [])));
        assert!(is_out_of_range(&region.write(13, &[1])));
        assert!(is_out_of_range(&region.write(u64::MAX, &[1])));
        assert!(is_out_of_range(&region.load(8)));
        assert!(is_out_of_range(&region.load(u64::MAX - 7)));
        assert_eq!(
            region.write(5, &[0; 9]),
            Err(RegionError::OutOfRange {
                offset: 5,
                bytes: 9,
                size: 13
            })
        );
    }

    #[test]
    fn atomics_stand_at_multiples_of_eight() {
        let region = region(24, RegionAccess::ReadWrite);
        let misaligned = Err(RegionError::Misaligned { offset: 4 });
        assert_eq!(region.load(4), misaligned);
        assert_eq!(region.add(4, 1), misaligned);
        assert_eq!(region.compare_exchange(4, 0, 1), misaligned);
        assert_eq!(region.store(4, 1), misaligned.map(drop));
        region.store(8, -2).unwrap();
        assert_eq!(region.add(8, 5), Ok(-2));
        assert_eq!(region.compare_exchange(8, -2, 7), Ok(3));
        assert_eq!(region.compare_exchange(8, 3, i64::MAX), Ok(3));
        assert_eq!(region.add(8, 1), Ok(i64::MAX));
        assert_eq!(region.load(8), Ok(i64::MIN));
        let mut bytes = [0; 8];
        region.read(8, &mut bytes).unwrap();
        assert_eq!(bytes, i64::MIN.to_le_bytes());
    }

    #[test]
    fn a_worker_of_another_process_sees_the_hosts_writes_and_the_host_sees_its() {
        let ours = region(20, RegionAccess::ReadWrite);
        let theirs = Shared::received(ours.memory(), ours.extent()).unwrap();
        ours.write(1, b"there").unwrap();
        theirs
            .for_writing()
            .unwrap()
            .write(6, b" and back")
            .unwrap();
        let mut bytes = [0; 14];
        ours.read(1, &mut bytes).unwrap();
        assert_eq!(&bytes, b"there and back");
        assert!(is_out_of_range(&theirs.read(19, &mut [0; 2])));
    }

    #[test]
    fn what_may_only_be_read_cannot_be_mapped_for_writing_by_anybody() {
        let region = region(8, RegionAccess::ReadOnly);
        let refused = Mapping::new(region.memory(), 1, Protection::ReadWrite).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
        let mut file = File::from(region.memory().try_clone_to_owned().unwrap());
        assert!(file.write_all(b"x").is_err());
        let theirs = Shared::received(region.memory(), region.extent()).unwrap();
        assert_eq!(theirs.for_writing().unwrap_err(), RegionError::ReadOnly);
        region.store(0, 5).unwrap();
        assert_eq!(theirs.load(0), Ok(5));
    }

    #[test]
    fn nobody_can_change_the_size_of_a_region() {
        for access in [RegionAccess::ReadOnly, RegionAccess::ReadWrite] {
            let region = region(8192, access);
            let file = File::from(region.memory().try_clone_to_owned().unwrap());
            assert!(file.set_len(0).is_err());
            assert!(file.set_len(1 << 20).is_err());
            assert!(fcntl_add_seals(&file, SealFlags::WRITE).is_err());
        }
    }

    #[test]
    fn a_size_that_cannot_be_is_refused() {
        let refused = |bytes| {
            let size = ByteSize::from_bytes(bytes);
            Region::new(size, RegionAccess::ReadWrite).unwrap_err()
        };
        assert_eq!(refused(0).kind(), io::ErrorKind::InvalidInput);
        for more_than_any_machine_has in [1 << 62, u64::MAX] {
            let error = refused(more_than_any_machine_has);
            assert_eq!(error.kind(), io::ErrorKind::OutOfMemory);
        }
    }

    #[test]
    fn a_region_of_a_file_has_its_content() {
        let content: Vec<u8> = (0..251).cycle().take(200_001).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&content).unwrap();
        let region = Region::of_file(&file).unwrap();
        assert_eq!(region.access(), RegionAccess::ReadOnly);
        let mut bytes = vec![0; content.len()];
        region.read(0, &mut bytes).unwrap();
        assert!(bytes == content);
        let empty = Region::of_file(&tempfile::tempfile().unwrap()).unwrap_err();
        assert_eq!(empty.kind(), io::ErrorKind::InvalidInput);
    }
}
