//! Which slots have nothing to do, as bits that anybody may claim without waiting.
//!
//! Whoever clears a slot's bit has that slot: to call its thread, or to borrow its worker. There is no
//! lock, and no list that would have to be kept in order: the lowest bit goes first, so that under little
//! work the same few workers, whose memory is warm, do all of it.

use std::sync::atomic::{AtomicU64, Ordering};

const BITS: usize = u64::BITS as usize;

/// The idle slots of a pool.
///
/// All orderings are sequentially consistent: a slot enters itself and then looks for work, while whoever
/// has work hands it in and then looks for a slot. With anything weaker both could look too early.
pub(super) struct Idle(Box<[AtomicU64]>);

impl Idle {
    /// For so many slots, of which none is idle yet.
    pub(super) fn new(slots: usize) -> Self {
        let words = slots.div_ceil(BITS);
        Self((0..words).map(|_| AtomicU64::new(0)).collect())
    }

    /// Says that a slot has nothing to do. Only whoever has the slot may say so.
    pub(super) fn enter(&self, slot: usize) {
        self.0[slot / BITS].fetch_or(bit(slot), Ordering::SeqCst);
    }

    /// Claims this slot, if it is idle.
    pub(super) fn claim(&self, slot: usize) -> bool {
        let before = self.0[slot / BITS].fetch_and(!bit(slot), Ordering::SeqCst);
        before & bit(slot) != 0
    }

    /// Claims an idle slot.
    pub(super) fn claim_any(&self) -> Option<usize> {
        for (place, word) in self.0.iter().enumerate() {
            let mut seen = word.load(Ordering::SeqCst);
            while seen != 0 {
                let slot = place * BITS + seen.trailing_zeros() as usize;
                if self.claim(slot) {
                    return Some(slot);
                }
                seen = word.load(Ordering::SeqCst);
            }
        }
        None
    }

    /// How many are idle at this moment.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        let words = self.0.iter();
        words
            .map(|word| word.load(Ordering::SeqCst).count_ones() as usize)
            .sum()
    }
}

fn bit(slot: usize) -> u64 {
    1 << (slot % BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_goes_first_and_each_is_claimed_once() {
        let idle = Idle::new(130);
        for slot in [129, 64, 3, 63] {
            idle.enter(slot);
        }
        assert!(idle.claim(64));
        assert!(!idle.claim(64));
        let rest: Vec<_> = std::iter::from_fn(|| idle.claim_any()).collect();
        assert_eq!(rest, [3, 63, 129]);
    }

    #[test]
    fn of_many_who_claim_at_once_each_slot_has_one() {
        let idle = Idle::new(100);
        for slot in 0..100 {
            idle.enter(slot);
        }
        let mut claimed: Vec<usize> = std::thread::scope(|scope| {
            let claimers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| std::iter::from_fn(|| idle.claim_any()).collect()))
                .collect();
            let lists = claimers.into_iter().map(|claimer| claimer.join().unwrap());
            lists.flat_map(|list: Vec<usize>| list).collect()
        });
        claimed.sort_unstable();
        assert_eq!(claimed, (0..100).collect::<Vec<_>>());
    }
}
