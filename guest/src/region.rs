//! Memory that the host shares between its workers.

use crate::imports;

/// A block of memory that the host, this guest and other workers see at the same time.
///
/// [`Context::region`](crate::Context::region) gives it. Where it can be written to at all, others may
/// write to it at any moment: what is read here is as true as the least trusted of them. A range is not
/// read or written in one step, so another one's write may be seen in part; aligned words of eight bytes
/// are never seen half written. [`Region::load`], [`Region::store`], [`Region::add`] and
/// [`Region::compare_exchange`] are sequentially consistent, little endian, and take offsets that are
/// multiples of eight; who loads what was stored after a write also reads that write.
///
/// A range outside the region, an offset between two words and a write to a region that may only be read
/// are interface violations: the job ends there, as it does for a range outside the guest's memory.
#[derive(Debug, Clone, Copy)]
pub struct Region {
    size: u64,
}

impl Region {
    /// The region, if the host gave this job one.
    pub(crate) fn of_this_job() -> Option<Self> {
        let size = u64::try_from(imports::region_len()).ok()?;
        Some(Self { size })
    }

    /// Bytes that it has; never none.
    #[must_use]
    pub fn size(self) -> u64 {
        self.size
    }

    /// Fills `buffer` with the bytes from `offset` on.
    pub fn read(self, offset: u64, buffer: &mut [u8]) {
        imports::region_read(offset, buffer);
    }

    /// Writes bytes to `offset` and what follows.
    pub fn write(self, offset: u64, bytes: &[u8]) {
        imports::region_write(offset, bytes);
    }

    /// The eight bytes at `offset`.
    #[must_use]
    pub fn load(self, offset: u64) -> i64 {
        imports::region_load(offset)
    }

    /// Sets the eight bytes at `offset`.
    pub fn store(self, offset: u64, value: i64) {
        imports::region_store(offset, value);
    }

    /// Adds to the eight bytes at `offset`, wrapping around, and returns what they were before.
    pub fn add(self, offset: u64, value: i64) -> i64 {
        imports::region_add(offset, value)
    }

    /// Sets the eight bytes at `offset` to `new` if they are `expected`: `Ok` with what they were before. Otherwise
    /// they stay what they are: `Err` with that.
    ///
    /// # Errors
    /// What was found in place of `expected`.
    pub fn compare_exchange(self, offset: u64, expected: i64, new: i64) -> Result<i64, i64> {
        match imports::region_compare_exchange(offset, expected, new) {
            before if before == expected => Ok(before),
            before => Err(before),
        }
    }
}

#[cfg(all(test, feature = "std", not(target_family = "wasm")))]
mod tests {
    use super::*;
    use crate::testing::{Ending, Job};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::vec::Vec;

    fn with_region(job: Job, act: impl FnOnce(Region)) -> Ending {
        job.run_entry(|context| {
            act(context.region().expect("the job was given a region"));
            0
        })
    }

    #[test]
    fn a_job_has_no_region_unless_it_is_given_one() {
        Job::new("").run_entry(|context| {
            assert!(context.region().is_none());
            0
        });
    }

    #[test]
    fn what_is_written_is_read_and_found_at_the_end() {
        let ending = with_region(Job::new("").with_region([0; 16]), |region| {
            assert_eq!(region.size(), 16);
            region.write(3, b"bytes");
            let mut found = [0; 7];
            region.read(2, &mut found);
            assert_eq!(&found, b"\0bytes\0");
            region.store(8, -5);
            assert_eq!(region.add(8, 7), -5);
            assert_eq!(region.load(8), 2);
            assert_eq!(region.compare_exchange(8, 3, 9), Err(2));
            assert_eq!(region.compare_exchange(8, 2, 9), Ok(2));
        });
        let expected = [b"\0\0\0bytes".as_slice(), &9_i64.to_le_bytes()].concat();
        assert_eq!(ending.region, Some(expected));
    }

    #[test]
    fn what_the_real_host_ends_the_job_for_panics_here() {
        let refused = |job: Job, act: fn(Region)| {
            catch_unwind(AssertUnwindSafe(|| with_region(job, act))).unwrap_err();
        };
        let writable = || Job::new("").with_region([0; 16]);
        refused(writable(), |region| region.read(15, &mut [0; 2]));
        refused(writable(), |region| region.write(u64::MAX, &[1]));
        refused(writable(), |region| _ = region.load(4));
        refused(writable(), |region| _ = region.load(16));
        let readable = || Job::new("").with_read_only_region(Vec::from([7; 16]));
        refused(readable(), |region| region.write(0, &[1]));
        refused(readable(), |region| region.store(0, 1));
        refused(readable(), |region| _ = region.add(0, 1));
        refused(readable(), |region| _ = region.compare_exchange(0, 0, 1));
        let ending = with_region(readable(), |region| {
            assert_eq!(region.load(8), i64::from_le_bytes([7; 8]));
        });
        assert_eq!(ending.region, Some(Vec::from([7; 16])));
    }
}
