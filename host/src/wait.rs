//! How somebody who waits for another thread or process does it: looks for a while, or is woken.
//!
//! Looking (spinning) costs a CPU and no system call; being woken costs two system calls and, where the
//! other CPU sleeps, tens of microseconds. [`Patience`] decides how often to look before parking, and
//! learns whether looking pays. The parking itself is whatever the thing that is waited for offers.

use std::hint;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::options::WaitPolicy;

/// How long [`WaitPolicy::Auto`] looks at the most: about what parking and being woken costs, so that it
/// never costs more than twice the better choice (Karlin, Li, Manasse, Owicki: Empirical studies of
/// competitive spinning for a shared-memory multiprocessor, SOSP 1991).
const WORTH: Duration = Duration::from_micros(50);

/// After so many waits without a look one is made, since what was in vain may have become worth while.
const PROBE_EVERY: u32 = 64;

/// How often to look before parking. Shared by those who wait for the same kind of thing.
#[derive(Debug)]
pub(crate) struct Patience {
    policy: WaitPolicy,
    most: u32,
    looks: AtomicU32,
    since_probe: AtomicU32,
}

impl Patience {
    /// For a place where `crowd` threads want a CPU at once when all are busy, the waiting one included.
    pub(crate) fn new(policy: WaitPolicy, crowd: usize) -> Self {
        let cpus = cpus();
        Self::with(policy, crowd <= cpus && cpus > 1, looks_worth())
    }

    fn with(policy: WaitPolicy, room: bool, most: u32) -> Self {
        Self {
            policy,
            most,
            looks: AtomicU32::new(if room { most } else { 0 }),
            since_probe: AtomicU32::new(0),
        }
    }

    /// Looks until there is something, or until it is time to park.
    pub(crate) fn look<T>(&self, mut found: impl FnMut() -> Option<T>) -> Option<T> {
        if let Some(there) = found() {
            return Some(there);
        }
        match self.policy {
            WaitPolicy::Park => None,
            WaitPolicy::Spin => loop {
                for _ in 0..self.most {
                    hint::spin_loop();
                    if let Some(there) = found() {
                        return Some(there);
                    }
                }
                // Whoever is to bring it may wait for this very CPU.
                std::thread::yield_now();
                if let Some(there) = found() {
                    return Some(there);
                }
            },
            WaitPolicy::Auto => {
                let looks = self.looks_now();
                for _ in 0..looks {
                    hint::spin_loop();
                    if let Some(there) = found() {
                        self.learn(looks, true);
                        return Some(there);
                    }
                }
                self.learn(looks, false);
                None
            }
        }
    }

    fn looks_now(&self) -> u32 {
        let looks = self.looks.load(Ordering::Relaxed);
        if looks > 0 {
            return looks;
        }
        let waits = self.since_probe.fetch_add(1, Ordering::Relaxed) + 1;
        if waits.is_multiple_of(PROBE_EVERY) {
            self.most
        } else {
            0
        }
    }

    /// A look that paid restores the whole patience; each one in vain halves it.
    fn learn(&self, looked: u32, paid: bool) {
        if paid {
            self.looks.store(self.most, Ordering::Relaxed);
        } else if looked > 0 && self.looks.load(Ordering::Relaxed) > 0 {
            let halved = looked / 2;
            // A few looks are over before anything can have happened.
            let rest = if halved < self.most / 16 { 0 } else { halved };
            self.looks.store(rest, Ordering::Relaxed);
        }
    }
}

/// The CPUs that this process may use; asked once, since the answer takes as long as a wake-up.
pub(crate) fn cpus() -> usize {
    static CPUS: OnceLock<usize> = OnceLock::new();
    *CPUS.get_or_init(|| std::thread::available_parallelism().map_or(1, usize::from))
}

/// How many looks take [`WORTH`] here; measured once. A `pause` takes 10 to 140 cycles, by the CPU.
fn looks_worth() -> u32 {
    static LOOKS: OnceLock<u32> = OnceLock::new();
    *LOOKS.get_or_init(|| {
        const TRIAL: u32 = 256;
        // The least of some: an interruption makes a look seem dear.
        let once = || {
            let start = Instant::now();
            for _ in 0..TRIAL {
                hint::spin_loop();
            }
            start.elapsed()
        };
        let least = (0..4).map(|_| once()).min().unwrap_or(WORTH);
        let each = (least.as_nanos() / u128::from(TRIAL)).max(1);
        u32::try_from(WORTH.as_nanos() / each)
            .unwrap_or(u32::MAX)
            .max(64)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks_in_vain(patience: &Patience) -> u32 {
        let mut looks = 0;
        let found: Option<()> = patience.look(|| {
            looks += 1;
            None
        });
        assert!(found.is_none());
        looks - 1
    }

    #[test]
    fn whoever_parks_looks_once() {
        assert_eq!(
            looks_in_vain(&Patience::with(WaitPolicy::Park, true, 100)),
            0
        );
    }

    #[test]
    fn whoever_spins_looks_until_it_is_there() {
        let mut left = 1000;
        let found = Patience::with(WaitPolicy::Spin, true, 10).look(|| {
            left -= 1;
            (left == 0).then_some(7)
        });
        assert_eq!(found, Some(7));
    }

    #[test]
    fn looks_in_vain_become_fewer_and_one_that_pays_restores_them() {
        let patience = Patience::with(WaitPolicy::Auto, true, 160);
        let waits: Vec<u32> = (0..6).map(|_| looks_in_vain(&patience)).collect();
        assert_eq!(waits, [160, 80, 40, 20, 10, 0]);
        let mut looks = 0;
        // The next that pays can only be a probe.
        for _ in 0..2 * PROBE_EVERY {
            patience.look(|| {
                looks += 1;
                (looks > PROBE_EVERY + 20).then_some(())
            });
        }
        assert_eq!(patience.looks.load(Ordering::Relaxed), 160);
    }

    #[test]
    fn in_a_crowd_only_a_probe_looks() {
        let patience = Patience::with(WaitPolicy::Auto, false, 160);
        let looks: u32 = (0..10 * PROBE_EVERY)
            .map(|_| looks_in_vain(&patience))
            .sum();
        assert_eq!(looks, 10 * 160);
    }
}
