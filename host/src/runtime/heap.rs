//! The memory that Extism's host functions hand out: blocks at numbers that are no addresses of anything.
//!
//! A plugin allocates, fills and reads it by calls alone, so every access is checked here. Where a block is freed its
//! place is given out again, next to its neighbours' if they are free too. Each block costs [`HEAD`] bytes beside its
//! own, which is about what is kept of it elsewhere: a guest cannot make the host keep more than it is charged for.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Bytes that are charged for a block beside its own.
const HEAD: u64 = 64;

/// No block begins or ends between two multiples of this.
const GRAIN: u64 = 16;

/// Bytes by which the heap grows at the least.
const STEP: u64 = 64 << 10;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Heap {
    bytes: Vec<u8>,
    /// Where each block that is in use begins, and how long it is said to be.
    used: BTreeMap<u64, u64>,
    /// Where each gap begins, heads included, and how long it is.
    gaps: BTreeMap<u64, u64>,
    /// The same gaps by their length.
    by_size: BTreeSet<(u64, u64)>,
    /// Where the part begins that was never given out.
    top: u64,
}

impl Heap {
    /// Frees everything. Nothing that was written is read again.
    pub(super) fn reset(&mut self) {
        self.bytes.fill(0);
        self.used.clear();
        self.gaps.clear();
        self.by_size.clear();
        self.top = 0;
    }

    /// Bytes that it has of the host.
    pub(super) fn size(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// A place for so many bytes, or `None` where `grow` refuses the bytes that it takes.
    pub(super) fn alloc(&mut self, length: u64, mut grow: impl FnMut(u64) -> bool) -> Option<u64> {
        let whole = length.checked_add(HEAD)?.checked_next_multiple_of(GRAIN)?;
        let fits = self.by_size.range((whole, 0)..).next().copied();
        let at = match fits {
            Some((size, at)) => {
                self.close(at, size);
                if size > whole {
                    self.open(at + whole, size - whole);
                }
                at
            }
            None => {
                let end = self.top.checked_add(whole)?;
                if end > self.size() {
                    let missing = end - self.size();
                    // In steps that grow with it, so that many small blocks do not move it each time.
                    let step = missing.max(STEP).max(self.size() / 2);
                    let more = [step, missing].into_iter().find(|&more| grow(more))?;
                    let size = usize::try_from(self.size() + more).ok()?;
                    self.bytes.reserve_exact(size - self.bytes.len());
                    self.bytes.resize(size, 0);
                }
                let at = self.top;
                self.top = end;
                at
            }
        };
        self.used.insert(at + HEAD, length);
        Some(at + HEAD)
    }

    /// Frees a block, if one begins there.
    pub(super) fn free(&mut self, block: u64) {
        let Some(length) = self.used.remove(&block) else {
            return;
        };
        let mut at = block - HEAD;
        let mut size = (length + HEAD).next_multiple_of(GRAIN);
        if let Some((&before, &length)) = self.gaps.range(..at).next_back()
            && before + length == at
        {
            self.close(before, length);
            at = before;
            size += length;
        }
        if let Some(&length) = self.gaps.get(&(at + size)) {
            self.close(at + size, length);
            size += length;
        }
        match at + size == self.top {
            true => self.top = at,
            false => self.open(at, size),
        }
    }

    fn open(&mut self, at: u64, size: u64) {
        self.gaps.insert(at, size);
        self.by_size.insert((size, at));
    }

    fn close(&mut self, at: u64, size: u64) {
        self.gaps.remove(&at);
        self.by_size.remove(&(size, at));
    }

    /// How long the block is that begins there; 0 where none does.
    pub(super) fn length(&self, block: u64) -> u64 {
        self.used.get(&block).copied().unwrap_or_default()
    }

    /// What the block has that begins there.
    pub(super) fn block(&self, block: u64) -> Option<&[u8]> {
        let length = *self.used.get(&block)?;
        self.bytes.get(self.range(block, length)?)
    }

    /// So many bytes from anywhere, of a block or not.
    pub(super) fn bytes(&self, at: u64, length: u64) -> Option<&[u8]> {
        self.bytes.get(self.range(at, length)?)
    }

    /// The same, to be written to.
    pub(super) fn bytes_mut(&mut self, at: u64, length: u64) -> Option<&mut [u8]> {
        let range = self.range(at, length)?;
        self.bytes.get_mut(range)
    }

    fn range(&self, at: u64, length: u64) -> Option<Range<usize>> {
        let end = at.checked_add(length).filter(|&end| end <= self.size())?;
        Some(usize::try_from(at).ok()?..usize::try_from(end).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_freed_is_given_out_again() {
        let mut heap = Heap::default();
        let blocks = [0; 3].map(|_| heap.alloc(100, |_| true).unwrap());
        heap.free(blocks[0]);
        heap.free(blocks[1]);
        assert_eq!(
            heap.alloc(200, |_| false),
            Some(blocks[0]),
            "two gaps are one"
        );
        assert_eq!(heap.length(blocks[0]), 200);
        assert_eq!(heap.length(blocks[1]), 0);
    }

    #[test]
    fn what_is_refused_changes_nothing() {
        let mut heap = Heap::default();
        assert_eq!(heap.alloc(1, |_| false), None);
        assert_eq!(heap.alloc(u64::MAX, |_| true), None);
        assert_eq!(heap.size(), 0);
    }

    #[test]
    fn a_small_grant_is_taken_where_a_large_one_is_refused() {
        let mut heap = Heap::default();
        assert!(heap.alloc(1000, |more| more < STEP).is_some());
        assert!(heap.size() < STEP);
    }

    #[test]
    fn nothing_is_left_after_a_reset() {
        let mut heap = Heap::default();
        let block = heap.alloc(8, |_| true).unwrap();
        heap.bytes_mut(block, 8).unwrap().fill(7);
        heap.reset();
        assert_eq!(heap.length(block), 0);
        assert_eq!(heap.bytes(block, 8), Some(&[0; 8][..]));
        assert_eq!(heap.alloc(8, |_| false), Some(block));
    }

    proptest! {
        /// Blocks never overlap, keep what was written, and the charge is never exceeded.
        #[test]
        fn blocks_keep_apart(steps in proptest::collection::vec((0u64..5000, any::<bool>(), any::<usize>()), 1..200)) {
            let mut heap = Heap::default();
            let mut granted = 0;
            let mut live: Vec<(u64, u64, u8)> = Vec::new();
            for (number, (length, frees, which)) in steps.into_iter().enumerate() {
                let mark = u8::try_from(number % 251).unwrap();
                if frees && !live.is_empty() {
                    let (block, ..) = live.swap_remove(which % live.len());
                    heap.free(block);
                } else if let Some(block) = heap.alloc(length, |more| { granted += more; true }) {
                    heap.bytes_mut(block, length).unwrap().fill(mark);
                    live.push((block, length, mark));
                }
                prop_assert!(heap.size() <= granted);
                for &(block, length, mark) in &live {
                    prop_assert_eq!(heap.length(block), length);
                    prop_assert!(heap.block(block).unwrap().iter().all(|&byte| byte == mark));
                }
            }
        }
    }
}
