//! One account for all the memory that an instance grows.
//!
//! wasmtime asks for each memory and table on its own; a limit on each would let a guest have as
//! many times the limit as it has memories. Here every growth is paid from one purse.

use wasmtime::{ResourceLimiter, Result};

/// What one table element costs: a pointer.
const TABLE_ELEMENT: usize = 8;

pub(super) struct Limiter {
    limit: usize,
    used: usize,
    /// Of these, what linear memories took.
    memories: usize,
    denied: bool,
}

impl Limiter {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            used: 0,
            memories: 0,
            denied: false,
        }
    }

    /// Whether any growth was denied since [`Limiter::forget_denials`].
    pub(super) fn denied(&self) -> bool {
        self.denied
    }

    /// Bytes of all linear memories together.
    pub(super) fn memories(&self) -> usize {
        self.memories
    }

    /// Bytes that count towards the limit: memories, tables, and what the host keeps. None is ever given back.
    pub(super) fn used(&self) -> usize {
        self.used
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.limit.saturating_sub(self.used)
    }

    pub(super) fn forget_denials(&mut self) {
        self.denied = false;
    }

    /// Denies growth that nobody asked for yet.
    pub(super) fn deny(&mut self) {
        self.denied = true;
    }

    /// Takes bytes that the host keeps for the guest; `false`, and nothing noted, where there are not as many left.
    pub(super) fn take(&mut self, bytes: u64) -> bool {
        let used = usize::try_from(bytes)
            .ok()
            .and_then(|bytes| self.used.checked_add(bytes))
            .filter(|&used| used <= self.limit);
        self.used = used.unwrap_or(self.used);
        used.is_some()
    }

    fn grow(&mut self, current: usize, desired: usize, unit: usize) -> bool {
        let more = desired.saturating_sub(current).saturating_mul(unit);
        match self.used.checked_add(more) {
            Some(used) if used <= self.limit => {
                self.used = used;
                true
            }
            _ => {
                self.denied = true;
                false
            }
        }
    }
}

/// The most instances of modules in a component, and as many memories and tables: each takes room of the host's that
/// no purse pays for. A component made from Python has about thirty.
const MOST_INSTANCES: usize = 256;

impl ResourceLimiter for Limiter {
    fn instances(&self) -> usize {
        MOST_INSTANCES
    }

    fn tables(&self) -> usize {
        MOST_INSTANCES
    }

    fn memories(&self) -> usize {
        MOST_INSTANCES
    }

    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        let granted = self.grow(current, desired, 1);
        if granted {
            self.memories += desired.saturating_sub(current);
        }
        Ok(granted)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> Result<bool> {
        Ok(self.grow(current, desired, TABLE_ELEMENT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memories_and_tables_are_paid_from_one_purse() {
        let mut limiter = Limiter::new(1000);
        assert!(limiter.memory_growing(0, 600, None).unwrap());
        assert!(limiter.table_growing(0, 50, None).unwrap());
        assert!(!limiter.denied());
        assert_eq!(limiter.memories(), 600, "a table is no linear memory");
        assert!(!limiter.memory_growing(0, 1, None).unwrap());
        assert!(limiter.denied());
        assert_eq!(limiter.memories(), 600, "what was denied is not there");
    }

    #[test]
    fn what_the_host_keeps_is_paid_from_it_too() {
        let mut limiter = Limiter::new(100);
        assert!(limiter.take(60));
        assert!(!limiter.take(60));
        assert!(!limiter.denied(), "a smaller piece may do");
        assert!(limiter.memory_growing(0, 40, None).unwrap());
    }

    #[test]
    fn growth_past_all_numbers_is_denied() {
        let mut limiter = Limiter::new(usize::MAX);
        assert!(limiter.memory_growing(0, 16, None).unwrap());
        assert!(!limiter.table_growing(0, usize::MAX, None).unwrap());
    }
}
